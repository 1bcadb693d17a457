"""The volume's size on the page: what would be lost is said, and agreed to, at desk and phone."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, ViewportSize

from tests.web.box import PASSWORD, MemoryArchive, running
from tests.web.page.test_page import CUT

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

GB = 10**9
LOG_IN = """async ([name, password]) => {
  await fetch("/api/login", {method: "POST", body: JSON.stringify({name, password}),
    headers: {"content-type": "application/json", "x-nvr": "1"}});
}"""
WORDS = {
    "zh-CN": ("改变大小", "放弃这些录像", "正改为", "硬盘空间不够"),
    "en-GB": ("Change the size", "Give these recordings up", "becoming", "too little"),
}


@pytest.mark.parametrize(("locale", "width", "height"), [("zh-CN", 1280, 800), ("en-GB", 390, 844)])
async def test_a_smaller_volume_is_agreed_to_on_the_page(
    tmp_path: Path, browser: Browser, locale: str, width: int, height: int
) -> None:
    change, give, becoming, no_room = WORDS[locale]
    archive = MemoryArchive(200 * GB)
    async with running(tmp_path, archive=archive) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        context = await browser.new_context(
            ignore_https_errors=True,
            viewport=ViewportSize(width=width, height=height),
            locale=locale,
        )
        page = await context.new_page()
        await page.goto(box.url)
        await page.evaluate(LOG_IN, ["owner", PASSWORD])
        await page.goto(box.url + "/#/manage/box")
        await page.reload()
        panel = page.locator(".panel.size")
        size = panel.locator("input")
        assert await size.input_value() == "200"
        await size.fill("4000")
        await panel.get_by_text(change).last.click()
        await panel.get_by_text(no_room).wait_for()
        await size.fill("100.5")
        await panel.get_by_text(change).last.click()
        dialog = page.locator(".dialog")
        await dialog.get_by_text("gate").wait_for()
        assert await page.evaluate(CUT) == []
        await dialog.locator("footer .btn.p").click()
        assert archive.wanted_bytes == 200 * GB, "nobody agreed"
        await panel.get_by_text(change).last.click()
        await dialog.get_by_text(give).click()
        await page.locator("dd", has_text=becoming).wait_for()
        assert abs(archive.wanted_bytes - 100.5 * GB) < 1 << 20
        assert await page.evaluate(CUT) == []
        await context.close()
