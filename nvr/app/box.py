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
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nvr import __version__
from nvr.app.cameras import Burner, CameraTable, caption_of, stream_of
from nvr.app.control import Control
from nvr.app.data import DataDirectory
from nvr.app.promises import Promises
from nvr.app.vault import Vault
from nvr.auth.audit import Audit, Entry
from nvr.auth.claim import Claim
from nvr.auth.machine import REALM, Machines
from nvr.auth.password import Hasher
from nvr.auth.policy import authorise, require
from nvr.auth.session import Sessions
from nvr.auth.state import open_state
from nvr.auth.throttle import Throttle
from nvr.auth.user import NOBODY, Users
from nvr.base.clock import Clock, SystemClock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.base.supervise import Backoff, leaves, supervise
from nvr.config.model import Config
from nvr.hal.board import Board
from nvr.hal.linux_clock import KernelClock
from nvr.media.camera import CaptionText, ClockState
from nvr.media.ingest import Ingest
from nvr.media.ports import RelaySource
from nvr.serve import rtsp
from nvr.serve.rtsp_connection import Watch
from nvr.serve.rtsp_login import Access
from nvr.sim import launch
from nvr.web.parts import Parts
from nvr.web.server import Page
from nvr.web.tls import load_tls

_log = logging.getLogger(__name__)

