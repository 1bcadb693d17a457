"""Cameras told to draw captions and masks, against a device that does it as cameras do."""

import asyncio
import dataclasses
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nvr.app import ours
from nvr.app import painter as module
from nvr.app.made import FILE, Book
from nvr.app.masks import MaskLog
from nvr.app.painter import Painter
from nvr.app.picture import sources_of
from nvr.app.settings import masks_of
from nvr.base.clock import FakeClock
from nvr.base.errors import Misconfigured, Unavailable
from nvr.base.permit import Permit
from nvr.config.camera import Camera as Written
from nvr.config.camera import Caption, MaskArea, Onvif
from nvr.link.camera import Camera
from nvr.media.camera import CameraState
from nvr.media.onvif import Profile, Target
from tests.peers.odd_drawing import Drawing
from tests.peers.odd_onvif import odd_device

AREA = MaskArea(points_permille=[(100, 100), (300, 120), (280, 400)])
OTHER = MaskArea(points_permille=[(600, 100), (900, 100), (900, 300), (600, 300)], kind="mosaic")


def state(name: str, condition: str) -> CameraState:
    return CameraState(
        stream=f"{name}/main", state=condition, since_us=0, code="", detail="", codec="h264",
        width_px=1920, height_px=1080, fps=25, bitrate_bps=0, recorded_until_us=0, name=name,
        title=name, record_behind=False, retain_h=1, caption=None,
    )  # fmt: skip


class Rig:
    """A box with one camera, and a clock that moves when it is told to."""

    def __init__(self, device, path: Path) -> None:
        self.device, self.path = device, path
        self.clock = FakeClock()
        self.camera = Written(
            name="gate", url="rtsp://192.0.2.1/1", onvif=Onvif(address=f"127.0.0.1:{device.port}")
        )
        self.ours = False
        self.condition = "live"
        self.told: list[str] = []
        self.client = Camera(
            Target("127.0.0.1", device.port, "admin", "right"), Permit(["127.0.0.1:*"])
        )
        self.start()

    def start(self) -> None:
        """As after a restart of the recorder."""
        self.painter = Painter(self, self, Book(self.path / FILE), self.clock)
        self.painter.told = self.tell
        self.painter.follow()

    def tell(self, name: str) -> None:
        """As the table of cameras does: who listens is told the state."""
        self.told.append(name)
        self.painter.seen(state(name, self.condition))

    def stream(self, condition: str) -> None:
        """How its stream does, from now on."""
        self.condition = condition
        self.painter.seen(state("gate", condition))

    def configured(self) -> list[Written]:
        return [self.camera]

    def encoded_here(self, _name: str) -> bool:
        return self.ours

    async def ask(self, name: str, wish):
        assert name == "gate"
        return await self.client.ask(wish)

    def set(self, *lines: str, masks: tuple[MaskArea, ...] | None = None, **changes) -> None:
        kept = {key: getattr(self.camera, key) for key in self.camera.__struct_fields__}
        if lines:
            kept["caption"] = Caption(lines=list(lines))
        if masks is not None:
            kept["mask"] = list(masks)
        self.camera = Written(**(kept | changes))

    async def look(self, after_s: float = 3.0) -> None:
        """Let time pass, and what is due be done."""
        self.painter.follow()
        self.clock.advance(after_s)
        await asyncio.gather(*self.painter.step())

    async def masked(self) -> None:
        """Two looks, as far apart as makes masks sure."""
        await self.look()
        await self.look(module.SETTLE_S + 1)

    def caption(self):
        return self.painter.caption("gate")

    def remarks(self) -> list[tuple[str, int, str]]:
        return [(one.code, one.line, one.said) for one in self.caption().remarks]


@asynccontextmanager
async def rig(path: Path, **knobs):
    drawing = Drawing(**knobs)
    async with odd_device(media2=True, drawing=drawing) as device:
        made = Rig(device, path)
        try:
            yield made, drawing
        finally:
            await made.client.close()


