"""Session descriptions: reading what cameras send, writing what players expect.

Reading is forgiving: cameras forget ``rtpmap``, pad Base64 wrongly, leave spaces and trailing
semicolons. Anything not understood is left out, never guessed.

Source: RFC 4566 (SDP), RFC 6184 (H.264), RFC 7798 (H.265), RFC 3640 (AAC), RFC 6416 (AAC as LATM),
RFC 7587 (Opus), RFC 3551 (G.711, G.726, L16, static payload types), RFC 2435 (JPEG); for its size
``x-dimensions`` (GStreamer) and ``framesize`` (3GPP TS 26.234).
"""

import base64
import binascii
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from nvr._native import latm_config
from nvr.wire import aac

SDP_BYTES: Final = 32 * 1024
MEDIA: Final = 16

_ANYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - text in an SDP
_STATIC: Final = {
    0: ("PCMU", 8000, 1),
    2: ("G726-32", 8000, 1),  # RFC 1890's G721, which is the same
    8: ("PCMA", 8000, 1),
    10: ("L16", 44_100, 2),
    11: ("L16", 44_100, 1),
    26: ("JPEG", 90_000, 1),
}
_CODECS: Final = {
    "H264": "h264",
    "H265": "h265",
    "HEVC": "h265",
    "JPEG": "jpeg",
    "MPEG4-GENERIC": "aac",
    "MP4A-LATM": "aac",
    "PCMA": "pcma",
    "PCMU": "pcmu",
    "OPUS": "opus",
    "L16": "l16",
}
_G726: Final = re.compile(r"(AAL2-)?G726-(16|24|32|40)")


@dataclass(frozen=True, slots=True)
class AuHeader:
    """How RFC 3640 lays out the header of each access unit; its defaults are AAC-hbr's.

    Attributes:
        size_bits: ``sizelength``.
        index_bits: ``indexlength``.
        delta_bits: ``indexdeltalength``.
        cts_bits: ``ctsdeltalength``.
        dts_bits: ``dtsdeltalength``.
        random: ``randomaccessindication``: a bit more.
        state_bits: ``streamstateindication``.
        auxiliary_bits: ``auxiliarydatasizelength``, of a section behind the headers.
        constant_bytes: ``constantsize`` of each access unit, where there is no size.
    """

    size_bits: int = 13
    index_bits: int = 3
    delta_bits: int = 3
    cts_bits: int = 0
    dts_bits: int = 0
    random: bool = False
    state_bits: int = 0
    auxiliary_bits: int = 0
    constant_bytes: int = 0

    @property
    def usable(self) -> bool:
        """Whether the numbers are ones that a packet can have."""
        wide = max(self.index_bits, self.delta_bits, self.cts_bits, self.dts_bits, self.state_bits)
        fits = wide <= 32 and self.constant_bytes < 1 << 16
        return self.size_bits <= 16 and self.auxiliary_bits <= 16 and fits


HBR: Final = AuHeader()


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
        parameter_sets: NAL units from ``sprop-*``: VPS, SPS, PPS, in this order; of JPEG its size,
            if it is said: width(16), height(16).
        config: AudioSpecificConfig from ``config=``; of G.726 a byte: bits a sample.
        mux: StreamMuxConfig of LATM from ``config=``, empty if it is in band.
        au: Headers of AAC's access units.
        interleaved: AAC's access units may come in another order than they are used in.
        don: H.265 packets hold decoding order numbers.
        port: Of the ``m=`` line, 0 if the server leaves it to SETUP.
        address: Of the ``c=`` line that is for it, with a group's ``/ttl``; empty if absent.
        ours: ``a=sendonly``: it is for us to send, an ONVIF back channel.
    """

    kind: str
    payload_type: int
    encoding: str
    clock_hz: int
    channels: int = 0
    control: str = ""
    parameter_sets: tuple[bytes, ...] = ()
    config: bytes = b""
    mux: bytes = b""
    au: AuHeader = HBR
    interleaved: bool = False
    don: bool = False
    port: int = 0
    address: str = ""
    ours: bool = False

    @property
    def low_first(self) -> bool:
        """The first sample of G.726 has a byte's low bits (RFC 3551), not its high ones (AAL2)."""
        return self.encoding.startswith("G726")

    @property
    def latm(self) -> bool:
        """AAC as LATM."""
        return self.encoding == "MP4A-LATM"

    @property
    def codec(self) -> str:
        """Our short name of the codec, empty for one we cannot carry."""
        if _G726.fullmatch(self.encoding):
            return "g726" if self.channels == 1 else ""
        codec = _CODECS.get(self.encoding, "")
        if codec == "aac" and not (self.config and self.au.usable and not self.interleaved):
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


