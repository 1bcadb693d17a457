"""Finding cameras on the page: what is found, what is wrong with it, set right, recorded."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from nvr.base.clock import SystemClock
from tests.web.box import PASSWORD, Box, running
from tests.web.page.visit import Visit, signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
SIZES = {"desk": (1280, 800), "phone": (390, 844)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    directory: Path = tmp_path_factory.mktemp("box")
    async with running(directory, clock=SystemClock()) as box:
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        yield box


async def opened(browser: Browser, box: Box, language: str, size: tuple[int, int]) -> Visit:
    visit = await signed_in(browser, box, language, size)
    page = visit.page
    await page.goto(f"{box.url}/#/manage/cameras/find")
    await page.locator(".cr").first.wait_for()
    return visit


async def log_in(page: Page, password: str, button: str) -> None:
    await page.locator("button", has_text=button).first.click()
    await page.locator(".dialog input[type=password]").fill(password)
    await page.locator(".dialog button[type=submit]").click()


@pytest.mark.parametrize("where", SIZES)
@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
async def test_the_page_fits_and_says_what_is_wrong(
    browser: Browser, box: Box, language: str, where: str
) -> None:
    visit = await opened(browser, box, language, SIZES[where])
    page, chinese = visit.page, language.startswith("zh")
    await log_in(page, "right", "登录全部" if chinese else "Log in to all")
    await expect(page.locator(".cr.a")).to_have_count(1)
    await expect(page.locator(".cr.w")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") <= SIZES[where][0]
    head = await page.locator(".find h2").inner_text()
    assert head == ("找到 3 台摄像机，2 台要处理" if chinese else "3 cameras found, 2 need you")
    # The worst comes first, and each says what it is, what to do, and its code.
    first = await page.locator(".cr").first.inner_text()
    assert "onvif.refused" in first
    assert ("核对后再输" if chinese else "Check it first") in first
    second = await page.locator(".cr").nth(1).inner_text()
    assert "onvif.clock_off" in second
    assert "38" in second
    await page.locator(".find-act .p").wait_for()
    # Two were seen, and are shown as they were.
    await expect(page.locator(".find-pic canvas")).to_have_count(2)
    pixel = "(c) => [...c.getContext('2d').getImageData(100, 60, 1, 1).data]"
    red, green, *_ = await page.locator(".find-pic canvas").first.evaluate(pixel)
    assert red > 150 > green
    await visit.context.close()
    assert visit.faults == []


async def test_a_camera_is_set_right_and_all_good_ones_are_recorded(
    browser: Browser, box: Box
) -> None:
    finder = box.parts.finder
    visit = await opened(browser, box, "zh-CN", SIZES["desk"])
    page = visit.page
    await log_in(page, "right", "登录全部")
    await page.locator(".cr.w button", has_text="改成 2 秒").click()
    await expect(page.locator(".cr.w", has_text="camera.gop_long")).to_have_count(0)
    await page.locator(".cr.w button", has_text="校准时钟").click()
    await expect(page.locator(".cr.w")).to_have_count(0)
    assert finder.cured == ["gop", "clock"]
    # One has a password of its own; the others are not asked again for it.
    asked = len(finder.asked)
    await page.locator(".cr.a button", has_text="输入密码").click()
    await page.locator(".dialog input[type=password]").fill("other")
    await page.locator(".dialog button[type=submit]").click()
    await expect(page.locator(".cr .chip.ok", has_text="合格")).to_have_count(3)
    assert [one.address for one in finder.asked[asked:]] == ["192.168.1.65:80"]
    title = page.locator(".cr", has_text="192.168.1.65").locator("input")
    await title.fill("泵房 <b>5</b>")
    await page.locator(".find-act .p", has_text="录制 3 台").click()
    await page.locator(".cam-card").first.wait_for()
    added = {name: state.title for name, state in box.parts.cameras.states.items()}
    assert added == {"cam-61": "临江路口", "cam-64": "河堤步道", "cam-65": "泵房 <b>5</b>"}
    await visit.context.close()
    assert visit.faults == []


async def test_an_address_that_answers_no_search_can_be_looked_into(
    browser: Browser, box: Box
) -> None:
    visit = await opened(browser, box, "zh-CN", SIZES["desk"])
    page = visit.page
    visit.expected.add(400)
    await page.locator(".find-why button").click()
    await page.locator(".dialog input").fill("nonsense")
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".find .problem", has_text="camera.search").wait_for()
    await page.locator(".find-why button").click()
    await page.locator(".dialog input").fill("192.168.1.77")
    await page.locator(".dialog button[type=submit]").click()
    row = page.locator(".cr", has_text="192.168.1.77")
    await row.locator("button", has_text="输入密码").click()
    await page.locator(".dialog input[type=password]").fill("right")
    await page.locator(".dialog button[type=submit]").click()
    await row.locator(".chip.ok").wait_for()
    await visit.context.close()
    assert visit.faults == []