async def test_a_caption_is_written_by_the_camera_and_read_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set("临江路与东门街", "{date} {hms}")
        it.painter.follow()
        assert it.caption().state == "waiting"
        assert not it.painter.writes("gate")
        await it.look()
        assert drawing.shown() == ["临江路与东门街", "DateAndTime"]
        assert (it.caption().state, it.remarks()) == ("drawn", [])
        assert it.painter.writes("gate")
        assert "gate" in it.told
        writes = list(drawing.writes)
        await it.look(module.TEXTS_S + 1)
        assert drawing.writes == writes, "nothing is told that is there already"
        it.set("西门")
        await it.look()
        assert drawing.shown() == ["西门"]
        assert drawing.texts["o1"]["text"] == "东门", "what is not ours stays"
        it.set(caption=Caption(lines=["西门"], burn="none"))
        await it.look()
        assert drawing.shown() == []
        await it.look()
        assert it.caption() is None
        assert not it.painter.writes("gate")


async def test_what_the_camera_cut_or_refuses_is_said_and_not_told_again(tmp_path: Path) -> None:
    async with rig(tmp_path, cut=4, refuses="<") as (it, drawing):
        it.set("临江路与东门街", "<b>", "东门")
        await it.look()
        assert drawing.shown() == ["临江路与", "东门"]
        assert it.caption().state == "partly"
        assert it.remarks() == [("osd.cut", 1, "4"), ("osd.refused", 2, "text not allowed")]
        writes = list(drawing.writes)
        await it.look(module.TEXTS_S + 1)
        assert drawing.writes == writes


async def test_a_text_that_cannot_be_changed_is_made_anew(tmp_path: Path) -> None:
    async with rig(tmp_path, no_set=True) as (it, drawing):
        it.set("东门")
        await it.look()
        it.set("西门")
        await it.look()
        assert drawing.shown() == ["西门"]
        assert drawing.writes[-2:] == ["delete OSD_1", "create 西门"]


async def test_a_camera_that_refuses_the_new_text_shows_no_old_one(tmp_path: Path) -> None:
    async with rig(tmp_path, refuses="西") as (it, drawing):
        it.set("东门")
        await it.look()
        it.set("西门")
        await it.look()
        assert drawing.shown() == []
        assert (it.caption().state, it.caption().code) == ("failed", "osd.refused")
        assert not it.painter.writes("gate"), "so the page draws it"


async def test_a_restarted_camera_is_told_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set("东门")
        await it.look()
        drawing.forget()
        it.stream("lost")
        it.stream("live")
        await it.look()
        assert drawing.shown() == ["东门"]


