"""Hold to talk: a microphone's tone in Chromium comes out of GStreamer's ONVIF server."""

import asyncio
import contextlib
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from nvr.app.talks import CameraTalks
from nvr.base.clock import SystemClock
from nvr.capture.rtsp import Caller, nobody
from nvr.media.ingest import Ingest
from tests.capture.test_talk import frequency_hz, listening
from tests.media import clip
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.demo import camera, refresh
from tests.web.page.conftest import ARGS
from tests.web.page.test_page import until
from tests.web.page.test_sub import visiting

pytestmark = [
    pytest.mark.needs("chromium", "gst-rtsp-server"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mouthpiece(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser whose microphone hears 440 Hz, for ever."""
    tone = tmp_path_factory.mktemp("tone") / "tone.wav"
    with wave.open(str(tone), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        at = numpy.arange(48_000) / 48_000
        file.writeframes((numpy.sin(2 * numpy.pi * 440 * at) * 12_000).astype("<i2").tobytes())
    more = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={tone}",
    ]
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*ARGS, *more], timeout=60_000
        )
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Box, Path]]:
    clock, archive = SystemClock(), MemoryArchive()
    ingest = Ingest(archive.take, clock, lambda: 12)
    directory: Path = tmp_path_factory.mktemp("talk")
    heard = directory / "heard"
    async with listening("pcma", heard) as url:
        lines = {"gate": Caller(url, nobody, clock), "yard": None}
        talks = CameraTalks(lines.__getitem__, clock)
        async with running(directory, hub=ingest, archive=archive, clock=clock, talks=talks) as box:
            await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
            for name in ("gate", "yard"):
                box.parts.cameras.put(name, name.upper())
            bodies = [ingest.run(), refresh(box, archive)]
            bodies += [camera(ingest, box, name, 150) for name in ("gate", "yard")]
            tasks = [asyncio.create_task(body) for body in bodies]
            yield box, heard
            for task in reversed(tasks):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def hold(page: Page) -> None:
    button = page.locator("nvr-tile.focus .talk")
    await button.wait_for()
    box = await button.bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await page.mouse.down()


@pytest.mark.parametrize(
    ("language", "size", "name"),
    [("zh-CN", (390, 844), "对讲"), ("en-GB", (1280, 800), "Talk")],
)
async def test_what_is_said_while_it_is_held_comes_out_of_the_camera(
    site: tuple[Box, Path], mouthpiece: Browser, language: str, size: tuple[int, int], name: str
) -> None:
    box, heard = site
    async with visiting(mouthpiece, box, language, size) as visit:
        page, talks = visit.page, box.parts.talks
        assert talks
        await page.locator("nvr-tile", has_text="GATE").click()
        await page.locator(f"nvr-tile.focus [aria-label={name}]").wait_for()
        before = heard.stat().st_size if heard.exists() else 0
        await hold(page)
        await page.locator("nvr-tile.focus .talk.on").wait_for()
        talker = talks.talker("gate")
        assert talker
        assert talker.name == "admin"
        await until("heard", lambda: heard.exists() and heard.stat().st_size > before + 40_000)
        await page.mouse.up()
        await until("let go", lambda: talks.talker("gate") is None)
        assert not await page.locator("nvr-tile.focus .talk.on").is_visible()
        samples = numpy.frombuffer(heard.read_bytes()[before:], numpy.int16)[-16_000:]
        assert abs(frequency_hz(samples) - 440) < 8


async def test_who_else_speaks_is_named_and_a_camera_without_a_loudspeaker_has_no_button(
    site: tuple[Box, Path], mouthpiece: Browser
) -> None:
    box, _ = site
    async with visiting(mouthpiece, box, "en-GB", (1280, 800)) as visit:
        page, talks = visit.page, box.parts.talks
        assert talks
        await page.locator("nvr-tile", has_text="GATE").click()
        async with talks.speak("gate", "somebody", "192.0.2.9"):
            await hold(page)
            await page.locator("text=somebody is talking through this camera now.").wait_for()
            await page.mouse.up()
        await page.locator("nvr-tile", has_text="YARD").click()
        await page.locator("nvr-tile.focus", has_text="YARD").wait_for()
        await asyncio.sleep(0.5)
        assert not await page.locator("nvr-tile.focus .talk").is_visible()


@pytest.mark.parametrize("codec", ["pcma", "pcmu"])
async def test_the_page_encodes_as_the_standard_does(modules: Page, codec: str) -> None:
    want = b"".join(unit.nals[0] for unit in clip.audio(codec, 0.5).units)
    at = numpy.arange(len(want)) / 8000
    sent = numpy.sin(2 * numpy.pi * 440 * at) * 16000 / 32767
    got = await modules.evaluate(
        """async ([codec, values]) =>
             Array.from(values, (await import("/js/talk.js")).G711[codec])""",
        [codec, sent.tolist()],
    )
    off = sum(a != b for a, b in zip(got, want, strict=True))
    assert off < len(want) // 20, "a sample on the border between two may be rounded otherwise"
