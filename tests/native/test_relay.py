"""The relay against real sockets: what a reader gets, and what it loses when it is slow."""

import contextlib
import os
import socket
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr._native import Relay

VIDEO = (90_000, 96, 0, 0x11111111, 65_530, 4_000_000_000, True)
AUDIO = (8_000, 8, 2, 0x22222222, 7, 1000, False)


def rtp(sequence, timestamp, body=b"x", *, ssrc=9, marker=True, payload_type=33):
    head = struct.pack(
        ">BBHII", 0x80, marker << 7 | payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
    )
    return head + body


def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


def read_all(sock):
    data = b""
    while True:
        try:
            piece = sock.recv(1 << 20)
        except BlockingIOError:
            return data
        if not piece:
            return data
        data += piece


def split(data):
    """Interleaved frames as (channel, payload); a message counts as channel -1."""
    frames = []
    while data:
        if data[:1] == b"$":
            channel, size = struct.unpack(">BH", data[1:4])
            assert len(data) >= 4 + size, "half a frame"
            frames.append((channel, data[4 : 4 + size]))
            data = data[4 + size :]
        else:
            message, end, data = data.partition(b"\r\n\r\n")
            assert end
            frames.append((-1, message))
    return frames


def media(frames, channel=0):
    """(sequence, timestamp, ssrc, payload type, body) of the RTP packets on a channel."""
    return [
        (*struct.unpack(">HII", f[2:12]), f[1] & 0x7F, f[12:]) for c, f in frames if c == channel
    ]


@pytest.fixture
def sockets():
    pairs = []

    def make():
        pairs.append(pair())
        return pairs[-1]

    yield make
    for a, b in pairs:
        a.close()
        b.close()


def test_a_packet_comes_out_in_our_own_session(sockets):
    ours, theirs = sockets()
    relay = Relay([VIDEO])
    reader = relay.add(ours.fileno(), b"RTSP/1.0 200 OK\r\n\r\n")
    reader.play()
    relay.packet(0, rtp(40_000, 77, b"first"), True)
    relay.packet(0, rtp(40_001, 77 + 3600, b"second"), False)
    relay.flush()
    frames = split(read_all(theirs))
    assert frames[0] == (-1, b"RTSP/1.0 200 OK")
    first, second = media(frames)
    assert first[0] == 65_530
    assert second[0] == 65_531
    assert second[1] - first[1] == 3600
    assert (first[2], first[3], first[4]) == (0x11111111, 96, b"first")


@pytest.mark.parametrize(("ssrc", "timestamp"), [(77, 123_456_789), (9, 500)])
def test_sequence_and_time_go_on_over_a_reconnect(sockets, ssrc, timestamp):
    ours, theirs = sockets()
    relay = Relay([VIDEO])
    reader = relay.add(ours.fileno())
    reader.play()
    relay.packet(0, rtp(10, 500), True)
    relay.flush()
    time.sleep(0.2)
    relay.restart()
    relay.packet(0, rtp(9, timestamp, b"delta", ssrc=ssrc), False)
    relay.packet(0, rtp(10, timestamp + 3600, b"key", ssrc=ssrc), True)
    relay.flush()
    first, second = media(split(read_all(theirs)))
    assert second[4] == b"key"
    assert second[0] == (first[0] + 2) & 0xFFFF
    passed_90k = (second[1] - first[1]) & 0xFFFFFFFF
    assert 0.2 * 90_000 <= passed_90k - 3600 < 2 * 90_000
    assert second[2] == first[2]


def test_a_camera_that_jumps_in_time_or_changes_its_source_does_not_move_ours(sockets):
    ours, theirs = sockets()
    relay = Relay([VIDEO])
    reader = relay.add(ours.fileno())
    reader.play()
    relay.packet(0, rtp(1, 0), True)
    relay.packet(0, rtp(2, 90_000 * 3600), True)
    relay.packet(0, rtp(1000, 5, ssrc=8), True)
    relay.flush()
    packets = media(split(read_all(theirs)))
    assert [(p[0] - packets[0][0]) & 0xFFFF for p in packets] == [0, 1, 2]
    assert all((p[1] - packets[0][1]) & 0xFFFFFFFF < 90_000 for p in packets)


