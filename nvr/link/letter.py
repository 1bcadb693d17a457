"""Calls written by hand, for what the library's service descriptions lack; and small pieces of all.

Source: SOAP 1.2 part 1, section 5; WS-Addressing 1.0, SOAP Binding, section 2.
"""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from nvr.wire import xml

SPACES: Final = {
    "http://www.onvif.org/ver10/device/wsdl": "device",
    "http://www.onvif.org/ver10/media/wsdl": "media",
    "http://www.onvif.org/ver20/media/wsdl": "media2",
    "http://www.onvif.org/ver20/ptz/wsdl": "ptz",
    "http://www.onvif.org/ver20/imaging/wsdl": "imaging",
    "http://www.onvif.org/ver10/deviceIO/wsdl": "deviceio",
    "http://www.onvif.org/ver10/events/wsdl": "events",
    "http://www.onvif.org/ver20/analytics/wsdl": "analytics",
    "http://www.onvif.org/ver10/recording/wsdl": "recording",
    "http://www.onvif.org/ver10/search/wsdl": "search",
    "http://www.onvif.org/ver10/replay/wsdl": "replay",
}
SPACE_OF: Final = {name: space for space, name in SPACES.items()} | {
    "wsn": "http://docs.oasis-open.org/wsn/b-2"
}
SCHEMA: Final = "http://www.onvif.org/ver10/schema"
SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"


@dataclass(frozen=True, slots=True)
class Letter:
    """A call written by hand.

    Attributes:
        service: Whose namespace the operation is in; ``wsn`` is WS-BaseNotification's.
        operation: Its element.
        body: What stands in it, with the prefixes ``t`` (the service) and ``tt`` (the schema).
        url: Where to, if not to the service.
        action: WS-Addressing action, for what asks for one.
        headers: Elements for the header, as the camera wants them back.
    """

    service: str
    operation: str
    body: str = ""
    url: str = ""
    action: str = ""
    headers: tuple[bytes, ...] = ()

    def envelope(self, to: str) -> str:
        """Return it as XML, without a log-in."""
        addressed = ""
        if self.action:
            message = f"<a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID>"
            addressed = f"<a:Action>{self.action}</a:Action>{message}<a:To>{xml.escape(to)}</a:To>"
        return (
            f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="http://www.w3.org/2005/08/addressing">'
            f"<s:Header>{addressed}</s:Header><s:Body>"
            f'<t:{self.operation} xmlns:t="{SPACE_OF[self.service]}" xmlns:tt="{SCHEMA}">'
            f"{self.body}</t:{self.operation}></s:Body></s:Envelope>"
        )


def utc_parts(utc_us: int) -> dict[str, Any]:
    """Return a time as ``UTCDateTime``."""
    at = datetime.fromtimestamp(utc_us / 1e6, UTC)
    return {
        "Date": {"Year": at.year, "Month": at.month, "Day": at.day},
        "Time": {"Hour": at.hour, "Minute": at.minute, "Second": at.second},
    }


_USUAL: Final = {
    "tds": SPACE_OF["device"],
    "trt": SPACE_OF["media"],
    "tr2": SPACE_OF["media2"],
    "tptz": SPACE_OF["ptz"],
    "ptz": SPACE_OF["ptz"],
    "timg": SPACE_OF["imaging"],
    "tmd": SPACE_OF["deviceio"],
    "tev": SPACE_OF["events"],
    "tse": SPACE_OF["search"],
    "trp": SPACE_OF["replay"],
    "tt": SCHEMA,
    "onvif": SCHEMA,
    "ter": "http://www.onvif.org/ver10/error",
    "wsnt": SPACE_OF["wsn"],
    "wsa": "http://www.w3.org/2005/08/addressing",
    "wsa5": "http://www.w3.org/2005/08/addressing",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
"""What prefixes mean to everybody, and so also to devices that use them without saying so."""
_ROOT: Final = re.compile(rb"<[A-Za-z_][\w.-]*(?::[\w.-]+)?")


def mended(data: bytes, undeclared: Iterable[str]) -> bytes:
    """Return a document with its usual prefixes declared that it left undeclared."""
    known = "".join(f' xmlns:{p}="{_USUAL[p]}"' for p in sorted(undeclared) if p in _USUAL)
    found = _ROOT.search(data)
    if not known or found is None:
        return data
    return data[: found.end()] + known.encode() + data[found.end() :]
