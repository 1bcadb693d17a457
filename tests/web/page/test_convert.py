"""Recordings that the box converts: H.265 in a browser without it, and what may not be seen."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.base.clock import SystemClock
from nvr.media.mask import Mask
from nvr.serve.recodes import Use
from tests.media import film
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.page.test_page import until
from tests.web.page.test_sub import visiting

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

SECONDS = 30
SUPPORTED = """() => MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L93.B0"')"""
# Luma of the picture shown, its upper left, lower left and lower right; and when it is.
SEEN = """() => {
  const playback = document.querySelector("nvr-playback");
  if (!playback?.timeline) return null;
  const canvas = playback.querySelector(".pic > canvas");
  const video = playback.querySelector(".pic video");
  const from = canvas.hidden ? video : canvas;
  const [width, height] = canvas.hidden ? [video.videoWidth, video.videoHeight]
    : [canvas.width, canvas.height];
  const { classList } = playback.querySelector(".pic");
  if (!width || classList.contains("gone") || classList.contains("veiled")) return null;
  const ctx = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const at = (x, y) => {
    ctx.drawImage(from, width * x, height * y, 1, 1, 0, 0, 1, 1);
    return ctx.getImageData(0, 0, 1, 1).data[1] * 219 / 255 + 16;
  };
  playback.draw();
  const right = at(0.8, 0.8);
  // Black: the element has a size, and no picture yet.
  return right < 18 ? null : [playback.timeline.playhead_us, at(0.2, 0.2), at(0.2, 0.8), right];
}"""


