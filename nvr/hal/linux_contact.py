"""Alarm inputs on kernel GPIO lines, through libgpiod v2, and on ADCs of the kernel (IIO).

Untested on every board so far: no machine with GPIO lines ran it; tried against a chip of ours that
speaks the kernel's ABI.

Source: Linux ``include/uapi/linux/gpio.h`` (v2), ``Documentation/ABI/testing/sysfs-bus-iio``.
"""

import time
from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import gpiod
from gpiod.line import Bias, Direction, Value
from gpiod.line import Edge as Edges

from nvr.base.errors import Unavailable
from nvr.hal.linux_gpio import find_chip
from nvr.hal.ports import Edge

_BIAS = {
    "as-is": Bias.AS_IS,
    "none": Bias.DISABLED,
    "pull-up": Bias.PULL_UP,
    "pull-down": Bias.PULL_DOWN,
}
KEPT = 64
"""Edges that the kernel keeps for us; what comes on top is only counted."""


class LinuxContact:
    """One or two lines. See `nvr.hal.ports.Contact`.

    Args:
        chip: Label of the chip.
        lines: Offsets, the lowest bit of the level first.
        active_low: A line is active while it is low.
        bias: Key of the kernel's bias.
        devices: Where the kernel's chips are.

    Raises:
        Misconfigured: ``gpio.no_chip``.
        Unavailable: ``gpio.gone``.
    """

    def __init__(
        self,
        chip: str,
        lines: Sequence[int],
        *,
        active_low: bool,
        bias: str,
        devices: Path = Path("/dev"),
    ) -> None:
        self._lines = tuple(lines)
        settings = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edges.BOTH,
            bias=_BIAS[bias],
            active_low=active_low,
        )
        try:
            self._request = gpiod.request_lines(
                find_chip(chip, devices),
                consumer="nvr",
                config={self._lines: settings},
                event_buffer_size=KEPT,
            )
        except (OSError, ValueError) as err:
            raise Unavailable("gpio.gone", str(err), chip=chip, line=self._lines[0]) from err
        self._level = 0
        self._number = 0

    def fileno(self) -> int:  # noqa: D102 - see Contact
        return int(self._request.fd)

    def level(self) -> int:  # noqa: D102 - see Contact
        try:
            values = self._request.get_values(list(self._lines))
        except OSError as err:
            raise Unavailable("gpio.gone", str(err), line=self._lines[0]) from err
        self._level = sum(1 << n for n, value in enumerate(values) if value == Value.ACTIVE)
        return self._level

    def edges(self) -> Sequence[Edge]:  # noqa: D102 - see Contact
        found: list[Edge] = []
        try:
            while len(found) < KEPT and self._request.wait_edge_events(timedelta(0)):
                for one in self._request.read_edge_events(KEPT):
                    bit = 1 << self._lines.index(one.line_offset)
                    rises = one.event_type is one.Type.RISING_EDGE
                    self._level = self._level | bit if rises else self._level & ~bit
                    missed = max(0, one.global_seqno - self._number - 1)
                    self._number = one.global_seqno
                    found.append(Edge(self._level, one.timestamp_ns / 1e9, missed))
        except OSError as err:
            raise Unavailable("gpio.gone", str(err), line=self._lines[0]) from err
        if any(edge.missed for edge in found):
            # What was dropped may have been the last word of the other line.
            found.append(Edge(self.level(), found[-1].at_s))
        return found

    def close(self) -> None:  # noqa: D102 - see Contact
        self._request.release()


class IioContact:
    """A voltage between thresholds. See `nvr.hal.ports.Contact`.

    Args:
        adc: Name of the ADC, as its driver or the device tree has it.
        channel: Its input.
        thresholds: Rising raw values; a level is how many of them are reached.
        devices: Where the kernel has its ADCs.

    Raises:
        Unavailable: ``gpio.gone``: there is none of that name, or it does not answer.
    """

    def __init__(
        self,
        adc: str,
        channel: int,
        thresholds: Sequence[int],
        devices: Path = Path("/sys/bus/iio/devices"),
    ) -> None:
        self._adc = adc
        self._thresholds = tuple(thresholds)
        self._path = find_adc(adc, devices) / f"in_voltage{channel}_raw"
        self._level: int | None = None

    def fileno(self) -> int:  # noqa: D102 - see Contact
        return -1

    def level(self) -> int:  # noqa: D102 - see Contact
        try:
            raw = int(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError) as err:
            raise Unavailable("gpio.gone", str(err), adc=self._adc) from err
        self._level = bisect_right(self._thresholds, raw)
        return self._level

    def edges(self) -> Sequence[Edge]:  # noqa: D102 - see Contact
        before = self._level
        level = self.level()
        return [Edge(level, time.monotonic())] if level != before else []

    def close(self) -> None:
        """Nothing is held."""


def find_adc(name: str, devices: Path = Path("/sys/bus/iio/devices")) -> Path:
    """Return the directory of the ADC called `name`, by its label or its driver's name.

    Raises:
        Unavailable: ``gpio.gone``.
    """
    seen = []
    for place in sorted(devices.glob("iio:device*")):
        for key in ("label", "name"):
            try:
                said = (place / key).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                continue
            if said == name:
                return place
            seen.append(said)
    raise Unavailable("gpio.gone", f"the ADCs here are {', '.join(seen) or 'none'}", adc=name)
