"""Program streams: the bytes of GB/T 28181's tables, and a reader that checks every field.

What ffmpeg and GStreamer make of them is in `tests/export/test_ps.py`.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.media.track import TrackConfig
from nvr.wire import h264
from nvr.wire.mpegps import muxer

SPS_264 = bytes.fromhex("6742c01ed9005005bb016a02020280000003008000001e478b1724")
PPS_264 = bytes.fromhex("68cb83cb20")
VIDEO = TrackConfig("video", "h264", 90_000, h264.avcc([SPS_264, PPS_264]), 640, 360)
PCMA = TrackConfig("audio", "pcma", 8_000, b"", channels=1)
AAC = TrackConfig("audio", "aac", 16_000, bytes.fromhex("1408"), channels=1)

PACK = bytes.fromhex("000001ba440016fc8401013883f8")
SYSTEM = bytes.fromhex("000001bb000c809c4104e17fc0c020e0e080")
MAP = bytes.fromhex("000001bc0012e0ff000000081be0000090c00000fedfb1d7")


def sample(*nals: bytes) -> bytes:
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def crc32(data: bytes) -> int:
    """CRC of program stream maps: polynomial 04C11DB7, not reflected, begins with ones."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc >> 31 else crc << 1) & 0xFFFFFFFF
    return crc


def annex_b(*nals: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + nal for nal in nals)


@dataclass
class Pes:
    stream_id: int
    pts: int | None
    dts: int | None
    payload: bytes


@dataclass
class Pack:
    scr: int
    rate: int
    front: bytes
    pes: list[Pes]


def stamp(data: bytes, mark: int) -> int:
    assert data[0] >> 4 == mark
    assert data[0] & data[2] & data[4] & 1
    return (
        (data[0] >> 1 & 7) << 30
        | (data[1] << 7 | data[2] >> 1) << 15
        | (data[3] << 7 | data[4] >> 1)
    )


def read(data: bytes) -> list[Pack]:
    """Take a program stream apart as ISO/IEC 13818-1 has it, nothing left over."""
    packs: list[Pack] = []
    at = 0
    while at < len(data):
        assert data[at : at + 3] == b"\0\0\1"
        kind = data[at + 3]
        if kind == 0xBA:
            bits = int.from_bytes(data[at + 4 : at + 10], "big")
            assert bits >> 46 == 1
            assert all(bits >> n & 1 for n in (42, 26, 10, 0))
            scr = (bits >> 43 & 7) << 30 | (bits >> 27 & 0x7FFF) << 15 | bits >> 11 & 0x7FFF
            rate = int.from_bytes(data[at + 10 : at + 13], "big")
            assert rate & 3 == 3
            assert data[at + 13] == 0xF8
            packs.append(Pack(scr, rate >> 2, b"", []))
            at += 14
            continue
        size = int.from_bytes(data[at + 4 : at + 6], "big")
        whole = data[at : at + 6 + size]
        assert len(whole) == 6 + size
        if kind in {0xBB, 0xBC}:
            packs[-1].front += whole
        else:
            assert whole[6] >> 6 == 2
            flags, head = whole[7] >> 6, whole[8]
            pts = stamp(whole[9:14], flags) if flags else None
            dts = stamp(whole[14:19], 1) if flags == 3 else None
            assert head == (0, 0, 5, 10)[flags]
            packs[-1].pes.append(Pes(kind, pts, dts, whole[9 + head :]))
        at += len(whole)
    return packs


def test_the_bytes_are_those_of_the_tables() -> None:
    made = muxer((VIDEO, PCMA), rate_bps=8_000_000)
    key = made.pack(0, sample(b"\x65abc"), 90_000, 90_000, True)
    pes = bytes.fromhex("000001e0") + (8 + len(annex_b(SPS_264, PPS_264, b"\x65abc"))).to_bytes(2)
    pes += bytes.fromhex("8480052100") + bytes.fromhex("05bf21")
    assert key == PACK + SYSTEM + MAP + pes + annex_b(SPS_264, PPS_264, b"\x65abc")
    sound = made.pack(1, b"\xd5" * 3, 90_000, 90_000, False)
    assert sound == PACK + bytes.fromhex("000001c0000b 8480052100 05bf21 d5d5d5")


