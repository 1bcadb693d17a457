"""Ed25519 and CRC-32C in plain Python, and what the box signs: the verifier must need nothing.

Only checking is here, and nothing in it is secret, so nothing need take constant time.

Source: RFC 8032, 5.1.7 (Ed25519); RFC 3720, B.4 (CRC-32C); ``FORMAT.md`` and ``EVIDENCE.md``.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Tuple  # noqa: UP035 - Python 3.8 makes the alias below

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_I = pow(2, (_P - 1) // 4, _P)
_Point = Tuple[int, int, int, int]  # noqa: UP006 - as above


def _add(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(n: int, p: _Point) -> _Point:
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = _add(total, p)
        p, n = _add(p, p), n >> 1
    return total


def _point(data: bytes) -> _Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    xx = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(xx, (_P + 3) // 8, _P)
    if (x * x - xx) % _P:
        x = x * _I % _P
    if (x * x - xx) % _P or (not x and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


_BASE = _point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` of `message` is by the owner of the key `public`."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or _BASE is None or s >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    p = _times(s, _BASE)
    q = _add(r, _times(int.from_bytes(digest, "little") % _L, a))
    return (p[0] * q[2] - q[0] * p[2]) % _P == 0 and (p[1] * q[2] - q[1] * p[2]) % _P == 0


def fingerprint(public: bytes) -> str:
    """Return how a key is shown to people: 16 hexadecimal digits in groups of four."""
    text = hashlib.sha256(public).hexdigest()[:16]
    return " ".join(text[n : n + 4] for n in range(0, 16, 4))


def head_message(ring: bytes, stream: str, sequence: int, link: bytes) -> bytes:
    """Return what the box signs of a chain head."""
    name = stream.encode().ljust(64, b"\0")
    return b"nvr chain head 1\0" + ring + name + struct.pack(">Q", sequence) + link


def manifest_message(manifest: bytes) -> bytes:
    """Return what the box signs of a manifest."""
    return b"nvr manifest 1\0" + hashlib.sha256(manifest).digest()


def _crc_table() -> list[int]:
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)  # noqa: PLW2901 - shifted in place
        table.append(n)
    return table


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C of `data`."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF
