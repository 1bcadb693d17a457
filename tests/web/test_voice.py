"""Telephone sound as browsers get it."""

import io
from contextlib import suppress

import av
import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvr.base.errors import Damaged
from nvr.web.fragment import Voice, shown
from nvr.wire import fmp4
from tests.media import clip, wire
from tests.media.taker import Taker
from tests.web import box as boxes
from tests.web.test_live import decode


def recorded(codec):
    sound = clip.audio(codec, seconds=1)
    with Taker(sound.track, sets=()) as taker:
        for pts, packet in wire.packets(sound):
            taker.now = 90_000_000 + pts * 11
            taker.feed(wire.frame(2, packet))
        taker.end()
        config = taker.config()
        return config, b"".join(part[0] + bytes(part[1]) for part in taker.parts)


PLAIN_CONFIG, PLAIN = recorded("g726")


def heard(data):
    with av.open(io.BytesIO(data)) as box:
        stream = box.streams.audio[0]
        frames = list(box.decode(stream))
    return stream.codec_context.name, numpy.concatenate(
        [f.to_ndarray().reshape(-1) for f in frames]
    )


@pytest.mark.parametrize("codec", ["pcma", "pcmu", "g726", "l16"])
async def test_telephone_sound_comes_as_flac_of_the_same_samples(video, codec):
    config, fragments, parts = await boxes.fragments_of(video, clip.audio(codec))
    whole = b"".join(part.moof + bytes(part.mdat) for part in parts)
    _, want = heard(fmp4.init_segment(config) + whole)
    init, turned = fmp4.init_segment(shown(config)), Voice().turn(whole, config)
    assert fmp4.mime(shown(config)).endswith(',flac"')
    name, got = heard(init + turned)
    assert name == "flac"
    assert decode(init + turned) == decode(fmp4.init_segment(config) + whole)
    if codec == "g726":  # ffmpeg's is not the recommendation's to the bit
        want, got = want.astype(float), got[: len(want)]
        assert 10 * numpy.log10((want**2).mean() / ((want - got) ** 2).mean()) > 15
    else:
        assert numpy.array_equal(got, want)
    # Fragment by fragment, as who looks on gets it, the same comes out.
    voice = Voice()
    _, live = heard(init + b"".join(voice.turn(one.data, config) for one in fragments))
    assert numpy.array_equal(live[-len(got) // 2 :], got[-len(got) // 2 :])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.integers(0, 2000), st.integers(0, 255))
def test_no_damage_to_a_fragment_is_more_than_damage(noise, at, value):
    broken = bytearray(PLAIN)
    broken[at % len(PLAIN)] = value
    for data in (noise, bytes(broken), PLAIN[:at], PLAIN[:24] + noise + PLAIN[24:]):
        with suppress(Damaged):
            Voice().turn(data, PLAIN_CONFIG)
