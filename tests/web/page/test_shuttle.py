"""Playback in every direction and speed, of several cameras, with sound; pictures are numbered."""

import asyncio
import contextlib
import itertools
import statistics
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from nvr.base.clock import SystemClock
from tests.record import synthetic
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.page.test_page import CUT, until
from tests.web.page.visit import STANDING

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

FRAME_US = 40_000
LOOP = 100
SECONDS = 180
GAP_S = (60, 75)
# The lower half of picture n of a loop of 100 has the grey level 2 n.
SEEN = """() => [...document.querySelectorAll(".deck .tile")].map((tile) => {
  const canvas = tile.querySelector(":scope > canvas");
  const video = tile.querySelector("video");
  const from = canvas.hidden ? video : canvas;
  const [width, height] = canvas.hidden ? [video.videoWidth, video.videoHeight]
    : [canvas.width, canvas.height];
  if (!width || tile.classList.contains("gone") || tile.classList.contains("veiled")) return null;
  const ctx = new OffscreenCanvas(1, 1).getContext("2d");
  ctx.drawImage(from, width / 2, height * 0.9, 1, 1, 0, 0, 1, 1);
  return ctx.getImageData(0, 0, 1, 1).data[1] / 2;
})"""
AT = "document.querySelector('nvr-playback').timeline.playhead_us"
# A sample at each frame of the browser for so long: time, and the number in each picture.
WATCH = f"""(ms) => new Promise((resolve) => {{
  const playback = document.querySelector("nvr-playback");
  const seen = {SEEN};
  const found = [];
  const begun = performance.now();
  const look = () => {{
    playback.draw();
    found.push([performance.now() - begun, playback.timeline.playhead_us, ...seen()]);
    if (performance.now() - begun > ms) resolve(found);
    else requestAnimationFrame(look);
  }};
  look();
}})"""