def test_a_lost_packet_stays_lost_and_a_late_one_keeps_its_place(sockets):
    ours, theirs = sockets()
    relay = Relay([VIDEO])
    reader = relay.add(ours.fileno())
    reader.play()
    for sequence in (5, 8, 7):
        relay.packet(0, rtp(sequence, 0), sequence == 5)
    relay.flush()
    first, late_by_two, late = media(split(read_all(theirs)))
    assert (late_by_two[0] - first[0]) & 0xFFFF == 3
    assert (late[0] - first[0]) & 0xFFFF == 2


def test_a_reader_begins_with_a_key_frame_and_a_report_of_every_track(sockets):
    ours, theirs = sockets()
    relay = Relay([VIDEO, AUDIO])
    reader = relay.add(ours.fileno())
    reader.play()
    relay.packet(0, rtp(1, 0, b"delta"), False)
    relay.packet(1, rtp(1, 0, b"sound"), False)
    relay.flush()
    assert read_all(theirs) == b""
    relay.packet(0, rtp(2, 3600, b"end of delta"), False)
    relay.packet(0, rtp(3, 7200, b"delimiter"), False)
    relay.packet(0, rtp(4, 7200, b"sets"), True)
    relay.packet(0, rtp(5, 7200, b"key"), False)
    relay.packet(1, rtp(2, 160, b"sound 2"), False)
    relay.flush()
    frames = split(read_all(theirs))
    assert [c for c, _ in frames[:5]] == [1, 3, 0, 0, 2]
    assert [p[4] for p in media(frames)] == [b"sets", b"key"]
    for channel, ssrc, clock_hz in ((1, VIDEO[3], 90_000), (3, AUDIO[3], 8000)):
        report = next(f for c, f in frames if c == channel)
        kind, sender, seconds, fraction, stamp = struct.unpack(">xBxxIIII", report[:20])
        assert (kind, sender) == (200, ssrc)
        assert abs(seconds - 2_208_988_800 + fraction / 2**32 - time.time()) < 5
        sent = media(frames, channel - 1)[0][1]
        assert abs(((stamp - sent + 2**31) & 0xFFFFFFFF) - 2**31) < clock_hz
        assert report[29] == 202  # SDES follows, as RFC 3550 6.1 demands


def test_the_camera_s_own_relation_between_sound_and_picture_is_kept(sockets):
    ours, theirs = sockets()
    relay = Relay([VIDEO, AUDIO], report_s=0.0)
    reader = relay.add(ours.fileno())
    reader.play()
    relay.packet(0, rtp(1, 90_000), True)
    relay.packet(1, rtp(1, 8_000), False)  # arrives with the picture, but was 0.5 s earlier
    relay.sync(0, 90_000, 1000 << 32)
    relay.sync(1, 8_000, (999 << 32) + (1 << 31))
    relay.flush()
    frames = split(read_all(theirs))
    ntp_of = {}
    for channel, clock_hz in ((1, 90_000), (3, 8000)):
        report = [f for c, f in frames if c == channel][-1]
        seconds, fraction, stamp = struct.unpack(">III", report[8:20])
        sent = media(frames, channel - 1)[0][1]
        behind = ((stamp - sent + 2**31) & 0xFFFFFFFF) - 2**31
        ntp_of[channel] = seconds + fraction / 2**32 - behind / clock_hz
    assert ntp_of[1] - ntp_of[3] == pytest.approx(0.5, abs=0.05)


def test_a_variant_leaves_tracks_out(sockets):
    ours, theirs = sockets()
    relay = Relay([(*VIDEO[:2], -1, *VIDEO[3:]), (*AUDIO[:2], 0, *AUDIO[3:])])
    reader = relay.add(ours.fileno())
    reader.play()
    relay.packet(0, rtp(1, 0, b"picture"), True)
    relay.packet(1, rtp(1, 0, b"sound"), False)
    relay.flush()
    assert [p[4] for p in media(split(read_all(theirs)))] == [b"sound"]


