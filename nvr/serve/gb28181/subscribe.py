"""What a platform wants to be told of by itself: changes of the catalogue, alarms.

A subscription is a dialog of its own. To the catalogue belongs at once what does not work, and
then what changes, looked at every `EVERY_S`: what came and went in between is not told, so that a
camera that flaps costs one line in that time. Alarms go into the dialog of their subscription, and
in a message where there is none. Where we stand is not told: boxes do not move.

Source: GB/T 28181-2022, sections 9.11 and 9.12; RFC 6665 (SUBSCRIBE, NOTIFY).
"""

import re
import secrets
from dataclasses import dataclass, field

from nvr.auth.policy import authorise
from nvr.base.errors import NvrError, Rejected
from nvr.serve.gb28181.registration import Registration
from nvr.serve.gb28181.roster import Entry, pages
from nvr.wire.manscdp import TYPE, Body, build, list_of, parse
from nvr.wire.sip import Request, Uri, tag_of
from nvr.wire.sip_transaction import Asked
from nvr.wire.soap import leaf, tag
from nvr.wire.xml import Malformed

EVERY_S = 5.0
MOST = 8
LONGEST_S = 7 * 86400
KINDS = ("Catalog", "Alarm")
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(slots=True)
class Subscription:
    """One.

    Attributes:
        asked: The SUBSCRIBE that began it.
        tag: Ours.
        kind: One of `KINDS`.
        body: What it asked for.
        until_s: Monotonic seconds of its end.
        number: Of our last request in it.
        known: Of a catalogue, what was told.
    """

    asked: Asked
    tag: str
    kind: str
    body: Body
    until_s: float
    number: int = 0
    known: dict[str, Entry] = field(default_factory=dict)


