"""Who may do what: roles set the ceiling, rights for each camera fill it.

A right counts only where both agree: a viewer given ``ptz`` still cannot move anything, and an
operator without a line for a camera does not know that it exists. ``*`` stands for every camera
without a line of its own, those added later included, and for every output of the box, whose own
line is ``@name``. An administrator has every right.
"""

import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, get_args

from nvr.auth.password import Hasher
from nvr.base.clock import Clock
from nvr.base.errors import Rejected

Right = Literal["live", "playback", "export", "ptz", "relay", "config", "unmasked"]
Role = Literal["viewer", "operator", "auditor", "admin"]
RIGHTS: tuple[Right, ...] = get_args(Right)
ROLES: tuple[Role, ...] = get_args(Role)

CEILING: Mapping[Role, frozenset[Right]] = MappingProxyType(
    {
        "viewer": frozenset(("live", "playback", "unmasked")),
        "operator": frozenset(("live", "playback", "export", "ptz", "relay", "unmasked")),
        "auditor": frozenset(("live", "playback", "export")),
        "admin": frozenset(RIGHTS),
    }
)
"""The most a role can have on a camera."""

EVERY_CAMERA = "*"
MOST_USERS = 256
_CAMERA = re.compile(r"@?[a-z0-9][a-z0-9-]{0,31}")

Rights = Mapping[str, frozenset[Right]]
Span = tuple[int, int]
"""From and to, UTC microseconds."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whoever asks for something.

    Attributes:
        kind: ``nobody`` has not signed in; ``machine`` is an upstream host or a recorder.
        name: User or credential name, empty for nobody.
        role: Role of a user; None for the others.
        rights: Camera name or ``*`` to rights, before the role's ceiling.
        recorded: Recordings outside of it are not for this subject; None is no such limit.
    """

    kind: Literal["nobody", "user", "machine"]
    name: str = ""
    role: Role | None = None
    rights: Rights = field(default_factory=lambda: MappingProxyType({}))
    recorded: Span | None = None

    def may(self, camera: str) -> frozenset[Right]:
        """Every right of this subject on `camera`; empty means it must not know the camera."""
        if self.kind == "nobody":
            return frozenset()
        if self.role == "admin":
            return CEILING["admin"]
        granted = self.rights.get(camera, self.rights.get(EVERY_CAMERA, frozenset()))
        ceiling = MACHINE_CEILING if self.kind == "machine" else CEILING[self.role or "viewer"]
        return granted & ceiling


MACHINE_CEILING: frozenset[Right] = frozenset(
    ("live", "playback", "export", "ptz", "relay", "config", "unmasked")
)
"""``ptz``, ``relay`` and ``config`` (captions) are of use over ONVIF and MQTT only: nothing else
takes commands of a machine."""
NOBODY = Subject("nobody")


@dataclass(frozen=True, slots=True)
class User:
    """A person's account.

    Attributes:
        name: Account name, NFC, without spaces at its ends.
        role: Role.
        password: Encoded argon2id hash.
        rights: Camera name or ``*`` to rights.
        recorded: Limit in time of what recordings it may see, or None.
        made_us: UTC microseconds when it was made.
    """

    name: str
    role: Role
    password: str
    rights: Rights
    recorded: Span | None
    made_us: int

    def subject(self) -> Subject:
        """Return the account as the policy sees it."""
        return Subject("user", self.name, self.role, self.rights, self.recorded)


def rights_of(value: Mapping[str, Iterable[str]]) -> Rights:
    """Check and freeze rights as they come from a person.

    Raises:
        Rejected: ``user.invalid``: no such right, or not a camera name.
    """
    frozen: dict[str, frozenset[Right]] = {}
    for camera, names in value.items():
        if camera != EVERY_CAMERA and not _CAMERA.fullmatch(camera):
            raise Rejected(
                "user.invalid",
                "rights are for a camera name, *, or an output as @name",
                field="rights",
            )
        asked = set(names)
        known = frozenset(right for right in RIGHTS if right in asked)
        if len(known) != len(asked):
            raise Rejected("user.invalid", f"a right is one of {', '.join(RIGHTS)}", field="rights")
        frozen[camera] = known
    return MappingProxyType(frozen)


def plain(rights: frozenset[Right]) -> list[str]:
    """Rights in the order of `RIGHTS`, for JSON."""
    return [right for right in RIGHTS if right in rights]


def rights_text(rights: Rights) -> str:
    """Rights as they are stored."""
    return json.dumps({camera: sorted(names) for camera, names in sorted(rights.items())})


def account_name(text: str) -> str:
    """Return `text` in the one spelling under which an account is kept.

    Raises:
        Rejected: ``user.invalid``.
    """
    name = unicodedata.normalize("NFKC", text).strip()
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise Rejected("user.invalid", "a name has 1 to 64 printable characters", field="name")
    return name


