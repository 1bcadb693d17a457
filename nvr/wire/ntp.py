"""The time for whoever asks: questions and answers of NTP, as a server without state.

An answer is as long as the shortest question, 48 bytes: nobody's address can be flooded through us.
Of what a question carries only the version, the interval and the time it was sent are repeated.

Source: RFC 5905, sections 6, 7.3 and 14; RFC 4330 for simple clients.
"""

import struct
from dataclasses import dataclass
from typing import Final

PORT: Final = 123
HEADER_BYTES: Final = 48

_FORMAT: Final = struct.Struct("!BBbbII4sQQQQ")
_CLIENT, _SERVER = 3, 4
_VERSIONS = range(1, 5)
_UNSET: Final = 3  # leap indicator: the clock is not synchronised
_PRECISION: Final = -20  # a microsecond
_SINCE_1900_S: Final = 2_208_988_800
_LOCAL: Final = b"\x7f\x7f\x01\x01"  # a clock that goes by nobody else's


@dataclass(frozen=True, slots=True)
class Standing:
    """What a server says of its clock.

    Attributes:
        stratum: 1-15, further from the truth the higher; 0: it was never set, go by none of it.
        uncertainty_ms: By how much it may be off, 0-65535999.
        set_us: When it was last known to be right, UTC microseconds.
    """

    stratum: int
    uncertainty_ms: int
    set_us: int


def answer(question: bytes, received_us: int, sent_us: int, standing: Standing) -> bytes | None:
    """Return what a client is told, None if `question` is none.

    Args:
        question: One datagram. Extension fields and authenticators after the header are not read.
        received_us: When it came, UTC microseconds.
        sent_us: When the answer goes.
        standing: What is said of the clock.
    """
    if len(question) < HEADER_BYTES:
        return None
    first, _, poll, *_, sent = _FORMAT.unpack_from(question)
    version, mode = first >> 3 & 7, first & 7
    # Version 1 had no modes yet: the field was zero.
    if version not in _VERSIONS or mode != (_CLIENT if version > 1 else mode and _CLIENT):
        return None
    leap = 0 if standing.stratum else _UNSET
    return _FORMAT.pack(
        leap << 6 | version << 3 | (_SERVER if version > 1 else 0),
        standing.stratum,
        poll,
        _PRECISION,
        0,
        min(0xFFFF_FFFF, standing.uncertainty_ms * 0x1_0000 // 1000),
        _LOCAL if standing.stratum else b"INIT",
        stamp(standing.set_us) if standing.stratum else 0,
        sent,
        stamp(received_us),
        stamp(sent_us),
    )


def stamp(wall_us: int) -> int:
    """Return UTC microseconds as NTP has them: 32 bits of seconds since 1900, 32 of fractions.

    It wraps in 2036, as every client of NTP knows.
    """
    seconds, rest_us = divmod(wall_us, 1_000_000)
    return (seconds + _SINCE_1900_S & 0xFFFF_FFFF) << 32 | (rest_us << 32) // 1_000_000
