"""What is enciphered under a key that only one board's TPM 2.0 gives out.

The key is random and sealed by the TPM under its own storage key, with a policy: nothing but
Unseal, and, if wished, only while some PCRs are as they were. The public half of that storage key
is kept with it, so that another TPM, or one that was cleared, is told apart and no secret is asked
of it. A line of text is ``tpm 1`` and base64 of: the storage key's point, the object's public and
private areas, number and value of each PCR; then nonce and cipher text of ChaCha20-Poly1305.

Source: TCG, Trusted Platform Module Library, parts 1 to 3; RFC 8439.
"""

import base64
import binascii
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nvr.base.errors import Misconfigured, NvrError, Rejected, Unavailable
from nvr.seal.tpm_session import NONCE_BYTES, Salt, Session
from nvr.wire import tpm2
from nvr.wire.tpm2 import NO_PASSWORD, Authorisation, Reader, Response, sized

Exchange = Callable[[bytes], bytes]
"""Gives a command to the TPM and returns its response; raises Unavailable."""

MOST_PCR = 15
"""Those above are for debugging, or begin at other values."""
_MARK = "tpm 1 "
_KEY_BYTES = 32
_POINT_BYTES = 64
_CIPHER_NONCE_BYTES = 12
_TRIES = 20
_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as the TPM keeps it: worth nothing without that TPM.

    Attributes:
        parent: x and y of the storage key.
        public: Public area of the object.
        private: Private area, enciphered by the TPM.
        pcrs: What the PCRs it is bound to were, by number.
    """

    parent: bytes
    public: bytes
    private: bytes
    pcrs: Mapping[int, bytes]

    def encode(self) -> bytes:
        """As bytes."""
        pcrs = b"".join(bytes([n]) + value for n, value in sorted(self.pcrs.items()))
        return b"".join(map(sized, (self.parent, self.public, self.private, pcrs)))

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """Read what `encode` made.

        Raises:
            ValueError: It is something else.
        """
        parent, public, private, pcrs = (reader.sized() for _ in range(4))
        each = Reader(pcrs)
        values: dict[int, bytes] = {}
        while not each.done:
            number = each.number(1)
            values[number] = each.take(32)
        if len(parent) != _POINT_BYTES or not all(n <= MOST_PCR for n in values):
            raise ValueError("this is no sealed key")
        return cls(parent, public, private, values)


@dataclass(frozen=True, slots=True)
class TpmLock:
    """A key that a TPM keeps. See `nvr.seal.passphrase.Passphrase`, the other way to lock.

    Attributes:
        sealed: As it is kept.
        key: 32 bytes.
    """

    sealed: Sealed
    key: bytes

    @classmethod
    def new(cls, exchange: Exchange, pcrs: Collection[int]) -> Self:
        """Make a key, have the TPM seal it, and see that it gives it out again.

        Args:
            exchange: The TPM.
            pcrs: What it is bound to, each 0 to `MOST_PCR`; empty: to this TPM alone.

        Raises:
            Rejected: ``tpm.pcr``: no such PCR. ``tpm.unmeasured``: nothing is measured into it.
            Unavailable: ``tpm.missing``, ``tpm.failed``, ``tpm.owned``.
        """
        if not all(0 <= n <= MOST_PCR for n in pcrs):
            raise Rejected("tpm.pcr", f"PCRs are 0 to {MOST_PCR}")
        key = secrets.token_bytes(_KEY_BYTES)
        made = cls(seal(exchange, key, pcrs), key)
        if unseal(exchange, made.sealed) != key:
            raise Unavailable("tpm.failed", "the TPM gives out something else than it was given")
        return made

    def encipher_line(self, text: str) -> str:
        """Return a line that only this TPM opens."""
        head = self.sealed.encode()
        nonce = secrets.token_bytes(_CIPHER_NONCE_BYTES)
        data = ChaCha20Poly1305(self.key).encrypt(nonce, text.encode(), _MARK.encode() + head)
        return _MARK + base64.b64encode(head + nonce + data).decode() + "\n"


def is_sealed(text: str) -> bool:
    """Whether a text is what `TpmLock.encipher_line` made."""
    return text.startswith(_MARK)


def sealed_of(line: str) -> Sealed:
    """Return what a line tells without the TPM.

    Raises:
        Misconfigured: ``key.file``: it was changed.
    """
    return _parted(line)[0]


def opened_line(exchange: Exchange, line: str) -> tuple[TpmLock, str]:
    """Return the key and the text of a line, with the help of the TPM that sealed it.

    Raises:
        Unavailable: ``tpm.missing``, ``tpm.failed``, ``tpm.owned``, ``tpm.other``,
            ``tpm.changed``.
        Misconfigured: ``key.file``: the line was changed.
    """
    sealed, data = _parted(line)
    lock = TpmLock(sealed, unseal(exchange, sealed))
    nonce, rest = data[:_CIPHER_NONCE_BYTES], data[_CIPHER_NONCE_BYTES:]
    try:
        about = _MARK.encode() + sealed.encode()
        return lock, ChaCha20Poly1305(lock.key).decrypt(nonce, rest, about).decode()
    except (InvalidTag, ValueError) as err:
        raise _changed() from err


def _parted(line: str) -> tuple[Sealed, bytes]:
    try:
        reader = Reader(base64.b64decode(line.removeprefix(_MARK).strip(), validate=True))
        return Sealed.decode(reader), reader.rest()
    except (binascii.Error, ValueError) as err:
        raise _changed() from err


def _changed() -> Misconfigured:
    return Misconfigured("key.file", "the key that the TPM sealed was changed")


def seal(exchange: Exchange, secret: bytes, pcrs: Collection[int]) -> Sealed:
    """Have a TPM seal a secret. See `TpmLock.new`."""
    with _primary(_Talk(exchange)) as (talk, handle, public):
        values = talk.pcrs(pcrs)
        for number, value in values.items():
            if not any(value) or value == b"\xff" * len(value):
                raise Rejected(
                    "tpm.unmeasured",
                    f"nothing is measured into PCR {number} on this board: binding to it protects "
                    "against nothing",
                    pcr=number,
                )
        parameters = tpm2.create(secret, tpm2.unseal_policy(values))
        point = tpm2.point_of(public)
        with talk.session(handle, point, tpm2.HMAC_SESSION) as session:
            name = tpm2.name_of(public)
            by, sent = session.authorise(tpm2.CREATE, name, parameters, tpm2.DECRYPT)
            answer = talk.ask(tpm2.CREATE, [handle], sent, by)
            made = Reader(session.accept(tpm2.CREATE, answer))
        private = made.sized()
        return Sealed(b"".join(point), made.sized(), private, values)


def unseal(exchange: Exchange, sealed: Sealed) -> bytes:
    """Have the TPM give a secret out. See `opened_line`."""
    with _primary(_Talk(exchange)) as (talk, parent, public):
        point = tpm2.point_of(public)
        if b"".join(point) != sealed.parent:
            raise Unavailable(
                "tpm.other", "this TPM is not the one that sealed the key, or was cleared"
            )
        parameters = sized(sealed.private) + sized(sealed.public)
        handle = talk.ask(tpm2.LOAD, [parent], parameters, NO_PASSWORD, handles_made=1).handles[0]
        with talk.flushed(handle):
            now = talk.pcrs(sealed.pcrs)
            changed = [n for n in sorted(sealed.pcrs) if now[n] != sealed.pcrs[n]]
            if changed:
                raise _pcrs_changed(changed)
            with talk.session(parent, point, tpm2.POLICY_SESSION) as session:
                if sealed.pcrs:
                    talk.ask(tpm2.POLICY_PCR, [session.handle], tpm2.policy_pcr(sealed.pcrs))
                only = tpm2.policy_command_code(tpm2.UNSEAL)
                talk.ask(tpm2.POLICY_COMMAND_CODE, [session.handle], only)
                name = tpm2.name_of(sealed.public)
                by, sent = session.authorise(tpm2.UNSEAL, name, b"", tpm2.ENCRYPT)
                answer = talk.ask(tpm2.UNSEAL, [handle], sent, by)
                return Reader(session.accept(tpm2.UNSEAL, answer)).sized()


def _pcrs_changed(pcrs: Collection[int]) -> Unavailable:
    which = ", ".join(map(str, pcrs))
    detail = f"the box was not started as it was when its key was sealed: PCR {which} differ"
    return Unavailable("tpm.changed", detail, pcr=which)


class _Talk:
    """Asks one TPM one thing after the other."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def ask(
        self,
        code: int,
        handles: list[int],
        parameters: bytes,
        by: Authorisation | None = None,
        *,
        handles_made: int = 0,
    ) -> Response:
        """Return the response to a command that was carried out."""
        command = tpm2.command(code, handles, parameters, by)
        answer = Response(tpm2.RETRY)
        for _ in range(_TRIES):
            try:
                answer = tpm2.response(self._exchange(command), handles_made)
            except ValueError as err:
                raise Unavailable("tpm.failed", str(err)) from err
            if answer.code not in {tpm2.RETRY, tpm2.TESTING, tpm2.YIELDED}:
                break
            time.sleep(_PAUSE_S)  # it tests itself, or is busy; nothing was carried out
        if answer.code:
            raise _refused(code, answer.code)
        return answer

    def pcrs(self, pcrs: Collection[int]) -> dict[int, bytes]:
        """Return the values of PCRs now."""
        found: dict[int, bytes] = {}
        for batch in tpm2.batches(pcrs):
            answer = self.ask(tpm2.PCR_READ, [], tpm2.pcr_read(batch))
            found |= tpm2.pcr_values(answer.parameters, batch)
        return found

    @contextmanager
    def flushed(self, handle: int) -> Iterator[None]:
        """Have the TPM forget an object or a session afterwards: it has room for three."""
        try:
            yield
        finally:
            with suppress(NvrError):
                self.ask(tpm2.FLUSH_CONTEXT, [handle], b"")

    @contextmanager
    def session(self, key: int, point: tuple[bytes, bytes], kind: int) -> Iterator[Session]:
        """Open a session that nobody can listen in to but the owner of `point`."""
        salt = Salt.to(point)
        nonce = secrets.token_bytes(NONCE_BYTES)
        parameters = tpm2.start_auth_session(nonce, salt.sealed, kind)
        answer = self.ask(tpm2.START_AUTH_SESSION, [key, tpm2.NOBODY], parameters, handles_made=1)
        with self.flushed(answer.handles[0]):
            nonce_tpm = Reader(answer.parameters).sized()
            yield Session(answer.handles[0], salt.secret, nonce, nonce_tpm)


