"""WS-Discovery as cameras speak it: probes out, matches in; SOAP over UDP, port 3702.

A camera is asked for as ``dn:NetworkVideoTransmitter`` (Profile S and older) and as
``tds:Device`` (Profile T, G); many answer only one of both, so each is asked for by itself: a
probe that names both is for devices that are both.

Source: Web Services Dynamic Discovery (WS-Discovery), April 2005, sections 2.4, 5.2 and 5.3;
ONVIF Core Specification 23.06, section 7.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from nvr.wire.xml import Element, escape, parse

PORT: Final = 3702
GROUP_V4: Final = "239.255.255.250"
GROUP_V6: Final = "ff02::c"
MOST_BYTES: Final = 64 * 1024
"""Of a datagram: UDP carries no more."""
MOST_MATCHES: Final = 16
MOST_ADDRESSES: Final = 8
MOST_TEXT: Final = 256

Kind = Literal["dn:NetworkVideoTransmitter", "tds:Device"]
KINDS: Final[tuple[Kind, ...]] = ("dn:NetworkVideoTransmitter", "tds:Device")

_SPACES: Final = {
    "dn": "http://www.onvif.org/ver10/network/wsdl",
    "tds": "http://www.onvif.org/ver10/device/wsdl",
}
_DISCOVERY: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"


@dataclass(frozen=True, slots=True)
class Match:
    """A device that says it is there.

    Attributes:
        endpoint: Its lasting name, ``urn:uuid:...``; one device on several networks has one.
        types: Local names of what it says it is.
        scopes: As it says them.
        addresses: URLs of its device service; who else may be named in them is not to be trusted.
    """

    endpoint: str
    types: tuple[str, ...]
    scopes: tuple[str, ...]
    addresses: tuple[str, ...]

    def scope(self, name: str) -> str:
        """Return what a scope ``onvif://www.onvif.org/NAME/...`` says, readable; empty if none."""
        for each in self.scopes:
            parts = urlsplit(each).path.strip("/").split("/", 1)
            if len(parts) == 2 and parts[0].lower() == name:
                return _printable(unquote(parts[1]).replace("_", " "))
        return ""


def probe(message_id: str, kind: Kind | None) -> bytes:
    """Return the datagram that asks who is there.

    Args:
        message_id: ``urn:uuid:...``, new for each probe but not for its repeats.
        kind: What to ask for; None for anything.
    """
    types = ""
    if kind is not None:
        prefix = kind.partition(":")[0]
        types = f'<d:Types xmlns:{prefix}="{_SPACES[prefix]}">{kind}</d:Types>'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        f'xmlns:a="{_ADDRESSING}" xmlns:d="{_DISCOVERY}"><s:Header>'
        f"<a:Action>{_DISCOVERY}/Probe</a:Action>"
        f"<a:MessageID>{escape(message_id)}</a:MessageID>"
        f"<a:ReplyTo><a:Address>{_ADDRESSING}/role/anonymous</a:Address></a:ReplyTo>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>"
        f"<s:Body><d:Probe>{types}</d:Probe></s:Body></s:Envelope>"
    ).encode()


def matches(data: bytes, asked: frozenset[str]) -> tuple[Match, ...]:
    """Read a datagram that should answer a probe.

    Args:
        data: As received.
        asked: Message ids of our probes; what answers none of them is somebody else's.

    Returns:
        Those it speaks of; nothing if it is no answer to us.

    Raises:
        ValueError: It is no XML that we take: `nvr.wire.xml.Malformed`.
    """
    tree = parse(data, most_bytes=MOST_BYTES, most_depth=32, most_elements=2000)
    relates = {each.text for each in tree.all("RelatesTo")}
    if relates.isdisjoint(asked):
        return ()
    return tuple(_match(each) for each in islice(tree.all("ProbeMatch"), MOST_MATCHES))


def _match(one: Element) -> Match:
    return Match(
        _printable(one.said("EndpointReference", "Address")),
        tuple(word.rpartition(":")[2] for word in _words(one.said("Types"))),
        tuple(_words(one.said("Scopes"), 32)),
        tuple(_words(one.said("XAddrs"), MOST_ADDRESSES)),
    )


