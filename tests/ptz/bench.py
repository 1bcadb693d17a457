# ruff: noqa: ARG002 - a port has arguments that one dome does not need
"""A controller with its autopilot before a virtual dome; its clock moves only when told to."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from nvr.base.clock import FakeClock
from nvr.media.ports import Operator, Position
from nvr.ptz.autopilot import Autopilot
from nvr.ptz.bus import BusEvent
from nvr.ptz.controller import Controller
from nvr.ptz.heads import Mount
from nvr.ptz.keep import KeepBook
from nvr.ptz.line import Chain
from nvr.ptz.pelco import Pelco
from nvr.ptz.position import Asked
from nvr.ptz.preset import PresetBook
from nvr.ptz.schedule import NEUTRAL, Auxiliary, Motion
from nvr.sim.decoder import Outputs, Receiver
from nvr.sim.head import ZOOM_MAX, Head
from nvr.sim.view import View

STEP_S, IDLE_STEP_S = 0.02, 0.1
QUIET_S = 0.5


class Dome:
    """A line with one virtual dome at its end. See `nvr.ptz.line.Line`."""

    def __init__(
        self, clock: FakeClock, tell: Callable[[BusEvent], None], *, reports: bool
    ) -> None:
        self.head = Head(clock.now_s, View(10.0, -10.0, 1.0))
        self.online, self.glides = True, False
        self._receiver = Receiver(self.head, Outputs(), 1, ZOOM_MAX)
        self._clock, self._tell, self._reports = clock, tell, reports
        self._encode: Callable[[Motion], bytes] = lambda _: b""
        self._until_s: float | None = None
        self._told_s = 0.0
        self._position: Position | None = None
        self.stops = 0
        self.calls: list[tuple[float, bytes]] = []

    def add(
        self,
        head: str,
        encode: Callable[[Motion], bytes],
        asked: Asked | None = None,
        chain: Chain | None = None,
    ) -> None:
        self.name, self._encode = head, encode

    def add_auxiliary(self, head: str, name: str, auxiliary: Auxiliary) -> None: ...

    def leave(self, head: str) -> None:
        self.stop(head)

    def move(self, head: str, motion: Motion, until_s: float) -> None:
        self._until_s = until_s
        self._send(self._encode(motion))

    def stop(self, head: str) -> None:
        self._until_s = None
        self.stops += 1
        self._send(self._encode(NEUTRAL))

    def switch(self, head: str, name: str, on: bool) -> None: ...

    def lit(self, head: str, name: str) -> bool:
        return False

    def unbar(self, head: str) -> None: ...

    def command(self, head: str, data: bytes, *, moves: bool) -> None:
        self.calls.append((self._clock.now_s, data))
        self._send(data)

    def advance(self) -> None:
        now_s = self._clock.now_s
        self.head.advance(now_s)
        if self._until_s is not None and now_s >= self._until_s:
            self.stop(self.name)
            self._tell(BusEvent("lapsed", self.name, now_s, now_s))
        if self._reports and self._until_s is None and now_s - self._told_s > QUIET_S:
            view = self.head.view
            zoom = (view.zoom - 1) / (ZOOM_MAX - 1)
            at = Position(round(view.pan_deg, 2), round(view.tilt_deg, 2), zoom)
            if at != self._position:
                self._position = at
                self._tell(BusEvent("pointed", self.name, now_s, now_s, at))

    def _send(self, data: bytes) -> None:
        self._told_s = self._clock.now_s
        self._receiver.receive(data, self._clock.now_s)

    @property
    def view(self) -> View:
        self.head.advance(self._clock.now_s)
        return self.head.view

    def store(
        self, number: int, pan_deg: float, tilt_deg: float = -10.0, zoom: float = 1.0
    ) -> None:
        self.head.restore({**self.head.presets, number: View(pan_deg, tilt_deg, zoom)})

    def off_deg(self, pan_deg: float, tilt_deg: float = -10.0) -> float:
        view = self.view
        return math.hypot((view.pan_deg - pan_deg + 180) % 360 - 180, view.tilt_deg - tilt_deg)


class Bench:
    """One camera ``gate``. `local` is weekday and minute of the wall clock there."""

    def __init__(
        self, place: Path, *, reports: bool = True, clock: FakeClock | None = None
    ) -> None:
        self.place = place
        self.clock = clock or FakeClock()
        self.local: tuple[int, int] | None = (0, 0)
        self.audit: list[tuple[str, str, str]] = []
        self.dome = Dome(self.clock, self._told, reports=reports)
        self.presets = PresetBook(place / "presets.json")
        book = self.book = KeepBook(place / "ptz.json", lambda job: job())
        self.ptz = Controller(
            [Mount("gate", self.dome, Pelco(reports=reports))],
            switches=None,
            presets=self.presets,
            clock=self.clock,
            audit=self.note,
            save=lambda job: job(),
            book=book,
        )
        self.pilot = Autopilot(
            self.ptz,
            self.ptz.cameras,
            book,
            clock=self.clock,
            local=lambda: self.local,
            audit=self.note,
            changed=self.ptz.refresh,
            chance=random.Random(7),
        )
        self.ptz.watch, self.ptz.auto = self.pilot.seen, self.pilot.state
        self._next_s = 0.0
        for number, pan_deg in ((1, 0.0), (2, 90.0), (3, 180.0)):
            self.dome.store(number, pan_deg)
            if not self.presets.has("gate", number):
                self.presets.put("gate", number, f"P{number}")

    def _told(self, told: BusEvent) -> None:
        self.ptz.bus_event(told)

    def note(self, action: str, who: Operator, _camera: str, detail: str) -> None:
        self.audit.append((action, who.name, detail))

    def actions(self, *kinds: str) -> list[tuple[str, str, str]]:
        return [one for one in self.audit if one[0] in kinds]

    def run(self, for_s: float, hold: tuple[Operator, float, float, float] | None = None) -> None:
        """Let time pass; with `hold` somebody holds a stick meanwhile: who, pan, tilt, zoom."""
        end_s, renewed_s = self.clock.now_s + for_s, -1.0
        while self.clock.now_s < end_s:
            if hold and self.clock.now_s - renewed_s >= 0.15:
                renewed_s = self.clock.now_s
                self.ptz.move("gate", *hold)
            if self.clock.now_s >= self._next_s:
                self.ptz.tick()
                self._next_s = self.clock.now_s + min(self.pilot.tick(), 0.2)
            self.clock.advance(STEP_S if hold or self.dome.head.moving else IDLE_STEP_S)
            self.dome.advance()
        if hold:
            self.ptz.move("gate", hold[0], 0, 0, 0)

    def until(self, state: Literal["running", "paused", "waiting"], within_s: float) -> None:
        end_s = self.clock.now_s + within_s
        while (shown := self.pilot.state("gate")) is None or shown.state != state:
            assert self.clock.now_s < end_s, shown
            self.run(0.1)
