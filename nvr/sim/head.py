"""The moving part of a virtual dome: pan, tilt and zoom with real speeds, limits and presets.

Motion is latched, as on a real head: it lasts until another command or 15 s. Between commands
the head moves by itself, integrated exactly, so a picture taken at any time shows where it is
then. It speeds up over some tenths of a second and stops at once: what a test can prove is
that nothing moves any more after STOP.

Source: times and conventions of real heads as in Pelco C466M-E and the Spectra manuals.
"""

from dataclasses import dataclass
from math import copysign, exp, log

from nvr.sim.view import View

TILT_MIN_DEG, TILT_MAX_DEG = -90.0, 10.0
ZOOM_MAX = 20.0
MOTION_TIMEOUT_S = 15.0

SLOWEST_DPS, FASTEST_DPS, TURBO_DPS = 0.1, 120.0, 150.0
PRESET_DPS = 200.0
_ACCELERATION_DPS2 = 320.0
_PRESET_ACCELERATION_DPS2 = 600.0
_ZOOM_RATES = (0.35, 0.6, 1.0, 1.6)
"""e-folds of magnification a second for the four zoom speeds; 20x takes 3 s at the third."""

_PRESET_ZOOM_RATE = 2.4
_STEP_S = 0.005
_FOCUS_PX_S, _FOCUS_MOST_PX = 7.0, 20.0
_IRIS_STOPS_S, _IRIS_MOST = 1.2, 2.5

_CURVE = 2.0
"""Speeds grow with the square of the stick: fine near the middle."""


def speed_dps(speed: int) -> float:
    """Degrees a second at zoom 1 for a speed of 0-63; 64 and more is turbo."""
    if speed <= 0:
        return 0.0
    if speed > 63:
        return TURBO_DPS
    share = float(((speed - 1) / 62) ** _CURVE)
    return SLOWEST_DPS + (FASTEST_DPS - SLOWEST_DPS) * share


@dataclass(frozen=True, slots=True)
class Drive:
    """What a motion command asks of all axes together.

    Attributes:
        pan: -64 left to 64 right.
        tilt: -63 down to 63 up.
        zoom: -1 wide, 1 tele.
        focus: -1 near, 1 far.
        iris: -1 close, 1 open.
    """

    pan: int = 0
    tilt: int = 0
    zoom: int = 0
    focus: int = 0
    iris: int = 0


STILL = Drive()


