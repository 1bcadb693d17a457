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
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nvr import __version__
from nvr.app.analysis import Analysis, Told
from nvr.app.backup import back_up
from nvr.app.cameras import Burner, CameraTable
from nvr.app.control import Control
from nvr.app.data import DataDirectory
from nvr.app.dome import dome_caption, dome_masks
from nvr.app.exporter import Exporter, arrived
from nvr.app.health import Health
from nvr.app.keydesk import KeyDesk
from nvr.app.keyring import Keyring
from nvr.app.listen import Listener
from nvr.app.masks import Hider, unmasked_out
from nvr.app.metrics import Metrics
from nvr.app.onboard import Onboard
from nvr.app.promises import Promises
from nvr.app.relay import rtsp_server
from nvr.app.services import Services, exceptions
from nvr.app.settings import caption_of, masks_of
from nvr.app.talks import CameraTalks
from nvr.app.target import SIMULATED, targets
from nvr.app.volumes import Volumes
from nvr.app.wear import Wear
from nvr.auth.audit import Audit, Entry
from nvr.auth.claim import Claim
from nvr.auth.machine import Machines
from nvr.auth.password import Hasher
from nvr.auth.policy import require
from nvr.auth.session import Sessions
from nvr.auth.state import open_state
from nvr.auth.throttle import Throttle
from nvr.auth.user import Users
from nvr.base.clock import Clock, SystemClock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.base.supervise import Backoff, leaves, supervise
from nvr.config.model import Config
from nvr.encode.recode import Recodes
from nvr.export.jobs import Jobs
from nvr.export.target import AllTargets
from nvr.hal.board import Board
from nvr.hal.linux_clock import KernelClock
from nvr.hal.linux_sound import LinuxSound
from nvr.hal.linux_video import LinuxVideo
from nvr.hal.virtual_stick import VirtualSticks
from nvr.link.link import Link
from nvr.media.camera import ClockState
from nvr.media.ingest import Ingest
from nvr.record.plan import Gate
from nvr.serve import rtsp
from nvr.sim import launch
from nvr.web.parts import Parts
from nvr.web.server import Page
from nvr.web.tls import load_tls

_log = logging.getLogger(__name__)

_SWITCH_INTERVAL_S = 0.001
"""A busy Python thread gives way after this long; the default, 5 ms, is felt at the stick."""

