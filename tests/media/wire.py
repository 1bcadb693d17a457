"""A camera's end of the wire: packets of H.264, H.265, AAC and G.711, interleaved."""

import struct
from collections.abc import Iterable

from tests.media.clip import Clip

ROOM = 1400


def rtp(pt: int, seq: int, ts: int, marker: bool, payload: bytes, ssrc: int = 7) -> bytes:
    head = (0x80, pt | marker << 7, seq & 0xFFFF, ts & 0xFFFFFFFF, ssrc)
    return struct.pack(">BBHII", *head) + payload


def report(ntp: int, ts: int, ssrc: int = 7) -> bytes:
    return struct.pack(">BBHIQIII", 0x80, 200, 6, ssrc, ntp, ts, 0, 0)


def frame(channel: int, packet: bytes) -> bytes:
    return struct.pack(">cBH", b"$", channel, len(packet)) + packet


def split_nal(codec: str, nal: bytes, room: int = ROOM) -> list[bytes]:
    """A NAL unit as single packet or FU."""
    if len(nal) <= room:
        return [nal]
    if codec == "h264":
        indicator = bytes((nal[0] & 0xE0 | 28,))
        kind, body = nal[0] & 31, nal[1:]
    else:
        indicator = bytes((nal[0] & 0x81 | 49 << 1, nal[1]))
        kind, body = nal[0] >> 1 & 63, nal[2:]
    room = min(room, (len(body) + 1) // 2)  # one that just does not fit is still cut in two
    pieces = [body[at : at + room] for at in range(0, len(body), room)]
    flags = [0x80] + [0] * (len(pieces) - 2) + [0x40]
    return [
        indicator + bytes((flag | kind,)) + piece for flag, piece in zip(flags, pieces, strict=True)
    ]


def aggregate(codec: str, nals: Iterable[bytes]) -> bytes:
    head = bytes((0x78,)) if codec == "h264" else bytes((48 << 1, 1))
    return head + b"".join(len(n).to_bytes(2, "big") + n for n in nals)


def jpeg_parts(data: bytes) -> tuple[bytes, int, int, bytes]:
    """Of a JPEG: its quantisation tables, restart interval, type in RFC 2435, and scan."""
    at, tables, interval, kind = 2, b"", 0, 1
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        match data[at + 1]:
            case 0xDB:
                tables += b"".join(body[n + 1 : n + 65] for n in range(0, len(body), 65))
            case 0xDD:
                interval = int.from_bytes(body, "big")
            case 0xC0:
                kind = 1 if body[7] == 0x22 else 0
        at += 2 + size
    return tables, interval, kind, data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def jpeg_payloads(
    data: bytes, room: int = ROOM, q: int = 255, tables: bytes | None = None
) -> list[bytes]:
    """A JPEG as RFC 2435 sends it; `tables` are told in band, its own if they are None."""
    own, interval, kind, scan = jpeg_parts(data)
    told = own if tables is None else tables
    found = data.index(b"\xff\xc0")
    height, width = struct.unpack_from(">HH", data, found + 5)
    sizes = bytes((width // 8, height // 8)) if max(width, height) <= 2040 else b"\0\0"
    restart = struct.pack(">HH", interval, 0xFFFF) if interval else b""
    out = []
    for at in range(0, len(scan), room):
        head = struct.pack(">IBB", at, kind + 64 * bool(interval), q) + sizes + restart
        if q > 127 and not at:
            head += struct.pack(">BBH", 0, 0, len(told)) + told
        out.append(head + scan[at : at + room])
    return out


def payloads(clip: Clip, nals: tuple[bytes, ...], together: bool, room: int) -> list[bytes]:
    codec = clip.track.codec
    if codec == "jpeg":
        return jpeg_payloads(nals[0], room)
    if codec == "aac":
        (unit,) = nals
        pieces = [unit[at : at + room] for at in range(0, len(unit), room)]
        return [struct.pack(">HH", 16, len(unit) << 3) + piece for piece in pieces]
    if codec in {"pcma", "pcmu", "g726", "l16", "opus"}:
        return list(nals)
    small = [nal for nal in nals if len(nal) < 400]
    if together and len(small) > 1 and small == list(nals[: len(small)]):
        rest = [p for nal in nals[len(small) :] for p in split_nal(codec, nal, room)]
        return [aggregate(codec, small), *rest]
    return [p for nal in nals for p in split_nal(codec, nal, room)]


def packets(
    clip: Clip,
    ts: int = 0,
    seq: int = 65_500,
    together: bool = False,
    marker: bool = True,
    room: int = ROOM,
) -> list[tuple[int, bytes]]:
    """(pts, packet) of the whole clip, in decode order."""
    out = []
    for unit in clip.units:
        parts = payloads(clip, unit.nals, together, room)
        for number, payload in enumerate(parts, 1):
            last = marker and number == len(parts)
            out.append((unit.pts, rtp(clip.track.payload_type, seq, ts + unit.pts, last, payload)))
            seq += 1
    return out


def extended(packet: bytes, words: bytes, kind: int = 0xFFD8) -> bytes:
    """A packet with a header extension, filled up to whole words as ONVIF has it."""
    words += b"\xff" * (-len(words) % 4)
    head = struct.pack(">HH", kind, len(words) // 4)
    return bytes((packet[0] | 0x10,)) + packet[1:12] + head + words + packet[12:]
