"""Program streams over a relay: RTP behind its length, or as datagrams, to many readers."""

import contextlib
import itertools
import socket
import struct
import time

import pytest

from nvr._native import Relay
from nvr.media.track import TrackConfig
from nvr.wire import h264
from nvr.wire.mpegps import muxer
from tests.native.test_relay import read_all
from tests.wire.test_mpegps import PCMA, PPS_264, SPS_264, read, sample

VIDEO = TrackConfig("video", "h264", 90_000, h264.avcc([SPS_264, PPS_264]), 640, 360)
TRACK = (90_000, 96, 0, 0x11111111, 65_530, 4_294_967_290, True)
SOUND = (*TRACK[:-1], False)
ROOM = 1400


def relay(config=(VIDEO, PCMA), track=TRACK, **limits):
    return Relay([track], program=muxer(config), **limits)


class Pairs:
    """Socket pairs and readers, kept until the test is over: a reader forgotten is closed."""

    def __init__(self):
        self.kept = []

    def __call__(self, kind=socket.SOCK_STREAM):
        pair = socket.socketpair(socket.AF_UNIX, kind)
        for one in pair:
            one.setblocking(False)
        self.kept += pair
        return pair

    def join(self, sent, sock, ssrc=-1):
        reader = sent.add(sock.fileno(), b"", ssrc)
        reader.play()
        self.kept.append(reader)
        return reader


@pytest.fixture
def pairs():
    made = Pairs()
    yield made
    for one in made.kept:
        one.close()


def framed(data):
    """RTP packets behind two bytes of length; all whole."""
    packets = []
    while data:
        size = int.from_bytes(data[:2], "big")
        assert len(data) >= 2 + size, "half a packet"
        packets.append(data[2 : 2 + size])
        data = data[2 + size :]
    return packets


def datagrams(sock):
    packets = []
    while True:
        try:
            packets.append(sock.recv(65_536))
        except BlockingIOError:
            return packets


def fields(packet):
    first, second, sequence, timestamp, ssrc = struct.unpack(">BBHII", packet[:12])
    assert (first, second & 0x7F) == (0x80, 96)
    assert len(packet) <= 12 + ROOM
    return second >> 7, sequence, timestamp, ssrc, packet[12:]


def units(packets):
    """Packs, each of the packets of one time that end with a marker: (timestamp, bytes)."""
    found, data, before = [], b"", None
    for packet in packets:
        marker, sequence, timestamp, _, body = fields(packet)
        assert before is None or sequence == (before + 1) & 0xFFFF
        before = sequence
        data += body
        if marker:
            found.append((timestamp, data))
            data = b""
    assert not data, "the last unit has no marker"
    return found


def key(size=10, byte=b"k"):
    return sample(b"\x65" + byte * size)


def delta(size=10, byte=b"d"):
    return sample(b"\x41" + byte * size)


def test_a_unit_is_packets_of_one_time_with_a_marker_at_the_end(pairs):
    ours, theirs = pairs()
    sent = relay()
    pairs.join(sent, ours, 0x0BEBC201)
    sent.unit(0, key(5_000), 90_000, 90_000, True)
    sent.unit(1, b"\xd5" * 160, 90_000, 90_000, False)
    sent.unit(0, delta(20), 93_600, 97_200, False)
    sent.flush()
    packets = framed(read_all(theirs))
    assert {fields(one)[3] for one in packets} == {0x0BEBC201}
    assert fields(packets[0])[1:3] == (65_530, 4_294_967_290)
    found = units(packets)
    first = found[0][0]
    assert [(at - first) & 0xFFFFFFFF for at, _ in found] == [0, 1, 3_600]
    packs = read(b"".join(data for _, data in found))
    assert [pack.pes[0].stream_id for pack in packs] == [0xE0, 0xC0, 0xE0]
    assert packs[0].front
    assert packs[0].pes[0].payload.endswith(b"\0\0\0\1\x65" + b"k" * 5_000)
    assert [(pack.pes[0].pts, pack.pes[0].dts) for pack in packs] == [
        (90_000, None), (90_000, None), (97_200, 93_600),
    ]  # fmt: skip
    assert {len(one) for one in packets[:3]} == {12 + ROOM}, "as few packets as it takes"


