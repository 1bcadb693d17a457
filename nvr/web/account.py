"""Accounts, machine credentials and the audit log over HTTP."""

import asyncio
import contextlib

from aiohttp import web
from msgspec import Struct

from nvr.auth.audit import Category, Row
from nvr.auth.machine import Machine
from nvr.auth.user import CEILING, ROLES, Rights, Role, User, plain, rights_of
from nvr.base.errors import Rejected
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, number, read_json

ROWS = 200
FLUSH_S = 2.0
"""What was done a moment ago should be in the log that is shown, unless the disk takes nothing."""


class UserBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/user``."""

    name: str
    role: str
    password: str
    rights: dict[str, list[str]] = {}
    recorded: tuple[int, int] | None = None


class UserChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PATCH /api/user/{name}``."""

    role: str | None = None
    password: str | None = None
    rights: dict[str, list[str]] | None = None


class AccountView(Struct, frozen=True):
    """An account as JSON."""

    name: str
    role: str
    rights: dict[str, list[str]]
    recorded: tuple[int, int] | None
    made_us: int


class MachineBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/machine``."""

    name: str
    rights: dict[str, list[str]] = {}
    tokens: bool = False


class MachineView(Struct, frozen=True, omit_defaults=True):
    """A machine credential as JSON; the secret is there once."""

    name: str
    rights: dict[str, list[str]]
    made_us: int
    secret: str = ""
    tokens: bool = False


class RowView(Struct, frozen=True):
    """A row of the audit log as JSON."""

    seq: int
    at_us: int
    category: str
    outcome: str
    reason: str
    hardware_no: str
    who: str
    source: str
    target: str
    action: str


class ChainView(Struct, frozen=True):
    """Whether the rows shown fit together."""

    ok: bool
    seq: int | None
    why: str


class AuditView(Struct, frozen=True):
    """Rows of the audit log, newest first."""

    rows: list[RowView]
    chain: ChainView


class Accounts:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        setting: Category = "admin-setting"
        return [
            Route("http GET /api/user", self.users),
            Route("http POST /api/user", self.add_user, log=setting),
            Route("http PATCH /api/user/{name}", self.change_user, log=setting),
            Route("http DELETE /api/user/{name}", self.remove_user, log=setting),
            Route("http GET /api/machine", self.machines),
            Route("http POST /api/machine", self.add_machine, log=setting),
            Route("http DELETE /api/machine/{name}", self.remove_machine, log=setting),
            Route("http GET /api/audit", self.audit),
        ]

    async def users(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/user``."""
        return answer([_account(user) for user in self._parts.users.all()])

    async def add_user(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/user``."""
        body = await read_json(request, UserBody)
        user = await self._parts.users.add(
            body.name, _role(body.role), body.password, rights_of(body.rights), body.recorded
        )
        request[REASON] = f"added {user.name} as {user.role}"
        return answer(_account(user), 201)

    async def change_user(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PATCH /api/user/{name}``."""
        body = await read_json(request, UserChange)
        user = await self._parts.users.change(
            request.match_info["name"],
            role=None if body.role is None else _role(body.role),
            password=body.password,
            rights=None if body.rights is None else rights_of(body.rights),
        )
        request[REASON] = f"changed {user.name}, now {user.role}"
        return answer(_account(user))

    async def remove_user(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``DELETE /api/user/{name}``."""
        name = request.match_info["name"]
        await self._parts.users.remove(name)
        request[REASON] = f"removed {name}"
        return answer({})

    async def machines(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/machine``."""
        return answer([_machine(machine) for machine in self._parts.machines.all()])

    async def add_machine(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``POST /api/machine``: the only answer that holds the secret."""
        body = await read_json(request, MachineBody)
        rights = rights_of(body.rights or {"*": ["live"]})
        machine, secret = self._parts.machines.add(body.name, rights, tokens=body.tokens)
        request[REASON] = f"added {machine.name}"
        return answer(_machine(machine, secret), 201)

    async def remove_machine(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``DELETE /api/machine/{name}``."""
        name = request.match_info["name"]
        self._parts.machines.remove(name)
        request[REASON] = f"revoked {name}"
        return answer({})

    async def audit(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``GET /api/audit``: up to 200 rows, and whether they hold together."""
        before = number(request, "before") if request.query.get("before") else None
        if before is None:
            with contextlib.suppress(TimeoutError):  # a full disk must not hide what is there
                async with asyncio.timeout(FLUSH_S):
                    await self._parts.audit.flush()
        rows, bad = await asyncio.to_thread(self._parts.audit.rows, before, ROWS)
        chain = ChainView(bad is None, bad.seq if bad else None, bad.why if bad else "")
        return answer(AuditView([_row(row) for row in rows], chain))


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise Rejected("user.invalid", f"a role is one of {', '.join(ROLES)}", field="role")


def _plain(rights: Rights) -> dict[str, list[str]]:
    return {camera: plain(names) for camera, names in rights.items()}


def _account(user: User) -> AccountView:
    rights = {"*": plain(CEILING["admin"])} if user.role == "admin" else _plain(user.rights)
    return AccountView(user.name, user.role, rights, user.recorded, user.made_us)


def _machine(machine: Machine, secret: str = "") -> MachineView:
    tokens = bool(machine.secret)
    return MachineView(machine.name, _plain(machine.rights), machine.made_us, secret, tokens)


def _row(row: Row) -> RowView:
    entry = row.entry
    return RowView(
        row.seq,
        row.time_us,
        entry.category,
        entry.state,
        entry.reason,
        entry.hardware_no,
        entry.who,
        entry.source,
        entry.camera,
        entry.action,
    )