async def test_what_we_made_is_known_after_a_restart_of_the_recorder(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set("东门", "北门")
        await it.look()
        it.set("西门")
        it.start()
        await it.look()
        assert drawing.shown() == ["西门"]
        assert sorted(drawing.texts) == ["OSD_1", "o1"]


async def test_a_question_that_was_sent_again_leaves_no_second_text(tmp_path: Path) -> None:
    async with rig(tmp_path, lost=1, cut=2) as (it, drawing):
        it.set("临江路")
        await it.look()
        assert drawing.writes == ["create 临江", "create 临江", "delete OSD_1"]
        assert drawing.shown() == ["临江"]
        assert it.caption().state == "partly"


async def test_a_text_whose_making_nobody_answered_is_known_as_ours(tmp_path: Path) -> None:
    async with rig(tmp_path, lost=9, cut=2) as (it, drawing):
        it.set("临江路")
        await it.look()
        drawing.lost = 0
        assert it.caption().state == "failed"
        assert drawing.shown()
        assert json.loads((tmp_path / FILE).read_text())["gate"]["texts"]["making"] == ["o1"]
        it.start()
        await it.look()
        assert drawing.shown() == ["临江"], "not twice"
        it.set(caption=None)
        await it.look()
        assert list(drawing.texts) == ["o1"]


async def test_nothing_in_another_camera_in_its_place_is_ours(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set("东门")
        await it.look()
        it.device.serial = "another"
        drawing.texts["OSD_1"] = drawing.texts["o1"] | {"text": "theirs"}
        it.stream("lost")
        it.stream("live")
        await it.look()
        assert drawing.texts["OSD_1"]["text"] == "theirs"
        assert sorted(drawing.shown()) == sorted(["theirs", "东门"])


async def test_a_camera_that_is_removed_loses_what_is_ours(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set("临江路与东门街", masks=(AREA,))
        await it.masked()
        assert len(drawing.masks) == 1
        assert await it.painter.clear("gate") == 0
        assert (drawing.shown(), drawing.masks) == ([], {})
        assert drawing.texts["o1"]["text"] == "东门", "what is not ours stays"
        assert "gate" not in json.loads((tmp_path / FILE).read_text())
        await it.look()
        assert drawing.shown() == [], "it is not told again while it is on its way out"
        it.painter.stays("gate")  # it could not be removed
        await it.look()
        assert drawing.shown() == ["临江路与东门街"]
        assert await it.painter.clear("gate") == 0
        assert await it.painter.clear("gate") == 0, "there is nothing any more"


async def test_what_stays_in_a_removed_camera_is_said_and_known_again(
    tmp_path: Path, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(ours, "CLEAR_S", 0.3)
    async with rig(tmp_path) as (it, drawing):
        it.set("临江路与东门街", "{date} {hms}")
        await it.look()
        asked, hangs = it.ask, asyncio.Event()

        async def never(_name: str, _wish):
            await hangs.wait()

        async def away(_name: str, _wish):
            raise Unavailable("onvif.unreachable", "no route to host")

        for how in (never, away):
            it.ask = how
            assert await it.painter.clear("gate") == 2
            assert "drawn.left" in caplog.text
            caplog.clear()
        it.ask = asked
        assert drawing.shown() == ["临江路与东门街", "DateAndTime"]
        # Added again, without a caption: they are ours still.
        it.set(caption=None)
        it.start()
        await it.look()
        assert drawing.shown() == []


async def test_another_camera_in_its_place_is_left_alone_when_it_is_removed(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set("临江路与东门街")
        await it.look()
        it.device.serial = "another"
        assert await it.painter.clear("gate") == 0
        assert drawing.shown() == ["临江路与东门街"]


async def test_a_camera_without_texts_cannot_and_ours_are_not_asked(tmp_path: Path) -> None:
    async with rig(tmp_path, services=()) as (it, _):
        it.set("东门")
        await it.look()
        assert (it.caption().state, it.caption().code) == ("impossible", "onvif.unsupported")
        assert not it.painter.writes("gate")
        asked = len(it.device.log)
        it.ours = True
        await it.look(module.TEXTS_S + 1)
        assert it.caption() is None
        assert len(it.device.log) == asked


async def test_a_camera_that_is_away_is_asked_again_and_less_and_less_often(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.device.answer = "reset"
        it.set("东门")
        await it.look()
        assert (it.caption().state, it.caption().code) == ("failed", "onvif.unreachable")
        await it.look(9.0)
        it.device.answer = ""
        await it.look(0.5)
        assert drawing.shown() == [], "not due yet"
        await it.look(20.0)
        assert drawing.shown() == ["东门"]


def carried(it: Rig) -> bool:
    return it.painter.hides(it.camera)


async def test_masks_count_only_when_they_were_read_back_twice(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set(masks=(AREA, OTHER))
        await it.look()
        assert [one["kind"] for one in drawing.masks.values()] == ["Color", "Pixelated"]
        assert (it.painter.masks("gate").state, carried(it)) == ("waiting", False)
        await it.look(module.SETTLE_S - 1)
        assert not carried(it)
        await it.look(module.SETTLE_S)
        assert (it.painter.masks("gate").state, carried(it)) == ("drawn", True)
        assert it.painter.hid_until_us("gate") == it.clock.wall_us()
        it.set(masks=(AREA,))
        assert not carried(it), "other masks are not yet what the camera hides"
        await it.masked()
        assert carried(it)
        assert len(drawing.masks) == 1
        it.set(masks=())
        await it.look()
        assert drawing.masks == {}
        assert not carried(it)


@pytest.mark.parametrize("lost", ["stream", "mask", "off", "smaller", "unreachable"])
async def test_whatever_may_have_taken_them_away_makes_its_pictures_unmasked_ones(
    tmp_path: Path, lost: str
) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set(masks=(OTHER,))
        await it.masked()
        assert carried(it)
        seen_us = it.painter.hid_until_us("gate")
        (token,) = drawing.masks
        it.told.clear()
        match lost:
            case "stream":
                it.stream("lost")
                assert not carried(it), "at once"
            case "mask":
                drawing.forget()
                await it.look(module.MASKS_S + 1)
            case "off":
                drawing.off = True
                await it.look(module.MASKS_S + 1)
            case "smaller":
                drawing.halves = True
                x, y = drawing.masks[token]["points"][0]
                drawing.masks[token]["points"][0] = (x + 0.1, y)
                await it.look(module.MASKS_S + 1)
            case "unreachable":
                it.device.answer = "reset"
                await it.look(module.MASKS_S + 1)
                assert carried(it), "it is asked once more"
                await it.look(11.0)
        assert not carried(it)
        assert "gate" in it.told
        assert it.painter.hid_until_us("gate") == seen_us
        drawing.off = drawing.halves = False
        it.device.answer = ""
        it.stream("lost")
        it.stream("live")
        await it.look(60.0)
        assert not carried(it), "one look is not enough"
        await it.look(module.SETTLE_S + 1)
        assert carried(it)


@pytest.mark.parametrize(
    ("knobs", "sure"),
    [
        ({"rectangles": True}, True),
        ({"corners": 4}, True),
        ({"grid": 0.02}, True),  # rounds inwards: a larger one is told
        ({"halves": True}, False),
        ({"off": True}, False),
        ({"most_masks": 1}, False),
        ({"most_masks": 0}, False),
        ({"has_masks": False}, False),
    ],
)
async def test_only_a_camera_that_hides_all_of_it_is_believed(
    tmp_path: Path, knobs: dict, sure: bool
) -> None:
    async with rig(tmp_path, **knobs) as (it, _):
        it.set(masks=(AREA, OTHER))
        for _ in range(3):
            await it.look(module.MASKS_S + 1)
        assert carried(it) == sure
        assert it.painter.masks("gate").state == (
            "drawn" if sure else "failed" if "has_masks" not in knobs else "impossible"
        )
        if not sure and "has_masks" not in knobs:
            assert it.painter.masks("gate").remarks


async def test_masks_that_are_not_to_be_the_cameras_are_taken_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, drawing):
        it.set(masks=(AREA,))
        await it.masked()
        it.set(mask_burn="none")
        it.painter.follow()
        assert not carried(it), "before they are gone"
        assert len(drawing.masks) == 1
        await it.look()
        assert drawing.masks == {}
        assert it.painter.masks("gate") is None


def test_recordings_are_unmasked_from_the_last_look_at_which_masks_were_there(
    tmp_path: Path,
) -> None:
    log = MaskLog(tmp_path / "masks.jsonl")
    gate = Written(name="gate", url="rtsp://192.0.2.1/1", mask=[AREA])
    log.note([(gate, False)], 1000)
    log.note([(gate, True)], 2000)
    assert log.over("gate", 2000, 3000) == ()
    log.note([(gate, False)], 3000, lambda _: 2500)
    assert log.over("gate", 2000, 2499) == ()
    assert log.over("gate", 2000, 2500) == masks_of(gate)
    log.note([(gate, True)], 4000, lambda _: 2500)
    log.note([(gate, False)], 5000, lambda _: 0)
    assert log.over("gate", 4000, 4999) == ()
    log.note([(gate, True)], 6000)
    log.note([(gate, False)], 7000, lambda _: 10)
    assert log.over("gate", 5500, 5900) == masks_of(gate)
    assert log.over("gate", 1000, 1100) == masks_of(gate)


def test_a_camera_with_several_pictures_must_say_which() -> None:
    base = Profile("a", "a", "s1", "h264", 1920, 1080, 25, 0, 50, "", "e", "", video="v1")
    sub = dataclasses.replace(base, token="b", height_px=360, video="v2")
    other = dataclasses.replace(base, token="c", source="s2", video="v3")
    assert sources_of([base, sub], "") == (("v1", "v2"), 1080)
    assert sources_of([base, sub, other], "c") == (("v3",), 1080)
    with pytest.raises(Misconfigured, match=r"onvif\.which_picture"):
        sources_of([base, sub, other], "")
    with pytest.raises(Misconfigured, match=r"onvif\.unsupported"):
        sources_of([dataclasses.replace(base, video="")], "")


def test_a_book_that_is_damaged_is_as_none(tmp_path: Path) -> None:
    path = tmp_path / FILE
    for text in ("{", "[]", '{"gate": 1}', '{"gate": {"serial": 1, "texts": {}}}'):
        path.write_text(text)
        assert not Book(path).of("gate").any
    book = Book(path)
    book.of("gate").texts.tokens.append("o1")
    book.save()
    assert Book(path).of("gate").texts.tokens == ["o1"]
    book.forget("gate")
    assert not Book(path).of("gate").any
