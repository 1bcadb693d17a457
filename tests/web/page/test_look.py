"""Zones drawn over the picture, what moves in them; objects with their purpose."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.media.analyse import DetectorState, LookNow, ZoneNow
from tests.web.box import PASSWORD, Box, running
from tests.web.page.test_page import until
from tests.web.page.visit import signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    async with running(tmp_path_factory.mktemp("look")) as box:
        box.parts.cameras.put("gate", "东门")
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        yield box


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(box: Box, browser: Browser) -> AsyncIterator[Page]:
    visit = await signed_in(browser, box, "en-US", (1280, 800))
    yield visit.page
    assert [fault for fault in visit.faults if fault.startswith("error: ")] == []
    await visit.context.close()


async def test_a_zone_is_drawn_with_keys_and_pointer_and_saved(box: Box, page: Page) -> None:
    box.parts.looks.look = LookNow("looking", cells=bytes([1] * 3600), zones=(ZoneNow("", 9, 6),))
    await page.goto(box.url + "/#/manage/cameras")
    await page.get_by_role("button", name="Motion and picture").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("Looking").wait_for()
    assert await dialog.locator("meter").get_attribute("value") == "9"
    await dialog.get_by_role("button", name="Add zone").click()
    await dialog.locator(".zone input").fill("门")
    canvas = dialog.locator(".zone-canvas")
    await canvas.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):  # the corner that is chosen
        await page.keyboard.press(key)
    place = await canvas.bounding_box()
    assert place
    corner = (place["x"] + place["width"] * 0.15, place["y"] + place["height"] * 0.15)
    await page.mouse.move(*corner)
    await page.mouse.down()
    await page.mouse.move(place["x"] + place["width"] * 0.3, place["y"] + place["height"] * 0.05)
    await page.mouse.up()
    await dialog.get_by_role("button", name="Save").click()
    await page.get_by_text("Walk through the picture").wait_for()
    made = box.parts.cameras.looked["gate"]
    (zone,) = made.zones
    assert (zone.name, zone.ignore) == ("门", False)
    assert zone.points_permille[2] == (570, 660)
    assert abs(zone.points_permille[0][0] - 300) <= 3
    assert abs(zone.points_permille[0][1] - 50) <= 3
    assert made.purpose
    await dialog.get_by_role("button", name="Picture is right").click()
    await page.get_by_text("How it looks now is right").wait_for()
    assert box.parts.looks.accepted == ["gate"]
    # What is above something else can be clicked, so nothing lies over it.
    await page.keyboard.press("Escape")
    assert await page.get_by_role("dialog").count() == 0


async def test_objects_are_looked_for_with_a_purpose_and_not_without(box: Box, page: Page) -> None:
    box.parts.cameras.looked.clear()
    box.parts.looks.has = DetectorState("objects.no_runtime")
    await page.goto(box.url + "/#/manage/cameras")
    await page.get_by_role("button", name="Motion and picture").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("Objects need ONNX Runtime, which is not installed").wait_for()
    wanted = dialog.get_by_label("Look for objects with the box's model")
    assert await wanted.is_disabled()
    assert not await dialog.get_by_label("Who may use it").is_visible()
    await page.keyboard.press("Escape")

    box.parts.looks.has = DetectorState("", layout="yolo8", labels=("person", "truck"))
    await page.get_by_role("button", name="Motion and picture").click()
    await wanted.check()
    await dialog.get_by_text("person truck").wait_for()
    await dialog.get_by_role("button", name="Save").click()
    assert "gate" not in box.parts.cameras.looked, "nobody said what for"
    # The first is what motion is looked for.
    await dialog.get_by_label("What for").nth(1).fill("keep lorries out")
    await dialog.get_by_label("Who may use it").fill("guards")
    await dialog.get_by_label("Last day").fill("2031-05-31")
    await dialog.get_by_label("Which, by the model's words").fill("person, truck")
    await dialog.get_by_label("Objects are events").check()
    await dialog.get_by_role("button", name="Save").click()
    await until("the settings", lambda: "gate" in box.parts.cameras.looked)
    made = box.parts.cameras.looked["gate"]
    assert made.record_on == ("motion", "object")
    said = made.objects
    assert (said.on, said.purpose, said.who, said.until) == (
        True, "keep lorries out", "guards", "2031-05-31",
    )  # fmt: skip
    assert said.classes == ("person", "truck")
    await dialog.get_by_role("button", name="Close").click()
    await dialog.wait_for(state="hidden")
