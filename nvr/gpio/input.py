"""Alarm inputs: one thread reads all of them, and tells what is believed of each.

A line that chatters is read twice a second and no more: the kernel counts what it drops.
"""

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.gpio.debounce import Debounce, Settled
from nvr.hal.ports import Contact
from nvr.media.gpio import InputState

_log = logging.getLogger(__name__)

POLL_S = 0.1
"""How often an input without a descriptor is asked."""
STORM_POLL_S = 0.5
RETRY_S = 2.0
_BUG_S = 1.0


@dataclass(frozen=True, slots=True)
class Sensor:
    """One input of the board.

    Attributes:
        name: Its name on the board.
        open: Opens it.
        states: What its levels mean, from 0.
        settle_s: How long a level must stay to count.
        most_per_min: Changes a minute that are believed.
        most_edges_per_s: Edges a second that are.
    """

    name: str
    open: Callable[[], Contact]
    states: Sequence[InputState]
    settle_s: float = 0.05
    most_per_min: int = 30
    most_edges_per_s: int = 100


@dataclass(frozen=True, slots=True)
class Change:
    """What is told of an input.

    Attributes:
        name: Which.
        what: ``change``: to `state`; ``begin``: it is there, in `state`; ``storm``, ``calm``;
            ``gone``: it does not answer any more.
        state: What its level means; None when it is gone.
        at_s: Monotonic seconds of the edge.
        edges: Edges since the one told before.
    """

    name: str
    what: str
    state: InputState | None
    at_s: float
    edges: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How an input is.

    Attributes:
        state: What its settled level means; None while it is not there.
        storm: It chatters.
        edges: Edges seen since the start.
        changes: Of these, how many became a change.
        storms: How often it chattered.
    """

    state: InputState | None
    storm: bool = False
    edges: int = 0
    changes: int = 0
    storms: int = 0


@dataclass(slots=True)
class _State:
    sensor: Sensor
    contact: Contact | None = None
    debounce: Debounce | None = None
    look_s: float = 0.0
    reported: bool = False
    begun: bool = False
    reading: Reading = field(default_factory=lambda: Reading(None))


class Inputs:
    """All inputs of the board, by name.

    Args:
        sensors: The inputs; one that is not there is tried again.
        clock: Time source; the thread waits in real time.
        tell: Told of each change, in the thread; must not wait.
    """

    def __init__(
        self, sensors: Iterable[Sensor], *, clock: Clock, tell: Callable[[Change], None]
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._states = {one.name: _State(one) for one in sensors}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="gpio-in")

    def start(self) -> None:
        """Start the thread; a board without inputs needs none."""
        if self._states:
            self._thread.start()

    def close(self) -> None:
        """End the thread and give the lines back; waits for it."""
        self._closing = True
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._wake)
        for it in self._states.values():
            if it.contact is not None:
                it.contact.close()

    def names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(self._states)

    def reading(self, name: str) -> Reading:
        """How an input is."""
        return self._states[name].reading

    def turn(self, now_s: float) -> float:
        """Do what is due; returns when the next thing is. Called by the thread alone."""
        for it in self._states.values():
            if it.contact is None:
                if now_s >= it.look_s:
                    self._open(it, now_s)
                continue
            try:
                self._read(it, now_s)
            except NvrError as err:
                self._lose(it, err, now_s)
                continue
            self._settle(it, now_s)
        return min((self._wake_at_s(it) for it in self._states.values()), default=float("inf"))

    def listening(self) -> list[int]:
        """Descriptors that are to be waited for."""
        found = []
        for it in self._states.values():
            if it.contact is not None and it.contact.fileno() >= 0:
                assert it.debounce is not None
                if not it.debounce.storm:
                    found.append(it.contact.fileno())
        return found

    def _open(self, it: _State, now_s: float) -> None:
        sensor = it.sensor
        contact: Contact | None = None
        try:
            contact = sensor.open()
            level = contact.level()
        except NvrError as err:
            if contact is not None:
                contact.close()
            self._lose(it, err, now_s)
            return
        it.contact, it.look_s = contact, now_s
        it.debounce = Debounce(
            min(level, len(sensor.states) - 1), now_s, settle_s=sensor.settle_s,
            most_per_min=sensor.most_per_min, most_edges_per_s=sensor.most_edges_per_s,
        )  # fmt: skip
        if it.reported:
            event(_log, logging.INFO, "gpio.input_back", input=sensor.name)
            it.reported = False
        it.begun = True
        self._note(it)
        self._tell(Change(sensor.name, "begin", it.reading.state, now_s))

    def _read(self, it: _State, now_s: float) -> None:
        assert it.contact is not None
        assert it.debounce is not None
        polled = it.contact.fileno() < 0 or it.debounce.storm
        if polled and now_s < it.look_s:
            return
        it.look_s = now_s + (STORM_POLL_S if it.debounce.storm else POLL_S)
        most = len(it.sensor.states) - 1
        for edge in it.contact.edges():
            told = it.debounce.edge(min(edge.level, most), edge.at_s, edge.missed)
            if told is not None:
                it.look_s = now_s + STORM_POLL_S
                self._say(it, told)

    def _settle(self, it: _State, now_s: float) -> None:
        assert it.debounce is not None
        while (told := it.debounce.due(now_s)) is not None:
            self._say(it, told)
        self._note(it)

    def _say(self, it: _State, told: Settled) -> None:
        self._note(it)
        name = it.sensor.name
        if told.what == "storm":
            event(_log, logging.WARNING, "gpio.storm", input=name, edges=told.edges)
        elif told.what == "calm":
            event(_log, logging.INFO, "gpio.calm", input=name, edges=told.edges)
        self._tell(Change(name, told.what, it.reading.state, told.at_s, told.edges))

    def _note(self, it: _State) -> None:
        d = it.debounce
        assert d is not None
        it.reading = Reading(it.sensor.states[d.level], d.storm, d.edges, d.changes, d.storms)

    def _lose(self, it: _State, err: NvrError, now_s: float) -> None:
        level = logging.DEBUG if it.reported else logging.WARNING
        event(_log, level, "gpio.input_gone", input=it.sensor.name, error=str(err))
        it.reported = True
        if it.contact is not None:
            it.contact.close()
        it.contact, it.debounce, it.look_s = None, None, now_s + RETRY_S
        it.reading = Reading(None, edges=it.reading.edges, changes=it.reading.changes)
        if it.begun:
            it.begun = False
            self._tell(Change(it.sensor.name, "gone", None, now_s))

    def _wake_at_s(self, it: _State) -> float:
        if it.contact is None or it.debounce is None:
            return it.look_s
        polled = it.contact.fileno() < 0 or it.debounce.storm
        due_s = it.debounce.wake_at_s()
        return min(due_s, it.look_s) if polled else due_s

    def _run(self) -> None:
        while not self._closing:
            try:
                self._loop()
            except Exception:  # noqa: BLE001 - a bug must not leave the box deaf
                _log.exception("gpio.input_bug")
                time.sleep(_BUG_S)

    def _loop(self) -> None:
        while not self._closing:
            wake_s = self.turn(self._clock.monotonic_s())
            timeout_s = None
            if wake_s != float("inf"):
                timeout_s = max(0.0, wake_s - self._clock.monotonic_s())
            select.select([self._wake, *self.listening()], [], [], timeout_s)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
