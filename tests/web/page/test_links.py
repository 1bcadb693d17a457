"""Addresses of a camera made on the page, at desk and phone: what they show, and to whom."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser

from nvr.media import name
from tests.app.hls_player import read
from tests.media import film
from tests.web.box import PASSWORD, MemoryArchive, insecure, running
from tests.web.page.test_page import CUT
from tests.web.page.visit import signed_in

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

WORDS = {"zh-CN": ("链接", "实时画面", "有效至"), "en-GB": ("Links", "Live", "Until")}
MARK = """([from_us, to_us]) => {
  const playback = document.querySelector("nvr-playback");
  playback.timeline.marks = {in_us: from_us, out_us: to_us};
  document.querySelector("nvr-export").draw();
}"""


@pytest.mark.parametrize(("locale", "size"), [("zh-CN", (1280, 800)), ("en-GB", (390, 844))])
async def test_a_link_to_what_is_marked_is_made_and_shows_it(
    tmp_path: Path, browser: Browser, locale: str, size: tuple[int, int]
) -> None:
    do, live, until = WORDS[locale]
    begin_us = (int(time.time()) - 60) * 1_000_000
    archive = MemoryArchive()
    archive.take(list(film.recorded(name.stream_of("gate"), "h264", 10, begin_us)))
    async with running(tmp_path, archive=archive) as box:
        box.parts.cameras.put("gate", "Gate")
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        visit = await signed_in(browser, box, locale, size, "owner")
        page = visit.page
        await page.goto(box.url + "/#/playback/gate")
        button = page.locator("nvr-export .btn", has_text=do)
        await button.wait_for(state="attached")
        await page.evaluate(MARK, [begin_us + 2_500_000, begin_us + 5_500_000])
        await button.evaluate("button => button.click()")
        dialog = page.locator(".dialog")
        await dialog.locator("button[type=submit]").click()
        await dialog.locator(".hint", has_text=until).wait_for()
        assert await page.evaluate(CUT) == []
        hls, rtsp = await dialog.locator("code").all_inner_texts()
        assert rtsp == "rtsp://127.0.0.1:8554/rec/gate"
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=insecure())) as anybody,
            anybody.get(hls) as reply,
        ):
            assert reply.status == 200
            found = read(await reply.text(), hls)
        assert found.faults() == []
        assert found.segments[0].at is not None
        assert round(found.segments[0].at.timestamp() * 1e6) == begin_us + 2_000_000
        assert sum(one.duration_s for one in found.segments) == 4
        await dialog.locator("select").first.select_option(label=live)
        await dialog.locator("button[type=submit]").click()
        async with asyncio.timeout(60):
            while "/cam/gate" not in await dialog.locator("code").nth(1).inner_text():
                await asyncio.sleep(0.05)
        assert "/live/index.m3u8" in await dialog.locator("code").first.inner_text()
        assert visit.faults == []
        await visit.context.close()
