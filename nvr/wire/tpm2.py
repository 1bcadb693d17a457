"""TPM 2.0 commands and responses, as far as sealing a secret takes.

A command is tag ``u16``, size ``u32``, code ``u32``, the handles, with authorisations their size
``u32`` and they themselves, then the parameters; a response is alike, with a response code. All
numbers are big-endian; a sized field is its length ``u16`` and its bytes.

Source: TCG, Trusted Platform Module Library, parts 1 to 3, family 2.0, revision 1.59.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

CREATE_PRIMARY: Final = 0x131
CREATE: Final = 0x153
LOAD: Final = 0x157
UNSEAL: Final = 0x15E
FLUSH_CONTEXT: Final = 0x165
POLICY_COMMAND_CODE: Final = 0x16C
START_AUTH_SESSION: Final = 0x176
PCR_READ: Final = 0x17E
POLICY_PCR: Final = 0x17F

OWNER: Final = 0x40000001
NOBODY: Final = 0x40000007
PASSWORD: Final = 0x40000009

CONTINUE, DECRYPT, ENCRYPT = 0x01, 0x20, 0x40
"""Attributes of a session: it stays, the first parameter of the command, of the response."""

HMAC_SESSION, POLICY_SESSION = 0, 1

# Response codes, those about a handle or parameter without its number.
FAILURE: Final = 0x101
PCR_CHANGED: Final = 0x128
YIELDED, TESTING, RETRY = 0x908, 0x90A, 0x922
HIERARCHY: Final = 0x085
AUTH_FAIL: Final = 0x08E
POLICY_FAIL: Final = 0x09D
INTEGRITY: Final = 0x09F
BAD_AUTH: Final = 0x0A2

PCRS: Final = 24
_PCRS_AT_ONCE = 8
_DIGEST_BYTES = 32
_HEAD = struct.Struct(">HII")
_WITHOUT, _WITH = 0x8001, 0x8002
_SHA256, _ECC, _KEYEDHASH, _NULL = 0x000B, 0x0023, 0x0008, 0x0010
AES_128_CFB: Final = struct.pack(">HHH", 0x0006, 128, 0x0043)

# fixedTPM fixedParent sensitiveDataOrigin userWithAuth noDA restricted decrypt
_STORAGE = 0x0003_0472
# fixedTPM fixedParent adminWithPolicy noDA: it is used as its policy says, and no guess counts
_SEALED = 0x0000_0492


class Reader:
    """Takes a message apart.

    Args:
        data: The message.

    Every method raises ValueError where it ends too early.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > len(self._data) - self._at:
            raise ValueError("a message ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        """The next number, of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        """The next sized field."""
        return self.take(self.number(2))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._at)


def sized(data: bytes) -> bytes:
    """Return a sized field."""
    return len(data).to_bytes(2, "big") + data


@dataclass(frozen=True, slots=True)
class Authorisation:
    """By what right a command touches its first handle, or proof that the TPM answered.

    Attributes:
        session: Handle of the session; `PASSWORD` without one.
        nonce: Of who sends this.
        attributes: Sum of `CONTINUE` and the like.
        proof: HMAC, or the password.
    """

    session: int
    nonce: bytes = b""
    attributes: int = 0
    proof: bytes = b""

    def encode(self) -> bytes:
        """As it stands in a command."""
        head = self.session.to_bytes(4, "big") + sized(self.nonce)
        return head + bytes([self.attributes]) + sized(self.proof)


