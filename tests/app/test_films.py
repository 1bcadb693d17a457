"""Local cameras with the encoders of a box: what fails falls back, and it shows."""

import asyncio
import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs

from nvr.app.film import Desk, settings_of
from nvr.app.film import Film as FilmThread
from nvr.app.films import Films, makes_sub
from nvr.base.clock import SystemClock
from nvr.base.errors import Unavailable
from nvr.codec.encode import picture_of
from nvr.config.camera import Camera, Capture, Encode, Sub
from nvr.encode.session import open_encoder
from nvr.hal.board import Board, Encoder
from nvr.media.film import Began, Wish
from nvr.sim.pattern import Pattern
from tests.capture.test_film import filmed

BOARD = Board(
    schema=1,
    id="x",
    title="x",
    encoder=(Encoder(name="v4l2m2m"), Encoder(name="gst-x264"), Encoder(name="x264")),
    encode_cores=4.0,
)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.needs("gst-rtsp-server")
async def test_an_encoder_that_keeps_dying_is_replaced_and_the_rate_follows_live(
    tmp_path: Path,
) -> None:
    camera = Camera(name="east", url="test:320x180@25", encode=Encode(kbit_s=300, gop_s=0.4))
    seen = {"camera": camera}
    sources = {}
    films = Films(BOARD, tmp_path, SystemClock(), sources.get, lambda _: seen["camera"])
    trying = asyncio.ensure_future(films.run())
    async with filmed("", made_film=films.film("east", camera.url)) as it:
        sources["east/main"] = it.source
        for _ in range(2):
            await it.until(lambda: it.source.began and it.source.began.encoder == "gst-x264", 60)
            await it.until(lambda: it.states[-1:] == [("live", "")])
            os.kill(await asyncio.to_thread(child_of, it.source.pid), signal.SIGKILL)
            await it.until(lambda: it.states[-1:] == [("lost", "encoder.died")])
        await it.until(lambda: it.source.began and it.source.began.encoder == "x264")
        await it.until(lambda: it.source.work)
        report = films.report()
        [stream] = report.streams
        assert (stream.encoder, stream.preset, stream.instead_of) == (
            "x264", "veryfast", "gst-x264",
        )  # fmt: skip
        assert stream.pictures > 0
        assert [one.state for one in report.encoders] == ["failed", "works", "works"]
        assert 0 < report.used_cores < 1

        config, states = it.parts[-1].config, len(it.states)
        seen["camera"] = Camera(name="east", url=camera.url, encode=Encode(kbit_s=2000, gop_s=0.4))
        before = len(it.parts)
        films.follow("east/main")
        await it.until(lambda: len(it.parts) > before + 4)
        assert it.parts[-1].config == config, "the stream goes on"
        assert len(it.states) == states
        fast = max(len(part.mdat) for part in it.parts[-3:])
        assert fast > 2 * max(len(part.mdat) for part in it.parts[before - 3 : before])

        seen["camera"] = Camera(name="east", url=camera.url, encode=Encode(encoder="nvenc"))
        films.follow("east/main")
        await it.until(lambda: it.states[-1:] == [("lost", "encoder.none")])
        films.forget("east/main")
        assert films.report().streams == ()
    await trying
    assert (tmp_path / "encoders.json").exists()


def test_key_frames_come_by_the_clock_although_pictures_are_missing() -> None:
    desk, sent = Desk(), []
    picture = Pattern("test:64x64@25")

    class Slow:
        """Says 25 pictures a second and has ten."""

        size, fps, aspect, late, lack = (64, 64), 25, (1, 1), 0, ""
        number = 0

        def read(self):
            self.number += 1
            return picture_of(picture.paint(self.number), self.number * 9000)

    class Sent:
        def send(self, units):
            sent.extend(units)

    class Reporter:
        def say(self, _report):
            pass

        def look(self, *_):
            return False

    source = Slow()
    wish = Wish("x264", 100_000, 1.0)
    encoder = open_encoder("x264", settings_of(wish, source))
    film = FilmThread(source, encoder, Sent(), wish, desk, Reporter(), SystemClock())
    film.run(lambda: source.number < 50)
    encoder.close()
    keys = [unit.pts_90k for unit in sent if unit.key]
    assert [b - a for a, b in pairwise(keys)] == [90_000] * 4


async def test_a_sub_stream_gives_way_to_any_main_stream(tmp_path: Path) -> None:
    board = structs.replace(BOARD, encoder=(Encoder(name="x264", sessions=1),))
    cameras = {
        "east": Camera(name="east", url="test:", priority=9, sub=Sub(size=(320, 180))),
        "west": Camera(name="west", url="test:", priority=0),
    }
    moved = []

    class Told:
        def again(self):
            moved.append("again")

    streams = {"east/sub": Told()}
    films = Films(board, tmp_path, SystemClock(), streams.get, cameras.__getitem__)
    trying = asyncio.ensure_future(films.run())
    try:
        sub = await films.sub_film("east").wish(None)
        assert (sub.encoder, sub.fps, sub.codec) == ("x264", 10, "h264")
        assert (await films.film("west", "test:").wish(None)).encoder == "x264"
        assert moved == ["again"], "it had the only session"
        with pytest.raises(Unavailable, check=lambda err: err.code == "encoder.busy"):
            await films.sub_film("east").wish(None)
        films.forget("west/main")
        assert (await films.sub_film("east").wish(None)).encoder == "x264"
    finally:
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)


async def test_what_a_camera_encodes_itself_is_decoded_on_the_same_account(tmp_path: Path) -> None:
    """Only x264 is in the sandbox, and decoding the large picture takes processors, too."""
    board = structs.replace(BOARD, encoder=(Encoder(name="x264"),), encode_cores=0.25)
    device, capture = "v4l2:/dev/video9", Capture(format="h264", size=(1920, 1080))
    sub = Sub(size=(320, 180))
    cameras = {
        "own": Camera(name="own", url=device, capture=capture, sub=sub),
        "raw": Camera(name="raw", url="test:1920x1080@25", sub=sub),
    }
    films = Films(board, tmp_path, SystemClock(), lambda _: None, cameras.__getitem__)
    assert all(makes_sub(one) for one in cameras.values())
    assert [films.burns(one) for one in cameras.values()] == [False, True]
    trying = asyncio.ensure_future(films.run())
    try:
        for name in cameras:
            assert (await films.sub_film(name).wish(None)).encoder == "x264"
            films.sub_film(name).began(Began("x264", (320, 180), 10, ()))
        films.film("own", device).began(Began("camera", (1920, 1080), 25, ()))
        films.sub_film("own").began(Began("x264", (320, 180), 10, ()))
        said = {one.stream: one.mpixel_s for one in films.report().streams}
        assert said == {"own/sub": pytest.approx(10.94, abs=0.01), "raw/sub": 0.58}
        # 4K at 60 a second is more than a quarter of a processor decodes.
        films.film("own", device).began(Began("camera", (3840, 2160), 60, ()))
        with pytest.raises(Unavailable, check=lambda err: err.code == "encoder.busy"):
            await films.sub_film("own").wish(None)
    finally:
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
