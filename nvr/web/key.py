"""The keys of the archive over HTTP: how it is sealed, a recovery key, and destruction."""

import asyncio
from datetime import date

from aiohttp import web
from msgspec import Struct

from nvr.base.errors import Rejected
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import FaultView, answer, read_json

MOST_WHY = 200
_EPOCH = date(1970, 1, 1).toordinal()


class AdoptBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/key/adopt``."""

    recovery_key: str


class PassphraseBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/key/unlock`` and ``PUT /api/key/passphrase``."""

    passphrase: str


class TpmBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/key/tpm``."""

    pcrs: list[int] = []


class DestroyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/key/destroy``."""

    camera: str
    first_day: str
    last_day: str
    why: str


class KeyView(Struct, frozen=True):
    """How the archive is sealed, as JSON."""

    seals: bool
    passphrase: bool
    tpm: bool
    pcrs: list[int]
    refused: FaultView | None
    locked: bool
    suite: str
    box: str
    owner: str
    signs: str
    keys: int
    foreign: int
    first_day: str | None
    last_day: str | None


class RecoveryView(Struct, frozen=True):
    """A new recovery key as JSON."""

    recovery_key: str
    owner: str
    without: int


class LeftView(Struct, frozen=True):
    """How many keys are left that the box cannot use, as JSON."""

    left: int


class AdoptedView(Struct, frozen=True):
    """How many keys are left that the box cannot use, and whether it has a new one, as JSON."""

    left: int
    new_key: bool


class DestroyedView(Struct, frozen=True):
    """What was destroyed, as JSON."""

    keys: int


class KeyPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        return [
            Route("http GET /api/key", self.state),
            Route("http POST /api/key/recovery", self.recovery, log="function-setting"),
            Route("http POST /api/key/unlock", self.unlock, log="function-setting"),
            Route("http PUT /api/key/passphrase", self.passphrase, log="function-setting"),
            Route("http PUT /api/key/tpm", self.tpm, log="function-setting"),
            Route("http POST /api/key/rotate", self.rotate, log="function-setting"),
            Route("http POST /api/key/adopt", self.adopt, log="function-setting"),
            Route("http POST /api/key/destroy", self.destroy, log="function-setting"),
        ]

    async def state(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - nothing to read
        """``GET /api/key``."""
        found = await asyncio.to_thread(self._parts.keys.state)
        first, last = (None, None) if found.days is None else map(day_text, found.days)
        return answer(
            KeyView(
                found.seals,
                found.passphrase,
                found.tpm,
                list(found.pcrs),
                FaultView(found.refused.code, found.refused.detail) if found.refused else None,
                found.locked,
                found.suite,
                found.box,
                found.owner,
                found.signs,
                found.keys,
                found.foreign,
                first,
                last,
            )
        )

    async def recovery(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - for every administrator
        """``POST /api/key/recovery``."""
        made = await asyncio.to_thread(self._parts.keys.new_recovery)
        request[REASON] = made.owner
        return answer(RecoveryView(made.words, made.owner, made.without), 201)

    async def unlock(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - for every administrator
        """``POST /api/key/unlock``."""
        body = await read_json(request, PassphraseBody)
        await asyncio.to_thread(self._parts.keys.unlock, body.passphrase)
        return answer({})

    async def passphrase(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - for every administrator
        """``PUT /api/key/passphrase``."""
        body = await read_json(request, PassphraseBody)
        await asyncio.to_thread(self._parts.keys.set_passphrase, body.passphrase)
        request[REASON] = "set" if body.passphrase else "removed"
        return answer({})

    async def tpm(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - for every administrator
        """``PUT /api/key/tpm``."""
        body = await read_json(request, TpmBody)
        request[REASON] = "PCR " + (", ".join(map(str, body.pcrs)) or "none")
        return answer(LeftView(await asyncio.to_thread(self._parts.keys.bind_tpm, body.pcrs)))

    async def rotate(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - for every administrator
        """``POST /api/key/rotate``."""
        left = await asyncio.to_thread(self._parts.keys.change_box_key)
        request[REASON] = (await asyncio.to_thread(self._parts.keys.state)).box
        return answer(LeftView(left))

    async def adopt(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - for every administrator
        """``POST /api/key/adopt``."""
        body = await read_json(request, AdoptBody)
        found = await asyncio.to_thread(self._parts.keys.adopt, body.recovery_key)
        if found.new_key:
            request[REASON] = "the box was locked and has a new key"
        return answer(AdoptedView(found.left, found.new_key))

    async def destroy(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/key/destroy``."""
        body = await read_json(request, DestroyBody)
        request[REASON] = f"{body.camera} {body.first_day} to {body.last_day}: {body.why}"
        if not 0 < len(body.why.strip()) <= MOST_WHY:
            raise Rejected("key.invalid", f"say why, in up to {MOST_WHY} characters", field="why")
        days = day_of_text(body.first_day, "first_day"), day_of_text(body.last_day, "last_day")
        if days[1] < days[0]:
            raise Rejected("key.invalid", "the last day is before the first", field="last_day")
        gone = await asyncio.to_thread(
            self._parts.keys.destroy, body.camera, days, caller.subject.name, body.why.strip()
        )
        return answer(DestroyedView(len(gone)))


def day_text(day: int) -> str:
    """Return a day, counted from 1970, as ``2026-03-01``."""
    return date.fromordinal(_EPOCH + day).isoformat()


def day_of_text(text: str, field: str) -> int:
    """Return the day that ``2026-03-01`` names, counted from 1970.

    Raises:
        Rejected: ``key.invalid``.
    """
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError as err:
        raise Rejected("key.invalid", "this is no day like 2026-03-01", field=field) from err
