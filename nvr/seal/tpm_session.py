"""A session with a TPM: nobody on the wires between sees what passes, or changes it.

The wires matter: a TPM that is plugged onto a board's SPI or I2C bus can be listened to with a
cheap logic analyser. The session's key comes from a salt that only this TPM can read; by it every
command and response is authenticated, and their first parameter enciphered.

Source: TCG, Trusted Platform Module Library, part 1, sections 11.4.10 (KDFs), 19 and 21 (sessions).
"""

import hashlib
import hmac
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from nvr.base.errors import Unavailable
from nvr.wire import tpm2
from nvr.wire.tpm2 import Authorisation, Reader, Response

NONCE_BYTES = 32
_BITS = 256
_BLOCK_BYTES = 16


@dataclass(frozen=True, slots=True)
class Salt:
    """A salt for one TPM.

    Attributes:
        secret: What it is.
        sealed: What the TPM gets of it.
    """

    secret: bytes
    sealed: bytes

    @classmethod
    def to(cls, point: tuple[bytes, bytes]) -> Self:
        """Make one for the TPM whose storage key this is.

        Raises:
            ValueError: It is no point of the curve.
        """
        x, y = (int.from_bytes(each, "big") for each in point)
        theirs = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        ours = ec.generate_private_key(ec.SECP256R1())
        shared = ours.exchange(ec.ECDH(), theirs)
        numbers = ours.public_key().public_numbers()
        my_x, my_y = (each.to_bytes(32, "big") for each in (numbers.x, numbers.y))
        told = (1).to_bytes(4, "big") + shared + b"SECRET\0" + my_x + point[0]
        return cls(hashlib.sha256(told).digest(), tpm2.sized(my_x) + tpm2.sized(my_y))


class Session:
    """An open session, for one command after the other.

    Args:
        handle: Its handle.
        salt: The salt it was started with.
        nonce: Ours of the start.
        nonce_tpm: The TPM's.
        token: Source of nonces.
    """

    def __init__(
        self,
        handle: int,
        salt: bytes,
        nonce: bytes,
        nonce_tpm: bytes,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.handle = handle
        self._key = _kdf(salt, b"ATH", nonce_tpm, nonce)
        self._mine = nonce
        self._theirs = nonce_tpm
        self._token = token

    def authorise(
        self, code: int, names: bytes, parameters: bytes, attributes: int
    ) -> tuple[Authorisation, bytes]:
        """Return the authorisation of a command, and its parameters as they are sent.

        Args:
            code: The command.
            names: Of its handles, one behind the other.
            parameters: Its parameters.
            attributes: `DECRYPT`: the first of them is enciphered; `ENCRYPT`: that of the response.
        """
        self._mine = self._token(NONCE_BYTES)
        if attributes & tpm2.DECRYPT:
            reader = Reader(parameters)
            first = self._cfb(self._mine, self._theirs, reader.sized(), decrypt=False)
            parameters = tpm2.sized(first) + reader.rest()
        about = hashlib.sha256(code.to_bytes(4, "big") + names + parameters).digest()
        by = Authorisation(self.handle, self._mine, attributes | tpm2.CONTINUE)
        proof = self._proof(about, self._mine, self._theirs, by.attributes)
        return replace(by, proof=proof), parameters

    def accept(self, code: int, response: Response) -> bytes:
        """Return the parameters of a response in plain.

        Raises:
            Unavailable: ``tpm.failed``: it is not by the TPM this session is with.
            ValueError: It is cut short.
        """
        by = response.proof
        self._theirs = by.nonce
        said = bytes(4) + code.to_bytes(4, "big") + response.parameters
        about = hashlib.sha256(said).digest()
        proof = self._proof(about, self._theirs, self._mine, by.attributes)
        if not hmac.compare_digest(proof, by.proof):
            raise Unavailable("tpm.failed", "an answer is not by the TPM that was asked")
        if not by.attributes & tpm2.ENCRYPT:
            return response.parameters
        reader = Reader(response.parameters)
        first = self._cfb(self._theirs, self._mine, reader.sized(), decrypt=True)
        return tpm2.sized(first) + reader.rest()

    def _proof(self, about: bytes, newer: bytes, older: bytes, attributes: int) -> bytes:
        return hmac.digest(self._key, about + newer + older + bytes([attributes]), "sha256")

    def _cfb(self, newer: bytes, older: bytes, data: bytes, *, decrypt: bool) -> bytes:
        """AES-128 in CFB mode; from the single blocks, as libraries let go of the mode."""
        made = _kdf(self._key, b"CFB", newer, older)
        block = Cipher(algorithms.AES(made[:16]), modes.ECB()).encryptor()  # noqa: S305 - see above
        before, out = made[16:32], b""
        for at in range(0, len(data), _BLOCK_BYTES):
            piece = data[at : at + _BLOCK_BYTES]
            stream = block.update(before)
            done = bytes(a ^ b for a, b in zip(piece, stream, strict=False))
            before = piece if decrypt else done
            out += done
        return out


def _kdf(key: bytes, label: bytes, newer: bytes, older: bytes) -> bytes:
    said = struct.pack(">I", 1) + label + b"\0" + newer + older + struct.pack(">I", _BITS)
    return hmac.digest(key, said, "sha256")
