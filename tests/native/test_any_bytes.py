"""A session bears any bytes, however they come."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media import clip, wire
from tests.media.taker import CLOSED, MESSAGE, Taker, decode, sample_bytes

MADE = clip.video(frames=20, gop=10)
PACKETS = [packet for _, packet in wire.packets(MADE, together=True, room=500)]
MESSAGE_BYTES = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 4\r\n\r\n$\0\0\0"
STREAM = b"".join(
    wire.frame(0, packet) + (MESSAGE_BYTES if n % 7 == 3 else b"")
    for n, packet in enumerate(PACKETS)
)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_split_anywhere_it_is_the_same(steps):
    with Taker(MADE.track) as taker:
        at, n = 0, 0
        while at < len(STREAM):
            step = steps[n % len(steps)]
            taker.feed(STREAM[at : at + step])
            at, n = at + step, n + 1
        taker.end()
        assert taker.session.stats()[4] == 20
        messages = [message for (message,) in taker.kind(MESSAGE)]
        assert messages == [MESSAGE_BYTES] * len(range(3, len(PACKETS), 7))


@given(st.integers(0, len(STREAM)))
@settings(max_examples=50, deadline=None)
def test_cut_off_anywhere_what_is_whole_comes_out(end):
    with Taker(MADE.track) as taker:
        taker.feed(STREAM[:end])
        taker.end()
        frames = taker.session.stats()[4]
        assert sum(part[9] for part in taker.parts) == frames
        if frames:
            assert len(decode(taker.mp4())) == frames
        assert taker.kind(CLOSED) == [(0,)]


@given(st.lists(st.integers(0, len(PACKETS) - 1), max_size=200), st.booleans())
@settings(max_examples=100, deadline=None)
def test_packets_in_any_order_with_any_of_them_missing(order, watched):
    with Taker(MADE.track) as taker:
        taker.session.watch(watched)
        for n, index in enumerate(order):
            taker.now += 3600
            taker.feed(wire.frame(0, PACKETS[index]))
            taker.tick(cut=n % 10 == 0)
        taker.end()
        spans = [(part[3], part[4]) for part in taker.parts]
        assert all(start + long <= after for (start, long), (after, _) in itertools.pairwise(spans))
        assert all(len(part[1]) == 8 + sample_bytes(part[0]) for part in taker.parts)


@given(st.binary(max_size=400), st.integers(0, len(PACKETS)))
@settings(max_examples=200, deadline=None)
def test_noise_is_borne(noise, before):
    with Taker(MADE.track) as taker:
        for packet in PACKETS[:before]:
            taker.feed(wire.frame(0, packet))
        taker.feed(noise)
        for packet in PACKETS[before:]:
            taker.feed(wire.frame(0, packet))
        taker.end()
        assert len(taker.kind(CLOSED)) == 1


@given(st.lists(st.binary(max_size=60), max_size=20), st.sampled_from(["h264", "h265"]))
@settings(max_examples=200, deadline=None)
def test_any_payload_is_borne(payloads, codec):
    track = clip.RtpTrack("video", codec, 90_000, 96, 0, parameter_sets=MADE.track.parameter_sets)
    with Taker(track) as taker:
        for seq, payload in enumerate(payloads):
            taker.feed(wire.frame(0, wire.rtp(96, seq, seq // 2 * 3600, seq % 2 > 0, payload)))
        taker.end()
        assert len(taker.kind(CLOSED)) == 1
