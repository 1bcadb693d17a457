"""SDP as GB/T 28181 has it: what a platform asks a device to send, and what the device answers.

Beside the usual lines there are ``u=`` (device and kind of recording), ``y=`` (ten digits, the SSRC
of all packets) and ``f=`` (codecs, ``v/////a///``). ``t=`` counts from 1970 and not from 1900.
Platforms differ in what they leave out, so only what sending needs is asked for.

Source: GB/T 28181-2022 sections 9.3 to 9.10 and annex G; RFC 4566; RFC 4145 (``a=setup``).
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

SessionKind = Literal["Play", "Playback", "Download", "Talk"]
Transport = Literal["udp", "tcp"]
Setup = Literal["passive", "active"]

PROGRAM_STREAM: Final = 96
PCMA: Final = 8
MOST_BYTES: Final = 16_384
_KINDS: Final[dict[str, SessionKind]] = {
    "play": "Play",
    "playback": "Playback",
    "download": "Download",
    "talk": "Talk",
}
_HOST = re.compile(r"[0-9A-Za-z.:_-]{1,255}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_DEVICE = re.compile(r"[0-9]{1,20}")
_NTP_EPOCH_S: Final = 2_208_988_800
_MOST_SSRC: Final = 0xFFFFFFFF
_OTHER: Final[dict[Setup, Setup]] = {"passive": "active", "active": "passive"}


class Malformed(ValueError):
    """It is not an offer; the text says in one sentence why."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a platform asks for.

    Attributes:
        session: What ``s=`` says.
        device: 20-digit identifier of ``u=``, else of ``o=``; empty if neither has one.
        source_type: What ``u=`` has after it: 0 all, 1 manual, 2 alarm, 3 by time.
        from_s: Begin of the recording, UNIX seconds; 0 live.
        to_s: Its end; 0 live.
        host: Where media goes, an address or a name as written.
        port: Its port; of an active peer over TCP it says nothing.
        transport: ``udp`` or ``tcp``.
        setup: What the platform is over TCP: ``passive`` listens, ``active`` connects.
        kind: ``video`` for a program stream, ``audio`` for voice.
        payload_types: RTP payload types it takes, in its order.
        maps: Payload type and what ``a=rtpmap`` calls it, upper case: ``(96, "PS/90000")``.
        direction: ``recvonly``, ``sendonly``, ``sendrecv`` or empty.
        ssrc: What ``y=`` says; None if it is not there.
        speed: ``a=downloadspeed``, at least 1.
        stream_number: ``a=streamnumber``: 0 main, 1 sub.
        format: What ``f=`` says, as written.
    """

    session: SessionKind
    device: str = ""
    source_type: int = 0
    from_s: int = 0
    to_s: int = 0
    host: str = ""
    port: int = 0
    transport: Transport = "udp"
    setup: Setup = "passive"
    kind: Literal["video", "audio"] = "video"
    payload_types: tuple[int, ...] = (PROGRAM_STREAM,)
    maps: tuple[tuple[int, str], ...] = ((PROGRAM_STREAM, "PS/90000"),)
    direction: str = "recvonly"
    ssrc: int | None = None
    speed: int = 1
    stream_number: int = 0
    format: str = ""

    @property
    def program_stream(self) -> int | None:
        """Payload type for a program stream, None if the platform takes none."""
        named = next((number for number, name in self.maps if name.startswith("PS/")), None)
        if named is not None:
            return named
        mapped = {number for number, _ in self.maps}
        plain = PROGRAM_STREAM in self.payload_types and PROGRAM_STREAM not in mapped
        return PROGRAM_STREAM if plain else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the device says of what it will send.

    Attributes:
        device: Its own identifier, for ``o=``.
        session: As offered.
        host: Own address.
        port: Own port; over TCP of who connects the discard port is usual, and any will do.
        transport: As offered.
        setup: Its own role over TCP.
        ssrc: Of all packets.
        kind: ``video`` or ``audio``.
        payload_type: Of all packets.
        encoding: As ``a=rtpmap`` calls it.
        direction: ``sendonly``; for talk ``sendrecv`` or ``recvonly``.
        from_s: As offered.
        to_s: As offered.
        size_bytes: For ``a=filesize``, 0 without.
        format: For ``f=``, empty without.
    """

    device: str
    session: SessionKind
    host: str
    port: int
    transport: Transport
    setup: Setup
    ssrc: int
    kind: Literal["video", "audio"] = "video"
    payload_type: int = PROGRAM_STREAM
    encoding: str = "PS/90000"
    direction: str = "sendonly"
    from_s: int = 0
    to_s: int = 0
    size_bytes: int = 0
    format: str = ""

    def text(self) -> str:
        """The lines of the body, each ended by CR LF."""
        family = "IP6" if ":" in self.host else "IP4"
        profile = "TCP/RTP/AVP" if self.transport == "tcp" else "RTP/AVP"
        lines = [
            "v=0",
            f"o={self.device} 0 0 IN {family} {self.host}",
            f"s={self.session}",
            f"c=IN {family} {self.host}",
            f"t={self.from_s} {self.to_s}",
            f"m={self.kind} {self.port} {profile} {self.payload_type}",
            f"a={self.direction}",
            f"a=rtpmap:{self.payload_type} {self.encoding}",
        ]
        if self.transport == "tcp":
            lines += [f"a=setup:{self.setup}", "a=connection:new"]
        if self.size_bytes:
            lines.append(f"a=filesize:{self.size_bytes}")
        lines.append(f"y={self.ssrc:010}")
        if self.format:
            lines.append(f"f={self.format}")
        return "".join(f"{line}\r\n" for line in lines)