_SWITCH_INTERVAL_S = 0.001
"""A busy Python thread gives way after this long; the default, 5 ms, is felt at the stick."""


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
            burners = await self._simulate()
            audit = Audit(self._data.state_path, self._clock, hardware_no=socket.gethostname())
            stack.callback(audit.close)
            control = Control(
                self._board, self._config, self._sim, self._data.path, self._clock, audit.control
            )
            stack.callback(control.close)
            await self._serve(stack, audit, control, burners, say)
        event(_log, logging.INFO, "box.stopped")

    async def _serve(
        self,
        stack: contextlib.ExitStack,
        audit: Audit,
        control: Control,
        burners: dict[str, Burner],
        say: Callable[[str, str], None],
    ) -> None:
        cameras = CameraTable(
            self._config, self._data, self._board, burners, self._clock, control.mount
        )
        vault = Vault(
            self._data.path,
            self._config.volume,
            self._clock,
            acknowledged=cameras.acknowledged,
            priority=cameras.priority,
            promised_s=cameras.promised_s,
            died=_die,
            streams=cameras.streams,
        )
        await asyncio.to_thread(vault.open)
        stack.callback(vault.close)
        ingest = Ingest(vault.submit, self._clock, self._kernel.uncertainty_ms)
        if self._config.rtsp.mode == "prompt":
            ingest.set_tick(0)
        cameras.attach(ingest, vault.reason, vault.note, lambda: self._kernel.state() == "unsynced")
        db = open_state(self._data.state_path)
        stack.callback(db.close)
        hasher = Hasher()
        stack.callback(hasher.close)
        users = Users(db, hasher, self._clock)
        machines = Machines(db, self._clock)
        throttle = Throttle(self._clock)
        claim = Claim(db, users, self._clock)
        tls = load_tls(self._data.path, self._config.page.names)

        page = Page(
            Parts(
                clock=self._clock,
                hub=ingest,
                archive=vault,
                ptz=control.ptz,
                cameras=cameras,
                box=_BoxState(self._config, self._kernel, vault),
                users=users,
                machines=machines,
                sessions=Sessions(self._clock),
                claim=claim,
                throttle=throttle,
                audit=audit,
            ),
            tls,
            self._config.page.names,
        )
        require(rtsp.ACTIONS)
        server = self._rtsp(ingest, cameras, machines, throttle, audit)
        server.listen(self._config.rtsp.host, self._config.rtsp.port)
        if self._config.rtsp.tls_port is not None:
            server.listen(self._config.rtsp.host, self._config.rtsp.tls_port, tls.context)
        machines.subscribe(server.revoke)

        await self._until_stopped(ingest, control, cameras, vault, server, page, audit, claim, say)

    async def _until_stopped(
        self,
        ingest: Ingest,
        control: Control,
        cameras: CameraTable,
        vault: Vault,
        server: rtsp.RtspServer,
        page: Page,
        audit: Audit,
        claim: Claim,
        say: Callable[[str, str], None],
    ) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stopped(number: signal.Signals) -> None:
            vault.stopped_by = vault.stopped_by or _sender(number)
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped, number)
        ingesting = asyncio.ensure_future(ingest.run())
        failures: list[NvrError] = []
        try:
            async with asyncio.TaskGroup() as group:
                control.start(group)
                cameras.start(group)
                group.create_task(vault.run())
                group.create_task(Promises(vault.holdings, self._clock).run())
                group.create_task(server.run())
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
            vault.stopped_by = f"error {failures[0].code}"
        finally:
            ingesting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ingesting
            audit.record(Entry("startup", "box.stopped"), stop=True)
        if failures:
            raise failures[0]

    async def _simulate(self) -> dict[str, Burner]:
        """Have the board's dome running and say who burns which camera's caption."""
        dome = self._board.dome
        if dome is None:
            return {}
        url = await asyncio.to_thread(
            launch.ensure_running, self._sim, dome.rtsp_port, name=dome.name
        )
        burners: dict[str, Burner] = {}
        for camera in self._config.camera:
            if camera.url == url:
                burners[camera.name] = partial(_burn, self._sim)
                caption = caption_of(camera)
                if caption is not None:
                    await asyncio.to_thread(_burn, self._sim, caption)
        return burners

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

    def _rtsp(
        self,
        ingest: Ingest,
        cameras: CameraTable,
        machines: Machines,
        throttle: Throttle,
        audit: Audit,
    ) -> rtsp.RtspServer:
        def find(name: str) -> RelaySource | None:
            return ingest.stream(stream_of(name)) if cameras.find(name) else None

        def allow(user: str, action: str, camera: str) -> None:
            authorise(machines.subject(user) or NOBODY, action, camera)

        def watched(watch: Watch) -> None:
            audit.record(
                Entry(
                    "event",
                    "rtsp PLAY cam/{name}" if watch.began else "rtsp TEARDOWN cam/{name}",
                    reason="" if watch.began else f"{watch.sent_bytes} bytes",
                    who=watch.user,
                    source=watch.address,
                    camera=watch.camera,
                )
            )

        return rtsp.RtspServer(
            find,
            Access(machines.ha1, allow, throttle.enter, throttle.right, REALM),
            clock=self._clock,
            limits=rtsp.Limits(per_address=self._config.rtsp.per_address),
            watched=watched,
        )


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

    def __init__(self, config: Config, kernel: KernelClock, vault: Vault) -> None:
        self._config = config
        self._kernel = kernel
        self._vault = vault

    @property
    def name(self) -> str:
        return self._config.name

    def clock_state(self) -> ClockState:
        return ClockState(self._kernel.state(), self._kernel.uncertainty_ms())

    def behind_s(self) -> float:
        return self._vault.behind_s()

    def fault(self) -> NvrError | None:
        return self._vault.fault


def _burn(sim: Path, caption: CaptionText) -> tuple[str, ...]:
    answer = launch.ask(
        sim,
        {
            "caption": {
                "lines": list(caption.lines),
                "position_permille": list(caption.position_permille),
                "size_permille": caption.size_permille,
                "mode": caption.mode,
            }
        },
    )
    if answer.get("ok") is not True:
        raise NvrError(str(answer.get("code")), str(answer.get("detail")))
    return tuple(answer.get("missing", ()))


def _reachable(host: str) -> str:
    """Return a name under which a listener on `host` can be reached from this machine."""
    return "localhost" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound


def _die() -> None:
    """The disk writer is gone: nothing is recorded any more, so let systemd start us afresh."""
    os.kill(os.getpid(), signal.SIGKILL)
