"""Devices of the box on the page: told in a few words, and one tap makes a camera of one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from nvr.base.clock import SystemClock
from nvr.media.device import Capture
from tests.web.box import PASSWORD, Box, running
from tests.web.page.test_page import Visit

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
WORDS = {
    "zh-CN": ("接在本机上的设备", "无信号 · PAL · UYVY 720×576", "设备被其他程序占用"),
    "en-GB": ("Plugged into this box", "no signal · PAL · UYVY 720×576", "Another program"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    directory: Path = tmp_path_factory.mktemp("box")
    async with running(directory, clock=SystemClock()) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        yield box


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (390, 844)), ("en-GB", (1280, 800))])
async def test_a_device_becomes_a_camera(
    browser: Browser, box: Box, language: str, size: tuple[int, int], tmp_path: Path
) -> None:
    title, grabber, busy = WORDS[language]
    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": size[0], "height": size[1]},
        locale=language,
    )
    page = await context.new_page()
    visit = Visit(page, context)
    visit.watch()
    await page.goto(box.url)
    await page.locator("input[autocomplete=username]").fill("admin")
    await page.locator("input[type=password]").fill(PASSWORD)
    await page.locator("button[type=submit]").click()
    await page.locator("nvr-shell, .shell").first.wait_for()
    await page.goto(f"{box.url}/#/manage/cameras?add=1")
    row = page.locator(".dialog .devices")
    await row.locator("button").first.wait_for()
    await expect(page.locator(".dialog legend", has_text=title)).to_be_visible()
    await expect(row).to_contain_text("HD Webcam MJPEG 1920×1080 30 fps · YUYV 640×480 30 fps")
    await expect(row).to_contain_text(grabber)
    await expect(row.locator("button", has_text=busy)).to_be_disabled()
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "it does not fit"
    await row.locator("button", has_text="USB 2.0 grabber").click()
    url = page.locator(".dialog input[placeholder^=rtsp]").first
    await expect(url).to_have_value("v4l2:/dev/v4l/by-path/platform-grabber-video-index0")
    choices = page.locator(".dialog select")
    await choices.nth(0).select_option("1")
    await choices.nth(1).select_option("CARD=Webcam,DEV=0")
    await page.screenshot(path=tmp_path / f"devices-{language}.png")
    name = await page.locator(".dialog input[maxlength='32']").input_value()
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog").wait_for(state="detached")
    assert box.parts.cameras.captures[name] == Capture(input="1", alsa="CARD=Webcam,DEV=0")
    await context.close()
    assert visit.faults == []
