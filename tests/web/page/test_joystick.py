"""Teaching a joystick on the page: one at the browser, and one that is plugged into the box."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from nvr.sim.joystick import ABS_X, ABS_Y, ABS_Z, BTN_JOYSTICK
from tests.web import sticks
from tests.web.page.test_over import look
from tests.web.page.test_page import CUT
from tests.web.page.visit import signed_in
from tests.web.sticks import DEVICE, Rig

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
WORDS = {
    "zh-CN": {"learn": "学习", "next": "下一步", "none": "没有此轴", "rest": "松开手柄",
              "pan": "最右", "tilt": "推到底", "zoom": "旋转", "ends": "转一圈",
              "taught": "水平 轴 0 · 俯仰 轴 1", "keep": "给所有人", "done": "完成"},
    "en-GB": {"learn": "Teach", "next": "Next", "none": "It has none", "rest": "Let go",
              "pan": "to the right", "tilt": "Push it up", "zoom": "Twist", "ends": "all its ends",
              "taught": "Pan axis 0 · Tilt axis 1 · Zoom axis 2", "keep": "For everybody",
              "done": "Done"},
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    place: Path = tmp_path_factory.mktemp("box")
    async with sticks.rig(place) as it:
        yield it


async def opened(page: Page) -> Locator:
    await page.evaluate(
        """async () => {
          const main = document.querySelector(".shell");
          main.app.learnPad();
        }"""
    )
    dialog = page.locator(".dialog")
    await dialog.wait_for()
    return dialog


async def test_a_gamepad_at_a_phone_is_taught_and_kept_for_everybody(
    browser: Browser, rig: Rig
) -> None:
    words = WORDS["zh-CN"]
    visit = await signed_in(browser, rig.box, "zh-CN", (390, 844))
    page = visit.page
    await page.evaluate(
        """() => {
          const buttons = Array.from({length: 4}, () => ({pressed: false, value: 0}));
          globalThis.pad = {id: "球机摇杆 (Vendor: 1234)", index: 0, connected: true, mapping: "",
                            axes: [0, 0, 0], buttons};
          navigator.getGamepads = () => [globalThis.pad];
        }"""
    )

    async def hold(*axes: float) -> None:
        await page.evaluate("(axes) => { globalThis.pad.axes = axes; }", list(axes))

    dialog = await opened(page)
    await dialog.get_by_role("button", name=words["learn"]).click()
    await expect(dialog).to_contain_text(words["rest"])
    await look(page, "joystick-390-lesson")
    assert await page.evaluate(CUT) == []
    await dialog.get_by_role("button", name=words["next"]).click()
    await expect(dialog).to_contain_text(words["pan"])
    await hold(1, 0, 0)
    await expect(dialog).to_contain_text(words["tilt"])
    await hold(0, -1, 0)
    await expect(dialog).to_contain_text(words["zoom"])
    await dialog.get_by_role("button", name=words["none"]).click()
    await expect(dialog).to_contain_text(words["ends"])
    await hold(-0.8, 0.9, 0)
    await asyncio.sleep(0.2)
    await hold(0, 0, 0)
    await dialog.get_by_role("button", name=words["next"]).click()
    await expect(dialog).to_contain_text(words["taught"])
    await dialog.locator("select[aria-label='键 2']").select_option("preset 7")
    await look(page, "joystick-390")
    slider = dialog.locator("input[type=range]").first
    await slider.focus()
    for percent in ("11 %", "12 %"):
        await page.keyboard.press("ArrowRight")
        await expect(dialog).to_contain_text(percent)
        await expect(slider).to_be_focused()
    await page.evaluate("globalThis.pad.buttons[2] = {pressed: true, value: 1}")
    await expect(dialog.locator("[data-n='2']")).to_have_class("padrow b")
    await page.evaluate("globalThis.pad.buttons[2] = {pressed: false, value: 0}")
    stored = "localStorage.getItem('nvr.joystick.' + globalThis.pad.id)"
    mine = json.loads(await page.evaluate(stored))
    assert mine["pan"]["least"] == -0.8
    assert mine["tilt"]["invert"]
    assert mine["zoom"] is None
    assert mine["buttons"]["2"] == "preset 7"
    assert not rig.kept(), "it is this browser's, so far"
    await dialog.get_by_role("button", name=words["keep"]).click()
    await rig.until(lambda: "球机摇杆 (Vendor: 1234)" in rig.kept())
    assert rig.kept()["球机摇杆 (Vendor: 1234)"]["buttons"]["2"] == "preset 7"
    await dialog.get_by_role("button", name=words["done"]).click()
    assert visit.faults == []
    await visit.context.close()


async def test_a_joystick_at_the_box_is_taught_from_a_desk_and_moves_nothing_meanwhile(
    browser: Browser, rig: Rig
) -> None:
    words = WORDS["en-GB"]
    hand = await rig.plugged()
    visit = await signed_in(browser, rig.box, "en-GB", (1280, 800))
    page = visit.page
    rig.profiles.mkdir(exist_ok=True)
    broken = rig.profiles / "broken.json"
    broken.write_text("{")
    await rig.until(rig.sticks.damaged)
    dialog = await opened(page)
    await expect(dialog).to_contain_text("The file joystick/broken.json makes no sense")
    broken.unlink()
    await dialog.get_by_role("button", name=words["learn"]).wait_for()
    await dialog.get_by_role("button", name=words["learn"]).click()
    await dialog.get_by_role("button", name=words["next"]).click()
    for axis, way, then in ((ABS_X, 1, "tilt"), (ABS_Y, -1, "zoom"), (ABS_Z, 1, "ends")):
        hand.move({ABS_X: 0, ABS_Y: 0, ABS_Z: 0} | {axis: way})
        await expect(dialog).to_contain_text(words[then])
        assert not rig.bench.dome.head.moving
    await look(page, "joystick-1280-lesson")
    hand.move({ABS_X: 0, ABS_Y: 0, ABS_Z: 0})
    await asyncio.sleep(0.3)
    await dialog.get_by_role("button", name=words["next"]).click()
    await expect(dialog).to_contain_text(words["taught"])
    await dialog.locator("select[aria-label='Button 3']").select_option("preset 2")
    kept = {"1": "stop", "3": "preset 2"}  # the second button stops of one that nobody taught
    await rig.until(lambda: rig.kept().get(DEVICE, {}).get("buttons") == kept)
    await look(page, "joystick-1280")
    assert await page.evaluate(CUT) == []
    await dialog.get_by_role("button", name=words["done"]).click()
    rig.bench.clock.advance(3)
    hand.press(BTN_JOYSTICK + 3)
    await rig.until(lambda: rig.bench.actions("ptz.preset_call"))
    hand.release(BTN_JOYSTICK + 3)
    hand.move({ABS_X: 1})
    await rig.until(lambda: rig.bench.dome.head.moving)
    assert visit.faults == []
    hand.pull()
    await visit.context.close()