def gop(relay, start, *, frames=5, packets=4, size=1200):
    """One group of pictures of known shape; the body says which frame and packet it is."""
    for frame in range(frames):
        for packet in range(packets):
            body = struct.pack(">IIB", start + frame, packet, packet == packets - 1)
            relay.packet(
                0,
                rtp(
                    (start + frame) * packets + packet,
                    (start + frame) * 3600,
                    body.ljust(size, b"."),
                    marker=packet == packets - 1,
                ),
                frame == 0,
            )
            if packet % 3 == 2:
                relay.flush()  # a tick may end in mid-picture
    relay.flush()


def pictures(frames):
    seen = {}
    for *_, body in media(frames):
        number, packet, _last = struct.unpack(">IIB", body[:9])
        seen.setdefault(number, []).append(packet)
    return seen


def test_a_slow_reader_loses_whole_groups_and_the_fast_one_nothing(sockets):
    slow_ours, slow_theirs = sockets()
    fast_ours, fast_theirs = sockets()
    slow_ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    relay = Relay([VIDEO], backlog_bytes=30_000)
    slow, fast = relay.add(slow_ours.fileno()), relay.add(fast_ours.fileno())
    slow.play()
    fast.play()
    slow_data = fast_data = b""
    for number in range(12):
        gop(relay, number * 5)
        fast_data += read_all(fast_theirs)
        if number % 4 == 3:
            for _ in range(50):
                slow_data += read_all(slow_theirs)
                relay.flush()
    assert pictures(split(fast_data)) == {n: [0, 1, 2, 3] for n in range(60)}
    assert fast.stats()[4] == 0
    got = pictures(split(slow_data))
    assert 0 < len(got) < 60
    assert all(packets == [0, 1, 2, 3] for packets in got.values()), "half a picture"
    for number in got:
        assert number % 5 == 0 or number - 1 in got, "went on inside a group"
    state, end, sent, dropped, drops, backlog = slow.stats()
    assert (end, backlog) == ("", 0)
    assert state in {"waiting", "playing"}
    assert sent == len(slow_data)
    assert drops >= 2
    assert dropped > 0


def test_a_reader_that_takes_nothing_is_given_up(sockets):
    ours, _theirs = sockets()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    relay = Relay([VIDEO], stuck_s=0.05)
    reader = relay.add(ours.fileno())
    reader.play()
    gop(relay, 0, frames=20)
    assert reader.stats()[0] == "playing"
    time.sleep(0.06)
    relay.pump()
    assert reader.stats()[:2] == ("closed", "stuck")
    assert relay.readers() == 0
    assert not reader.send(b"too late\r\n\r\n")


def test_an_old_backlog_counts_like_a_large_one(sockets):
    ours, theirs = sockets()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    relay = Relay([VIDEO], backlog_s=0.05)
    reader = relay.add(ours.fileno())
    reader.play()
    gop(relay, 0, frames=20)
    time.sleep(0.06)
    relay.flush()
    assert reader.stats()[0] == "waiting"
    assert reader.stats()[4] == 1
    data = b""
    for _ in range(20):
        data += read_all(theirs)
        relay.pump()
    assert all(p == [0, 1, 2, 3] for p in pictures(split(data)).values())


def test_a_peer_that_closed_ends_its_reader_only(sockets):
    ours, theirs = sockets()
    other_ours, other_theirs = sockets()
    relay = Relay([VIDEO])
    gone, there = relay.add(ours.fileno()), relay.add(other_ours.fileno())
    gone.play()
    there.play()
    theirs.close()
    gop(relay, 0)
    assert gone.stats()[:2] == ("closed", "socket")
    assert pictures(split(read_all(other_theirs))) == {n: [0, 1, 2, 3] for n in range(5)}
    there.close()
    assert relay.readers() == 0


