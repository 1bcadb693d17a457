"""The box as a device of upstream hosts: on or off as the settings say, while everything runs."""

import asyncio
import contextlib
import dataclasses
import logging
import ssl
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import tomlkit

from nvr import __version__
from nvr.app.analysis import Analysis
from nvr.app.cameras import CameraTable
from nvr.app.doors import Doors
from nvr.app.edit import Change
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.base.permit import Permit
from nvr.config.model import Config, Onvif
from nvr.media.camera import BoxState
from nvr.media.gpio import Lines, NoLines
from nvr.media.ports import Hub
from nvr.media.upstream import Host, OnvifDeviceSettings, OnvifDeviceState
from nvr.ptz.controller import Controller
from nvr.serve.onvif.device import scopes
from nvr.serve.onvif.discovery import Responder, families_of
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
        tls: Certificate for who comes over TLS.
    """

    def __init__(
        self,
        parts: Parts,
        settings: Onvif,
        write: Callable[[Change], Awaitable[None]],
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self._parts, self._settings, self._write, self._clock = parts, settings, write, clock
        self._changed = asyncio.Event()
        self._server = OnvifServer(parts)
        self._channels: list[OnvifServer] = []
        parts.machines.subscribe(self._revoke)
        self._responders: list[Responder] = []
        self._listening: set[int] = set()
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
            devices = self._devices(settings) if settings.on else []
            self._channels = [server for server, _ in devices[1:]]
            for server, parts in devices:
                tasks.append(asyncio.create_task(self._serve(server, parts, settings.host)))
                if settings.discovery:
                    tasks.append(asyncio.create_task(self._be_found(parts, settings.host)))
            try:
                await self._changed.wait()
            finally:
                self._listening.clear()
                self._responders.clear()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def state(self) -> OnvifDeviceState:  # noqa: D102 - see OnvifDevice
        return OnvifDeviceState(
            OnvifDeviceSettings(
                self._settings.on,
                self._settings.port,
                self._settings.discovery,
                self._settings.channels,
            ),
            self._settings.port in self._listening,
            next(iter(self._faults.values()), None),
            sum(one.answered for one in self._responders),
            sorted(self._hosts(), key=lambda one: -one.at_us),
        )

    async def write(self, wanted: OnvifDeviceSettings) -> None:  # noqa: D102 - see OnvifDevice
        await self._write(_told(wanted))
        now = self._settings
        self._settings = msgspec.structs.replace(
            now,
            on=wanted.on,
            port=wanted.port,
            discovery=wanted.discovery,
            channels=dict(wanted.channels),
        )
        self._changed.set()

    def _devices(self, settings: Onvif) -> list[tuple[OnvifServer, Parts]]:
        """The combined device, then one for each camera that has a port of its own."""
        if self._parts.port != settings.port:
            self._parts = dataclasses.replace(self._parts, port=settings.port)
            self._server = OnvifServer(self._parts)
        found = [(self._server, self._parts)]
        for name, port in settings.channels.items():
            endpoint = str(uuid.uuid5(uuid.UUID(self._parts.endpoint), name))
            parts = dataclasses.replace(
                self._parts, only=name, endpoint=endpoint, lines=NoLines(), port=port, tls_port=0
            )
            found.append((OnvifServer(parts), parts))
        return found

    def _hosts(self) -> list[Host]:
        servers = (self._server, *self._channels)
        return [Host(**dataclasses.asdict(one)) for each in servers for one in each.clients()]

    def _revoke(self, name: str) -> None:
        for server in (self._server, *self._channels):
            server.revoke(name)

    async def _serve(self, server: OnvifServer, parts: Parts, host: str) -> None:
        port = parts.port
        tls = (parts.tls_port, self._tls) if parts.tls_port and self._tls else None

        async def serve() -> None:
            ready = asyncio.Event()
            serving = asyncio.create_task(server.serve(host, port, ready, tls))
            waiting = asyncio.create_task(ready.wait())
            try:
                await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if ready.is_set():
                    self._listening.add(port)
                    self._faults.pop(f"port {port}", None)
                await serving
            finally:
                self._listening.discard(port)
                for task in (serving, waiting):
                    task.cancel()
                await asyncio.gather(serving, waiting, return_exceptions=True)

        await self._keep_at_it(f"port {port}", serve)

    async def _be_found(self, parts: Parts, host: str) -> None:
        async def respond() -> None:
            families = families_of(host)
            responder = Responder(
                parts.endpoint, lambda: scopes(parts), parts.port, self._clock, families
            )
            self._responders.append(responder)
            await responder.run()

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
        if not wanted.channels:
            del table["channels"]

    return change


def _points(ptz: Controller, camera: str) -> bool:
    with contextlib.suppress(Rejected):
        it = ptz.reach(camera)
        return it.points and it.position is not None
    return False


def onvif_device(
    config: Config,
    doors: Doors,
    clock: Clock,
    hub: Hub,
    ptz: Controller,
    cameras: CameraTable,
    lines: Lines,
    looks: Analysis,
    box: BoxState,
    archive: Archive,
    tls: ssl.SSLContext,
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
        points=partial(_points, ptz),
        point=ptz.point,
        endpoint=doors.endpoint,
        version=__version__,
        rtsp_port=config.rtsp.port,
        window_s=float(config.onvif.clock_s),
        permit=Permit(config.local_upstream),
        port=config.onvif.port,
        tls_port=config.onvif.tls_port or 0,
    )
    return OnvifDevice(parts, config.onvif, cameras.roster.write, clock, tls)