_GIVE_WAY_S = 0.5
"""Exports wait while the disk lags by so much behind what is recorded."""


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
        self._kernel = KernelClock()
        self._sim = data.path / "sim"

    async def run(self, say: Callable[[str, str], None]) -> None:
        """Run until SIGTERM or SIGINT.

        Args:
            say: Told what a person at the console wants to know: ``page`` and its address,
                ``claim`` and its code.

        Raises:
            NvrError: What keeps the box from starting.
        """
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        with contextlib.ExitStack() as stack:
            burners, hiders = await self._simulate()
            audit = Audit(self._data.state_path, self._clock, hardware_no=socket.gethostname())
            stack.callback(audit.close)
            told, services = Told(audit), self._services()
            control = Control(
                self._board,
                self._config,
                self._sim,
                self._data.path,
                self._clock,
                told.control,
                services,
            )
            stack.callback(control.close)
            self._told = told
            try:
                await self._serve(stack, audit, control, services, (burners, hiders), say)
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
        drawn: tuple[dict[str, Burner], dict[str, Hider]],
        say: Callable[[str, str], None],
    ) -> None:
        cameras = CameraTable(
            self._config,
            self._data,
            self._board,
            drawn[0],
            self._clock,
            control.mount,
            drawn[1],
        )
        services.find = cameras.settings
        keyring = await asyncio.to_thread(
            Keyring, self._data.path, make=True, device=Path(self._config.volume.tpm)
        )
        await asyncio.to_thread(keyring.unlock_at_start)
        configured = [self._config.volume, *self._config.spare]
        seals = any(volume.seal for volume in configured)
        volumes = Volumes(
            self._data.path,
            configured,
            self._clock,
            acknowledged=cameras.acknowledged,
            priority=cameras.priority,
            terms=cameras.terms,
            sealing=lambda seal: keyring.sealing(seal=seal),
            died=_die,
            streams=cameras.streams,
        )
        await asyncio.to_thread(volumes.open)
        stack.callback(volumes.close)
        wear = Wear(
            self._data.path,
            [vault.directory for vault in volumes.all],
            self._clock,
            lambda: [vault.recorded_bytes for vault in volumes.all],
        )
        stack.callback(wear.save)
        health = Health(self._data.path, volumes, audit, self._clock, wear, lambda: keyring.refused)
        gate = Gate(volumes.submit, cameras.plan_of, self._clock, self._local)
        self._looks = looks = self._looking(stack, audit, control, cameras)
        ingest = Ingest(looks.after(gate.submit), self._clock, self._kernel.uncertainty_ms)
        looks.start(ingest)
        if self._config.rtsp.mode == "prompt":
            ingest.set_tick(0)
        cameras.intake.attach(ingest, gate, volumes.reason, volumes.note, self._unset, self._trust)
        db = open_state(self._data.state_path)
        stack.callback(db.close)
        hasher = Hasher()
        stack.callback(hasher.close)
        users = Users(db, hasher, self._clock)
        machines = Machines(db, self._clock)
        throttle = Throttle(self._clock)
        claim = Claim(db, users, self._clock)
        tls = load_tls(self._data.path, self._config.page.names)

        box = _BoxState(self._config, self._kernel, volumes, health)
        sign, state = keyring.signer, self._data.state_path
        keys = KeyDesk(keyring, volumes.stores, self._clock, seals=seals)
        spool = self._data.path / self._config.export.path
        exports = Jobs(
            spool,
            Exporter(
                volumes.archive,
                box,
                cameras,
                sign,
                state,
                self._clock,
                cameras.caption_to_burn,
                spool,
                cameras.masks_over,
            ),
            self._clock,
            keep_s=self._config.export.keep_h * 3600.0,
            targets=self._targets(),
            ended=partial(arrived, audit),
            busy=lambda: volumes.behind_s() > _GIVE_WAY_S,
        )
        stack.callback(exports.close)
        require(rtsp.ACTIONS)
        server = rtsp_server(
            ingest,
            cameras,
            machines,
            throttle,
            audit,
            self._clock,
            self._config.rtsp.per_address,
        )
        sessions = Sessions(self._clock)
        finder = Onboard(services.link, cameras.permit, self._clock, cameras, looks.draw)
        metrics = Metrics(
            self._clock,
            box,
            cameras.counts,
            volumes,
            wear,
            server.readers,
            sessions,
            looks,
            cameras.encoding,
        )
        page = Page(
            Parts(
                clock=self._clock,
                hub=ingest,
                archive=volumes,
                keys=keys,
                exports=exports,
                ptz=control.ptz,
                cameras=cameras,
                box=box,
                users=users,
                machines=machines,
                sessions=sessions,
                claim=claim,
                throttle=throttle,
                audit=audit,
                disks=wear.report,
                encoding=cameras,
                recodes=Recodes(lambda: volumes.behind_s() > _GIVE_WAY_S),
                metrics=metrics.families,
                finder=finder,
                devices=lambda: (LinuxVideo().devices(), LinuxSound().devices()),
                looks=looks,
                happenings=looks.store,
                talks=CameraTalks(cameras.caller, self._clock),
                back_up=lambda phrase: back_up(self._data.path, phrase, self._clock.wall_us()),
            ),
            tls,
            self._config.page.names,
        )
        server.listen(self._config.rtsp.host, self._config.rtsp.port)
        if self._config.rtsp.tls_port is not None:
            server.listen(self._config.rtsp.host, self._config.rtsp.tls_port, tls.context)
        machines.subscribe(server.revoke)
        cameras.subscribe(partial(unmasked_out, server, machines, {}))

        listener = Listener(services, cameras.configured, cameras.event, self._clock)
        await self._until_stopped(
            ingest,
            control,
            listener,
            cameras,
            volumes,
            keys,
            health,
            server,
            page,
            audit,
            claim,
            say,
        )

    def _services(self) -> Services:
        link = Link(exceptions(self._config, self._board))
        return Services(link, self._data, {c.name: c for c in self._config.camera}.get)

    def _looking(
        self,
        stack: contextlib.ExitStack,
        audit: Audit,
        control: Control,
        cameras: CameraTable,
    ) -> Analysis:
        """Who looks at pictures: follows the cameras, and hears what heads are told."""
        looks = Analysis(
            self._data.path, self._clock, audit, control.ptz, cameras.tell, cameras.event
        )
        stack.callback(looks.close)
        self._told.also = looks.told
        cameras.looked_at(looks.follow, looks.store.open)
        return looks

    def _targets(self) -> AllTargets:
        """Where exports can go; the simulated sticks are plugged in."""
        simulated = VirtualSticks(self._data.path / SIMULATED)
        with contextlib.suppress(OSError):  # a full disk; nothing that matters needs them
            simulated.plug_in(self._board.sticks)
        return targets(self._data.path, self._config, self._clock.wall_us)

    def _trust(self) -> tuple[str, int]:
        """How the wall clock is set, and by how many milliseconds it may be off."""
        return self._kernel.state(), self._kernel.uncertainty_ms()

    def _unset(self) -> bool:
        """Whether the wall clock was not set yet since the box was switched on."""
        return self._kernel.state() == "unsynced"

    def _local(self) -> tuple[int, int] | None:
        """Weekday and minute of the day here, None while nobody knows."""
        if self._unset():
            return None
        here = time.localtime(self._clock.wall_us() / 1e6)
        return here.tm_wday, here.tm_hour * 60 + here.tm_min

    async def _until_stopped(
        self,
        ingest: Ingest,
        control: Control,
        listener: Listener,
        cameras: CameraTable,
        volumes: Volumes,
        keys: KeyDesk,
        health: Health,
        server: rtsp.RtspServer,
        page: Page,
        audit: Audit,
        claim: Claim,
        say: Callable[[str, str], None],
    ) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stopped(number: signal.Signals) -> None:
            volumes.stopped_by = volumes.stopped_by or _sender(number)
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped, number)
        ingesting = asyncio.ensure_future(ingest.run())
        failures: list[NvrError] = []
        try:
            async with asyncio.TaskGroup() as group:
                control.start(group)
                cameras.start(group)
                group.create_task(volumes.run())
                group.create_task(keys.run())
                group.create_task(health.run())
                group.create_task(listener.run())
                group.create_task(health.wear.run())
                group.create_task(Promises(volumes.holdings, self._clock).run())
                group.create_task(server.run())
                group.create_task(self._looks.run())
                ready = asyncio.Event()
                group.create_task(page.serve(self._config.page.host, self._config.page.port, ready))
                if self._board.dome:
                    group.create_task(self._keep_dome())
                await ready.wait()
                audit.record(Entry("startup", "box.started", reason=f"nvr {__version__}"))
                say("page", f"https://{_reachable(self._config.page.host)}:{page.port}")
                if not claim.claimed:
                    say("claim", claim.code())
                event(_log, logging.INFO, "box.started", page=page.port, board=self._board.id)
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

    async def _simulate(self) -> tuple[dict[str, Burner], dict[str, Hider]]:
        """Have the board's dome running and say who burns which camera's caption."""
        dome = self._board.dome
        if dome is None:
            return {}, {}
        url = await asyncio.to_thread(
            launch.ensure_running, self._sim, dome.rtsp_port, name=dome.name
        )
        burners: dict[str, Burner] = {}
        hiders: dict[str, Hider] = {}
        for camera in self._config.camera:
            if camera.url == url:
                burners[camera.name] = partial(dome_caption, self._sim)
                hiders[camera.name] = partial(dome_masks, self._sim)
                await asyncio.to_thread(dome_masks, self._sim, masks_of(camera))
                caption = caption_of(camera)
                if caption is not None:
                    await asyncio.to_thread(dome_caption, self._sim, caption)
        return burners, hiders

    async def _keep_dome(self) -> None:
        """Start the dome again when its process ended; it is no fault of the recorder's."""
        dome = self._board.dome
        assert dome is not None

        async def once() -> None:
            while True:
                await self._clock.sleep(2.0)
                if launch.running(self._sim) is None:
                    await asyncio.to_thread(
                        launch.ensure_running, self._sim, dome.rtsp_port, name=dome.name
                    )

        await supervise("sim/dome", once, clock=self._clock, backoff=Backoff())


