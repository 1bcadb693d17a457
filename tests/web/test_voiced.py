"""Converted pictures and the sound beside them, put together for one viewer."""

import dataclasses
import io

import av

from nvr.media.part import Fragment
from nvr.web import voiced
from nvr.web.fragment import Voice, shown, without
from nvr.web.voiced import Voiced
from nvr.wire import fmp4
from tests.media import clip
from tests.web import box as boxes


class Told:
    """Delivers what it is told to."""

    name, config = "gate/main", None

    def __init__(self) -> None:
        self.deliver = None

    def watch(self, deliver):
        self.deliver = deliver

        def end() -> None:
            self.deliver = None

        return end


async def test_sound_comes_with_the_pictures_of_its_time_and_plays(video):
    """The converter is half a second behind, and its pictures are the ones of the clip."""
    config, fragments, _ = await boxes.fragments_of(video, clip.audio("pcma", 2.0))
    pictures, stream, got = Told(), Told(), []
    end = Voiced(pictures, stream).watch(lambda tracks, some: got.append((tracks, some)))
    made, late = (config[0],), []
    for fragment in fragments:
        stream.deliver(config, [fragment])
        if fragment.track == 0:
            late.append(dataclasses.replace(fragment, data=without(fragment.data, {1: 1})))
        if len(late) > 12:
            pictures.deliver(made, [late.pop(0)])
    end()
    assert (pictures.deliver, stream.deliver) == (None, None)
    assert {tracks for tracks, _ in got} == {config}
    out = [one for _, some in got for one in some]
    seen_90k = -1
    for one in out:
        if one.track == 0:
            seen_90k = one.start_90k
        else:
            assert one.start_90k <= seen_90k, "no sound before the pictures of its time"
            assert not one.key
    voice = Voice()
    data = fmp4.init_segment(shown(config))
    data += b"".join(voice.turn(one.data, config) for one in out)
    with av.open(io.BytesIO(data), format="mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == sum(one.track == 0 for one in out)
    with av.open(io.BytesIO(data), format="mp4") as container:
        heard_s = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    sent_s = (seen_90k - out[0].start_90k) / 90_000
    assert sent_s > 0.9
    assert heard_s >= 0.9


async def test_sound_that_no_picture_comes_for_is_dropped_and_damage_is_left_out(
    video, monkeypatch
):
    monkeypatch.setattr(voiced, "MOST_WAITING", 4)
    config, fragments, _ = await boxes.fragments_of(video, clip.audio("pcma"))
    heard = [one for one in fragments if one.track == 1][:9]
    pictures, stream, got = Told(), Told(), []
    Voiced(pictures, stream).watch(lambda _tracks, some: got.extend(some))
    stream.deliver(config, heard)
    broken = Fragment(b"\0\0\0\1moof", False, heard[-1].start_90k, 0.0, 1)
    stream.deliver(config, [broken])
    last = dataclasses.replace(fragments[0], start_90k=heard[-1].start_90k)
    pictures.deliver((config[0],), [last])
    assert got[0] is last
    assert [one.start_90k for one in got[1:]] == [one.start_90k for one in heard[-3:]]
