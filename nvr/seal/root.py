"""The two root keys of a box: its own, and the one its owner keeps on paper.

Day keys are wrapped to the public halves, so that sealing needs no secret that outlives a day. The
owner's private half is shown once, as letters with a check value, and is not kept anywhere.

Source: RFC 9180 (HPKE, base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305).
"""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from nvr.base import crockford
from nvr.base.errors import Rejected

KEY_BYTES = 32
WRAPPED_BYTES = 80
"""Of a secret of 32 bytes: the encapsulated key, then the secret and its tag."""
_CHECK_BYTES = 3
_GROUP = 4
_INFO = b"nvr day key 1\0"
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def new() -> bytes:
    """Return a new private key."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_of(private: bytes) -> bytes:
    """Return its public half."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def fingerprint(public: bytes) -> str:
    """Return what people compare of any public key: 16 hexadecimal digits in groups of four."""
    digits = hashlib.sha256(public).hexdigest()[:16]
    return " ".join(digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP))


def wrap(public: bytes, secret: bytes, about: bytes) -> bytes:
    """Return `secret` so that only the owner of the private half can read it.

    Args:
        public: Of who may.
        secret: 32 bytes.
        about: What it is for; must be told again to unwrap it.
    """
    key = X25519PublicKey.from_public_bytes(public)
    return _SUITE.encrypt(secret, key, info=_INFO + about)


def unwrap(private: bytes, wrapped: bytes, about: bytes) -> bytes | None:
    """Return the secret, None if it was wrapped for somebody else or for something else."""
    key = X25519PrivateKey.from_private_bytes(private)
    try:
        return _SUITE.decrypt(wrapped, key, info=_INFO + about)
    except (InvalidTag, ValueError):
        return None


def to_words(private: bytes) -> str:
    """Return a private key for paper, with a check value at its end."""
    return crockford.grouped(crockford.encode(private + _check(private)), _GROUP)


def from_words(words: str) -> bytes:
    """Return the private key that somebody typed.

    Raises:
        Rejected: ``key.mistyped``.
    """
    data = crockford.decode(words, KEY_BYTES + _CHECK_BYTES)
    if data is None or data[KEY_BYTES:] != _check(data[:KEY_BYTES]):
        raise Rejected("key.mistyped", "this is no recovery key: a letter may be wrong or missing")
    return data[:KEY_BYTES]


def _check(private: bytes) -> bytes:
    return hashlib.sha256(b"nvr recovery key\0" + private).digest()[:_CHECK_BYTES]
