"""The running box: every part built, started and stopped in order.

Start: guard, outputs at their safe level, volume, ingest, then whoever listens. Stop: the other
way round, so that the last thing that ends is what makes heads stand still.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial

from nvr import __version__
from nvr.app.analysis import Analysis, Told
from nvr.app.backfill import Backfill
from nvr.app.backup import back_up
from nvr.app.board_dome import keep_dome, start_dome
from nvr.app.boxstate import BoxState
from nvr.app.callups import Callups
from nvr.app.cameras import Burner, CameraTable
from nvr.app.capturing import Capturing, devices
from nvr.app.control import Control
from nvr.app.data import DataDirectory
from nvr.app.desk import Desk
from nvr.app.detector import model_of
from nvr.app.doors import Doors, open_doors
from nvr.app.exporter import Exporter, arrived
from nvr.app.line_metrics import families
from nvr.app.lines import BoardLines
from nvr.app.listen import Listener
from nvr.app.made import FILE as MADE
from nvr.app.made import Book
from nvr.app.masks import Hider, unmasked_out
from nvr.app.metrics import Metrics
from nvr.app.newsroom import Newsroom
from nvr.app.notifiers import BoxNotifiers
from nvr.app.onboard import Onboard
from nvr.app.painter import Painter
from nvr.app.platforms import platform_table
from nvr.app.relay import rtsp_server
from nvr.app.services import Services, exceptions
from nvr.app.shots import Shots
from nvr.app.storage import Storage, open_storage
from nvr.app.talks import CameraTalks
from nvr.app.target import SIMULATED, targets
from nvr.app.timeserver import BoxTimeServer
from nvr.app.upstream import onvif_device
from nvr.app.walltime import WallTime
from nvr.app.watchdog import Feeder, conditions
from nvr.auth.audit import Audit, Entry
from nvr.base.clock import Clock, SystemClock
from nvr.base.errors import NvrError
from nvr.base.interpreter import keep_prompt
from nvr.base.log import event
from nvr.base.supervise import leaves
from nvr.config.model import Config
from nvr.export.jobs import Jobs
from nvr.export.target import AllTargets
from nvr.hal.board import Board
from nvr.hal.linux_clock import keep_to_ourselves
from nvr.hal.virtual_stick import VirtualSticks
from nvr.link.link import Link
from nvr.media.ingest import Ingest
from nvr.record.plan import Gate
from nvr.serve.recodes import Recodes
from nvr.serve.rtsp import RtspServer
from nvr.web.parts import Parts, VolumeLook
from nvr.web.server import Page
from nvr.web.tls import Tls, load_tls

_log = logging.getLogger(__name__)

Start = Callable[[asyncio.TaskGroup], None]
"""Starts one part of the box, in tasks of the group's."""


