"""What a PLAY of a recording asks for.

Source: ONVIF Streaming Specification 23.06, section 6; RFC 2326, sections 3.7, 12.29 and 12.34.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nvr.serve.rtsp_login import Denied
from nvr.wire.rtsp import Request

EVER_US: Final = 1 << 62
LEAST_SCALE: Final = 0.1
MOST_SCALE: Final = 64.0
EVERY_PICTURE: Final = 4.0
"""Backwards so many times as fast at most whole groups are sent, then key frames."""
_STAMP = r"(\d{8}T\d{6}(?:\.\d{1,9})?Z)"
_RANGE = re.compile(rf"clock={_STAMP}?-{_STAMP}?")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a PLAY asks for.

    Attributes:
        from_us: UTC microseconds; None to go on where it stands, or to begin with the oldest,
            backwards with the newest.
        to_us: Where to end, backwards before `from_us`; None for the end of what is recorded.
        paced: As it happened; else as fast as the peer takes it.
        scale: How much faster than it happened; below 0 backwards.
        intra: Key frames only.
        cseq: Low byte of the request's number.
    """

    from_us: int | None
    to_us: int | None
    paced: bool
    scale: float
    intra: bool
    cseq: int

    @property
    def backwards(self) -> bool:
        """Whole groups of pictures are sent, the last one first."""
        return self.scale < 0

    @property
    def sound(self) -> bool:
        """Sound is sent too: as it happened, or for the peer to do with what it wants."""
        return not self.intra and (self.scale == 1 or (not self.paced and not self.backwards))

    @property
    def span(self) -> tuple[int, int]:
        """The span that may come to be seen."""
        ends = (0 if self.backwards else EVER_US) if self.to_us is None else self.to_us
        if self.backwards:
            return ends, EVER_US if self.from_us is None else self.from_us
        return self.from_us or 0, ends


def wish_of(request: Request) -> Wish:
    """Read a PLAY.

    Raises:
        Denied: 457: the range is none; 451: slower or faster than we play.
    """
    try:
        scale = float(request.header("Scale") or 1)
    except ValueError:
        scale = 0.0
    if not LEAST_SCALE <= abs(scale) <= MOST_SCALE:
        raise Denied(451, ())
    said, from_us, to_us = request.header("Range").strip(), None, None
    if found := _RANGE.fullmatch(said):
        from_us, to_us = (None if text is None else _us(text) for text in found.groups())
        if from_us is not None and to_us is not None and (to_us - from_us) * scale <= 0:
            raise Denied(457, ())
    elif said and not said.startswith("npt="):
        raise Denied(457, ())
    paced = request.header("Rate-Control").strip().lower() != "no"
    intra = request.header("Frames").strip().lower().startswith("intra")
    intra = intra or (paced and scale < -EVERY_PICTURE)
    number = re.search(r"[0-9]{1,9}\Z", request.header("CSeq"))
    cseq = int(number[0]) & 0xFF if number else 0
    return Wish(from_us, to_us, paced, scale, intra, cseq)


def _us(text: str) -> int:
    """UTC microseconds of a time of a range.

    Raises:
        Denied: 457.
    """
    whole, _, rest = text.removesuffix("Z").partition(".")
    try:
        at = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError as err:
        raise Denied(457, ()) from err
    return round(at.timestamp()) * 1_000_000 + int(f"{rest:0<6}"[:6])
