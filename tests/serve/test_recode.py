"""Live pictures converted for a viewer, in the sandbox, one at a time."""

import asyncio
import io
import itertools
import os
import signal

import av
import pytest

from nvr.base.errors import Unavailable
from nvr.codec import still
from nvr.codec.sandbox import Sandbox
from nvr.media.film import Wish
from nvr.media.mask import Mask
from nvr.media.part import Fragment
from nvr.media.track import TrackConfig
from nvr.serve import recode, recodes
from nvr.serve.recode_talk import Still
from nvr.serve.recodes import Recodes, Use
from nvr.wire import fmp4
from tests.capture.test_film import filmed
from tests.media import film

H265 = Wish("x265", 600_000, 0.4, codec="h265")
ANNA = Use("gate", "anna", 1)
BERT = Use("yard", "bert", 2)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(recodes, "PATIENCE_S", 0.05)


class Watching:
    """Watches, and keeps what comes."""

    def __init__(self) -> None:
        self.configs: list[object] = []
        self.fragments: list[Fragment] = []

    def __call__(self, config, fragments) -> None:
        self.configs.append(config)
        self.fragments += fragments

    def pictures(self):
        data = fmp4.init_segment(self.configs[-1]) + b"".join(one.data for one in self.fragments)
        with av.open(io.BytesIO(data), format="mp4") as container:
            return [(frame.pts, frame) for frame in container.decode(video=0)]


async def test_a_small_h264_picture_comes_of_h265_one_stream_at_a_time() -> None:
    async with filmed("test:1280x720@25", wish=H265) as it:
        await it.until(lambda: it.states, 60)
        converter, watching = Recodes(), Watching()
        stream = it.source._stream
        end = converter.live(stream, await converter.take(ANNA), tuple).watch(watching)
        with pytest.raises(Unavailable, match=r"recode\.busy.*gate, by anna"):
            await converter.take(BERT)
        await it.until(lambda: len(watching.fragments) >= 15, 60)
        end()
        [track] = watching.configs[0]
        assert (track.codec, track.width_px, track.height_px) == ("h264", 854, 480)
        assert watching.fragments[0].key
        shown = watching.pictures()
        assert len(shown) == len(watching.fragments)
        times = [pts for pts, _ in shown]
        assert times == [one.start_90k for one in watching.fragments]
        assert min(b - a for a, b in itertools.pairwise(times)) > 90_000 // 25 * 1.5
        luma = shown[-1][1].to_ndarray()
        assert abs(int(luma[200, 60]) - 180) < 12, "the first bar is 75 % white"
        assert abs(int(luma[200, 800]) - 28) < 12, "the last one is blue"
        (await converter.take(BERT)).free()


async def test_a_sandbox_that_dies_is_started_again(caplog) -> None:
    boxes: list[Sandbox] = []

    def started() -> Sandbox:
        boxes.append(Sandbox("nvr.serve.recoder"))
        return boxes[-1]

    async with filmed("test:320x180@25", wish=H265) as it:
        await it.until(lambda: it.states, 60)
        watching = Watching()
        converter = Recodes(sandbox=started)
        place = await converter.take(ANNA)
        end = converter.live(it.source._stream, place, tuple).watch(watching)
        await it.until(lambda: len(watching.fragments) >= 3, 60)
        os.kill(boxes[0].pid, signal.SIGKILL)
        before = len(watching.fragments)
        await it.until(lambda: len(watching.fragments) >= before + 8, 60)
        end()
    assert "recode.failed" in caplog.text
    assert len(boxes) == 2


async def test_what_waits_is_bounded_and_goes_on_with_a_key_frame(monkeypatch) -> None:
    monkeypatch.setattr(recode, "_MOST_BYTES", 20_000)

    class Slow:
        """Nothing is ever answered until it is closed."""

        def watch(self, _deliver):
            return lambda: None

        name, config = "gate/main", None

    made = recode.Recode(Slow(), lambda: None, lambda: None)
    track = TrackConfig("video", "h265", 90_000, b"", 64, 64)
    for n in range(100):
        made._take((track,), [Fragment(bytes(3000), n % 10 == 0, n, 0.0)])
        assert made._bytes <= 23_000
        assert not made._waiting or made._waiting[0].key
    assert made.dropped > 50


