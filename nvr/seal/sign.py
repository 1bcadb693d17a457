"""The box's signature over what it recorded.

Source: RFC 8032 (Ed25519); the messages are in ``record/FORMAT.md``.
"""

import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_HEAD = struct.Struct(">16s64sQ32s")
_HEAD_TITLE = b"nvr chain head 1\0"


def head_message(ring_id: bytes, stream: str, sequence: int, link: bytes) -> bytes:
    """Return what is signed of a stream's part: its place on the volume and its link."""
    return _HEAD_TITLE + _HEAD.pack(ring_id, stream.encode(), sequence, link)


class Signer:
    """The box's signing key.

    Args:
        private: Its 32 bytes.
    """

    def __init__(self, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public = self._key.public_key().public_bytes_raw()

    @staticmethod
    def new() -> bytes:
        """Return a new private key."""
        return Ed25519PrivateKey.generate().private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes."""
        return self._key.sign(message)


def valid(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the owner of `public` signed `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
