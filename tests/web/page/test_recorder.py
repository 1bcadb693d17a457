"""The page on the shipped `nvr run`: hands on the stick, a head that turns, the picture of it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.sim import launch
from tests.app.box import NAME, PASSWORD, RunningBox, running_box
from tests.web.page.test_page import until

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBox]:
    async with running_box(tmp_path_factory.mktemp("recorder")) as box:
        yield box


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(recorder: RunningBox, browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(
        ignore_https_errors=True, viewport={"width": 1280, "height": 800}, locale="zh-CN"
    )
    page = await context.new_page()
    await page.goto(recorder.url)
    await page.locator("input").nth(0).fill(NAME)
    await page.locator("input").nth(1).fill(PASSWORD)
    await page.locator("form button[type=submit]").click()
    await page.locator(".tile.focus.live").wait_for()
    yield page
    await context.close()


async def head(recorder: RunningBox) -> dict[str, Any]:
    """What the simulated dome itself says."""
    return await asyncio.to_thread(launch.ask, recorder.data / "sim", {"get": True})


async def at_rest(recorder: RunningBox) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (state := await head(recorder))["moving"]:
            await asyncio.sleep(0.02)
    return state


async def push(page: Page, dx: float, dy: float, seconds: float) -> None:
    """Take the stick, hold it over to one side, let go."""
    box = await page.locator("nvr-stick").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + dx, y + dy, steps=4)
    await asyncio.sleep(seconds)
    await page.mouse.up()


async def test_the_stick_turns_the_head_and_letting_go_stops_it(
    recorder: RunningBox, page: Page
) -> None:
    before = await at_rest(recorder)
    await push(page, 70, 0, 1.0)
    after = await at_rest(recorder)
    assert (after["pan_deg"] - before["pan_deg"]) % 360 > 2
    assert (after["pan_deg"] - before["pan_deg"]) % 360 < 180, "to the right"
    await asyncio.sleep(0.3)
    assert (await head(recorder))["pan_deg"] == after["pan_deg"]


async def test_the_azimuth_tape_shows_where_the_head_points(
    recorder: RunningBox, page: Page
) -> None:
    """Asked of the head over its line, not worked out."""
    await push(page, 70, 0, 0.6)
    state = await at_rest(recorder)
    await page.locator(".tile.focus svg.tape").wait_for()
    # Heads answer in hundredths of a degree and the page shows tenths: it is rounded twice.
    await page.wait_for_function(
        """pan_deg => {
            const shown = document.querySelector(".position").textContent;
            return Math.abs(parseFloat(shown) - pan_deg) < 0.056;
        }""",
        arg=state["pan_deg"],
        timeout=5000,
    )


async def test_a_preset_saved_on_the_page_is_found_again(recorder: RunningBox, page: Page) -> None:
    home = await at_rest(recorder)
    await page.locator(".pre.new:not([data-measure])").click()
    await page.locator(".dialog input").nth(0).fill("试拍位")
    await page.locator(".dialog input").nth(1).fill("12")
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".pre", has_text="试拍位").wait_for()
    await push(page, -70, 0, 1.0)
    away = await at_rest(recorder)
    assert abs(away["pan_deg"] - home["pan_deg"]) > 2
    await page.locator(".pre", has_text="试拍位").click()
    async with asyncio.timeout(15):
        while abs((await at_rest(recorder))["pan_deg"] - home["pan_deg"]) > 0.2:
            await asyncio.sleep(0.1)


async def test_the_lamp_is_switched_where_it_hangs(recorder: RunningBox, page: Page) -> None:
    await page.locator("[data-output=lamp]").click()
    await page.locator("[data-output=lamp][aria-pressed=true]").wait_for()
    async with asyncio.timeout(5):
        while not (await head(recorder))["lamp"]:
            await asyncio.sleep(0.05)
    await page.locator("[data-output=lamp]").click()
    await page.locator("[data-output=lamp][aria-pressed=false]").wait_for()


async def test_the_wiper_washes_and_ends_by_itself(recorder: RunningBox, page: Page) -> None:
    await page.get_by_role("button", name="喷洗").click()
    async with asyncio.timeout(30):
        while not (await head(recorder))["relays"]["washer"]:
            await asyncio.sleep(0.05)
        while not (await head(recorder))["wiper"]:
            await asyncio.sleep(0.05)
        while (await head(recorder))["wiper"] or (await head(recorder))["relays"]["washer"]:
            await asyncio.sleep(0.05)


async def test_a_caption_typed_on_the_page_is_kept(recorder: RunningBox, page: Page) -> None:
    await page.goto(f"{recorder.url}/#/manage/captions")
    lines = page.locator("#cap-lines")
    await lines.fill("东门钟楼 \U0001f4a1\n{time}")
    await page.locator(".problem.soft", has_text="\U0001f4a1").wait_for()
    found = await recorder.call("GET", "/api/camera/dome/caption")
    assert found["lines"] == ["东门钟楼 \U0001f4a1", "{time}"]
    await lines.fill("东门钟楼\n{time}")
    await page.locator(".problem.soft").wait_for(state="detached")


async def test_what_was_seen_is_played_back(recorder: RunningBox, page: Page) -> None:
    await page.goto(f"{recorder.url}/#/playback?cam=dome&back=5")
    picture = page.locator(".pic video")
    async with asyncio.timeout(15):
        while not await picture.evaluate("v => v.videoWidth === 1280 && v.currentTime > 0"):
            await asyncio.sleep(0.1)
    before = await picture.evaluate("v => v.currentTime")
    await asyncio.sleep(1.2)
    assert await picture.evaluate("v => v.currentTime") - before > 0.6
    assert await page.locator(".pic.nothing").count() == 0


async def test_what_was_recorded_runs_backwards_and_over_key_frames(
    recorder: RunningBox, page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto("about:blank")
    await page.goto(f"{recorder.url}/#/playback?cam=dome&back=6")
    width = "document.querySelector('.pic video')?.videoWidth"
    await until("a picture", lambda: page.evaluate(f"{width} === 1280"))
    places = """(ms) => new Promise((resolve) => {
      const playback = document.querySelector("nvr-playback");
      const [found, begun] = [[], performance.now()];
      const canvas = document.querySelector(".pic canvas");
      const look = () => {
        playback.draw();
        if (!canvas.hidden) found.push(playback.timeline.playhead_us);
        if (canvas.hidden || performance.now() - begun > ms) resolve(found);
        else requestAnimationFrame(look);
      };
      look();
    })"""
    shuttled = "!document.querySelector('.pic canvas').hidden"
    await page.keyboard.press("j")
    await until("it runs", lambda: page.evaluate(shuttled))
    back = await page.evaluate(places, 4000)
    assert back == sorted(back, reverse=True)
    assert len(set(back)) > 2
    await page.keyboard.press("k")
    await until("it stands", lambda: page.evaluate(f"!({shuttled})"))
    await page.goto("about:blank")  # what is in its memory is not fetched again
    await page.goto(f"{recorder.url}/#/playback?cam=dome&back=4")
    await until("a picture", lambda: page.evaluate(f"{width} === 1280"))
    await page.locator(".tp .rate").select_option("-8")
    asked.clear()
    await page.keyboard.press("j")
    await page.locator(".tp .rate").select_option("-8")
    await until("key frames", lambda: any("key=1" in url for url in asked))
    await until("the beginning", lambda: page.evaluate(f"!({shuttled})"))


async def test_one_camera_on_a_phone(recorder: RunningBox, page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(f"{recorder.url}/#/live")
    await page.locator(".tile.focus.live").wait_for()
    picture = await page.locator(".tile.focus").bounding_box()
    preset = await page.locator(".pre").first.bounding_box()
    assert picture
    assert preset
    assert preset["y"] >= picture["y"] + picture["height"] + 4, "not under the picture's edge"
    await page.goto(f"{recorder.url}/#/playback?cam=dome")
    await page.locator(".pic .tools").wait_for()
    assert await page.locator(".pic .tools button").last.is_visible(), "full screen"
    await page.set_viewport_size({"width": 1280, "height": 800})


async def test_the_log_says_in_words_from_where_a_dome_was_moved(
    recorder: RunningBox, page: Page
) -> None:
    await page.goto(f"{recorder.url}/#/manage/audit")
    await page.locator(".audit td", has_text="转动球机").first.wait_for()
    sources = await page.locator(".audit td:nth-child(5)").all_inner_texts()
    assert any(one.startswith("网页 ") for one in sources)
    assert not [one for one in sources if one.startswith("page/")]
    done = await page.locator(".audit td:nth-child(3)").all_inner_texts()
    assert [one for one in done if one.isascii()] == []


async def test_a_killed_recorder_is_not_said_to_record(recorder: RunningBox, page: Page) -> None:
    await page.goto(f"{recorder.url}/#/live")
    await page.locator(".tile.focus.live").wait_for()
    await recorder.end(signal.SIGKILL)
    await page.locator(".banner", has_text="失联").wait_for()
    assert "录像照常" not in await page.locator(".banner").inner_text()
    await page.locator(".tile.focus .msg", has_text="与本机失联").wait_for()
    assert not await page.get_by_text("已录", exact=True).is_visible()
    await recorder.start()
    await page.locator(".problem", has_text="登录已结束").wait_for(timeout=20_000)
    await page.locator("input").nth(0).fill(NAME)
    await page.locator("input").nth(1).fill(PASSWORD)
    await page.locator("form button[type=submit]").click()
    await page.locator(".tile.focus.live").wait_for()


async def test_a_page_that_goes_leaves_no_dome_turning(recorder: RunningBox, page: Page) -> None:
    other = await page.context.new_page()
    await other.goto(recorder.url)
    await other.locator(".tile.focus.live").wait_for()
    box = await other.locator("nvr-stick").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await other.mouse.move(x, y)
    await other.mouse.down()
    await other.mouse.move(x - 70, y, steps=4)
    async with asyncio.timeout(10):
        while not (await head(recorder))["moving"]:
            await asyncio.sleep(0.02)
    await other.close()
    state = await at_rest(recorder)
    await asyncio.sleep(0.5)
    assert (await head(recorder))["pan_deg"] == state["pan_deg"]
