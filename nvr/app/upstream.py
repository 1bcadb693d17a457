"""The box as a device of upstream hosts: on or off as the settings say, while everything runs."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable

import tomlkit

from nvr import __version__
from nvr.app.analysis import Analysis
from nvr.app.cameras import CameraTable
from nvr.app.doors import Doors
from nvr.app.edit import Change
from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.config.model import Config, Onvif
from nvr.media.camera import BoxState
from nvr.media.gpio import Lines
from nvr.media.ports import Hub, Ptz
from nvr.media.upstream import Host, OnvifDeviceSettings, OnvifDeviceState
from nvr.serve.onvif.device import scopes
from nvr.serve.onvif.discovery import Responder
from nvr.serve.onvif.parts import Parts
from nvr.serve.onvif.server import OnvifServer
from nvr.serve.rtsp_replay import Archive

_log = logging.getLogger(__name__)

AGAIN_S = 10.0
"""A port that somebody else has is tried again after so long."""


class OnvifDevice:
    """See `nvr.media.upstream.OnvifDevice`.

    Args:
        parts: What the device is built from.
        settings: As the file says.
        write: Changes the file, for good.
        clock: Time source.
    """

    def __init__(
        self,
        parts: Parts,
        settings: Onvif,
        write: Callable[[Change], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._parts, self._settings, self._write, self._clock = parts, settings, write, clock
        self._changed = asyncio.Event()
        self._server = OnvifServer(parts)
        parts.machines.subscribe(self._server.revoke)
        self._responder: Responder | None = None
        self._listening = False
        self._faults: dict[str, NvrError] = {}

    @property
    def port(self) -> int:
        """TCP port that is listened on."""
        return self._server.port

    async def run(self) -> None:
        """Be there or not, as the settings say, until cancelled."""
        while True:
            self._changed.clear()
            settings = self._settings
            self._faults.clear()
            tasks: list[asyncio.Task[None]] = []
            if settings.on:
                tasks.append(asyncio.create_task(self._serve(settings)))
                if settings.discovery:
                    tasks.append(asyncio.create_task(self._be_found(settings)))
            try:
                await self._changed.wait()
            finally:
                self._listening, self._responder = False, None
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def state(self) -> OnvifDeviceState:  # noqa: D102 - see OnvifDevice
        return OnvifDeviceState(
            OnvifDeviceSettings(self._settings.on, self._settings.port, self._settings.discovery),
            self._listening,
            next(iter(self._faults.values()), None),
            self._responder.answered if self._responder else 0,
            [Host(**dataclasses.asdict(one)) for one in self._server.clients()],
        )

    async def write(self, wanted: OnvifDeviceSettings) -> None:  # noqa: D102 - see OnvifDevice
        await self._write(_told(wanted))
        now = self._settings
        self._settings = Onvif(
            on=wanted.on,
            host=now.host,
            port=wanted.port,
            discovery=wanted.discovery,
            clock_s=now.clock_s,
        )
        self._changed.set()

    async def _serve(self, settings: Onvif) -> None:
        async def serve() -> None:
            ready = asyncio.Event()
            serving = asyncio.create_task(self._server.serve(settings.host, settings.port, ready))
            waiting = asyncio.create_task(ready.wait())
            try:
                await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
                self._listening = ready.is_set()
                if self._listening:
                    self._faults.pop("port", None)
                await serving
            finally:
                self._listening = False
                for task in (serving, waiting):
                    task.cancel()
                await asyncio.gather(serving, waiting, return_exceptions=True)

        await self._keep_at_it("port", serve)

    async def _be_found(self, settings: Onvif) -> None:
        parts = self._parts

        async def respond() -> None:
            self._responder = Responder(
                parts.endpoint, lambda: scopes(parts), settings.port, self._clock
            )
            await self._responder.run()

        await self._keep_at_it("discovery", respond)

    async def _keep_at_it(self, what: str, once: Callable[[], Awaitable[None]]) -> None:
        """Try again for as long as somebody else has the port."""
        level = logging.WARNING
        while True:
            try:
                await once()
            except NvrError as err:
                self._faults[what] = err
                event(_log, level, "onvif.not_listening", error=str(err))
                level = logging.DEBUG
            await self._clock.sleep(AGAIN_S)


def _told(wanted: OnvifDeviceSettings) -> Change:
    def change(document: tomlkit.TOMLDocument) -> None:
        table = document.setdefault("onvif", tomlkit.table())
        for key, value in dataclasses.asdict(wanted).items():
            table[key] = value

    return change


def onvif_device(
    config: Config,
    doors: Doors,
    clock: Clock,
    hub: Hub,
    ptz: Ptz,
    cameras: CameraTable,
    lines: Lines,
    looks: Analysis,
    box: BoxState,
    archive: Archive,
) -> OnvifDevice:
    """Build the device over the box's own parts."""
    parts = Parts(
        clock=clock,
        hub=hub,
        ptz=ptz,
        cameras=cameras,
        archive=archive,
        lines=lines,
        box=box,
        machines=doors.machines,
        throttle=doors.throttle,
        audit=doors.audit,
        masked=cameras.masked,
        snapshot=looks.snapshot,
        endpoint=doors.endpoint,
        version=__version__,
        rtsp_port=config.rtsp.port,
        window_s=float(config.onvif.clock_s),
    )
    return OnvifDevice(parts, config.onvif, cameras.roster.write, clock)
