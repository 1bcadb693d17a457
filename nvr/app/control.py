"""Puts the control stack together: guard first, then outputs at their safe level, then buses."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from pathlib import Path

from nvr.app.joysticks import BoxJoysticks
from nvr.app.services import Services
from nvr.app.wiring import wirings
from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, NvrError, Unavailable
from nvr.base.log import event
from nvr.base.supervise import Backoff, supervise
from nvr.config import camera as written
from nvr.config.camera import Ptz, hung
from nvr.config.model import Config
from nvr.config.model import Control as ControlRules
from nvr.gpio.output import Outputs
from nvr.hal.board import Board, Serial
from nvr.hal.linux_serial import LinuxSerial
from nvr.hal.ports import SerialPort
from nvr.hal.virtual_serial import VirtualSerial
from nvr.media.aim import Grey
from nvr.media.ports import Operator
from nvr.ptz.aim import Aimer
from nvr.ptz.autopilot import Autopilot
from nvr.ptz.bus import Bus, BusEvent
from nvr.ptz.controller import Controller
from nvr.ptz.guard_link import GuardLink
from nvr.ptz.heads import Audit, Mount
from nvr.ptz.journal import Journal
from nvr.ptz.keep import KeepBook
from nvr.ptz.line import Aux
from nvr.ptz.measure import Look, Measurer
from nvr.ptz.onvif import OnvifHead, OnvifLine
from nvr.ptz.onvif_output import OnvifAux
from nvr.ptz.pelco import byte_s, frame_s
from nvr.ptz.pilot import Seen
from nvr.ptz.preset import PresetBook
from nvr.ptz.priority import Ranks
from nvr.ptz.profile import Profile, library
from nvr.ptz.schedule import Motion

_log = logging.getLogger(__name__)

PRESETS, PROGRAMS = "presets.json", "ptz.json"
_MAX_ON_S = {"wiper": 60.0, "washer": 10.0, "lamp": 1800.0}
_MAX_ON_ONVIF_S = {"wiper": 30.0, "washer": 10.0, "lamp": 600.0}
"""No guard that outlives us tells a camera."""
_ITSELF = Operator("nvr", "system", "ptz")


class Control:
    """Everything that can move or switch, and the guard that outlives us.

    Args:
        board: What this box has.
        config: Which camera hangs on which line.
        sim: Directory of the simulated devices.
        data: Where names of presets are kept.
        clock: Time source.
        audit: Told of every action.
        services: Asks cameras that are steered over ONVIF; None where none is.
        local: Weekday and minute of the day here; None while nobody knows.
        room: Raises if nothing more could be written down.

    Attributes:
        switched: Told in the event loop what an output did. See `nvr.gpio.output.Tell`.
        look: Takes pictures of cameras, once there is something that can.
    """

    def __init__(
        self,
        board: Board,
        config: Config,
        sim: Path,
        data: Path,
        clock: Clock,
        audit: Audit,
        services: Services | None = None,
        local: Callable[[], tuple[int, int] | None] = lambda: None,
        room: Callable[[], None] = lambda: None,
    ) -> None:
        self._board = board
        self._profiles = library(data)
        self._clock = clock
        self._services = services
        self._lines: dict[str, OnvifLine] = {}
        self._audit = audit
        self._unstopped: set[str] = set()
        self._lit_by: dict[tuple[str, str], Operator] = {}
        self._loop = asyncio.get_running_loop()
        self.switched: Callable[[str, bool, str], None] = lambda _name, _on, _why: None
        self.guard = GuardLink(clock)
        self.guard.start()
        self.outputs = Outputs(
            wirings(board.gpio, sim), clock=clock, guard=self.guard, tell=self._output_told
        )
        decoders = {name: it for name, it in board.serial.items() if it.role == "decoder"}
        self.journals = {name: Journal(clock) for name in decoders}
        self.buses = {name: self._bus(name, line, sim) for name, line in decoders.items()}
        # One after the other: of two changes the later one stays.
        self._writer = ThreadPoolExecutor(1, "ptz-names")
        book = KeepBook(data / PROGRAMS, self._save)
        self.ptz = Controller(
            self._mounts(config),
            switches=self.outputs,
            presets=_presets(data / PRESETS, config),
            clock=clock,
            audit=self._told,
            save=self._save,
            book=book,
            ranks=ranks_of(config.control),
        )
        self.ptz.left = self._left
        self.ptz.lock_max_s = config.control.lock_max_h * 3600.0
        self.programs = Autopilot(
            self.ptz,
            self.ptz.cameras,
            book,
            clock=clock,
            local=local,
            audit=audit,
            changed=self.ptz.refresh,
        )
        self.aims = Aimer(self.ptz, book, clock)
        self.ptz.watch, self.ptz.auto = self._seen, self.programs.state
        self.ptz.how = self.aims.how
        self.measures = Measurer(self.ptz, self.aims, book, self._luma, clock)
        self.look: Look | None = None
        self.joysticks = BoxJoysticks(
            data, sim, self.ptz, clock, room, take=config.control.joysticks
        )
        # From here on `close` has threads to wait for, whatever else fails to start.
        self.outputs.start()
        for bus in self.buses.values():
            bus.start()

    def mount(self, camera: str, ptz: Ptz | None) -> None:
        """Give a camera a head, another one, or none, while everything runs."""
        if ptz is None:
            self.ptz.unmount(camera)
            return
        try:
            self.ptz.mount(self._mount(camera, ptz))
        except Misconfigured as err:
            self.ptz.unmount(camera)
            event(_log, logging.ERROR, "ptz.profile_refused", camera=camera, error=str(err))

    def protocol(self, ptz: Ptz) -> str:
        """How a head is spoken to, empty if its profile is no good."""
        try:
            return self._profiles.find(ptz.profile, ptz.protocol).protocol
        except Misconfigured:
            return ""

    def warnings(self) -> list[NvrError]:
        """What a person should see to: heads that could not be stopped."""
        detail = "it could not be told to stop, and may still turn; it is tried on"
        return [
            Unavailable("ptz.unstopped", detail, camera=name) for name in sorted(self._unstopped)
        ]

    async def leave(self) -> None:
        """Stop the heads that are steered over ONVIF, while that can still be said."""
        await self.measures.aclose()
        self.aims.close()
        lines = list(self._lines.values())
        await asyncio.gather(*(line.close() for line in lines), return_exceptions=True)

    def _mounts(self, config: Config) -> list[Mount]:
        """All heads but those whose profile is no good: their cameras are recorded nevertheless."""
        found = []
        for camera in config.camera:
            try:
                found += [self._mount(camera.name, camera.ptz)] if camera.ptz else []
            except Misconfigured as err:
                event(
                    _log, logging.ERROR, "ptz.profile_refused", camera=camera.name, error=str(err)
                )
        return found

    def _mount(self, camera: str, ptz: Ptz) -> Mount:
        self._lines.pop(camera, None)  # `Controller.mount` has it leave
        if ptz.protocol == "onvif":
            return self._mount_onvif(camera, ptz)
        profile = self._profiles.find(ptz.profile, ptz.protocol)
        head = profile.head(
            ptz.address,
            turbo=ptz.turbo,
            tilt_reply=ptz.tilt_reply,
            reports=self._board.serial[ptz.bus].receive,
        )
        angles = tuple(profile.view.angles)
        outputs = _outputs(ptz, self._board, profile)
        return Mount(camera, self.buses[ptz.bus], head, outputs, angles)

    def _mount_onvif(self, camera: str, ptz: Ptz) -> Mount:
        services = self._services
        assert services is not None
        settings = services.find(camera)
        line = OnvifLine(
            camera,
            partial(services.ask, camera),
            profile=(settings.onvif.profile or "") if settings and settings.onvif else "",
            clock=self._clock,
            tell=lambda told: self.ptz.bus_event(told),  # noqa: PLW0108 - not made yet
            presets=lambda found: self.ptz.keeps(camera, found),
            outputs=_onvif_outputs(ptz),
            unstopped=partial(self._unstop, camera),
        )
        self._lines[camera] = line
        self._unstopped.discard(camera)
        return Mount(camera, line, OnvifHead(), _outputs(ptz, self._board))

    def _unstop(self, camera: str, is_so: bool) -> None:
        """A camera could not be told to stop, or was at last."""
        (self._unstopped.add if is_so else self._unstopped.discard)(camera)
        action = "ptz.unstopped" if is_so else "ptz.stopped_late"
        with contextlib.suppress(NvrError):  # it stays an alarm, written down or not
            self._audit(action, _ITSELF, camera, "")

    def _told(self, action: str, who: Operator, camera: str, detail: str) -> None:
        """Write it down, and remember who switched on what hangs on a camera itself."""
        self._audit(action, who, camera, detail)
        if action == "ptz.output" and camera in self._lines:
            name, _, how = detail.partition(" ")
            if how == "on":
                self._lit_by[camera, name] = who
            else:
                self._lit_by.pop((camera, name), None)

    def _seen(self, camera: str, who: Operator, what: Seen, motion: Motion) -> None:
        self.aims.seen(camera)
        self.measures.seen(camera, who)
        self.programs.seen(camera, who, what, motion)

    async def _luma(self, camera: str) -> tuple[Grey, int]:
        if self.look is None:
            raise Unavailable("snapshot.none", "no picture came of it", camera=camera)
        return await self.look(camera)

    def _left(self, who: Operator) -> None:
        """Whoever switched something on at a camera has gone; it goes off."""
        self.aims.left(who)
        for (camera, name), by in list(self._lit_by.items()):
            if by == who:
                del self._lit_by[camera, name]
                with contextlib.suppress(NvrError):
                    self._lines[camera].switch(camera, name, False)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start the dead-man, take joysticks and watch over the guard."""
        group.create_task(self.ptz.run())
        group.create_task(self.joysticks.run())
        group.create_task(
            supervise("autopilot", self.programs.run, clock=self._clock, backoff=Backoff())
        )
        group.create_task(
            supervise(
                "guard", self.guard.run, clock=self._clock, backoff=Backoff(first_s=0.1, cap_s=4.0)
            )
        )

    def close(self) -> None:
        """Stop every head, drive every output safe, then let the guard go; blocks."""
        for bus in self.buses.values():
            bus.close()
        self._writer.shutdown()
        self.outputs.close()
        self.guard.close()

    def _output_told(self, name: str, on: bool, why: str) -> None:
        """In the outputs' thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(lambda: self.switched(name, on, why))

    def _bus(self, name: str, line: Serial, sim: Path) -> Bus:
        def tell(told: BusEvent) -> None:
            self._loop.call_soon_threadsafe(self.ptz.bus_event, told)

        return Bus(
            name,
            partial(open_serial, line, sim, line.bauds[0]),
            clock=self._clock,
            guard=self.guard,
            tell=tell,
            gap_s=line.gap_ms / 1000,
            frame_s=frame_s(line.bauds[0]),
            byte_s=byte_s(line.bauds[0]),
            heard=partial(self.journals[name].add, "in"),
            wrote=partial(self.journals[name].add, "out"),
        )

    def _save(self, write: Callable[[], None]) -> None:
        def done(saving: asyncio.Future[None]) -> None:
            if error := saving.exception():
                event(_log, logging.ERROR, "ptz.presets_unsaved", error=str(error))

        self._loop.run_in_executor(self._writer, write).add_done_callback(done)


def ranks_of(control: ControlRules) -> Ranks:
    """Return who ranks above whom, as the file says."""
    return Ranks(**{one.name: getattr(control.priority, one.name) for one in fields(Ranks)})


def _outputs(ptz: Ptz, board: Board, profile: Profile | None = None) -> dict[str, str | Aux]:
    """What the file says hangs where, and else what such a head has of its own.

    What sprays for the wiper the board says, where it is one of the board's and the file does not.
    """
    own = {"wiper": profile.aux.wiper, "lamp": profile.aux.lamp} if profile else {}
    said = {place.aux for _, place in hung(ptz) if isinstance(place, written.Aux)}
    found: dict[str, str | Aux] = {}
    for function, place in hung(ptz):
        number = own.get(function)
        if isinstance(place, str):
            found[function] = place
        elif place is not None:
            limit_s = _MAX_ON_S[function] if place.max_on_s is None else place.max_on_s
            found[function] = Aux(place.aux if isinstance(place.aux, int) else 0, limit_s)
        elif number is not None and number not in said:
            found[function] = Aux(number, _MAX_ON_S[function])
    blade = board.gpio.get(ptz.wiper) if isinstance(ptz.wiper, str) else None
    if blade is not None and blade.washer is not None:
        found.setdefault("washer", blade.washer)
    return found


def _onvif_outputs(ptz: Ptz) -> dict[str, OnvifAux]:
    """The camera's own outputs, by what hangs on them."""
    found = {}
    for function, place in hung(ptz):
        if place is not None and not isinstance(place, str):
            limit_s = _MAX_ON_ONVIF_S[function] if place.max_on_s is None else place.max_on_s
            off = "Auto" if str(place.aux).endswith("IRLamp") else "Off"
            found[function] = OnvifAux(f"{place.aux}|On", f"{place.aux}|{off}", limit_s)
    return found


def _presets(path: Path, config: Config) -> PresetBook:
    book = PresetBook(path)
    if not path.exists():
        for camera in config.camera:
            for number, name in camera.ptz.presets.items() if camera.ptz else ():
                book.put(camera.name, int(number), name)
    return book


def open_serial(line: Serial, sim: Path, baud: int) -> SerialPort:
    """Open a line of the board at a rate.

    Raises:
        Unavailable: ``serial.gone``.
        Misconfigured: ``serial.direction``.
    """
    if line.driver == "virtual":
        return VirtualSerial(str(sim / line.path))
    return LinuxSerial(line.path, baud, line.direction)
