"""Credentials of machines: generated, revocable, limited to cameras, never a person's password.

An upstream host or another recorder signs in to RTSP with Digest. Only the two HA1 digests of
the secret are kept, so the secret is shown once and cannot be read back. The digests are as good
as the secret for RTSP of this box: ``state.db`` is readable by its owner alone.

A WS-UsernameToken of ONVIF is a digest over the secret itself. For a credential that is made for
that the secret is kept as well; no answer of the box ever shows it.

Source: RFC 7616 (Digest, SHA-256), RFC 2069/2617 (MD5).
"""

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from nvr.auth.user import Rights, Subject, rights_of, rights_text
from nvr.base.clock import Clock
from nvr.base.errors import Rejected

REALM = "nvr"
MOST_MACHINES = 256
SECRET_BYTES = 20  # 160 bits; 32 characters of base32 read over a telephone

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"

Algorithm = Literal["MD5", "SHA-256"]


@dataclass(frozen=True, slots=True)
class Machine:
    """One credential.

    Attributes:
        name: RTSP user name, ASCII.
        ha1_md5: MD5 of ``name:nvr:secret``, hexadecimal.
        ha1_sha256: SHA-256 of the same.
        rights: Camera name or ``*`` to rights.
        made_us: UTC microseconds when it was made.
        secret: The secret itself, if it was made for ONVIF's tokens; else empty.
    """

    name: str
    ha1_md5: str
    ha1_sha256: str
    rights: Rights
    made_us: int
    secret: str = field(default="", repr=False)

    def subject(self) -> Subject:
        """Return the credential as the policy sees it."""
        return Subject("machine", self.name, None, self.rights)


class Machines:
    """All machine credentials, in memory and in ``state.db``."""

    def __init__(self, db: sqlite3.Connection, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._revoked: list[Callable[[str], None]] = []
        rows = db.execute("SELECT name, ha1_md5, ha1_sha256, rights, made_us, secret FROM machine")
        self._machines = {
            name: Machine(name, md5, sha256, rights_of(json.loads(rights)), made_us, secret)
            for name, md5, sha256, rights, made_us, secret in rows
        }

    def all(self) -> tuple[Machine, ...]:
        """Every credential by name."""
        return tuple(self._machines[name] for name in sorted(self._machines))

    def find(self, name: str) -> Machine | None:
        """Return the credential called `name`."""
        return self._machines.get(name)

    def ha1(self, name: str, algorithm: Algorithm) -> str | None:
        """Hexadecimal HA1 for Digest in realm `REALM`; None for an unknown name."""
        machine = self._machines.get(name)
        if machine is None:
            return None
        return machine.ha1_md5 if algorithm == "MD5" else machine.ha1_sha256

    def secret(self, name: str) -> str:
        """The secret of a credential that was made for ONVIF's tokens; empty for any other name."""
        machine = self._machines.get(name)
        return machine.secret if machine else ""

    def subject(self, name: str) -> Subject | None:
        """Who the credential is, for the policy; None for an unknown name."""
        machine = self._machines.get(name)
        return machine.subject() if machine else None

    def check(self, name: str, secret: str) -> Subject | None:
        """Who signs in with a secret in the clear, over TLS; None if it is wrong."""
        machine = self._machines.get(name)
        digest = hashlib.sha256(f"{name}:{REALM}:{secret}".encode()).hexdigest()
        right = hmac.compare_digest(digest, machine.ha1_sha256 if machine else "")
        return machine.subject() if machine and right else None

    def subscribe(self, revoked: Callable[[str], None]) -> None:
        """Tell `revoked` the name of each credential that ends: its connections must end too."""
        self._revoked.append(revoked)

    def add(self, name: str, rights: Rights, *, tokens: bool = False) -> tuple[Machine, str]:
        """Make a credential. Commits: call it where a few milliseconds do not hurt.

        Args:
            name: User name of the host.
            rights: What it may do.
            tokens: It signs in with ONVIF's tokens too: the secret is kept.

        Returns:
            The credential and its secret, which nobody can ask for again.

        Raises:
            Rejected: ``machine.exists``, ``machine.invalid``, ``machine.too_many``.
        """
        if not _NAME.fullmatch(name):
            raise Rejected(
                "machine.invalid",
                "a name has 1 to 32 letters, digits, dots, dashes",
                field="name",
            )
        if name in self._machines:
            raise Rejected("machine.exists", "there is a credential of that name", machine=name)
        if len(self._machines) >= MOST_MACHINES:
            raise Rejected("machine.too_many", f"there are {MOST_MACHINES} credentials already")
        secret = "".join(
            _ALPHABET[byte & 31] for byte in secrets.token_bytes(SECRET_BYTES * 8 // 5)
        )
        full = f"{name}:{REALM}:{secret}".encode()
        machine = Machine(
            name,
            hashlib.md5(full, usedforsecurity=False).hexdigest(),
            hashlib.sha256(full).hexdigest(),
            rights,
            self._clock.wall_us(),
            secret if tokens else "",
        )
        self._db.execute(
            "INSERT INTO machine (name, ha1_md5, ha1_sha256, rights, made_us, secret) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (name, machine.ha1_md5, machine.ha1_sha256, rights_text(rights), machine.made_us,
             machine.secret),
        )  # fmt: skip
        self._machines[name] = machine
        return machine, secret

    def remove(self, name: str) -> None:
        """Revoke a credential; whoever uses it is told to stop.

        Raises:
            Rejected: ``machine.unknown``.
        """
        if name not in self._machines:
            raise Rejected("machine.unknown", "there is no such credential", machine=name)
        self._db.execute("DELETE FROM machine WHERE name = ?", (name,))
        del self._machines[name]
        for revoked in self._revoked:
            revoked(name)
