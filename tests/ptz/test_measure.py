"""What a head sees, how fast it turns and how well it finds a preset, by its pictures alone."""

from pathlib import Path

import numpy as np
import pytest

from nvr.base.errors import Rejected
from nvr.media.aim import Area
from nvr.media.ports import Operator
from nvr.ptz.measure import TRAVEL_S
from nvr.ptz.sight import Sight, angle_deg
from nvr.sim.head import ZOOM_MAX
from nvr.sim.view import View
from tests.ptz.test_aim import ANGLES, CHIEF, _pixel
from tests.ptz.test_registration import with_caption
from tests.ptz.world import World

TECH = Operator("tech", "operator", "page/1")


@pytest.fixture
def told(tmp_path: Path) -> World:
    world = World(tmp_path, reports=True, sight=Sight(angles=ANGLES))
    for number, pan in ((1, 180.0), (2, 149.0), (3, 246.0)):
        world.dome.store(number, pan)
    return world


async def test_what_a_head_sees_is_measured_over_its_whole_zoom(tmp_path: Path):
    world = World(tmp_path, reports=True)
    world.dome.store(1, 180.0)
    world.ptz.preset("gate", TECH, "call", 1)
    await world.live(12)
    before = world.dome.view
    assert world.aimer.how("gate") == ""
    world.measurer.measure("gate", TECH, "sight")
    await world.done()
    found = world.measurer.measured("gate")
    assert found.measuring.code == ""
    assert len(found.angles) >= 6
    for zoom in (0.0, 0.05, 0.2, 0.6, 1.0):
        assert angle_deg(found.angles, zoom) == pytest.approx(angle_deg(ANGLES, zoom), rel=0.09)
    assert world.dome.off_deg(before.pan_deg, before.tilt_deg) < 0.02
    assert world.dome.view.zoom == pytest.approx(before.zoom, rel=0.01)
    assert world.ptz.status("gate").holder is None
    assert world.ptz.status("gate").aim == "absolute"
    world.aimer.aim("gate", TECH, Area(0.8, 0.6))
    await world.live(5)
    assert _pixel(before, world.dome.view) == pytest.approx((0.8, 0.6), abs=0.02)


async def test_how_fast_a_head_turns_is_measured_and_aims_it(tmp_path: Path):
    world = World(tmp_path, reports=False)
    world.dome.store(1, 180.0)
    world.ptz.preset("gate", TECH, "call", 1)
    await world.live(12)
    before = world.dome.view
    world.measurer.measure("gate", TECH, "sight")
    await world.done()
    found = world.measurer.measured("gate")
    assert (found.measuring.code, found.timed) == ("", True)
    assert world.dome.off_deg(before.pan_deg, before.tilt_deg) < 0.01
    assert [one.number for one in world.ptz.status("gate").presets] == [1, 2, 3], "the spare one"
    for x, y in ((0.85, 0.5), (0.3, 0.7), (0.5, 0.2)):
        world.ptz.preset("gate", TECH, "call", 1)
        await world.live(8)
        assert world.aimer.aim("gate", TECH, Area(x, y)) == "timed"
        await world.live(6)
        assert _pixel(before, world.dome.view) == pytest.approx((x, y), abs=0.03)


@pytest.mark.parametrize("slack_deg", [0.0, 0.2, 1.0])
async def test_a_planted_play_is_found_in_degrees_and_in_the_picture(told: World, slack_deg: float):
    told.dome.head.slack_deg = slack_deg
    await told.live(2)
    before = told.dome.view
    told.measurer.measure("gate", TECH, "presets")
    await told.done()
    found = told.measurer.measured("gate")
    assert found.measuring.code == ""
    assert [one.number for one in found.presets] == [1, 2, 3]
    for one in found.presets:
        assert one.said == ""
        # From one side it stays short where it stayed short before; from the other by twice that.
        assert one.off_deg == pytest.approx(2 * slack_deg, abs=0.05)
        assert one.off_percent == pytest.approx(100 * 2 * slack_deg / 62, abs=0.15)
        assert one.zoom_percent == pytest.approx(0, abs=0.5)
    assert told.dome.off_deg(before.pan_deg, before.tilt_deg) < 0.01
    assert told.ptz.status("gate").holder is None


async def test_a_head_that_does_not_move_is_no_exact_one(told: World):
    told.dome.head.call_preset = lambda *_: False
    told.dome.head.drive = lambda *_: None
    told.measurer.measure("gate", TECH, "presets")
    await told.done()
    assert {one.said for one in told.measurer.measured("gate").presets} == {"unmoved"}


async def test_a_caption_is_no_sign_of_a_head_that_did_not_move(told: World):
    scene = told.picture
    told.picture = lambda: with_caption(scene())
    told.measurer.measure("gate", TECH, "presets")
    await told.done()
    found = told.measurer.measured("gate").presets
    assert [(one.said, one.off_percent) for one in found] == [
        ("", pytest.approx(0, abs=0.15)) for _ in range(3)
    ]


async def test_in_the_dark_nothing_is_told(told: World):
    told.picture = lambda: np.full((180, 320), 17, np.uint8)
    told.measurer.measure("gate", TECH, "presets")
    await told.done()
    found = told.measurer.measured("gate").presets
    assert {(one.said, one.off_percent, one.off_deg) for one in found} == {("unseen", None, None)}
    told.measurer.measure("gate", TECH, "sight")
    await told.done()
    after = told.measurer.measured("gate")
    assert (after.measuring.code, after.angles) == ("ptz.unseen", ANGLES), "the old ones stay"
    assert told.ptz.status("gate").holder is None


async def test_it_does_not_begin_while_a_person_has_the_head(told: World):
    told.ptz.take("gate", CHIEF)
    with pytest.raises(Rejected, check=lambda err: err.code == "ptz.held"):
        told.measurer.measure("gate", TECH, "presets")
    assert told.measurer.measured("gate").measuring is None


@pytest.mark.parametrize(
    "hand",
    [
        lambda it: it.ptz.stop("gate", CHIEF),
        lambda it: it.measurer.end("gate", CHIEF),
        lambda it: it.ptz.lock("gate", CHIEF, 60, "mast"),
        lambda it: it.ptz.stop("gate", TECH),
    ],
    ids=["stop", "end", "lock", "own stop"],
)
async def test_another_word_to_the_head_ends_it_where_it_stands(told: World, hand):
    told.measurer.measure("gate", TECH, "presets")
    await told.live(TRAVEL_S + 3)
    hand(told)
    await told.live(0.2)
    stood = told.dome.view
    await told.live(15)
    assert told.dome.view == stood
    assert told.measurer.measured("gate").measuring.code == "ptz.measure_ended"
    assert not told.measurer._jobs
    assert told.ptz.status("gate").holder is None


async def test_what_was_measured_is_kept(told: World, tmp_path: Path):
    told.measurer.measure("gate", TECH, "presets")
    await told.done()
    again = World(tmp_path, reports=True)
    kept = again.measurer.measured("gate")
    assert (kept.presets, kept.angles) == (told.measurer.measured("gate").presets, ANGLES)


def test_the_dome_with_play_stays_short_of_a_preset():
    from nvr.sim.head import Head  # noqa: PLC0415 - of this test only

    head = Head(0.0, View(0.0, 0.0, 1.0), {1: View(90.0, 0.0, 1.0)})
    head.slack_deg = 0.5
    head.call_preset(0.0, 1)
    head.advance(10.0)
    assert head.view.pan_deg == pytest.approx(89.5)
    assert ZOOM_MAX == 20
