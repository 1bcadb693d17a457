"""What can be set of a camera's picture: brightness, white balance, exposure.

Controls go by the names that ``v4l2-ctl`` gives them too, of their titles: *White Balance,
Automatic* is ``white_balance_automatic``.

Source: Linux 6.1 ``Documentation/userspace-api/media/v4l/vidioc-queryctrl.rst``.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from nvr.hal import v4l2
from nvr.media.device import ControlKind, Controls, VideoControl

_MOST: Final = 64
"""That are listed, and choices of one, should a driver never end."""
_KINDS: Final[dict[int, ControlKind]] = {1: "number", 2: "switch", 3: "menu"}
_FIXED: Final = 1 | 4
"""Disabled or read only."""
_INACTIVE: Final = 0x10


def name_of(title: str) -> str:
    """Return the name of a control, of its title."""
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def listed(ask: v4l2.Ioctl) -> tuple[VideoControl, ...]:
    """Return what can be set, but for what is disabled, and what it is set to now."""
    return tuple(_described(ask, one, kind) for one, kind in _each(ask))


def turn(ask: v4l2.Ioctl, wanted: Controls, before: Controls = ()) -> list[str]:
    """Set controls, and those that were set before and are not wanted now as they are usually.

    Switches and menus come first: while exposure is automatic, no driver takes a number for it.

    Returns:
        A sentence for each that the device has not, or did not take.
    """
    known = {name_of(one.title): (one, kind) for one, kind in _each(ask)}
    values = {name: known[name][0].usual for name, _ in before if name in known} | dict(wanted)
    refused = [f"it has no control {name}" for name in values if name not in known]
    mine = [(name, *known[name], value) for name, value in values.items() if name in known]
    for name, one, _, value in sorted(mine, key=lambda each: each[2] == "number"):
        try:
            if v4l2.get_control(ask, one.number) != value:
                v4l2.set_control(ask, one.number, value)
        except OSError as err:
            refused.append(f"it does not take {value} for {name}: {err.strerror}")
    return refused


def unoffered(wanted: Controls, offered: Sequence[VideoControl]) -> tuple[str, str] | None:
    """Return the first that a device does not take, and what it does; None if it takes all."""
    known = {one.name: one for one in offered}
    for name, value in wanted:
        one = known.get(name)
        if one is None:
            return name, ", ".join(known)
        if one.kind == "menu":
            if value not in {each for each, _ in one.choices}:
                return f"{name} {value}", ", ".join(f"{at} {title}" for at, title in one.choices)
        elif not one.least <= value <= one.most or (value - one.least) % max(1, one.step):
            steps = f"/{one.step}" if one.step > 1 else ""
            return f"{name} {value}", f"{one.least}-{one.most}{steps}"
    return None


def _each(ask: v4l2.Ioctl) -> Iterator[tuple[v4l2.Control, ControlKind]]:
    number = v4l2.NEXT_CONTROL
    for _ in range(_MOST):
        try:
            one = v4l2.control(ask, number)
        except OSError:
            return
        kind = _KINDS.get(one.kind)
        if kind is not None and not one.flags & _FIXED:
            yield one, kind
        if one.number | v4l2.NEXT_CONTROL <= number:
            return
        number = one.number | v4l2.NEXT_CONTROL


def _described(ask: v4l2.Ioctl, one: v4l2.Control, kind: ControlKind) -> VideoControl:
    try:
        value = v4l2.get_control(ask, one.number)
    except OSError:
        value = one.usual
    choices: list[tuple[int, str]] = []
    if kind == "menu":
        for index in range(max(0, one.least), min(one.most, one.least + _MOST) + 1):
            try:
                choices.append((index, v4l2.menu_item(ask, one.number, index)))
            except OSError:
                continue  # drivers leave numbers out
    return VideoControl(
        one.title, one.least, one.most, one.usual, name_of(one.title), kind, max(1, one.step),
        value, tuple(choices), held=bool(one.flags & _INACTIVE),
    )  # fmt: skip
