"""One browser for each module of tests, and the page's modules without any server."""

import mimetypes
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page, Route, async_playwright

import nvr.web

PAGE = Path(nvr.web.__file__).parent / "page"
ARGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
EMPTY = "<!doctype html><meta charset=utf-8><title>modules</title><div id=app></div>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=ARGS, timeout=60_000
        )
        yield started
        await started.close()


async def from_disk(route: Route) -> None:
    """Answer a request for the page's files with the files themselves."""
    path = route.request.url.removeprefix("https://page.test/").split("?")[0]
    if not path:
        await route.fulfill(body=EMPTY, content_type="text/html")
        return
    file = PAGE / path
    if not file.is_file():
        await route.fulfill(status=404, body="")
        return
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    await route.fulfill(body=file.read_bytes(), content_type=kind)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def modules(browser: Browser) -> AsyncIterator[Page]:
    """A page that can import any module; nothing of the box is there."""
    context = await browser.new_context(timezone_id="Asia/Shanghai", locale="zh-CN")
    page = await context.new_page()
    await page.route("https://page.test/**", from_disk)
    await page.goto("https://page.test/")
    yield page
    await context.close()
