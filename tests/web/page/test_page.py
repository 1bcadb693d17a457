"""The page as a person meets it: claim, look, steer, go back; in a real browser, over TLS."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Response

from nvr.base.clock import SystemClock
from nvr.media.camera import HeadSettings, OwnOutput
from nvr.media.ingest import Ingest
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.demo import camera, refresh

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

MANAGE = ("cameras", "captions", "users", "machines", "audit", "box")
# Text that stands outside of the screen or is wider than its own box; rows made to be pushed
# sideways (tabs, presets) and names that end in dots are meant to be so.
CUT = """() => [...document.querySelectorAll("main *, header.bar *, nav *")].filter((node) => {
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
  return box.width > 1 && (!row && box.right > innerWidth + 1
    || !row && box.left < -1
    || (node.scrollWidth > node.clientWidth + 1 && style.overflowX !== "visible"));
}).map((node) => `${node.tagName}.${node.className}: ${node.textContent.trim().slice(0, 40)}`)"""
HOSTILE = '"><img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script>'


@dataclass
class Visit:
    """One person at one browser, and everything that went wrong there."""

    page: Page
    context: BrowserContext
    faults: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def watch(self) -> None:
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", self._console)
        self.page.on("response", self._response)

    def _console(self, message: object) -> None:
        text = getattr(message, "text", "")
        if getattr(message, "type", "") in {"error", "warning"} and "status of" not in text:
            self.faults.append(f"console: {text}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.faults.append(f"{response.status} {response.url}")


@dataclass
class Site:
    """A box with two moving pictures, one lost camera and a title that wants to be a script."""

    box: Box
    archive: MemoryArchive

    @property
    def log(self) -> list[tuple[object, ...]]:
        return self.box.parts.ptz.log

    def since(self, mark: int, *kinds: str) -> list[tuple[object, ...]]:
        return [row for row in self.log[mark:] if not kinds or row[0] in kinds]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    clock = SystemClock()
    archive = MemoryArchive()
    ingest = Ingest(archive.take, clock, lambda: 12)
    directory: Path = tmp_path_factory.mktemp("box")
    async with running(directory, hub=ingest, archive=archive, clock=clock) as box:
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
        cameras.put("bridge", "大桥", caption=None, **lost)
        tasks = [
            asyncio.create_task(one)
            for one in (
                ingest.run(),
                camera(ingest, box, "gate", 150),
                camera(ingest, box, "yard", 100),
                refresh(box, archive),
            )
        ]
        yield Site(box, archive)
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
    what: str, check: Callable[[], Awaitable[object] | object], seconds: float = 15
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
    await page.goto(page.url.split("#")[0] + "#/manage/box")
    kept = page.locator("table.keep tbody tr")
    await kept.get_by_text("不够").wait_for()
    assert "5 天 18 小时" in await kept.inner_text()


async def test_a_dome_is_set_up_where_its_camera_is(site: Site, visit: Visit) -> None:
    page, cameras = visit.page, site.box.parts.cameras
    await page.goto(page.url.split("#")[0] + "#/manage/cameras")
    row = page.locator(".cam-card", has_text=cameras.states["gate"].title)
    await row.get_by_label("串口云台").click()
    dialog = page.locator(".dialog")
    await dialog.get_by_label("串口", exact=True).select_option("yard")
    await dialog.get_by_label("地址").fill("12")
    await dialog.get_by_label("协议").select_option("pelco-p")
    await dialog.get_by_label("雨刷").select_option("aux 1")
    await dialog.get_by_label("灯").select_option("relay-1")
    await dialog.locator("button[type=submit]").click()
    await dialog.wait_for(state="detached")
    head = HeadSettings("yard", 12, "pelco-p", wiper=OwnOutput(1), lamp="relay-1")
    assert cameras.heads == {"gate": head}

    # What the form cannot show is not lost by it.
    cameras.heads["gate"] = dataclasses.replace(head, wiper=OwnOutput(1, 20.0))
    await row.get_by_label("串口云台").click()
    await dialog.get_by_label("地址").fill("13")
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
    await page.locator(".pre.new").click()
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


_PICTURE = "document.querySelector('.pic video')?.videoWidth > 0"


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
    newest = round((late.to_us - early.from_us - 3600_000_000) / 40_000) + 1
    assert late.from_us - early.to_us > 600_000_000
    await page.goto("about:blank")
    await page.goto(f"{site.box.url}/#/playback?cam=far&t={late.to_us - 300_000}")
    await until("a picture", lambda: page.evaluate(_PICTURE))
    await until("the newest", lambda: _is(page, range(newest - 100, newest + 100)))
    for at_us, numbers in (
        (early.from_us + 1_500_000, range(200)),
        (late.to_us - 2_000_000, range(newest - 100, newest + 100)),
        (early.to_us - 1_000_000, range(200)),
    ):
        await page.evaluate(
            """t_us => document.querySelector("nvr-playback").timeline
                 .dispatchEvent(new CustomEvent("seek", {detail: {t_us, done: true}}))""",
            at_us,
        )
        await until("the picture of that time", lambda n=numbers: _is(page, n))
        assert not await page.locator(".pic.veiled").count()


async def test_playback_goes_on_by_itself_and_fast(visit: Visit) -> None:
    page = visit.page
    await page.goto(page.url.split("#")[0] + "#/playback?cam=gate&back=12")
    await until("a picture", lambda: page.evaluate(_PICTURE))
    await page.keyboard.press("Space")
    await asyncio.sleep(0.5)
    before = await shown_us(page)
    await page.keyboard.press("Space")
    await asyncio.sleep(1.5)
    after = await shown_us(page)
    assert 800_000 < after - before < 2_500_000
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


async def test_marks_make_a_download(visit: Visit) -> None:
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
    async with page.expect_download() as download:
        await page.keyboard.press("e")
    assert (await download.value).suggested_filename.startswith("东门-20"), "title, local time"
    file = await (await download.value).path()
    data = await asyncio.to_thread(Path(file).read_bytes)
    assert data[4:8] == b"ftyp"
    assert data.count(b"moof") >= 3


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
