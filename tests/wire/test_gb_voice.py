"""Voice of a platform: G.711 in RTP, split and damaged in every way."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.wire.g711 import PCMA_TO_PCMU
from nvr.wire.gb_voice import Ear, Said


def rtp(sequence: int, samples: bytes, kind: int = 8, first: int = 0x80) -> bytes:
    return struct.pack(">BBHII", first, kind, sequence & 0xFFFF, 0, 7) + samples


def framed(*packets: bytes) -> bytes:
    return b"".join(len(one).to_bytes(2, "big") + one for one in packets)


def test_both_laws_are_heard_in_either() -> None:
    ear = Ear(framed=False)
    assert ear.feed(rtp(1, b"abc")) == [Said("pcma", b"abc")]
    assert ear.feed(rtp(2, b"abc", 0)) == [Said("pcmu", b"abc")]
    assert Said("pcma", b"abc").of("pcmu") == b"abc".translate(PCMA_TO_PCMU)
    assert Said("pcma", b"abc").of("pcma") == b"abc"


def test_what_comes_late_or_is_no_voice_is_left_out() -> None:
    ear = Ear(framed=False)
    assert ear.feed(rtp(65_535, b"a"))
    assert ear.feed(rtp(65_535, b"a")) == [], "twice"
    assert ear.feed(rtp(0, b"b"))
    assert ear.feed(rtp(65_534, b"c")) == [], "late"
    assert ear.feed(rtp(5, b"ps", 96)) == []
    assert ear.feed(b"\x80") == []
    assert ear.feed(rtp(6, b"")) == []


def test_the_rest_of_the_header_is_passed_over() -> None:
    ear = Ear(framed=False)
    assert ear.feed(rtp(2, b"SRC1abc", first=0x81)) == [Said("pcma", b"abc")]
    extended = b"\xbe\xde\0\1EXT1abc"
    assert ear.feed(rtp(3, extended, first=0x90)) == [Said("pcma", b"abc")]
    assert ear.feed(rtp(4, b"abc\0\2", first=0xA0)) == [Said("pcma", b"abc")]


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.data())
@settings(deadline=None)
def test_splitting_the_stream_changes_nothing(said: list[bytes], data: st.DataObject) -> None:
    line = framed(*(rtp(n, one) for n, one in enumerate(said)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)))))
    ear, found = Ear(framed=True), []
    for start, stop in zip([0, *cuts], [*cuts, len(line)], strict=True):
        found += ear.feed(line[start:stop])
    assert [one.samples for one in found] == said


@given(st.binary(max_size=300), st.booleans())
@settings(deadline=None)
def test_anything_is_borne(data: bytes, stream: bool) -> None:
    for one in Ear(framed=stream).feed(data):
        assert one.samples
