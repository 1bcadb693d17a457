import asyncio
import contextlib
import itertools
import socket
import time

import pytest

from nvr._native import Relay
from nvr.base.clock import SystemClock
from nvr.base.errors import Damaged, Rejected, Unavailable
from nvr.media.datagram import Datagrams
from nvr.media.ingest import Ingest
from nvr.wire import fmp4
from tests.media import clip, wire
from tests.media.taker import Taker, decode


@contextlib.asynccontextmanager
async def running(parts):
    ingest = Ingest(parts.extend, SystemClock())
    task = asyncio.create_task(ingest.run())
    try:
        yield ingest
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(scope="module")
def made():
    return clip.video(frames=50, gop=25)


@pytest.fixture
def pair():
    camera, ours = socket.socketpair()
    ours.setblocking(False)
    with camera:
        yield camera, ours
    ours.close()


def by_frame(made):
    frames = {}
    for pts, packet in wire.packets(made):
        frames.setdefault(pts, bytearray()).extend(wire.frame(0, packet))
    return list(frames.values())


def mp4(parts):
    return fmp4.init_segment(parts[0].config) + b"".join(
        part.moof + bytes(part.mdat) for part in parts
    )


async def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.01)


async def test_a_socket_becomes_parts(made, pair):
    camera, ours = pair
    parts = []
    async with running(parts) as ingest:
        stream = ingest.stream("gate/main")
        run = stream.open_run([made.track], ours)
        before_us = time.time() * 1e6
        for data in by_frame(made):
            camera.sendall(data)
            await asyncio.sleep(0.005)
        await until(lambda: run.stats().frames == 50)
        await run.close()
        assert stream.config == parts[0].config == (made.config,)
    assert len(decode(mp4(parts))) == 50
    assert {part.run for part in parts} == {1}
    assert parts[0].key
    assert abs(parts[0].wall_us - before_us) < 1e6
    assert all(a.start_90k + a.duration_90k == b.start_90k for a, b in itertools.pairwise(parts))
    assert ours.fileno() == -1


async def test_messages_pass_both_ways(made, pair):
    camera, ours = pair
    async with running([]) as ingest:
        run = ingest.stream("gate/main").open_run([made.track], ours, first=b"RTSP/1.0 200 O")
        camera.sendall(b"K\r\nCSeq: 1\r\n\r\n" + by_frame(made)[0])
        assert await run.message() == b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
        run.send(b"OPTIONS rtsp://gate RTSP/1.0\r\n\r\n")
        await asyncio.sleep(0.05)
        assert camera.recv(1000, socket.MSG_DONTWAIT) == b"OPTIONS rtsp://gate RTSP/1.0\r\n\r\n"
        camera.shutdown(socket.SHUT_WR)
        with pytest.raises(Unavailable, match=r"camera\.lost"):
            await run.message()
        await run.close()


async def test_garbage_is_damage(made, pair):
    camera, ours = pair
    async with running([]) as ingest:
        run = ingest.stream("gate/main").open_run([made.track], ours)
        camera.sendall(b"\0\1\2")
        with pytest.raises(Damaged, match=r"camera\.garbage"):
            await run.message()


async def test_a_stalled_event_loop_does_not_stop_parts(made, pair):
    camera, ours = pair
    parts = []
    async with running(parts) as ingest:
        ingest.stream("gate/main").open_run([made.track], ours)
        await asyncio.sleep(0.05)
        frames = by_frame(made)
        for data in frames[:30]:
            camera.sendall(data)
        end = time.monotonic() + 2
        while not parts and time.monotonic() < end:
            time.sleep(0.01)  # noqa: ASYNC251 - the loop is to stand still here
        assert parts


async def test_a_viewer_gets_the_group_so_far_and_then_every_picture(made, pair):
    camera, ours = pair
    parts, got = [], []
    async with running(parts) as ingest:
        stream = ingest.stream("gate/main")
        run = stream.open_run([made.track], ours)
        frames = by_frame(made)
        for data in frames[:40]:
            camera.sendall(data)
            await asyncio.sleep(0.02)
        await until(lambda: run.stats().frames == 40)
        stop = stream.watch(lambda config, fragments: got.append((config, fragments)))
        await until(lambda: got)
        for data in frames[40:]:
            camera.sendall(data)
            await asyncio.sleep(0.02)
        await until(lambda: sum(len(f) for _, f in got) >= 11)
        stop()
        assert len(parts) >= 2
    fragments = [fragment for _, several in got for fragment in several]
    assert fragments[0].key
    assert [fragment.track for fragment in fragments[-10:]] == [0] * 10
    data = fmp4.init_segment(got[0][0]) + b"".join(fragment.data for fragment in fragments)
    assert len(decode(data)) == 25


