import struct

from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.ntp import HEADER_BYTES, Standing, answer, stamp

NOW_US = 1_796_083_200_250_000  # 2026-12-01T00:00:00.25Z
BATTERY = Standing(10, 0, NOW_US)
SENT = bytes.fromhex("eeb8830080000000")


def question(first: int, poll: int = 6) -> bytes:
    return bytes([first, 0, poll, 0xEC]) + bytes(36) + SENT


def test_a_client_of_version_4_is_told_the_time() -> None:
    told = answer(question(0x23), NOW_US, NOW_US + 500_000, Standing(4, 1500, NOW_US - 250_000))
    assert told is not None
    assert told.hex(" ", 4) == (
        "240406ec 00000000 00018000 7f7f0101 "  # no leap, version 4, server; off by 1.5 s at most
        "eeb88c80 00000000 eeb88300 80000000 "  # last set; what the client sent
        "eeb88c80 40000000 eeb88c80 c0000000"  # received, sent
    )


def test_version_1_had_no_modes() -> None:
    told = answer(question(0x08), NOW_US, NOW_US, BATTERY)
    assert told is not None
    assert told[0] == 0x08


def test_a_clock_that_was_never_set_is_offered_to_nobody() -> None:
    told = answer(question(0x1B), NOW_US, NOW_US, Standing(0, 0, 0))
    assert told is not None
    assert (told[0], told[1], told[12:16], told[16:24]) == (0xDC, 0, b"INIT", bytes(8))


def test_uncertainty_that_does_not_fit_is_the_largest_that_does() -> None:
    told = answer(question(0x23), NOW_US, NOW_US, Standing(4, 0xFFFF_FFFF, NOW_US))
    assert told is not None
    assert told[8:12] == b"\xff\xff\xff\xff"


def test_other_servers_peers_and_monitors_are_not_answered() -> None:
    """Two servers that answer each other's answers never stop."""
    for mode in (0, 1, 2, 4, 5, 6, 7):
        assert answer(question(0x20 | mode), NOW_US, NOW_US, BATTERY) is None
    for version in (0, 5, 6, 7):
        assert answer(question(version << 3 | 3), NOW_US, NOW_US, BATTERY) is None


def test_the_era_that_begins_in_2036() -> None:
    assert stamp(2_085_978_496 * 1_000_000) == 0
    assert stamp(2_085_978_496 * 1_000_000 - 1) >> 32 == 0xFFFF_FFFF


@given(st.binary(max_size=200))
def test_no_datagram_does_harm_and_none_is_answered_by_more(datagram: bytes) -> None:
    told = answer(datagram, NOW_US, NOW_US, BATTERY)
    if len(datagram) < HEADER_BYTES:
        assert told is None
    assert told is None or len(told) == HEADER_BYTES <= len(datagram)


@given(st.integers(0, 2**41), st.integers(0, 999_999))
def test_stamps_keep_microseconds(seconds: int, rest_us: int) -> None:
    whole, fraction = struct.unpack("!II", struct.pack("!Q", stamp(seconds * 1_000_000 + rest_us)))
    assert whole == (seconds + 2_208_988_800) % 2**32
    assert abs(fraction * 1_000_000 / 2**32 - rest_us) < 1