async def test_recording_goes_first() -> None:
    with pytest.raises(Unavailable, match=r"recode\.behind"):
        await Recodes(lambda: True).take(ANNA)
    with pytest.raises(Unavailable, match=r"recode\.behind"):
        await Recodes(lambda: True).still(None)


async def test_while_recording_lags_nothing_goes_to_the_sandbox(monkeypatch) -> None:
    monkeypatch.setattr(recode, "_GIVE_WAY_S", 0.01)
    lags = False
    async with filmed("test:320x180@25") as it:
        await it.until(lambda: it.states, 60)
        watching, converter = Watching(), Recodes(lambda: lags)
        made = converter.live(it.source._stream, await converter.take(ANNA), tuple)
        end = made.watch(watching)
        await it.until(lambda: len(watching.fragments) >= 3, 60)
        lags, dropped = True, made.dropped
        await it.until(lambda: made.dropped > dropped + 25)
        before = len(watching.fragments)
        lags = False
        await it.until(lambda: len(watching.fragments) >= before + 3, 60)
        end()


async def test_masks_are_burned_in_from_one_picture_to_the_next() -> None:
    """The first bar is bright, the third not dark: both are gone under a mask."""
    masks = ()
    async with filmed("test:640x360@25") as it:
        await it.until(lambda: it.states, 60)
        watching, converter = Watching(), Recodes()
        place = await converter.take(ANNA)
        end = converter.live(it.source._stream, place, lambda: masks).watch(watching)
        await it.until(lambda: len(watching.fragments) >= 5, 60)
        masks, before = (Mask(((0, 0), (500, 0), (500, 1000), (0, 1000))),), len(watching.fragments)
        await it.until(lambda: len(watching.fragments) >= before + 25, 60)
        end()
    lumas = [frame.to_ndarray(format="gray")[100:260] for _, frame in watching.pictures()]
    assert lumas[0][:, 20:60].min() > 150
    assert lumas[-1][:, :310].max() < 30
    assert lumas[-1][:, 330:].max() > 60, "the other half is there"
    covered = [luma[:, :310].max() < 30 for luma in lumas]
    assert covered == sorted(covered), "once hidden, always"


async def test_who_wants_another_picture_gives_up_the_first_and_nobody_elses() -> None:
    converter = Recodes()
    place, told = await converter.take(ANNA), []
    place.given_up = lambda: (told.append("anna"), place.free())
    with pytest.raises(Unavailable, match=r"another picture is being converted: gate, by anna"):
        await converter.take(BERT, first=True)
    with pytest.raises(Unavailable, match="–, by –"):
        await converter.take(BERT, knows=lambda _: False)
    with pytest.raises(Unavailable):
        await converter.take(ANNA)
    other = await converter.take(ANNA, first=True)
    assert told == ["anna"]
    place.free()
    with pytest.raises(Unavailable):
        await converter.take(BERT)
    other.free()
    asyncio.get_running_loop().call_later(0.01, (await converter.take(ANNA)).free)
    await converter.take(BERT)


async def test_a_still_is_covered_and_noise_is_none() -> None:
    converter = Recodes()
    masks = (Mask(((500, 0), (1000, 0), (1000, 1000), (500, 1000)), "solid"),)
    jpeg = still.jpeg(film.picture(60), 0)
    made = await converter.still(Still("jpeg", b"", jpeg, 160, masks))
    (frame,) = av.CodecContext.create("mjpeg", "r").decode(av.Packet(made))
    luma = frame.to_ndarray(format="gray")
    assert luma.shape == (120, 160)
    assert luma[:, 82:].max() < 30
    assert luma[:50, :76].min() > 120
    assert await converter.still(Still("jpeg", b"", b"\xff\xd8 no picture", 0, masks)) == b""
