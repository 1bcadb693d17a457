"""Serial lines on the page: what a keyboard said, the wire, and which number is which camera."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from nvr.config import load
from nvr.wire import pelco_d
from nvr.wire.pelco_d import Frame
from tests.app import keyboards
from tests.web.box import PASSWORD, Box, running
from tests.web.page.test_over import look
from tests.web.page.test_page import CUT
from tests.web.page.visit import signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
WORDS = {
    "zh-CN": {"left": "1: 左 20 → 大门", "none": "没有这个编号的摄像机", "wire": "查看线路",
              "numbers": "编号", "stop": "停止", "search": "正在识别"},
    "en-GB": {"left": "1: left 20 → 大门", "none": "No camera has this number", "wire": "Wire",
              "numbers": "Numbers", "stop": "stop", "search": "finding"},
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Box, keyboards.Rig, Path]]:
    place: Path = tmp_path_factory.mktemp("box")
    async with (
        keyboards.rig(place) as (lines, _),
        running(place, serial=lines.desk) as box,
    ):
        box.parts.cameras.put("dome", "大门")
        box.parts.cameras.put("gate", "北门")
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        yield box, lines, place


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (390, 844)), ("en-GB", (1280, 800))])
async def test_a_keyboard_is_seen_listened_to_and_given_numbers(
    browser: Browser, rig: tuple[Box, keyboards.Rig, Path], language: str, size: tuple[int, int]
) -> None:
    box, lines, place = rig
    words = WORDS[language]
    visit = await signed_in(browser, box, language, size)
    page = visit.page
    await lines.settled()
    await lines.key(pelco_d.motion(5, pan=-20))
    await lines.key(pelco_d.motion(1, pan=-20))
    await lines.key(Frame(1))
    await page.goto(f"{box.url}/#/manage/box")
    panel = page.locator("section.lines")

    def row(name: str):
        return panel.locator("tr", has=page.locator("th", has_text=name))

    await expect(row("desk")).to_contain_text("1: ")
    await expect(row("desk")).to_contain_text(words["none"])
    await expect(row("desk")).to_contain_text("Pelco-D")
    await expect(row("ptz")).to_contain_text("1 → 大门")
    await expect(row("old")).to_contain_text(words["search"])
    # What is said anew every two seconds leaves whoever has come here by Tab where they are.
    await row("desk").get_by_role("button", name=words["wire"]).focus()
    await page.evaluate("globalThis.was = document.activeElement")
    await lines.key(pelco_d.motion(1, pan=-20))
    await expect(row("desk")).to_contain_text(words["left"])
    assert await page.evaluate("document.activeElement === was && was.isConnected")
    await lines.key(Frame(1))
    await panel.scroll_into_view_if_needed()
    await look(page, f"serial-{size[0]}")

    dialog = page.locator(".dialog")
    await row("ptz").get_by_role("button", name=words["wire"]).click()
    await expect(dialog.locator("pre")).to_contain_text(f"FF 01 00 00 00 00 01  1 {words['stop']}")
    await look(page, f"serial-wire-{size[0]}")
    await page.keyboard.press("Escape")
    await dialog.wait_for(state="detached")

    await row("desk").get_by_role("button", name=words["numbers"]).click()
    inputs = dialog.locator("input")
    await expect(inputs.nth(0)).to_have_value("1")
    await look(page, f"serial-numbers-{size[0]}")
    await inputs.nth(1).fill("12" if language == "zh-CN" else "2")
    await dialog.locator("button[type=submit]").click()
    await dialog.wait_for(state="detached")
    kept = load.read(place / "data/nvr.toml").keyboard[0]
    assert kept.map == {"1": "dome", ("12" if language == "zh-CN" else "2"): "gate"}
    await expect(row("desk")).to_contain_text("12 → 北门" if language == "zh-CN" else "2 → 北门")
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "it does not fit"
    table = panel.locator(".scroll-x")
    assert await table.evaluate("it => it.scrollWidth - it.clientWidth") <= 0, "half is hidden"
    assert await page.evaluate(CUT) == []
    await visit.context.close()
    assert visit.faults == []
