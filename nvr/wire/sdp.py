"""Session descriptions: reading what cameras send, writing what players expect.

Reading is forgiving: cameras forget ``rtpmap``, pad Base64 wrongly, leave spaces and trailing
semicolons. Anything not understood is left out, never guessed.

Source: RFC 4566 (SDP), RFC 6184 (H.264), RFC 7798 (H.265), RFC 3640 (AAC), RFC 3551 (static
payload types).
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SDP_BYTES: Final = 32 * 1024
MEDIA: Final = 16

_STATIC: Final = {0: ("PCMU", 8000, 1), 8: ("PCMA", 8000, 1)}
_CODECS: Final = {
    "H264": "h264",
    "H265": "h265",
    "HEVC": "h265",
    "MPEG4-GENERIC": "aac",
    "PCMA": "pcma",
    "PCMU": "pcmu",
}


@dataclass(frozen=True, slots=True)
class Media:
    """One ``m=`` section.

    Attributes:
        kind: ``video``, ``audio``, ``application``, ...
        payload_type: Its first payload type, 0-127.
        encoding: Name from ``rtpmap`` in upper case, empty if unknown.
        clock_hz: RTP clock.
        channels: Audio channels, 0 for the rest.
        control: Value of ``a=control``, may be relative, empty if absent.
        parameter_sets: NAL units from ``sprop-*``: VPS, SPS, PPS, in this order.
        aac_config: AudioSpecificConfig from ``config=``.
        aac_size_bits: ``sizelength``.
        aac_index_bits: ``indexlength``.
    """

    kind: str
    payload_type: int
    encoding: str
    clock_hz: int
    channels: int = 0
    control: str = ""
    parameter_sets: tuple[bytes, ...] = ()
    aac_config: bytes = b""
    aac_size_bits: int = 13
    aac_index_bits: int = 3

    @property
    def codec(self) -> str:
        """Our short name of the codec, empty for one we cannot carry."""
        codec = _CODECS.get(self.encoding, "")
        if codec == "aac" and not (self.aac_config and 0 < self.aac_size_bits <= 16):
            return ""
        return codec


@dataclass(frozen=True, slots=True)
class Description:
    """A session description.

    Attributes:
        media: Its media sections, in order.
        control: Session-level ``a=control``, empty if absent.
        name: ``s=``.
    """

    media: tuple[Media, ...]
    control: str = ""
    name: str = ""


def _base64(text: str) -> bytes:
    clean = re.sub(r"[^A-Za-z0-9+/]", "", text)
    try:
        return base64.b64decode(clean + "=" * (-len(clean) % 4))
    except binascii.Error:
        return b""


def _number(text: str, default: int) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else default


def _fmtp(text: str) -> dict[str, str]:
    found = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found[name.strip().lower()] = value.strip().strip('"')
    return found


def _sets(fmtp: dict[str, str]) -> tuple[bytes, ...]:
    names = ("sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets")
    units = [_base64(unit) for name in names for unit in fmtp.get(name, "").split(",")]
    # Some cameras leave the Annex B start code on.
    units = [re.sub(rb"\A\x00{2,3}\x01", b"", unit) for unit in units]
    return tuple(unit for unit in units if unit)


def _media(kind: str, payload_type: int, lines: list[tuple[str, str]]) -> Media:
    encoding, clock_hz, channels = _STATIC.get(payload_type, ("", 90_000, 1))
    control, fmtp = "", {}
    for name, value in lines:
        about, _, rest = value.partition(" ")
        if name == "control":
            control = control or value.strip()
        elif about == str(payload_type) and name == "rtpmap":
            parts = rest.strip().split("/")
            encoding = parts[0].strip().upper()
            clock_hz = _number(parts[1].strip(), clock_hz) if len(parts) > 1 else clock_hz
            channels = _number(parts[2].strip(), 1) if len(parts) > 2 else 1
        elif about == str(payload_type) and name == "fmtp":
            fmtp = _fmtp(rest)
    config = fmtp.get("config", "")
    well_formed = len(config) % 2 == 0 and re.fullmatch(r"[0-9a-fA-F]{4,128}", config)
    return Media(
        kind,
        payload_type,
        encoding,
        max(1, min(clock_hz, 1_000_000)),
        max(1, min(channels, 16)) if kind == "audio" else 0,
        control,
        _sets(fmtp) if kind == "video" else (),
        bytes.fromhex(config) if well_formed and encoding == "MPEG4-GENERIC" else b"",
        _number(fmtp.get("sizelength", ""), 13),
        _number(fmtp.get("indexlength", ""), 3),
    )


def parse(body: bytes) -> Description:
    """Read a session description; sections we do not understand have an empty `Media.codec`.

    Raises:
        ValueError: It is longer than `SDP_BYTES` or holds no media at all.
    """
    if len(body) > SDP_BYTES:
        raise ValueError(f"a description over {SDP_BYTES} bytes")
    sections: list[tuple[str, int, list[tuple[str, str]]]] = []
    control = name = ""
    for line in body.decode("utf-8", "replace").splitlines():
        key, value = line[:2].strip(), line[2:].strip()
        if key == "m=" and len(sections) < MEDIA:
            kind, *words = value.split()[:4] or [""]
            payload_type = _number(words[2], -1) if len(words) == 3 else -1
            sections.append((kind.lower(), payload_type, []))
        elif key == "s=":
            name = value
        elif key == "a=":
            attribute, _, text = value.partition(":")
            if sections:
                sections[-1][2].append((attribute.strip().lower(), text.strip()))
            elif attribute == "control":
                control = text.strip()
    media = tuple(_media(*section) for section in sections if 0 <= section[1] <= 127)
    if not media:
        raise ValueError("a description without media")
    return Description(media, control, name)


def _format(media: Media) -> str:
    """The ``fmtp`` parameters of our own description, empty if the codec needs none."""
    sets = [base64.b64encode(unit).decode() for unit in media.parameter_sets]
    match media.codec:
        case "h264":
            first = next((unit for unit in media.parameter_sets if unit[0] & 31 == 7), b"")
            level = f"profile-level-id={first[1:4].hex().upper()};" if len(first) > 3 else ""
            sprop = f"sprop-parameter-sets={','.join(sets)}" if sets else ""
            return f"packetization-mode=1;{level}{sprop}".rstrip(";")
        case "h265":
            named = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
            found: dict[str, list[str]] = {}
            for unit, text in zip(media.parameter_sets, sets, strict=True):
                if key := named.get(unit[0] >> 1 & 63):
                    found.setdefault(key, []).append(text)
            return ";".join(f"{key}={','.join(texts)}" for key, texts in found.items())
        case "aac":
            return (
                "profile-level-id=1;mode=AAC-hbr;"
                f"sizelength={media.aac_size_bits};indexlength={media.aac_index_bits};"
                f"indexdeltalength={media.aac_index_bits};config={media.aac_config.hex()}"
            )
    return ""


def build(name: str, media: Sequence[Media], *, session: int, address: str = "0.0.0.0") -> bytes:  # noqa: S104 - text in an SDP
    """Write the description of a live stream.

    Args:
        name: Session name; line breaks are taken out.
        media: Sections; `Media.control` is written as it is.
        session: Number that identifies the session and its version.
        address: Our own address as the reader knows it.
    """
    family = "IP6" if ":" in address else "IP4"
    lines = [
        "v=0",
        f"o=- {session} {session} IN {family} {address}",
        f"s={' '.join(name.split()) or '-'}",
        f"c=IN {family} {'::' if family == 'IP6' else '0.0.0.0'}",  # noqa: S104 - text in an SDP
        "t=0 0",
        "a=range:npt=now-",
        "a=control:*",
    ]
    for section in media:
        channels = f"/{section.channels}" if section.encoding == "MPEG4-GENERIC" else ""
        lines += [
            f"m={section.kind} 0 RTP/AVP {section.payload_type}",
            f"a=rtpmap:{section.payload_type} {section.encoding}/{section.clock_hz}{channels}",
        ]
        if parameters := _format(section):
            lines.append(f"a=fmtp:{section.payload_type} {parameters}")
        lines.append(f"a=control:{section.control}")
    return ("\r\n".join(lines) + "\r\n").encode()
