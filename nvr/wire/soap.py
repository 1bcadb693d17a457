"""SOAP 1.2 as an ONVIF device speaks it: requests in, answers and faults out.

A request is read by `nvr.wire.xml`: no document type, no entities, an end to size, depth and number
of elements. Answers are text that is put together by `tag` and `leaf`; every prefix of `SPACES` is
declared at the envelope.

Source: SOAP 1.2 part 1 (second edition), sections 5.1 to 5.4; WSS UsernameToken Profile 1.1,
section 3.1; ONVIF Core Specification 23.06, sections 5.8 and 5.9.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nvr.wire.xml import Element, Malformed, escape, parse

MOST_BYTES: Final = 64 * 1024
MOST_DEPTH: Final = 32
MOST_ELEMENTS: Final = 2000
MOST_NONCE_BYTES: Final = 128
SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
SPACES: Final = {
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "tmd": "http://www.onvif.org/ver10/deviceIO/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tse": "http://www.onvif.org/ver10/search/wsdl",
    "trc": "http://www.onvif.org/ver10/recording/wsdl",
    "trp": "http://www.onvif.org/ver10/replay/wsdl",
    "tt": "http://www.onvif.org/ver10/schema",
    "ter": "http://www.onvif.org/ver10/error",
    "tns1": "http://www.onvif.org/ver10/topics",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "wstop": "http://docs.oasis-open.org/wsn/t-1",
    "wsa": "http://www.w3.org/2005/08/addressing",
}
"""Prefixes of answers, and what they stand for."""
PREFIXES: Final = {space: prefix for prefix, space in SPACES.items()}

_DECLARED: Final = f'xmlns:s="{SOAP}" ' + " ".join(f'xmlns:{p}="{s}"' for p, s in SPACES.items())
_LAST_US: Final = 253_402_300_799_000_000
_DURATION: Final = re.compile(
    r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6}(?:\.\d{1,6})?)S)?)?"
)


class Fault(Exception):
    """A refusal as SOAP words it.

    Args:
        reason: One sentence for a person.
        subcodes: ``ter:InvalidArgVal``, ``ter:NoProfile``: the first inside of which is the second.
        receiver: The fault is ours; else the sender's.
    """

    def __init__(self, reason: str, *subcodes: str, receiver: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.subcodes = subcodes
        self.receiver = receiver


@dataclass(frozen=True, slots=True)
class Token:
    """A WS-UsernameToken with a digest, not yet checked.

    Attributes:
        user: Whose it says it is.
        digest: SHA-1 of nonce, `created` and password.
        nonce: As the sender chose it.
        created: When it was made, as it says so.
    """

    user: str
    digest: bytes
    nonce: bytes
    created: str

    def proves(self, password: str) -> bool:
        """Whether the sender knows the password."""
        made = hashlib.sha1(  # the standard's own choice
            self.nonce + self.created.encode() + password.encode(), usedforsecurity=False
        ).digest()
        return hmac.compare_digest(made, self.digest)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of us.

    Attributes:
        space: Name space of the operation, empty if it was never declared.
        operation: Its name.
        body: Its arguments.
        token: Who says to ask, None if nobody does in this way.
        message_id: What the answer relates to, empty if nothing.
    """

    space: str
    operation: str
    body: Element
    token: Token | None
    message_id: str


def read(data: bytes) -> Request:
    """Read a request.

    Raises:
        Malformed: It is no SOAP, or more of it than we take.
    """
    root = parse(data, most_bytes=MOST_BYTES, most_depth=MOST_DEPTH, most_elements=MOST_ELEMENTS)
    if root.name != "Envelope":
        raise Malformed("no envelope")
    asked = child(root, "Body")
    if asked is None or not asked.children:
        raise Malformed("an envelope without anything in its body")
    body = asked.children[0]
    head = child(root, "Header")
    token, message_id = None, ""
    if head is not None:
        found = head.first("UsernameToken")
        token = _token(found) if found is not None else None
        message_id = head.said("MessageID")[:256]
    return Request(body.space, body.name, body, token, message_id)


def child(of: Element, name: str) -> Element | None:
    """Return the first child of that name."""
    return next((one for one in of.children if one.name == name), None)


def _token(found: Element) -> Token | None:
    """Read a token; None if it is none that we could check."""
    password = child(found, "Password")
    if password is None or not password.attributes.get("Type", "").endswith("#PasswordDigest"):
        return None
    try:
        digest = base64.b64decode(password.text, validate=True)
        nonce = base64.b64decode(found.said("Nonce"), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, created = found.said("Username"), found.said("Created")
    if not user or not created or not 0 < len(nonce) <= MOST_NONCE_BYTES or len(created) > 64:
        return None
    return Token(user, digest, nonce, created)


def tag(name: str, *inner: str, **attributes: str | int | bool) -> str:
    """An element around what is XML already."""
    said = "".join(f' {key}="{escape(plain(value))}"' for key, value in attributes.items())
    return f"<{name}{said}>{''.join(inner)}</{name}>" if inner else f"<{name}{said}/>"


def leaf(name: str, value: str | float, **attributes: str | int | bool) -> str:
    """An element around a value."""
    return tag(name, escape(plain(value)), **attributes)


def plain(value: str | float) -> str:
    """A value as XML Schema writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def envelope(body: str, relates: str = "", action: str = "") -> bytes:
    """Return a whole answer.

    Args:
        body: XML.
        relates: Message id of the request.
        action: What the answer is, as a URI.
    """
    head = ""
    if relates:
        head = leaf("wsa:RelatesTo", relates) + (leaf("wsa:Action", action) if action else "")
        head = tag("s:Header", head)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope {_DECLARED}>'
        f"{head}{tag('s:Body', body)}</s:Envelope>"
    ).encode()


def fault(error: Fault) -> str:
    """Return the body of an answer that refuses."""
    sub = ""
    for code in reversed(error.subcodes):
        sub = tag("s:Subcode", leaf("s:Value", code), sub)
    value = leaf("s:Value", "s:Receiver" if error.receiver else "s:Sender")
    text = tag("s:Reason", f'<s:Text xml:lang="en">{escape(error.reason)}</s:Text>')
    return tag("s:Fault", tag("s:Code", value, sub), text)


def instant_us(text: str) -> int | None:
    """UTC microseconds of an ``xs:dateTime``; without a zone it is UTC. None if it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if "T" not in text:
        return None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    return round(found.timestamp() * 1e6)


def instant(wall_us: int) -> str:
    """A time as ``xs:dateTime``, whole milliseconds, UTC; what is before 1970 is 1970."""
    made = datetime.fromtimestamp(min(max(wall_us, 0), _LAST_US) / 1e6, UTC).isoformat(
        timespec="milliseconds"
    )
    return made.removesuffix("+00:00") + "Z"


def count(text: str, most: int) -> int:
    """A number of things, at most `most`, which is also what no number stands for."""
    return min(int(text), most) if re.fullmatch(r"[0-9]{1,9}", text) else most


def duration_s(text: str) -> float | None:
    """Seconds of an ``xs:duration`` without years and months; None if it is none."""
    found = _DURATION.fullmatch(text)
    if found is None or text[-1] in "PT":
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def duration(length_s: float) -> str:
    """Seconds as ``xs:duration``."""
    return f"PT{length_s:.3f}".rstrip("0").rstrip(".") + "S"