def _size(text: str) -> tuple[bytes, ...]:
    found = re.fullmatch(r"\s*([0-9]{1,5})\s*[,x-]\s*([0-9]{1,5})\s*", text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    fits = 0 < width < 1 << 16 and 0 < height < 1 << 16
    return (struct.pack(">HH", width, height),) if fits else ()


def _hex(text: str) -> bytes:
    well_formed = len(text) % 2 == 0 and re.fullmatch(r"[0-9a-fA-F]{4,128}", text)
    return bytes.fromhex(text) if well_formed else b""


def _au_header(fmtp: dict[str, str]) -> AuHeader:
    def of(name: str, default: int = 0) -> int:
        return _number(fmtp.get(name, ""), default)

    # Some cameras say AAC-hbr and nothing else; one that gives any length gives all it has.
    told = any(name in fmtp for name in ("sizelength", "indexlength", "constantsize"))
    return AuHeader(
        of("sizelength", 0 if told else 13),
        of("indexlength", 0 if told else 3),
        of("indexdeltalength", of("indexlength", 0 if told else 3)),
        of("ctsdeltalength"),
        of("dtsdeltalength"),
        fmtp.get("randomaccessindication") == "1",
        of("streamstateindication"),
        of("auxiliarydatasizelength"),
        of("constantsize"),
    )


def _sound(
    encoding: str, clock_hz: int, channels: int, fmtp: dict[str, str]
) -> tuple[bytes, bytes]:
    """`Media.config` and `Media.mux` of an encoding."""
    if encoding == "MPEG4-GENERIC":
        return _hex(fmtp.get("config", "")), b""
    if found := _G726.fullmatch(encoding):
        return bytes((int(found[2]) // 8,)), b""
    if encoding != "MP4A-LATM":
        return b"", b""
    if fmtp.get("cpresent") != "0":  # in band, and likely until it was read there
        return aac.plain_config(clock_hz, channels) or aac.plain_config(48_000, channels), b""
    mux = _hex(fmtp.get("config", ""))
    try:
        return latm_config(mux), mux
    except ValueError:
        return b"", b""  # nobody can know what the packets are


def _media(kind: str, payload_type: int, lines: list[tuple[str, str]]) -> Media:
    encoding, clock_hz, channels = _STATIC.get(payload_type, ("", 90_000, 1))
    control, size, fmtp = "", "", dict[str, str]()
    for name, value in lines:
        about, _, rest = value.partition(" ")
        if name == "control":
            control = control or value.strip()
        elif name == "x-dimensions":
            size = size or value
        elif name == "framesize" and about == str(payload_type):
            size = size or rest
        elif about == str(payload_type) and name == "rtpmap":
            parts = rest.strip().split("/")
            encoding = parts[0].strip().upper()
            clock_hz = _number(parts[1].strip(), clock_hz) if len(parts) > 1 else clock_hz
            channels = _number(parts[2].strip(), 1) if len(parts) > 2 else 1
        elif about == str(payload_type) and name == "fmtp":
            fmtp = _fmtp(rest)
    if encoding == "OPUS":  # its rtpmap says two channels whatever it has
        channels = 2 if fmtp.get("sprop-stereo") == "1" else 1
    clock_hz = max(1, min(clock_hz, 1_000_000))
    channels = max(1, min(channels, 16)) if kind == "audio" else 0
    config, mux = _sound(encoding, clock_hz, channels, fmtp)
    sets = _sets(fmtp) if kind == "video" else ()
    if encoding == "JPEG":
        sets = _size(size or fmtp.get("x-dimensions", ""))
    return Media(
        kind,
        payload_type,
        encoding,
        clock_hz,
        channels,
        control,
        sets,
        config,
        mux,
        _au_header(fmtp) if encoding == "MPEG4-GENERIC" else HBR,
        _number(fmtp.get("maxdisplacement", ""), 0) > 0,
        _number(fmtp.get("sprop-max-don-diff", ""), 0) > 0,
        ours=("sendonly", "") in lines,
    )


def _port(words: Sequence[str]) -> int:
    """The port of an ``m=`` line, which may say how many follow; 0 if it is none."""
    port = _number(words[0].partition("/")[0], 0) if words else 0
    return port if port < 65535 else 0


def parse(body: bytes) -> Description:
    """Read a session description; sections we do not understand have an empty `Media.codec`.

    Raises:
        ValueError: It is longer than `SDP_BYTES` or holds no media at all.
    """
    if len(body) > SDP_BYTES:
        raise ValueError(f"a description over {SDP_BYTES} bytes")
    sections: list[tuple[str, int, list[tuple[str, str]]]] = []
    places: list[tuple[int, str]] = []
    control = name = address = ""
    for line in body.decode("utf-8", "replace").splitlines():
        key, value = line[:2].strip(), line[2:].strip()
        if key == "m=" and len(sections) < MEDIA:
            kind, *words = value.split()[:4] or [""]
            payload_type = _number(words[2], -1) if len(words) == 3 else -1
            sections.append((kind.lower(), payload_type, []))
            places.append((_port(words), address))
        elif key == "s=":
            name = value
        elif key == "c=":
            where = value.split(" ")[-1]
            where = "" if where in _ANYWHERE else where
            address = address if places else where
            places[-1:] = [(port, where) for port, _ in places[-1:]]
        elif key == "a=" and sections:
            attribute, _, text = value.partition(":")
            sections[-1][2].append((attribute.strip().lower(), text.strip()))
        elif value.startswith("control:") and key == "a=":
            control = value.partition(":")[2].strip()
    media = tuple(
        replace(_media(*section), port=port, address=where)
        for section, (port, where) in zip(sections, places, strict=True)
        if 0 <= section[1] <= 127
    )
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
            don = ["sprop-max-don-diff=1"] if media.don else []
            return ";".join([*(f"{key}={','.join(texts)}" for key, texts in found.items()), *don])
        case "aac" if media.latm:
            config = f";config={media.mux.hex()}" if media.mux else ""
            return f"profile-level-id=30;object=2;cpresent={int(not media.mux)}{config}"
        case "aac":
            return _aac_format(media)
        case "opus" if media.channels == 2:
            return "sprop-stereo=1"
    return ""


def _aac_format(media: Media) -> str:
    au = media.au
    lengths = {
        "sizelength": au.size_bits,
        "indexlength": au.index_bits,
        "indexdeltalength": au.delta_bits,
        "ctsdeltalength": au.cts_bits,
        "dtsdeltalength": au.dts_bits,
        "randomaccessindication": int(au.random),
        "streamstateindication": au.state_bits,
        "auxiliarydatasizelength": au.auxiliary_bits,
        "constantsize": au.constant_bytes,
    }
    told = "".join(f"{name}={value};" for name, value in lengths.items() if value)
    mode = {13: "AAC-hbr", 6: "AAC-lbr"}.get(au.size_bits, "generic")
    return f"profile-level-id=1;mode={mode};{told}config={media.config.hex()}"


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
        channels = ""
        if section.encoding in {"MPEG4-GENERIC", "MP4A-LATM", "L16"}:
            channels = f"/{section.channels}"
        elif section.encoding == "OPUS":
            channels = "/2"
        lines += [
            f"m={section.kind} 0 RTP/AVP {section.payload_type}",
            f"a=rtpmap:{section.payload_type} {section.encoding}/{section.clock_hz}{channels}",
        ]
        if section.codec == "jpeg" and section.parameter_sets:
            width, height = struct.unpack(">HH", section.parameter_sets[0])
            lines.append(f"a=x-dimensions:{width},{height}")
        if parameters := _format(section):
            lines.append(f"a=fmtp:{section.payload_type} {parameters}")
        lines.append(f"a=control:{section.control}")
    return ("\r\n".join(lines) + "\r\n").encode()
