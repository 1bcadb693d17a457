"""A hand on a simulated joystick: what it does is told as the kernel tells it."""

import contextlib
import json
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from nvr.hal.joystick import Layout
from nvr.hal.virtual_joystick import EVENTS, LAYOUT, STANDING
from nvr.wire.input_event import EV_ABS, EV_KEY, EV_SYN, EVENT, SYN_DROPPED, SYN_REPORT

ABS_X, ABS_Y, ABS_Z, ABS_RZ = 0, 1, 2, 5
BTN_JOYSTICK = 0x120
THREE_AXES = Layout(
    "Simulated joystick", 0x1209, 0x0001,
    {ABS_X: (0, 1023), ABS_Y: (0, 1023), ABS_Z: (0, 255)},
    frozenset(range(BTN_JOYSTICK, BTN_JOYSTICK + 12)),
)  # fmt: skip
"""A CCTV joystick: pan, tilt, and zoom by a twist; the number is one that anybody may use."""


class HandOnJoystick:
    """Plugs one in and moves it.

    Args:
        directory: Where joysticks are looked for: ``sim/joystick`` of the data directory.
        name: Of this one.
        layout: What it has.
    """

    def __init__(self, directory: Path, name: str, layout: Layout = THREE_AXES) -> None:
        self._place = directory / name
        self._place.mkdir(parents=True, exist_ok=True)
        self._layout = layout
        self._axes = {code: (least + most) // 2 for code, (least, most) in layout.axes.items()}
        self._held: set[int] = set()
        told = {
            "name": layout.name, "vendor": layout.vendor, "product": layout.product,
            "axes": {str(code): ends for code, ends in layout.axes.items()},
            "keys": sorted(layout.keys),
        }  # fmt: skip
        (self._place / LAYOUT).write_text(json.dumps(told))
        self._stand()
        pipe = self._place / EVENTS
        if not pipe.exists():
            os.mkfifo(pipe, 0o600)
        # Readable too, so that it opens before anybody listens.
        self._fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def move(self, axes: Mapping[int, float]) -> float:
        """Move axes, by code, to -1 to 1. Returns monotonic seconds just before it is told."""
        for code, share in axes.items():
            least, most = self._layout.axes[code]
            self._axes[code] = round(least + (share + 1) / 2 * (most - least))
        self._stand()
        return self._tell([(EV_ABS, code, self._axes[code]) for code in axes])

    def press(self, *keys: int) -> float:
        """Hold these buttons too, by code."""
        return self._hold(keys, held=True)

    def release(self, *keys: int) -> float:
        """Let these go."""
        return self._hold(keys, held=False)

    def lose(self, axes: Mapping[int, float]) -> None:
        """Move, but have the kernel lose it: it tells that it did, and no more."""
        for code, share in axes.items():
            least, most = self._layout.axes[code]
            self._axes[code] = round(least + (share + 1) / 2 * (most - least))
        self._stand()
        self._tell([(EV_SYN, SYN_DROPPED, 0)])

    def pull(self) -> float:
        """Unplug it; nothing else can be done with it. Returns monotonic seconds just before."""
        at_s = time.monotonic()
        (self._place / EVENTS).unlink()
        os.close(self._fd)
        return at_s

    def _hold(self, keys: Collection[int], *, held: bool) -> float:
        (self._held.update if held else self._held.difference_update)(keys)
        self._stand()
        return self._tell([(EV_KEY, code, int(held)) for code in keys])

    def _stand(self) -> None:
        told = {
            "axes": {str(code): v for code, v in self._axes.items()},
            "keys": sorted(self._held),
        }
        fresh = self._place / f"{STANDING}.new"
        fresh.write_text(json.dumps(told))
        fresh.replace(self._place / STANDING)

    def _tell(self, events: Collection[tuple[int, int, int]]) -> float:
        at_s = time.monotonic()
        seconds, micros = divmod(round(at_s * 1e6), 1_000_000)
        told = [*events, (EV_SYN, SYN_REPORT, 0)]
        with contextlib.suppress(BlockingIOError):  # nobody has read for long
            os.write(self._fd, b"".join(EVENT.pack(seconds, micros, *one) for one in told))
        return at_s
