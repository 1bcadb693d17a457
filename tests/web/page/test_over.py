"""What the page draws over pictures that the camera encodes itself, seen in the pixels."""

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.auth.user import rights_of
from nvr.base.clock import SystemClock
from nvr.media.camera import CaptionText
from nvr.media.drawn import Drawn, Remark
from nvr.media.happening import Happening
from nvr.media.ingest import Ingest
from nvr.media.mask import Mask
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.demo import camera, refresh
from tests.web.page.test_page import CUT, until
from tests.web.page.test_sub import visiting

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

# Share of the canvas over the picture that is drawn on: all of it, and its lower half.
DRAWN = """() => {
  const over = document.querySelector("canvas.over");
  if (!over || over.hidden || !over.width) return [0, 0];
  const { width, height } = over;
  const copy = Object.assign(document.createElement("canvas"), { width, height });
  const ctx = copy.getContext("2d", { willReadFrequently: true });
  ctx.drawImage(over, 0, 0);
  const share = (y, h) => {
    const { data } = ctx.getImageData(0, y, width, h);
    let drawn = 0;
    for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0;
    return drawn / (data.length / 4);
  };
  const half = over.height >> 1;
  return [share(0, over.height), share(half, over.height - half)];
}"""


# The brightest of both halves of gate's picture, without what lies over it.
HALVES = """() => {
  const tile = [...document.querySelectorAll("nvr-tile")].find((one) => one.camera === "gate");
  const canvas = tile.querySelector("canvas:not(.over)");
  const from = canvas.hidden ? tile.video : canvas;
  const [width, height] = canvas.hidden ? [from.videoWidth, from.videoHeight]
    : [canvas.width, canvas.height];
  if (!width || !tile.classList.contains("live")) return null;
  const ctx = new OffscreenCanvas(width, height)
    .getContext("2d", { willReadFrequently: true });
  ctx.drawImage(from, 0, 0);
  const most = (x, wide) => {
    const { data } = ctx.getImageData(x, 0, wide, height);
    let found = 0;
    for (let i = 1; i < data.length; i += 4) found = Math.max(found, data[i]);
    return found;
  };
  return [most(0, width / 2 - 8), most(width / 2 + 8, width / 2 - 8)];
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    clock, archive = SystemClock(), MemoryArchive()
    ingest = Ingest(archive.take, clock, lambda: 12)
    directory: Path = tmp_path_factory.mktemp("box")
    async with running(directory, hub=ingest, archive=archive, clock=clock) as made:
        made.parts.cameras.put("gate", "东门", caption_burned=False)
        made.parts.cameras.put("dome", "球机")
        await made.parts.claim.claim(made.parts.claim.code(), "admin", PASSWORD)
        tasks = [
            asyncio.create_task(one)
            for one in (
                ingest.run(),
                camera(ingest, made, "gate", 150),
                camera(ingest, made, "dome", 100),
                refresh(made, archive),
            )
        ]
        yield made
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def look(page: Page, name: str) -> None:
    """Keep a picture of the page for a person to look at, where one asked for it."""
    if directory := os.environ.get("NVR_PICTURES"):
        await page.screenshot(path=f"{directory}/{name}.png")


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (1280, 800)), ("en", (390, 844))])
async def test_a_caption_of_a_camera_that_encodes_itself_is_set_and_drawn(
    box: Box, browser: Browser, language: str, size: tuple[int, int]
) -> None:
    async with visiting(browser, box, language, size) as visit:
        page = visit.page
        await page.goto(f"{box.url}/#/manage/captions?cam=gate")
        lines = page.locator("#cap-lines")
        await lines.fill("")
        await page.get_by_text(
            "已叠在画面上" if language == "zh-CN" else "Drawn over the picture now"
        ).wait_for()
        await drawn(page, lambda found: found == [0, 0])
        await lines.fill("临江路与东门街\n{hms}")
        await drawn(page, lambda found: found[0] > 0.005)
        kept = lambda: box.parts.cameras.find("gate").caption.lines  # noqa: E731 - local shorthand
        await until("what was typed", lambda: kept() == ("临江路与东门街", "{hms}"))
        await look(page, f"caption-{language}-{size[0]}")
        slider = page.locator(".caption-grid .panel input[type=range]").nth(1)
        await slider.fill("0")
        await drawn(page, lambda found: found[1] == 0 < found[0])
        await slider.fill("900")
        await drawn(page, lambda found: found[1] > 1.9 * found[0])
        await lines.fill("字" * 33)
        long = "第 1 行太长：33 字" if language == "zh-CN" else "Line 1 is too long: 33"
        await page.get_by_text(long).wait_for()
        await lines.fill("字" * 31 + "{weekday}")
        await page.get_by_text(long).wait_for(state="hidden")
        await page.goto(f"{box.url}/#/live?cam=gate")
        await drawn(page, lambda found: found[0] > 0.005)
        await page.goto(f"{box.url}/#/manage/captions?cam=dome")
        await lines.wait_for()
        assert await page.locator("canvas.over:visible").count() == 0


async def test_playback_draws_the_caption_of_then_and_lists_objects(
    box: Box, browser: Browser
) -> None:
    await box.parts.cameras.write_masks("gate", ())
    high, low = (CaptionText(("临江路与东门街",), (20, at), 60, "box") for at in (20, 800))
    await box.parts.cameras.write_caption("gate", high)
    stream = "gate/main"
    await until("a recording", lambda: len(box.parts.archive.ranges(stream, 0, 1 << 62).runs) == 1)
    await until("ten seconds", lambda: _long_us(box, stream) > 10_000_000)
    (run,) = box.parts.archive.ranges(stream, 0, 1 << 62).runs
    nothing = CaptionText((), (0, 0), 15, "plain")
    box.parts.cameras.stood["gate"] = [
        (run.from_us, nothing), (run.from_us + 3_000_000, low), (run.from_us + 6_000_000, high),
    ]  # fmt: skip
    async with visiting(browser, box, "zh-CN", (1280, 800)) as visit:
        page = visit.page
        for after_us, good in (
            (4_500_000, lambda found: found[1] > 0.005 and found[1] > 1.9 * found[0]),
            (7_500_000, lambda found: found[1] == 0 < found[0]),
            (1_500_000, lambda found: found == [0, 0]),
        ):
            await page.goto(f"{box.url}/#/playback?cam=gate&t={run.from_us + after_us}")
            await drawn(page, good)
            await look(page, f"then-{after_us}")
        now_us = box.parts.clock.wall_us()
        box.parts.happenings.all += [
            Happening(1, "gate", "object.truck", "", now_us - 9_000_000, now_us, 870, False),
            Happening(2, "gate", "object.fork_lift", "院子", now_us - 5_000_000, None, 600, False),
        ]
        await page.get_by_role("button", name="事件").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_text("货车").wait_for()
        assert await dialog.get_by_text("fork lift · 院子").count() == 1
        assert await dialog.get_by_text("87 %").count() == 1
        assert await dialog.locator("b.warn").count() == 0, "it is no trouble"
    box.parts.cameras.stood.clear()


def _long_us(box: Box, stream: str) -> int:
    runs = box.parts.archive.ranges(stream, 0, 1 << 62).runs
    return runs[0].to_us - runs[0].from_us


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (1280, 800)), ("en", (390, 844))])
async def test_a_mask_is_drawn_by_hand_and_hides_what_is_under_it(
    box: Box, browser: Browser, language: str, size: tuple[int, int]
) -> None:
    camera = lambda: box.parts.cameras.find("gate")  # noqa: E731 - local shorthand
    await box.parts.cameras.write_masks("gate", ())
    await box.parts.cameras.write_caption("gate", dataclasses.replace(camera().caption, lines=()))
    async with visiting(browser, box, language, size) as visit:
        page = visit.page
        await page.goto(f"{box.url}/#/manage/masks?cam=gate")
        pad = page.locator("canvas.maskpad")
        await pad.wait_for()
        await page.locator(".maskbox .tile.live").wait_for()
        edge = await pad.bounding_box()
        save = page.get_by_role("button", name="保存" if language == "zh-CN" else "Save")
        corners = ((0.1, 0.55), (0.9, 0.55), (0.9, 0.95), (0.1, 0.95))
        for x, y in (*corners, (0.5, 0.7)):
            await page.mouse.click(edge["x"] + x * edge["width"], edge["y"] + y * edge["height"])
        assert await save.is_disabled(), "an area is being drawn"
        await page.get_by_role("button", name="撤销" if language == "zh-CN" else "Undo").click()
        x, y = corners[0]
        await page.mouse.click(edge["x"] + x * edge["width"], edge["y"] + y * edge["height"])
        # The keyboard draws another one: a triangle around the middle of the picture.
        await pad.focus()
        for keys in (
            ("Enter",),
            ("Shift+ArrowUp",) * 5 + ("Enter",),
            ("Shift+ArrowLeft",) * 5 + ("Enter",),
        ):
            for key in keys:
                await pad.press(key)
        await page.get_by_role(
            "button", name="闭合" if language == "zh-CN" else "Close area"
        ).click()
        await look(page, f"mask-{language}-{size[0]}")
        await save.click()
        await until("the masks", lambda: len(camera().masks) == 2)
        drawn_by_hand, by_keys = camera().masks
        for (px, py), (cx, cy) in zip(drawn_by_hand.points_permille, corners, strict=True):
            assert abs(px - 1000 * cx) <= 12
            assert abs(py - 1000 * cy) <= 12
        assert by_keys.points_permille == ((500, 500), (500, 250), (250, 250))
        await page.goto(f"{box.url}/#/live?cam=gate")
        await drawn(page, lambda found: found[0] > 0.25)
        await look(page, f"masked-{language}-{size[0]}")


async def test_who_may_not_see_what_is_hidden_sees_the_rest(box: Box, browser: Browser) -> None:
    """Burned in by the box: what the page itself draws over the picture is not looked at."""
    masks = (Mask(((0, 0), (500, 0), (500, 1000), (0, 1000))),)
    await box.parts.cameras.write_masks("gate", masks)
    rights = rights_of({"*": ["live", "playback"]})
    if box.parts.users.find("guard") is None:
        await box.parts.users.add("guard", "viewer", PASSWORD, rights)
    async with visiting(browser, box, "zh-CN", (1280, 800), "guard") as visit:
        page = visit.page
        visit.expected.add(403)
        await page.goto(f"{box.url}/#/live?cam=gate")
        await page.locator("nvr-tile.focused.live, nvr-tile.live").first.wait_for()
        await until("a picture", lambda: page.evaluate(HALVES))
        left, right = await page.evaluate(HALVES)
        assert left < 40 < 80 < right
        answer = "fetch('/api/camera/gate/gop?t_us=1').then((one) => one.json())"
        assert (await page.evaluate(answer))["code"] == "auth.masked"
        await look(page, "masked-denied")


async def _shares(page: Page) -> list[float]:
    return await page.evaluate(DRAWN)


async def drawn(page: Page, good: Callable[[list[float]], bool]) -> None:
    """Wait until what is drawn over the picture is what is wanted."""
    async with asyncio.timeout(40):
        while not good(await _shares(page)):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (1280, 800)), ("en", (390, 844))])
async def test_what_a_camera_made_of_what_it_was_told_stands_beside_it(
    box: Box, browser: Browser, language: str, size: tuple[int, int]
) -> None:
    cameras, zh = box.parts.cameras, language == "zh-CN"
    remarks = (Remark("osd.cut", 1, "4"), Remark("osd.refused", 2, "no <b>"), Remark("osd.size"))
    failed = Drawn("failed", "mask.uncovered", "", (Remark("mask.uncovered", 1),))
    before = cameras.find("gate")
    told = dataclasses.replace(
        before, caption_burned=True, caption_drawn=Drawn("partly", remarks=remarks),
        masks=(Mask(((0, 0), (500, 0), (500, 500))),), masks_drawn=failed,
    )  # fmt: skip
    cameras.set(told)
    try:
        async with visiting(browser, box, language, size) as visit:
            page = visit.page
            await page.goto(f"{box.url}/#/manage/captions?cam=gate")
            cut = "1: 摄像机截短为 4 个字符" if zh else "1: the camera cut it to 4 characters"
            await page.get_by_text(cut).wait_for()
            await page.get_by_text("no <b>").wait_for()
            assert await page.locator(".code", has_text="osd.size").count() == 1
            await look(page, f"told-{language}-{size[0]}")
            own = page.get_by_role("button", name="由摄像机写入" if zh else "Written by the camera")
            assert await own.get_attribute("aria-pressed") == "true"
            await own.click()
            await until("never", lambda: cameras.find("gate").caption_burn == "none")
            await page.locator(
                "button[aria-pressed=false]", has_text="写入" if zh else "Written"
            ).wait_for()
            cameras.set(dataclasses.replace(cameras.find("gate"), caption_drawn=None))
            await page.get_by_text(cut).wait_for(state="hidden")
            await page.goto(f"{box.url}/#/manage/masks?cam=gate")
            await page.get_by_text("按未遮挡处理" if zh else "count as unmasked").wait_for()
            await page.get_by_role(
                "button", name="由摄像机遮挡" if zh else "Hidden by the camera"
            ).click()
            await until("never", lambda: cameras.find("gate").mask_burn == "none")
            assert cameras.find("gate").masks == told.masks, "they are as they were"
            assert await page.evaluate(CUT) == []
    finally:
        cameras.set(before)
