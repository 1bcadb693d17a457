"""Telephone sound in a browser: what was sent is what comes out of the element, live and later."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.base.clock import SystemClock
from nvr.media.ingest import Ingest
from tests.media import clip, wire
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.demo import refresh
from tests.web.page.test_page import until
from tests.web.page.test_sub import visiting

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

CODECS = ("pcma", "g726", "l16", "aac", "opus")
# Of the focused picture's element: the loudest frequency, and how loud, over half a second.
HEARD = """async (where) => {
  const video = document.querySelector(where);
  const stream = video.captureStream();
  if (!stream.getAudioTracks().length) return [0, -200];
  const context = new AudioContext();
  await context.resume();
  const source = context.createMediaStreamSource(stream);
  const analyser = context.createAnalyser();
  analyser.fftSize = 4096;
  source.connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  let best = [0, -200];
  for (let n = 0; n < 10; n += 1) {
    await new Promise((done) => setTimeout(done, 50));
    analyser.getFloatFrequencyData(bins);
    bins.forEach((db, at) => {
      if (db > best[1]) best = [at * context.sampleRate / analyser.fftSize, db];
    });
  }
  await context.close();
  return best;
}"""


async def camera(ingest: Ingest, name: str, codec: str, pictures: str = "h264") -> None:
    """Two seconds of pictures and a tone of 440 Hz, over and over."""
    video, sound = clip.video(pictures, frames=50, gop=25), clip.audio(codec, 2.0)
    sent = [(pts / 90_000, 0, packet) for pts, packet in wire.packets(video)]
    sent += [
        (pts / sound.track.clock_hz, 2, packet)
        for pts, packet in wire.packets(sound)
        if pts < 2 * sound.track.clock_hz
    ]
    sent.sort(key=lambda one: one[0])
    run = ingest.stream(f"{name}/main").open_run([video.track, sound.track])
    loop, numbers = asyncio.get_running_loop(), {0: itertools.count(), 2: itertools.count()}
    begun_s = loop.time()
    try:
        for turn in itertools.count():
            for at_s, channel, packet in sent:
                await asyncio.sleep(max(0.0, begun_s + 2 * turn + at_s - loop.time()))
                hz = 90_000 if channel == 0 else sound.track.clock_hz
                stamp = round((2 * turn + at_s) * hz)
                again = wire.rtp(
                    packet[1] & 127, next(numbers[channel]), stamp, packet[1] > 127, packet[12:]
                )
                run.feed(wire.frame(channel, again))
    finally:
        await run.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    clock, archive = SystemClock(), MemoryArchive()
    ingest = Ingest(archive.take, clock, lambda: 12)
    directory: Path = tmp_path_factory.mktemp("sound")
    async with running(directory, hub=ingest, archive=archive, clock=clock) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        for codec in CODECS:
            box.parts.cameras.put(codec, codec.upper())
        bodies = [ingest.run(), refresh(box, archive)]
        bodies += [camera(ingest, codec, codec) for codec in CODECS]
        # No browser here has the pictures, so that they are converted.
        box.parts.cameras.put("hevc", "HEVC")
        bodies.append(camera(ingest, "hevc", "pcma", "h265"))
        tasks = [asyncio.create_task(body) for body in bodies]
        yield box
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def tone(page: Page, where: str) -> bool:
    hz, loud_db = await page.evaluate(HEARD, where)
    return abs(hz - 440) < 25 and loud_db > -60


async def focused(page: Page, site: Box, name: str) -> None:
    """Have a camera in the large tile; the wall has no room for the last one of them."""
    if name == "hevc":
        await page.goto("about:blank")
        await page.goto(f"{site.url}/#/live?cam={name}")
    else:
        await page.locator("nvr-tile", has_text=name.upper()).click()
    await page.locator("nvr-tile.focus", has_text=name.upper()).wait_for()


@pytest.mark.parametrize(
    ("language", "sound", "volume"), [("zh-CN", "声音", "音量"), ("en-GB", "Sound", "Volume")]
)
async def test_a_tone_sent_by_a_camera_is_heard_live(
    site: Box, browser: Browser, language: str, sound: str, volume: str
) -> None:
    async with visiting(browser, site, language, (1280, 800)) as visit:
        page = visit.page
        for codec in (*CODECS, "hevc") if language == "en-GB" else CODECS[:1]:
            await focused(page, site, codec)
            focus = page.locator("nvr-tile.focus", has_text=codec.upper())
            button = focus.locator(f".tools [aria-label={sound}]")
            await button.wait_for()
            assert await page.evaluate("document.querySelector('nvr-tile.focus video').muted")
            slider = focus.locator(f"[aria-label={volume}]")
            assert not await slider.is_visible()
            await button.click()
            await slider.wait_for()
            await until(f"{codec} heard", lambda: tone(page, "nvr-tile.focus video"))
            await slider.fill("35")
            assert (
                await page.evaluate("document.querySelector('nvr-tile.focus video').volume") == 0.35
            )
            await button.click()
            assert not await slider.is_visible()


async def test_it_is_heard_from_the_recording_too(site: Box, browser: Browser) -> None:
    async with visiting(browser, site, "en-GB", (1280, 800)) as visit:
        page = visit.page
        for codec in ("pcma", "g726", "hevc"):
            first_us = site.parts.archive.ranges(f"{codec}/main", 0, 2**62).runs[0].from_us
            await page.goto("about:blank")
            await page.goto(f"{site.url}/#/playback?cam={codec}&t={first_us + 500_000}&play=1")
            button = page.locator(".pic .tools [aria-label=Sound]")
            await button.click()
            await page.locator(".pic .tools [aria-label=Volume]").wait_for()
            await until(f"{codec} heard", lambda: tone(page, ".pic video"))
            await button.click()


async def test_a_browser_that_does_not_take_flac_sees_the_picture_without_it(
    site: Box, browser: Browser
) -> None:
    async with visiting(browser, site, "en-GB", (1280, 800)) as visit:
        page = visit.page
        await page.context.add_init_script(
            """const known = MediaSource.isTypeSupported.bind(MediaSource);
               MediaSource.isTypeSupported = (mime) => !/flac/.test(mime) && known(mime);"""
        )
        await page.reload()
        focus = "document.querySelector('nvr-tile.focus')"
        for name in ("pcma", "hevc"):
            await focused(page, site, name)
            await until(f"a picture of {name}", lambda: page.evaluate(f"{focus}.player.drawn"))
            assert not await page.locator("nvr-tile.focus .tools [aria-label=Sound]").is_visible()
        for name in ("pcma", "hevc"):
            first_us = site.parts.archive.ranges(f"{name}/main", 0, 2**62).runs[0].from_us
            await page.goto("about:blank")
            await page.goto(f"{site.url}/#/playback?cam={name}&t={first_us + 500_000}&play=1")
            await until(
                f"a picture of {name}",
                lambda: page.evaluate("document.querySelector('.pic video')?.videoWidth > 0"),
            )
            assert not await page.locator(".pic .tools [aria-label=Sound]").is_visible()
