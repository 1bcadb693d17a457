"""SIP messages: bytes to values and back, with an end to everything.

Text of heads is Latin-1 both ways, so that what is sent back (``From``, ``Call-ID``) is byte for
byte what came, whatever it was. Bodies are bytes. Names are compared without case, compact ones
(``v``, ``i``) are taken for their long ones.

Limits: a head of `MOST_HEAD_BYTES`, `MOST_HEADERS` lines, a body of `MOST_BODY_BYTES`.

Source: RFC 3261 sections 7, 8.2.6, 18.3, 20 and 25; RFC 3581 (rport).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

MOST_HEAD_BYTES: Final = 16 * 1024
MOST_BODY_BYTES: Final = 512 * 1024
MOST_HEADERS: Final = 96
MAGIC: Final = "z9hG4bK"
"""What the branch of everybody who keeps RFC 3261 begins with."""

_VERSION: Final = "SIP/2.0"
_COMPACT: Final = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
    "c": "content-type", "e": "content-encoding", "s": "subject", "k": "supported",
    "o": "event", "u": "allow-events",
}  # fmt: skip
_METHOD: Final = re.compile(r"[A-Z][A-Z_-]{1,31}")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_CSEQ: Final = re.compile(r"([0-9]{1,10})[ \t]+([A-Z][A-Z_-]{1,31})")
_PART: Final = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,"<]|["<])+""")
_URI: Final = re.compile(
    r"sips?:(?:([^@\s;?<>]{0,64})@)?(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,255})(?::([0-9]{1,5}))?"
    r"((?:;[^\s?<>]*)?)(?:\?\S*)?",
    re.IGNORECASE,
)
_VIA: Final = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z]{2,8})\s+(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,255})"
    r"(?:\s*:\s*([0-9]{1,5}))?\s*((?:;.*)?)",
    re.DOTALL,
)

Headers = tuple[tuple[str, str], ...]


class Malformed(ValueError):
    """It is no SIP message, or more of one than we take."""


@dataclass(frozen=True, slots=True)
class Message:
    """What requests and responses have in common.

    Attributes:
        headers: Name and value, in order, as they came.
        body: May be empty.
    """

    headers: Headers = ()
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Values of every header of that name, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if _long(key) == wanted]

    def get(self, name: str) -> str:
        """Value of the first header of that name, empty if there is none."""
        return next(iter(self.all(name)), "")

    @property
    def call_id(self) -> str:
        """Its ``Call-ID``."""
        return self.get("call-id")

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of ``CSeq``; ``(0, "")`` if it has none that can be read."""
        found = _CSEQ.fullmatch(self.get("cseq").strip())
        return (int(found.group(1)), found.group(2)) if found else (0, "")

    @property
    def vias(self) -> list[str]:
        """Each ``Via``, also of several in one line, the last hop first."""
        return [one for line in self.all("via") for one in parts(line)]

    @property
    def via(self) -> "Via | None":
        """The topmost one, None if it cannot be read."""
        return Via.parse(next(iter(self.vias), ""))

    def _encode(self, first: str) -> bytes:
        lines = [first]
        lines += [f"{k}: {v}" for k, v in self.headers if _long(k) != "content-length"]
        lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join(re.sub(r"[\r\n]+", " ", line) for line in lines)
        return head.encode("latin-1", "replace") + b"\r\n\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request."""

    method: str = ""
    uri: str = ""

    def encode(self) -> bytes:
        """As it goes over the wire."""
        return self._encode(f"{self.method} {self.uri} {_VERSION}")


@dataclass(frozen=True, slots=True)
class Response(Message):
    """A response; of a `status` below 200 there is more to come."""

    status: int = 0
    reason: str = ""

    def encode(self) -> bytes:
        """As it goes over the wire."""
        return self._encode(f"{_VERSION} {self.status} {self.reason}")


@dataclass(frozen=True, slots=True)
class Via:
    """One hop: ``SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport``.

    Attributes:
        transport: ``UDP`` or ``TCP``.
        host: Name or address, IPv6 in brackets.
        port: None if it was not said.
        parameters: Those after it, names in lower case; None of one without a value.
    """

    transport: str
    host: str
    port: int | None = None
    parameters: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: str) -> "Via | None":
        """Read one; None if it is none."""
        found = _VIA.fullmatch(value.strip())
        if found is None or int(found.group(3) or 1) not in range(1, 65536):
            return None
        port = int(found.group(3)) if found.group(3) else None
        return cls(found.group(1).upper(), found.group(2), port, parameters(found.group(4)))

    @property
    def branch(self) -> str:
        """Its branch, empty without."""
        return self.parameters.get("branch") or ""

    def encode(self) -> str:
        """As it stands in a header."""
        said = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.parameters.items())
        port = "" if self.port is None else f":{self.port}"
        return f"{_VERSION}/{self.transport} {self.host}{port}{said}"


@dataclass(frozen=True, slots=True)
class Uri:
    """``sip:user@host:port;parameters``; the host of IPv6 in brackets."""

    user: str
    host: str
    port: int | None = None
    parameters: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Uri | None":
        """Read one, with or without a name and ``<>`` around it; None if it is none."""
        text = text.strip()
        if "<" in text:
            text = text.partition("<")[2].partition(">")[0]
        found = _URI.fullmatch(text.strip())
        if found is None or int(found.group(3) or 1) not in range(1, 65536):
            return None
        user, host, port, rest = found.groups()
        return cls(user or "", host, int(port) if port else None, parameters(rest))


