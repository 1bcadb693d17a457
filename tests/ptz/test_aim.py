"""What was clicked comes to the middle; and a timed move ends whatever happens."""

import asyncio
from math import atan2, degrees, log, radians, tan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import Rejected
from nvr.media.aim import Area
from nvr.media.ports import Operator, Position
from nvr.ptz.heads import Mount
from nvr.ptz.line import Glide
from nvr.ptz.onvif import OnvifHead
from nvr.ptz.pelco import Pelco
from nvr.ptz.sight import SPEED, Rate, Sight, angle_deg, fits, legs, target, zoom_at
from nvr.ptz.visca import Visca
from nvr.sim.head import ZOOM_MAX, speed_dps
from nvr.sim.view import WIDEST_DEG, View
from tests.ptz.world import World

ADA, BO = Operator("ada", "operator", "page/1"), Operator("bo", "operator", "page/2")
CHIEF = Operator("chief", "admin", "page/3")

ANGLES = tuple(
    (zoom, 2 * degrees(atan2(tan(radians(WIDEST_DEG / 2)), 1 + zoom * (ZOOM_MAX - 1))))
    for zoom in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
)
"""Of the virtual dome, as somebody measured it."""

# What the dome does at the speed of timed moves, at its wide end: as a calibration finds it.
PAN_DPS = speed_dps(round(SPEED * 63))
TIMED = Sight(
    pan=Rate(PAN_DPS / WIDEST_DEG),
    tilt=Rate(PAN_DPS / (2 * degrees(atan2(tan(radians(30)) * 9, 16)))),
    zoom=Rate(1.0),
)


def _pixel(view: View, at: View) -> tuple[float, float]:
    """Where the middle of one view lies in the picture of another: the scene's own projection."""
    east, north, up = (
        np.sin(radians(at.pan_deg)) * np.cos(radians(at.tilt_deg)),
        np.cos(radians(at.pan_deg)) * np.cos(radians(at.tilt_deg)),
        np.sin(radians(at.tilt_deg)),
    )
    x, y, depth = np.array(view.matrix(1600, 900)).reshape(3, 3) @ (east, north, up)
    assert depth > 0
    return x / depth / 1600, y / depth / 900


@given(st.floats(0, 359.9), st.floats(-85, 10), st.floats(1, 20), st.floats(0, 1), st.floats(0, 1))
def test_a_place_comes_to_the_middle_wherever_the_head_looks(pan, tilt, zoom, x, y):
    """Judged by the projection that the scene is painted with, not by ours."""
    sees = 2 * degrees(atan2(tan(radians(WIDEST_DEG / 2)), zoom))
    found = target(((0.0, sees),), Position(pan, tilt, 0.0), Area(x, y, aspect=16 / 9))
    shown = _pixel(View(pan, tilt, zoom), View(found.pan_deg, found.tilt_deg, zoom))
    assert shown == pytest.approx((x, y), abs=1e-6)


@given(st.floats(0, 1), st.floats(0.05, 1))
def test_an_area_fills_the_picture(zoom, size):
    found = target(ANGLES, Position(0, 0, zoom), Area(0.5, 0.5, size, size / 2))
    before, after = (tan(radians(angle_deg(ANGLES, one) / 2)) for one in (zoom, found.zoom))
    most = tan(radians(ANGLES[-1][1] / 2))
    assert after == pytest.approx(max(before * size, most), rel=1e-6)


@given(st.floats(0, 1))
def test_angles_go_both_ways(zoom):
    assert zoom_at(ANGLES, angle_deg(ANGLES, zoom)) == pytest.approx(zoom, abs=1e-9)


def test_angles_beyond_what_is_known_are_its_ends():
    assert (zoom_at(ANGLES, 170), zoom_at(ANGLES, 0.1)) == (0.0, 1.0)
    ends = (ANGLES[0][1], ANGLES[-1][1])
    assert (angle_deg(ANGLES, -1), angle_deg(ANGLES, 2)) == pytest.approx(ends)
    assert angle_deg(((0.0, 50.0),), 0.7) == 50.0


@pytest.mark.parametrize(
    "angles", [(), ((0, 60), (0, 50)), ((0, 60), (1, 60)), ((0, 0),), ((2, 9),), ((0, 171),)]
)
def test_what_are_no_angles_is_said(angles):
    assert not fits(angles)
    assert fits(ANGLES)