class Users:
    """All accounts, in memory and in ``state.db``.

    Reading is immediate; whatever writes is awaited because the hash takes a tenth of a second
    and a commit waits for the disk.
    """

    def __init__(self, db: sqlite3.Connection, hasher: Hasher, clock: Clock) -> None:
        self._db = db
        self._hasher = hasher
        self._clock = clock
        self._changed: list[Callable[[str], None]] = []
        self._users = {user.name: user for user in map(_from_row, db.execute(_SELECT))}

    def all(self) -> tuple[User, ...]:
        """Every account by name."""
        return tuple(self._users[name] for name in sorted(self._users))

    def find(self, name: str) -> User | None:
        """The account called `name`, in any spelling of it."""
        return self._users.get(unicodedata.normalize("NFKC", name).strip())

    def subscribe(self, changed: Callable[[str], None]) -> None:
        """Tell `changed` the name of each account that was changed or removed."""
        self._changed.append(changed)

    async def check(self, name: str, password: str) -> User | None:
        """The account if the password is right, else None, in the same time for every name.

        Raises:
            Unavailable: ``auth.busy``: too many log-ins wait.
        """
        user = self.find(name)
        if not await self._hasher.verify(user.password if user else None, password):
            return None
        # The account may have gone, or got another password, while the hash was computed.
        if user is None or self._users.get(user.name) is not user:
            return None
        if self._hasher.outdated(user.password):
            fresh = replace(user, password=await self._hasher.hash(password))
            if self._users.get(user.name) is user:
                user = await self._store(fresh)
        return user

    async def add(
        self,
        name: str,
        role: Role,
        password: str,
        rights: Rights,
        recorded: Span | None = None,
    ) -> User:
        """Make an account.

        Raises:
            Rejected: ``user.exists``, ``user.invalid``, ``password.weak``, ``user.too_many``.
            Unavailable: ``auth.busy``, ``state.unwritable``.
        """
        user = await self.prepare(name, role, password, rights, recorded)
        return await self._store(user)

    async def prepare(
        self,
        name: str,
        role: Role,
        password: str,
        rights: Rights,
        recorded: Span | None = None,
    ) -> User:
        """Check everything and hash, without storing. Raises as `add`."""
        name = account_name(name)
        if role not in ROLES:
            raise Rejected("user.invalid", f"a role is one of {', '.join(ROLES)}", field="role")
        self._check_free(name)
        self._hasher.check_strength(password, name)
        encoded = await self._hasher.hash(password)
        self._check_free(name)
        return User(name, role, encoded, rights, recorded, self._clock.wall_us())

    async def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        password: str | None = None,
        rights: Rights | None = None,
    ) -> User:
        """Change what is given; its sessions end.

        Raises:
            Rejected: ``user.unknown``, ``user.last_admin``, ``password.weak``.
            Unavailable: ``auth.busy``, ``state.unwritable``.
        """
        user = self._must(name)
        if role is not None and role != "admin":
            self._keep_an_admin(user)
        encoded = user.password
        if password is not None:
            self._hasher.check_strength(password, user.name)
            encoded = await self._hasher.hash(password)
        new = replace(
            self._must(name),
            role=role or user.role,
            password=encoded,
            rights=user.rights if rights is None else rights,
        )
        if new.role != "admin":
            self._keep_an_admin(user)
        return await self._store(new)

    async def remove(self, name: str) -> None:
        """Delete an account; its sessions end.

        Raises:
            Rejected: ``user.unknown``, ``user.last_admin``.
        """
        user = self._must(name)
        self._keep_an_admin(user)
        del self._users[user.name]
        try:
            await self._hasher.beside(self._delete_row, user.name)
        except BaseException:
            self._users[user.name] = user
            raise
        self._tell(user.name)

    async def _store(self, user: User) -> User:
        await self._hasher.beside(insert_user, self._db, user)
        self.adopt(user)
        return user

    def adopt(self, user: User) -> None:
        """Take over an account that somebody else committed (the claim)."""
        self._users[user.name] = user
        self._tell(user.name)

    def _delete_row(self, name: str) -> None:
        self._db.execute("DELETE FROM user WHERE name = ?", (name,))

    def _tell(self, name: str) -> None:
        for changed in self._changed:
            changed(name)

    def _must(self, name: str) -> User:
        user = self.find(name)
        if user is None:
            raise Rejected("user.unknown", "there is no such account", user=name)
        return user

    def _check_free(self, name: str) -> None:
        if name in self._users:
            raise Rejected("user.exists", "there is an account of that name", user=name)
        if len(self._users) >= MOST_USERS:
            raise Rejected("user.too_many", f"there are {MOST_USERS} accounts already")

    def _keep_an_admin(self, user: User) -> None:
        admins = [one for one in self._users.values() if one.role == "admin"]
        if admins == [user]:
            raise Rejected("user.last_admin", "the box would be left without an administrator")


_SELECT = "SELECT name, role, password, rights, recorded_from_us, recorded_to_us, made_us FROM user"


def _from_row(row: tuple[str, Role, str, str, int | None, int | None, int]) -> User:
    name, role, password, rights, from_us, to_us, made_us = row
    recorded = None if from_us is None or to_us is None else (from_us, to_us)
    return User(name, role, password, rights_of(json.loads(rights)), recorded, made_us)


def insert_user(db: sqlite3.Connection, user: User) -> None:
    """Write an account over any of the same name."""
    from_us, to_us = user.recorded or (None, None)
    db.execute(
        "INSERT OR REPLACE INTO user VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            user.name,
            user.role,
            user.password,
            rights_text(user.rights),
            from_us,
            to_us,
            user.made_us,
        ),
    )
