r"""What the kernel's input devices send: ``struct input_event``, told in reports.

    long seconds  long microseconds  u16 type  u16 code  s32 value        (machine's own sizes)

A report is what changed at one moment, up to a SYN_REPORT. After a SYN_DROPPED what follows up to
the next SYN_REPORT is worthless, and the device has to be asked how it stands.

Source: Linux 6.1 ``include/uapi/linux/input.h``, ``Documentation/input/event-codes.rst``.
"""

import struct
from dataclasses import dataclass

EVENT = struct.Struct("@llHHi")
EV_SYN, EV_KEY, EV_ABS = 0, 1, 3
SYN_REPORT, SYN_DROPPED = 0, 3


@dataclass(frozen=True, slots=True)
class Report:
    """What changed at one moment.

    Attributes:
        axes: ``(code, value)`` in the device's own units, in the order in which they came.
        keys: ``(code, held)``.
        dropped: The kernel lost some; the device has to be asked how it stands.
    """

    axes: tuple[tuple[int, int], ...] = ()
    keys: tuple[tuple[int, bool], ...] = ()
    dropped: bool = False


class Reports:
    """Turns bytes of an input device into reports, however they were split."""

    def __init__(self) -> None:
        self._rest = b""
        self._axes: list[tuple[int, int]] = []
        self._keys: list[tuple[int, bool]] = []
        self._dropped = False

    def feed(self, data: bytes) -> list[Report]:
        """Take bytes and return the reports they completed. Other types of events are ignored."""
        data = self._rest + data
        whole = len(data) - len(data) % EVENT.size
        self._rest = data[whole:]
        found = []
        for _, _, kind, code, value in EVENT.iter_unpack(data[:whole]):
            if kind == EV_SYN and code == SYN_DROPPED:
                self._dropped = True
            elif kind == EV_SYN and code == SYN_REPORT:
                found.append(self._cut())
            elif kind == EV_ABS:
                self._axes.append((code, value))
            elif kind == EV_KEY:
                self._keys.append((code, value != 0))
        return found

    def _cut(self) -> Report:
        report = Report(tuple(self._axes), tuple(self._keys))
        if self._dropped:
            report = Report(dropped=True)
        self._axes, self._keys, self._dropped = [], [], False
        return report
