"""How far the wall clock can be trusted, as the kernel knows it.

Source: adjtimex(2); ``struct timex`` of linux/timex.h on 64-bit Linux.
"""

import ctypes
from pathlib import Path
from typing import Literal

_TIME_ERROR = 5
_STA_UNSYNC = 0x40
_STATUS_AT = 40  # modes, offset, freq, maxerror, esterror come before it, each on 8 bytes
_MAXERROR_AT = 24
_STRUCT_BYTES = 208

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
