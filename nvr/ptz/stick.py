"""From how a joystick stands to how fast a head goes; the page's `profile.js` does the same.

Each axis is stretched over what its ends were seen to say, its centre being 0. Pan and tilt have
one round dead zone, so that a slight slant does not show as a bend, and one curve over their
length, so that the direction stays: ``v = (1 - k) u + k u^3``. Speeds are cut into the 63 steps
that Pelco has, and only a step that changed is worth a command.
"""

import math

from nvr.hal.joystick import BTN_JOYSTICK, Layout, Standing
from nvr.media.joystick import Axis, JoystickProfile

STEPS = 63
_GAMEPAD = range(0x130, 0x140)
_ABS_X, _ABS_Y, _ABS_Z, _ABS_RZ = 0, 1, 2, 5
Speeds = tuple[float, float, float]


def speeds_of(standing: Standing, profile: JoystickProfile, zoom: float = 0.0) -> Speeds:
    """Return pan, tilt and zoom, -1 to 1: right, up and in are positive.

    Args:
        standing: Of the joystick.
        profile: How it is understood.
        zoom: Of the head, 0 wide to 1 tele; 0 if it does not say.
    """
    pan, tilt = (_stretched(standing, axis) for axis in (profile.pan, profile.tilt))
    length = math.hypot(pan, tilt)
    slower = 1 - profile.slow_at_tele * min(max(zoom, 0.0), 1.0)
    share = curve(length, profile.dead, profile.expo) * slower / length if length else 0.0
    twist = _stretched(standing, profile.zoom)
    drive = math.copysign(curve(abs(twist), profile.zoom_dead, profile.zoom_expo), twist)
    held = _held(standing, profile)
    drive += ("zoom in" in held) - ("zoom out" in held)
    return _step(pan * share), _step(tilt * share), _step(drive)


def lens_of(standing: Standing, profile: JoystickProfile) -> tuple[int, int]:
    """Return focus and iris, -1, 0 or 1: far and open are positive."""
    held = _held(standing, profile)
    return (
        ("focus far" in held) - ("focus near" in held),
        ("iris open" in held) - ("iris close" in held),
    )


def curve(share: float, dead: float, expo: float) -> float:
    """Return 0 within the dead zone, and from there to 1 along the curve."""
    u = min(1.0, max(0.0, (share - dead) / (1 - dead)))
    return (1 - expo) * u + expo * u**3


def guessed(layout: Layout) -> JoystickProfile:
    """Return how a joystick is understood that nobody taught: hand on X and Y, twist as zoom."""
    order = {code: number for number, code in enumerate(sorted(layout.axes))}
    gamepad = any(code in _GAMEPAD for code in layout.keys)
    twist = next((order[code] for code in (_ABS_RZ, _ABS_Z) if code in order), None)
    stop = {"1": "stop"} if sum(code >= BTN_JOYSTICK for code in layout.keys) > 1 else {}
    return JoystickProfile(
        1,
        layout.key,
        pan=Axis(order[_ABS_X]),
        tilt=Axis(order[_ABS_Y], invert=True),
        zoom=None if gamepad or twist is None else Axis(twist),
        buttons=stop,
    )


def _stretched(standing: Standing, axis: Axis | None) -> float:
    if axis is None or axis.axis >= len(standing.axes):
        return 0.0
    off = standing.axes[axis.axis] - axis.centre
    share = off / (axis.most - axis.centre if off > 0 else axis.centre - axis.least)
    return min(max(-share if axis.invert else share, -1.0), 1.0)


def _held(standing: Standing, profile: JoystickProfile) -> set[str]:
    return {
        action
        for number, action in profile.buttons.items()
        if int(number) < len(standing.buttons) and standing.buttons[int(number)]
    }


def _step(speed: float) -> float:
    return round(min(max(speed, -1.0), 1.0) * STEPS) / STEPS
