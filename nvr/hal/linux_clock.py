"""How far the wall clock can be trusted, as the kernel knows it; and setting it.

Source: adjtimex(2), clock_settime(2), prctl(2, PR_CAP_AMBIENT); ``struct
timex`` of linux/timex.h on 64-bit Linux.
"""

import ctypes
import time
from pathlib import Path
from typing import Literal

from nvr.base.errors import Unavailable

_TIME_ERROR = 5
_STA_UNSYNC = 0x40
_STATUS_AT = 40  # modes, offset, freq, maxerror, esterror come before it, each on 8 bytes
_MAXERROR_AT = 24
_STRUCT_BYTES = 208

_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4

UNKNOWN_MS = 0xFFFFFFFF


class KernelClock:
    """Asks the kernel whether somebody keeps its clock right."""

    def __init__(self) -> None:
        self._adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
        self._has_rtc = Path("/sys/class/rtc/rtc0").exists()

    def uncertainty_ms(self) -> int:
        """Milliseconds by which the wall clock may be off; `UNKNOWN_MS` if nobody knows."""
        timex = ctypes.create_string_buffer(_STRUCT_BYTES)
        state = self._adjtimex(timex)
        status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little")
        if state in {-1, _TIME_ERROR} or status & _STA_UNSYNC:
            return UNKNOWN_MS
        return int.from_bytes(timex.raw[_MAXERROR_AT : _MAXERROR_AT + 8], "little") // 1000

    def state(self) -> Literal["ntp", "rtc", "unsynced"]:
        """Set from the network, from a battery-backed clock, or not at all."""
        if self.uncertainty_ms() != UNKNOWN_MS:
            return "ntp"
        return "rtc" if self._has_rtc else "unsynced"

    def set(self, wall_us: int) -> None:
        """Set the wall clock to UTC microseconds since 1970; the kernel then calls it unsynced.

        Raises:
            Unavailable: ``clock.denied``: we may not (CAP_SYS_TIME), or the kernel will not.
        """
        try:
            time.clock_settime_ns(time.CLOCK_REALTIME, wall_us * 1000)
        except (OSError, OverflowError) as err:
            detail = getattr(err, "strerror", None) or str(err)
            raise Unavailable("clock.denied", f"the clock cannot be set: {detail}") from err


def keep_to_ourselves() -> None:
    """Leave no program that we start the right to set the clock, if we were given it.

    What this process may do stays; who calls it is the only thread yet.
    """
    ctypes.CDLL(None).prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
