"""Live pictures to platforms of GB/T 28181, over real sockets and a real ingest thread."""

import asyncio
import contextlib
import itertools

import pytest

from nvr.base.clock import SystemClock
from nvr.serve.gb28181.media import Limits, MediaDesk
from nvr.serve.gb28181.ports import Refused
from tests.media import clip, wire
from tests.media.test_ingest import running, until
from tests.ports import free_port
from tests.serve.platform import WAYS, Platform

HERE = "127.0.0.1"
FRAMES, GOP = 100, 25


def yes(span):
    return True


def no(span):
    return False


class Camera:
    """A clip that goes on and on in real time."""

    def __init__(self, ingest, made):
        self.made = made
        self.stream = ingest.stream("gate/main")
        self.run = self.stream.open_run([made.track])
        self._frames = {}
        for pts, packet in wire.packets(made, seq=0):
            self._frames.setdefault(pts, []).append(packet)

    async def play(self):
        seq = 0
        for turn in itertools.count():
            for pts, packets in self._frames.items():
                data = b""
                for packet in packets:
                    head = bytearray(packet[:12])
                    head[2:4] = (seq & 0xFFFF).to_bytes(2, "big")
                    stamp = (pts + turn * FRAMES * 3_600) & 0xFFFFFFFF
                    head[4:8] = stamp.to_bytes(4, "big")
                    data += wire.frame(0, bytes(head) + packet[12:])
                    seq += 1
                self.run.feed(data)
                await asyncio.sleep(0.04)


@contextlib.asynccontextmanager
async def desk(made=None, **limits):
    made = made or clip.video(frames=FRAMES, gop=GOP)
    first = free_port()
    chosen = Limits(first_port=first, last_port=first + 21, **limits)
    async with running([]) as ingest:
        camera = Camera(ingest, made)
        playing = asyncio.create_task(camera.play())
        await until(lambda: camera.stream.config is not None, 60)

        def find(name, sub):
            return camera.stream if name == "gate" and not sub else None

        yield MediaDesk(find, None, SystemClock(), chosen), camera
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
        await camera.run.close()


@contextlib.asynccontextmanager
async def called(media, way="passive", allowed=yes, ssrc=200_000_001):
    platform = Platform(way, ssrc)
    await platform.listen()
    session = await media.open("gate", False, platform.offer(), HERE, HERE, allowed)
    platform.ends = []
    session.on_end = platform.ends.append
    answer = session.answer()
    session.start()
    await platform.answered(answer)
    try:
        yield platform, session
    finally:
        session.close()
        session.close()
        platform.hang_up()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_live_pictures_come_whole_and_in_time(way, codec):
    async with desk(clip.video(codec, frames=FRAMES, gop=GOP)) as (media, camera):
        await until(lambda: camera.run.stats().frames > 10, 60)
        async with called(media, way) as (platform, _):
            await until(lambda: len(platform.pictures()) > 40, 60)
            times = platform.shown()
        assert len(times) > 38
        assert {b - a for a, b in itertools.pairwise(times)} == {3_600}
        assert platform.packs[0].front, "it begins with a key frame"
        early = sum(at < platform.came_s[0] + 0.2 for at in platform.came_s)
        assert early > 8, "and with the group of pictures so far"
    assert media.sessions == 0


async def test_two_platforms_share_what_is_made_and_have_their_own_ssrc():
    async with desk() as (media, camera):
        async with called(media, ssrc=1) as (one, _), called(media, "udp", ssrc=None) as (two, _):
            await until(lambda: len(one.pictures()) > 20 and len(two.pictures()) > 20, 60)
            assert len(camera.stream.relays) == 1
            assert two.ssrc not in {None, 1}
            a, b = dict(one.pictures()), dict(two.pictures())
            both = a.keys() & b.keys()
            assert len(both) > 10
            assert all(a[at] == b[at] for at in both)
        await until(lambda: not camera.stream.relays, 60)


async def test_a_right_that_ends_ends_the_session():
    may = True
    asked = []

    def allowed(span):
        asked.append(span)
        return may

    async with desk() as (media, _), called(media, allowed=allowed) as (platform, session):
        await until(lambda: platform.packets, 60)
        may = False
        await until(lambda: platform.ends, 60)
        assert platform.ends == ["denied"]
        await until(lambda: platform.lost, 60)
        assert media.sessions == 0
        assert set(asked) == {None}
        with pytest.raises(Refused):
            session.control("TEARDOWN RTSP/1.0\r\n")


