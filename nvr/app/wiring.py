"""Outputs of a board file, opened by their drivers; and all of them driven as after a crash."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nvr.base.errors import NvrError
from nvr.gpio.output import Wiring
from nvr.hal.board_gpio import Gpio
from nvr.hal.gpiozero_output import GpiozeroOutput, pi_factory
from nvr.hal.linux_gpio import LinuxOutput
from nvr.hal.ports import Output
from nvr.hal.virtual_output import VirtualOutput


def wirings(outputs: Mapping[str, Gpio], sim: Path) -> list[Wiring]:
    """Return how each output is opened, and what holds for it.

    Args:
        outputs: As the board file has them.
        sim: Directory of the simulated ones.
    """
    factory = pi_factory()
    return [_wiring(name, gpio, sim, factory) for name, gpio in outputs.items()]


def make_safe(outputs: Mapping[str, Gpio], sim: Path) -> dict[str, NvrError | None]:
    """Drive every output to its level after a crash; nothing keeps the others from it.

    Returns:
        What was the matter with each, None if it is driven.
    """
    factory = pi_factory()
    found: dict[str, NvrError | None] = {}
    for name, gpio in outputs.items():
        try:
            _opened(name, gpio, sim, factory)(gpio.crash).close()
            found[name] = None
        except NvrError as err:
            found[name] = err
    return found


def _wiring(name: str, gpio: Gpio, sim: Path, factory: Callable[[], Any]) -> Wiring:
    return Wiring(
        name,
        _opened(name, gpio, sim, factory),
        safe=gpio.safe == "on",
        on_crash=gpio.crash,
        max_on_s=gpio.max_on_s,
        min_off_s=gpio.min_off_s,
        pulse_ms=gpio.pulse_ms,
        interlock=gpio.interlock or "",
    )


def _opened(
    name: str, gpio: Gpio, sim: Path, factory: Callable[[], Any]
) -> Callable[[bool], Output]:
    def open_output(on: bool) -> Output:
        if gpio.driver == "virtual":
            output = VirtualOutput(str(sim / "relay0"), name)
            output.set(on)
            return output
        if gpio.driver == "gpiozero":
            return GpiozeroOutput(gpio.line, level=on, factory=factory)
        return LinuxOutput(gpio.chip, gpio.line, active_low=gpio.active_low, level=on)

    return open_output
