"""Who has a dome, its lock, and what it does by itself, at desk and on the phone."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.media.ports import Holder, Operator
from nvr.media.program import AutoState, Guard, Program, Step, Tour
from tests.web.box import PASSWORD, Box, running
from tests.web.page.test_page import CUT
from tests.web.page.visit import signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
BO = Operator("bo", "operator", "page/99")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    async with running(tmp_path_factory.mktemp("auto")) as box:
        box.parts.cameras.put("gate", "东门")
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        yield box


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[(1280, 800, "en-US"), (390, 844, "zh-CN")]
)
async def page(box: Box, browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    width, height, locale = request.param
    visit = await signed_in(browser, box, locale, (width, height))
    await visit.page.locator(".hold").wait_for()
    yield visit.page
    assert [fault for fault in visit.faults if fault.startswith("error: ")] == []
    await visit.context.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.05)


async def test_a_lock_is_set_with_a_reason_shown_and_ended(box: Box, page: Page) -> None:
    await page.locator(".hold .ic").click()
    dialog = page.get_by_role("dialog")
    await dialog.locator("input").fill("检修，勿动")
    await dialog.locator("button[type=submit]").click()
    await page.locator(".hold .sub").get_by_text("检修，勿动").wait_for()
    assert box.parts.ptz.log[-1][:2] == ("lock", "gate")
    assert await page.evaluate(CUT) == []
    await page.locator(".hold .ic").click()
    await page.get_by_role("dialog").locator("button.danger").click()
    await until(lambda: box.parts.ptz.log[-1][:2] == ("unlock", "gate"))
    now_us = box.parts.clock.wall_us()
    box.parts.ptz.lock("gate", BO, 7200.0, "rain")
    await page.locator(".hold.locked").get_by_text("rain").wait_for()
    assert await page.evaluate(CUT) == []
    box.parts.ptz.unlock("gate", BO)
    box.parts.ptz.take("gate", Operator("admin", "admin", "page/1"))
    box.parts.ptz.show("gate", holder=Holder(BO, now_us, now_us + 60_000_000, True))
    await page.locator(".hold.other").get_by_text("bo").first.wait_for()
    box.parts.ptz.show("gate", holder=None)


async def test_a_tour_is_begun_shown_and_ended(box: Box, page: Page) -> None:
    box.parts.programs.kept["gate"] = Program(Guard(1), tours=(Tour("夜巡", (Step(1), Step(2))),))
    await page.locator("[data-auto]").click()
    dialog = page.get_by_role("dialog")
    row = dialog.locator(".auto-row").filter(has_text="夜巡")
    await row.get_by_role("button").click()
    await until(lambda: ("start", "gate", "tour 夜巡", "admin") in box.parts.ptz.log)
    await page.locator(".hold .who").get_by_text("夜巡").wait_for()
    assert await page.evaluate(CUT) == []
    await row.get_by_role("button").click()
    await until(lambda: ("end", "gate", "admin") in box.parts.ptz.log)
    await page.keyboard.press("Escape")
    waiting = AutoState("home", "waiting", box.parts.clock.wall_us() + 90_000_000, 1)
    box.parts.ptz.show("gate", auto=waiting)
    await page.locator(".hold .who").get_by_text("90").wait_for()
    box.parts.ptz.show("gate", auto=None)
    box.parts.ptz.log.clear()


async def test_a_tour_is_edited_with_its_week(box: Box, page: Page) -> None:
    box.parts.programs.kept["gate"] = Program()
    await page.locator("[data-auto]").click()
    dialog = page.get_by_role("dialog")
    await dialog.locator("footer button").click()
    await page.locator(".prog-part").first.wait_for()
    await page.locator(".prog-part").nth(0).locator(":scope > button").click()
    await page.locator(".prog input[maxlength]").fill("巡")
    await page.locator(".prog-step input").first.fill("7")
    week = page.locator(".prog-part").last
    await week.locator("select").nth(1).focus()
    await week.locator("select").nth(1).select_option("tour 巡")
    await week.locator(":scope > button").click()
    assert await page.evaluate(CUT) == []
    await page.get_by_role("dialog").locator("button[type=submit]").click()
    await until(lambda: bool(box.parts.programs.kept["gate"].tours))
    program = box.parts.programs.kept["gate"]
    assert program.tours == (Tour("巡", (Step(1, 7.0),)),)
    assert program.week == (("08:00-18:00 tour 巡",),) * 7
    await page.keyboard.press("Escape")
