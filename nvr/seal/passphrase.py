"""What is enciphered under a passphrase that somebody types.

16 bytes of salt, 12 of nonce, and the cipher text of ChaCha20-Poly1305 under a key that Argon2id
makes of the passphrase; a line of text is ``passphrase 1`` and base64 of all that.

Source: RFC 9106 (Argon2id, second recommended option: 64 MiB, 3 passes), RFC 8439.
"""

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import Self

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nvr.base.errors import Rejected

_MARK = "passphrase 1 "
_SALT_BYTES = 16
_NONCE_BYTES = 12
_MEMORY_KIB = 64 << 10
_PASSES = 3
_LANES = 4


def is_enciphered(text: str) -> bool:
    """Whether a text is what `Passphrase.encipher_line` made."""
    return text.startswith(_MARK)


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase, as the key that it makes with one salt.

    Attributes:
        salt: The salt.
        key: 32 bytes.
    """

    salt: bytes
    key: bytes

    @classmethod
    def new(cls, passphrase: str) -> Self:
        """Take a passphrase with a salt of its own; blocks for a good part of a second."""
        return cls.of(passphrase, secrets.token_bytes(_SALT_BYTES))

    @classmethod
    def of(cls, passphrase: str, salt: bytes) -> Self:
        """Take a passphrase with a salt."""
        key = hash_secret_raw(passphrase.encode(), salt, _PASSES, _MEMORY_KIB, _LANES, 32, Type.ID)
        return cls(salt, key)

    def encipher(self, data: bytes, about: bytes) -> bytes:
        """Return salt, nonce and cipher text, which only this passphrase opens.

        Args:
            data: What is enciphered.
            about: What it is; must be told again to open it.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.salt + nonce + ChaCha20Poly1305(self.key).encrypt(nonce, data, about)

    def encipher_line(self, text: str) -> str:
        """Return a line that only this passphrase opens."""
        data = self.encipher(text.encode(), _MARK.encode())
        return _MARK + base64.b64encode(data).decode() + "\n"


def opened(passphrase: str, data: bytes, about: bytes) -> tuple[Passphrase, bytes]:
    """Return the passphrase and what it opens; blocks for a good part of a second.

    Raises:
        Rejected: ``key.passphrase``: that is not it, or the data was changed.
    """
    try:
        made = Passphrase.of(passphrase, data[:_SALT_BYTES])
        rest = data[_SALT_BYTES:]
        plain = ChaCha20Poly1305(made.key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], about)
    except (InvalidTag, HashingError, ValueError) as err:
        raise Rejected("key.passphrase", "that is not the passphrase") from err
    return made, plain


def opened_line(passphrase: str, line: str) -> tuple[Passphrase, str]:
    """Return the passphrase and the text of a line that it opens.

    Raises:
        Rejected: ``key.passphrase``.
    """
    try:
        data = base64.b64decode(line.removeprefix(_MARK).strip(), validate=True)
    except binascii.Error as err:
        raise Rejected("key.passphrase", "the line was changed") from err
    made, text = opened(passphrase, data, _MARK.encode())
    return made, text.decode()
