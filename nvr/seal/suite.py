"""The ciphers that seal a part, and which of them this processor is quick at.

A sealed payload is the plain one enciphered byte for byte; nonce and tag go into the part's header.
The numbers are those of ``FORMAT.md``; SM4-GCM is reserved there and cannot be made or read yet.

Source: NIST SP 800-38D (GCM), RFC 8439 (ChaCha20-Poly1305).
"""

import time
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from nvr.base.errors import Damaged

PLAIN = 0
AES_256_GCM = 1
CHACHA20_POLY1305 = 2
NAMES = {AES_256_GCM: "AES-256-GCM", CHACHA20_POLY1305: "ChaCha20-Poly1305"}

SECRET_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

_TRIAL_BYTES = 64 << 10
_TRIALS = 5

Bytes = bytes | bytearray | memoryview
Cipher = AESGCM | ChaCha20Poly1305


def cipher_for(suite: int, secret: bytes) -> Cipher:
    """Return the cipher of a suite with its key scheduled.

    Raises:
        Damaged: ``part.damaged``: no such suite.
    """
    if suite == AES_256_GCM:
        return AESGCM(secret)
    if suite == CHACHA20_POLY1305:
        return ChaCha20Poly1305(secret)
    raise Damaged("part.damaged", f"sealed by suite {suite}, which is not known")


def seal_into(
    cipher: Cipher,
    nonce: bytes,
    pieces: Sequence[Bytes],
    associated: Bytes,
    out: bytearray,
    at: int,
) -> bytes:
    """Seal `pieces` into `out` from offset `at` on; returns the tag.

    Args:
        cipher: From `cipher_for`.
        nonce: `NONCE_BYTES` that this key never saw.
        pieces: The payload.
        associated: Authenticated with it, and stored elsewhere.
        out: Ends `TAG_BYTES` behind the payload; they are cut off.
        at: Where the payload begins.
    """
    with memoryview(out)[at:] as room:
        cipher.encrypt_into(nonce, b"".join(pieces), associated, room)
    tag = bytes(out[-TAG_BYTES:])
    del out[-TAG_BYTES:]
    return tag


def unseal(cipher: Cipher, nonce: bytes, sealed: Bytes, tag: bytes, associated: Bytes) -> bytes:
    """Return the plain payload.

    Raises:
        Damaged: ``part.damaged``: another key, or bytes that were altered.
    """
    try:
        return cipher.decrypt(nonce, b"".join((sealed, tag)), associated)
    except InvalidTag as err:
        raise Damaged("part.damaged", "the sealed bytes do not fit their key") from err


def quickest(now_s: Callable[[], float] = time.perf_counter) -> int:
    """Return the suite that this processor is quicker at, by trying: AES if it has it built in."""
    took: dict[int, float] = {}
    payload, out = [bytes(_TRIAL_BYTES)], bytearray()
    for suite in NAMES:
        cipher = cipher_for(suite, bytes(SECRET_BYTES))
        each = []
        for _ in range(_TRIALS):
            out = bytearray(_TRIAL_BYTES + TAG_BYTES)
            begun_s = now_s()
            seal_into(cipher, bytes(NONCE_BYTES), payload, b"", out, 0)
            each.append(now_s() - begun_s)
        took[suite] = min(each)
    return min(took, key=lambda suite: (took[suite], suite))