class Subscriptions:
    """All of one platform, over one registration. Arguments as of `Dialogs`."""

    def __init__(
        self,
        registration: Registration,
    ) -> None:
        self._reg = registration
        self._all: dict[str, Subscription] = {}

    def kinds(self) -> tuple[str, ...]:
        """What is subscribed to."""
        return tuple(sorted({one.kind for one in self._all.values()}))

    async def run(self) -> None:
        """See what changes, until cancelled."""
        while True:
            await self._reg.parts.clock.sleep(EVERY_S)
            now_s = self._reg.parts.clock.monotonic_s()
            for call_id, one in list(self._all.items()):
                if now_s >= one.until_s:
                    del self._all[call_id]
                    self._reg.spawn(self._finish(one))
                elif one.kind == "Catalog":
                    await self._look(one)

    def subscribe(self, asked: Asked) -> None:
        """``SUBSCRIBE``: a new one, more time for one, or its end with ``Expires: 0``."""
        request = asked.request
        said = request.get("Expires").strip()
        lasts_s = min(int(said), LONGEST_S) if _SECONDS.fullmatch(said) else 3600
        known = self._all.get(request.call_id)
        if known is not None and _from(known.asked.request) == _from(request):
            self._grant(asked, known.tag, lasts_s)
            known.until_s = self._reg.parts.clock.monotonic_s() + lasts_s
            if lasts_s == 0:
                del self._all[request.call_id]
                self._reg.spawn(self._finish(known))
            return
        if tag_of(request.get("To")):
            self._reg.link.answer(asked, 481, "Subscription Does Not Exist")
            return
        try:
            body = parse(request.body)
        except Malformed:
            self._reg.link.answer(asked, 400, "Bad Request")
            return
        if body.kind != "Query" or body.command not in KINDS:
            headers = [("Allow-Events", "Catalog, presence")]
            self._reg.link.answer(asked, 489, "Bad Event", headers=headers)
        elif not self._reg.roster.knows(body.device):
            self._reg.link.answer(asked, 404, "Not Found")
        elif len(self._all) >= MOST:
            self._reg.link.answer(asked, 486, "Too many subscriptions")
        else:
            self._begin(asked, body, lasts_s)

    async def tell(self, kind: str, device: str, inner: str) -> bool | None:
        """Tell of something; None if nobody subscribed to it, else whether it was taken."""
        found = [one for one in self._all.values() if one.kind == kind]
        if not found:
            return None
        taken = False
        for one in found:
            taken = await self._notify(one, [inner], device) or taken
        return taken

    def close(self) -> None:
        """Forget all."""
        self._all.clear()

    def _begin(self, asked: Asked, body: Body, lasts_s: int) -> None:
        try:
            authorise(self._reg.roster.subject, f"gb SUBSCRIBE {body.command}")
        except Rejected:
            self._reg.link.answer(asked, 403, "Forbidden")
            return
        until_s = self._reg.parts.clock.monotonic_s() + lasts_s
        one = Subscription(asked, secrets.token_hex(6), body.command, body, until_s)
        self._grant(asked, one.tag, lasts_s)
        if lasts_s == 0:
            return  # a question of once: there is nothing that is told of once
        self._all[asked.request.call_id] = one
        if one.kind == "Catalog":
            self._reg.spawn(self._first(one))

    def _grant(self, asked: Asked, own: str, lasts_s: int) -> None:
        headers = [
            ("Contact", self._reg.link.contact),
            ("Expires", str(lasts_s)),
            ("Event", asked.request.get("Event") or "presence"),
        ]
        self._reg.link.answer(asked, 200, "OK", tag=own, headers=headers)

    async def _first(self, one: Subscription) -> None:
        entries = self._reg.roster.entries()
        one.known = {entry.id: entry for entry in entries}
        await self._changes(one, [(entry, "OFF") for entry in entries if not entry.on])

    async def _look(self, one: Subscription) -> None:
        now = {entry.id: entry for entry in self._reg.roster.entries()}
        changes: list[tuple[Entry, str]] = []
        for entry in now.values():
            before = one.known.get(entry.id)
            if before is None:
                changes.append((entry, "ADD"))
            elif before.on != entry.on:
                changes.append((entry, "ON" if entry.on else "OFF"))
            elif before != entry:
                changes.append((entry, "UPDATE"))
        changes += [(gone, "DEL") for key, gone in one.known.items() if key not in now]
        one.known = now
        await self._changes(one, changes)

    async def _changes(self, one: Subscription, changes: list[tuple[Entry, str]]) -> None:
        items = [
            self._reg.roster.item(entry, self._reg.edition, what)
            if what in {"ADD", "UPDATE"}
            else tag("Item", leaf("DeviceID", entry.id), leaf("Event", what))
            for entry, what in changes
        ]
        for page in pages(items, self._reg.roster.settings.transport) if items else ():
            inner = [leaf("SumNum", len(items)), list_of("DeviceList", page)]
            if not await self._notify(one, inner, self._reg.roster.settings.device):
                return

    async def _notify(self, one: Subscription, inner: list[str], device: str) -> bool:
        """Tell; a platform that knows nothing of the subscription has none any more."""
        body = build(
            "Notify",
            one.kind,
            self._reg.number(),
            device,
            *inner,
            edition=self._reg.edition,
        )
        left_s = max(0, int(one.until_s - self._reg.parts.clock.monotonic_s()))
        try:
            response = await self._reg.link.ask(
                self._request(one, f"active;expires={left_s}", body)
            )
        except NvrError:
            return False
        if response is None or response.status == 481:
            self._all.pop(one.asked.request.call_id, None)
        return response is not None and response.status == 200

    async def _finish(self, one: Subscription) -> None:
        await self._reg.link.ask(self._request(one, "terminated;reason=timeout", b""))

    def _request(self, one: Subscription, state: str, body: bytes) -> Request:
        begun = one.asked.request
        one.number += 1
        contact = Uri.parse(begun.get("Contact"))
        uri = begun.get("Contact").partition("<")[2].partition(">")[0] if contact else ""
        headers = [
            ("From", f"{begun.get('To').partition(';tag=')[0]};tag={one.tag}"),
            ("To", begun.get("From")),
            ("Call-ID", begun.call_id),
            ("CSeq", f"{one.number} NOTIFY"),
            ("Contact", self._reg.link.contact),
            ("Event", begun.get("Event") or "presence"),
            ("Subscription-State", state),
        ]
        return self._reg.link.request(
            "NOTIFY", uri or self._reg.link.server_uri, headers, body, TYPE
        )


def _from(request: Request) -> str:
    return tag_of(request.get("From"))
