"""Serial lines and GPIO chips of the box, for whoever writes a board file.

Source: udev's ``/dev/serial/by-id``; gpiod's chip information.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import gpiod
from serial.tools import list_ports


@dataclass(frozen=True, slots=True)
class SerialLine:
    """A serial line.

    Attributes:
        path: Name that survives replugging where there is one.
        node: What the kernel calls it today.
        title: What its maker calls it, possibly empty.
    """

    path: str
    node: str
    title: str


@dataclass(frozen=True, slots=True)
class GpioChip:
    """Lines that can be switched or read; the board file names it by its label.

    Attributes:
        node: What the kernel calls it today.
        label: Its name between kernels.
        lines: How many it has.
        fault: Code why it could not be asked, empty if it could.
    """

    node: str
    label: str
    lines: int
    fault: str = ""


def serial_lines(dev: Path = Path("/dev")) -> list[SerialLine]:
    """Return the serial lines that have hardware behind them."""
    stable: dict[str, str] = {}
    for kind in ("by-id", "by-path"):
        for link in sorted((dev / "serial" / kind).glob("*")):
            with contextlib.suppress(OSError):
                stable.setdefault(os.path.realpath(link), str(link))
    return [
        SerialLine(
            stable.get(port.device, port.device),
            port.device,
            "" if port.description in {"n/a", port.name} else _fit(port.description),
        )
        for port in sorted(list_ports.comports())
    ]


def gpio_chips(dev: Path = Path("/dev")) -> list[GpioChip]:
    """Return the GPIO chips."""
    found = []
    for node in sorted(map(str, dev.glob("gpiochip*")), key=lambda name: (len(name), name)):
        try:
            with gpiod.Chip(node) as chip:
                about = chip.get_info()
                found.append(GpioChip(node, _fit(about.label), about.num_lines))
        except PermissionError:
            found.append(GpioChip(node, "", 0, "device.denied"))
        except OSError:
            continue
    return found


def _fit(text: str) -> str:
    """Make a maker's text fit for a terminal."""
    return "".join(letter if letter.isprintable() else "_" for letter in text)
