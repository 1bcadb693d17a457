"""RTSP through HTTP, as its server reads it: the heads of two connections, and Base64 without end.

::

    GET  path HTTP/1.x   x-sessioncookie: C   answered; then our side of the conversation, as on TCP
    POST path HTTP/1.x   x-sessioncookie: C   never answered; the client's side, in Base64

The length that a POST announces means nothing: 32767 stands for no end. Each request may be padded
by itself, so ``=`` stands wherever one ended. The client's end of this is `nvr.capture.tunnel`.

Source: Apple, "Tunneling RTSP and RTP through HTTP" (2001); ONVIF Streaming Specification 5.1.4.
"""

import re
from binascii import a2b_base64
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from nvr.wire.rtsp import AGENT, Malformed

HEAD_BYTES: Final = 8 * 1024
_BEGINS: Final = (b"GET ", b"POST ")
_LINE: Final = re.compile(rb"(GET|POST) [\x21-\x7e]{1,2048} HTTP/1\.[01]")
_COOKIE: Final = re.compile(rb"\r?\nx-sessioncookie[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_VALUE: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_END: Final = re.compile(rb"\r?\n\r?\n")
_SPACE: Final = b" \t\r\n"
_QUADS: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)*")
_PADDED: Final = re.compile(rb"[^=]+={0,2}")


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the two connections.

    Attributes:
        down: It is the GET.
        cookie: What pairs it with the other; 1 to 128 visible characters, the client's choice.
    """

    down: bool
    cookie: bytes


def is_http(begin: bytes) -> bool | None:
    """Whether a connection that begins so is one of a tunnel's; None if that is not clear yet."""
    for word in _BEGINS:
        if begin.startswith(word):
            return True
        if word.startswith(begin):
            return None
    return False


def parse_leg(data: bytes) -> tuple[Leg, bytes] | None:
    """Read the head of a connection of which `is_http` is true.

    Returns:
        What it is and what followed the head; None as long as the head is not whole.

    Raises:
        Malformed: It is no tunnel's, or its head is over `HEAD_BYTES`.
    """
    end = _END.search(data, 0, HEAD_BYTES)
    if end is None:
        if len(data) >= HEAD_BYTES:
            raise Malformed(f"a head over {HEAD_BYTES} bytes", 413)
        return None
    head = data[: end.start()]
    line = _LINE.match(head)
    cookies = _COOKIE.findall(head)
    if line is None or len(cookies) != 1 or not _VALUE.fullmatch(cookies[0]):
        raise Malformed("HTTP, but no tunnel of RTSP: it has no x-sessioncookie")
    return Leg(line[1] == b"GET", cookies[0]), data[end.end() :]


def answer(status: int) -> bytes:
    """Return the answer to a GET, or the refusal of either; what is sent after 200 has no end."""
    lines = [
        f"HTTP/1.0 {status} {HTTPStatus(status).phrase}",
        f"Server: {AGENT}",
        "Connection: close",
        "Cache-Control: no-store",
        "Pragma: no-cache",
    ]
    if status == 200:
        lines.append("Content-Type: application/x-rtsp-tunnelled")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Decoder:
    """Turns the text of a POST into what it says, however it was split; three bytes are kept."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take text off the connection and return what it completed.

        Raises:
            Malformed: It is not Base64.
        """
        text = self._rest + data.translate(None, _SPACE)
        whole = len(text) // 4 * 4
        self._rest = text[whole:]
        if not _QUADS.fullmatch(text, 0, whole):
            raise Malformed("a POST that is not Base64")
        return b"".join(a2b_base64(one) for one in _PADDED.findall(text, 0, whole))
