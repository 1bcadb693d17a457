"""MANSCDP: the XML bodies of GB/T 28181, both ways.

``<Query><CmdType>Catalog</CmdType><SN>1</SN><DeviceID>...</DeviceID></Query>``: the root says what
it is, the command what it is about. Text is written in GB18030, whatever the declaration has to
say for the edition of the standard; it is read as declared, then as GB18030, then as UTF-8,
because platforms declare one and send another.

Times are local ones of Beijing, without a zone.

Source: GB/T 28181-2022, annex A; GB/T 28181-2016, annex A.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final, Literal, get_args

from nvr.wire.soap import leaf, tag
from nvr.wire.xml import Element, Malformed
from nvr.wire.xml import parse as parse_xml

Kind = Literal["Control", "Query", "Notify", "Response"]
Edition = Literal["2016", "2022"]
TYPE: Final = "Application/MANSCDP+xml"
MOST_BYTES: Final = 256 * 1024
MOST_DEPTH: Final = 16
BEIJING: Final = timezone(timedelta(hours=8))

_DECLARATION: Final = re.compile(r"^\s*<\?xml([^>]*)\?>", re.IGNORECASE)
_ENCODING: Final = re.compile(rb"""^\s*<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]{1,32})["']""")
_CHARSETS: Final = {"gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "utf-8": "utf-8"}
_ID: Final = re.compile(r"[0-9A-Za-z]{1,32}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_TIME: Final = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)[T ](\d\d?):(\d\d?):(\d\d?)(?:\.(\d{1,6}))?")
_KINDS: Final = {kind.lower(): kind for kind in get_args(Kind)}


@dataclass(frozen=True, slots=True)
class Body:
    """One of them.

    Attributes:
        kind: Name of its root.
        command: Its ``CmdType``.
        number: Its ``SN``, as it was written; it goes back with the answer.
        device: ID of whom it is about; of a ``Broadcast`` its ``TargetID``.
        root: All of it.
    """

    kind: Kind
    command: str
    number: str
    device: str
    root: Element

    def said(self, name: str) -> str:
        """Text of what stands right below the root under that name, empty if nothing does."""
        return said(self.root, name)


def parse(data: bytes) -> Body:
    """Read one.

    Raises:
        Malformed: It is none.
    """
    if len(data) > MOST_BYTES:
        raise Malformed(f"more than {MOST_BYTES} bytes")
    text = _text(data)
    stripped = _DECLARATION.sub("", text.lstrip("\ufeff"), count=1).strip("\0 \r\n\t")
    root = parse_xml(stripped.encode(), most_bytes=4 * MOST_BYTES, most_depth=MOST_DEPTH)
    kind = _KINDS.get(root.name.lower())
    command, number = said(root, "CmdType"), said(root, "SN")
    device = said(root, "DeviceID") or said(root, "TargetID")  # a Broadcast has that one only
    if kind is None:
        raise Malformed("the root is no Control, Query, Notify or Response")
    if not re.fullmatch(r"[A-Za-z0-9_]{1,48}", command):
        raise Malformed("no CmdType")
    if not _NUMBER.fullmatch(number):
        raise Malformed("no SN")
    if not _ID.fullmatch(device):
        raise Malformed("no DeviceID")
    return Body(kind, command, number, device, root)


def build(
    kind: Kind, command: str, number: str | int, device: str, *inner: str, edition: Edition = "2022"
) -> bytes:
    """Write one.

    Args:
        kind: Name of its root.
        command: Its ``CmdType``.
        number: Its ``SN``.
        device: ID of whom it is about.
        inner: XML for the rest, from `tag` and `leaf`.
        edition: Decides what the declaration calls the text, which is GB18030 in both.
    """
    charset = "GB18030" if edition == "2022" else "GB2312"
    body = tag(kind, leaf("CmdType", command), leaf("SN", number), leaf("DeviceID", device), *inner)
    text = f'<?xml version="1.0" encoding="{charset}"?>\r\n{body}\r\n'
    return text.encode("gb18030", "replace")


def child(element: Element, name: str) -> Element | None:
    """The first element right below another one that has that name."""
    return next((one for one in element.children if one.name == name), None)


def said(element: Element, name: str) -> str:
    """Its text, empty without."""
    found = child(element, name)
    return found.text if found else ""


def list_of(name: str, items: list[str]) -> str:
    """``<DeviceList Num="2">`` around items."""
    return tag(name, *items, Num=len(items))


def local_time(at_us: int) -> str:
    """UTC microseconds as a body says it: ``2026-11-30T19:00:00``, in Beijing."""
    at_us = min(max(at_us, 0), 253_402_200_000_000_000)
    return datetime.fromtimestamp(at_us // 1_000_000, BEIJING).strftime("%Y-%m-%dT%H:%M:%S")


def time_us(text: str) -> int | None:
    """UTC microseconds of what a body or a ``Date`` says, None if it is no time.

    A ``Date`` may also be as SIP has it: ``Mon, 30 Nov 2026 11:00:00 GMT``.
    """
    text = text.strip()
    found = _TIME.match(text)
    try:
        if found is None:
            when = parsedate_to_datetime(text[:64])
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
        else:
            fraction = (found.group(7) or "").ljust(6, "0")
            numbers = [int(one) for one in found.groups()[:6]]
            zone = UTC if text[found.end() :].strip() == "Z" else BEIJING
            when = datetime(*numbers, int(fraction), tzinfo=zone)  # type: ignore[misc, arg-type] # seven
        return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _text(data: bytes) -> str:
    declared = _ENCODING.match(data)
    name = declared.group(1).decode().lower() if declared else ""
    for charset in dict.fromkeys((_CHARSETS.get(name, "gb18030"), "gb18030", "utf-8")):
        try:
            return data.decode(charset)
        except UnicodeDecodeError:
            continue
    raise Malformed("text in no encoding that we know")