class Box:
    """One box, from its data directory to its listeners.

    Args:
        board: What the hardware is.
        data: Where everything is kept; held by us.
        config: As loaded from `data`.
    """

    def __init__(self, board: Board, data: DataDirectory, config: Config) -> None:
        self._board = board
        self._data = data
        self._config = config
        self._clock: Clock = SystemClock()
        self._wall = WallTime(self._clock)
        self._sim = data.path / "sim"

    async def run(self, say: Callable[[str, str], None]) -> None:
        """Run until SIGTERM or SIGINT.

        Args:
            say: Told what a person at the console wants to know: ``page`` and its address,
                ``claim`` and its code.

        Raises:
            NvrError: What keeps the box from starting.
        """
        keep_prompt()
        keep_to_ourselves()
        with contextlib.ExitStack() as stack:
            drawn = await start_dome(self._board.dome, self._sim, self._config)
            audit = Audit(self._data.state_path, self._clock, hardware_no=socket.gethostname())
            stack.callback(audit.close)
            told = Told(audit)
            services = Services(
                Link(exceptions(self._config, self._board)),
                self._data,
                {camera.name: camera for camera in self._config.camera}.get,
            )
            control = Control(
                self._board,
                self._config,
                self._sim,
                self._data.path,
                self._clock,
                told.control,
                services,
                self._wall.local,
                audit.check_room,
            )
            stack.callback(control.close)
            try:
                await self._serve(stack, audit, control, services, told, drawn, say)
            finally:
                await control.leave()
                await services.link.close()
        event(_log, logging.INFO, "box.stopped")

    async def _serve(
        self,
        stack: contextlib.ExitStack,
        audit: Audit,
        control: Control,
        services: Services,
        told: Told,
        drawn: tuple[dict[str, Burner], dict[str, Hider]],
        say: Callable[[str, str], None],
    ) -> None:
        config, clock = self._config, self._clock
        cameras = CameraTable(
            config, self._data, self._board, drawn[0], clock, control.mount, drawn[1]
        )
        services.find = cameras.settings
        desk = self._desk(stack, control, cameras, audit)
        storage = await open_storage(stack, self._data, config, cameras, audit, clock)
        volumes = storage.volumes
        looks = Analysis(
            self._data.path,
            clock,
            audit,
            control.ptz,
            cameras.tell,
            cameras.event,
            model_of(config, self._data.path),
        )
        stack.callback(looks.close)
        told.also = looks.told
        cameras.looked_at(looks.follow, looks.store.open)
        gate = Gate(volumes.submit, cameras.intake.plan_of, clock, self._wall.local)
        ingest = Ingest(looks.after(gate.submit), clock, self._wall.uncertainty_ms)
        looks.start(ingest)
        if config.rtsp.mode == "prompt":
            ingest.set_tick(0)
        cameras.intake.attach(
            ingest, gate, volumes.reason, volumes.note, self._wall.unset, self._wall.trust
        )
        doors = open_doors(stack, self._data.state_path, audit, clock)
        tls = load_tls(self._data.path, config.page.names)
        box = BoxState(config, self._wall, volumes, storage.health, control.warnings)
        exports = stack.enter_context(
            contextlib.closing(self._exports(storage, box, cameras, audit))
        )
        server = rtsp_server(ingest, cameras, doors, clock, config.rtsp, volumes)
        lines = BoardLines(
            self._board, config, self._sim, control.outputs, control.ptz, clock, audit, looks.store,
            cameras.event, cameras.tell, cameras.settings, cameras.roster.write,
        )  # fmt: skip
        stack.callback(lines.close)
        storage.health.also.append(lines.warnings)
        control.switched = lines.switched
        feeder = self._feeder(stack, audit, control, ingest, storage)
        backfill = Backfill(cameras, services.ask, ingest, volumes, clock, storage.busy)
        metrics = Metrics(
            clock,
            box,
            cameras.intake.counts,
            volumes,
            storage.wear,
            server.readers,
            doors.sessions,
            looks,
            cameras.encoding,
            lambda may: [*families(lines, may), *notifiers.families()],
            lambda: backfill.standing,
            server.refusals,
        )
        shots = self._shots(control, looks)
        device = onvif_device(
            config, doors, clock, ingest, control.ptz, cameras, lines, looks, box, volumes,
            tls.context,
        )  # fmt: skip
        timed = BoxTimeServer(config.ntp, cameras.roster.write, clock, self._wall.state)
        notifiers = self._notifiers(
            stack, doors, cameras, lines, control, box, looks, volumes.volumes
        )
        talks = CameraTalks(cameras.caller, clock)
        platforms = platform_table(
            config.gb28181, self._data, doors, clock, control, cameras, lines, box, volumes, ingest,
            talks, looks, self._wall,
        )  # fmt: skip
        page = Page(
            Parts(
                clock=clock,
                hub=ingest,
                archive=volumes,
                keys=storage.keys,
                exports=exports,
                ptz=control.ptz,
                programs=control.programs,
                aims=control.aims,
                measures=control.measures,
                cameras=cameras,
                box=box,
                users=doors.users,
                machines=doors.machines,
                sessions=doors.sessions,
                claim=doors.claim,
                throttle=doors.throttle,
                links=doors.links,
                rtsp_port=config.rtsp.port,
                audit=audit,
                disks=storage.wear.report,
                encoding=cameras,
                recodes=Recodes(storage.busy),
                metrics=metrics.families,
                finder=Onboard(services.link, cameras.permit, clock, cameras, looks.draw),
                devices=devices,
                captures=Capturing(cameras),
                serial=desk,
                looks=looks,
                lines=lines,
                joysticks=control.joysticks,
                preset_picture=shots.picture,
                happenings=looks.store,
                talks=talks,
                onvif_device=device,
                time_server=timed,
                notifiers=notifiers,
                platforms=platforms,
                back_up=lambda phrase: back_up(self._data.path, phrase, clock.wall_us()),
            ),
            tls,
            config.page.names,
        )
        _listen(server, config, tls)
        doors.machines.subscribe(server.revoke)
        cameras.subscribe(partial(unmasked_out, server, doors.machines, {}))

        async def open_page(group: asyncio.TaskGroup) -> None:
            ready = asyncio.Event()
            group.create_task(page.serve(config.page.host, config.page.port, ready))
            await ready.wait()
            audit.record(Entry("startup", "box.started", reason=f"nvr {__version__}"))
            say("page", f"https://{_reachable(config.page.host)}:{page.port}")
            if not doors.claim.claimed:
                say("claim", doors.claim.code())
            event(_log, logging.INFO, "box.started", page=page.port, board=self._board.id)

        starts = (
            control.start,
            cameras.start,
            storage.start,
            *map(
                _task_of,
                (
                    self._listener(services, cameras, control, looks, lines).run,
                    self._painter(services, cameras).run,
                    server.run,
                    device.run,
                    timed.run,
                    notifiers.run,
                    platforms.run,
                    looks.run,
                    lines.run,
                    desk.run,
                    backfill.run,
                ),
            ),
            *([_task_of(feeder.run)] if feeder else []),
        )
        async with contextlib.aclosing(shots):
            await self._until_stopped(ingest, starts, open_page, storage, audit)

    def _notifiers(
        self,
        stack: contextlib.ExitStack,
        doors: Doors,
        cameras: CameraTable,
        lines: BoardLines,
        control: Control,
        box: BoxState,
        looks: Analysis,
        volumes: Callable[[], Sequence[VolumeLook]],
    ) -> BoxNotifiers:
        """Tell upstream systems what happens."""
        newsroom = Newsroom(cameras, box, volumes, self._clock)
        looks.store.told, doors.audit.told = newsroom.happened, newsroom.noted
        notifiers = BoxNotifiers(
            self._config,
            self._data,
            doors,
            newsroom,
            cameras,
            lines,
            control.ptz,
            box,
            looks.reported,
            self._clock,
        )
        stack.callback(notifiers.close)
        return notifiers

    def _listener(
        self,
        services: Services,
        cameras: CameraTable,
        control: Control,
        looks: Analysis,
        lines: BoardLines,
    ) -> Listener:
        """Listen to cameras; what happens at them sends heads where the file says."""
        calls = Callups(control.ptz, cameras.settings)
        looks.began = lines.began = calls.happened
        return Listener(
            services,
            cameras.configured,
            cameras.event,
            self._clock,
            looks.store,
            cameras.tell,
            calls.happened,
        )

    def _shots(self, control: Control, looks: Analysis) -> Shots:
        """Have presets pictured."""
        ptz = control.ptz
        shots = Shots(self._data.path, ptz, looks.snapshot, ptz.pictured, self._clock)
        ptz.sent, control.look = shots.told, looks.luma
        return shots

    def _desk(
        self, stack: contextlib.ExitStack, control: Control, cameras: CameraTable, audit: Audit
    ) -> Desk:
        desk = Desk(self._board, control, cameras, self._sim, self._clock, audit.check_room)
        stack.callback(desk.close)
        return desk

    def _feeder(
        self,
        stack: contextlib.ExitStack,
        audit: Audit,
        control: Control,
        ingest: Ingest,
        storage: Storage,
    ) -> Feeder | None:
        """Arm the board's watchdog, None if it names none."""
        settings = self._board.watchdog
        if settings is None:
            return None
        holds = conditions(self._clock, ingest, storage.volumes, control.outputs, control.guard)
        feeder = Feeder(settings, self._data.path, holds, self._clock, audit, self._sim)
        feeder.open()
        storage.health.also.append(feeder.warnings)
        stack.push(lambda kind, _err, _trace: feeder.close(clean=kind is None))
        return feeder

    def _painter(self, services: Services, cameras: CameraTable) -> Painter:
        book = Book(self._data.path / MADE)
        return cameras.painted(Painter(services, cameras, book, self._clock))

    def _exports(self, storage: Storage, box: BoxState, cameras: CameraTable, audit: Audit) -> Jobs:
        spool = self._data.path / self._config.export.path
        make = Exporter(
            storage.volumes.archive,
            box,
            cameras,
            storage.keyring.signer,
            self._data.state_path,
            self._clock,
            cameras.caption_to_burn,
            spool,
            cameras.masks_over,
        )
        return Jobs(
            spool,
            make,
            self._clock,
            keep_s=self._config.export.keep_h * 3600.0,
            targets=self._targets(),
            ended=partial(arrived, audit),
            busy=storage.busy,
        )

    def _targets(self) -> AllTargets:
        """Where exports can go; the simulated sticks are plugged in."""
        simulated = VirtualSticks(self._data.path / SIMULATED)
        with contextlib.suppress(OSError):  # a full disk; nothing that matters needs them
            simulated.plug_in(self._board.sticks)
        return targets(self._data.path, self._config, self._clock.wall_us)

    async def _until_stopped(
        self,
        ingest: Ingest,
        starts: Sequence[Start],
        open_page: Callable[[asyncio.TaskGroup], Awaitable[None]],
        storage: Storage,
        audit: Audit,
    ) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        volumes = storage.volumes

        def stopped(number: signal.Signals) -> None:
            volumes.stopped_by = volumes.stopped_by or _sender(number)
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped, number)
        ingesting = asyncio.ensure_future(ingest.run())
        failures: list[NvrError] = []
        try:
            async with asyncio.TaskGroup() as group:
                for start in starts:
                    start(group)
                if self._board.dome:
                    group.create_task(keep_dome(self._board.dome, self._sim, self._clock))
                await open_page(group)
                group.create_task(_stop_when(stop))
        except* _Stopped:
            pass
        except* NvrError as found:
            failures = leaves(found)
            volumes.stopped_by = f"error {failures[0].code}"
        finally:
            ingesting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ingesting
            audit.record(Entry("startup", "box.stopped"), stop=True)
        if failures:
            raise failures[0]


def _listen(server: RtspServer, config: Config, tls: Tls) -> None:
    server.listen(config.rtsp.host, config.rtsp.port)
    if config.rtsp.tls_port is not None:
        server.listen(config.rtsp.host, config.rtsp.tls_port, tls.context)


def _task_of(run: Callable[[], Coroutine[None, None, None]]) -> Start:
    def start(group: asyncio.TaskGroup) -> None:
        group.create_task(run())

    return start


def _sender(number: signal.Signals) -> str:
    """Say who stops us: systemd sets the variable for what it started, and ends it with SIGTERM."""
    managed = number == signal.SIGTERM and os.getppid() == 1 and "INVOCATION_ID" in os.environ
    return "service manager" if managed else f"signal {number.name}"


class _Stopped(Exception):
    """Somebody asked the box to stop."""


async def _stop_when(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _Stopped


def _reachable(host: str) -> str:
    """Return a name under which a listener on `host` can be reached from this machine."""
    return "localhost" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound
