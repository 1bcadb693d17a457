"""Pictures of presets, and what sends heads to them."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from nvr.app.callups import Callups
from nvr.app.shots import FRESH_US, Shots
from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected, Unavailable
from nvr.config.call import OnEvent
from nvr.config.camera import Camera, Ptz
from nvr.config.load import check
from nvr.media.ports import Operator
from tests.ptz.bench import Bench

ADA = Operator("ada", "operator", "page/1")
CAMERA = Camera(
    name="gate",
    url="rtsp://192.0.2.1/1",
    ptz=Ptz(bus="ptz"),
    on_event=[
        OnEvent(sort="motion", preset=3, zone="fence", hold_s=20.0),
        OnEvent(sort="input", preset=2, priority=90),
        OnEvent(sort="reported", preset=9),
    ],
)


class Rig:
    def __init__(self, place: Path) -> None:
        self.box = Bench(place)
        self.taken: list[str] = []
        self.fails = False
        self.shots = Shots(
            place, self.box.ptz, self.snapshot, self.box.ptz.pictured, self.box.clock
        )
        self.box.ptz.sent = self.shots.told

    async def snapshot(self, camera: str, stream: str, width: int) -> tuple[bytes, int]:
        if self.fails:
            raise Unavailable("snapshot.none", "no picture", camera=camera)
        self.taken.append(stream)
        return b"jpeg%d" % width, self.box.clock.wall_us()

    async def settle(self) -> None:
        async with asyncio.timeout(5):
            await asyncio.gather(*self.shots._waiting.values(), return_exceptions=True)


@pytest.fixture
async def rig(tmp_path: Path):
    made = Rig(tmp_path)
    yield made
    await made.shots.aclose()


async def test_a_stored_preset_is_pictured_and_a_cleared_one_no_more(rig: Rig) -> None:
    rig.box.ptz.preset("gate", ADA, "set", 5, "东门")
    await rig.settle()
    assert rig.taken == ["gate/main"]
    assert rig.shots.picture("gate", 5) == b"jpeg320"
    preset = next(one for one in rig.box.ptz.status("gate").presets if one.number == 5)
    assert (preset.name, preset.pictured_us > 0) == ("东门", True)
    rig.box.ptz.preset("gate", ADA, "clear", 5)
    assert rig.shots.picture("gate", 5) is None


async def test_a_called_preset_is_pictured_once_a_day_and_not_if_the_head_moves_on(
    rig: Rig,
) -> None:
    rig.box.ptz.preset("gate", ADA, "call", 1)
    rig.box.ptz.move("gate", ADA, 0.5, 0, 0)
    await rig.settle()
    assert rig.taken == []
    rig.box.ptz.stop("gate", ADA)
    rig.box.clock.advance(1.0)
    rig.box.ptz.preset("gate", ADA, "call", 1)
    rig.box.ptz.stop("gate", ADA)
    await rig.settle()
    assert rig.taken == [], "it never got there"
    rig.box.clock.advance(1.0)
    for count, later_s in ((1, 60.0), (1, FRESH_US / 1e6), (2, 0.0)):
        rig.box.ptz.preset("gate", ADA, "call", 1)
        await rig.settle()
        assert len(rig.taken) == count
        rig.box.clock.advance(later_s)


async def test_without_a_picture_the_preset_stays_as_it_was(rig: Rig) -> None:
    rig.fails = True
    rig.box.ptz.preset("gate", ADA, "set", 5, "东门")
    await rig.settle()
    assert rig.shots.picture("gate", 5) is None


async def test_what_happens_at_a_camera_sends_its_head_where_the_file_says(rig: Rig) -> None:
    calls = Callups(rig.box.ptz, {"gate": CAMERA}.get)
    calls.happened("gate", "motion", "street")
    calls.happened("attic", "motion")
    assert rig.box.dome.calls == []
    calls.happened("gate", "motion", "fence")
    holder = rig.box.ptz.status("gate").holder
    assert holder is not None
    assert (holder.operator.name, holder.operator.role) == ("motion gate", "alarm")
    rig.box.run(5.0)
    assert rig.box.dome.off_deg(180.0) < 0.1
    rig.box.ptz.move("gate", ADA, 0.5, 0, 0)  # people rank above
    calls.happened("gate", "motion", "fence")
    assert rig.box.ptz.status("gate").holder.operator == ADA
    calls.happened("gate", "input")  # but not above this one
    assert rig.box.ptz.status("gate").holder.operator.name == "input gate"
    calls.happened("gate", "reported")  # of a preset that is not there


def test_an_event_that_sends_a_camera_without_a_head_is_a_fault_of_the_file() -> None:
    text = """
[[camera]]
name = "gate"
url = "rtsp://192.0.2.1/1"
[[camera.on_event]]
sort = "motion"
preset = 3
camera = "yard"
"""
    assert [fault.path for fault in check(text)] == ["$.camera[0].on_event[0]"]
    assert check(text.replace('sort = "motion"', 'sort = "nonsense"'))


async def test_presets_are_arranged_and_mapped_to_numbers_of_the_head(rig: Rig) -> None:
    ptz = rig.box.ptz
    ptz.arrange("gate", ADA, [(3, "东门", 0), (1, "西门", 201)])
    assert [(one.number, one.name, one.device) for one in ptz.status("gate").presets] == [
        (3, "东门", 0), (1, "西门", 201), (2, "P2", 0),
    ]  # fmt: skip
    rig.box.dome.calls.clear()
    ptz.preset("gate", ADA, "call", 1)
    assert rig.box.dome.calls[-1][1][5] == 201
    for wanted in (
        [(3, "a", 0), (3, "b", 0)],
        [(3, "a", 201)],
        [(2, "a", 1), (3, "b", 1)],
        [(3, "x" * 33, 0)],
    ):
        with pytest.raises(Rejected, check=lambda err: err.code == "ptz.range"):
            ptz.arrange("gate", ADA, wanted)
    with pytest.raises(Rejected, check=lambda err: err.code == "ptz.reserved"):
        ptz.arrange("gate", ADA, [(3, "a", 94)])
    with pytest.raises(Rejected, check=lambda err: err.code == "ptz.unknown_preset"):
        ptz.arrange("gate", ADA, [(60, "a", 0)])
    again = Bench(rig.box.place, clock=FakeClock())
    kept = {one.number: one for one in again.presets.of("gate")}
    assert dataclasses.astuple(kept[1]) == (1, "西门", 0, 201)
