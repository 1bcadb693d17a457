"""Command bytes in, the picture moves: measured on the pixels."""

from datetime import timedelta, timezone
from itertools import pairwise

import av
import numpy as np
import pytest

from nvr.media.caption import expand
from nvr.overlay.burn import planes_of
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font
from nvr.overlay.layout import stamp
from nvr.sim.camera import HOME, Camera
from nvr.sim.head import speed_dps
from nvr.sim.view import View
from nvr.wire import pelco_d
from nvr.wire.pelco_d import Frame, Op

SIZE = (640, 360)
BEIJING = timezone(timedelta(hours=8))
EVENING_US = 1_795_415_527_000_000
STEP_S = 0.04


class Bench:
    """A camera with a clock of its own; pictures every 40 ms."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.camera = Camera(SIZE, self.now_s, zone=BEIJING)
        self.camera.caption(Caption(()))
        self.frame = av.VideoFrame(*SIZE, "yuv420p")
        self.view = HOME

    def send(self, frame: Frame) -> None:
        self.camera.receive(frame.encode(), self.now_s)

    def luma(self) -> np.ndarray:
        """The next picture."""
        self.now_s += STEP_S
        self.view = self.camera.paint(self.frame, self.now_s, EVENING_US)
        planes = planes_of(self.frame)
        rows = np.frombuffer(planes.y, np.uint8).reshape(-1, planes.y_stride)
        return rows[: SIZE[1], : SIZE[0]].copy()

    def run(self, pictures: int) -> np.ndarray:
        for _ in range(pictures - 1):
            self.luma()
        return self.luma()


@pytest.fixture(scope="module")
def shared() -> Bench:
    return Bench()


@pytest.fixture
def bench(shared: Bench) -> Bench:
    """Building the street takes 0.2 s: one is shared, put back where it began."""
    shared.send(Frame(1, Op.CLEAR_AUX, 0, 1))
    shared.send(Frame(1, Op.CLEAR_AUX, 0, 2))
    shared.send(Frame(1, Op.CALL_PRESET, 0, 1))
    shared.camera.switch("wiper", on=False)
    shared.camera.switch("lamp", on=False)
    shared.now_s += 5
    shared.run(2)
    assert shared.view == HOME
    return shared


def shift(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """How far the contents moved, ``(right, down, confidence)``, by phase correlation."""
    window = np.outer(np.hanning(before.shape[0]), np.hanning(before.shape[1]))
    a = np.fft.rfft2((before - before.mean()) * window)
    b = np.fft.rfft2((after - after.mean()) * window)
    cross = b * np.conj(a)
    surface = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), before.shape)
    down, right = np.unravel_index(surface.argmax(), surface.shape)
    rows, columns = surface.shape
    down = down - rows if down > rows // 2 else down
    right = right - columns if right > columns // 2 else right
    return float(right), float(down), float(surface.max() / surface.std())


def pixels(deg: float, zoom: float = 1.0) -> float:
    return float(View(0, 0, zoom).focal_px(SIZE[0]) * np.tan(np.deg2rad(deg)))


@pytest.mark.parametrize(
    ("pan", "tilt", "way"), [(30, 0, (-1, 0)), (-30, 0, (1, 0)), (0, 20, (0, 1)), (0, -20, (0, -1))]
)
def test_the_picture_moves_the_right_way_by_the_right_amount(
    bench: Bench, pan: int, tilt: int, way: tuple[int, int]
) -> None:
    still, view = bench.luma(), bench.view
    bench.send(pelco_d.motion(1, pan=pan, tilt=tilt))
    moved = bench.run(4)
    bench.send(pelco_d.motion(1))
    right, down, confidence = shift(still, moved)
    off_deg = abs(bench.view.pan_deg - view.pan_deg) + abs(bench.view.tilt_deg - view.tilt_deg)
    assert 0.3 < off_deg <= speed_dps(abs(pan) + abs(tilt)) * 4 * STEP_S
    assert confidence > 8
    want = pixels(off_deg)
    assert right == pytest.approx(way[0] * want, abs=max(2.0, 0.12 * want))
    assert down == pytest.approx(way[1] * want, abs=max(2.0, 0.12 * want))


def test_stop_stops_within_a_picture(bench: Bench) -> None:
    bench.send(pelco_d.motion(1, pan=50))
    bench.run(10)
    bench.send(pelco_d.motion(1))
    first, view = bench.luma(), bench.view
    second = bench.luma()
    assert bench.view == view
    right, down, _ = shift(first, second)
    assert (right, down) == (0, 0)


def test_zooming_in_spreads_the_picture(bench: Bench) -> None:
    wide = bench.luma().astype(float)
    bench.send(pelco_d.motion(1, zoom=1))
    bench.run(20)
    bench.send(pelco_d.motion(1))
    zoomed = bench.luma().astype(float)
    zoom = bench.view.zoom
    assert zoom == pytest.approx(np.exp(0.8), rel=0.05)
    # The middle of the wide picture, enlarged, looks more like the new one than unenlarged.
    y = ((np.arange(360) - 180) / zoom + 180).astype(int)
    x = ((np.arange(640) - 320) / zoom + 320).astype(int)
    enlarged = wide[np.ix_(y, x)]
    same = np.corrcoef(enlarged.ravel(), zoomed.ravel())[0, 1]
    assert same > 0.6
    assert same > np.corrcoef(wide.ravel(), zoomed.ravel())[0, 1] + 0.2


def test_a_preset_brings_the_same_picture_back(bench: Bench) -> None:
    bench.send(Frame(1, Op.CALL_PRESET, 0, 3))
    there = bench.run(60)
    view = bench.view
    bench.send(pelco_d.motion(1, pan=-60, tilt=30, zoom=-1))
    away = bench.run(20)
    bench.send(Frame(1, Op.CALL_PRESET, 0, 3))
    back = bench.run(60)
    assert bench.view == view
    assert shift(there, back)[:2] == (0, 0)
    # A car may have passed meanwhile.
    off, away_off = (np.abs(there.astype(int) - p).mean() for p in (back, away))
    assert off < 0.5 * away_off


def test_the_lamp_brightens_the_picture(bench: Bench) -> None:
    dark = bench.luma().astype(int)
    bench.camera.switch("lamp", on=True)
    lit = bench.luma().astype(int)
    bench.camera.switch("lamp", on=False)
    assert lit.mean() > dark.mean() + 15
    gain = lit - dark
    middle, corner = gain[210:240, 300:340], gain[330:, :60]
    assert middle.mean() > corner.mean() + 12, "a beam, not a floodlight"
    assert bench.luma().mean() == pytest.approx(dark.mean(), abs=2)


def test_the_wiper_sweeps_and_takes_the_rain(bench: Bench) -> None:
    bench.now_s += 30
    bench.run(3)
    for _ in range(40):
        bench.now_s += 0.6
        bench.luma()
    glass = bench.camera._scene.glass
    assert glass.drops > 20
    bench.send(Frame(1, Op.SET_AUX, 0, 1))
    seen, angles = [], []
    for _ in range(50):
        seen.append(bench.luma().astype(int))
        angles.append(glass.blade_deg)
    bench.send(Frame(1, Op.CLEAR_AUX, 0, 1))
    assert min(angles) < -80
    assert max(angles) > 80
    changed = [np.abs(b - a).mean() for a, b in pairwise(seen[5:])]
    assert np.median(changed) > 1.0, "the blade shows in most pictures"
    assert glass.drops < 8
    bench.run(50)
    assert glass.blade_deg == pytest.approx(-97.0), "it parks out of the picture"


def test_focus_blurs_and_iris_brightens(bench: Bench) -> None:
    def detail(luma: np.ndarray) -> float:
        return float(np.abs(np.diff(luma.astype(int), axis=1)).mean())

    sharp = bench.luma()
    bench.send(pelco_d.motion(1, focus=1))
    blurred = bench.run(25)
    assert detail(blurred) < 0.7 * detail(sharp)
    bench.send(pelco_d.motion(1, focus=-1))
    bench.run(25)
    bench.send(pelco_d.motion(1, iris=1))
    bright = bench.run(15)
    assert bright.mean() > sharp.mean() + 10


def test_the_caption_can_be_read_in_the_picture(bench: Bench) -> None:
    caption = Caption(("临江路与东门街", "{time}"), (30, 60), 80)
    assert bench.camera.caption(caption) == ()
    luma = bench.luma().astype(float)
    bench.camera.caption(Caption(()))
    font, y = Font(), 60 * 360 // 1000 // 2 * 2
    x = 30 * 640 // 1000 // 2 * 2
    for text in ("临江路与东门街", expand("{time}", EVENING_US, BEIJING)):
        line, _ = stamp(font, text, 80 * 360 // 1000, "outline")
        width, height = line.size
        seen = luma[y : y + height, x : x + width]
        solid = line.cover > 230
        assert np.corrcoef(seen[solid], line.grey[solid].astype(float))[0, 1] > 0.97
        y += height


def test_traffic_moves_while_the_dome_rests(bench: Bench) -> None:
    bench.run(40)
    first = bench.luma().astype(int)
    later = bench.run(25)
    changed = (np.abs(later - first) > 12).mean()
    assert 0.002 < changed < 0.4


def test_the_clock_tower_tells_the_time(bench: Bench) -> None:
    """The hour hand at three and at nine darkens opposite halves of the face."""
    bench.send(Frame(1, Op.CALL_PRESET, 0, 6))
    bench.now_s += 5
    bench.luma()

    def darkness(hour: int) -> np.ndarray:
        bench.now_s += 1
        at_us = EVENING_US + (hour - 14) * 3_600_000_000 - (32 * 60 + 7) * 1_000_000
        bench.camera.paint(bench.frame, bench.now_s, at_us)
        planes = planes_of(bench.frame)
        luma = np.frombuffer(planes.y, np.uint8).reshape(-1, planes.y_stride)[:360, :640]
        return (luma < 60).astype(int)

    difference = darkness(15) - darkness(21)
    row = np.abs(difference).sum(axis=1).argmax()
    columns = np.arange(640)
    right = (columns * (difference[row] > 0)).sum() / max(1, (difference[row] > 0).sum())
    left = (columns * (difference[row] < 0)).sum() / max(1, (difference[row] < 0).sum())
    assert right > left + 30