@dataclass
class Reel:
    """A page before an archive of three minutes, of four cameras."""

    box: Box
    page: Page
    start_us: int

    async def open(self, at_s: float, cam: str = "gate", play: bool = False) -> None:
        t_us = self.start_us + round(at_s * 1e6)
        await self.page.goto("about:blank")
        await self.page.goto(
            f"{self.box.url}/#/playback?cam={cam}&t={t_us}" + ("&play=1" if play else "")
        )
        await until("a picture", lambda: self.seen(0))

    async def seen(self, tile: int) -> object:
        found = await self.page.evaluate(SEEN)
        return tile < len(found) and found[tile] is not None

    async def shown(self, tile: int = 0) -> tuple[float, float]:
        """Time on show and the number of the picture, once one is there."""
        for _ in range(100):
            row = (await self.watch(1))[0]
            if len(row) > tile + 2 and row[tile + 2] is not None:
                return row[1], row[tile + 2]
            await asyncio.sleep(0.05)
        found = await self.page.evaluate(STANDING, ".deck .tile")
        raise AssertionError(f"no picture at {await self.at_s()}: {found}")

    async def at_s(self) -> float:
        return (await self.page.evaluate(AT) - self.start_us) / 1e6

    def off(self, at_us: float, number: float) -> float:
        """How many pictures the one shown is away from the one of that time."""
        want = (at_us - self.start_us) / FRAME_US
        return (number - want + LOOP / 2) % LOOP - LOOP / 2

    async def speed(self, rate: float) -> None:
        await self.page.locator(".tp .rate").select_option(f"{rate:g}")

    async def watch(self, ms: int) -> list[list[float]]:
        return await self.page.evaluate(WATCH, ms)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reel(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> AsyncIterator[Reel]:
    clock, archive = SystemClock(), MemoryArchive(most_bytes=1 << 30)
    start_us = (clock.wall_us() // 1_000_000 - SECONDS - 30) * 1_000_000
    for name, sound, gap in (
        ("gate", True, None), ("yard", False, None), ("door", False, GAP_S), ("hall", False, None)
    ):  # fmt: skip
        parts = itertools.takewhile(
            lambda part: part.wall_us < start_us + SECONDS * 1_000_000,
            synthetic.camera(f"{name}/main", wall_us=start_us, with_audio=sound),
        )
        for part in parts:
            at_s = (part.wall_us - start_us) / 1e6
            if gap and at_s >= gap[1]:
                archive.take([replace(part, run=2)])
            elif not gap or at_s < gap[0]:
                archive.take([part])
    directory: Path = tmp_path_factory.mktemp("reel")
    async with contextlib.AsyncExitStack() as stack:
        box = await stack.enter_async_context(running(directory, archive=archive, clock=clock))
        for name in ("gate", "yard", "door", "hall"):
            state = box.parts.cameras.put(name, name.title())
            until_us = archive.until_us(f"{name}/main")
            box.parts.cameras.set(replace(state, recorded_until_us=until_us))
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        context = await browser.new_context(
            ignore_https_errors=True, viewport={"width": 1280, "height": 800}, locale="en-GB"
        )
        page = await context.new_page()
        await page.goto(box.url)
        await page.evaluate(
            """(password) => fetch("/api/login", {method: "POST", headers: {"X-NVR": "1",
                 "Content-Type": "application/json"}, body: JSON.stringify(
                 {name: "owner", password})})""",
            PASSWORD,
        )
        yield Reel(box, page, start_us)
        await context.close()


async def test_backwards_every_picture_is_shown_at_its_own_time(reel: Reel) -> None:
    await reel.open(40)
    await reel.page.keyboard.press("j")
    await until(
        "it runs", lambda: reel.page.evaluate("!document.querySelector('.pic canvas').hidden")
    )
    found = [row for row in await reel.watch(3000) if row[2] is not None]
    times = [row[1] for row in found]
    assert times == sorted(times, reverse=True)
    assert (times[0] - times[-1]) / 1e6 < 3.5
    assert len(set(times)) > 10, "not one a group"
    assert all(abs(reel.off(row[1], row[2])) < 1.6 for row in found)
    await reel.page.keyboard.press("k")
    await until(
        "the picture itself",
        lambda: reel.page.evaluate("document.querySelector('.pic canvas').hidden"),
    )
    assert abs(reel.off(*await reel.shown())) < 1.6


async def test_j_and_l_double_and_turn_and_k_stops(reel: Reel) -> None:
    await reel.open(100)
    rate = reel.page.locator(".tp .rate")
    for key, want in (("l", "1"), ("l", "2"), ("l", "4"), ("j", "-1"), ("j", "-2"), ("l", "1")):
        await reel.page.keyboard.press(key)
        assert await rate.input_value() == want
    await reel.page.keyboard.press("k")
    stood = await reel.at_s()
    await asyncio.sleep(0.4)
    assert abs(await reel.at_s() - stood) < 0.05


async def test_a_frame_back_crosses_the_key_frame_and_on_again(reel: Reel) -> None:
    await reel.open(50.04)
    numbers = []
    for key in (",", ",", ",", ".", ".", "."):
        before = await reel.at_s()
        await reel.page.keyboard.press(key)
        await until("another", lambda b=before: _moved(reel, b))
        await asyncio.sleep(0.1)
        numbers.append(round((await reel.shown())[1]))
    assert numbers == [50, 49, 48, 49, 50, 51]


async def _moved(reel: Reel, before: float) -> bool:
    return abs(await reel.at_s() - before) > 0.02


@pytest.mark.parametrize("rate", [32, -16])
async def test_fast_only_key_frames_are_fetched_and_shown(reel: Reel, rate: int) -> None:
    await reel.open(20 if rate > 0 else 160)
    await reel.speed(rate)
    asked: list[str] = []
    reel.page.on("request", lambda request: asked.append(request.url))
    await reel.page.keyboard.press("Space")
    await until(
        "it runs", lambda: reel.page.evaluate("!document.querySelector('.pic canvas').hidden")
    )
    asked.clear()
    found = [row for row in await reel.watch(2500) if row[2] is not None]
    groups = [url for url in asked if "/gop?" in url]
    assert len(groups) > 5
    assert all("key=1" in url for url in groups)
    passed_s, moved_s = (found[-1][0] - found[0][0]) / 1e3, (found[-1][1] - found[0][1]) / 1e6
    assert 0.5 < moved_s / passed_s / rate < 1.5
    for row in found:
        assert abs(reel.off(row[1], row[2])) < 1.6
        assert min(row[2] % 25, 25 - row[2] % 25) < 1.6
    await reel.page.locator(".pic .nm", has_text="key frames").wait_for()
    await reel.page.keyboard.press("k")


async def test_backwards_goes_over_a_gap_and_stops_at_the_beginning(reel: Reel) -> None:
    await reel.open(GAP_S[1] + 1, "door")
    await reel.speed(-2)
    await reel.page.keyboard.press("Space")
    await until("before the gap", lambda: _before(reel, GAP_S[0]))
    await reel.page.keyboard.press("k")
    await reel.open(1.5)
    await reel.page.keyboard.press("j")
    await until("the beginning", lambda: _before(reel, 0.1))
    await until(
        "it stands", lambda: reel.page.evaluate("document.querySelector('.pic canvas').hidden")
    )


async def _before(reel: Reel, at_s: float) -> bool:
    return await reel.at_s() < at_s


async def _after(reel: Reel, at_s: float) -> bool:
    return await reel.at_s() > at_s


async def test_four_cameras_run_in_step_and_stand_on_the_same_frame(reel: Reel) -> None:
    page = reel.page
    await reel.open(30)
    for count in (2, 4):
        await page.locator(".pic .tools .btn").first.click()
        assert await page.locator(".deck .tile").count() == count
    assert await page.evaluate(CUT) == []
    await page.keyboard.press("Space")
    for tile in range(4):
        await until("a picture of each", lambda n=tile: reel.seen(n))
    await asyncio.sleep(2)
    found = await reel.watch(2000)
    whole = [row for row in found if None not in row]
    assert len(whole) > len(found) // 2
    for row in whole[:: max(1, len(whole) // 20)]:
        apart = [reel.off(row[1], number) for number in row[2:]]
        assert max(apart) - min(apart) <= 15, "frames apart"
    await page.keyboard.press("Space")

    async def alike() -> bool:
        row = (await reel.watch(1))[0]
        return None not in row and all(abs(reel.off(row[1], n)) < 1.6 for n in row[2:])

    await until("all on one frame", alike)
    await page.keyboard.press(",")
    await until("still", alike)
    await page.locator(".deck .mate").first.click()
    assert await page.evaluate("document.querySelector('nvr-playback').camera") == "yard"
    muted = "[...document.querySelectorAll('.mate video')].every((video) => video.muted)"
    assert await page.evaluate(muted), "one camera is heard at most"
    assert await page.locator(".deck .tile").count() == 4
    await until("still", alike)
    await page.keyboard.press("j")
    await asyncio.sleep(1)
    found = [row for row in await reel.watch(1500) if None not in row]
    assert found[0][1] > found[-1][1]
    # Backwards every picture is a jump: a busy box is late with one of them now and then.
    worst = [max(abs(reel.off(row[1], number)) for number in row[2:]) for row in found]
    assert statistics.median(worst) < 6
    await page.keyboard.press("k")
    await until("still", alike)


async def test_the_clock_goes_on_where_only_others_have_pictures(reel: Reel) -> None:
    page = reel.page
    await reel.open(GAP_S[0] - 1, "door")
    await page.locator(".pic .tools .btn").first.click()
    await until("the other", lambda: reel.seen(1))
    await page.keyboard.press("Space")
    await until("in the gap", lambda: _after(reel, GAP_S[0] + 1))
    assert await reel.at_s() < GAP_S[1], "not skipped"
    row = (await reel.watch(1))[0]
    assert row[2] is None
    assert abs(reel.off(*await reel.shown(1))) < 8
    await reel.speed(4)
    await until("out of the gap", lambda: _after(reel, GAP_S[1] + 0.5))
    await until("a picture again", lambda: reel.seen(0))
    await page.keyboard.press("k")
    await reel.open(GAP_S[1] + 3, "door")
    await page.locator(".pic .tools .btn").first.click()
    await until("the other", lambda: reel.seen(1))
    await reel.speed(-8)
    await page.keyboard.press("Space")
    await until("in the gap again", lambda: _before(reel, GAP_S[1] - 2))
    found = [row for row in await reel.watch(600) if row[1] > reel.start_us + GAP_S[0] * 1e6]
    assert found
    assert all(row[2] is None for row in found)
    assert len({row[3] for row in found} - {None}) > 1, "the other's key frames run by"
    await until("before it", lambda: _before(reel, GAP_S[0] - 1))
    await until("a picture again", lambda: reel.seen(0))
    await page.keyboard.press("k")


async def test_sound_is_heard_once_wished_where_there_is_any(reel: Reel) -> None:
    await reel.open(30)
    sound = reel.page.locator(".pic .tools [aria-label=Sound]")
    await sound.wait_for()
    muted = "document.querySelector('.pic video').muted"
    assert await reel.page.evaluate(muted)
    await sound.click()
    assert not await reel.page.evaluate(muted)
    await reel.page.evaluate(
        """(t_us) => document.querySelector("nvr-playback").timeline
             .dispatchEvent(new CustomEvent("seek", {detail: {t_us, done: true}}))""",
        reel.start_us + SECONDS * 1_000_000 - FRAME_US,
    )

    async def last() -> bool:
        at_us, number = await reel.shown()
        return at_us > reel.start_us + (SECONDS - 1) * 1e6 and abs(reel.off(at_us, number)) < 1.6

    await until("the last picture, although no sound comes after it", last)
    await reel.open(30)
    await reel.page.keyboard.press("Space")
    decoded = "document.querySelector('.pic video').webkitAudioDecodedByteCount"
    await until("sound", lambda: reel.page.evaluate(f"{decoded} > 0"))
    await reel.open(30, play=True)
    stood = await reel.at_s()
    await until("it plays, heard or not", lambda: _after(reel, stood + 0.3))
    await reel.page.evaluate("localStorage.removeItem('nvr.sound')")
    await reel.open(30, "yard")
    assert not await sound.is_visible()


async def test_a_phone_runs_back_too_and_nothing_is_cut_off(reel: Reel, browser: Browser) -> None:
    context = await browser.new_context(
        ignore_https_errors=True, viewport={"width": 360, "height": 740}, locale="zh-CN",
        has_touch=True, is_mobile=True, storage_state=await reel.page.context.storage_state(),
    )  # fmt: skip
    phone = Reel(reel.box, await context.new_page(), reel.start_us)
    await phone.open(40)
    await phone.page.locator(".pic .tools .btn").first.tap()
    await until("two", lambda: phone.seen(1))
    await phone.speed(-1)
    assert await phone.page.evaluate(CUT) == []
    await phone.page.locator(".tp .play").tap()
    await until("back", lambda: _before(phone, 38))
    await context.close()
