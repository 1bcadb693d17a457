"""Devices of the box on the page: told in a few words, and one tap makes a camera of one."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from nvr.base.clock import SystemClock
from nvr.codec.again import mp4_sample
from nvr.codec.encode import Encoder
from nvr.media.camera import SubSettings
from nvr.media.device import Capture
from nvr.media.encoder import Settings
from nvr.media.track import TrackConfig
from nvr.sim.pattern import Pattern
from nvr.wire import fmp4, h264
from tests.web.box import PASSWORD, Box, running
from tests.web.page.visit import signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
CAPTURE = {
    "zh-CN": ("采集", "画面调节", "设备不支持 yuyv 1920x1080", "子码流"),
    "en-GB": ("Capture", "Picture", "does not offer yuyv 1920x1080", "Sub stream"),
}
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
    visit = await signed_in(browser, box, language, size)
    page, context = visit.page, visit.context
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


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (390, 844)), ("en-GB", (1280, 800))])
async def test_what_the_device_offers_is_chosen_from_and_turned(
    browser: Browser, box: Box, language: str, size: tuple[int, int], tmp_path: Path
) -> None:
    title, turned, refused, sub = CAPTURE[language]
    box.parts.captures.now, box.parts.captures.camera = Capture(), "yard"
    if box.parts.cameras.find("yard") is None:
        box.parts.cameras.put("yard", "院子")
    visit = await signed_in(browser, box, language, size)
    page = visit.page
    await page.goto(f"{box.url}/#/manage/cameras")
    card = page.locator(".cam-card", has_text="yard")
    await card.locator("button").nth(-2).click()
    group = page.locator(".dialog fieldset", has=page.locator("legend", has_text=title)).first
    choices = group.locator("select")
    await choices.nth(1).select_option("yuyv")
    await choices.nth(2).select_option("1920x1080")
    await page.locator(".dialog button[type=submit]").click()
    await expect(page.locator(".dialog .problem")).to_contain_text(refused)
    await choices.nth(2).select_option("640x480")
    await choices.nth(4).select_option("16:9")
    await group.locator("summary", has_text=turned).click()
    await group.locator("input[type=range]").fill("-20")
    await group.locator("details select").select_option("1")
    second = page.locator(".dialog fieldset", has=page.locator("legend", has_text=sub)).last
    await second.locator("select").first.select_option("yes")
    await second.locator("select").nth(1).select_option("480x270")
    await second.locator("input").first.fill("5")
    await page.screenshot(path=tmp_path / f"capture-{language}.png")
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "it does not fit"
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog").wait_for(state="detached")
    assert box.parts.captures.now == Capture(
        "yuyv", (640, 480), aspect="16:9", controls=(("brightness", -20), ("auto_exposure", 1))
    )
    assert box.parts.cameras.subs.pop("yard") == SubSettings("", size=(480, 270), fps=5)
    await visit.context.close()
    assert len(visit.faults) <= 1, visit.faults  # the refusal is one for the browser


_SHOWN = """async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const source = new MediaSource();
  const video = document.createElement("video");
  video.src = URL.createObjectURL(source);
  document.body.append(video);
  await new Promise((open) => source.addEventListener("sourceopen", open, { once: true }));
  const buffer = source.addSourceBuffer('video/mp4; codecs="avc1.4d4029"');
  const shown = new Promise((done) => video.addEventListener("resize", done, { once: true }));
  buffer.appendBuffer(bytes);
  await shown;
  return [video.videoWidth, video.videoHeight];
}"""


async def test_a_browser_shows_the_shape_that_the_stream_says(browser: Browser, box: Box) -> None:
    settings = Settings((704, 576), 25, 500_000, aspect=(12, 11))
    encoder = Encoder(settings)
    picture = Pattern("test:704x576@25").read()
    [unit, *_] = [*encoder.encode(picture), *encoder.close()]
    record = h264.avcc(encoder.parameter_sets)
    track = TrackConfig("video", "h264", 90_000, record, 704, 576)
    data = fmp4.init_segment((track,)) + fmp4.fragment(0, 3600, mp4_sample(unit), key=True)
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await page.goto(box.url)
    assert await page.evaluate(_SHOWN, b64encode(data).decode()) == [768, 576]
    await context.close()
