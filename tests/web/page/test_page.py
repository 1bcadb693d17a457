"""The page as a person meets it: claim, look, steer, go back; in a real browser, over TLS."""

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.app import backup
from nvr.base.clock import SystemClock
from nvr.base.errors import Unavailable
from nvr.export.order import Wanted
from nvr.export.s3 import Bucket, Notes
from nvr.export.store import Place
from nvr.export.target import AllTargets
from nvr.hal.virtual_stick import VirtualSticks
from nvr.media.camera import NotRecorded
from nvr.media.head import HeadSettings, OwnOutput
from nvr.media.ingest import Ingest
from nvr.playback.gap import Fetch
from nvr.playback.trust import NOT_NOTED, Trust
from nvr.record.keys import day_of
from nvr.record.remembered import Damage, Remembered, Round
from nvr.seal import root
from nvr.web.parts import VolumeLook
from tests.hal import test_stick
from tests.ports import free_port
from tests.seal.simulated import SimulatedTpm
from tests.web.box import PASSWORD, Box, MemoryArchive, running, sealed_volume
from tests.web.demo import camera, refresh
from tests.web.page.visit import Visit

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

MANAGE = ("cameras", "captions", "masks", "locks", "exports", "users", "machines", "audit", "box")
# Text that stands outside of the screen or is wider than its own box; rows made to be pushed
# sideways (tabs, presets) and names that end in dots are meant to be so.
CUT = """() => [
  ...document.querySelectorAll("main *, header.bar *, nav *, .dialog *")
].filter((node) => {
  if (!node.checkVisibility() || !node.firstChild || node.closest(".strip, .tabs, .nm")) {
    return false;
  }
  const box = node.getBoundingClientRect();
  const style = getComputedStyle(node);
  const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
  if (node.matches(".rate")) {
    const ctx = new OffscreenCanvas(1, 1).getContext("2d");
    ctx.font = style.font;
    const room = node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return ctx.measureText(node.selectedOptions[0].text).width > room;
  }
  if (!own && !node.matches(".bn")) return false;
  if (node.tagName === "OPTION" || style.textOverflow === "ellipsis") return false;
  const row = node.closest(".quad");
  const frame = node.closest(".btn")?.getBoundingClientRect() ?? box;
  return box.width > 1 && (box.left < frame.left || box.right > frame.right
    || !row && box.right > innerWidth + 1
    || !row && box.left < -1
    || (node.scrollWidth > node.clientWidth + 1 && style.overflowX !== "visible"));
}).map((node) => `${node.tagName}.${node.className}: ${node.textContent.trim().slice(0, 40)}`)"""
HOSTILE = '"><img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script>'


class FromMemory:
    """Exports out of what is in memory, waiting where a test holds them. See `Make`."""

    def __init__(self, archive: MemoryArchive) -> None:
        self._archive = archive
        self.held = threading.Event()
        self.held.set()

    def size_bytes(self, wanted: Wanted) -> int:
        return 1_000_000 * len(wanted.cameras)

    def missing(self, wanted: Wanted) -> str:
        return "ก" if wanted.captions else ""

    def files(self, wanted: Wanted) -> Iterator[tuple[str, Iterator[tuple[bytes, float]]]]:
        def pieces(camera: str, before: int) -> Iterator[tuple[bytes, float]]:
            found = list(self._archive.export(f"{camera}/main", wanted.from_us, wanted.to_us))
            for n, piece in enumerate(found):
                share = (before + n / len(found)) / len(wanted.cameras)
                while n == len(found) // 2 and not self.held.wait(0.05):
                    yield b"", share
                yield piece, share

        kind = {"mp4": "mp4", "ps": "mpg", "evidence": "zip"}[wanted.form]
        for n, name in enumerate(wanted.cameras):
            title = "东门" if name == "gate" else name
            yield f"{title}-20260101.{kind}", pieces(name, n)


@dataclass
class Site:
    """A box with two moving pictures, one lost camera and a title that wants to be a script."""

    box: Box
    archive: MemoryArchive
    make: "FromMemory"
    sticks: VirtualSticks

    @property
    def log(self) -> list[tuple[object, ...]]:
        return self.box.parts.ptz.log

    def since(self, mark: int, *kinds: str) -> list[tuple[object, ...]]:
        return [row for row in self.log[mark:] if not kinds or row[0] in kinds]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    clock = SystemClock()
    archive = MemoryArchive()
    make = FromMemory(archive)
    sticks = VirtualSticks(tmp_path_factory.mktemp("sticks"))
    since_us = 1_800_000_000_000_000
    archive.read_back = Remembered(
        "",
        last=Round(since_us - 86_400_000_000, since_us, 700, 9 << 30),
        now=Round(since_us, 0, 1, 1 << 20),
        damages=(
            Damage(
                1204, 9, "gate/main", since_us, since_us + 500_000, 1, (), True, "EIO", since_us
            ),
        ),
        avoided=(1204,),
    )
    ingest = Ingest(archive.take, clock, lambda: 12)
    directory: Path = tmp_path_factory.mktemp("box")
    today = day_of(clock.wall_us())
    async with contextlib.AsyncExitStack() as stack:
        keys = stack.enter_context(
            sealed_volume(directory, [("gate/main", today - 1), ("gate/main", today)])
        )
        box = await stack.enter_async_context(
            running(
                directory,
                hub=ingest,
                archive=archive,
                clock=clock,
                keys=keys,
                make=make,
                sticks=[sticks],
            )
        )
        cameras = box.parts.cameras
        cameras.put("gate", "东门")
        cameras.put("yard", HOSTILE)
        lost: dict[str, object] = {
            "state": "lost",
            "code": "camera.lost",
            "detail": "no route",
            "codec": "",
        }
        lost["since_us"] = clock.wall_us() - 587_000_000
        cameras.put("bridge", "大桥", **lost, caption_burned=False)
        tasks = [
            asyncio.create_task(one)
            for one in (
                ingest.run(),
                camera(ingest, box, "gate", 150),
                camera(ingest, box, "yard", 100),
                refresh(box, archive),
            )
        ]
        yield Site(box, archive, make, sticks)
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visit(site: Site, browser: Browser) -> AsyncIterator[Visit]:
    """The administrator, from the claim to the last test of this module."""
    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": 1280, "height": 800},
        locale="zh-CN",
        timezone_id="Asia/Shanghai",
    )
    page = await context.new_page()
    visit = Visit(page, context)
    visit.watch()
    await page.goto(site.box.url)
    yield visit
    await context.close()


