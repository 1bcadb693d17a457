"""Main and sub stream on the page: small tiles, playback where one of them is missing, settings."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page

from nvr.base.clock import SystemClock
from nvr.media.backfill import BackfillSettings
from nvr.media.camera import CaptionText, PlanSettings, SubSettings
from nvr.media.ingest import Ingest
from nvr.media.part import Part
from nvr.media.transport import Carried, ReachSettings
from tests.record import synthetic
from tests.web.box import PASSWORD, Box, MemoryArchive, running
from tests.web.demo import SMALL, camera, refresh
from tests.web.page.test_page import CUT, until
from tests.web.page.visit import STANDING, Visit, signed_in

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]

HEARD_AGO_US = 120_000_000
ADDRESS = "rtsp://192.0.2.10/stream2"
_WIDTH = "document.querySelector('.pic video')?.videoWidth"
# When the first picture of the sub stream is shown.
_FIRST_SMALL = """() => new Promise((resolve) => {
  const playback = document.querySelector("nvr-playback");
  const look = () => {
    playback.draw();
    if (playback.video.videoWidth === 320) resolve(playback.timeline.playhead_us);
    else requestAnimationFrame(look);
  };
  look();
})"""


class Holed(MemoryArchive):
    """Lets the main stream go unrecorded from within a group on, up to a key frame."""

    holed = _left_out = False
    _key_us = 0

    def take(self, parts: list[Part]) -> None:
        super().take([one for one in parts if one.stream != "gate/main" or self._let(one)])

    def left_us(self) -> int:
        return self.until_us("gate/sub") - self.until_us("gate/main")

    def _let(self, part: Part) -> bool:
        if part.key:
            self._key_us = part.wall_us
            self._left_out = self._left_out and self.holed
        elif self.holed and part.wall_us - self._key_us > 400_000:
            self._left_out = True
        return not self._left_out


def take_heard(archive: Holed, start_us: int) -> None:
    """A main stream with sound and a hole from second 8 to 14; a sub stream without sound."""
    for which, size, sound in (("main", (320, 240), True), ("sub", (160, 120), False)):
        width, height = size
        parts = synthetic.camera(
            f"heard/{which}", wall_us=start_us, with_audio=sound, width=width, height=height
        )
        for part in itertools.takewhile(lambda one: one.wall_us < start_us + 25_000_000, parts):
            at_us = part.wall_us - start_us
            if which == "sub" or at_us < 8_000_000:
                archive.take([part])
            elif at_us >= 14_000_000:
                archive.take([dataclasses.replace(part, run=2)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Box, Holed]]:
    clock, archive = SystemClock(), Holed()
    ingest = Ingest(archive.take, clock, lambda: 12)
    directory: Path = tmp_path_factory.mktemp("box")
    async with running(directory, hub=ingest, archive=archive, clock=clock) as box:
        cameras = box.parts.cameras
        cameras.put("gate", "东门")
        await cameras.write_sub("gate", SubSettings(ADDRESS))
        cameras.put("yard", "后院", caption_burned=False)
        take_heard(archive, clock.wall_us() - HEARD_AGO_US)
        heard = cameras.put("heard", "有声", state="lost", code="camera.lost")
        cameras.set(dataclasses.replace(heard, recorded_until_us=archive.until_us("heard/main")))
        await box.parts.claim.claim(box.parts.claim.code(), "admin", PASSWORD)
        tasks = [
            asyncio.create_task(one)
            for one in (
                ingest.run(),
                camera(ingest, box, "gate", 150),
                camera(ingest, box, "gate", 150, "gate/sub", SMALL),
                camera(ingest, box, "yard", 100),
                refresh(box, archive),
            )
        ]
        yield box, archive
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def visiting(
    browser: Browser, box: Box, language: str, size: tuple[int, int], who: str = "admin"
) -> AsyncIterator[Visit]:
    visit = await signed_in(browser, box, language, size, who)
    await visit.page.locator("nvr-tile").first.wait_for()
    yield visit
    await visit.context.close()
    assert visit.faults == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visit(site: tuple[Box, Holed], browser: Browser) -> AsyncIterator[Visit]:
    async with visiting(browser, site[0], "zh-CN", (1280, 800)) as visit:
        yield visit


async def shows(page: Page, camera: str, width: int) -> None:
    """Wait until a tile shows a moving picture of that width."""
    tile = f"[...document.querySelectorAll('nvr-tile')].find((t) => t.camera === '{camera}')"
    await until(
        f"{width} pixels of {camera}",
        lambda: page.evaluate(f"{tile}.player.drawn && {tile}.player.size.width === {width}"),
    )


async def test_small_tiles_show_the_sub_stream_and_the_focused_one_the_main_stream(
    site: tuple[Box, Holed], visit: Visit
) -> None:
    page, cameras = visit.page, site[0].parts.cameras
    await shows(page, "gate", 640)
    await page.locator("nvr-tile", has_text="后院").click()
    await shows(page, "gate", 320)
    await shows(page, "yard", 640)
    await page.locator("nvr-tile", has_text="东门").click()
    await shows(page, "gate", 640)
    whole = cameras.states["gate"]
    gone = {"state": "lost", "code": "camera.lost"}
    cameras.set(dataclasses.replace(whole, **gone))
    await shows(page, "gate", 320)
    await page.locator("nvr-tile .st.small.w", has_text="主码流断开").wait_for()
    await page.locator("nvr-tile", has_text="后院").click()
    cameras.set(dataclasses.replace(whole, sub=dataclasses.replace(whole.sub, **gone)))
    await shows(page, "gate", 640)
    assert not await page.locator("nvr-tile .st.small").first.is_visible()
    cameras.set(whole)
    await shows(page, "gate", 320)


async def test_a_caption_that_only_the_sub_stream_carries_is_drawn_over_the_main_one(
    site: tuple[Box, Holed], visit: Visit
) -> None:
    page, cameras = visit.page, site[0].parts.cameras
    whole = cameras.states["gate"]
    text = CaptionText(("东门",), (20, 30), 60, "box")
    bare = dataclasses.replace(whole, caption=text, caption_burned=False, sub_captioned=True)
    tile = "[...document.querySelectorAll('nvr-tile')].find((t) => t.camera === 'gate')"
    bits = f"(({tile}.over.draw(), {tile}.over.node.hidden))"
    cameras.set(bare)
    await page.locator("nvr-tile", has_text="东门").click()
    await shows(page, "gate", 640)
    await until("drawn over the main stream", lambda: page.evaluate(f"!{bits}"))
    await page.locator("nvr-tile", has_text="后院").click()
    await shows(page, "gate", 320)
    assert await page.evaluate(bits), "the picture has it already"
    cameras.set(dataclasses.replace(bare, sub_captioned=False))
    await until("drawn over one without", lambda: page.evaluate(f"!{bits}"))
    cameras.set(whole)


async def test_playback_goes_over_to_the_sub_stream_where_the_main_one_is_missing(
    site: tuple[Box, Holed], visit: Visit
) -> None:
    page, (_, archive) = visit.page, site
    await until("main", lambda: archive.until_us("gate/main") > _first_us(archive) + 4_000_000)
    archive.holed = True
    await until("a hole", lambda: archive.left_us() > 5_000_000)
    gone_us = archive.until_us("gate/main")
    archive.holed = False
    await until("main again", lambda: len(archive.ranges("gate/main", 0, 2**62).runs) == 2)
    again_us = archive.ranges("gate/main", 0, 2**62).runs[1].from_us
    await until("more of it", lambda: archive.until_us("gate/main") > again_us + 4_000_000)

    await page.goto(f"{page.url.split('#')[0]}#/playback?cam=gate&t={gone_us - 1_500_000}&play=1")
    said = page.locator(".pic .st.small")
    await until("the main stream", lambda: page.evaluate(f"{_WIDTH} === 640"))
    assert not await said.is_visible()
    at_us = await page.evaluate(_FIRST_SMALL)
    assert gone_us - 350_000 < at_us < again_us, "the main stream is shown to its end"
    await said.filter(has_text="子码流 · 摄像机断开").wait_for()
    assert await page.evaluate(_WIDTH) == 320
    try:
        await until("the main stream again", lambda: page.evaluate(f"{_WIDTH} === 640"))
    except AssertionError as err:
        err.add_note(f"{await page.evaluate(STANDING, '.pic')}, {await page.inner_text('.pic')}")
        raise
    await said.wait_for(state="hidden")
    at_us = await page.evaluate("document.querySelector('nvr-playback').timeline.playhead_us")
    assert at_us > again_us - 200_000
    await page.keyboard.press("Space")

    # Back and forth over both borders: what is shown is what is said.
    for back_us, width in ((-600_000, 640), (200_000, 320), (-200_000, 640), (900_000, 320)):
        await seek(page, gone_us + back_us)
        await until(f"{back_us}: {width}", lambda w=width: page.evaluate(f"{_WIDTH} === {w}"))
        assert await said.is_visible() == (width == 320), back_us
    for back_us, width in ((-300_000, 320), (500_000, 640)):
        await seek(page, again_us + back_us)
        await until(f"{back_us}: {width}", lambda w=width: page.evaluate(f"{_WIDTH} === {w}"))

    # A person may choose.
    await page.get_by_label("回放哪一路码流").select_option("sub")
    await until("the sub stream", lambda: page.evaluate(f"{_WIDTH} === 320"))
    await said.filter(has_text="子码流").wait_for()
    await page.get_by_label("回放哪一路码流").select_option("main")
    await until("the main stream", lambda: page.evaluate(f"{_WIDTH} === 640"))
    await seek(page, gone_us + 2_000_000)
    await (
        page.locator(".pic.nothing .msg", has_text="没有录像")
        .or_(page.locator(".pic.nothing .msg"))
        .first.wait_for()
    )
    await page.get_by_label("回放哪一路码流").select_option("best")
    await until("the sub stream", lambda: page.evaluate(f"{_WIDTH} === 320"))


def _first_us(archive: Holed) -> int:
    return archive.ranges("gate/main", 0, 2**62).runs[0].from_us


async def seek(page: Page, t_us: int) -> None:
    await page.evaluate(
        """(t_us) => document.querySelector("nvr-playback").timeline.dispatchEvent(
          new CustomEvent("seek", {detail: {t_us, done: true}}))""",
        t_us,
    )
    await until(
        "the place",
        lambda: page.evaluate(
            """(t_us) => Math.abs(document.querySelector("nvr-playback").timeline.playhead_us
              - t_us) < 60_000""",
            t_us,
        ),
    )


async def test_a_silent_sub_stream_follows_a_main_stream_with_sound_and_the_other_way_round(
    site: tuple[Box, Holed], visit: Visit
) -> None:
    page, (_, archive) = visit.page, site
    first, second = archive.ranges("heard/main", 0, 2**62).runs
    at_us = first.to_us - 2_000_000
    await page.goto("about:blank")
    await page.goto(f"{site[0].url}/#/playback?cam=heard&t={at_us}&play=1")
    said = page.locator(".pic .st.small")
    for width, shown in ((320, False), (160, True), (320, False)):
        await until(f"{width}", lambda w=width: page.evaluate(f"{_WIDTH} === {w}"))
        await until("what is said of it", lambda s=shown: _is_shown(said, s))
    at_us = await page.evaluate("document.querySelector('nvr-playback').timeline.playhead_us")
    assert at_us > second.from_us - 200_000
    await page.keyboard.press("Space")
    # The last pictures before the border are the main stream's own.
    for back_us, width in ((-30_000, 320), (300_000, 160), (-400_000, 320)):
        await seek(page, first.to_us + back_us)
        await until(f"{back_us}: {width}", lambda w=width: page.evaluate(f"{_WIDTH} === {w}"))


async def _is_shown(said: Locator, shown: bool) -> bool:
    return await said.is_visible() == shown


async def test_an_export_takes_the_stream_that_is_chosen(
    site: tuple[Box, Holed], visit: Visit
) -> None:
    page, (box, _) = visit.page, site
    await page.goto(f"{page.url.split('#')[0]}#/playback?cam=gate&back=5")
    await page.locator(".exp button", has_text="导出").click()
    dialog = page.locator(".dialog")
    assert await dialog.get_by_label("码流").input_value() == "main"
    await dialog.get_by_label("码流").select_option("both")
    await dialog.locator("button[type=submit]").click()
    await dialog.wait_for(state="detached")
    assert box.parts.exports.all()[0].wanted.streams == "both"
    await page.locator("[data-export] .chip", has_text="主码流和子码流").wait_for()


@pytest.mark.parametrize(
    ("language", "size", "words"),
    [
        ("zh-CN", (1280, 800), ("修改摄像机", "子码流地址", "子码流录像", "录像计划", "码流")),
        (
            "en-GB",
            (375, 667),
            (
                "Change this camera",
                "Address of the sub stream",
                "Recording of the sub stream",
                "When it is recorded",
                "Stream",
            ),
        ),
    ],
)
async def test_a_second_address_is_given_planned_and_taken_away(
    site: tuple[Box, Holed],
    browser: Browser,
    language: str,
    size: tuple[int, int],
    words: tuple[str, ...],
) -> None:
    cameras = site[0].parts.cameras
    edit, address, recording, plan, stream = words
    async with visiting(browser, site[0], language, size) as visit:
        page = visit.page
        await page.goto(page.url.split("#")[0] + "#/manage/cameras")
        card = page.locator(".cam-card", has_text="后院")
        await card.get_by_label(edit, exact=True).click()
        dialog = page.locator(".dialog")
        assert not await dialog.get_by_label(recording).is_visible()
        await dialog.get_by_label(address).fill("rtsp://admin:s%20t@192.0.2.11/2")
        assert await dialog.get_by_label(address).input_value() == "rtsp://192.0.2.11/2"
        await dialog.get_by_label(recording).select_option("false")
        assert await page.evaluate(CUT) == []
        await dialog.locator("button[type=submit]").click()
        await dialog.wait_for(state="detached")
        assert cameras.subs["yard"] == SubSettings("rtsp://192.0.2.11/2", record=False)
        await card.locator("p", has_text="320 × 180").wait_for()
        assert await page.evaluate(CUT) == []
        await card.get_by_label(plan, exact=True).click()
        await dialog.get_by_label(stream, exact=True).select_option("sub")
        await dialog.locator(
            ".hint", has_text="只看不录" if "zh" in language else "watched"
        ).wait_for()
        await dialog.locator("select").nth(1).select_option("event")
        await dialog.locator("button[type=submit]").click()
        await dialog.wait_for(state="detached")
        assert cameras.plans["yard", "sub"].mode == "event"
        assert cameras.plan("yard") == PlanSettings()
        await card.get_by_label(edit, exact=True).click()
        await dialog.get_by_label(address).fill("")
        await dialog.locator("button[type=submit]").click()
        await page.locator(".dialog .danger").click()
        await dialog.first.wait_for(state="detached")
        await until("gone", lambda: "yard" not in cameras.subs)
        del cameras.plans["yard", "sub"]


@pytest.mark.parametrize(
    ("language", "size", "words"),
    [
        (
            "zh-CN",
            (1280, 800),
            ("修改摄像机", "传输方式", "摄像机证书", "当前：UDP，因为 TCP 被拒绝"),
        ),
        (
            "en-GB",
            (390, 844),
            (
                "Change this camera",
                "Transport",
                "Its certificate",
                "Now: UDP, since TCP is refused",
            ),
        ),
    ],
)
async def test_how_a_camera_is_reached_is_said_and_changed(
    site: tuple[Box, Holed],
    browser: Browser,
    language: str,
    size: tuple[int, int],
    words: tuple[str, ...],
) -> None:
    cameras = site[0].parts.cameras
    edit, transport, certificate, now = words
    whole = cameras.states["yard"]
    cameras.set(dataclasses.replace(whole, carried=Carried("udp", "tcp", "refused")))
    async with visiting(browser, site[0], language, size) as visit:
        page = visit.page
        await page.goto(page.url.split("#")[0] + "#/manage/cameras")
        card = page.locator(".cam-card", has_text="后院")
        await card.get_by_text(now.partition(" ")[2] or now.partition("：")[2]).wait_for()
        await card.get_by_label(edit, exact=True).click()
        dialog = page.locator(".dialog")
        await dialog.get_by_text(now).wait_for()
        await dialog.get_by_label(transport).select_option("udp")
        await dialog.get_by_label(certificate).select_option("ab" * 32)
        missed = dialog.locator("fieldset", has_text="ONVIF Profile G")
        await missed.locator("input[type=checkbox]").check()
        await missed.locator("input").nth(1).fill("2.5")
        assert await page.evaluate(CUT) == []
        await dialog.locator("button[type=submit]").click()
        await dialog.wait_for(state="detached")
        assert cameras.reaches.pop("yard") == ReachSettings("udp", "ab" * 32)
        assert cameras.backfills.pop("yard") == BackfillSettings(on=True, mbit_s=2.5)
    cameras.set(whole)