def test_every_codec_has_the_type_of_the_standard() -> None:
    for track, kind in (
        (VIDEO, 0x1B),
        (TrackConfig("video", "h265", 90_000, b"\1" + bytes(22), 64, 64), 0x24),
        (AAC, 0x0F),
        (PCMA, 0x90),
        (TrackConfig("audio", "pcmu", 8_000, b"", channels=1), 0x91),
    ):
        unit = sample(b"\x26\1abc") if track.kind == "video" else b"abc"
        (pack,) = read(muxer((track,)).pack(0, unit, 0, 0, True))
        at = pack.front.index(b"\0\0\1\xbc")
        assert pack.front[at + 12] == kind
        assert pack.front[at + 13] == (0xE0 if track.kind == "video" else 0xC0)
        assert crc32(pack.front[at:]) == 0, "the CRC of a map with its CRC is nothing"
        sound, pictures = pack.front[9] >> 2, pack.front[10] & 31
        assert (sound, pictures) == ((0, 1) if track.kind == "video" else (1, 0))


def test_sound_goes_with_headers_that_say_what_it_is() -> None:
    (pack,) = read(muxer((AAC,)).pack(0, b"x" * 100, 0, 0, True))
    (pes,) = pack.pes
    assert pes.payload == bytes.fromhex("fff160400d7ffc") + b"x" * 100
    assert muxer((AAC,)).pack(0, b"x" * 8_200, 0, 0, True) == b"", "no AAC is that long"
    assert muxer((AAC,)).pack(0, b"", 0, 0, False) == b""
    wide = TrackConfig("audio", "aac", 48_000, bytes.fromhex("2b118800"), channels=2)  # HE-AAC
    (pack,) = read(muxer((wide,)).pack(0, b"xy", 0, 0, True))
    bits = int.from_bytes(pack.pes[0].payload[:7], "big")
    assert (bits >> 38 & 3, bits >> 34 & 15, bits >> 30 & 7) == (1, 6, 2), "LC at 24 kHz, stereo"


@pytest.mark.parametrize("config", ["", "14", "f94040", "1400", "140c", "7a1000"])
def test_sound_that_adts_cannot_name_is_refused(config: str) -> None:
    with pytest.raises(ValueError, match=r"ADTS|cut off|reserved"):
        muxer((TrackConfig("audio", "aac", 16_000, bytes.fromhex(config), channels=1),))


def test_what_cannot_be_carried_is_refused() -> None:
    class Odd:
        kind, codec, clock_hz, config = "video", "av1", 90_000, b""
        width_px = height_px = channels = 0

    with pytest.raises(ValueError, match="av1"):
        muxer((Odd(),))
    with pytest.raises(ValueError, match="out of range"):
        muxer((VIDEO,), rate_bps=0)
    with pytest.raises(ValueError, match="cut off"):
        muxer((TrackConfig("video", "h264", 90_000, b"", 0, 0),))


def test_sound_without_a_place_is_left_out_beside_pictures_only() -> None:
    opus = TrackConfig("audio", "opus", 48_000, b"", channels=2)
    made = muxer((VIDEO, opus, PCMA), leave_out=True)
    assert made.pack(1, b"abc", 0, 0, False) == b""
    (pack,) = read(made.pack(2, b"abc", 0, 0, True))
    assert pack.pes[0].stream_id == 0xC0, "the first one carried"
    assert (pack.front[9] >> 2, pack.front[10] & 31) == (1, 1)
    with pytest.raises(ValueError, match="opus"):
        muxer((opus,), leave_out=True)


def test_times_and_tracks_beyond_any_range_are_borne() -> None:
    made = muxer((VIDEO,))
    assert made.pack(7, b"abc", 0, 0, True) == b"", "there is no such track"
    for at in (-(1 << 62), 1 << 62):
        (pack,) = read(made.pack(0, sample(b"\x65"), at, at, True))
        assert pack.pes[0].pts == at % (1 << 33)


