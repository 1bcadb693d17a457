"""Payloads of sound, by golden bytes of the standards and by what an encoder made."""

import struct

import pytest

from nvr._native import latm_config
from nvr.media.track import RtpTrack
from nvr.wire import aac, sdp
from tests.media import clip, wire
from tests.media.taker import CONFIG, Taker, demux

ASC = bytes.fromhex("1188")  # AAC-LC, 48 kHz, mono
MUX = bytes.fromhex("40002310 3fc0".replace(" ", ""))  # the example of RFC 6416, 9.2: 48 kHz, mono


def bits(*fields):
    """Bytes of (value, width) fields, the last one filled up with zeros."""
    value = width = 0
    for number, size in fields:
        value, width = value << size | number, width + size
    return (value << -width % 8).to_bytes((width + 7) // 8, "big")


def unpacked(track, packets, end=True, now_step=1800):
    """Samples as (time, duration, bytes) of packets (timestamp, marker, payload)."""
    with Taker(track, sets=()) as taker:
        for seq, (ts, marker, payload) in enumerate(packets, 10):
            taker.now += now_step
            packet = wire.rtp(track.payload_type, seq, ts, marker, payload)
            taker.feed(wire.frame(track.channel, packet))
        if end:
            taker.end()
        config = taker.kind(CONFIG)
        other = taker.session.stats()[6]
        found = demux(taker.mp4(), "audio") if taker.parts else []
    start = found[0][0] if found else 0
    return [(pts - start, duration, data) for pts, _, duration, data in found], config, other


def sound(codec, clock_hz, **more):
    return RtpTrack("audio", codec, clock_hz, 97, 2, more.pop("channels", 1), **more)


AAC = sound("aac", 48_000, config=ASC)
HEAD = struct.pack(">H", 16)


def au(size, index=0):
    return struct.pack(">H", size << 3 | index)


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (sdp.AuHeader(6, 2, 2), bits((16, 16), (3, 6), (0, 2), (4, 6), (0, 2)) + b"abcdefg"),
        (
            sdp.AuHeader(8, 0, 0, 16, 12, True, 4),  # 15 and 43 bits
            bits((58, 16), (3, 8), (0, 1), (0, 1), (1, 1), (5, 4), (4, 8), (1, 1), (77, 16),
                 (1, 1), (9, 12), (0, 1), (3, 4)) + b"abcdefg",
        ),
        (
            sdp.AuHeader(13, 3, 3, auxiliary_bits=8),
            bits((32, 16), (3, 13), (0, 3), (4, 13), (0, 3), (12, 8), (0xABC, 12)) + b"abcdefg",
        ),
    ],
    ids=["AAC-lbr", "all fields", "auxiliary"],
)  # fmt: skip
def test_every_layout_of_access_unit_headers_is_read(header, payload):
    found, _, other = unpacked(sound("aac", 48_000, config=ASC, au=header), [(0, 1, payload)])
    assert (found, other) == ([(0, 1024, b"abc"), (1024, 1024, b"defg")], 0)


def test_access_units_without_headers_are_a_packet_each_or_of_one_size():
    none = sdp.AuHeader(0, 0, 0)
    found, _, _ = unpacked(
        sound("aac", 48_000, config=ASC, au=none),
        [(0, 1, b"one"), (1024, 0, b"tw"), (1024, 1, b"oh")],
    )
    assert [data for _, _, data in found] == [b"one", b"twoh"]
    same = sdp.AuHeader(0, 0, 0, constant_bytes=4)
    found, _, _ = unpacked(sound("aac", 48_000, config=ASC, au=same), [(0, 1, b"abcdefgh")])
    assert found == [(0, 1024, b"abcd"), (1024, 1024, b"efgh")]


def test_interleaved_access_units_say_their_own_time():
    payload = struct.pack(">H", 32) + au(3) + au(4, 2) + b"abcdefg"
    found, _, _ = unpacked(AAC, [(0, 1, payload)])
    assert [(at, data) for at, _, data in found] == [(0, b"abc"), (3072, b"defg")]