async def test_a_platform_that_hangs_up_is_noticed():
    async with desk() as (media, camera):
        async with called(media) as (platform, _):
            await until(lambda: platform.packets, 60)
            platform.hang_up()
            await until(lambda: platform.ends, 60)
            assert platform.ends == ["lost"]
        await until(lambda: not camera.stream.relays, 60)


async def test_a_platform_that_does_not_listen_is_tried_three_times():
    async with desk() as (media, _):
        platform = Platform("passive")
        await platform.listen()
        offer = platform.offer()
        platform.hang_up()
        session = await media.open("gate", False, offer, HERE, HERE, yes)
        ends = []
        session.on_end = ends.append
        began = asyncio.get_running_loop().time()
        session.start()
        await until(lambda: ends, 60)
        assert ends == ["lost"]
        assert asyncio.get_running_loop().time() - began >= 2.0
        assert media.sessions == 0


async def test_what_was_closed_before_it_began_sends_nothing():
    async with desk() as (media, _):
        platform = Platform("active")
        await platform.listen()
        session = await media.open("gate", False, platform.offer(), HERE, HERE, yes)
        ends = []
        session.on_end = ends.append
        session.close()
        session.start()
        await asyncio.sleep(0.05)
        assert (ends, media.sessions) == ([], 0)


async def test_what_cannot_be_sent_is_refused():
    async with desk(sessions=1) as (media, _):
        platform = Platform("udp")
        await platform.listen()
        offer = platform.offer()

        async def status(name="gate", sub=False, allowed=yes, offer=offer):
            with pytest.raises(Refused) as refused:
                await media.open(name, sub, offer, HERE, HERE, allowed)
            assert refused.value.reason.isascii()
            return refused.value.status

        assert await status("yard") == 480
        assert await status(sub=True) == 480
        assert await status(allowed=no) == 403
        assert await status(offer=platform.offer("Talk")) == 488
        bare = platform.offer(more="").__class__(session="Play", host=HERE, port=0)
        assert await status(offer=bare) == 488
        other = bare.__class__(session="Play", host=HERE, port=9, maps=((96, "H264/90000"),))
        assert await status(offer=other) == 488
        session = await media.open("gate", False, offer, HERE, HERE, yes)
        assert await status() == 486
        session.close()
        (await media.open("gate", False, offer, HERE, HERE, yes)).close()
        assert media.sessions == 0
        platform.hang_up()


async def test_ports_run_out_and_come_back():
    async with desk() as (media, _):
        platform = Platform("active")
        await platform.listen()
        opened, status = [], 0
        while not status:
            assert len(opened) <= 11
            try:
                opened.append(await media.open("gate", False, platform.offer(), HERE, HERE, yes))
            except Refused as refused:
                status = refused.status
        assert status == 486
        assert opened
        for session in opened:
            session.close()
        assert media.sessions == 0
        again = await media.open("gate", False, platform.offer(), HERE, HERE, yes)
        again.close()


async def test_live_pictures_are_not_steered():
    async with desk() as (media, _), called(media) as (platform, session):
        await until(lambda: platform.packets, 60)
        with pytest.raises(Refused):
            session.control("PAUSE RTSP/1.0\r\nCSeq: 1\r\n")
        with pytest.raises(Refused):
            session.control("nonsense")
        assert session.control("TEARDOWN RTSP/1.0\r\nCSeq: 1\r\n").startswith("RTSP/1.0 200")
        await until(lambda: platform.ends, 60)
        assert platform.ends == ["teardown"]


async def test_new_codecs_go_on_in_the_same_session():
    async with desk() as (media, camera), called(media) as (platform, _):
        await until(lambda: len(platform.pictures()) > 5, 60)
        before = len(platform.packets)
        other = clip.video(frames=FRAMES, gop=GOP, width=320, height=192)
        camera.run = camera.stream.open_run([other.track])
        camera._frames = {}
        second = Camera.__new__(Camera)
        second.made, second.stream, second.run = other, camera.stream, camera.run
        second._frames = {}
        for pts, packet in wire.packets(other, seq=0):
            second._frames.setdefault(pts, []).append(packet)
        playing = asyncio.create_task(second.play())
        await until(lambda: camera.stream.config == (other.config,), 60)
        await asyncio.sleep(2.5)
        playing.cancel()
        assert platform.ends == []
        late = [packet for packet in platform.packets[before:] if b"\0\0\1\xbc" in packet]
        assert late, "a map came with the new pictures"