def test_a_reader_has_the_group_from_its_key_frame_at_once(pairs):
    sent = relay()
    early, late = pairs(), pairs()
    sent.unit(0, delta(), 0, 0, False)
    sent.unit(0, key(byte=b"1"), 3_600, 3_600, True)
    sent.flush()
    pairs.join(sent, early[0])
    assert len(units(framed(read_all(early[1])))) == 1
    sent.unit(0, delta(byte=b"2"), 7_200, 7_200, False)
    sent.flush()
    sent.unit(0, delta(byte=b"3"), 10_800, 10_800, False)
    pairs.join(sent, late[0])
    sent.flush()
    payloads = [
        pack.pes[0].payload[-1:]
        for _, data in units(framed(read_all(late[1])))
        for pack in read(data)
    ]
    assert payloads == [b"1", b"2", b"3"]
    sent.unit(0, key(byte=b"4"), 14_400, 14_400, True)
    sent.flush()
    last = pairs()
    pairs.join(sent, last[0])
    assert len(units(framed(read_all(last[1])))) == 1, "the group before is forgotten"


def test_a_group_too_long_to_keep_is_not_begun_with(pairs):
    ours, theirs = pairs()
    sent = relay(backlog_bytes=8_000)
    sent.unit(0, key(3_000), 0, 0, True)
    sent.flush()
    sent.unit(0, delta(3_000), 3_600, 3_600, False)
    sent.flush()
    pairs.join(sent, ours)
    sent.unit(0, delta(), 7_200, 7_200, False)
    sent.flush()
    assert read_all(theirs) == b""
    sent.unit(0, key(), 10_800, 10_800, True)
    sent.flush()
    assert len(units(framed(read_all(theirs)))) == 1


def test_a_new_run_begins_with_a_key_frame_and_time_goes_on(pairs):
    ours, theirs = pairs()
    sent = relay()
    pairs.join(sent, ours)
    sent.unit(0, key(), 0, 0, True)
    sent.restart()
    sent.unit(0, delta(), 90_000, 90_000, False)
    sent.unit(0, key(), 93_600, 93_600, True)
    sent.flush()
    packets = framed(read_all(theirs))
    assert [fields(one)[2] - fields(packets[0])[2] & 0xFFFFFFFF for one in packets] == [0, 93_600]


def test_every_reader_has_its_own_ssrc_however_its_socket_takes_it(pairs):
    """A stream socket that takes a few bytes at a time, cut anywhere."""
    sent = relay(backlog_bytes=64 << 20)
    made = []
    for ssrc in (1, 0xFFFFFFFF, -1):
        ours, theirs = pairs()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
        made.append((ssrc, theirs, pairs.join(sent, ours, ssrc)))
    for n in range(20):
        sent.unit(
            0, key(9_001 + n) if n % 5 == 0 else delta(3_333 + n), n * 3_600, n * 3_600, n % 5 == 0
        )
        sent.flush()
    data = {ssrc: b"" for ssrc, _, _ in made}
    deadline = time.monotonic() + 60
    while any(reader.stats()[5] for _, _, reader in made) and time.monotonic() < deadline:
        for n, (ssrc, theirs, _) in enumerate(made):
            with contextlib.suppress(BlockingIOError):
                data[ssrc] += theirs.recv(997 + n)
        sent.pump()
    for ssrc, theirs, _ in made:
        data[ssrc] += read_all(theirs)
    wanted = units(framed(data[-1]))
    assert len(wanted) == 20
    for ssrc in (1, 0xFFFFFFFF):
        packets = framed(data[ssrc])
        assert {fields(one)[3] for one in packets} == {ssrc}
        assert units(packets) == wanted