async def test_a_viewer_of_a_stream_without_a_camera_gets_it_when_it_comes(made, pair):
    camera, ours = pair
    got = []
    async with running([]) as ingest:
        stream = ingest.stream("gate/main")
        stream.watch(lambda _, fragments: got.extend(fragments))
        await asyncio.sleep(0.05)
        stream.open_run([made.track], ours)
        for data in by_frame(made)[:5]:
            camera.sendall(data)
        await until(lambda: len(got) == 5)
    assert [fragment.key for fragment in got] == [True, False, False, False, False]


async def test_runs_follow_each_other_on_one_time_line(made):
    parts = []
    async with running(parts) as ingest:
        stream = ingest.stream("gate/main")
        for _ in range(3):
            run = stream.open_run([made.track])
            run.feed(b"".join(bytes(data) for data in by_frame(made)))
            await until(lambda run=run: run.stats().frames == 50)
            await run.close()
    assert sorted({part.run for part in parts}) == [1, 2, 3]
    spans = [(part.start_90k, part.start_90k + part.duration_90k) for part in parts]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


async def test_prompt_mode_reads_when_there_is_something(made, pair):
    camera, ours = pair
    got = []
    async with running([]) as ingest:
        ingest.set_tick(0)
        stream = ingest.stream("gate/main")
        stream.watch(lambda _, fragments: got.extend(fragments))
        stream.open_run([made.track], ours)
        late_s = []
        for number, data in enumerate(by_frame(made)):
            sent_s = time.monotonic()
            camera.sendall(data)
            await until(lambda number=number: len(got) > number)
            late_s.append(got[-1].arrived_s - sent_s)
    assert sorted(late_s)[25] < 0.01


def test_prompt_readers_get_whole_pictures_and_the_sound_between_them(made, pair):
    camera, ours = pair
    sound = clip.RtpTrack("audio", "pcma", 8_000, 8, 2, channels=1)
    one, two = (wire.frame(2, wire.rtp(8, n, n * 160, True, b"x" * 160)) for n in (1, 2))
    key, half = by_frame(made)[0], len(wire.frame(0, wire.packets(made)[0][1]))
    relay = Relay([(90_000, 96, 0, 1, 0, 0, True), (8_000, 8, 2, 2, 0, 0, False)])
    reader = relay.add(-1)
    reader.play()

    def channels_after(data):
        """What a reader gets of `data` if the thread wakes for it but no tick comes."""
        camera.sendall(data)
        now_s = time.monotonic()
        taker.engine.wait(now_s, now_s + 0.005, 0, now_s + 1)
        return channels()

    def channels():
        found, data = set(), reader.pull(1 << 20)
        while data:
            found.add(data[1])
            data = data[4 + int.from_bytes(data[2:4], "big") :]
        return found - {1, 3}

    assert len(wire.packets(made)) > 50, "no picture comes in more than one packet"
    with Taker(made.track, sound, fd=ours.fileno()) as taker:
        taker.session.set_relays((relay,), False)
        taker.engine.prompt(taker.session, True)
        assert channels_after(key[:half]) == set()
        assert channels_after(key[half:]) == {0}
        assert channels_after(one) == set()
        assert channels_after(by_frame(made)[1]) == {0, 2}
        assert channels_after(two) == set()
        time.sleep(0.04)
        taker.tick()
        assert channels() == {2}, "sound waited for a picture that did not come"
        taker.session.set_relays((), False)


async def test_closing_everything_delivers_what_was_complete(made, pair):
    camera, ours = pair
    parts = []
    async with running(parts) as ingest:
        run = ingest.stream("gate/main").open_run([made.track], ours)
        camera.sendall(b"".join(by_frame(made)[:10]))
        await until(lambda: run.stats().frames == 10)
    assert sum(part.samples for part in parts) == 10


