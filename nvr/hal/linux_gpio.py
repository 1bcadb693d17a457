"""A switching output on a kernel GPIO line, through libgpiod v2.

Untested on every board so far: no machine with GPIO lines ran it. Tried against a chip of ours that
answers the kernel's ABI, with the real libgpiod: `tests/gpio`.
"""

from pathlib import Path

import gpiod
from gpiod.line import Direction, Value

from nvr.base.errors import Misconfigured, Unavailable
from nvr.hal.ports import Line

_VALUES = {False: Value.INACTIVE, True: Value.ACTIVE}


class LinuxOutput:
    """A requested line. See `nvr.hal.ports.Output`.

    Direction and level go into one request, so that the line never shows a third level: asking
    for direction first gives a pulse of "on" on an active-low relay at each start.

    Args:
        chip: Label of the chip, as ``gpiodetect`` prints it: numbers move between kernels.
        line: Offset on the chip.
        active_low: On is the low level.
        level: Level driven by the request itself.
        devices: Where the kernel's chips are.

    Raises:
        Misconfigured: ``gpio.no_chip``.
        Unavailable: ``gpio.gone``: the line is held by another process.
    """

    def __init__(
        self,
        chip: str,
        line: int,
        *,
        active_low: bool,
        level: bool,
        devices: Path = Path("/dev"),
    ) -> None:
        self._line = line
        self._on = level
        settings = gpiod.LineSettings(
            direction=Direction.OUTPUT, active_low=active_low, output_value=_VALUES[level]
        )
        try:
            self._request = gpiod.request_lines(
                find_chip(chip, devices), consumer="nvr", config={line: settings}
            )
        except (OSError, ValueError) as err:
            raise Unavailable("gpio.gone", str(err), chip=chip, line=line) from err

    def set(self, on: bool) -> None:  # noqa: D102 - see Output
        try:
            self._request.set_value(self._line, _VALUES[on])
        except OSError as err:
            raise Unavailable("gpio.gone", str(err), line=self._line) from err
        self._on = on

    def get(self) -> bool:  # noqa: D102 - see Output
        return self._on

    def way(self) -> Line:  # noqa: D102 - see Output
        return Line(self._request.fd)

    def close(self) -> None:  # noqa: D102 - see Output
        self._request.release()


def find_chip(label: str, devices: Path = Path("/dev")) -> str:
    """Return the device of the chip labelled `label`.

    Raises:
        Misconfigured: ``gpio.no_chip``.
    """
    seen = []
    for path in sorted(map(str, devices.glob("gpiochip*"))):
        if gpiod.is_gpiochip_device(path):
            with gpiod.Chip(path) as chip:
                info = chip.get_info()
            if label in {info.label, info.name}:
                return path
            seen.append(info.label)
    raise Misconfigured(
        "gpio.no_chip", f"this machine has {', '.join(seen) or 'no GPIO chips'}", chip=label
    )
