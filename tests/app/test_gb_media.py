"""Pictures of a box over GB/T 28181: a minute of archive by every way, and pictures to order.

The minute lies in the ring before the box starts; every picture of it is another one.
"""

import asyncio
import contextlib
import hashlib
import io
import random
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp
import av
import pytest
import pytest_asyncio
from aiohttp import web

from nvr.base.clock import SystemClock
from nvr.hal.linux_disk import LinuxDisk
from nvr.media.fragment import pieces, samples
from nvr.media.track import TrackConfig
from nvr.record.recover import open_store
from nvr.record.writer import Committer
from nvr.wire.nal import nals
from nvr.wire.sip import Response, tag_of
from tests.app.box import RunningBox, running_box
from tests.app.gb import channel, registered, state
from tests.app.hls_player import Player
from tests.ports import free_port
from tests.record import synthetic
from tests.serve.gb_platform import SERVER, Platform
from tests.serve.platform import DEVICE as GATE
from tests.serve.platform import Platform as Media
from tests.serve.replayer import replayer

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOME = "34020000001320000002"
CAMERA = '[[camera]]\nname = "gate"\nurl = "rtsp://127.0.0.1:{}/away"\n'
LONG_S, FRAME = 60, synthetic.FRAME_90K
FRAMES = LONG_S * synthetic.FPS
CONFIG = (
    TrackConfig("video", "h264", 90_000, b"", 160, 120),
    TrackConfig("audio", "aac", 16_000, b"", channels=1),
)


def fill(directory: Path, begin_us: int) -> None:
    """Record a minute of the camera ``gate``."""
    directory.mkdir(parents=True)
    store = open_store(
        LinuxDisk(directory), SystemClock(), random.Random(1), size_bytes=256 << 20,
        block_bytes=4 << 20,
    )  # fmt: skip
    committer = Committer(store)
    parts = synthetic.camera(
        "gate/main", wall_us=begin_us, with_audio=True, width=160, height=120, seconds=LONG_S
    )
    recorded = 0
    while recorded < FRAMES:
        part = next(parts)
        recorded += part.samples
        committer.submit([part])
        assert committer.commit()
        store.ring.keep()
    assert recorded == FRAMES
    store.disk.close()


def told(unit: Iterable[bytes]) -> str:
    """Hash of an access unit, without the parameter sets, which come in other ways as well."""
    return hashlib.sha256(b"|".join(one for one in unit if one[0] & 31 not in {7, 8})).hexdigest()


def units(body: bytes) -> tuple[list[str], list[str]]:
    """Hashes of the pictures and of the sound of ``moof mdat``."""
    every = [one for piece in pieces(body) for one in samples(piece, CONFIG)]
    sound = [hashlib.sha256(one.data).hexdigest() for one in every if one.track == 1]
    return [told(nals(one.data)) for one in every if one.track == 0], sound


def sounds(media: Media) -> list[str]:
    """Hashes of the AAC of a program stream, without its ADTS heads."""
    data = b"".join(
        pes.payload for pack in media.packs for pes in pack.pes if pes.stream_id == 0xC0
    )
    found = []
    while data:
        size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        found.append(hashlib.sha256(data[7:size]).hexdigest())
        data = data[size:]
    return found


def shown(media: Media) -> list[str]:
    """Hashes of the pictures so far, in the order they came."""
    return [told(unit.split(b"\0\0\0\1")[1:]) for _, unit in media.pictures()]


@dataclass
class Call:
    """A stream that the platform asked for."""

    platform: Platform
    media: Media
    id: str
    answer: Response

    async def ask(self, method: str, body: str = "", content: str = "") -> Response:
        tag = tag_of(self.answer.get("To"))
        self.platform.ask(method, body, content, to=GATE, call_id=self.id, tag=tag)
        number = self.platform.number

        def found() -> list[Response]:
            return [one for one in self.platform.answers if one.cseq == (number, method)]

        if method == "ACK":
            return self.answer
        await self.platform.until(found)
        return found()[0]

    async def steer(self, method: str, *headers: str) -> str:
        """Steer it; returns the answer's body."""
        body = "\r\n".join([f"{method} RTSP/1.0", "CSeq: 3", *headers, "", ""])
        answer = await self.ask("INFO", body, "Application/MANSRTSP")
        assert answer.status == 200
        assert "CSeq: 3" in answer.body.decode()
        return answer.body.decode()

    async def ends(self) -> None:
        """Wait for ``MediaStatus`` 121, in this dialog, and for what is still on its way."""
        (body,) = await self.platform.told("MediaStatus")
        assert (body.kind, body.device, body.said("NotifyType")) == ("Notify", GATE, "121")
        assert self.platform.calls[self.platform.bodies.index(body)] == self.id

    async def comes(self, most: int) -> None:
        async with asyncio.timeout(60):
            while not (self.packs() >= most and len(self.media.pictures()) >= most):
                await asyncio.sleep(0.05)

    def packs(self) -> int:
        """Packs so far, of pictures and sound; to take them apart costs time."""
        return sum(packet[1] >> 7 for packet in self.media.packets)


