"""A recorder of nothing but outputs, in a process of its own: to be killed and frozen.

``python -m tests.gpio.recorder DRIVER PLACE COUNT``; reads one JSON order a line, answers each.
"""

import json
import logging
import sys
from pathlib import Path

from nvr.base.clock import SystemClock
from nvr.base.errors import NvrError
from nvr.base.log import set_up
from nvr.gpio.output import Outputs, Wiring
from nvr.hal.linux_gpio import LinuxOutput
from nvr.hal.ports import Claim, Output
from nvr.hal.virtual_output import VirtualOutput
from nvr.ptz.guard_link import GuardLink


class Lonely(LinuxOutput):
    """A line whose descriptor its library keeps to itself, as gpiozero's may."""

    def __init__(self, place: Path, line: int, level: bool) -> None:
        super().__init__("paper-chip", line, active_low=False, level=level, devices=place)
        self._claim = Claim(str(place / "gpiochip0"), line)

    def way(self) -> Claim:  # type: ignore[override]
        return self._claim


def opened(driver: str, place: Path, n: int, level: bool) -> Output:
    if driver == "virtual":
        output = VirtualOutput(str(place), f"out{n}")
        output.set(level)
        return output
    if driver == "claim":
        return Lonely(place, n, level)
    return LinuxOutput("paper-chip", n, active_low=n % 2 == 1, level=level, devices=place)


def main(driver: str, place: str, count: int) -> None:
    guard = GuardLink(SystemClock())
    guard.start()
    wirings = [
        Wiring(
            f"out{n}",
            lambda level, n=n: opened(driver, Path(place), n, level),
            on_crash=True if n == 3 else None,
            max_on_s=None if n == 3 else 600,
        )
        for n in range(count)
    ]
    outputs = Outputs(wirings, clock=SystemClock(), guard=guard)
    outputs.start()
    print(json.dumps({"guard": guard.pid}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, object] = {}
        try:
            outputs.set(order["name"], order["on"])
        except NvrError as err:
            answer["code"] = err.code
        print(json.dumps(answer), flush=True)
    outputs.close()
    guard.close()


if __name__ == "__main__":
    set_up(logging.WARNING)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