def test_messages_go_between_frames_even_when_pictures_wait(sockets):
    ours, theirs = sockets()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    relay = Relay([VIDEO])
    reader = relay.add(ours.fileno())
    reader.play()
    gop(relay, 0, frames=10)
    assert reader.send(b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n")
    reader.pause()
    data = b""
    for _ in range(30):
        data += read_all(theirs)
        relay.pump()
    frames = split(data)
    assert frames[-1] == (-1, b"RTSP/1.0 200 OK\r\nCSeq: 9")
    assert all(p == [0, 1, 2, 3] for p in pictures(frames).values())
    assert len(pictures(frames)) < 10, "pause cut the rest"


def test_a_flood_of_requests_cannot_fill_memory(sockets):
    ours, _theirs = sockets()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    relay = Relay([VIDEO])
    reader = relay.add(ours.fileno())
    for _ in range(1000):
        if not reader.send(b"x" * 1000):
            break
    assert reader.stats()[:2] == ("closed", "text")


def test_a_pulled_reader_follows_the_same_rules():
    wake = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        relay = Relay([VIDEO], backlog_bytes=30_000, notify_fd=wake)
        reader = relay.add(-1, b"RTSP/1.0 200 OK\r\n\r\n")
        reader.play()
        assert reader.pull(1 << 20) == b"RTSP/1.0 200 OK\r\n\r\n"
        gop(relay, 0)
        assert os.eventfd_read(wake) > 0
        data = reader.pull(2000)
        assert len(data) == 2000
        gop(relay, 5)
        while piece := reader.pull(1000):
            data += piece
        got = pictures(split(data))
        assert got[0] == [0, 1, 2, 3]
        assert all(p == [0, 1, 2, 3] for p in got.values())
        assert reader.stats()[4] >= 1
    finally:
        os.close(wake)


def test_what_is_no_packet_is_refused():
    relay = Relay([VIDEO])
    for track, data in (
        (0, b""),
        (0, bytes(12)),
        (1, rtp(1, 1)),
        (-1, rtp(1, 1)),
        (0, bytes(70_000)),
    ):
        with pytest.raises(ValueError, match="not an RTP packet"):
            relay.packet(track, data, True)
    with pytest.raises(ValueError, match="1 to 8 tracks"):
        Relay([])
    with pytest.raises(ValueError, match="payload type"):
        Relay([(90_000, 128, 0, 1, 1, 1, True)])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("packet"), st.integers(0, 2), st.binary(max_size=40), st.booleans()),
            st.tuples(st.sampled_from(["flush", "restart", "pump", "pause", "play", "read"])),
            st.tuples(st.just("send"), st.binary(max_size=0)),
        ),
        max_size=60,
    )
)
def test_no_order_of_calls_sends_anything_but_whole_frames(steps):
    ours, theirs = pair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        relay = Relay([VIDEO, AUDIO], backlog_bytes=200)
        reader = relay.add(ours.fileno())
        reader.play()
        data = b""
        for step in steps:
            match step:
                case ("packet", track, body, key):
                    if track < 2:
                        packet = rtp(int.from_bytes(body[:2]), int.from_bytes(body[:4]), body * 40)
                        relay.packet(track, packet, key)
                case ("read",):
                    data += read_all(theirs)
                case ("pause",) | ("play",):
                    getattr(reader, step[0])()
                case ("send", _):
                    reader.send(b"OK\r\n\r\n")
                case (name,):
                    getattr(relay, name)()
        for _ in range(20):
            data += read_all(theirs)
            relay.pump()
        split(data)


def test_channels_go_to_sockets_of_their_own_and_others_nowhere():
    first, second = (socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (*first, *second):
        sock.setblocking(False)
    relay = Relay([VIDEO, AUDIO])
    stream, far = socket.socketpair()
    with stream, far:
        reader = relay.add(stream.fileno())
        with pytest.raises(ValueError, match="not a channel"):
            reader.route(0, first[0].fileno())  # a stream has no packets to route
    reader = relay.add(first[0].fileno())
    for channel in (-1, 16, 255):
        with pytest.raises(ValueError, match="not a channel"):
            reader.route(channel, first[0].fileno())
    with pytest.raises(ValueError, match="not a channel"):
        reader.route(1, 9999)
    reader.route(0, first[0].fileno())
    reader.route(1, second[0].fileno())
    with pytest.raises(ValueError, match="not a channel"):
        reader.route(1, second[0].fileno())
    reader.play()
    gop(relay, 1000)
    relay.packet(1, rtp(5, 1000, payload_type=8), False)
    relay.flush()
    taken = []
    with contextlib.suppress(BlockingIOError):
        while True:
            taken.append(first[1].recv(65536))
    assert len(taken) >= 20
    assert {packet[1] & 127 for packet in taken} == {96}, "sound was not routed"
    report = second[1].recv(65536)
    assert report[1] == 200
    assert reader.stats()[0] == "playing"
    for sock in (*first, *second):
        sock.close()
