"""ONVIF Media Signing: what a camera's signature SEI says, and what of each NAL unit it covers.

The SEI is user data unregistered: ``UUID(16) | flags(1) | (tag(1) length(2) value)*``. Flag 0x80:
it only carries certificates; 0x40: it was hashed with emulation prevention bytes in it. What comes
before the signature's tag is what is signed, from the NAL header on; nothing after that is read.
Values begin with a version:

| tag | value after the version |
|---|---|
| 1 general | software(3), partial(1), start(8), end(8, not in 1), counter(4), count(2), hash, link
| 2 hashes | of each NAL unit of the group |
| 3 signature | size(2), signature, filling |
| 4 crypto | size(1), OID of the hash, size(1), OID of the signature, RSA size(2) |
| 6 certificates | provisioned by the user(1), PEM, the camera's first, without the root |

A group (or part of one) is hashed as the hash over the hashes of its slices and of SEIs without a
signature of their own. The first slice of a group is hashed as it is, each other one as
``H(hash of the first | H(slice))``. The link is the hash of the first NAL unit of the group before.
Sound, parameter sets and other SEIs are not covered.

Source: ONVIF Media Signing Specification 25.12; behaviour of ONVIF's reference implementation.
"""

import struct
from dataclasses import dataclass

UUID = bytes.fromhex("005bc93f2d715e95ada4796f90877a6f")
_GENERAL, _HASHES, _SIGNATURE, _CRYPTO, _CERTIFICATES = 1, 2, 3, 4, 6
_ONLY_CERTIFICATES, _WITH_ESCAPES = 0x80, 0x40
_USER_DATA = 5
_STOP = 0x80
_OIDS = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
_HEAD = {"h264": 1, "h265": 2}
HASHED, FIRST, BARE = 1, 2, 3
"""A slice that is hashed, the first one of a group, and one that the standard leaves out."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a camera says of a group of pictures.

    Attributes:
        partial: The group goes on: it was signed before its end.
        from_100ns: Camera's time of its beginning, since 1601.
        to_100ns: Likewise of its end.
        counter: Number of the group, modulo 2^32.
        nals: How many NAL units are in it.
        group_hash: Hash over their hashes.
        link: Hash of the first NAL unit of the group before; zeros if there was none.
    """

    partial: bool
    from_100ns: int
    to_100ns: int
    counter: int
    nals: int
    group_hash: bytes
    link: bytes


@dataclass(frozen=True, slots=True)
class Sei:
    """One SEI of media signing.

    Attributes:
        message: The bytes that are hashed, for its signature or as part of the next group.
        claim: What it is about; None if it only carries certificates, or cannot be read.
        hashes: Of each NAL unit of the group, one after the other; empty at low bit rates.
        signature: Of `message`; empty: a later one covers it.
        algorithm: ``sha256``, ``sha384`` or ``sha512``; empty if it does not say, ``unknown``.
        certificates: PEM, the camera's first; empty if they come in another SEI.
    """

    message: bytes
    claim: Claim | None
    hashes: bytes
    signature: bytes
    algorithm: str
    certificates: bytes


def kind(codec: str, nal: bytes) -> int:
    """Return `HASHED`, `FIRST`, `BARE`, or 0 for what is no slice.

    Args:
        codec: ``h264`` or ``h265``.
        nal: One NAL unit.
    """
    head = _HEAD[codec]
    if len(nal) <= head:
        return 0
    if codec == "h264":
        number = nal[0] & 31
        key, plain, slices = number == 5, number == 1, number in {1, 2, 3, 4, 5, 20, 21}
    else:
        number = nal[0] >> 1 & 63
        key, plain, slices = 16 <= number <= 21, number <= 1, number < 32
    if key and nal[head] & 0x80:
        return FIRST
    return HASHED if key or plain else BARE if slices else 0


def hashed(nal: bytes) -> bytes:
    """Return what of a slice is hashed: not the zeros that some writers put behind it."""
    return nal.rstrip(b"\0")


def read(codec: str, nal: bytes) -> Sei | None:
    """Read a NAL unit, None if it is no SEI of media signing.

    Damage never raises: what cannot be read is missing in what is returned.
    """
    head = _HEAD[codec]
    number = nal[:1] and (nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63)
    if number not in ({6} if codec == "h264" else {39, 40}) or nal[head : head + 1] != b"\5":
        return None
    at, size = head + 1, 0
    while nal[at : at + 1] == b"\xff":
        at, size = at + 1, size + 255
    if nal[at + 1 : at + 17] != UUID:
        return None
    size, at = size + nal[at], at + 1
    nal = hashed(nal)
    return _read(nal, at, size)


def _read(nal: bytes, at: int, size: int) -> Sei:
    """Read the SEI whose payload of `size` bytes, emulation prevention not counted, is at `at`."""
    escapes: list[int] = []
    plain = nal
    if len(nal) - at - size - (nal[-1] == _STOP) > 0:
        plain, escapes = _unescaped(nal)
    flags = plain[at + 16] if len(plain) > at + 16 else 0
    values, end = _values(plain[: at + size], at + 17)
    message = plain[: at + size + 1]
    if not escapes or flags & _WITH_ESCAPES:
        message = nal
    signature = values.get(_SIGNATURE, b"")
    if _SIGNATURE in values:
        before = sum(place - n < end for n, place in enumerate(escapes))
        message = nal[: end + before] if message is nal else plain[:end]
        (length,) = struct.unpack(">H", signature[1:3].rjust(2, b"\0"))
        signature = signature[3 : 3 + length]
    only = flags & _ONLY_CERTIFICATES
    return Sei(
        message,
        None if only else _claim(values.get(_GENERAL, b"")),
        values.get(_HASHES, b"")[1:],
        signature,
        _algorithm(values.get(_CRYPTO, b"")),
        values.get(_CERTIFICATES, b"")[2:],
    )


def _unescaped(nal: bytes) -> tuple[bytes, list[int]]:
    """Take out emulation prevention bytes; returns where they were, too."""
    pieces, places, last = [], [], 0
    at = nal.find(b"\0\0\3")
    while at >= 0:
        pieces.append(nal[last : at + 2])
        places.append(at + 2)
        last = at + 3
        at = nal.find(b"\0\0\3", last)
    return b"".join((*pieces, nal[last:])), places


def _values(payload: bytes, at: int) -> tuple[dict[int, bytes], int]:
    """Return each tag's value, up to the signature, and where that one's tag is."""
    found: dict[int, bytes] = {}
    while at + 3 <= len(payload):
        tag, length = struct.unpack_from(">BH", payload, at)
        value = payload[at + 3 : at + 3 + length]
        if len(value) < length:
            break
        found[tag] = value
        if tag == _SIGNATURE:
            return found, at
        at += 3 + length
    return found, at


def _claim(value: bytes) -> Claim | None:
    version = value[0] if value else 0
    body = struct.Struct(">3sBqqIH" if version == 2 else ">3sBqIH")
    size = (len(value) - 1 - body.size) // 2
    if version not in {1, 2} or size not in {32, 48, 64} or (len(value) - 1 - body.size) % 2:
        return None
    _, partial, start, *end, counter, count = body.unpack_from(value, 1)
    at = 1 + body.size
    return Claim(
        bool(partial), start, end[0] if end else start, counter, count,
        value[at : at + size], value[at + size :],
    )  # fmt: skip


def _algorithm(value: bytes) -> str:
    if len(value) < 2:
        return ""
    oid = value[2 : 2 + value[1]]
    return _OIDS.get(oid.removeprefix(b"\x06" + bytes((len(oid) - 2 & 255,))), "unknown")
