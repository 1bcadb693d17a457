"""GB/T 28181 platforms on the page: one is added, registers, is shown, and goes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.app.box import NAME, PASSWORD, RunningBox, running_box
from tests.serve.gb_platform import DEVICE, SERVER, Platform, serve_udp
from tests.serve.gb_platform import PASSWORD as SIP_PASSWORD
from tests.web.page.visit import signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBox]:
    async with running_box(tmp_path_factory.mktemp("recorder")) as running:
        yield running


async def test_a_platform_is_added_on_a_phone_and_is_shown_registered(
    browser: Browser, box: RunningBox
) -> None:
    platform = Platform()
    server = await serve_udp(platform)
    visit = await signed_in(browser, box, "en-GB", (390, 844), NAME, PASSWORD)
    page = visit.page
    try:
        await page.goto(f"{box.url}/#/manage/machines")
        await page.get_by_role("button", name="Add platform").click()
        fields = page.get_by_role("dialog")
        for label, text in (
            ("Name", "city"), ("Address of the platform", "127.0.0.1"),
            ("Port", str(platform.port)), ("ID of the platform (20 digits)", SERVER),
            ("ID of this box (20 digits, type 118)", DEVICE), ("Password", SIP_PASSWORD),
        ):  # fmt: skip
            await fields.get_by_label(label, exact=True).fill(text)
        await fields.locator(".channel input[type=checkbox]").first.check()
        await expect(fields.locator(".channel input.mono").first).to_have_value(
            f"{DEVICE[:10]}1320000001"
        )
        await fields.locator("button[type=submit]").click()
        await expect(page.get_by_text("Registered since")).to_be_visible(timeout=60_000)
        (told,) = (await box.call("GET", "/api/upstream/gb28181"))["platforms"]
        assert told["channels"] == [
            {"id": f"{DEVICE[:10]}1320000001", "camera": "dome", "rights": ["live"], "speaker": "",
             "box": ""}
        ]  # fmt: skip
        card = page.locator("article", has_text="city")
        await card.get_by_role("button", name="Change").click()
        await fields.get_by_role("button", name="Add recorder").click()
        await fields.get_by_label("Name of the recorder").fill("North gate")
        below = await fields.get_by_label("ID of the recorder (20 digits, type 118)").input_value()
        await fields.get_by_label("Recorder it belongs to").select_option("North gate")
        await fields.locator("button[type=submit]").click()
        await expect(fields).to_have_count(0, timeout=60_000)
        (told,) = (await box.call("GET", "/api/upstream/gb28181"))["platforms"]
        assert told["boxes"] == [{"id": below, "title": "North gate"}]
        assert told["channels"][0]["box"] == below != DEVICE
        await card.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(page.get_by_text("No platform")).to_be_visible(timeout=60_000)
    finally:
        server.close()
