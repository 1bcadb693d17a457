"""Datagrams over real sockets: order, loss, strangers, reports, what the kernel says."""

import contextlib
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media import clip, wire
from tests.media.taker import PART, Taker

HOME = socket.inet_aton("127.0.0.1")
MADE = clip.video(frames=20, gop=10, width=320, height=240)
PACKETS = [packet for _, packet in wire.packets(MADE, room=200)]
STATS = {"packets": 1, "lost": 2, "damaged": 3, "frames": 4, "other": 6, "reordered": 11}
MORE = {"restored": -6, "foreign": -5, "overrun": -4, "jitter_us": -3}


def bound(host="127.0.0.1"):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock


class Line:
    """A camera's sockets and ours, and a session that reads ours."""

    def __init__(self, senders=(HOME,), report=None):
        self.rtp, self.rtcp, self.ours, self.our_rtcp = (bound() for _ in range(4))
        self.pair = socket.socketpair()
        fds = self.ours.fileno(), self.our_rtcp.fileno()
        punch = (HOME, self.rtp.getsockname()[1])
        ports = ((0, *fds, senders, punch, report),)
        self.taker = Taker(MADE.track, fd=self.pair[0].fileno(), ports=ports)

    def send(self, *packets, sock=None):
        for packet in packets:
            (sock or self.rtp).sendto(packet, self.ours.getsockname())

    def tick(self, ms=40):
        self.taker.now += 90 * ms
        self.taker.tick()

    def stat(self, name):
        return self.taker.session.stats()[{**STATS, **MORE}[name]]

    def close(self):
        self.taker.close()
        for sock in (self.rtp, self.rtcp, self.ours, self.our_rtcp, *self.pair):
            sock.close()


@contextlib.contextmanager
def line(**options):
    made = Line(**options)
    try:
        yield made
    finally:
        made.close()


def content(taker):
    """What the parts hold, but for when it came."""
    return [(bytes(part[1]), part[4], part[9], part[10]) for part in taker.parts]


def whole():
    """The parts of the clip as they should be, fed in order."""
    with Taker(MADE.track) as taker:
        for packet in PACKETS:
            taker.feed(wire.frame(0, packet))
        taker.end()
        return content(taker)


WHOLE = whole()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_packets_out_of_order_and_doubled_make_the_same_recording(data):
    reach = data.draw(st.integers(1, 40))
    moves = data.draw(st.lists(st.integers(0, reach), min_size=200, max_size=200))
    order = sorted(range(1, len(PACKETS)), key=lambda i: (i + moves[i % 200], i))
    doubled = data.draw(st.sets(st.integers(0, len(PACKETS) - 1), max_size=20))
    each = data.draw(st.integers(1, 60))
    with line() as wire_:
        sent = [PACKETS[0], *(PACKETS[i] for i in order)]
        sent = [p for i, p in enumerate(sent) for p in ([p, p] if i in doubled else [p])]
        for at in range(0, len(sent), each):
            wire_.send(*sent[at : at + each])
            wire_.tick(ms=1)  # nothing is given up meanwhile
        wire_.taker.end()
        assert content(wire_.taker) == WHOLE
        assert (wire_.stat("lost"), wire_.stat("damaged"), wire_.stat("reordered")) == (0, 0, 0)
        assert wire_.stat("packets") == len(PACKETS)
        assert (wire_.stat("restored") > 0) == (order != sorted(order))


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, len(PACKETS) - 2), min_size=1, max_size=12))
def test_what_is_lost_is_counted_and_marks_its_picture(gone):
    with line() as wire_:
        for i, packet in enumerate(PACKETS):
            if i not in gone:
                wire_.send(packet)
        wire_.tick(ms=1)
        wire_.tick(ms=300)
        wire_.taker.end()
        assert wire_.stat("lost") == len(gone)
        assert 1 <= wire_.stat("damaged") <= 2 * len(gone)
        assert sum(part[10] for part in wire_.taker.parts) == wire_.stat("damaged")


def test_a_gap_is_waited_for_and_then_given_up():
    with line() as wire_:
        wire_.send(*PACKETS[:5], *PACKETS[6:9])
        wire_.tick(ms=20)
        assert wire_.stat("packets") == 5
        wire_.tick(ms=1)
        assert wire_.stat("packets") == 5
        wire_.tick(ms=100)
        assert (wire_.stat("packets"), wire_.stat("lost")) == (8, 1)
        wire_.send(PACKETS[5])
        wire_.tick()
        assert (wire_.stat("packets"), wire_.stat("reordered")) == (8, 1)
        # It came late, so the next one is waited for twice as long.
        wire_.send(*PACKETS[9:12], *PACKETS[13:15])
        wire_.tick(ms=1)
        wire_.tick(ms=60)
        assert wire_.stat("packets") == 11
        wire_.tick(ms=60)
        assert wire_.stat("packets") == 13


