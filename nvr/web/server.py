"""The page: HTTPS, its API and its two WebSockets, behind one gate."""

import asyncio
import logging
import ssl
from collections.abc import Iterable

from aiohttp import web

from nvr.auth.policy import require
from nvr.base.log import event
from nvr.serve.door import Door, listen, protocol
from nvr.web.account import Accounts
from nvr.web.analyse import AnalysePages
from nvr.web.assets import Assets, load_assets
from nvr.web.backfill import BackfillPages
from nvr.web.backup import BackupPages
from nvr.web.camera import CameraPages
from nvr.web.control import Control
from nvr.web.desk import DeskPages
from nvr.web.device import DevicePages
from nvr.web.disk import Disks
from nvr.web.encode import Encoders
from nvr.web.entry import Entrance
from nvr.web.export import ExportPages
from nvr.web.find import FindPages
from nvr.web.function import FunctionPages
from nvr.web.gate import Gate
from nvr.web.gb28181 import PlatformPages
from nvr.web.head import HeadPages
from nvr.web.health import HealthPages
from nvr.web.hls import Hls
from nvr.web.joystick import JoystickPages
from nvr.web.key import KeyPages
from nvr.web.lines import LinePages
from nvr.web.live import Live
from nvr.web.lock import LockPages
from nvr.web.looked import Looked
from nvr.web.mask import MaskPages
from nvr.web.metrics import MetricsPage
from nvr.web.notify import NotifyPages
from nvr.web.ntp import TimePages
from nvr.web.onvif import OnvifPages
from nvr.web.operation import ACTIONS
from nvr.web.parts import Parts, Route
from nvr.web.plan import PlanPages
from nvr.web.playback import Playback
from nvr.web.reach import ReachPages
from nvr.web.replay import Replays
from nvr.web.reply import MOST_BODY_BYTES
from nvr.web.size import SizePages
from nvr.web.sub import SubPages
from nvr.web.talk import TalkPages
from nvr.web.tls import Tls
from nvr.web.upstream import UpstreamPages

_log = logging.getLogger(__name__)

IDLE_S = 60.0
MOST_LINE_BYTES = 8 * 1024


class Page:
    """Serves the page.

    Args:
        parts: What it talks to; outlives it.
        tls: Certificate; None serves plain HTTP, for tests behind a proxy of their own.
        names: Further host names the box goes by.
        assets: The page's files; None takes those of the package.

    Raises:
        Misconfigured: ``policy.missing``, ``page.missing``.
    """

    def __init__(
        self,
        parts: Parts,
        tls: Tls | None,
        names: Iterable[str] = (),
        assets: Assets | None = None,
    ) -> None:
        fingerprint = tls.fingerprint if tls else ""
        self._context: ssl.SSLContext | None = tls.context if tls else None
        self._entrance = Entrance(parts, assets or load_assets(), fingerprint)
        self._cameras = CameraPages(parts)
        self._subs = SubPages(parts)
        self._masks = MaskPages(parts)
        looked = Looked(parts.audit)
        self._playback = Playback(parts, looked)
        self._replays = Replays(parts, looked)
        self._accounts = Accounts(parts)
        self._disks = Disks(parts)
        self._encoders = Encoders(parts)
        self._metrics = MetricsPage(parts)
        self._locks = LockPages(parts)
        self._sizes = SizePages(parts)
        self._plans = PlanPages(parts)
        self._functions = FunctionPages(parts)
        self._heads = HeadPages(parts)
        self._analyse = AnalysePages(parts)
        self._health = HealthPages(parts)
        self._finding = FindPages(parts)
        self._onvif = OnvifPages(parts)
        self._devices = DevicePages(parts)
        self._desk = DeskPages(parts)
        self._joysticks = JoystickPages(parts)
        self._reach = ReachPages(parts)
        self._backfill = BackfillPages(parts)
        self._exports = ExportPages(parts)
        self._keys = KeyPages(parts)
        self._backup = BackupPages(parts)
        self._lines = LinePages(parts)
        self._talk = TalkPages(parts)
        self._upstream = UpstreamPages(parts)
        self._time = TimePages(parts)
        self._notify = NotifyPages(parts)
        self._gb28181 = PlatformPages(parts)
        self._live = Live(parts)
        self._hls = Hls(parts)
        self._control = Control(parts, fingerprint)
        self._gate = Gate(parts, names)
        self._app = web.Application(
            middlewares=[self._gate.middleware], client_max_size=MOST_BODY_BYTES
        )
        self._app.on_response_prepare.append(self._gate.headers)
        require(ACTIONS)
        self._gate.add(self._app, self.routes())
        self._tasks: list[asyncio.Task[None]] = []
        self.port = 0
        # Whoever is changed or removed is signed out everywhere, at once.
        parts.users.subscribe(parts.sessions.close_user)

    def routes(self) -> list[Route]:
        """Every handler there is."""
        modules = (
            self._entrance,
            self._cameras,
            self._subs,
            self._masks,
            self._playback,
            self._replays,
            self._disks,
            self._encoders,
            self._metrics,
            self._locks,
            self._sizes,
            self._plans,
            self._functions,
            self._heads,
            self._analyse,
            self._health,
            self._finding,
            self._onvif,
            self._gb28181,
            self._devices,
            self._desk,
            self._joysticks,
            self._reach,
            self._backfill,
            self._exports,
            self._keys,
            self._backup,
            self._accounts,
            self._lines,
            self._talk,
            self._upstream,
            self._time,
            self._notify,
            self._live,
            self._hls,
            self._control,
        )
        return [route for module in modules for route in module.routes()]

    async def serve(self, host: str, port: int, ready: asyncio.Event | None = None) -> None:
        """Serve until cancelled.

        Args:
            host: Address to listen on.
            port: TCP port, 0 for any; `port` holds the one in use once `ready` is set.
            ready: Set when connections are taken.

        Raises:
            Unavailable: ``page.port``.
        """
        sockets = listen(host, port)
        self.port = sockets[0].getsockname()[1]
        runner, server = await protocol(self._app, idle_s=IDLE_S, most_line_bytes=MOST_LINE_BYTES)
        door = Door(server, self._context)
        self._gate.door = door
        event(_log, logging.INFO, "page.listening", host=host, port=self.port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._live.check())
                tasks.create_task(self._hls.check())
                tasks.create_task(self._control.push())
                tasks.create_task(door.serve(sockets))
                if ready is not None:
                    ready.set()
        finally:
            await runner.cleanup()
            self._playback.close()
            self._hls.close()

    async def start(self, host: str, port: int) -> None:
        """Serve in a task of its own; returns when connections are taken. End it with `stop`.

        Raises:
            Unavailable: ``page.port``.
        """
        ready = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self.serve(host, port, ready))
        waiting = asyncio.get_running_loop().create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            await task
        self._tasks.append(task)

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