@dataclasses.dataclass
class Reel:
    box: Box
    start_us: int

    def path(self, camera: str, at_s: float) -> str:
        at_us = self.start_us + round(at_s * 1e6)
        return f"{self.box.url}/#/playback?cam={camera}&t={at_us}"

    def off(self, seen: list[float]) -> float:
        """How many pictures the one shown is away from the one of its time."""
        return film.number(seen[3]) - (seen[0] - self.start_us) / 40_000 % film.LOOP


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reel(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reel]:
    clock, archive = SystemClock(), MemoryArchive()
    start_us = (clock.wall_us() // 1_000_000 - SECONDS - 30) * 1_000_000
    for name, codec in (("gate", "h265"), ("yard", "h264"), ("dock", "jpeg")):
        archive.take(list(film.recorded(f"{name}/main", codec, SECONDS, start_us)))
    directory: Path = tmp_path_factory.mktemp("reel")
    async with running(directory, archive=archive, clock=clock) as box:
        for name in ("gate", "yard", "dock"):
            state = box.parts.cameras.put(name, name.title())
            until_us = archive.until_us(f"{name}/main")
            box.parts.cameras.set(dataclasses.replace(state, recorded_until_us=until_us))
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        await box.user("guard", "viewer", {"*": ["playback"]})
        yield Reel(box, start_us)


async def seen(page: Page) -> list[float]:
    async with asyncio.timeout(40):
        while not (found := await page.evaluate(SEEN)):
            await asyncio.sleep(0.1)
    return found


async def look(page: Page, name: str) -> None:
    """Keep a picture of the page for a person to look at, where one asked for it."""
    if directory := os.environ.get("NVR_PICTURES"):
        await page.screenshot(path=f"{directory}/{name}.png")


async def test_jpeg_is_converted_for_a_browser_that_has_everything_else(
    reel: Reel, browser: Browser
) -> None:
    async with visiting(browser, reel.box, "zh-CN", (390, 844)) as visit:
        page = visit.page
        await page.goto(reel.path("dock", 4.5))
        first = await seen(page)
        assert abs(reel.off(first)) < 1.6
        await page.get_by_text("主机转换").first.wait_for()
        await page.keyboard.press("ArrowRight")
        await until("the next picture", lambda: _later(page, first, 1))
        await page.keyboard.press("l")
        await until("it runs", lambda: _later(page, first, 20))
        await look(page, "jpeg")


async def test_h265_is_played_stepped_and_shuttled_by_a_browser_without_it(
    reel: Reel, browser: Browser
) -> None:
    async with visiting(browser, reel.box, "en", (1280, 800)) as visit:
        page = visit.page
        await page.goto(reel.path("gate", 4.5))
        if await page.evaluate(SUPPORTED):
            pytest.skip("this browser has H.265")
        first = await seen(page)
        assert abs(reel.off(first)) < 1.6
        await page.get_by_text("converted by the box").first.wait_for()
        await look(page, "converted")
        await page.keyboard.press("ArrowRight")
        await until("the next picture", lambda: _later(page, first, 1))
        for key, way in (("l", 1), ("j", -1)):
            before = await seen(page)
            await page.keyboard.press(key)
            await until(f"it runs, {key}", lambda: _later(page, before, 10 * way))  # noqa: B023
            await page.keyboard.press("k")
            await until("it stands", lambda: _stands(page))
            assert abs(reel.off(await seen(page))) < 1.6
        # As fast as the box converts, and no faster; from 8x on key frames only.
        await page.evaluate(
            "document.querySelector('nvr-playback').archive.main.converter.speed = 1.5"
        )
        rate = page.locator(".tp .rate")
        await rate.select_option("2")
        await page.get_by_text("at most at 1.5×").first.wait_for()
        assert await rate.input_value() == "1"
        await rate.select_option("8")
        before = await seen(page)
        await page.locator(".tp .play").click()
        await until("key frames", lambda: _later(page, before, 25))
        # Whoever leaves frees it.
        await page.goto(f"{reel.box.url}/#/live")
        (await reel.box.parts.recodes.take(Use("yard", "x", 0))).free()


async def test_a_picture_that_is_not_converted_says_for_whom_another_is(
    reel: Reel, browser: Browser
) -> None:
    place = await reel.box.parts.recodes.take(Use("yard", "anna", 0))
    try:
        async with visiting(browser, reel.box, "en", (1280, 800)) as visit:
            page = visit.page
            await page.goto(reel.path("gate", 4.5))
            await page.locator(".pic").get_by_text("now another: Yard, for anna").wait_for()
            await look(page, "not-converted")
            place.free()
            await page.get_by_role("button", name="Try again").click()
            assert abs(reel.off(await seen(page))) < 1.6
    finally:
        place.free()


@pytest.mark.parametrize(("camera", "size"), [("gate", (1280, 800)), ("yard", (390, 844))])
async def test_who_may_not_see_under_the_masks_plays_back_the_rest(
    reel: Reel, browser: Browser, camera: str, size: tuple[int, int]
) -> None:
    masks = (Mask(((0, 0), (500, 0), (500, 1000), (0, 1000))),)
    await reel.box.parts.cameras.write_masks(camera, masks)
    try:
        async with visiting(browser, reel.box, "zh-CN", size, "guard") as visit:
            visit.expected.add(403)
            page = visit.page
            await page.goto(reel.path(camera, 6.2))
            found = await seen(page)
            assert found[1] < 30
            assert found[2] < 30
            assert abs(reel.off(found)) < 1.6
            await page.get_by_text("主机遮挡").first.wait_for()
            await look(page, f"masked-playback-{camera}")
            await page.keyboard.press("l")
            await until("it runs", lambda: _later(page, found, 10))
            assert (await seen(page))[1] < 30
    finally:
        await reel.box.parts.cameras.write_masks(camera, ())


async def _later(page: Page, before: list[float], pictures: int) -> bool:
    now = await page.evaluate(SEEN)
    off = (now[0] - before[0]) / 40_000 if now else 0
    return off >= pictures - 0.6 if pictures > 0 else off <= pictures + 0.6


async def _stands(page: Page) -> bool:
    return await page.evaluate("document.querySelector('.pic > canvas').hidden")
