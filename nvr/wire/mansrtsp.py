"""MANSRTSP: what steers a recording, in the body of a SIP INFO.

``PLAY RTSP/1.0`` as the standard of 2022 has it or ``PLAY MANSRTSP/1.0`` as that of 2016, then
``CSeq``, ``Scale`` and ``Range: npt=100-``, which counts seconds from the begin of the span asked
for; ``npt=now-`` goes on.

Source: GB/T 28181-2022 annex B; GB/T 28181-2016 annex B.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

Method = Literal["PLAY", "PAUSE", "TEARDOWN"]

MOST_BYTES: Final = 4096
_METHODS: Final[dict[str, Method]] = {"PLAY": "PLAY", "PAUSE": "PAUSE", "TEARDOWN": "TEARDOWN"}
_SCALE = re.compile(r"[+-]?[0-9]{1,4}(\.[0-9]{0,6})?")
_NPT = re.compile(r"npt\s*=\s*([0-9]{1,9})(\.[0-9]{0,6})?\s*-.*", re.IGNORECASE)
_SMPTE = re.compile(r"smpte\s*=\s*([0-9]{1,9})(\.[0-9]{0,6})?\s*-.*", re.IGNORECASE)


class Malformed(ValueError):
    """It is no MANSRTSP; the text says in one sentence why."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be done.

    Attributes:
        method: What it is.
        cseq: Its number, empty if it has none.
        scale: How many times as fast, negative backwards; None as it was. Never 0.
        at_s: Where to, seconds from the begin of the span; None where it stands.
    """

    method: Method
    cseq: str = ""
    scale: float | None = None
    at_s: float | None = None


def parse(text: str) -> Command:
    """Read a body.

    Raises:
        Malformed: It is none.
    """
    if len(text) > MOST_BYTES:
        raise Malformed(f"more than {MOST_BYTES} characters")
    first, *rest = text.strip().splitlines() or [""]
    word, _, version = first.strip().partition(" ")
    method = _METHODS.get(word.upper())
    if method is None or not version.strip().upper().endswith("RTSP/1.0"):
        raise Malformed("the first line is none of PLAY, PAUSE, TEARDOWN")
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    cseq = headers.get("cseq", "")
    return Command(
        method,
        cseq if cseq.isascii() and cseq.isdigit() and len(cseq) < 12 else "",
        _scale(headers.get("scale")),
        _place(headers.get("range")),
    )


def respond(
    command: Command | None,
    status: int = 200,
    at_s: float | None = None,
    scale: float | None = None,
) -> str:
    """Return the answer to a command.

    Args:
        command: What is answered; None if it could not be read.
        status: 200, 400, 451 or 457.
        at_s: Where it plays from, for ``Range``.
        scale: How fast, where that is not what was asked for.
    """
    reasons = {200: "OK", 400: "Bad Request", 451: "Parameter Not Understood", 457: "Invalid Range"}
    lines = [f"RTSP/1.0 {status} {reasons[status]}"]
    if command is not None and command.cseq:
        lines.append(f"CSeq: {command.cseq}")
    if at_s is not None:
        lines.append(f"Range: npt={at_s:.3f}-")
    if scale is not None:
        lines.append(f"Scale: {scale:g}")
    return "\r\n".join([*lines, "", ""])


def _scale(text: str | None) -> float | None:
    if text is None:
        return None
    if not _SCALE.fullmatch(text) or not float(text):
        raise Malformed("Scale is no number but 0")
    return float(text)


def _place(text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    found = _NPT.fullmatch(text.strip()) or _SMPTE.fullmatch(text.strip())
    if found:
        return float(found[1] + (found[2] or ""))
    if re.fullmatch(r"npt\s*=\s*(now)?\s*-.*", text.strip(), re.IGNORECASE):
        return None
    raise Malformed("Range counts neither seconds nor from now")
