"""What is the matter with a camera, on the page: the list, its own page, its tile."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from nvr.base.clock import SystemClock
from nvr.media.camera import SubSettings
from nvr.media.ingest import Ingest
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.demo import trouble
from tests.web.page.test_page import CUT, until
from tests.web.page.visit import Visit, signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    clock, archive = SystemClock(), MemoryArchive()
    ingest = Ingest(archive.take, clock, lambda: 12)
    directory: Path = tmp_path_factory.mktemp("box")
    async with running(directory, hub=ingest, archive=archive, clock=clock) as box:
        cameras = box.parts.cameras
        cameras.put("gate", "东门", code="", codec="h264")
        await cameras.write_sub("gate", SubSettings("rtsp://192.0.2.10/2"))
        cameras.put("yard", "后院")
        cameras.put("bridge", "大桥", state="lost", code="camera.lost", codec="")
        trouble(cameras, clock.wall_us())
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        yield box


@contextlib.asynccontextmanager
async def visitor(box: Box, browser: Browser, width: int, height: int) -> AsyncIterator[Visit]:
    visit = await signed_in(browser, box, "zh-CN", (width, height))
    yield visit
    assert visit.faults == []
    await visit.context.close()


async def test_a_bad_wire_is_found_and_what_to_do_about_it(site: Box, browser: Browser) -> None:
    async with visitor(site, browser, 1280, 800) as visit:
        page = visit.page
        await page.goto(site.url + "/#/manage/cameras")
        card = page.locator(".cam-card.warn-card", has_text="后院")
        await card.get_by_text("丢包").first.wait_for()
        await card.get_by_label("诊断").click()
        said = page.locator(".diag.warn")
        await said.get_by_text("路上丢包。").wait_for()
        text = await said.inner_text()
        assert "测得 2.4\u202f%，限度 0.5\u202f%" in text
        assert "camera.gop_long" in text
        assert [await hop.inner_text() for hop in await page.locator(".hop.brk b").all()] == [
            "网络",
            "出流",
        ]
        assert await page.locator(".plot .bad").count() == 4
        assert "查网线" in await page.locator(".todo li").first.inner_text()
        assert await page.locator(".log tr").count() == 4
        assert "1,204" in await page.locator(".cnt").inner_text()
        await page.locator(".plot .seg button", has_text="24 小时").click()
        await until("the day", lambda: page.locator(".plot .bad.lost").count())
        assert await page.evaluate(CUT) == []
        await said.locator("p", has_text="camera.gop_long").get_by_text("不再提醒").click()
        await until("it is asked for", lambda: site.parts.cameras.tolerated)
        assert site.parts.cameras.tolerated == {"yard": ["camera.gop_long"]}
        await page.locator(".diag").get_by_text("重新连接").click()
        await page.locator(".note", has_text="正在重新连接").wait_for()
        assert site.parts.cameras.reconnected == ["yard"]


async def test_a_camera_that_is_gone_on_a_phone(site: Box, browser: Browser) -> None:
    async with visitor(site, browser, 390, 844) as visit:
        page = visit.page
        await page.goto(site.url + "/#/manage/cameras/bridge")
        await page.locator(".diag.alarm").get_by_text("摄像机断开").wait_for()
        assert await page.locator(".hop.off").count() == 3
        first = await page.locator(".diag").bounding_box()
        tile = await page.locator(".diagnosis nvr-tile").bounding_box()
        assert first["y"] < tile["y"], "what is the matter comes first"
        assert await page.evaluate(CUT) == []
        await page.goto(site.url + "/#/manage/cameras/gate")
        await page.locator(".diag", has_text="一切正常").wait_for()
        assert await page.locator(".hop.brk, .hop.off, .todo li").count() == 0
        await page.get_by_role("button", name="子码流").click()
        await page.locator(".plot", has_text="240").wait_for()
        assert await page.evaluate(CUT) == []


async def test_a_tile_says_what_is_the_matter(site: Box, browser: Browser) -> None:
    cameras = site.parts.cameras
    async with visitor(site, browser, 1280, 800) as visit:
        page = visit.page
        await page.goto(site.url + "/#/manage/cameras/gate")
        await page.locator(".diag", has_text="一切正常").wait_for()
        before = cameras.states["gate"]
        try:
            cameras.set(dataclasses.replace(before, health=cameras.states["yard"].health))
            card = page.locator(".chip.warn", has_text="3")
            await card.wait_for()
        finally:
            cameras.set(before)


async def test_what_stays_in_the_picture_of_a_removed_camera_is_said(
    site: Box, browser: Browser
) -> None:
    cameras = site.parts.cameras
    cameras.put("extra", "车库")
    cameras.left = 2
    async with visitor(site, browser, 390, 844) as visit:
        page = visit.page
        await page.goto(site.url + "/#/manage/cameras")
        card = page.locator(".cam-card", has_text="车库")
        await card.get_by_label("移除").click()
        await page.locator(".dialog").get_by_role("button", name="移除").click()
        await page.get_by_text("画面里留有 2 个文字或遮挡").wait_for()
        await card.wait_for(state="detached")