class Site:
    """A box with a minute in its archive."""

    def __init__(self, box: RunningBox, begin_us: int) -> None:
        self.box, self.begin_us = box, begin_us
        self.pictures, self.sound = list[str](), list[str]()

    @property
    def span(self) -> str:
        return f"from_us={self.begin_us}&to_us={self.begin_us + LONG_S * 1_000_000}"

    async def export(self) -> None:
        """Fetch it as a file."""
        _, file = await self.box.take(f"/api/camera/gate/export?{self.span}")
        self.pictures, self.sound = units(file[file.index(b"moof") - 4 :])

    def registered(self, how: str = "udp") -> contextlib.AbstractAsyncContextManager[Platform]:
        one = channel(GATE, "gate", "live", "playback", "export")
        return registered(self.box, how, channels=[one])

    @contextlib.asynccontextmanager
    async def called(
        self, platform: Platform, kind: str, way: str = "udp", more: str = "", to_s: int = LONG_S
    ) -> AsyncIterator[Call]:
        media = Media(way)
        await media.listen()
        begin_s = self.begin_us // 1_000_000
        try:
            subject = ("Subject", f"{GATE}:1,{SERVER}:1")
            text = media.text(kind, begin_s, begin_s + to_s, more)
            asked = platform.ask("INVITE", text, "application/sdp", subject, to=GATE)
            call = Call(platform, media, asked, await platform.answer(asked))
            assert call.answer.status == 200
            await call.ask("ACK")
            await media.answered(call.answer.body.decode())
            yield call
            bye = await call.ask("BYE")
            ended = {one.method for one in platform.others if one.call_id == call.id}
            # A box that waited for us for ten seconds after the end has hung up itself.
            assert bye.status == (481 if "BYE" in ended else 200)
            assert (await call.ask("BYE")).status == 481, "it is over"
            assert (await state(self.box))["sessions"] == 0
        finally:
            media.hang_up()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    directory: Path = tmp_path_factory.mktemp("site")
    begin_us = (int(time.time()) - 900) * 1_000_000
    await asyncio.to_thread(fill, directory / "data/ring", begin_us)
    async with running_box(directory, CAMERA.format(free_port())) as box:
        found = Site(box, begin_us)
        await found.export()
        yield found


def whole(media: Media) -> None:
    """Check that libav shows every picture, each at its time."""
    times = media.shown()
    assert len(times) == len(media.pictures())
    assert {b - a for a, b in pairwise(times)} == {FRAME}


# By UDP it is no more than fits into a socket's buffer while this process does something else.
@pytest.mark.parametrize(("way", "speed"), [("udp", 4), ("active", 8)])
async def test_a_download_is_what_there_is(site: Site, way: str, speed: int) -> None:
    more, frames = f"a=downloadspeed:{speed}\r\n", 8 * synthetic.FPS
    async with (
        site.registered() as platform,
        site.called(platform, "Download", way, more, to_s=8) as call,
    ):
        await call.ends()
        await call.comes(frames)
        assert shown(call.media) == site.pictures[:frames]
        whole(call.media)