def parse(data: bytes) -> Request | Response:
    """Read one message: a datagram, or what `Splitter` cut out of a stream.

    Raises:
        Malformed: It is none.
    """
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        raise Malformed("the head does not end")
    if len(head) > MOST_HEAD_BYTES:
        raise Malformed(f"a head of more than {MOST_HEAD_BYTES} bytes")
    first, *lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
    headers = _headers(lines)
    length = _length(headers)
    if length is not None:
        if length > len(body):
            raise Malformed("the body is cut off")
        body = body[:length]
    if len(body) > MOST_BODY_BYTES:
        raise Malformed(f"a body of more than {MOST_BODY_BYTES} bytes")
    if first.startswith(_VERSION + " "):
        status, _, reason = first[len(_VERSION) + 1 :].partition(" ")
        if not re.fullmatch(r"[1-6][0-9]{2}", status):
            raise Malformed("that is no status")
        return Response(headers, body, int(status), reason.strip())
    method, _, rest = first.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if version != _VERSION or not _METHOD.fullmatch(method) or not uri or " " in uri:
        raise Malformed("the first line is of no request and no response")
    return Request(headers, body, method, uri)


def fault(message: Message) -> str:
    """What a message lacks that each must have; empty if nothing."""
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        if not message.get(name).strip():
            return f"no {name}"
    if message.via is None:
        return "a Via that cannot be read"
    number, method = message.cseq
    if not method or number >= 1 << 31:
        return "a CSeq that cannot be read"
    if isinstance(message, Request) and method != message.method:
        return "a CSeq of another method"
    return ""


class Splitter:
    """Cuts a stream into messages, however it was split on the way.

    At most one message stays buffered. Blank lines between messages, which keep ways through
    routers open, are passed over.
    """

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return each message that `data` completes, for `parse`.

        Raises:
            Malformed: The stream can be cut no further: its connection has to end.
        """
        self._kept += data
        found: list[bytes] = []
        while True:
            self._kept = self._kept.lstrip(b"\r\n")
            end = self._kept.find(b"\r\n\r\n")
            if end > MOST_HEAD_BYTES or (end < 0 and len(self._kept) > MOST_HEAD_BYTES):
                raise Malformed(f"a head of more than {MOST_HEAD_BYTES} bytes")
            if end < 0:
                return found
            _, *lines = self._kept[:end].decode("latin-1").split("\r\n")
            length = _length(_headers(lines)) or 0
            if length > MOST_BODY_BYTES:
                raise Malformed(f"a body of more than {MOST_BODY_BYTES} bytes")
            whole = end + 4 + length
            if len(self._kept) < whole:
                return found
            found.append(self._kept[:whole])
            self._kept = self._kept[whole:]


def reply(
    request: Request,
    status: int,
    reason: str,
    *,
    tag: str = "",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """Answer a request: its ``Via``, ``From``, ``To``, ``Call-ID`` and ``CSeq`` go back.

    Args:
        request: What came.
        status: 100 to 699.
        reason: In words.
        tag: Ours, set in ``To`` unless it has one.
        headers: More of them.
        body: Its body.
    """
    to = request.get("to")
    if tag and not tag_of(to):
        to = f"{to};tag={tag}"
    back = [("Via", one) for one in request.vias]
    back += [("From", request.get("from")), ("To", to), ("Call-ID", request.call_id)]
    back.append(("CSeq", request.get("cseq")))
    back += [("Record-Route", one) for one in request.all("record-route")]
    return Response((*back, *headers), body, status, reason)


def arrived(request: Request, host: str, port: int) -> Request:
    """Note in the topmost ``Via`` from where a request really came (RFC 3261 18.2.1, RFC 3581)."""
    via, vias = request.via, request.vias
    if via is None:
        return request
    noted: dict[str, str | None] = {}
    if "rport" in via.parameters:
        noted = {"rport": str(port), "received": host}
    elif via.host.strip("[]") != host:
        noted = {"received": host}
    top = replace(via, parameters=via.parameters | noted).encode()
    others = tuple(one for one in request.headers if _long(one[0]) != "via")
    return replace(request, headers=(*(("Via", one) for one in (top, *vias[1:])), *others))


def parts(value: str) -> list[str]:
    """Cut a header at its commas, but for those in quotes or angle brackets."""
    return [one.strip() for one in _PART.findall(value) if one.strip()]


def parameters(text: str) -> dict[str, str | None]:
    """Read ``;name=value;flag``: names in lower case, values without quotes, the first counts."""
    found: dict[str, str | None] = {}
    for one in text.split(";"):
        name, equals, value = one.partition("=")
        if name.strip():
            said = value.strip().strip('"') if equals else None
            found.setdefault(name.strip().lower(), said)
    return found


def tag_of(value: str) -> str:
    """The tag of a ``From`` or ``To``, empty without."""
    after = value.rpartition(">")[2] if ">" in value else value.partition(";")[2]
    return parameters(after).get("tag") or ""


def _long(name: str) -> str:
    name = name.lower()
    return _COMPACT.get(name, name)


def _headers(lines: Iterable[str]) -> Headers:
    found: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in {" ", "\t"} and found:  # folded: it belongs to the line before
            name, value = found[-1]
            found[-1] = (name, f"{value} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name.rstrip()):
            raise Malformed("a line of the head is none")
        found.append((name.rstrip(), value.strip()))
        if len(found) > MOST_HEADERS:
            raise Malformed(f"more than {MOST_HEADERS} lines in the head")
    return tuple(found)


def _length(headers: Headers) -> int | None:
    said = [value for name, value in headers if _long(name) == "content-length"]
    if not said:
        return None
    if len(set(said)) > 1 or not re.fullmatch(r"[0-9]{1,9}", said[0]):
        raise Malformed("that is no length of a body")
    return int(said[0])
