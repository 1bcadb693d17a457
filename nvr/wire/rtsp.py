"""RTSP 1.0 messages and the interleaved frames between them.

::

    request   METHOD SP uri SP RTSP/1.0 CRLF headers CRLF body
    response  RTSP/1.0 SP status SP reason CRLF headers CRLF body
    frame     '$' channel(8) length(16) payload

Source: RFC 2326, sections 6, 7, 10.12. Bare LF line ends and blank lines between messages are
taken, because cameras send them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

HEAD_BYTES: Final = 16 * 1024
HEADERS: Final = 64
BODY_BYTES: Final = 64 * 1024
AGENT: Final = "nvr"
SESSION_TIMEOUT_S: Final = 60.0

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STARTS: Final = re.compile(rb"RTSP/1\.|[A-Z_]{4,16} (?=rtsp|\*)|\$[\x00-\x0f]")
_BEGUN: Final = re.compile(rb"(?:[A-Z_]{1,16} ?|RTSP/1?|\$)\Z")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")

REASONS: Final[Mapping[int, str]] = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    451: "Parameter Not Understood",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    457: "Invalid Range",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "RTSP Version Not Supported",
    551: "Option not supported",
}


class Malformed(ValueError):
    """Bytes that are neither RTSP nor an interleaved frame, or beyond a limit.

    Attributes:
        status: What a server answers before it closes.
    """

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


Headers: TypeAlias = tuple[tuple[str, str], ...]


def _all(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name.lower()]


def _head(first: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    for line in lines:
        if _CONTROL.search(line):
            raise ValueError("a control character would end the header line early")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass(frozen=True, slots=True)
class Request:
    """A request; header names keep their case and order, ``Content-Length`` is added."""

    method: str
    uri: str
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """First value of a header, empty if absent."""
        return next(iter(_all(self.headers, name)), "")

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        return _head(f"{self.method} {self.uri} RTSP/1.0", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """A response; see `Request`."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    reason: str = ""

    def header(self, name: str) -> str:
        """First value of a header, empty if absent."""
        return next(iter(_all(self.headers, name)), "")

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return _all(self.headers, name)

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        reason = self.reason or REASONS.get(self.status, "Unknown")
        return _head(f"RTSP/1.0 {self.status} {reason}", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Frame:
    """An interleaved frame."""

    channel: int
    payload: bytes

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        return b"$" + bytes((self.channel,)) + len(self.payload).to_bytes(2, "big") + self.payload


Message: TypeAlias = Request | Response | Frame


def _parse_head(head: bytes) -> tuple[str, Headers]:
    lines = head.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        if line[:1] in {" ", "\t"} and headers:
            name, value = headers.pop()
            headers.append((name, f"{value} {line.strip()}"))
            continue
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()):
            raise Malformed("a header line without a name")
        headers.append((name.strip(), value.strip()))
        if len(headers) > HEADERS:
            raise Malformed(f"more than {HEADERS} headers", 413)
    if any(_CONTROL.search(part) for pair in headers for part in pair):
        raise Malformed("a control character in a header")
    return lines[0], tuple(headers)


def _body_bytes(headers: Headers) -> int:
    lengths = {value for name, value in headers if name.lower() == "content-length"}
    if not lengths:
        return 0
    text = lengths.pop()
    if lengths or not re.fullmatch(r"[0-9]{1,10}", text):
        raise Malformed("Content-Length is not one number")
    if int(text) > BODY_BYTES:
        raise Malformed(f"a body over {BODY_BYTES} bytes", 413)
    return int(text)


def _first_line(line: str) -> tuple[str, str, str]:
    first, _, rest = line.partition(" ")
    second, _, third = rest.partition(" ")
    if _CONTROL.search(line):
        raise Malformed("a control character in the first line")
    if first.startswith("RTSP/"):
        if not re.fullmatch(r"[1-5][0-9]{2}", second):
            raise Malformed("a status line without a status")
        return first, second, third
    if not _TOKEN.fullmatch(first) or not second:
        raise Malformed("no request line")
    if not third.startswith("RTSP/1."):
        raise Malformed("not RTSP 1.0", 505 if third.startswith("RTSP/") else 400)
    return first, second, third