@contextmanager
def _primary(talk: _Talk) -> Iterator[tuple[_Talk, int, bytes]]:
    """The TPM's storage key: its handle and its public area."""
    try:
        answer = talk.ask(
            tpm2.CREATE_PRIMARY, [tpm2.OWNER], tpm2.create_primary(), NO_PASSWORD, handles_made=1
        )
        with talk.flushed(answer.handles[0]):
            yield talk, answer.handles[0], Reader(answer.parameters).sized()
    except ValueError as err:
        raise Unavailable("tpm.failed", str(err)) from err


_WHY = {
    tpm2.HIERARCHY: ("tpm.owned", "the owner's part of the TPM is switched off"),
    tpm2.FAILURE: ("tpm.failed", "the TPM failed its own test"),
    tpm2.INTEGRITY: ("tpm.other", "this TPM is not the one that sealed the key, or was cleared"),
    tpm2.POLICY_FAIL: ("tpm.changed", "the box was not started as when its key was sealed"),
    tpm2.PCR_CHANGED: ("tpm.changed", "a PCR changed while it was asked"),
}


def _refused(code: int, why: int) -> Unavailable:
    if code == tpm2.CREATE_PRIMARY and why in {tpm2.AUTH_FAIL, tpm2.BAD_AUTH}:
        return Unavailable("tpm.owned", "somebody set an owner password in the TPM")
    name, detail = _WHY.get(why, ("tpm.failed", "the TPM refuses"))
    return Unavailable(name, detail, command=hex(code), answer=hex(why))