def other(setup: Setup) -> Setup:
    """The role that goes with the peer's."""
    return _OTHER[setup]


def parse(text: str) -> Offer:
    """Read an offer.

    Raises:
        Malformed: It asks for nothing that can be sent, or a number in it is none.
    """
    if len(text) > MOST_BYTES:
        raise Malformed(f"more than {MOST_BYTES} characters")
    lines = [(line[0], line[2:].strip()) for line in text.splitlines() if line[1:2] == "="]
    own, media = _parted(lines)
    first = _first(own)
    kind = _KINDS.get(first.get("s", "").lower())
    if kind is None:
        raise Malformed("s= is none of Play, Playback, Download, Talk")
    from_s, to_s = _times(first.get("t", "0 0"))
    if kind in {"Playback", "Download"} and not 0 < from_s < to_s:
        raise Malformed("t= of a recording is no span")
    device, source_type = _source(first)
    port, transport, types, what = _media(media)
    # A line below m= holds for it alone, and there is one only; y= and f= stand anywhere.
    attributes = _attributes([*own, *media])
    below = _first(media)
    host = _host(below.get("c") or first.get("c") or "")
    return Offer(
        session=kind, device=device, source_type=source_type, from_s=from_s, to_s=to_s,
        host=host, port=port, transport=transport, setup=_setup(attributes), kind=what,
        payload_types=types, maps=_maps([*own, *media]),
        direction=next((a for a in ("sendrecv", "sendonly", "recvonly") if a in attributes), ""),
        ssrc=_ssrc(below.get("y") or first.get("y")),
        speed=max(1, _whole(attributes.get("downloadspeed"), 1)),
        stream_number=_whole(attributes.get("streamnumber"), 0),
        format=below.get("f") or first.get("f") or "",
    )  # fmt: skip


Lines = list[tuple[str, str]]


def _parted(lines: Lines) -> tuple[Lines, Lines]:
    """The lines of the whole, and those of its first medium from ``m=`` on."""
    at = [n for n, (letter, _) in enumerate(lines) if letter == "m"]
    if not at:
        raise Malformed("there is no m= line")
    return lines[: at[0]], lines[at[0] : at[1] if len(at) > 1 else None]


def _first(lines: Lines) -> dict[str, str]:
    return dict(reversed(lines))


def _attributes(lines: Lines) -> dict[str, str]:
    pairs = (value.partition(":") for letter, value in lines if letter == "a")
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text and _NUMBER.fullmatch(text) else otherwise


def _times(text: str) -> tuple[int, int]:
    words = text.split()
    if len(words) != 2 or not all(_NUMBER.fullmatch(word) for word in words):
        raise Malformed("t= is not two numbers")
    # The standard counts from 1970; who counts from 1900 as RFC 4566 does is understood.
    from_s, to_s = (int(w) - _NTP_EPOCH_S if int(w) > 1 << 31 else int(w) for w in words)
    return from_s, to_s


def _source(first: dict[str, str]) -> tuple[str, int]:
    device, _, number = first.get("u", "").partition(":")
    if not _DEVICE.fullmatch(device):
        device = (first.get("o", "").split() or [""])[0]
        number = ""
    return device if _DEVICE.fullmatch(device) else "", _whole(number, 0)


def _media(
    lines: Lines,
) -> tuple[int, Transport, tuple[int, ...], Literal["video", "audio"]]:
    words = lines[0][1].split()
    if len(words) < 4 or not _NUMBER.fullmatch(words[1]):
        raise Malformed("m= is cut off")
    what, port, profile = words[0].lower(), int(words[1]), words[2].upper()
    if what not in {"video", "audio"}:
        raise Malformed("m= is neither video nor audio")
    if port > 65_535:
        raise Malformed("m= has no port")
    if profile not in {"RTP/AVP", "UDP/RTP/AVP", "TCP/RTP/AVP"}:
        raise Malformed("m= is neither RTP/AVP nor TCP/RTP/AVP")
    types = tuple(int(word) for word in words[3:] if _NUMBER.fullmatch(word) and int(word) < 128)
    if not types:
        raise Malformed("m= has no payload type")
    transport: Transport = "tcp" if profile.startswith("TCP") else "udp"
    return port, transport, types, "audio" if what == "audio" else "video"


def _host(line: str) -> str:
    words = line.split()
    if len(words) != 3 or words[0].upper() != "IN":
        raise Malformed("there is no c= line")
    host = words[2].partition("/")[0]
    if not _HOST.fullmatch(host):
        raise Malformed("c= has no address")
    return host


def _setup(attributes: dict[str, str]) -> Setup:
    return "active" if attributes.get("setup", "").lower() == "active" else "passive"


def _maps(lines: Lines) -> tuple[tuple[int, str], ...]:
    found: list[tuple[int, str]] = []
    for letter, value in lines:
        name, _, rest = value.partition(":")
        number, _, encoding = rest.strip().partition(" ")
        if letter == "a" and name == "rtpmap" and _NUMBER.fullmatch(number) and int(number) < 128:
            found.append((int(number), encoding.strip().upper()))
    return tuple(found)


def _ssrc(text: str | None) -> int | None:
    if not text or not _NUMBER.fullmatch(text):
        return None
    return int(text) if int(text) <= _MOST_SSRC else None