def test_pelco_is_told_where_to_in_its_own_terms():
    to = Position(359.99, -12.34, 0.5)
    falls, rises = (
        [frame.hex() for frame in Pelco(reports=True, tilt_reply=how).point(to)]
        for how in ("falls", "rises")
    )
    assert falls == ["ff01004b8c9f77", "ff01004d87ce" + f"{(1 + 0x4D + 0x87 + 0xCE) & 255:02x}",
                     "ff01004f8000d0"]  # fmt: skip
    assert rises[1] == "ff01004d04d2" + f"{(1 + 0x4D + 0x04 + 0xD2) & 255:02x}"
    assert Pelco(reports=False).point(to) == ()
    assert Pelco(reports=True, goes=False).point(to) == ()
    assert Pelco(reports=True).point(Glide(0, 0)) == ()
    assert Visca(1).point(to) == ()
    assert (OnvifHead().point(to), OnvifHead().point(Glide(0.5, -1))) == (
        (), (b"glide 0.5000 -1.0000",),
    )  # fmt: skip


@pytest.fixture
def told(tmp_path: Path) -> World:
    return World(tmp_path, reports=True, sight=Sight(angles=ANGLES))


@pytest.fixture
def timed(tmp_path: Path) -> World:
    return World(tmp_path, reports=False, sight=TIMED)


async def test_a_head_that_says_where_it_points_is_told_where_to(told: World):
    await told.live(2)
    before = told.dome.view
    assert told.aimer.how("gate") == told.aimer.aim("gate", ADA, Area(0.8, 0.3, 0.25, 0.2))
    await told.live(5)
    assert _pixel(before, told.dome.view) == pytest.approx((0.8, 0.3), abs=0.002)
    assert told.dome.view.zoom == pytest.approx(4, rel=0.03)
    assert ("ptz.aim", "ada") in [one[:2] for one in told.box.audit]


@pytest.mark.parametrize(("x", "y"), [(0.9, 0.5), (0.2, 0.8), (0.5, 0.1), (0.52, 0.9)])
async def test_a_head_that_says_nothing_is_moved_for_a_time(timed: World, x: float, y: float):
    before = timed.dome.view
    assert timed.aimer.aim("gate", ADA, Area(x, y)) == "timed"
    await timed.live(5)
    # Starting takes a moment, which the calibration knows and this one does not.
    assert _pixel(before, timed.dome.view) == pytest.approx((x, y), abs=0.06)
    assert not timed.dome.head.moving
    assert not timed.ptz.status("gate").moving


async def test_an_area_is_brought_near_after_it_is_in_the_middle(timed: World):
    timed.aimer.aim("gate", ADA, Area(0.7, 0.5, 0.5, 0.3))
    await timed.live(6)
    assert timed.dome.view.zoom == pytest.approx(2, rel=0.05)
    assert not timed.dome.head.moving


async def _begun(timed: World) -> None:
    timed.aimer.aim("gate", ADA, Area(1.0, 0.4, 0.3, 0.3))
    await timed.live(0.3)
    assert timed.dome.head.moving


@pytest.mark.parametrize(
    "hand",
    [
        lambda it: it.ptz.stop("gate", BO),
        lambda it: it.ptz.stop_all(BO),
        lambda it: it.ptz.gone(ADA),
        lambda it: it.ptz.take("gate", CHIEF),
        lambda it: it.ptz.lock("gate", CHIEF, 60, "mast"),
    ],
    ids=["stop", "stop_all", "gone", "take", "lock"],
)
async def test_whoever_ends_a_timed_move_ends_all_of_it(timed: World, hand):
    await _begun(timed)
    hand(timed)
    await timed.live(0.1)
    stood = timed.dome.view
    assert not timed.dome.head.moving
    await timed.live(6)
    assert timed.dome.view == stood


async def test_another_hand_has_the_head_from_then_on(timed: World):
    await _begun(timed)
    timed.ptz.preset("gate", CHIEF, "call", 2)
    await timed.live(6)
    assert timed.dome.off_deg(90.0) < 0.01


async def test_ones_own_stick_takes_over_and_is_not_stopped_by_what_was_to_come(timed: World):
    await _begun(timed)
    timed.box.run(2.5, (ADA, -1.0, 0.0, 0.0))
    await asyncio.sleep(0)
    await timed.live(0.1)
    stood = timed.dome.view
    await timed.live(4)
    assert timed.dome.view == stood