async def test_a_track_that_cannot_be_taken_is_left_out(made):
    sound = clip.RtpTrack("audio", "aac", 48_000, 97, 2, channels=2, config=b"\xff")
    async with running([]) as ingest:
        stream = ingest.stream("gate/main")
        run = stream.open_run([sound, made.track])
        run.feed(b"".join(bytes(data) for data in by_frame(made)))
        await until(lambda: stream.config is not None)
        assert [track.codec for track in stream.config] == ["h264"]
        with pytest.raises(Damaged, match=r"camera\.unsupported"):
            stream.open_run([sound])


async def test_a_relay_gets_each_packet_over_two_runs(made):
    relay = Relay([(90_000, 96, 0, 1, 0, 0, True)])
    reader = relay.add(-1)
    reader.play()
    async with running([]) as ingest:
        stream = ingest.stream("gate/main")
        stream.add_relay(relay)
        heard = b""
        for run_number in (1, 2):
            run = stream.open_run([made.track])
            run.feed(b"".join(bytes(data) for data in by_frame(made)))
            await until(lambda run=run: run.stats().frames == 50)
            while data := reader.pull(1 << 16):
                heard += data
            assert heard.count(b"$\0") >= len(wire.packets(made)) * run_number
        stream.remove_relay(relay)
        for _ in range(4):
            stream.add_relay(relay)
        with pytest.raises(Rejected, match=r"relay\.too_many"):
            stream.add_relay(relay)
    sequences, at = [], 0
    while at < len(heard):
        size = int.from_bytes(heard[at + 2 : at + 4], "big")
        if heard[at + 1] == 0:
            sequences.append(int.from_bytes(heard[at + 6 : at + 8], "big"))
        at += 4 + size
    assert sequences == [n & 0xFFFF for n in range(sequences[0], sequences[0] + len(sequences))]
    assert len(sequences) == 2 * len(wire.packets(made))


async def test_a_camera_slow_to_read_gets_whole_requests_in_order(made, pair):
    camera, ours = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    async with running([]) as ingest:
        run = ingest.stream("gate/main").open_run([made.track], ours)
        requests = [
            b"SET_PARAMETER * RTSP/1.0\r\nX: %d\r\n\r\n" % n + bytes(5000) for n in range(40)
        ]
        for request in requests:
            run.send(request)
        want, heard = b"".join(requests), b""
        camera.setblocking(False)
        loop = asyncio.get_running_loop()
        while len(heard) < len(want):
            heard += await asyncio.wait_for(loop.sock_recv(camera, 3000), 5)
        assert heard == want
        for _ in range(100):
            run.send(bytes(5000))
        with pytest.raises(Unavailable, match="takes no requests"):
            await run.message()


async def test_bytes_fed_faster_than_they_can_be_taken_end_the_run(made):
    async with running([]) as ingest:
        run = ingest.stream("gate/main").open_run([made.track])
        for _ in range(9):
            run.feed(bytes(1 << 20))
        with pytest.raises(Unavailable, match=r"ingest\.behind"):
            await run.message()


async def test_a_new_run_ends_the_one_before(made, pair):
    camera, ours = pair
    parts = []
    async with running(parts) as ingest:
        stream = ingest.stream("gate/main")
        run = stream.open_run([made.track], ours)
        camera.sendall(b"".join(by_frame(made)[:10]))
        await until(lambda: run.stats().frames == 10)
        stream.open_run([made.track])
        with pytest.raises(Unavailable, match="closed"):
            await run.message()
        assert sum(part.samples for part in parts) == 10
        assert camera.recv(1) == b""


@pytest.mark.parametrize(("size", "tick_s"), [(4096, 0.02), (4 << 20, 0.1)])
async def test_a_small_buffer_for_datagrams_is_read_more_often(made, pair, size, tick_s):
    _, ours = pair
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    if size > 4096 and udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < size:
        udp.close()
        pytest.skip("net.core.rmem_max is small here")
    async with running([]) as ingest:
        ways = {made.track.channel: Datagrams(udp, None, ("127.0.0.1",))}
        run = ingest.stream("gate/main").open_run([made.track], ours, datagrams=ways)
        await until(lambda: ingest._runs)
        assert ingest._current_tick_s() == tick_s
        await run.close()
        assert ingest._current_tick_s() == 0.1
        assert udp.fileno() == -1, "the run closes what it was given"
