"""Outputs and inputs on the page: switched with a question where it is heard, seen to change."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from nvr.base.clock import FakeClock
from nvr.config import load
from nvr.media.happening import Happening
from tests.app.lines import Bench, bench
from tests.web.box import PASSWORD, Box, LogPtz, running
from tests.web.page.visit import signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
WORDS = {
    "zh-CN": {"pulse": "点动", "wipe": "雨刷程序", "begin": "开始", "off": "断开", "on": "接通",
              "alarm": "报警", "normal": "正常", "again": "间歇", "opens": "门会打开"},
    "en-GB": {"pulse": "Pulse", "wipe": "Wipe", "begin": "Begin", "off": "Switch off",
              "on": "Switch on", "alarm": "alarm", "normal": "normal", "again": "again and again",
              "opens": "The door will open"},
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Box, Bench]]:
    place: Path = tmp_path_factory.mktemp("box")
    async with (
        bench(place, LogPtz((), FakeClock())) as lines,
        running(place, lines=lines.lines) as box,
    ):
        box.parts.cameras.put("gate", "大门")
        box.parts.happenings.all.append(
            Happening(1, "", "input", "fence", time.time_ns() // 1000 - 60_000_000, None)
        )
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        yield box, lines


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (390, 844)), ("en-GB", (1280, 800))])
async def test_switched_wiped_and_listened_to(
    browser: Browser, rig: tuple[Box, Bench], language: str, size: tuple[int, int]
) -> None:
    box, lines = rig
    words = WORDS[language]
    visit = await signed_in(browser, box, language, size)
    page = visit.page
    await page.goto(f"{box.url}/#/manage/lines")

    def card(name: str):
        return page.locator(f"[data-line={name}]")

    off = card("horn").get_by_role("button", name=words["off"])
    for _ in range(5):  # a machine so busy that we stall has it made safe meanwhile
        await card("horn").get_by_role("button", name=words["on"]).click()
        with contextlib.suppress(AssertionError):
            await expect(off).to_be_visible(timeout=4000)
            break
    await expect(card("siren")).to_contain_text("horn")  # it is kept off by it
    await off.press("Enter")
    await expect(card("horn").get_by_role("button", name=words["on"])).to_be_focused()
    await expect(card("horn").get_by_role("button", name=words["on"])).to_be_visible()
    assert lines.relays.state["horn"] is False

    before = len([one for one in lines.relays.changes if one[:2] == ("door", True)])
    await card("door").get_by_role("button", name=words["pulse"]).click()
    question = page.locator(".dialog")
    await expect(question).to_contain_text(words["opens"])
    assert len([one for one in lines.relays.changes if one[:2] == ("door", True)]) == before
    await question.locator("footer button").first.click()
    await asyncio.to_thread(lines.relays.first, "door", True, 0.0)

    await card("wiper").get_by_role("button", name=words["wipe"]).click()
    await question.locator("select").select_option("intermittent")
    await question.get_by_role("button", name=words["begin"]).click()
    await expect(card("wiper")).to_contain_text(words["again"])
    await card("wiper").get_by_role("button", name=words["off"]).click()

    await expect(card("fence")).to_contain_text(words["normal"])
    lines.move("fence", 0)
    await expect(card("fence").locator(".chip")).to_have_text(words["alarm"])
    lines.move("fence", 1)
    await expect(card("fence").locator(".chip")).to_have_text(words["normal"])
    await card("fence").locator("button.q").click()
    await question.locator("input[value=gate]").set_checked(language == "zh-CN")
    await question.locator("button[type=submit]").click()
    await question.wait_for(state="detached")
    kept = load.read(lines.toml).input
    assert (kept["fence"].record == ("gate",)) == (language == "zh-CN")
    await expect(page.locator("table.log tr")).to_have_count(1)
    await expect(page.locator("table.log")).to_contain_text("fence")
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "it does not fit"
    await visit.context.close()
    assert visit.faults == []
