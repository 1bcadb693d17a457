"""Aiming a dome by its picture: double-click and rectangle, by mouse at desk and by finger."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.auth.user import rights_of
from nvr.base.clock import SystemClock
from nvr.media.aim import Accuracy, Measured, Measuring
from nvr.media.ingest import Ingest
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.demo import camera, refresh
from tests.web.page.test_page import CUT
from tests.web.page.visit import signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

# A finger, as Chromium has no double-tap to play: pointer events as a phone sends them.
FINGER = """([x, y, x2, y2]) => {
  const pad = document.elementFromPoint(x, y);
  const tell = (type, clientX, clientY, more) => pad.dispatchEvent(new PointerEvent(type, {
    bubbles: true, cancelable: true, pointerId: 1, pointerType: "touch", isPrimary: true,
    button: 0, clientX, clientY, ...more}));
  pad.setPointerCapture = () => {};  // of a finger that is none
  tell("pointerdown", x, y);
  tell("pointermove", (x + x2) / 2, (y + y2) / 2);
  tell("pointermove", x2, y2);
  tell("pointerup", x2, y2);
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    clock, archive = SystemClock(), MemoryArchive()
    ingest = Ingest(archive.take, clock, lambda: 12)
    place: Path = tmp_path_factory.mktemp("aim")
    async with running(place, hub=ingest, archive=archive, clock=clock) as made:
        made.parts.cameras.put("gate", "东门")
        await made.parts.claim.claim(made.parts.claim.code(), "admin", PASSWORD)
        await made.parts.users.add("viewer", "viewer", PASSWORD, rights_of({"gate": ["live"]}))
        made.parts.ptz.show("gate", aim="absolute")
        works = (ingest.run(), camera(ingest, made, "gate", 150), refresh(made, archive))
        tasks = [asyncio.create_task(one) for one in works]
        yield made
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.05)


def aimed(box: Box) -> list[tuple[float, ...]]:
    return [entry[3:] for entry in box.parts.ptz.log if entry[0] == "aim"]


async def shown(page: Page) -> dict[str, float]:
    """Where the picture of the focused tile is."""
    await page.locator("nvr-tile.live").first.wait_for(timeout=60_000)
    found = await page.locator("nvr-tile.live").first.locator(".aim").bounding_box()
    assert found is not None
    return found


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (1280, 800)), ("en", (390, 844))])
async def test_a_place_and_an_area_are_aimed_at(
    box: Box, browser: Browser, language: str, size: tuple[int, int]
) -> None:
    box.parts.ptz.log.clear()
    visit = await signed_in(browser, box, language, size)
    page = visit.page
    await page.goto(f"{box.url}/#/live?cam=gate")
    name = "画面瞄准" if language == "zh-CN" else "Aim by the picture"
    toggle = page.get_by_role("button", name=name, exact=True)
    await toggle.wait_for(timeout=60_000)
    before = await page.evaluate("document.querySelector('nvr-live').layout")
    await toggle.click()
    assert await page.evaluate(CUT) == []
    at = await shown(page)
    x, y = at["x"] + at["width"] * 0.75, at["y"] + at["height"] * 0.5
    x2, y2 = at["x"] + at["width"] * 0.25, at["y"] + at["height"] * 0.3
    if size[0] > 767:
        await page.mouse.dblclick(x, y)
    else:
        await page.evaluate(FINGER, [x, y, x, y])
        await page.evaluate(FINGER, [x + 4, y, x + 4, y])
    await until(lambda: len(aimed(box)) == 1)
    assert aimed(box)[0] == pytest.approx((0.75, 0.5, 0, 0, 1.778), abs=0.02)
    if size[0] > 767:
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.mouse.move(x2, y2, steps=4)
        assert await page.locator(".aim i").first.is_visible()
        await page.mouse.up()
    else:
        await page.evaluate(FINGER, [x, y, x2, y2])
    await until(lambda: len(aimed(box)) == 2)
    assert aimed(box)[1] == pytest.approx((0.5, 0.4, 0.5, 0.2, 1.778), abs=0.02)
    tile = "[...document.querySelectorAll('nvr-tile')].find((t) => t.focused)"
    assert await page.evaluate(f"{tile}.zoom.factor") == 1, "digital zoom took the gesture too"
    assert await page.evaluate("document.querySelector('nvr-live').layout") == before

    # Enlarged on the screen, a place is still the place that one sees there.
    await page.evaluate(
        f"{tile}.zoom.by(2, {at['x'] + at['width'] / 2}, {at['y'] + at['height'] / 2})"
    )
    for _ in range(2):
        await page.evaluate(FINGER, [x, y, x, y])
    await until(lambda: len(aimed(box)) == 3)
    assert aimed(box)[2] == pytest.approx((0.625, 0.5, 0, 0, 1.778), abs=0.02)
    await page.evaluate(f"{tile}.zoom.reset()")

    # Off, the gestures are what they were.
    await toggle.click()
    assert await page.locator(".aim:visible").count() == 0
    if size[0] > 767:
        await page.mouse.dblclick(x, y)
        await page.wait_for_function(
            "layout => document.querySelector('nvr-live').layout !== layout", arg=before
        )
        await page.mouse.dblclick(x, y)
    assert len(aimed(box)) == 3
    await visit.context.close()
    assert visit.faults == []


async def test_it_is_offered_to_who_may_and_where_it_can_be(box: Box, browser: Browser) -> None:
    visit = await signed_in(browser, box, "en", (1280, 800), "viewer")
    await visit.page.locator("nvr-tile.live").first.wait_for(timeout=60_000)
    toggle = visit.page.locator('button[aria-label="Aim by the picture"]')
    assert await toggle.is_visible() is False
    await visit.context.close()
    visit = await signed_in(browser, box, "en", (1280, 800))
    await visit.page.locator('button[aria-label="Aim by the picture"]').wait_for(timeout=60_000)
    box.parts.ptz.show("gate", aim="")
    await visit.page.locator('button[aria-label="Aim by the picture"]').wait_for(state="hidden")
    box.parts.ptz.show("gate", aim="absolute")
    await visit.context.close()


@pytest.mark.parametrize(
    ("language", "size", "words"),
    [
        ("zh-CN", (1280, 800), ("检查预置位", "1.5 %", "没有转动")),
        ("en", (390, 844), ("Check the presets", "1.5 %", "did not move")),
    ],
)
async def test_presets_are_checked_and_what_was_found_is_shown(
    box: Box, browser: Browser, language: str, size: tuple[int, int], words: tuple[str, ...]
) -> None:
    box.parts.ptz.log.clear()
    box.parts.measures.now = Measured(None, ((0.0, 60.0), (1.0, 3.3)), False, 1, ())
    visit = await signed_in(browser, box, language, size)
    page = visit.page
    await page.goto(f"{box.url}/#/live?cam=gate")
    await page.locator("nvr-presets [data-measure]").click(timeout=60_000)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name=words[0]).click()
    await until(lambda: ("measure", "gate", "admin", "presets") in box.parts.ptz.log)
    await dialog.get_by_text("1/4").wait_for()
    done = Measuring("presets", 4, 4, done=True)
    found = (Accuracy(1, 2, 1.5, 0.9, 0.2), Accuracy(2, 2, said="unmoved"))
    box.parts.measures.now = Measured(done, ((0.0, 60.0), (1.0, 3.3)), False, 1, found)
    for word in words[1:]:
        await dialog.get_by_text(word).wait_for()
    await dialog.get_by_text("0.90°").wait_for()
    assert await page.evaluate(CUT) == []
    await visit.context.close()
    assert visit.faults == []