def test_a_slow_reader_loses_whole_groups(pairs):
    ours, theirs = pairs()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
    sent = relay(backlog_bytes=60_000)
    reader = pairs.join(sent, ours, 7)
    got = b""
    for n in range(60):
        sent.unit(0, key(5_000) if n % 10 == 0 else delta(2_000), n * 3_600, n * 3_600, n % 10 == 0)
        sent.flush()
        if n > 40:
            got += read_all(theirs)
    deadline = time.monotonic() + 60
    while reader.stats()[5] and time.monotonic() < deadline:
        got += read_all(theirs)
        sent.pump()
    got += read_all(theirs)
    assert reader.stats()[4] >= 1, "it was cut"
    data, at, begun = b"", None, []
    for packet in framed(got):
        marker, _, timestamp, _, body = fields(packet)
        assert at in {None, timestamp}, "half a unit"
        data, at = data + body, timestamp
        if marker:
            (pack,) = read(data)
            begun.append((pack.pes[0].pts // 3_600, bool(pack.front)))
            data, at = b"", None
    jumps = [(a, b) for a, b in itertools.pairwise(begun) if b[0] != a[0] + 1]
    assert jumps
    assert all(b[1] for _, b in jumps), "after a hole comes a key frame"


def test_datagrams_are_whole_packets_no_faster_than_the_peak(pairs):
    ours, theirs = pairs(socket.SOCK_DGRAM)
    sent = relay(peak_bytes_s=2_000_000.0, backlog_bytes=8 << 20)
    reader = pairs.join(sent, ours, 9)
    size = 100_000
    sent.unit(0, key(size), 0, 0, True)
    began = time.monotonic()
    sent.flush()
    packets = datagrams(theirs)
    assert 0 < len(packets) * ROOM < 30_000, "a key frame does not go in one burst"
    while reader.stats()[5]:
        assert time.monotonic() - began < 60
        sent.pump()
        packets += datagrams(theirs)
    took = time.monotonic() - began
    packets += datagrams(theirs)
    assert took > (size - 30_000) / 2_000_000
    ((_, data),) = units(packets)
    assert sum(len(pes.payload) for pes in read(data)[0].pes) > size
    assert {fields(one)[3] for one in packets} == {9}


def test_nobody_listening_is_not_the_end_at_once(pairs):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
            theirs.bind(("127.0.0.1", 0))
            ours.connect(theirs.getsockname())
        sent = relay(stuck_s=0.3)
        reader = sent.add(ours.fileno())
        reader.play()
        sent.unit(0, key(), 0, 0, True)
        sent.flush()
        assert reader.stats()[0] == "playing"
        began, n = time.monotonic(), 0
        while reader.stats()[0] == "playing":
            assert time.monotonic() - began < 60
            n += 1
            sent.unit(0, delta(), n * 3_600, n * 3_600, False)
            sent.flush()
            time.sleep(0.02)
        assert reader.stats()[:2] == ("closed", "socket")
        assert time.monotonic() - began > 0.25


def test_sound_alone_says_now_and_then_what_it_is(pairs):
    ours, theirs = pairs()
    sent = relay((PCMA,), SOUND)
    pairs.join(sent, ours)
    for n in range(120):
        sent.unit(0, b"\xd5" * 160, n * 1_800, n * 1_800, False)
    sent.flush()
    fronts = [bool(read(data)[0].front) for _, data in units(framed(read_all(theirs)))]
    assert [n for n, front in enumerate(fronts) if front] == [0, 50, 100]


def test_packets_have_no_place_in_it(pairs):
    ours, theirs = pairs()
    sent = relay()
    pairs.join(sent, ours)
    sent.packet(0, b"\x80\x60" + bytes(20), True)
    sent.sync(0, 5, 6)
    sent.flush()
    assert read_all(theirs) == b""
    with pytest.raises(TypeError, match="PsMuxer"):
        Relay([TRACK], program=3)
    with pytest.raises(ValueError, match="one track"):
        Relay([TRACK, TRACK], program=muxer((VIDEO,)))