async def test_a_timed_move_ends_without_its_timer(timed: World):
    """The process is frozen: whoever has the line ends it, at the end of the lease."""
    area = Area(1.0, 0.5, 0.4, 0.4)
    timed.aimer.aim("gate", ADA, area)
    wanted_s = legs(TIMED, area)[0].for_s
    timed.box.run(wanted_s + 0.2)  # time passes, and nothing in the loop runs
    assert timed.dome.head.moving
    timed.box.run(0.2)
    assert not timed.dome.head.moving
    await timed.live(4)  # and what was to come after it does not
    assert (timed.dome.head.moving, timed.dome.view.zoom) == (False, 1.0)


async def test_nothing_known_of_a_head_is_refused(tmp_path: Path):
    world = World(tmp_path, reports=False)
    assert world.aimer.how("gate") == world.ptz.status("gate").aim == ""
    with pytest.raises(Rejected, check=lambda err: err.code == "ptz.unaimed"):
        world.aimer.aim("gate", ADA, Area(0.1, 0.1))
    with pytest.raises(Rejected, check=lambda err: err.code == "ptz.unknown_camera"):
        world.aimer.aim("yard", ADA, Area(0.1, 0.1))
    assert world.aimer.how("yard") == ""
    assert not world.dome.head.moving


@pytest.mark.parametrize(
    "area",
    [
        Area(1.1, 0.5), Area(0.5, -0.1), Area(float("nan"), 0.5), Area(0.5, 0.5, 2.0),
        Area(0.5, 0.5, 0.1, float("inf")), Area(0.5, 0.5, aspect=0), Area(0.5, 0.5, aspect=9),
        Area(0.5, 0.5, aspect=float("nan")),
    ],
)  # fmt: skip
async def test_what_lies_outside_the_picture_is_refused(timed: World, area: Area):
    with pytest.raises(Rejected, check=lambda err: err.code == "ptz.range"):
        timed.aimer.aim("gate", ADA, area)
    assert not timed.dome.head.moving


async def test_who_is_refused_hears_it_and_nothing_moves(timed: World):
    timed.ptz.take("gate", CHIEF)
    with pytest.raises(Rejected, check=lambda err: err.code == "ptz.taken"):
        timed.aimer.aim("gate", ADA, Area(0.9, 0.5))
    await timed.live(1)
    assert not timed.dome.head.moving


class Gliding(Pelco):
    """Turns as Pelco does, and is told a share of the picture as over ONVIF."""

    def point(self, to: Position | Glide) -> tuple[bytes, ...]:
        return OnvifHead().point(to)


async def test_a_camera_that_knows_what_it_sees_is_told_a_share(tmp_path: Path):
    world = World(tmp_path, reports=False, sight=TIMED)
    world.dome.glides = True
    world.ptz.mount(Mount("gate", world.dome, Gliding()))
    assert world.aimer.aim("gate", ADA, Area(0.75, 0.25, 0.5, 0.5)) == "fov"
    assert [data for _, data in world.dome.calls] == [b"glide 0.5000 0.5000"]
    await world.live(6)
    assert world.dome.view.zoom == pytest.approx(2, rel=0.05)


async def test_beyond_what_was_measured_nothing_is_guessed(tmp_path: Path):
    world = World(tmp_path, reports=True, sight=Sight(angles=ANGLES[:5]))
    await world.live(2)
    assert world.ptz.status("gate").aim == "absolute"
    world.dome.store(1, 0.0, zoom=12.0)
    world.ptz.preset("gate", ADA, "call", 1)
    await world.live(12)
    assert world.ptz.status("gate").aim == ""
    with pytest.raises(Rejected, check=lambda err: err.code == "ptz.unaimed"):
        world.aimer.aim("gate", ADA, Area(0.1, 0.1))


def test_a_wrong_measurement_turns_no_head_for_long():
    slow = Sight(pan=Rate(0.001), tilt=Rate(0.001), zoom=Rate(0.001))
    assert max(leg.for_s for leg in legs(slow, Area(1, 1, 0.1, 0.1))) <= 6
    assert legs(TIMED, Area(0.5, 0.5)) == []
    assert [leg.zoom for leg in legs(TIMED, Area(0.5, 0.5, 0.25, 0.1))] == [1.0]
    assert legs(TIMED, Area(0.5, 0.5, 0.25, 0.1))[0].for_s == pytest.approx(log(4))