NO_PASSWORD: Final = Authorisation(PASSWORD)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the TPM.

    Attributes:
        code: 0, or why it refused, without the number of the handle or parameter it is about.
        handles: What it made.
        parameters: The rest, enciphered as its session has it.
        proof: Of the first session, if there was one: its handle is left 0.
    """

    code: int
    handles: tuple[int, ...] = ()
    parameters: bytes = b""
    proof: Authorisation = NO_PASSWORD


def command(
    code: int, handles: Sequence[int], parameters: bytes, by: Authorisation | None = None
) -> bytes:
    """Return a command."""
    body = b"".join(handle.to_bytes(4, "big") for handle in handles)
    if by is not None:
        area = by.encode()
        body += len(area).to_bytes(4, "big") + area
    body += parameters
    return _HEAD.pack(_WITHOUT if by is None else _WITH, _HEAD.size + len(body), code) + body


def size_of(head: bytes) -> int | None:
    """Return how long a response is, None until that can be told.

    Raises:
        ValueError: It is no response.
    """
    if len(head) < _HEAD.size:
        return None
    tag, size, _ = _HEAD.unpack_from(head)
    if tag not in {_WITHOUT, _WITH} or size < _HEAD.size:
        raise ValueError("this is no response of a TPM")
    return int(size)


def response(data: bytes, handles: int = 0) -> Response:
    """Take a response apart.

    Args:
        data: One whole response.
        handles: How many handles it has if the command was carried out.

    Raises:
        ValueError: It is none.
    """
    if size_of(data) != len(data):
        raise ValueError("this is no response of a TPM")
    tag, _, code = _HEAD.unpack_from(data)
    if code:
        return Response(code & 0xBF if code & 0x80 else code)
    reader = Reader(data[_HEAD.size :])
    made = tuple(reader.number(4) for _ in range(handles))
    if tag == _WITHOUT:
        return Response(0, made, reader.rest())
    parameters = reader.take(reader.number(4))
    nonce, attributes, proof = reader.sized(), reader.number(1), reader.sized()
    return Response(0, made, parameters, Authorisation(0, nonce, attributes, proof))


def create_primary() -> bytes:
    """Parameters of CreatePrimary: always the same key of one TPM until it is cleared.

    It is the storage key that TCG's provisioning guidance has, so other programs make it too.
    """
    blank = bytes(_DIGEST_BYTES)
    unique = sized(blank) + sized(blank)
    curve = struct.pack(">HHH", _NULL, 0x0003, _NULL)  # no scheme, P-256, no KDF
    public = struct.pack(">HHIH", _ECC, _SHA256, _STORAGE, 0) + AES_128_CFB + curve + unique
    return _sensitive(b"") + sized(public) + _NO_DATA_NO_PCRS


def create(secret: bytes, policy: bytes) -> bytes:
    """Parameters of Create: an object that holds a secret, which only a policy gives out.

    Args:
        secret: Up to 128 bytes.
        policy: Digest of the policy.
    """
    public = struct.pack(">HHI", _KEYEDHASH, _SHA256, _SEALED) + sized(policy)
    public += struct.pack(">HH", _NULL, 0)
    return _sensitive(secret) + sized(public) + _NO_DATA_NO_PCRS


_NO_DATA_NO_PCRS = sized(b"") + (0).to_bytes(4, "big")


def _sensitive(secret: bytes) -> bytes:
    return sized(sized(b"") + sized(secret))


def name_of(public: bytes) -> bytes:
    """Return the name of an object, by which a session knows it.

    Args:
        public: Its public area, without a size.
    """
    return _SHA256.to_bytes(2, "big") + hashlib.sha256(public).digest()


def point_of(public: bytes) -> tuple[bytes, bytes]:
    """Return x and y of the key that `create_primary` makes, 32 bytes each.

    Raises:
        ValueError: It is none.
    """
    reader = Reader(public)
    kind = struct.unpack(">HHI", reader.take(8))
    reader.sized()
    reader.take(len(AES_128_CFB) + 6)
    x, y = reader.sized(), reader.sized()
    if kind != (_ECC, _SHA256, _STORAGE) or max(len(x), len(y)) > _DIGEST_BYTES or not reader.done:
        raise ValueError("the TPM made another key than it was asked for")
    return x.rjust(_DIGEST_BYTES, b"\0"), y.rjust(_DIGEST_BYTES, b"\0")


def start_auth_session(nonce: bytes, salt: bytes, kind: int) -> bytes:
    """Parameters of StartAuthSession.

    Args:
        nonce: Ours.
        salt: As only the owner of the key named by the command's first handle can read it.
        kind: `HMAC_SESSION` or `POLICY_SESSION`.
    """
    return sized(nonce) + sized(salt) + bytes([kind]) + AES_128_CFB + _SHA256.to_bytes(2, "big")


def _selection(pcrs: Iterable[int]) -> bytes:
    bits = sum(1 << n for n in pcrs)
    if not bits:
        return bytes(4)
    return struct.pack(">IHB", 1, _SHA256, 3) + bits.to_bytes(3, "little")


def batches(pcrs: Iterable[int]) -> list[list[int]]:
    """Return so many PCRs a piece as one PCR_Read gives."""
    all_of = sorted(pcrs)
    return [all_of[at : at + _PCRS_AT_ONCE] for at in range(0, len(all_of), _PCRS_AT_ONCE)]


def pcr_read(pcrs: Iterable[int]) -> bytes:
    """Parameters of PCR_Read."""
    return _selection(pcrs)


def pcr_values(parameters: bytes, pcrs: Sequence[int]) -> dict[int, bytes]:
    """Return what PCR_Read gave.

    Args:
        parameters: Of its response.
        pcrs: What was asked for.

    Raises:
        ValueError: It gave something else: a TPM without a bank of SHA-256.
    """
    reader = Reader(parameters)
    reader.take(4)
    asked = _selection(pcrs)
    if reader.take(len(asked)) != asked or reader.number(4) != len(pcrs):
        raise ValueError("the TPM does not keep these PCRs with SHA-256")
    return {n: reader.sized() for n in sorted(pcrs)}


def policy_pcr(pcrs: Iterable[int]) -> bytes:
    """Parameters of PolicyPCR: these PCRs as they are now."""
    return sized(b"") + _selection(pcrs)


def policy_command_code(code: int) -> bytes:
    """Parameters of PolicyCommandCode: this command and no other."""
    return code.to_bytes(4, "big")


def unseal_policy(pcrs: Mapping[int, bytes]) -> bytes:
    """Return the digest of: Unseal and nothing else, while these PCRs have these values."""
    policy = bytes(_DIGEST_BYTES)
    if pcrs:
        values = hashlib.sha256(b"".join(pcrs[n] for n in sorted(pcrs))).digest()
        said = POLICY_PCR.to_bytes(4, "big") + _selection(pcrs) + values
        policy = hashlib.sha256(policy + said).digest()
    said = POLICY_COMMAND_CODE.to_bytes(4, "big") + UNSEAL.to_bytes(4, "big")
    return hashlib.sha256(policy + said).digest()
