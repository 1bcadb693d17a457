import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.rtp import H264Packetizer, SoundPacketizer, interleave

nals = st.lists(st.binary(min_size=1, max_size=900), min_size=1, max_size=6)


def depacketise(packets: list[bytes]) -> list[bytes]:
    """RFC 6184 read from the receiver's side, strictly."""
    out: list[bytes] = []
    open_unit: bytearray | None = None
    for packet in packets:
        payload = packet[12:]
        kind = payload[0] & 31
        if kind != 28:
            assert open_unit is None
            out.append(payload)
            continue
        indicator, header = payload[0], payload[1]
        assert len(payload) > 2
        assert not header & 0x20
        if header & 0x80:
            assert open_unit is None
            assert not header & 0x40, "a fragment is never alone"
            open_unit = bytearray([indicator & 0xE0 | header & 0x1F])
        assert open_unit is not None
        assert open_unit[0] == indicator & 0xE0 | header & 0x1F
        open_unit += payload[2:]
        if header & 0x40:
            out.append(bytes(open_unit))
            open_unit = None
    assert open_unit is None
    return out


@given(nals, st.integers(15, 1500), st.integers(0, 65535), st.integers(0, 2**40))
def test_what_is_cut_can_be_put_together(
    units: list[bytes], packet_bytes: int, sequence: int, timestamp: int
) -> None:
    # Types 24-31 are packets, not NAL units: no encoder makes them.
    units = [bytes([u[0] & 0xE0 | u[0] % 23 + 1]) + u[1:] for u in units]
    sender = H264Packetizer(96, 0xDEADBEEF, sequence, packet_bytes)
    packets = sender.packets(units, timestamp)
    assert depacketise(packets) == units
    for i, packet in enumerate(packets):
        assert len(packet) <= packet_bytes
        first, second, number, time, ssrc = struct.unpack(">BBHII", packet[:12])
        assert first == 0x80
        assert second & 0x7F == 96
        assert bool(second & 0x80) == (i == len(packets) - 1)
        assert number == (sequence + i) % 65536
        assert time == timestamp % 2**32
        assert ssrc == 0xDEADBEEF
    following = sender.packets([b"\x41"], timestamp + 1)[0]
    assert struct.unpack(">H", following[2:4])[0] == (sequence + len(packets)) % 65536


def test_sound_goes_as_it_is_and_without_a_marker() -> None:
    extension = struct.pack(">HHI", 0xABAC, 1, 7)
    (packet,) = SoundPacketizer(8, 5, 9).packets([b"sound"], 320, extension)
    assert packet == struct.pack(">BBHII", 0x90, 8, 9, 320, 5) + extension + b"sound"


def test_a_sender_report_ties_wall_time_to_the_stream() -> None:
    sender = H264Packetizer(97, 7)
    sent = sender.packets([b"\x65" + bytes(3000)], 90_000)
    report = sender.sender_report(1_500_000, 90_000)
    head, kind, words, ssrc, seconds, fraction, time, packets, octets = struct.unpack(
        ">BBHIIIIII", report
    )
    assert (head, kind, words, ssrc) == (0x80, 200, len(report) // 4 - 1, 7)
    assert seconds == 2_208_988_801
    assert fraction == 1 << 31
    assert time == 90_000
    assert packets == len(sent)
    assert octets == sum(len(packet) - 12 for packet in sent)


@given(st.integers(0, 255), st.binary(max_size=2000))
def test_interleaving_frames_the_packet(channel: int, packet: bytes) -> None:
    framed = interleave(channel, packet)
    assert framed == b"$" + bytes([channel]) + struct.pack(">H", len(packet)) + packet


@pytest.mark.parametrize(
    ("payload_type", "ssrc", "sequence", "packet_bytes"),
    [
        (-1, 0, 0, 1400),
        (128, 0, 0, 1400),
        (96, 2**32, 0, 1400),
        (96, 0, 65536, 1400),
        (96, 0, 0, 14),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    payload_type: int, ssrc: int, sequence: int, packet_bytes: int
) -> None:
    with pytest.raises(ValueError, match="o"):
        H264Packetizer(payload_type, ssrc, sequence, packet_bytes)


def test_a_packet_too_long_to_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        interleave(0, bytes(65536))
    with pytest.raises(ValueError, match="range"):
        interleave(256, b"")
    with pytest.raises(ValueError, match="empty"):
        H264Packetizer(96, 1).packets([b""], 0)


def test_an_extension_is_in_the_first_packet_only_and_costs_the_others_nothing() -> None:
    extension = struct.pack(">HHI", 0xABAC, 1, 7)
    plain = H264Packetizer(96, 1, 5).packets([b"\x65" + bytes(3000)], 90)
    first, *rest = H264Packetizer(96, 1, 5).packets([b"\x65" + bytes(3000)], 90, extension)
    assert rest == plain[1:]
    assert first == bytes((plain[0][0] | 0x10,)) + plain[0][1:12] + extension + plain[0][12:]
