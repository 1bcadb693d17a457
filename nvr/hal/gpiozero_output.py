"""A switching output of a Raspberry Pi through gpiozero, for boards whose owners know it.

Untested on a Raspberry Pi; tried with gpiozero's own `MockFactory`. What it costs, next to
`nvr.hal.linux_gpio`: a line is an input and then low before it has its level (gpiozero#1177), so
what is active-low would pulse and is refused by the board file; and a pin that gpiozero closes
floats (gpiozero#1146), so none ever is, here or at the end of the process.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvr.base.errors import Unavailable
from nvr.hal.ports import Claim, Line

_LINE = "anon_inode:gpio-line"
"""What the kernel calls the descriptor of a line, of the first ABI (``...handle``) too."""


class GpiozeroOutput:
    """One pin. See `nvr.hal.ports.Output`.

    Args:
        pin: Its number on the Raspberry Pi, GPIO17.
        level: Level driven at once.
        factory: Makes pins; shared by all of them.

    Raises:
        Unavailable: ``gpio.gone``: no such pin, or this is no Raspberry Pi.
    """

    def __init__(self, pin: int, *, level: bool, factory: Callable[[], Any]) -> None:
        self._number = pin
        self._on = level
        before = _lines()
        try:
            made = factory()
            self._pin = made.pin(f"GPIO{pin}")
            self._pin.output_with_state(int(level))
        except Exception as err:  # its pins raise whatever their libraries do
            raise Unavailable("gpio.gone", f"{type(err).__name__}: {err}", line=pin) from err
        new = _lines() - before
        self._way: Line | Claim | None = None
        if len(new) == 1:
            self._way = Line(new.pop())
        elif isinstance(chip := getattr(made, "chip", None), int):
            self._way = Claim(f"/dev/gpiochip{chip}", pin)

    def set(self, on: bool) -> None:  # noqa: D102 - see Output
        try:
            self._pin.state = int(on)
        except Exception as err:
            why = f"{type(err).__name__}: {err}"
            raise Unavailable("gpio.gone", why, line=self._number) from err
        self._on = on

    def get(self) -> bool:  # noqa: D102 - see Output
        return self._on

    def way(self) -> Line | Claim | None:
        """See `Output`; None of gpiozero's mock, which is nowhere else.

        Its library keeps the line's descriptor to itself; it is found by what is new among ours.
        Without it the guard has to wait until we are gone, and can do nothing while we are frozen.
        """
        return self._way

    def close(self) -> None:
        """Leave the pin as it is: gpiozero's own `close` would let it float."""


def pi_factory() -> Callable[[], Any]:
    """Return what makes gpiozero's factory at its first use, and then always the same.

    It is never gpiozero's default one, which lets all pins float when the process ends.
    """
    made: list[Any] = []

    def factory() -> Any:  # noqa: ANN401 - gpiozero has no types
        if not made:
            name = os.environ.get("GPIOZERO_PIN_FACTORY", "lgpio")
            if name == "mock":
                from gpiozero.pins.mock import MockFactory  # noqa: PLC0415 - half a second

                made.append(MockFactory())
            else:
                from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415 - only on a Pi

                made.append(LGPIOFactory())
        return made[0]

    return factory


def _lines() -> set[int]:
    """Descriptors of this process that are GPIO lines."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if str(entry.readlink()).startswith(_LINE):
                found.add(int(entry.name))
    return found
