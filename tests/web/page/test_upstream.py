"""Upstream systems on the page, over a real box: the ONVIF device, and who is told what happens."""

import asyncio
import json
from collections.abc import AsyncIterator

import ntplib
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.app.box import NAME, RunningBox, running_box
from tests.app.box import PASSWORD as BOX_PASSWORD
from tests.ports import free_port
from tests.serve.notify_servers import answers, receiver
from tests.web.page.visit import Visit, signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(240),
]
WAIT_MS = 60_000
NTP_PORT = free_port()
WORDS = {
    "zh-CN": {"on": "启用", "port": "端口", "save": "保存", "at": "地址：http",
              "hook": "Webhook 推送",
              "name": "短名", "url": "地址", "secret": "密码或密钥", "test": "发送测试",
              "took": "毫秒后收下", "remove": "删除", "none": "还没有设置", "connected": "已连接",
              "each": "每路摄像机另作为一台独立设备", "ports": "摄像机端口：dome", "off": "未启用"},
    "en-GB": {"on": "On", "port": "Port", "save": "Save", "at": "Address: http", "hook": "Webhook",
              "name": "Short name", "url": "Address", "secret": "Password or secret",
              "test": "Send a test", "took": "Taken after", "remove": "Remove",
              "none": "Nobody is told yet", "connected": "Connected",
              "each": "Each camera is a device of its own as well",
              "ports": "Ports of cameras: dome",
              "off": "Off"},
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBox]:
    async with running_box(tmp_path_factory.mktemp("box"), f"[ntp]\nport = {NTP_PORT}") as it:
        await it.until("dome", "state", "live", 60)
        yield it


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (390, 844)), ("en-GB", (1280, 800))])
async def test_the_onvif_device_and_a_webhook_are_set_up_on_the_page(
    browser: Browser, box: RunningBox, language: str, size: tuple[int, int]
) -> None:
    words = WORDS[language]
    visit = await signed_in(browser, box, language, size, NAME, BOX_PASSWORD)
    page = visit.page
    await page.goto(f"{box.url}/#/manage/machines")
    onvif = page.locator("section.panel").filter(has_text="ONVIF").first
    port = free_port()
    await onvif.get_by_label(words["on"], exact=True).check()
    await onvif.get_by_label(words["each"]).check()
    await onvif.get_by_label(words["port"], exact=True).fill(str(port))
    await onvif.get_by_role("button", name=words["save"]).click()
    await expect(onvif).to_contain_text(words["at"], timeout=WAIT_MS)
    await expect(onvif).to_contain_text(f"{words['ports']} {port + 1}", timeout=WAIT_MS)
    await answers(port)
    await answers(port + 1)
    state = await box.call("GET", "/api/upstream/onvif")
    assert (state["port"], state["channels"]) == (port, {"dome": port + 1})
    await onvif.get_by_label(words["each"]).uncheck()
    await onvif.get_by_label(words["on"], exact=True).uncheck()
    await onvif.get_by_role("button", name=words["save"]).click()
    await expect(onvif.locator("p.s", has_text=words["off"]).first).to_be_visible(timeout=WAIT_MS)

    told = page.locator("section.panel").filter(has_text="MQTT").last
    await expect(told).to_contain_text(words["none"])
    async with receiver(free_port()) as there:
        await told.get_by_role("button", name=words["hook"]).click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label(words["name"]).fill("ticket")
        await dialog.get_by_label(words["url"], exact=True).fill(f"http://127.0.0.1:{there.port}/")
        await dialog.get_by_label(words["secret"]).fill("whsec_" + "A" * 32)
        await dialog.get_by_role("button", name=words["save"]).click()
        card = told.locator("[data-notify='webhook/ticket']")
        await expect(card).to_be_visible()
        await card.get_by_role("button", name=words["test"]).click()
        await expect(page.locator(".notes")).to_contain_text(words["took"], timeout=WAIT_MS)
        said, body = there.came[0]
        assert json.loads(body)["type"] == "test"
        assert said["webhook-signature"].startswith("v1,")
        await box.call("POST", "/api/output/lamp", {"do": "on"})
        await there.until(2)
        await box.call("POST", "/api/output/lamp", {"do": "off"})
        await page.locator("body").click(position={"x": 2, "y": 2})
        await expect(card).to_contain_text(words["connected"], timeout=WAIT_MS)
        await card.get_by_role("button", name=words["remove"]).click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name=words["remove"]).click()
        await expect(told).to_contain_text(words["none"], timeout=WAIT_MS)
    await fits(visit)


@pytest.mark.parametrize(("language", "size"), [("zh-CN", (1280, 800)), ("en-GB", (390, 844))])
async def test_cameras_are_told_the_time_once_it_is_switched_on(
    browser: Browser, box: RunningBox, language: str, size: tuple[int, int]
) -> None:
    visit = await signed_in(browser, box, language, size, NAME, BOX_PASSWORD)
    page = visit.page
    await page.goto(f"{box.url}/#/manage/box")
    panel = page.locator("section.panel").filter(has_text="NTP")
    switch = panel.get_by_role("checkbox")
    await switch.check()
    async with asyncio.timeout(60):
        while not (await box.call("GET", "/api/ntp"))["listening"]:
            await asyncio.sleep(0.1)
    heard = await asyncio.to_thread(
        ntplib.NTPClient().request, "127.0.0.1", version=3, port=NTP_PORT, timeout=30
    )
    assert heard.stratum == (await box.call("GET", "/api/ntp"))["stratum"]
    await expect(panel.get_by_role("table")).to_contain_text("127.0.0.1", timeout=WAIT_MS)
    await switch.uncheck()
    await expect(panel.get_by_role("table")).to_have_count(0, timeout=WAIT_MS)
    assert not (await box.call("GET", "/api/ntp"))["listening"]
    await fits(visit)


async def fits(visit: Visit) -> None:
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await visit.page.evaluate(wide) <= 0
    assert visit.faults == []
    await visit.context.close()