async def until(
    what: str, check: Callable[[], Awaitable[object] | object], seconds: float = 30
) -> None:
    """Wait for something to become true."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        found = check()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"never came: {what}")
        await asyncio.sleep(0.05)


async def pixels(page: Page, selector: str = ".tile.focus") -> list[int]:
    """A coarse copy of what a tile shows."""
    return await page.evaluate(
        """(selector) => {
          const tile = document.querySelector(selector);
          const picture = tile.player ? tile.player.picture : tile.querySelector("video");
          const canvas = new OffscreenCanvas(32, 18);
          const ctx = canvas.getContext("2d");
          ctx.drawImage(picture, 0, 0, 32, 18);
          return [...ctx.getImageData(0, 0, 32, 18).data].filter((_, at) => at % 4 === 0);
        }""",
        selector,
    )


async def frame_number(page: Page) -> int:
    """The number burned into the picture of playback, least significant bit first."""
    return await page.evaluate(
        """() => {
          const video = document.querySelector(".pic video");
          const canvas = new OffscreenCanvas(640, 1);
          const ctx = canvas.getContext("2d");
          ctx.drawImage(video, 0, 344, 640, 1, 0, 0, 640, 1);
          const {data} = ctx.getImageData(0, 0, 640, 1);
          let number = 0;
          for (let bit = 0; bit < 16; bit += 1) {
            if (data[(23 + 16 * bit) * 4] > 128) number += 2 ** bit;
          }
          return number;
        }"""
    )


async def shown_us(page: Page) -> int:
    return int(await page.evaluate("document.querySelector('nvr-playback').timeline.playhead_us"))


async def stick_centre(page: Page) -> tuple[float, float]:
    box = await page.locator("nvr-stick").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def test_a_wrong_code_is_refused_in_words(site: Site, visit: Visit) -> None:
    page = visit.page
    visit.expected = {400, 401, 403, 409, 422, 429}
    inputs = page.locator(".claim input")
    await inputs.nth(0).fill("AAAA-AAAA-AAAA")
    await inputs.nth(1).fill("张工")
    await inputs.nth(2).fill(PASSWORD)
    await inputs.nth(3).fill("something else")
    await page.locator(".claim button[type=submit]").click()
    assert "两次密码不一样" in await page.locator(".problem").inner_text()
    await inputs.nth(3).fill(PASSWORD)
    await page.locator(".claim button[type=submit]").click()
    await page.locator(".problem .code", has_text="claim.wrong").wait_for()
    assert not site.box.parts.claim.claimed


async def test_the_code_claims_the_box_and_opens_the_wall(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.locator(".claim input").nth(0).fill(site.box.parts.claim.code().lower())
    await page.locator(".claim button[type=submit]").click()
    await page.locator(".tile.focus.live").wait_for()
    assert site.box.parts.claim.claimed
    visit.expected = set()


async def test_the_picture_moves(visit: Visit) -> None:
    before = await pixels(visit.page)
    assert max(before) - min(before) > 40, "a picture, not a grey area"

    async def changed() -> bool:
        now = await pixels(visit.page)
        return sum(abs(a - b) for a, b in zip(before, now, strict=True)) > 500

    await until("another picture", changed)


async def test_a_tile_says_what_the_box_says(site: Site, visit: Visit) -> None:
    page = visit.page
    lost = page.locator("nvr-tile", has_text="大桥")
    assert "无信号" in await lost.locator(".bn").inner_text()
    assert await lost.locator("video").evaluate("v => getComputedStyle(v).visibility") == "hidden"
    cameras = site.box.parts.cameras
    gate = cameras.states["gate"]
    cameras.set(dataclasses.replace(gate, state="frozen", code="camera.silent"))
    await page.locator(".tile.focus.frozen .bn", has_text="画面停住").wait_for()
    cameras.set(dataclasses.replace(cameras.states["gate"], state="live", code=""))
    await page.locator(".tile.focus.live").wait_for()


async def test_a_hostile_title_is_only_text(visit: Visit) -> None:
    page = visit.page
    tile = page.locator("nvr-tile", has_text="onerror")
    assert HOSTILE in await tile.locator(".nm b").inner_text()
    await page.goto(page.url.split("#")[0] + "#/manage/cameras")
    await page.locator(".cam-card", has_text="onerror").wait_for()
    assert await page.evaluate("globalThis.pwned") is None
    await page.goto(page.url.split("#")[0] + "#/live")
    await page.locator(".tile.focus.live").wait_for()


async def test_a_camera_gets_another_password_and_what_is_empty_stays(
    site: Site, visit: Visit
) -> None:
    page, cameras = visit.page, site.box.parts.cameras
    await page.goto(page.url.split("#")[0] + "#/manage/cameras")
    title = cameras.states["gate"].title
    await page.locator(".cam-card", has_text=title).get_by_label("修改摄像机").click()
    await page.locator(".dialog input[type=password]").fill("k9#x")
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog").wait_for(state="detached")
    assert cameras.logins == {"gate": (None, "k9#x")}
    assert cameras.states["gate"].title == title
    await page.goto(page.url.split("#")[0] + "#/live")
    await page.locator(".tile.focus.live").wait_for()


async def test_how_long_a_camera_is_kept_is_set_and_shown(site: Site, visit: Visit) -> None:
    page, cameras = visit.page, site.box.parts.cameras
    await page.goto(page.url.split("#")[0] + "#/manage/cameras")
    row = page.locator(".cam-card", has_text=cameras.states["gate"].title)
    await row.get_by_label("修改摄像机").click()
    hours = page.locator(".dialog").get_by_label("至少保存（小时）")
    await hours.fill("0")
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog").get_by_text("填得不对").wait_for()
    await hours.fill("24")
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog").wait_for(state="detached")
    assert cameras.states["gate"].retain_h == 24
    await row.get_by_label("修改摄像机").click()
    limit = page.locator(".dialog").get_by_label("到期删除（小时）")
    await limit.fill("24")
    await page.locator(".dialog").get_by_label("保底时长（小时）").fill("12")
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog").get_by_text("填得不对").wait_for()
    await limit.fill("48")
    await page.locator(".dialog button[type=submit]").click()
    question = page.locator(".dialog").last
    assert "2 天" in await question.inner_text(), "older than that is erased"
    await question.locator(".btn.wide").click()
    assert cameras.states["gate"].limit_h == 0, "not without a yes"
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog").last.locator(".btn.danger").click()
    await page.locator(".dialog").wait_for(state="detached")
    state = cameras.states["gate"]
    assert (state.retain_h, state.guaranteed_h, state.limit_h, state.limit_gb) == (24, 12, 48, 0)
    await row.get_by_label("修改摄像机").click()
    assert await limit.input_value() == "48"
    await limit.fill("")
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog").wait_for(state="detached")
    assert cameras.states["gate"].limit_h == 0
    await page.goto(page.url.split("#")[0] + "#/manage/box")
    kept = page.locator("table.keep tbody tr")
    await kept.get_by_text("不够").wait_for()
    assert "5 天 18 小时" in await kept.inner_text()
    assert "保底 2 天" in await kept.inner_text()
    assert "至多 500" in await kept.inner_text()
    harm = page.locator("table.harm tbody tr")
    assert "1204" in await harm.inner_text()
    assert "读不出" in await harm.inner_text()
    disk = await page.locator(".panel.disks .disk").inner_text()
    for words in ("eMMC 闪存 · 录像 · 系统", "mmcblk0 0x000045 DG4032 07/2021", "120 GB", "1.50"):
        assert words in disk.replace("\u202f", " "), disk
    for words in ("测量中", "≤ 40 %", "已用八成，换盘", "550 天", "未提供"):
        assert words in disk.replace("\u202f", " "), disk
    assert "9.7\u202fGB" in await page.locator(".panel.back dl").inner_text()


async def test_a_plan_is_put_together_and_an_event_recorded(site: Site, visit: Visit) -> None:
    page, cameras = visit.page, site.box.parts.cameras
    await page.goto(page.url.split("#")[0] + "#/manage/cameras")
    row = page.locator(".cam-card", has_text=cameras.states["gate"].title)
    assert not await row.get_by_label("立即录像").is_visible(), "it is recorded"
    await row.get_by_label("录像计划").click()
    dialog = page.locator(".dialog")
    await dialog.get_by_label("下列时段以外").select_option("event")
    await dialog.get_by_label("日期").select_option("work")
    await dialog.get_by_role("button", name="加入").click()
    await dialog.get_by_label("日期").select_option("4")
    await dialog.get_by_label("该时段").select_option("off")
    await dialog.get_by_label("从").fill("12:00")
    await dialog.get_by_label("到").fill("11:00")
    await dialog.get_by_role("button", name="加入").click()
    await page.locator(".note.warn", has_text="先早后晚").wait_for()
    await dialog.get_by_label("到").fill("13:30")
    await dialog.get_by_role("button", name="加入").click()
    assert "12:00–13:30 不录" in await dialog.locator(".week-day").nth(4).inner_text()
    await dialog.locator("button[type=submit]").click()
    await dialog.wait_for(state="detached")
    plan = cameras.plans["gate", "main"]
    assert (plan.mode, plan.pre_s, plan.post_s) == ("event", 5, 30)
    friday = ("08:00-12:00 continuous", "12:00-13:30 off", "13:30-18:00 continuous")
    assert plan.week == (*[("08:00-18:00 continuous",)] * 4, friday, (), ())
    since_us = site.box.parts.clock.wall_us()
    before = cameras.states["gate"]
    cameras.set(dataclasses.replace(before, not_recorded=NotRecorded(since_us, "plan", "")))
    await row.get_by_label("立即录像").click()
    await page.locator(".note.ok", has_text="已开始录像").wait_for()
    assert cameras.events == [("gate", None)]
    cameras.set(dataclasses.replace(cameras.states["gate"], not_recorded=None))
    await row.get_by_label("立即录像").wait_for(state="hidden")


async def test_a_dome_is_set_up_where_its_camera_is(site: Site, visit: Visit) -> None:
    page, cameras = visit.page, site.box.parts.cameras
    await page.goto(page.url.split("#")[0] + "#/manage/cameras")
    row = page.locator(".cam-card", has_text=cameras.states["gate"].title)
    await row.get_by_label("串口云台").click()
    dialog = page.locator(".dialog")
    await dialog.get_by_label("串口", exact=True).select_option("yard")
    await dialog.get_by_label("地址", exact=True).fill("12")
    kind = dialog.get_by_label("类型")
    assert await kind.input_value() == "generic-pelco-d"
    await kind.select_option("generic-pelco-p")
    await dialog.get_by_text("未经真机验证。 按手册。").wait_for()
    await dialog.get_by_label("雨刷").select_option("aux 1")
    await dialog.get_by_label("灯").select_option("relay-1")
    await dialog.locator("button[type=submit]").click()
    await dialog.wait_for(state="detached")
    head = HeadSettings(
        "yard", 12, "pelco-p", wiper=OwnOutput(1), lamp="relay-1", profile="generic-pelco-p"
    )
    assert cameras.heads == {"gate": head}

    # What the form cannot show is not lost by it.
    cameras.heads["gate"] = dataclasses.replace(head, wiper=OwnOutput(1, 20.0))
    await row.get_by_label("串口云台").click()
    await dialog.get_by_label("地址", exact=True).fill("13")
    await dialog.locator("button[type=submit]").click()
    await dialog.wait_for(state="detached")
    assert cameras.heads["gate"].address == 13
    assert cameras.heads["gate"].wiper == OwnOutput(1, 20.0)
    await row.get_by_label("串口云台").click()
    await dialog.get_by_text("不是云台").click()
    await dialog.wait_for(state="detached")
    assert cameras.heads == {}
    await page.goto(page.url.split("#")[0] + "#/live")
    await page.locator(".tile.focus.live").wait_for()


async def test_what_a_head_keeps_for_itself_is_done_from_its_list(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.get_by_role("button", name="功能", exact=True).click()
    dialog = page.locator(".dialog").first
    mark = len(site.log)
    await dialog.get_by_role("button", name="菜单", exact=True).click()
    await until("the menu", lambda: site.since(mark, "perform"))
    await dialog.get_by_role("button", name="重启", exact=True).click()
    asked = page.locator(".dialog").last
    await asked.get_by_text("云台可能重启，或它的设置对所有人改变。").wait_for()
    assert len(site.since(mark, "perform")) == 1, "a person is asked first"
    await asked.get_by_role("button", name="重启", exact=True).last.click()
    await until("the restart", lambda: len(site.since(mark, "perform")) == 2)
    assert [entry[3] for entry in site.since(mark, "perform")] == ["menu", "reboot"]
    await page.keyboard.press("Escape")
    await dialog.wait_for(state="detached")


async def test_the_stick_moves_the_dome_and_letting_go_stops_it(site: Site, visit: Visit) -> None:
    page = visit.page
    x, y = await stick_centre(page)
    mark = len(site.log)
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + 60, y, steps=4)
    await until("motion to the right", lambda: any(r[3] > 0 for r in site.since(mark, "move")))
    await page.locator(".hold.mine").wait_for()
    await asyncio.sleep(0.4)
    moves = site.since(mark, "move")
    await page.mouse.up()
    await until("neutral", lambda: site.since(mark, "move")[-1][3:] == (0, 0, 0))
    assert len(moves) >= 3, "a held stick is repeated"


async def test_the_window_losing_the_focus_stops_the_dome(site: Site, visit: Visit) -> None:
    page = visit.page
    x, y = await stick_centre(page)
    mark = len(site.log)
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x, y - 60, steps=4)
    await until("motion up", lambda: any(r[4] > 0 for r in site.since(mark, "move")))
    await page.evaluate("window.dispatchEvent(new Event('blur'))")
    await until("a stop", lambda: site.since(mark, "stop"))
    stopped = len(site.log)
    await page.mouse.move(x, y - 50)
    await asyncio.sleep(0.4)
    assert not any(any(r[3:]) for r in site.since(stopped, "move")), "held, but must not move"
    await page.locator(".hold.rearm").wait_for()
    await page.mouse.up()
    await page.mouse.down()
    await page.mouse.move(x, y - 40, steps=3)
    await until("motion after neutral", lambda: any(r[4] > 0 for r in site.since(stopped, "move")))
    await page.mouse.up()


async def test_keys_move_and_space_stops(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.locator("h1").click()
    mark = len(site.log)
    await page.keyboard.down("ArrowLeft")
    await until("motion to the left", lambda: any(r[3] < 0 for r in site.since(mark, "move")))
    await page.keyboard.press("Space")
    await until("a stop", lambda: site.since(mark, "stop"))
    await page.keyboard.up("ArrowLeft")
    await page.locator(".said.ok").wait_for()
    mark = len(site.log)
    await page.keyboard.press("Escape")
    await until("another stop", lambda: site.since(mark, "stop"))


async def test_a_joystick_drives_and_pulling_it_out_stops(site: Site, visit: Visit) -> None:
    page = visit.page
    mark = len(site.log)
    await page.evaluate(
        """() => {
          const buttons = Array.from({length: 16}, () => ({pressed: false, value: 0}));
          globalThis.pad = {id: "stick", index: 0, connected: true, axes: [1, 0], buttons};
          navigator.getGamepads = () => [globalThis.pad];
        }"""
    )
    await until("motion", lambda: any(r[3] > 0 for r in site.since(mark, "move")))
    await page.evaluate("navigator.getGamepads = () => []")
    await until("a stop", lambda: site.since(mark, "stop"))


async def test_presets_are_called_and_saved_with_a_warning(site: Site, visit: Visit) -> None:
    page = visit.page
    mark = len(site.log)
    await page.locator("h1").click()
    await page.keyboard.press("1")
    await until("a call", lambda: ("call", 1) in [r[3:5] for r in site.since(mark, "preset")])
    await page.locator(".pre.new:not([data-measure])").click()
    form = page.locator(".dialog form")
    await form.locator("input").nth(0).fill("斑马线")
    await form.locator("input").nth(1).fill("1")
    await form.locator("button[type=submit]").click()
    await page.locator(".dialog", has_text="覆盖预置位 1").wait_for()
    assert not [r for r in site.since(mark, "preset") if r[3] == "set"], "not before the answer"
    await page.locator(".dialog .btn.danger").click()
    await until("a save", lambda: ("set", 1, "斑马线") in [r[3:6] for r in site.since(mark)])
    await page.locator(".pre", has_text="斑马线").wait_for()


async def test_stop_is_reachable_above_a_dialog(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.keyboard.press("?")
    await page.locator(".dialog .keys").wait_for()
    mark = len(site.log)
    await page.locator(".ctl .stop").click(timeout=3000)
    await until("a stop", lambda: site.since(mark, "stop"))
    await page.locator(".bar-stop").click(timeout=3000)
    await until("a stop for all", lambda: site.since(mark, "stop_all"))
    await page.locator(".dialog footer .btn.p").click()


async def test_wiper_and_lamp_show_what_the_box_says(site: Site, visit: Visit) -> None:
    page = visit.page
    wiper = page.locator("[data-output=wiper]")
    await wiper.click()
    await page.locator("[data-output=wiper][aria-pressed=true]").wait_for()
    assert dict(site.box.parts.ptz.status("gate").outputs) == {"wiper": True, "lamp": False}
    await wiper.click()
    await page.locator("[data-output=wiper][aria-pressed=false]").wait_for()


async def test_playback_seeks_to_the_frame(site: Site, visit: Visit) -> None:
    page = visit.page
    stream = "gate/main"
    await until(
        "twelve seconds of recording",
        lambda: (
            site.archive.until_us(stream) - site.archive.ranges(stream, 0, 2**62).runs[0].from_us
            > 12_000_000
        ),
        30,
    )
    await page.goto(page.url.split("#")[0] + "#/playback?cam=gate&back=8")
    await until(
        "a picture", lambda: page.evaluate("document.querySelector('.pic video')?.videoWidth")
    )
    await page.keyboard.press("Space")
    await asyncio.sleep(0.3)
    found = []
    for _ in range(3):
        number, at_us = await frame_number(page), await shown_us(page)
        found.append((number, at_us))
        await page.keyboard.press("ArrowRight")
        await until("the next frame", lambda n=number: _differs(page, n))
    assert [n for n, _ in found] == [found[0][0] + step for step in range(3)]
    first, at_us = found[0]
    await page.evaluate(
        """async (t_us) => {
          const playback = document.querySelector("nvr-playback");
          playback.timeline.dispatchEvent(new CustomEvent("seek", {detail: {t_us, done: true}}));
        }""",
        at_us - 3_000_000,
    )
    # Groups are placed by their wall time, which may stand a frame off the camera's own count.
    await until("75 frames earlier", lambda: _is(page, range(first - 76, first - 73)))


async def _differs(page: Page, number: int) -> bool:
    return await frame_number(page) != number


async def _is(page: Page, numbers: range) -> bool:
    found = await frame_number(page)
    return found in numbers


def numbers_at(site: Site, stream: str, at_us: int) -> range:
    """The numbers a picture may have that a stream copied from the yard shows at a time.

    Counted in ticks from the first picture: how long parts are depends on where the camera's
    first picture fell between two cuts, and a busy machine's camera counts slower than the clock.
    Two groups may overlap by a frame or two, because each is placed by its own wall time.
    """
    origin_90k = site.archive._of("yard/main")[0].start_90k
    key = [part for part in site.archive._of(stream) if part.key and part.wall_us <= at_us][-1]
    at = round((key.start_90k - origin_90k) / 3600) + (at_us + 1000 - key.wall_us) // 40_000
    return range(at - 2, at + 3)


async def test_playback_opens_where_something_is_recorded(site: Site, visit: Visit) -> None:
    page = visit.page
    first_us = site.archive.ranges("gate/main", 0, 2**62).runs[0].from_us
    places: list[tuple[int, Callable[[], int]]] = [
        (first_us - 3_600_000_000, lambda: first_us),
        (2**51, lambda: site.archive.until_us("gate/main")),
    ]
    for asked_us, wanted_us in places:
        await page.goto("about:blank")
        await page.goto(f"{site.box.url}/#/playback?cam=gate&t={asked_us}")
        await until("a picture", lambda: page.evaluate(_PICTURE))
        assert abs(await shown_us(page) - wanted_us()) < 4_000_000
        assert not await page.locator(".pic.nothing").count()


async def test_playback_says_where_the_clock_was_not_to_be_relied_on(
    site: Site, visit: Visit
) -> None:
    page, first_us = visit.page, site.archive.ranges("gate/main", 0, 2**62).runs[0].from_us
    for trust, words in (
        (Trust("unsynced"), "时钟未同步"),
        (Trust("ntp", 2400), "±2.4"),
        (Trust("ntp", 30), ""),
    ):
        site.archive.trust = trust
        await page.goto("about:blank")
        await page.goto(f"{site.box.url}/#/playback?cam=gate&t={first_us + 1_000_000}")
        await until("a picture", lambda: page.evaluate(_PICTURE))
        said = page.locator(".pic .nm .st").first
        if words:
            await said.filter(has_text=words).wait_for()
        else:
            assert "±" not in await said.inner_text()
    site.archive.trust = NOT_NOTED


async def test_playback_says_what_was_fetched_from_the_camera(site: Site, visit: Visit) -> None:
    page, first_us = visit.page, site.archive.ranges("gate/main", 0, 2**62).runs[0].from_us
    for fetch, words in (
        (Fetch(first_us, "192.0.2.10 main"), "从摄像机补录（192.0.2.10 main）"),
        (Fetch(), "事后从摄像机补录"),
    ):
        site.archive.fetch = fetch
        await page.goto("about:blank")
        await page.goto(f"{site.box.url}/#/playback?cam=gate&t={first_us + 1_000_000}")
        await until("a picture", lambda: page.evaluate(_PICTURE))
        await page.locator(".pic .nm .st").first.filter(has_text=words).wait_for()
    site.archive.fetch = None


_PICTURE = "document.querySelector('.pic video')?.videoWidth > 0"
_CLEAR = "!document.querySelector('.pic.veiled')"


@pytest.mark.parametrize(
    ("language", "title", "why"),
    [
        ("zh", "没有可回放的录像", "摄像机断开"),
        ("en", "No recordings to play", "camera is gone"),
    ],
)
async def test_a_camera_without_recordings_says_so(
    visit: Visit, language: str, title: str, why: str
) -> None:
    page = visit.page
    await page.evaluate("name => localStorage.setItem('nvr.lang', name)", language)
    await page.goto(page.url.split("#")[0] + "#/playback?cam=bridge")
    await page.reload()
    message = page.locator(".pic .msg", has_text=title)
    await message.wait_for()
    assert why in await message.inner_text()
    assert "1970" not in await page.locator(".time").input_value()
    assert await page.locator(".tp[inert]").count() == 1
    await page.locator("h1").click()
    for key in ("Space", "ArrowRight", "["):
        await page.keyboard.press(key)
    assert title in await page.locator(".pic .msg").inner_text()
    await page.evaluate("localStorage.setItem('nvr.lang', 'zh')")
    await page.reload()


async def test_a_first_recording_ends_the_empty_screen(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.goto(page.url.split("#")[0] + "#/playback?cam=bridge")
    await page.locator(".pic .msg", has_text="没有可回放的录像").wait_for()
    copies = [
        dataclasses.replace(part, stream="bridge/main")
        for part in site.archive._of("yard/main")[-20:]
    ]
    site.archive.take(copies)
    await until("a picture", lambda: page.evaluate(_PICTURE))
    assert await page.locator(".tp[inert]").count() == 0


async def test_a_far_seek_shows_that_picture_and_not_the_old_one(site: Site, visit: Visit) -> None:
    page = visit.page
    site.box.parts.cameras.put("far", "Far")
    all_parts = site.archive._of("yard/main")
    for parts, run, ago_us in ((all_parts[:20], 8, 3600_000_000), (all_parts[-20:], 9, 0)):
        first = next(at for at, part in enumerate(parts) if part.key)
        site.archive.take(
            [
                dataclasses.replace(part, stream="far/main", run=run, wall_us=part.wall_us - ago_us)
                for part in parts[first:]
            ]
        )
    early, late = site.archive.ranges("far/main", 0, 2**62).runs
    assert late.from_us - early.to_us > 600_000_000
    await page.goto("about:blank")
    await page.goto(f"{site.box.url}/#/playback?cam=far&t={late.to_us - 300_000}")
    await until("a picture", lambda: page.evaluate(_PICTURE))
    newest = numbers_at(site, "far/main", late.to_us - 1_500_000)
    await until("the newest", lambda: _is(page, newest))
    for at_us in (
        early.from_us + 1_510_000,
        late.to_us - 1_990_000,
        early.to_us - 990_000,
    ):
        wanted = numbers_at(site, "far/main", at_us)
        await page.evaluate(
            """t_us => document.querySelector("nvr-playback").timeline
                 .dispatchEvent(new CustomEvent("seek", {detail: {t_us, done: true}}))""",
            at_us,
        )
        await until("the picture of that time", lambda n=wanted: _is(page, n))
        await until("no veil on it", lambda: page.evaluate(_CLEAR))


async def runs(page: Page, wanted: bool) -> None:
    """Have playback run or stand: a key pressed while it is about to begin would turn it round."""
    shown = "document.querySelector('.btn.play').dataset.is"
    await until("playback", lambda: page.evaluate(f"{shown} != null"))
    if (await page.evaluate(shown) == "pause") != wanted:
        await page.keyboard.press("Space")
    await until(
        "it turned", lambda: page.evaluate(f"{shown} === '{'pause' if wanted else 'play'}'")
    )
    await asyncio.sleep(0.5)
    assert (await page.evaluate(shown) == "pause") == wanted


async def test_playback_goes_on_by_itself_and_fast(visit: Visit) -> None:
    page = visit.page
    await page.goto(page.url.split("#")[0] + "#/playback?cam=gate&back=12")
    await until("a picture", lambda: page.evaluate(_PICTURE))
    await runs(page, False)
    before, begun_s = await shown_us(page), time.monotonic()
    await runs(page, True)

    async def gone_on() -> bool:
        return await shown_us(page) - before > 1_500_000

    await until("a second and a half of it", gone_on)
    after, took_s = await shown_us(page), time.monotonic() - begun_s
    assert after - before < (took_s + 0.7) * 1_000_000, "no faster than it was"
    await page.keyboard.press("Space")


async def test_a_typed_time_jumps_and_nonsense_is_named(visit: Visit) -> None:
    page = visit.page
    field_ = page.locator(".time")
    await field_.fill("half past")
    await field_.press("Enter")
    await page.locator(".note.warn", has_text="14:02:36").wait_for()
    now = await shown_us(page)
    text = await page.evaluate(
        "us => { const d = new Date(us / 1000 - 2000); return d.toTimeString().slice(0, 8); }", now
    )
    await field_.fill(text)
    await field_.press("Enter")
    await until("the typed time", lambda: _near(page, now - 2_000_000))


async def _near(page: Page, at_us: int) -> bool:
    return abs(await shown_us(page) - at_us) < 1_100_000


async def test_marks_make_a_download(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.locator("h1").click()
    await page.keyboard.press("[")
    at_us = await shown_us(page)
    await page.evaluate(
        """(t_us) => document.querySelector("nvr-playback").timeline
             .dispatchEvent(new CustomEvent("seek", {detail: {t_us, done: true}}))""",
        at_us + 2_000_000,
    )
    await until("two seconds on", lambda: _near(page, at_us + 2_000_000))
    await page.keyboard.press("]")
    marks = await page.evaluate("document.querySelector('nvr-playback').timeline.marks")
    await page.keyboard.press("e")
    await page.locator(".dialog label.check", has_text="把字幕烧进画面").click()
    async with page.expect_download() as download:
        await page.locator(".dialog button[type=submit]").click()
    await page.locator(".note", has_text="画面本来就带字幕").wait_for()
    assert (await download.value).suggested_filename.startswith("东门-20"), "title, local time"
    wanted = site.box.parts.exports.all()[0].wanted
    assert (wanted.form, wanted.cameras, wanted.by) == ("mp4", ("gate",), "张工")
    assert abs(wanted.from_us - marks["in_us"]) <= 1, "to the microsecond, though shown in seconds"
    assert abs(wanted.to_us - marks["out_us"]) <= 1
    file = await (await download.value).path()
    data = await asyncio.to_thread(Path(file).read_bytes)
    assert data[4:8] == b"ftyp"
    assert data.count(b"moof") >= 3


async def test_what_is_marked_can_be_locked_and_the_lock_is_listed_and_removed(
    site: Site, visit: Visit
) -> None:
    page = visit.page
    await page.locator(".exp .btn", has_text="锁定").click()
    dialog = page.locator(".dialog")
    await dialog.locator("button[type=submit]").click()
    await dialog.locator(".problem", has_text="“原因”还没有填").wait_for()
    await dialog.locator("input").nth(3).fill(HOSTILE)
    await dialog.locator("button[type=submit]").click()
    await page.locator(".note", has_text="已锁定").wait_for()
    made = site.archive.locks[-1].lock
    marks = await page.evaluate("document.querySelector('nvr-playback').timeline.marks")
    assert abs(made.from_us - marks["in_us"]) <= 1, "to the microsecond, though shown in seconds"
    assert abs(made.to_us - marks["out_us"]) <= 1
    assert (made.kind, made.camera, made.by, made.why) == ("evidence", "gate", "张工", HOSTILE)
    days = (made.until_us - site.box.parts.clock.wall_us()) / 86_400_000_000
    assert abs(days - 90) < 0.01
    shown = "document.querySelector('nvr-playback').timeline.lanes[0].archive.locks.length"
    await until("the timeline shows it", lambda: page.evaluate(f"{shown} === 1"))

    await page.locator(".exp .btn", has_text="锁定").click()
    await dialog.locator("select").select_option("legal")
    assert await dialog.locator("input:visible").count() == 3, "a legal hold has no end"
    await dialog.locator("input").nth(3).fill("法院 2026-114")
    await dialog.locator("button[type=submit]").click()
    await page.locator(".note", has_text="已锁定").nth(1).wait_for()
    assert site.archive.locks[-1].lock.until_us == 0

    await page.goto(site.box.url + "/#/manage/locks")
    card = page.locator("[data-lock='2']")
    await card.get_by_text("法院 2026-114").wait_for()
    assert "保留至手动解除" in await card.inner_text()
    assert await page.locator("[data-lock]").count() == 2
    await card.locator("button").last.click()
    await dialog.locator(".btn.danger").click()
    await card.wait_for(state="detached")
    assert [one.lock.number for one in site.archive.locks] == [1]
    assert not await page.evaluate("globalThis.pwned")


async def test_evidence_of_two_cameras_is_watched_paused_fetched_and_removed(
    site: Site, visit: Visit
) -> None:
    page, exports = visit.page, site.box.parts.exports
    site.make.held.clear()
    await page.goto(site.box.url + "/#/playback?cam=gate&back=6")
    await page.locator(".exp .btn", has_text="导出").click()
    dialog = page.locator(".dialog")
    burn = dialog.locator("label.check", has_text="把字幕烧进画面")
    await burn.click()
    await dialog.get_by_text("不作证据").wait_for()
    await dialog.locator("select").select_option("ps")
    await dialog.get_by_text("MPEG 节目流").wait_for()
    assert not await burn.is_visible(), "only an MP4 can have it"
    await dialog.locator("select").select_option("evidence")
    await dialog.get_by_text("逐字节").wait_for()
    await dialog.locator("input[type=checkbox][value=yard]").check()
    await dialog.locator("button[type=submit]").click()
    card = page.locator(".exp [data-export='2']")
    await card.get_by_text("可以离开本页").wait_for()
    wanted = exports.get(2).wanted
    assert (wanted.cameras, wanted.captions) == (("gate", "yard"), False)
    await card.locator("[aria-label=暂停]").click()
    await card.get_by_text("已暂停在").wait_for()
    assert exports.get(2).state == "paused"
    await page.goto(site.box.url + "/#/manage/exports")
    card = page.locator("[data-export='2']")
    async with page.expect_download():
        site.make.held.set()
        await card.locator("[aria-label=继续]").click()
    await card.get_by_text("已完成，可下载").wait_for()
    assert await card.locator("a").count() == 2
    async with page.expect_download() as download:
        await card.locator("a").first.click()
    assert (await download.value).suggested_filename == "东门-20260101.zip"
    assert await page.locator("[data-export]").count() == 2
    await card.locator("[aria-label=删除]").click()
    await page.locator(".dialog .btn.danger").click()
    await card.wait_for(state="detached")
    assert [job.number for job in exports.all()] == [1]
    assert not await page.evaluate("globalThis.pwned")


async def test_an_export_goes_onto_a_stick_and_the_page_says_when_to_pull_it(
    site: Site, browser: Browser, visit: Visit
) -> None:
    page = visit.page
    site.sticks.plug_in(["蓝色"])
    site.make.held.clear()
    await page.goto(site.box.url + "/#/playback?cam=gate&back=6")
    await page.locator(".exp .btn", has_text="导出").click()
    dialog = page.locator(".dialog")
    where = dialog.locator("select").nth(1)
    await where.select_option("usb:sim-蓝色")
    assert "U 盘 蓝色 (simulated) · fat32 · 剩余" in await where.inner_text()
    await dialog.locator("button[type=submit]").click()
    card = page.locator(".exp [data-export]").first
    await card.get_by_text("请勿拔出 U 盘").wait_for()
    site.make.held.set()
    await page.locator(".note", has_text="可以安全拔出").wait_for()
    await card.get_by_text("可以安全拔出").wait_for()
    assert await card.locator("a").count() == 0, "it is not here to be fetched"
    assert site.sticks.found() == []

    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        storage_state=await visit.context.storage_state(),
    )
    await context.add_init_script("localStorage.setItem('nvr.lang', 'en')")
    phone = await context.new_page()
    site.sticks.plug_in(["blue"])
    await phone.goto(site.box.url + "/#/playback?cam=gate&back=6")
    await phone.locator("[aria-label=Export]").first.tap()
    dialog = phone.locator(".dialog")
    await dialog.locator("select").nth(1).select_option("usb:sim-blue")
    assert await phone.evaluate(CUT) == []
    await dialog.locator("button[type=submit]").tap()
    await phone.locator(".note", has_text="Safe to pull out").wait_for()
    await phone.goto(site.box.url + "/#/manage/exports")
    await phone.get_by_text("Safe to pull out").first.wait_for()
    assert await phone.evaluate(CUT) == []
    await context.close()
    jobs = site.box.parts.exports
    for job in jobs.all():
        if job.wanted.target:
            jobs.remove(job.number)


async def test_an_export_waits_for_a_store_that_is_away_and_says_so(
    site: Site, visit: Visit, tmp_path: Path
) -> None:
    page, exports = visit.page, site.box.parts.exports
    place = Place(f"http://127.0.0.1:{free_port()}", "evidence", "", "x", True, "nvr")
    bucket = Bucket(place, lambda: "secret", site.box.parts.clock.wall_us, Notes(tmp_path))
    tree = test_stick.Box(tmp_path / "tree")
    tree.stick("sda", 0)
    before, exports.targets = exports.targets, AllTargets([tree.sticks()], bucket)
    try:
        await page.goto(site.box.url + "/#/playback?cam=gate&back=6")
        await page.locator(".exp .btn", has_text="导出").click()
        where = page.locator(".dialog select").nth(1)
        await where.select_option("s3")
        unmounted = "sda (Kingston DataTraveler): 已插上，但系统没有挂载它"
        await page.locator(".dialog .hint", has_text=unmounted).wait_for()
        assert "对象存储 s3://evidence/" in await where.inner_text()
        await page.locator(".dialog button[type=submit]").click()
        card = page.locator(".exp [data-export]").first
        await card.get_by_text("等待中。对象存储没有应答，会自动重试。").wait_for()
        await card.locator("[aria-label=取消导出]").click()
        await until("it is gone", lambda: all(not one.wanted.target for one in exports.all()))
    finally:
        exports.targets = before


async def test_a_phone_locks_what_its_timeline_shows(
    site: Site, browser: Browser, visit: Visit
) -> None:
    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        locale="en",
        storage_state=await visit.context.storage_state(),
    )
    await context.add_init_script("localStorage.setItem('nvr.lang', 'en')")
    page = await context.new_page()
    await page.goto(site.box.url + "/#/playback?cam=gate&back=6")
    await page.locator(".pic .tools [aria-label=Lock]").tap()
    view = await page.evaluate("document.querySelector('nvr-playback').timeline.view")
    dialog = page.locator(".dialog")
    assert await page.evaluate(CUT) == []
    await dialog.locator("input").nth(3).fill("seen on the way")
    await dialog.locator("button[type=submit]").tap()
    await page.locator(".note", has_text="will stay").wait_for()
    made = site.archive.locks[-1].lock
    assert made.why == "seen on the way"
    assert abs(made.from_us - view["from_us"]) < 2_000_000
    assert made.to_us <= site.box.parts.clock.wall_us() + 1_000_000, "not what is yet to come"
    await page.locator("[aria-label=Export]").first.tap()
    await dialog.locator("label.check", has_text="Burn the caption into the picture").tap()
    await dialog.get_by_text("not evidence").wait_for()
    await dialog.locator("input[type=checkbox][value=bridge]").check()  # the only one without
    assert await page.evaluate(CUT) == []
    async with page.expect_download():
        await dialog.locator("button[type=submit]").tap()
        await page.locator(".note", has_text="The font lacks: ก").wait_for()
    assert site.box.parts.exports.all()[0].wanted.captions
    await page.goto(site.box.url + "/#/manage/exports")
    await page.get_by_text("Ready").first.wait_for()
    await page.locator(".chip", has_text="Captioned, not evidence").wait_for()
    assert await page.evaluate(CUT) == []
    await context.close()


async def test_a_recovery_key_is_shown_once_and_days_are_destroyed_for_a_reason(
    site: Site, visit: Visit
) -> None:
    page = visit.page
    await page.goto(site.box.url + "/#/manage/keys")
    await page.locator(".warn", has_text="谁也读不出录像").wait_for()
    await page.get_by_role("button", name="生成恢复密钥").click()
    shown = page.locator(".dialog .secret code")
    private = root.from_words(await shown.nth(0).text_content())
    fingerprint = root.fingerprint(root.public_of(private))
    assert await shown.nth(1).text_content() == fingerprint
    assert await page.evaluate(CUT) == []
    await page.get_by_role("button", name="我已抄好").click()
    await page.locator(".panel .mono", has_text=fingerprint).wait_for()
    assert site.box.parts.keys.state().owner == fingerprint

    await page.get_by_role("button", name="设置口令").click()
    for at in range(2):
        await page.locator(".dialog input").nth(at).fill("correct horse")
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".note", has_text="以后每次启动").wait_for()
    assert site.box.parts.keys.state().passphrase
    site.box.parts.keys._ring.privates = []  # as after a start
    await page.reload()
    word = page.locator(".panel", has_text="尚未解锁").locator("input")
    await word.fill("correct horse")
    await word.press("Enter")
    await page.locator(".note", has_text="已解锁").wait_for()
    assert not site.box.parts.keys.state().locked

    form = page.locator(".panel", has_text="永久销毁")
    await form.locator("input").nth(2).fill("第 114 号要求")
    await form.locator("button[type=submit]").click()
    await page.locator(".dialog", has_text="用恢复密钥也不行").wait_for()
    await page.get_by_role("button", name="取消").click()
    assert site.box.parts.keys.state().keys == 2, "asked first"
    await form.locator("button[type=submit]").click()
    await page.locator(".dialog .danger").click()
    await page.locator(".note", has_text="已销毁").wait_for()
    assert site.box.parts.keys.state().keys == 1


@pytest.mark.needs("swtpm")
async def test_the_boards_tpm_keeps_the_key_and_the_recovery_key_opens_a_box_it_does_not(
    site: Site, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, desk = visit.page, site.box.parts.keys
    ring = desk._ring
    visit.expected = {409, 503}
    await page.goto(site.box.url + "/#/manage/keys")
    await page.get_by_role("button", name="生成恢复密钥").click()
    await page.locator(".dialog .danger").click()
    words = await page.locator(".dialog .secret code").nth(0).text_content()
    await page.get_by_role("button", name="我已抄好").click()
    with SimulatedTpm() as chip:
        monkeypatch.setattr(ring, "_device", chip.path)
        await page.get_by_role("button", name="由 TPM 保管密钥").click()
        await page.locator(".dialog input").fill("7")
        assert await page.evaluate(CUT) == []
        await page.locator(".dialog button[type=submit]").click()
        await page.locator(".dialog .problem", has_text="PCR 7").wait_for()
        await page.locator(".dialog input").fill("")
        await page.locator(".dialog button[type=submit]").click()
        await page.locator(".note", has_text="已由 TPM 保管").wait_for()
        assert (desk.state().tpm, desk.state().passphrase) == (True, False)
        monkeypatch.setattr(ring, "privates", [])  # as after a start
        await page.reload()
        await page.get_by_role("button", name="再问一次 TPM").click()
        await page.locator(".note", has_text="已解锁").wait_for()
        assert not desk.state().locked
        monkeypatch.setattr(ring, "privates", [])
        chip.clear()
        await page.reload()
        await page.get_by_role("button", name="再问一次 TPM").click()
        await page.locator(".panel .problem", has_text="tpm.other").wait_for()
        assert await page.evaluate(CUT) == []
        regain = page.locator(".panel", has_text="使用恢复密钥").locator("input")
        await regain.fill(words)
        await regain.press("Enter")
        await page.locator(".note", has_text="本机改用新密钥").wait_for()
        assert (desk.state().tpm, desk.state().locked, desk.state().foreign) == (False, False, 0)
        await page.get_by_role("button", name="由 TPM 保管密钥").wait_for()
    visit.expected = set()


async def test_each_of_several_disks_is_shown_with_what_it_does(site: Site, visit: Visit) -> None:
    page, archive = visit.page, site.box.parts.archive
    gone = Unavailable("volume.missing", "the volume is not there")
    archive.others = [VolumeLook("/media/card", "", "away", gone)]
    await page.goto(site.box.url + "/#/manage/box")
    rows = page.locator("table.volumes tbody tr")
    await rows.nth(1).wait_for()
    assert "正在录像" in await rows.nth(0).inner_text()
    for words in ("/media/card", "不在", "找不到登记的硬盘"):
        assert words in await rows.nth(1).inner_text()
    archive.others = []
    await page.reload()
    await page.locator("table.keep").wait_for()
    assert await rows.count() == 0, "one disk needs no list"


async def test_a_back_up_is_taken_away_under_a_passphrase(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.goto(site.box.url + "/#/manage/box")
    panel = page.locator(".panel", has_text="生成备份")
    await panel.locator("input").fill("correct horse")
    async with page.expect_download() as started:
        await panel.locator("button[type=submit]").click()
    download = await started.value
    assert download.suggested_filename.startswith("nvr-")
    blob = await asyncio.to_thread(Path(await download.path()).read_bytes)
    found = backup.read(blob, "correct horse")
    assert {"state.db", "tls.key", "seal.key"} <= found.files.keys()


async def test_the_language_changes_everywhere(visit: Visit) -> None:
    page = visit.page
    await page.goto(page.url.split("#")[0] + "#/live")
    await page.locator(".tile.focus.live").wait_for()
    await page.locator(".rail .me").click()
    await page.locator(".menu .btn", has_text="English").click()
    await page.locator(".ctl .stop", has_text="STOP").wait_for()
    assert await page.evaluate("document.documentElement.lang") == "en-GB"
    text = await page.evaluate(
        """() => {
          const copy = document.body.cloneNode(true);
          const given = ".nm, .pre, .site, .av, .notes, kbd";
          for (const name of copy.querySelectorAll(given)) name.remove();
          return copy.textContent;
        }"""
    )
    assert not any("\u4e00" <= letter <= "\u9fff" for letter in text), text
    await page.locator(".rail .me").click()
    await page.locator(".menu .btn", has_text="中文").click()
    await page.locator(".ctl .stop", has_text="停止").wait_for()


async def test_a_wrong_old_password_ends_no_session(visit: Visit) -> None:
    page = visit.page
    visit.expected = {401}
    await page.locator(".rail .me").click()
    await page.locator(".menu .btn", has_text="改密码").click()
    inputs = page.locator(".dialog input[type=password]")
    for at, text in enumerate(("not this one", "another horse 9", "another horse 9")):
        await inputs.nth(at).fill(text)
    await page.locator(".dialog button[type=submit]").click()
    await page.locator(".dialog .problem .code", has_text="auth.wrong").wait_for()
    assert await page.locator(".ctl .stop").is_visible(), "whoever steers still has a STOP"
    await page.locator(".dialog header button").click()
    visit.expected = set()


async def test_an_ended_session_says_so_and_takes_its_dialogs_along(
    site: Site, browser: Browser
) -> None:
    await site.box.user("second", "admin", {})
    context = await browser.new_context(ignore_https_errors=True, locale="en")
    page = await context.new_page()
    await page.goto(site.box.url)
    await page.locator("input").nth(0).fill("second")
    await page.locator("input").nth(1).fill(PASSWORD)
    await page.locator("form button[type=submit]").click()
    await page.locator(".tile.focus").wait_for()
    await page.keyboard.press("?")
    await page.locator(".dialog").wait_for()
    await site.box.parts.users.remove("second")
    await page.locator(".problem", has_text="The log-in has ended").wait_for()
    assert not await page.locator(".veil").count()
    await context.close()


async def test_a_camera_removed_meanwhile_leaves_playback(site: Site, visit: Visit) -> None:
    page = visit.page
    cameras = site.box.parts.cameras
    cameras.put("extra", "Extra")
    await page.goto("about:blank")
    await page.goto(site.box.url + "/#/playback?cam=extra")
    await page.locator(".chooser option", has_text="Extra").wait_for(state="attached")
    assert await page.locator(".chooser").input_value() == "extra"
    visit.expected = {404}  # the page hears of it within a second
    await cameras.remove("extra")
    await page.locator(".chooser option", has_text="Extra").wait_for(state="detached")
    assert await page.locator(".chooser").input_value() == "gate"
    assert not await page.locator(".lab", has_text="Extra").count()
    await asyncio.sleep(0.5)
    visit.expected = set()
    await asyncio.sleep(1.5)


async def test_a_form_speaks_the_language_of_the_page(site: Site, visit: Visit) -> None:
    page = visit.page
    before = set(site.box.parts.cameras.states)
    await page.goto(site.box.url + "/#/manage/cameras")
    await page.locator(".head .btn.p").click()
    inputs, send = page.locator(".dialog input"), page.locator(".dialog button[type=submit]")
    await send.click()
    await page.locator(".dialog .problem", has_text="“名称”还没有填").wait_for()
    await inputs.nth(0).fill("西门")
    # As pasted from a browser's history: a password with @ and a bare %.
    await inputs.nth(1).fill("rtsp://admin:p@ss%@192.0.2.9/x")
    assert await inputs.nth(1).input_value() == "rtsp://192.0.2.9/x"
    assert await inputs.nth(2).input_value() == "admin"
    assert await inputs.nth(3).input_value() == "p@ss%"
    for name, said in (("West Gate", "“短名”填得不对"), ("gate", "已有摄像机在用")):
        await inputs.nth(4).fill(name)
        await send.click()
        await page.locator(".dialog .problem", has_text=said).wait_for()
    assert set(site.box.parts.cameras.states) == before
    await page.locator(".dialog header button").click()
    await page.goto(site.box.url + "/#/live")
    small = page.locator("nvr-tile.lost:not(.focus)", has_text="大桥")
    assert "摄像机断开" in await small.inner_text()
    assert "camera.lost" not in await small.inner_text(), "words, no codes, where little room is"


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_nothing_is_cut_off_on_a_phone(
    site: Site, browser: Browser, visit: Visit, language: str
) -> None:
    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        locale=language,
        storage_state=await visit.context.storage_state(),
    )
    await context.add_init_script(f"localStorage.setItem('nvr.lang', '{language}')")
    page = await context.new_page()
    cut = {}
    for where in ("live", "playback?cam=gate", *(f"manage/{name}" for name in MANAGE)):
        await page.goto(f"{site.box.url}/#/{where}")
        await page.locator(f".shell[data-screen={where[:4]}] main > *, main > *").first.wait_for()
        await asyncio.sleep(0.4)
        cut[where] = await page.evaluate(CUT)
    for width, height in ((390, 844), (1280, 800)):
        await page.set_viewport_size({"width": width, "height": height})
        await page.goto(f"{site.box.url}/#/live")
        await page.locator(".aux .btn").first.wait_for()
        await page.get_by_role("button", name={"zh": "功能", "en": "Functions"}[language]).click()
        await page.locator(".dialog .menu").wait_for()
        cut[f"functions {width}"] = await page.evaluate(CUT)
        await page.keyboard.press("Escape")
    await context.close()
    assert not any(cut.values()), cut


async def test_holding_a_preset_opens_it_and_goes_nowhere(
    site: Site, browser: Browser, visit: Visit
) -> None:
    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        locale="zh-CN",
        storage_state=await visit.context.storage_state(),
    )
    page = await context.new_page()
    await page.goto(site.box.url + "/#/live")
    box = await page.locator(".pre[data-number]").first.bounding_box()
    assert box
    mark = len(site.log)
    wire = await context.new_cdp_session(page)
    touch = [{"x": box["x"] + 20, "y": box["y"] + 15}]
    await wire.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": touch})
    await page.locator(".dialog .btn.danger", has_text="清除").wait_for()
    await wire.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await asyncio.sleep(0.3)
    await context.close()
    assert not site.since(mark, "preset")


async def test_a_caption_that_does_not_fit_says_so(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.goto(site.box.url + "/#/manage/captions?cam=gate")
    await page.locator("#cap-lines").fill("\n".join("123456789"))
    await page.get_by_text("只到第 8 行").wait_for()
    await page.locator("#cap-lines").fill("东门")
    await page.get_by_text("已生效").wait_for()


async def test_the_audit_log_is_in_words(site: Site, visit: Visit) -> None:
    page = visit.page
    await page.goto(site.box.url + "/#/manage/audit")
    await page.locator(".audit tbody tr").first.wait_for()
    done = await page.locator(".audit td:nth-child(3)").all_inner_texts()
    assert any("改密码" in one for one in done)
    assert [one for one in done if one.isascii()] == []
    why = await page.locator(".audit .reason").all_inner_texts()
    assert [one for one in why if one.startswith("added")] == []
    assert any("认领码不对" in one for one in why)


async def test_a_viewer_sees_only_what_is_theirs(site: Site, browser: Browser) -> None:
    await site.box.user("viewer", "viewer", {"gate": ["live"]})
    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        locale="en",
    )
    page = await context.new_page()
    guest = Visit(page, context)
    guest.watch()
    await page.goto(site.box.url)
    await page.locator("input").nth(0).fill("viewer")
    await page.locator("input").nth(1).fill(PASSWORD)
    await page.locator("form button[type=submit]").click()
    await page.locator(".tile.focus.live").wait_for()
    assert await page.locator("nvr-tile").count() == 1
    assert await page.locator("nvr-stick").count() == 0
    assert await page.locator(".bar-stop").is_visible()
    await page.goto(site.box.url + "/#/manage/users")
    await page.locator(".manage-body").wait_for()
    assert "Users" not in await page.locator(".tabs").inner_text()
    await page.goto(site.box.url + "/#/playback")
    await page.locator(".blank .i").wait_for()
    assert guest.faults == []
    await context.close()


async def test_a_phone_steers_by_touch(site: Site, browser: Browser, visit: Visit) -> None:
    state = await visit.context.storage_state()
    context = await browser.new_context(
        ignore_https_errors=True,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        locale="zh-CN",
        storage_state=state,
    )
    page = await context.new_page()
    await page.goto(site.box.url)
    await page.locator(".tile.focus.live").wait_for()
    stop, stick = await page.locator(".ctl .stop").bounding_box(), await stick_centre(page)
    assert stop
    assert stop["height"] >= 88
    assert stop["x"] > stick[0], "stick left, STOP right"
    mark = len(site.log)
    wire = await context.new_cdp_session(page)
    x, y = stick
    touch = [{"x": x, "y": y}]
    await wire.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": touch})
    touch = [{"x": x - 60, "y": y}]
    await wire.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": touch})
    await until("motion to the left", lambda: any(r[3] < 0 for r in site.since(mark, "move")))
    await wire.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    await until("neutral", lambda: site.since(mark, "move")[-1][3:] == (0, 0, 0))
    await page.locator(".ctl .stop").tap()
    await until("a stop", lambda: site.since(mark, "stop"))
    await context.close()
    await until("the page's going is noticed", lambda: site.since(mark, "gone"))


async def test_nothing_went_wrong_on_the_way(visit: Visit) -> None:
    assert visit.faults == []


async def test_what_is_wrong_with_the_disks_is_said_above_every_screen(
    site: Site, visit: Visit
) -> None:
    page, wrong = visit.page, site.box.parts.box.wrong
    wrong += [Unavailable("data.full", "nearly full"), Unavailable("volume.slow", "slow")]
    banner = page.locator(".banner")
    await banner.wait_for()
    assert await banner.inner_text() == (
        "录像照常。系统盘快满了，设置、账号和审计日志可能存不下。清出空间。"
        " 硬盘勉强跟得上。换更快的盘或降低码率。"
    )
    assert "alarm" not in (await banner.get_attribute("class") or "")
    wrong.clear()
    await banner.wait_for(state="hidden")
