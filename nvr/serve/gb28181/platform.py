"""One platform: registered with for as long as it is on, and answered.

::

    open a way -> register -> keep alive, refresh, answer -> (lost) wait -> open a way -> ...
                     '-> 302: the other server; if that one fails, the first again, at once

Only what comes from the platform's address is taken, and only while we are registered. What it may
do is in the policy, under ``gb`` and the command.

Source: GB/T 28181-2022, sections 9.1, 9.6 and annex A.2.5 (Keepalive).
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from nvr.auth.audit import Entry
from nvr.auth.policy import require
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.base.supervise import first_end
from nvr.media.gb28181 import ClockUse, PlatformCondition, PlatformSettings, PlatformState
from nvr.serve.gb28181.alarm import Alarms
from nvr.serve.gb28181.answers import Answers
from nvr.serve.gb28181.broadcast import KEY as BROADCAST
from nvr.serve.gb28181.broadcast import Broadcasts
from nvr.serve.gb28181.config import Configs
from nvr.serve.gb28181.control import Controls
from nvr.serve.gb28181.dialog import Dialogs
from nvr.serve.gb28181.link import Counts, Link
from nvr.serve.gb28181.parts import Parts
from nvr.serve.gb28181.query import Queries
from nvr.serve.gb28181.register import (
    Redirected,
    Registered,
    Registrar,
    check_redirection,
    elsewhere,
)
from nvr.serve.gb28181.registration import Registration
from nvr.serve.gb28181.roster import Roster
from nvr.serve.gb28181.snapshots import Snapshots
from nvr.serve.gb28181.subscribe import KINDS, Subscriptions
from nvr.serve.gb28181.transport import Received, Wire, open_wire
from nvr.wire.manscdp import Edition, build
from nvr.wire.sip_transaction import Acknowledged, Asked, Peer, Unacknowledged
from nvr.wire.soap import leaf, tag

_log = logging.getLogger(__name__)

MOST_FAULTS = 20
"""Of what does not work so many are named in a sign of life."""
MOST_EARLY = 32
"""More than that come again by themselves, or are asked again."""
SOONEST_S = 5.0
DOUBTED_S = 30.0
"""A time that is not believed is asked for again so much later."""
_WHOLE_MS = 1000
"""What SIP says of the time has whole seconds."""
_INVITES = ("Play", "Playback", "Download", "Talk")


class Open(Protocol):
    """See `open_wire`."""

    def __call__(
        self, transport: str, host: str, port: int, local_port: int, received: Received
    ) -> Awaitable[Wire]:
        """Open a way."""
        ...


class Platform:
    """One platform, from its settings.

    Args:
        parts: What we are built from.
        settings: Of the platform.
        password: Of our log-in.
        opens: Opens the way to it.

    Raises:
        Misconfigured: ``policy.missing``.
    """

    def __init__(
        self, parts: Parts, settings: PlatformSettings, password: str, opens: Open = open_wire
    ) -> None:
        self._parts, self.settings, self._password, self._opens = parts, settings, password, opens
        self._roster = Roster(parts, settings)
        self._alarms = Alarms(parts, self._roster)
        queries = Queries(parts, self._roster, self._alarms.on_duty)
        self._controls = Controls(parts, self._roster, self._alarms.duty, self._alarms.reset)
        snapshots = Snapshots(parts, self._spawn, self._say)
        self._configs = Configs(parts, self._roster, self._alarms, snapshots)
        self._operations = {
            **self._configs.operations(),
            **{("Query", name): one for name, one in queries.operations().items()},
            **{("Control", name): one for name, one in self._controls.operations().items()},
        }
        require(self.keys())
        self._counts = Counts()
        self._number = 0
        self._state: PlatformCondition = "connecting"
        self._since_us = parts.clock.wall_us()
        self._fault: NvrError | None = None
        self._fault_us = self._answered_us = self._told = 0
        self._clock_off_ms: int | None = None
        self._clock_use: ClockUse = ""
        self._edition: Edition | None = None
        self._server = ""
        self._link: Link | None = None
        self._dialogs: Dialogs | None = None
        self._broadcasts: Broadcasts | None = None
        self._subscriptions: Subscriptions | None = None
        self._answers: Answers | None = None
        # What came before we had read that we are registered: platforms ask at once.
        self._early: deque[Asked | Acknowledged | Unacknowledged] = deque(maxlen=MOST_EARLY)
        self._tasks: set[asyncio.Task[None]] = set()

    def keys(self) -> list[str]:
        """Keys of the policy for everything that a platform can ask."""
        return [
            *(f"gb {name}" for _, name in self._operations),
            *self._controls.keys(),
            *self._configs.keys(),
            *(f"gb INVITE {one}" for one in _INVITES),
            BROADCAST,
            *(f"gb SUBSCRIBE {kind}" for kind in KINDS),
        ]

    def state(self) -> PlatformState:
        """How it is."""
        return PlatformState(
            self.settings, self._state, self._since_us, self._fault, self._fault_us, self._server,
            self._edition or "", self._answered_us, self._clock_off_ms, self._clock_use,
            self._counts.asked, self._counts.refused, self._counts.damaged, self._counts.repeated,
            self._told, len(self._dialogs or ()) + len(self._broadcasts or ()),
            self._subscriptions.kinds() if self._subscriptions else (),
        )  # fmt: skip

    async def run(self) -> None:
        """Be registered, until cancelled."""
        await first_end(self._alarms.run(), self._keep_registered())

    async def _keep_registered(self) -> None:
        target, level, returned_s = self.settings, logging.WARNING, -1e9
        while True:
            self._turn("connecting")
            began_s = self._parts.clock.monotonic_s()
            again_at_once = False
            try:
                sent_on = await self._once(target)
                if sent_on is not None:
                    check_redirection(target.host, sent_on)
                    if target is not self.settings:
                        raise Unavailable("gb.redirect", "the platform sends us round in a circle")
                    target, again_at_once = elsewhere(self.settings, sent_on), True
            except NvrError as err:
                self._fail(err, level)
                # The server that we were sent to failed: back to the one that sent us, at once,
                # but not round and round.
                now_s = self._parts.clock.monotonic_s()
                if target is not self.settings and now_s - returned_s > self.settings.retry_s:
                    again_at_once, returned_s = True, now_s
                target = self.settings
            lasted_s = self._parts.clock.monotonic_s() - began_s
            level = logging.WARNING if lasted_s > self.settings.retry_s else logging.DEBUG
            if again_at_once:
                continue
            self._turn("waiting")
            jitter = random.random() * 0.25  # noqa: S311 - spread, not a secret
            await self._parts.clock.sleep(self.settings.retry_s * (1 + jitter))

    async def _once(self, target: PlatformSettings) -> Redirected | None:
        """Open a way, register, and stay; returns where we were sent instead.

        Raises:
            NvrError: It ended.
        """
        links: list[Link] = []

        def received(data: bytes, peer: Peer) -> None:
            if links:
                links[0].received(data, peer)

        wire = await self._opens(
            target.transport, target.host, target.port, target.local_port, received
        )
        self._early.clear()
        link = Link(wire, target, self._parts.clock, self._counts, self._heard)
        links.append(link)
        registrar = Registrar(link, target, self._password, self._parts.clock)
        self._server = f"{target.host}:{target.port}"
        try:
            found: list[Registered | Redirected] = []

            async def register() -> None:
                found.append(await registrar.register())

            await first_end(register(), wire.lost())
            if isinstance(found[0], Redirected):
                return found[0]
            await self._stay(link, registrar, found[0])
        finally:
            if self._link is link:
                registrar.leave()
            await self._close(link, wire)
        return None

    async def _stay(self, link: Link, registrar: Registrar, known: Registered) -> None:
        self._link, self._edition = link, known.edition
        registration = Registration(
            self._parts, self._roster, link, known.edition, self._spawn, self._next_number
        )
        self._dialogs = Dialogs(registration)
        self._subscriptions = Subscriptions(registration)
        self._broadcasts = Broadcasts(registration)
        self._answers = Answers(registration, self._operations, self._broadcasts)
        self._take_time(known)
        self._turn("registered")
        event(_log, logging.INFO, "gb.registered", platform=self.settings.name,
              server=self._server, expires_s=known.expires_s, edition=known.edition)  # fmt: skip
        self._parts.audit.record(Entry("event", "gb REGISTER", who=self.settings.name,
                                       source=link.wire.remote[0]))  # fmt: skip
        while self._early:
            self._heard(self._early.popleft())
        await first_end(
            link.wire.lost(),
            self._refresh(registrar, known.expires_s),
            self._keep_alive(link),
            self._subscriptions.run(),
            self._tell_alarms(link),
        )

    async def _close(self, link: Link, wire: Wire) -> None:
        """End everything of one registration; nothing of it goes on."""
        self._controls.close()
        if self._dialogs is not None:
            self._dialogs.close(tell=self._link is link)
        if self._broadcasts is not None:
            self._broadcasts.close(tell=self._link is link)
        if self._subscriptions is not None:
            self._subscriptions.close()
        self._link = self._dialogs = self._subscriptions = self._answers = None
        self._broadcasts = None
        link.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        wire.close()

    async def _refresh(self, registrar: Registrar, expires_s: int) -> None:
        while True:
            # A while before its end, so that a lost message costs nothing.
            wait_s = expires_s - min(expires_s / 3, 120.0)
            if self._clock_use == "refused":
                wait_s = min(wait_s, DOUBTED_S)
            await self._parts.clock.sleep(wait_s)
            found = await registrar.register()
            if isinstance(found, Redirected):
                raise Unavailable("gb.redirect", "the platform sends us on")
            expires_s = found.expires_s
            self._take_time(found)

    async def _keep_alive(self, link: Link) -> None:
        """Say that we live, and what does not; misses in a row end the registration."""
        missed, sent_s = 0, -1e9
        told: list[str] = []
        while True:
            faults = self._roster.faults()
            now_s = self._parts.clock.monotonic_s()
            due = now_s - sent_s >= self.settings.keepalive_s
            if due or (set(faults) - set(told) and now_s - sent_s >= SOONEST_S):
                sent_s, told = now_s, faults
                response = await link.ask(
                    link.message(self._next_number(), self._sign_of_life(faults))
                )
                if response is not None and response.status == 200:
                    missed = 0
                    self._answered_us = self._parts.clock.wall_us()
                elif response is not None and response.status in {401, 403, 404}:
                    raise Unavailable("gb.forgotten", "the platform does not know us any more")
                else:
                    missed += 1
                if missed >= self.settings.misses:
                    raise Unavailable("gb.silent", "the platform does not answer signs of life")
            left_s = sent_s + self.settings.keepalive_s - self._parts.clock.monotonic_s()
            await self._parts.clock.sleep(min(max(left_s, 0.1), SOONEST_S))

    def _sign_of_life(self, faults: list[str]) -> bytes:
        wrong = self._parts.box.fault() is not None
        info = ""
        if faults:
            info = tag("Info", *(leaf("DeviceID", one) for one in faults[:MOST_FAULTS]))
        return self._notify("Keepalive", leaf("Status", "ERROR" if wrong else "OK"), info)

    async def _tell_alarms(self, link: Link) -> None:
        """Tell them in order; one that was not taken is told again over the next registration."""
        alarms = self._alarms
        while True:
            while alarms.waiting:
                one = alarms.waiting[0]
                taken = None
                if self._subscriptions is not None:
                    taken = await self._subscriptions.tell("Alarm", one.device, one.inner())
                if taken is None:
                    body = build(
                        "Notify", "Alarm", self._next_number(), one.device, one.inner(),
                        edition=self._edition or "2022",
                    )  # fmt: skip
                    response = await link.ask(link.message(self._next_number(), body))
                    taken = response is not None
                if not taken:
                    await self._parts.clock.sleep(SOONEST_S)
                    continue
                self._told += 1
                if alarms.waiting and alarms.waiting[0] is one:
                    alarms.waiting.popleft()
            alarms.came.clear()
            await alarms.came.wait()

    def _heard(self, what: Asked | Acknowledged | Unacknowledged) -> None:
        dialogs, subscriptions = self._dialogs, self._subscriptions
        answers, broadcasts = self._answers, self._broadcasts
        if dialogs is None or subscriptions is None or answers is None or broadcasts is None:
            self._early.append(what)
            return
        if isinstance(what, Acknowledged):
            dialogs.acknowledged(what.call_id)
        elif isinstance(what, Unacknowledged):
            dialogs.unacknowledged(what.call_id)
        elif what.request.method != "BYE" or not broadcasts.bye(what):
            handlers = {
                "MESSAGE": answers.message,
                "INVITE": dialogs.invite,
                "BYE": dialogs.bye,
                "CANCEL": dialogs.cancel,
                "INFO": dialogs.info,
                "SUBSCRIBE": subscriptions.subscribe,
            }
            handlers.get(what.request.method, answers.other)(what)

    def _notify(self, command: str, *inner: str) -> bytes:
        return build(
            "Notify", command, self._next_number(), self.settings.device, *inner,
            edition=self._edition or self.settings.edition,
        )  # fmt: skip

    async def _say(self, command: str, device: str, *inner: str) -> None:
        """See `nvr.serve.gb28181.snapshots.Say`."""
        link, edition = self._link, self._edition or self.settings.edition
        if link is not None:
            number = self._next_number()
            body = build("Notify", command, number, device, *inner, edition=edition)
            await link.ask(link.message(self._next_number(), body))

    def _next_number(self) -> int:
        self._number = self._number % 999_999_999 + 1
        return self._number

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that ends with the registration; that nobody answers is no fault here."""

        async def quiet() -> None:
            with suppress(Unavailable):
                await work

        task = asyncio.create_task(quiet())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _take_time(self, known: Registered) -> None:
        if known.date_us is None:
            return
        # It was said somewhere between our question and its answer.
        half_ms = known.took_ms // 2
        said_us = known.date_us + half_ms * 1000
        if self.settings.sets_clock:
            self._clock_use = self._parts.time.offer(
                self.settings.name, said_us, _WHOLE_MS + half_ms
            )
        self._clock_off_ms = round((said_us - self._parts.clock.wall_us()) / 1000)

    def _turn(self, state: PlatformCondition) -> None:
        if state != self._state:
            self._state, self._since_us = state, self._parts.clock.wall_us()

    def _fail(self, err: NvrError, level: int) -> None:
        self._fault, self._fault_us = err, self._parts.clock.wall_us()
        event(_log, level, "gb.failed", platform=self.settings.name, error=str(err))
