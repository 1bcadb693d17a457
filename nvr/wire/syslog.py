"""Syslog messages: ``<PRI>1 TIME HOST APP PROCID MSGID [id key="value" ...] BOM text``.

Source: RFC 5424; framing by octet count: RFC 6587 3.4.1 (TCP), RFC 5425 4.3 (TLS). The private
enterprise number in the structured data, 32473, is the one for examples of RFC 5612.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

FACILITY = 16
"""``local0``: what is no part of the system has."""
ENTERPRISE = 32473
MOST_DATAGRAM_BYTES = 2048
"""What every receiver should take (RFC 5424, 6.1)."""
MOST_BYTES = 8192

_SEVERITY = {"alert": 1, "error": 3, "warning": 4, "notice": 5, "info": 6}
_MOST_VALUE = 512

Level = Literal["alert", "error", "warning", "notice", "info"]


def message(
    level: Level,
    at_us: int,
    host: str,
    msgid: str,
    fields: Mapping[str, str],
    text: str,
    *,
    most_bytes: int = MOST_BYTES,
) -> bytes:
    """Return one message, unframed.

    Args:
        level: How bad.
        at_us: UTC microseconds.
        host: Name of the box; what may not stand there is replaced.
        msgid: What sort of message.
        fields: Structured data; names are printable ASCII without ``=``, space, ``]``, ``"``.
        text: For a person.
        most_bytes: It is cut there, the text first.
    """
    at = datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="microseconds")
    head = (
        f"<{FACILITY * 8 + _SEVERITY[level]}>1 {at.replace('+00:00', 'Z')} "
        f"{_word(host, 255)} nvr - {_word(msgid, 32)} "
    )
    said = "".join(f' {key}="{_value(value)}"' for key, value in fields.items() if value)
    data = f"[nvr@{ENTERPRISE}{said}]".encode()
    start = head.encode("ascii") + data
    if len(start) > most_bytes:  # half an element is none
        start = head.encode("ascii") + b"-"
    line = " ".join(text.split())
    whole = start + b" \xef\xbb\xbf" + line.encode("utf-8", "replace") if line else start
    # Cut between characters.
    return whole if len(whole) <= most_bytes else _cut(whole, most_bytes)


def framed(one: bytes) -> bytes:
    """Return a message as it goes into a stream."""
    return b"%d %s" % (len(one), one)


def _word(text: str, most: int) -> str:
    kept = "".join(c if "!" <= c <= "~" else "_" for c in text)[:most]
    return kept or "-"


def _value(text: str) -> str:
    clean = "".join(" " if ord(c) < 32 or ord(c) == 127 else c for c in text[:_MOST_VALUE])
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    return escaped.encode("utf-8", "replace").decode()


def _cut(whole: bytes, most: int) -> bytes:
    end = most
    while end and whole[end] & 0xC0 == 0x80:
        end -= 1
    return whole[:end]