def _sender(number: signal.Signals) -> str:
    """Say who stops us: systemd sets the variable for what it started, and ends it with SIGTERM."""
    managed = number == signal.SIGTERM and os.getppid() == 1 and "INVOCATION_ID" in os.environ
    return "service manager" if managed else f"signal {number.name}"


class _Stopped(Exception):
    """Somebody asked the box to stop."""


async def _stop_when(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _Stopped


class _BoxState:
    """See `nvr.media.camera.BoxState`."""

    def __init__(
        self, config: Config, kernel: KernelClock, volumes: Volumes, health: Health
    ) -> None:
        self._config = config
        self._kernel = kernel
        self._volumes = volumes
        self._health = health

    @property
    def name(self) -> str:
        return self._config.name

    def clock_state(self) -> ClockState:
        return ClockState(self._kernel.state(), self._kernel.uncertainty_ms())

    def behind_s(self) -> float:
        return self._volumes.behind_s()

    def fault(self) -> NvrError | None:
        return self._volumes.fault

    def warnings(self) -> list[NvrError]:
        return self._health.warnings()


def _reachable(host: str) -> str:
    """Return a name under which a listener on `host` can be reached from this machine."""
    return "localhost" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound


def _die() -> None:
    """The disk writer is gone: nothing is recorded any more, so let systemd start us afresh."""
    os.kill(os.getpid(), signal.SIGKILL)