def test_a_clock_that_is_not_the_rate_is_borne():
    # Half the rate: HE-AAC announced by its core, frames of 2048 at 48 kHz.
    he = bytes.fromhex("2B098800")
    assert aac.parse(he).frame_samples == 2048
    track = sound("aac", 24_000, config=he)
    found, _, _ = unpacked(track, [(0, 1, HEAD + au(3) + b"abc"), (1024, 1, HEAD + au(3) + b"def")])
    assert [duration for _, duration, _ in found] == [1024, 1024]


# LATM


def test_the_configuration_of_latm_is_found():
    assert latm_config(MUX) == ASC
    assert aac.parse(latm_config(bytes.fromhex("40002510adca00"))).rate_hz == 32_000  # GStreamer's
    # Version 1, with its length told: HE-AAC with SBR signalled first.
    he = bits((5, 5), (6, 4), (1, 4), (3, 4), (2, 5), (0, 3))
    versioned = bits(
        (1, 1), (0, 1), (0, 2), (255, 8), (1, 1), (0, 6), (0, 4), (0, 3), (0, 2), (25, 8),
        (int.from_bytes(he, "big") >> 7, 25), (0, 3), (255, 8), (0, 1), (0, 1),
    )  # fmt: skip
    assert aac.parse(latm_config(versioned)).rate_hz == 48_000
    for refused in (
        b"", b"\x40", b"\xc0" + MUX[1:],
        bits((0, 1), (1, 1), (0, 6), (1, 4), (0, 3), (0x1188, 16), (0, 3), (255, 8), (0, 2)),
        bits((0, 1), (1, 1), (0, 6), (0, 4), (0, 3), (2 << 11 | 3 << 7, 16), (0, 13)),
        bits((0, 1), (1, 1), (0, 6), (0, 4), (0, 3), (23 << 11 | 3 << 7 | 8, 16), (0, 13)),
        bits((0, 1), (1, 1), (0, 6), (0, 4), (0, 3), (0x1188, 16), (1, 3), (255, 9), (0, 2)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="StreamMuxConfig"):
            latm_config(refused)


def length(size):
    return b"\xff" * (size // 255) + bytes((size % 255,))


def test_latm_with_its_configuration_in_the_sdp():
    track = sound("aac", 48_000, config=ASC, latm=True, mux=MUX)
    long = bytes(range(256)) * 2
    whole = length(512) + long
    found, config, other = unpacked(
        track,
        [
            (0, 1, length(3) + b"abc"),
            (1024, 0, whole[:200]),
            (1024, 0, whole[200:400]),
            (1024, 1, whole[400:]),
            (2048, 1, b"\xff\xff\x00short"),
            (3072, 1, length(2) + b"ok"),
        ],
    )
    assert [data for _, _, data in found] == [b"abc", long, b"ok"]
    assert other == 1
    assert config[-1][0][3:] == ASC


def in_band(*units, same=False):
    """An AudioMuxElement that brings its configuration, or says that it is the same."""
    config = [
        (0, 1), (0, 1), (1, 1), (len(units) - 1, 6), (0, 4), (0, 3),
        (int.from_bytes(ASC, "big"), 16), (0, 3), (255, 8), (0, 1), (0, 1),
    ]  # fmt: skip
    payload = [(byte, 8) for unit in units for byte in length(len(unit)) + unit]
    return bits(*([(1, 1)] if same else config), *payload)


def test_latm_with_its_configuration_in_band():
    track = sound("aac", 48_000, config=b"\x11\x90", latm=True)
    found, config, other = unpacked(
        track,
        [
            (0, 1, in_band(b"lost", same=True)),  # nobody knows yet what it is
            (1024, 1, in_band(b"abc")),
            (2048, 1, in_band(b"defg", same=True)),
        ],
    )
    assert [data for _, _, data in found] == [b"abc", b"defg"]
    assert config[-1][0] == b"\0\0\2" + ASC
    assert other == 1


def test_several_frames_in_an_element_and_no_marker_at_all():
    track = sound("aac", 48_000, config=ASC, latm=True)
    element = in_band(b"abc", b"de")
    later = in_band(b"fg", b"hij", same=True)
    found, _, _ = unpacked(
        track, [(0, 0, element[:5]), (0, 0, element[5:]), (2048, 0, later), (4096, 0, later)]
    )
    assert [data for _, _, data in found] == [b"abc", b"de", b"fg", b"hij"]
    assert [at for at, _, _ in found] == [0, 1024, 2048, 3072]


def test_pictures_wait_for_the_sound_s_configuration_but_not_for_ever():
    video = clip.video(frames=75, gop=25)
    track = RtpTrack("audio", "aac", 48_000, 97, 2, 1, config=b"\x11\x90", latm=True)
    for sends in (True, False):
        with Taker(video.track, track) as taker:
            for number, (_, packet) in enumerate(wire.packets(video)):
                taker.now += 3600
                if sends and number == 6:
                    taker.feed(wire.frame(2, wire.rtp(97, 1, 0, 1, in_band(b"abc"))))
                taker.feed(wire.frame(0, packet))
            taker.end()
            config = taker.config()
            first = sum(part[9] for part in taker.parts)
            assert len(taker.kind(CONFIG)) == 1
        if sends:
            assert config[1].config == ASC
            assert first == 50, "the second group is the first that is whole"
        else:
            assert config[1].config == b"\x11\x90"
            assert first >= 24, "not waited for longer than two seconds"


# Opus, G.726, L16


@pytest.mark.parametrize(
    ("head", "samples"),
    [
        ("00", 480), ("08", 960), ("10", 1920), ("18", 2880), ("78", 960), ("e0", 120), ("f8", 960),
        ("f9", 1920), ("fa", 1920), ("fb06", 5760), ("8b14", 4800), ("1b02", 5760),
    ],
)  # fmt: skip
def test_a_packet_of_opus_says_how_long_it_is(head, samples):
    found, _, other = unpacked(sound("opus", 48_000), [(0, 1, bytes.fromhex(head) + b"abcd")])
    assert ([duration for _, duration, _ in found], other) == ([samples], 0)


@pytest.mark.parametrize("head", ["fb07", "1b03", "fb", "fb00"])
def test_an_impossible_packet_of_opus_is_left_out(head):
    found, _, other = unpacked(sound("opus", 48_000), [(0, 1, bytes.fromhex(head))])
    assert (found, other) == ([], 1)


@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_g726_is_kept_with_the_first_sample_in_the_high_bits(width):
    codes = [(n * 7 + n // 3) % (1 << width) for n in range(160)]
    low = sum(code << (n * width) for n, code in enumerate(codes)).to_bytes(20 * width, "little")
    high = bits(*((code, width) for code in codes))
    for order, sent in ((True, low), (False, high)):
        track = sound("g726", 8_000, config=bytes((width,)), order=order)
        found, _, _ = unpacked(track, [(0, 0, sent), (160, 0, sent)])
        assert found == [(0, 160, high), (160, 160, high)]


def test_a_packet_of_g726_that_ends_within_a_group_is_kept_as_far_as_it_goes():
    # 13 codes of three bits in five bytes, one bit over.
    codes = [*range(8), 1, 2, 3, 4, 5]
    sent = sum(code << (n * 3) for n, code in enumerate(codes)).to_bytes(5, "little")
    track = sound("g726", 8_000, config=b"\3", order=True)
    found, _, _ = unpacked(track, [(0, 0, sent)])
    assert found == [
        (0, 13, bits(*((code, 3) for code in codes[:8]), *((c, 3) for c in codes[8:])))
    ]


def test_l16_counts_samples_of_all_channels():
    found, _, _ = unpacked(sound("l16", 16_000, channels=2), [(0, 0, bytes(640))])
    assert [duration for _, duration, _ in found] == [160]
