"""A local camera: filmed by a process of its own, whatever becomes of that."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from nvr.base.clock import SystemClock
from nvr.capture import film as under_test
from nvr.capture import filming
from nvr.capture.film import Film, FilmSource
from nvr.media.camera import CaptionText
from nvr.media.film import Wish
from nvr.media.ingest import Ingest
from nvr.media.part import Part

CAPTION = CaptionText(("东门 {time}",), (20, 30), 60, "box")


class Filmed:
    def __init__(self, source: FilmSource, parts: list[Part]) -> None:
        self.source, self.parts = source, parts
        self.states: list[tuple[str, str]] = []

    async def until(self, holds, timeout_s=30.0):
        async with asyncio.timeout(timeout_s):
            while not (found := holds()):
                await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def filmed(
    url: str, module: str = "nvr.app.film", wish: Wish | None = None, made_film: Film | None = None
) -> AsyncIterator[Filmed]:
    parts: list[Part] = []
    clock = SystemClock()
    ingest = Ingest(parts.extend, clock)
    wanted = wish or Wish("x264", 300_000, 0.4)

    async def wishes(_ended):
        return wanted

    film = made_film or Film(url, wishes, lambda: CAPTION, module)
    seen: list[tuple[str, str]] = []
    source = FilmSource(
        "east",
        film,
        ingest.stream("east/main"),
        clock=clock,
        changed=lambda state: seen.append((state.state, state.code)),
    )
    made = Filmed(source, parts)
    made.states = seen
    running = [asyncio.ensure_future(ingest.run()), asyncio.ensure_future(source.run())]
    try:
        yield made
    finally:
        for task in reversed(running):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_a_test_picture_becomes_parts_like_any_cameras(codec: str) -> None:
    wish = Wish("x265" if codec == "h265" else "x264", 300_000, 0.4, codec=codec)
    async with filmed("test:320x180@25", wish=wish) as it:
        await it.until(lambda: len(it.parts) >= 4)
        assert it.states == [("live", "")]
        assert it.parts[0].key
        [track] = it.parts[0].config
        assert (track.codec, track.width_px, track.height_px) == (codec, 320, 180)
        # Its own clock says when a picture was taken, and ingest believes it.
        assert it.source.tally.stats().ntp_us > 0
        assert (it.source.tally.stats().lost, it.source.tally.stats().damaged) == (0, 0)
        pid = it.source.pid
    assert gone(pid)


async def test_it_obeys_while_it_films() -> None:
    async with filmed("test:320x180@25") as it:
        await it.until(lambda: it.source.work and it.source.work.pictures > 10)
        lacking = await it.source.caption(replace(CAPTION, lines=("西门\U0001f3a5",)))
        assert lacking == ("\U0001f3a5",)
        with pytest.raises(Exception, match=r"caption\.invalid"):
            await it.source.caption(replace(CAPTION, size_permille=9))
        keys = it.source.tally.stats().keys
        it.source.retarget(Wish("x264", 900_000, 60.0))
        await it.until(lambda: it.source.tally.stats().keys > keys)
        config = it.parts[-1].config
        keys = it.source.tally.stats().keys
        it.source.request_key()
        await it.until(lambda: it.source.tally.stats().keys > keys)
        assert it.parts[-1].config == config, "a rate makes no new stream"
        assert it.source.tally.stats().keys == keys + 1


async def test_settings_that_do_not_work_are_said_and_the_old_ones_stay(caplog) -> None:
    async with filmed("test:320x180@25") as it:
        await it.until(lambda: it.source.work)
        it.source.retarget(Wish("x264", 300_000, preset="lightning"))
        await it.until(lambda: "film.refused" in caplog.text)
        frames = it.source.tally.stats().frames
        await it.until(lambda: it.source.tally.stats().frames > frames + 10)
        assert it.states == [("live", "")]


async def test_one_that_dies_is_started_again_and_says_how_it_ended() -> None:
    async with filmed("test:320x180@25") as it:
        await it.until(lambda: it.states == [("live", "")])
        first = it.source.pid
        os.kill(first, signal.SIGSEGV)
        await it.until(lambda: it.states[1:] == [("lost", "film.died"), ("live", "")])
        assert it.source.tally.connections == 2
        assert it.source.pid != first
        config = it.parts[0].config
        assert it.parts[-1].config == config, "the recording goes on in its block"


@pytest.mark.parametrize(
    ("fault", "code", "detail"),
    [
        ("exit", "film.died", "ended with 4: no such device[2J"),
        ("crash", "film.died", "by signal 11"),
        ("long", "film.garbage", ""),
        ("mute", "film.silent", ""),
        ("stuck", "camera.silent", ""),
        ("rtp", "camera.garbage", ""),
    ],
)
async def test_whatever_it_does_is_one_error_and_tried_again(
    fault: str, code: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filming, "_SILENT_S", 2.0)
    monkeypatch.setattr(under_test, "_START_S", 2.0 if fault == "mute" else 30.0)
    monkeypatch.setattr(under_test, "_END_S", 0.5)
    async with filmed(f"planted:{fault}", "tests.capture.planted_film") as it:
        await it.until(lambda: it.states)
        assert it.states == [("lost", code)]
        assert detail in it.source.state.detail
        again = await it.until(lambda: it.source.pid)
    assert gone(again)


async def test_an_address_that_nobody_films_and_an_encoder_that_is_not_there_are_said() -> None:
    async with filmed("v4l2:/dev/nowhere") as it:
        await it.until(lambda: it.states)
        assert it.states == [("unsupported", "camera.unsupported")] or it.states[0][0] == "lost"
    for name, code in (("nvenc", "encoder.refused"), ("no-such", "encoder.unknown")):
        async with filmed("test:320x180", wish=Wish(name, 0)) as it:
            await it.until(lambda: it.states)
            assert it.states == [("lost", code)]


async def test_it_ends_with_a_recorder_that_is_killed() -> None:
    code = (
        "import asyncio, sys\n"
        "from tests.capture.test_film import filmed\n"
        "async def main():\n"
        "    async with filmed('test:320x180@25') as it:\n"
        "        await it.until(lambda: it.states)\n"
        "        print(it.source.pid, flush=True)\n"
        "        await asyncio.sleep(3600)\n"
        "asyncio.run(main())"
    )
    recorder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert recorder.stdout is not None
    try:
        pid = int(await recorder.stdout.readline())
    finally:
        recorder.kill()
        await recorder.wait()
    async with asyncio.timeout(20):
        while not gone(pid):
            await asyncio.sleep(0.05)