class Parser:
    """Turns received bytes into messages and frames, however they were split.

    At most `HEAD_BYTES` + `BODY_BYTES` stay buffered between calls of `next`.

    Args:
        junk_bytes: How much that is neither is skipped before a message, the first excepted.
    """

    def __init__(self, junk_bytes: int = 0) -> None:
        self._data = bytearray()
        self._scanned = 0
        self._junk_bytes = junk_bytes
        self._junk = 0
        self._spoke = False

    def feed(self, data: bytes) -> None:
        """Take bytes off the connection."""
        self._data += data

    def pending(self) -> bool:
        """Whether part of a message waits for its rest."""
        return bool(self._data)

    def rest(self) -> bytes:
        """Hand over what was received and not yet returned, and forget it."""
        data = bytes(self._data)
        self._data.clear()
        self._scanned = 0
        return data

    def next(self) -> Message | None:
        """Return the next whole message or frame, None until more bytes come.

        Raises:
            Malformed: The connection is beyond repair.
        """
        data = self._data
        if data and data[0] in b"\r\n":
            blank = len(data) - len(data.lstrip(b"\r\n"))
            del data[:blank]
        if not data:
            return None
        if data[0] == ord("$"):
            return self._frame()
        return self._message() if chr(data[0]).isalpha() and data[0] < 128 else self._skip()

    def _message(self) -> Message | None:
        data = self._data
        end = _HEAD_END.search(data, max(0, self._scanned - 3), HEAD_BYTES + 4)
        if end is None:
            self._scanned = len(data)
            if len(data) > HEAD_BYTES:
                raise Malformed(f"a head over {HEAD_BYTES} bytes", 413)
            return None
        line, headers = _parse_head(bytes(data[: end.start()]))
        size = _body_bytes(headers)
        first, second, third = _first_line(line)
        if len(data) < end.end() + size:
            self._scanned = end.start()
            return None
        body = bytes(data[end.end() : end.end() + size])
        del data[: end.end() + size]
        self._scanned = self._junk = 0
        self._spoke = True
        if first.startswith("RTSP/"):
            return Response(int(second), headers, body, third)
        return Request(first, second, headers, body)

    def _skip(self) -> Message | None:
        """Look for the next message or frame behind what is neither."""
        start = _STARTS.search(self._data)
        until = start or _BEGUN.search(self._data)
        junk = until.start() if until else len(self._data)
        self._junk += junk
        if not self._spoke or self._junk > self._junk_bytes:
            raise Malformed("neither a message nor an interleaved frame")
        del self._data[:junk]
        self._scanned = 0
        return self.next() if start else None

    def _frame(self) -> Frame | None:
        data = self._data
        if len(data) < 4:
            return None
        size = int.from_bytes(data[2:4], "big")
        if len(data) < 4 + size:
            return None
        frame = Frame(data[1], bytes(data[4 : 4 + size]))
        del data[: 4 + size]
        return frame


Pair: TypeAlias = tuple[int, int]
"""Channels or ports, of RTP and RTCP."""


@dataclass(frozen=True, slots=True)
class Transport:
    """One alternative of a ``Transport`` header.

    Attributes:
        protocol: ``RTP/AVP``, ``RTP/AVP/TCP``, in upper case.
        multicast: Whether it asks for multicast.
        channels: ``interleaved`` channels of RTP and RTCP, None if absent.
        ssrc: As given, hexadecimal, empty if absent.
        server_port: Ports that the server sends from, None if absent or 0.
        group_port: ``port``, of a multicast group, None if absent.
        destination: As given, empty if absent; not always an address.
        source: The same.
        ttl: Of multicast, 0 if absent.
        client_port: Ports that the client wants datagrams at, None if absent.
    """

    protocol: str
    multicast: bool = False
    channels: Pair | None = None
    ssrc: str = ""
    server_port: Pair | None = None
    group_port: Pair | None = None
    destination: str = ""
    source: str = ""
    ttl: int = 0
    client_port: Pair | None = None

    @property
    def interleaved(self) -> bool:
        """Media on the RTSP connection."""
        return self.protocol == "RTP/AVP/TCP" and not self.multicast

    @property
    def datagrams(self) -> bool:
        """Media as datagrams, multicast or not."""
        return self.protocol in {"RTP/AVP", "RTP/AVP/UDP"}


def _pair(text: str, least: int, most: int) -> Pair | None:
    match = re.fullmatch(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?", text)
    if not match:
        return None
    low = int(match.group(1))
    pair = (low, int(match.group(2)) if match.group(2) else low + 1)
    return pair if min(pair) >= least and max(pair) <= most else None


def parse_transport(header: str) -> list[Transport]:
    """Split a ``Transport`` header into its alternatives; nonsense is left out."""
    found = []
    for choice in header.split(","):
        protocol, *words = (word.strip() for word in choice.split(";"))
        pairs = (word.partition("=") for word in words)
        options = {name.strip().lower(): value.strip() for name, _, value in pairs}
        ttl = options.get("ttl", "")
        if protocol:
            found.append(
                Transport(
                    protocol.upper(),
                    "multicast" in options,
                    _pair(options.get("interleaved", ""), 0, 255),
                    options.get("ssrc", ""),
                    _pair(options.get("server_port", ""), 1, 65535),
                    _pair(options.get("port", ""), 1, 65535),
                    options.get("destination", ""),
                    options.get("source", ""),
                    int(ttl) if re.fullmatch(r"[0-9]{1,3}", ttl) else 0,
                    _pair(options.get("client_port", ""), 1, 65535),
                )
            )
    return found