def _words(text: str, most: int = 16) -> list[str]:
    return [_printable(word) for word in text.split()[:most]]


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:MOST_TEXT]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks of the network.

    Attributes:
        what: ``probe``: who is there; ``resolve``: where is this one.
        message_id: What an answer relates to.
        types: Local names of what a device must be, all of them.
        scopes: What its scopes must begin with, all of them.
        endpoint: Whom it wants to find, of a resolve.
    """

    what: Literal["probe", "resolve"]
    message_id: str
    types: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    endpoint: str = ""

    def means(self, one: Match) -> bool:
        """Whether a device is meant; a scope matches whole path segments (RFC 3986 rule)."""
        if self.what == "resolve":
            return self.endpoint == one.endpoint
        return set(self.types) <= {each.rpartition(":")[2] for each in one.types} and all(
            any(has == want or has.startswith(want.rstrip("/") + "/") for has in one.scopes)
            for want in self.scopes
        )


def asked(data: bytes) -> Asked | None:
    """Read a datagram that may ask for devices; None if it is something else.

    Raises:
        ValueError: It is no XML that we take: `nvr.wire.xml.Malformed`.
    """
    tree = parse(data, most_bytes=MOST_BYTES, most_depth=32, most_elements=200)
    message_id = _printable(tree.said("MessageID"))
    body = tree.first("Body")
    if body is None or not body.children or not message_id:
        return None
    one = body.children[0]
    if one.name == "Probe":
        types = tuple(word.rpartition(":")[2] for word in _words(one.said("Types")))
        return Asked("probe", message_id, types, tuple(_words(one.said("Scopes"))))
    if one.name == "Resolve":
        endpoint = _printable(one.said("EndpointReference", "Address"))
        return Asked("resolve", message_id, endpoint=endpoint)
    return None


def answer(message_id: str, to: Asked, one: Match, number: tuple[int, int]) -> bytes:
    """Return the datagram that says where we are.

    Args:
        message_id: ``urn:uuid:...`` of its own.
        to: What was asked.
        one: Ourselves.
        number: When we started, in seconds, and the number of the message since then.
    """
    name = "Probe" if to.what == "probe" else "Resolve"
    inner = _told(f"{name}Match", one)
    return _letter(
        f"{name}Matches", message_id, number, f"<d:{name}Matches>{inner}</d:{name}Matches>",
        f"<a:RelatesTo>{escape(to.message_id)}</a:RelatesTo>"
        f"<a:To>{_ADDRESSING}/role/anonymous</a:To>",
    )  # fmt: skip


def announcement(
    message_id: str, what: Literal["Hello", "Bye"], one: Match, number: tuple[int, int]
) -> bytes:
    """Return the datagram that tells everybody that we are there, or that we go."""
    to = "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>"
    return _letter(what, message_id, number, _told(what, one), to)


def _told(name: str, one: Match) -> str:
    return (
        f"<d:{name}><a:EndpointReference><a:Address>{escape(one.endpoint)}</a:Address>"
        f"</a:EndpointReference><d:Types>{escape(' '.join(one.types))}</d:Types>"
        f"<d:Scopes>{escape(' '.join(one.scopes))}</d:Scopes>"
        f"<d:XAddrs>{escape(' '.join(one.addresses))}</d:XAddrs>"
        f"<d:MetadataVersion>1</d:MetadataVersion></d:{name}>"
    )


def _letter(action: str, message_id: str, number: tuple[int, int], body: str, more: str) -> bytes:
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in _SPACES.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        f'xmlns:a="{_ADDRESSING}" xmlns:d="{_DISCOVERY}" {spaces}><s:Header>'
        f"<a:MessageID>{escape(message_id)}</a:MessageID>{more}"
        f"<a:Action>{_DISCOVERY}/{action}</a:Action>"
        f'<d:AppSequence InstanceId="{number[0]}" MessageNumber="{number[1]}"/>'
        f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