async def test_playback_is_steered_and_libav_shows_every_picture(site: Site) -> None:
    pictures = site.pictures
    place = {one: n for n, one in enumerate(pictures)}
    async with (
        site.registered() as platform,
        site.called(platform, "Playback", "passive") as call,
    ):
        media = call.media

        def places() -> list[int]:
            return [place[one] for one in shown(media)]

        await call.comes(15)
        await call.steer("PAUSE", "PauseTime: now")
        await asyncio.sleep(0.3)
        paused = len(media.packets)
        await asyncio.sleep(0.5)
        assert len(media.packets) == paused
        assert "Range: npt=" in await call.steer("PLAY", "Scale: 4.0")
        before = len(media.pictures())
        await call.comes(before + 100)
        assert places() == list(range(len(places()))), "no picture is lost"
        times = [at for at, _ in media.pictures()]
        assert [b - a for a, b in pairwise(times)][before + 2 : before + 90] == [FRAME // 4] * 88

        assert "Range: npt=40.000-" in await call.steer("PLAY", "Range: npt=40-", "Scale: 1")
        async with asyncio.timeout(60):
            while 40 * 25 + 10 not in places():
                await asyncio.sleep(0.05)
        assert places()[places().index(40 * 25) :][:11] == [*range(40 * 25, 40 * 25 + 11)]

        await call.steer("PLAY", "Scale: -8.0")
        async with asyncio.timeout(60):
            while 30 * 25 not in places():
                await asyncio.sleep(0.05)
        turned = places()[places().index(30 * 25) - 8 : places().index(30 * 25) + 1]
        assert turned == [n * 25 for n in range(38, 29, -1)]

        assert "457" in (await call.steer("PLAY", f"Range: npt={LONG_S}-"))
        assert "451" in (await call.steer("PLAY", "Scale: 1000"))
        await call.steer("PLAY", "Scale: 16.0")
        await call.ends()
        async with asyncio.timeout(60):
            while places()[-1] != 59 * 25:
                await asyncio.sleep(0.05)
        assert places()[-29:] == [n * 25 for n in range(31, 60)]
        times = media.shown()
        assert len(times) == len(places()), "libav shows them all"
        assert all(a < b for a, b in pairwise(times)), "time goes on"
        assert (await call.ask("INFO", "nothing", "Application/MANSRTSP")).status == 400


async def test_the_same_minute_is_the_same_by_every_way(site: Site) -> None:
    pictures, sound = site.pictures, site.sound
    assert len(set(pictures)) == FRAMES, "each is another one"
    async with (
        site.registered("tcp") as platform,
        site.called(platform, "Download", "passive", "a=downloadspeed:64\r\n") as call,
    ):
        await call.ends()
        await call.comes(FRAMES)
        assert (shown(call.media), sounds(call.media)) == (pictures, sound)
        whole(call.media)
        lines = call.answer.body.decode().splitlines()
        (said,) = [line for line in lines if line.startswith("a=filesize:")]
        assert 0.3 < int(said.partition(":")[2]) / len(call.media.stream) < 3

    machine = {"name": "host", "rights": {"gate": ["live", "playback"]}}
    secret = (await site.box.call("POST", "/api/machine", machine, 201))["secret"]
    player = Player(site.box.session, aiohttp.encode_basic_auth("host", secret))
    found = await player.playlist(f"{site.box.url}/hls/gate/rec/main.m3u8?{site.span}")
    assert (found.ended, found.faults()) == (True, [])
    streamed = [units(body) for _, body in await player.media(found)]
    assert [one for each, _ in streamed for one in each] == pictures
    assert [one for _, each in streamed for one in each] == sound

    async with replayer(site.box.rtsp_port, "rec/gate", "host", secret) as reader:
        await reader.ask("DESCRIBE", Accept="application/sdp")
        setup = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1", "Require": "onvif-replay"}
        assert (await reader.ask("SETUP", f"{reader.url}/track=0", **setup))[0] == 200
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(site.begin_us // 1_000_000))
        play = {"Range": f"clock={stamp}-", "Rate_Control": "no"}
        assert (await reader.ask("PLAY", **play))[0] == 200
        await reader.until(lambda seen: len(seen) == FRAMES and seen[-1].whole)
        assert [told(unit.nals) for unit in reader.units] == pictures
        assert reader.units[0].at_us == site.begin_us


async def test_pictures_are_taken_posted_and_told(site: Site) -> None:
    posted: list[tuple[str, str, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        file = (await request.post())["file"]
        assert isinstance(file, web.FileField)
        posted.append((request.query["SessionID"], file.filename, file.file.read()))
        return web.Response(status=201)

    app = web.Application()
    app.router.add_post("/up", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    port = runner.addresses[0][1]
    session = "s" * 32

    def order(host: str, many: int = 2) -> str:
        return (
            f"<SnapShotConfig><SnapNum>{many}</SnapNum><Interval>1</Interval><UploadURL>"
            f"http://{host}:{port}/up?a=1</UploadURL><SessionID>{session}</SessionID>"
            "</SnapShotConfig>"
        )

    try:
        async with registered(site.box, channels=[channel(DOME, "dome", "live")]) as platform:
            assert await platform.configure(DOME, 92, order("127.0.0.1")) == "OK"
            (done,) = await platform.told("UploadSnapShotFinished")
            assert (done.kind, done.device, done.said("SessionID")) == ("Notify", DOME, session)
            named = [one.text for one in done.root.all("SnapShotFileID")]
            assert [f"{one}.jpg" for one in named] == [name for _, name, _ in posted]
            assert all(len(one) == 41 and one.startswith(DOME) for one in named)
            assert len(named) == 2
            for asked, _, jpeg in posted:
                assert asked == session
                with av.open(io.BytesIO(jpeg)) as picture:
                    assert next(picture.decode(video=0)).width == 1280
            wrong = (order("127.0.0.1", 11), order("").replace("http:", "ftp:"), order("a:b"))
            for number, one in enumerate(wrong, 93):
                assert await platform.configure(DOME, number, one) == "ERROR", one
            posted.clear()
            assert await platform.configure(DOME, 96, order("127.0.0.2", 1)) == "OK"
            done = (await platform.told("UploadSnapShotFinished", most=2))[1]
            assert done.root.first("SnapShotFileID") is None, "not to anybody else's address"
            assert posted == []
    finally:
        await runner.cleanup()