def test_parameter_sets_come_before_a_key_frame_once_and_after_its_delimiter() -> None:
    made = muxer((VIDEO,))

    def payload(*nals: bytes, starts: bool = True) -> bytes:
        (pack,) = read(made.pack(0, sample(*nals), 0, 0, starts))
        return pack.pes[0].payload

    assert payload(b"\x09\x10", b"\x65") == annex_b(b"\x09\x10", SPS_264, PPS_264, b"\x65")
    own = SPS_264[:-1] + b"\x25"
    assert payload(own, PPS_264, b"\x65") == annex_b(own, PPS_264, b"\x65")
    assert payload(own, b"\x65") == annex_b(SPS_264, PPS_264, own, b"\x65"), "no PPS of its own"
    assert payload(b"\x41ab", starts=False) == annex_b(b"\x41ab")


def test_a_length_that_lies_ends_the_picture_there() -> None:
    made = muxer((VIDEO,))
    data = sample(b"\x41ab") + (1 << 31).to_bytes(4, "big") + b"\x41cd"
    (pack,) = read(made.pack(0, data, 0, 0, False))
    assert pack.pes[0].payload == annex_b(b"\x41ab")
    assert made.pack(0, (9).to_bytes(4, "big") + b"\x41", 0, 0, False) == b""
    assert made.pack(0, bytes(4) + b"\1", 0, 0, True) == b""


units = st.tuples(
    st.booleans(),
    st.binary(min_size=1, max_size=40).map(lambda raw: bytes((0x41, *raw))),
    st.integers(1, 4_000),
    st.integers(0, 9_000),
    st.integers(0, 30_000),
    st.booleans(),
)


@given(st.lists(units, max_size=12), st.integers(0, (1 << 34)), st.integers(0, 90_000))
@settings(max_examples=100, deadline=None)
def test_what_goes_in_comes_out_at_its_time(made: list, begin: int, lead: int) -> None:
    """Any sizes, times over the end of the 33-bit clock, sound and pictures mixed."""
    packer, dts = muxer((VIDEO, PCMA), lead_90k=lead), begin + lead
    wanted, stream = [], b""
    for sound, raw, times, shift, step, starts in made:
        data = raw * times
        dts += step
        unit = data if sound else sample(data)
        stream += packer.pack(int(sound), unit, dts, dts + shift, starts and not sound)
        wanted.append((sound, data, dts, shift, starts and not sound))
    packs = read(stream)
    assert len(packs) == len(wanted)
    for pack, (sound, data, dts, shift, starts) in zip(packs, wanted, strict=True):
        assert pack.scr == (dts - lead) % (1 << 33)
        assert bool(pack.front) == starts
        assert {one.stream_id for one in pack.pes} == {0xC0 if sound else 0xE0}
        joined = b"".join(one.payload for one in pack.pes)
        assert joined == (data if sound else annex_b(*(SPS_264, PPS_264) * starts, data))
        first, *rest = pack.pes
        assert first.pts == (dts + shift) % (1 << 33)
        assert first.dts == (dts % (1 << 33) if shift else None)
        assert all(one.pts is None for one in rest)
        assert all(one.payload for one in pack.pes)


@pytest.mark.parametrize("size", [65_521, 65_522, 65_523, 65_527, 65_528, 131_060, 300_000])
def test_a_unit_that_does_not_fit_goes_in_several_packets(size: int) -> None:
    for shift in (0, 3_600):
        (pack,) = read(muxer((PCMA,)).pack(0, b"x" * size, 90_000, 90_000 + shift, True))
        assert b"".join(pes.payload for pes in pack.pes) == b"x" * size
        room = 65_535 - 3 - (10 if shift else 5)
        assert len(pack.pes[0].payload) == min(size, room), "as full as it can be"
        assert [pes.pts for pes in pack.pes[1:]] == [None] * (len(pack.pes) - 1)
        assert len(pack.pes) == 1 + -(-max(0, size - room) // (65_535 - 3))


def test_sound_that_comes_late_does_not_turn_the_clock_back() -> None:
    made = muxer((VIDEO, PCMA))
    stream = made.pack(0, sample(b"\x65"), 9_000, 9_000, True)
    stream += made.pack(1, b"abc", 8_000, 8_000, False)
    assert [pack.scr for pack in read(stream)] == [9_000, 9_000]
    assert read(stream)[1].pes[0].pts == 8_000


def test_what_is_shown_before_it_is_decoded_has_one_time() -> None:
    (pack,) = read(muxer((VIDEO,)).pack(0, sample(b"\x65"), 9_000, 8_999, True))
    assert (pack.pes[0].pts, pack.pes[0].dts) == (8_999, None)