class Head:
    """State of the head; all times are monotonic seconds and must not go back.

    Args:
        now_s: When it is switched on.
        view: Where it points then.
        presets: Stored positions by number.

    Attributes:
        slack_deg: Play of its worn gear: so far short of a preset it stays when it turns to it.
    """

    def __init__(self, now_s: float, view: View, presets: dict[int, View] | None = None) -> None:
        self.slack_deg = 0.0
        self._pan_deg, self._tilt_deg, self._zoom = view.pan_deg, view.tilt_deg, view.zoom
        self._presets = dict(presets or {})
        self._now_s = now_s
        self._drive = STILL
        self._commanded_s = now_s
        self._pan_dps = self._tilt_dps = 0.0
        self._target: View | None = None
        self._zoom_rate = _ZOOM_RATES[2]
        self._focus_px = 0.0
        self._iris_stops = 0.0

    @property
    def view(self) -> View:
        """Direction at the last `advance`."""
        return View(self._pan_deg % 360.0, self._tilt_deg, self._zoom)

    @property
    def target(self) -> View | None:
        """Where a preset or a position command takes it, None unless one does."""
        return self._target

    @property
    def moving(self) -> bool:
        """Whether any axis moves or is told to."""
        return self._target is not None or self._drive != STILL

    @property
    def blur_px(self) -> float:
        """How far the focus is off, as a blur radius."""
        return abs(self._focus_px)

    @property
    def exposure(self) -> float:
        """Light let in, 1 as the automatic would."""
        return float(2.0**self._iris_stops)

    @property
    def presets(self) -> dict[int, View]:
        """Stored positions by number."""
        return dict(self._presets)

    def advance(self, now_s: float) -> None:
        """Move on to `now_s`."""
        while self._now_s < now_s and self.moving:
            step_s = min(_STEP_S, now_s - self._now_s)
            if self._now_s - self._commanded_s >= MOTION_TIMEOUT_S and self._target is None:
                self._halt()
            self._step(step_s)
            self._now_s += step_s
        self._now_s = max(self._now_s, now_s)

    def drive(self, now_s: float, drive: Drive) -> None:
        """Take a motion command; `STILL` stops everything within this call."""
        self.advance(now_s)
        self._commanded_s = now_s
        self._target = None
        if drive.pan or drive.tilt or drive.zoom:
            # Focus and exposure follow by themselves again once the picture changes.
            self._focus_px = self._iris_stops = 0.0
        if _turned(self._drive.pan, drive.pan):
            self._pan_dps = 0.0
        if _turned(self._drive.tilt, drive.tilt):
            self._tilt_dps = 0.0
        self._drive = drive

    def go(self, now_s: float, view: View) -> None:
        """Move to a direction at preset speed, the short way round."""
        self.advance(now_s)
        self._halt()
        self._focus_px = self._iris_stops = 0.0
        tilt_deg = min(max(view.tilt_deg, TILT_MIN_DEG), TILT_MAX_DEG)
        self._target = View(view.pan_deg % 360.0, tilt_deg, min(max(view.zoom, 1.0), ZOOM_MAX))

    def restore(self, presets: dict[int, View]) -> None:
        """Put back stored positions, after a restart."""
        self._presets = dict(presets)

    def set_preset(self, now_s: float, number: int) -> None:
        """Store where the head points now."""
        self.advance(now_s)
        self._presets[number] = self.view

    def clear_preset(self, number: int) -> None:
        """Forget a position; no effect if there is none."""
        self._presets.pop(number, None)

    def call_preset(self, now_s: float, number: int) -> bool:
        """Go to a stored position; False if there is none, and then nothing moves."""
        stored = self._presets.get(number)
        if stored is None:
            return False
        self.advance(now_s)
        way_deg = (stored.pan_deg - self._pan_deg + 180.0) % 360.0 - 180.0
        short_deg = copysign(min(self.slack_deg, abs(way_deg)), way_deg)
        self.go(now_s, View(stored.pan_deg - short_deg, stored.tilt_deg, stored.zoom))
        return True

    def set_zoom_speed(self, speed: int) -> None:
        """Zoom speed 0-3 for motion commands."""
        self._zoom_rate = _ZOOM_RATES[min(max(speed, 0), 3)]

    def automatic(self) -> None:
        """Focus and iris as the automatics would have them."""
        self._focus_px = self._iris_stops = 0.0

    def _halt(self) -> None:
        self._drive = STILL
        self._target = None
        self._pan_dps = self._tilt_dps = 0.0

    def _step(self, step_s: float) -> None:
        if self._target is not None:
            self._seek(self._target, step_s)
            return
        drive = self._drive
        if drive == STILL:
            return
        # Proportional to the zoom: the picture passes by as fast at any magnification.
        pan_dps = _signed(drive.pan) / self._zoom
        tilt_dps = _signed(drive.tilt) / self._zoom
        self._pan_dps = _towards(self._pan_dps, pan_dps, _ACCELERATION_DPS2 * step_s)
        self._tilt_dps = _towards(self._tilt_dps, tilt_dps, _ACCELERATION_DPS2 * step_s)
        self._pan_deg += self._pan_dps * step_s
        self._tilt_deg += self._tilt_dps * step_s
        if not TILT_MIN_DEG <= self._tilt_deg <= TILT_MAX_DEG:
            self._tilt_deg = min(max(self._tilt_deg, TILT_MIN_DEG), TILT_MAX_DEG)
            self._tilt_dps = 0.0
        zoom = self._zoom * exp(drive.zoom * self._zoom_rate * step_s)
        self._zoom = min(max(zoom, 1.0), ZOOM_MAX)
        focus_px = self._focus_px + drive.focus * _FOCUS_PX_S * step_s
        self._focus_px = min(max(focus_px, -_FOCUS_MOST_PX), _FOCUS_MOST_PX)
        iris = self._iris_stops + drive.iris * _IRIS_STOPS_S * step_s
        self._iris_stops = min(max(iris, -_IRIS_MOST), _IRIS_MOST)

    def _seek(self, target: View, step_s: float) -> None:
        """One step towards a preset: as fast as allows stopping there, and then exactly there."""
        off_pan = (target.pan_deg - self._pan_deg + 180.0) % 360.0 - 180.0
        off_tilt = target.tilt_deg - self._tilt_deg
        self._pan_dps, pan_there = _approach(off_pan, self._pan_dps, step_s)
        self._tilt_dps, tilt_there = _approach(off_tilt, self._tilt_dps, step_s)
        self._pan_deg = target.pan_deg if pan_there else self._pan_deg + self._pan_dps * step_s
        self._tilt_deg = target.tilt_deg if tilt_there else self._tilt_deg + self._tilt_dps * step_s
        off_zoom = log(target.zoom / self._zoom)
        most = _PRESET_ZOOM_RATE * step_s
        zoom_there = abs(off_zoom) <= most
        self._zoom = (
            target.zoom if zoom_there else self._zoom * exp(most if off_zoom > 0 else -most)
        )
        if pan_there and tilt_there and zoom_there:
            self._halt()


def _signed(speed: int) -> float:
    return speed_dps(speed) if speed > 0 else -speed_dps(-speed)


def _turned(before: int, after: int) -> bool:
    """Whether an axis is to stop or to go the other way: both begin from rest."""
    return after == 0 or before * after < 0


def _towards(value: float, wanted: float, most: float) -> float:
    # Slowing down is at once, speeding up takes its time.
    if abs(wanted) <= abs(value) and wanted * value >= 0:
        return wanted
    return min(value + most, wanted) if wanted > value else max(value - most, wanted)


def _approach(off_deg: float, dps: float, step_s: float) -> tuple[float, bool]:
    """Speed for the next step towards a place `off_deg` away, and whether it is reached."""
    braking_dps = (2 * _PRESET_ACCELERATION_DPS2 * abs(off_deg)) ** 0.5
    wanted = min(PRESET_DPS, abs(dps) + _PRESET_ACCELERATION_DPS2 * step_s, braking_dps)
    if wanted * step_s >= abs(off_deg) or abs(off_deg) < 1e-6:
        return 0.0, True
    return (wanted if off_deg > 0 else -wanted), False