def test_strangers_are_counted_and_not_heard():
    other = bound("127.0.0.2")
    with line() as wire_, contextlib.closing(other):
        wire_.send(*PACKETS[:3])
        wire_.send(*PACKETS[3:6], sock=other)
        wire_.tick()
        assert (wire_.stat("packets"), wire_.stat("foreign")) == (3, 3)
    with line(senders=(HOME, socket.inet_aton("127.0.0.2"))) as wire_:
        other = bound("127.0.0.2")
        with contextlib.closing(other):
            wire_.send(*PACKETS[:3], sock=other)
            wire_.tick()
            assert (wire_.stat("packets"), wire_.stat("foreign")) == (3, 0)


def test_another_port_of_the_camera_is_believed_once_the_first_is_silent():
    other = bound()
    with line() as wire_, contextlib.closing(other):
        wire_.send(*PACKETS[:3])
        wire_.send(PACKETS[3], sock=other)
        wire_.tick()
        assert (wire_.stat("packets"), wire_.stat("foreign")) == (3, 1)
        wire_.tick(ms=1500)
        wire_.send(*PACKETS[3:6], sock=other)
        wire_.tick()
        assert wire_.stat("packets") == 6


def test_noise_and_packets_of_another_type_change_nothing():
    with line() as wire_:
        wire_.send(b"", b"x", b"\xff" * 40, wire.rtp(101, 5, 5, False, b"other"), *PACKETS[:2])
        wire_.tick()
        assert (wire_.stat("packets"), wire_.stat("other")) == (2, 4)


def test_a_datagram_longer_than_usual_is_read_from_the_second_on():
    with line() as wire_:
        seq = int.from_bytes(PACKETS[0][2:4], "big")
        long = [
            wire.rtp(MADE.track.payload_type, seq + n, 9, False, b"\x0c" * 9000) for n in range(3)
        ]
        wire_.send(long[0])
        wire_.tick()
        wire_.send(*long[1:])
        wire_.tick()
        assert wire_.stat("packets") == 2


def test_reports_go_back_with_loss_jitter_and_the_time_of_the_last_sender_report():
    with line() as wire_:
        ntp = (0xE5000000 << 32) | 0x12345678
        wire_.rtcp.sendto(wire.report(ntp, 0), wire_.our_rtcp.getsockname())
        wire_.send(*PACKETS[:4], *PACKETS[5:8])
        wire_.tick()
        wire_.tick(ms=300)
        wire_.rtcp.settimeout(2)
        wire_.tick(ms=1000)
        told = wire_.rtcp.recv(2048)
        kind, _, _, ssrc, lost, highest, jitter, last, since = struct.unpack(
            ">HHIIIIIII", told[:32]
        )
        assert (kind, ssrc) == (0x81C9, 7)
        assert (lost & 0xFFFFFF, lost >> 24) == (1, 256 // 8)
        assert highest == int.from_bytes(PACKETS[7][2:4], "big")
        assert last == (ntp >> 16) & 0xFFFFFFFF
        assert since == pytest.approx(1.3 * 65536, rel=0.05)
        assert jitter < 90_000
        assert told[32:34] == b"\x81\xca", "RFC 3550 6.1: a name goes with it"


def test_the_way_through_a_firewall_is_kept_open():
    with line() as wire_:
        wire_.send(PACKETS[0])
        wire_.tick()
        wire_.rtp.setblocking(False)
        with pytest.raises(BlockingIOError):
            wire_.rtp.recv(99)
        wire_.tick(ms=21_000)
        assert wire_.rtp.recv(99) == b"\x80" + bytes(11)


def test_what_the_kernel_drops_is_counted():
    with line() as wire_:
        wire_.ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        wire_.send(*PACKETS[:60])
        wire_.tick()
        wire_.send(PACKETS[60])  # the count comes with the next one
        wire_.tick()
        assert wire_.stat("overrun") > 20
        assert wire_.stat("packets") + wire_.stat("overrun") <= 61


def test_parts_are_cut_while_datagrams_come():
    with line() as wire_:
        for at in range(0, len(PACKETS), 20):
            wire_.send(*PACKETS[at : at + 20])
            wire_.taker.now += 90 * 400
            wire_.taker.tick(cut=True)
        assert len(wire_.taker.kind(PART)) >= 2
