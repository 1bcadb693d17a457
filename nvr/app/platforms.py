"""The GB/T 28181 platforms that the box is a device of: each on or off as the settings say."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import tomlkit

from nvr import __version__
from nvr.app.cameras import CameraTable
from nvr.app.control import Control
from nvr.app.data import DataDirectory
from nvr.app.doors import Doors
from nvr.app.edit import Change
from nvr.app.volumes import Volumes
from nvr.base.clock import Clock
from nvr.base.supervise import Backoff, supervise
from nvr.config import load
from nvr.config.gb28181 import Platform as Written
from nvr.export.evidence import size_bytes
from nvr.media.analyse import Looks
from nvr.media.camera import BoxState
from nvr.media.gb28181 import (
    PlatformBox,
    PlatformChannel,
    PlatformInput,
    PlatformSettings,
    PlatformState,
    TakesTime,
    unknown_platform,
)
from nvr.media.gpio import Lines
from nvr.media.ingest import Ingest
from nvr.media.ports import RelaySource
from nvr.media.talk import Talks
from nvr.serve.gb28181.media import MediaDesk
from nvr.serve.gb28181.parts import Disk, Parts
from nvr.serve.gb28181.platform import Platform


class PlatformTable:
    """See `nvr.media.gb28181.Platforms`.

    Args:
        parts: What each is built from.
        settings: As the file says.
        data: Knows the passwords.
        write: Changes the file, for good.
    """

    def __init__(
        self,
        parts: Parts,
        settings: list[PlatformSettings],
        data: DataDirectory,
        write: Callable[[Change], Awaitable[None]],
    ) -> None:
        self._parts, self._data, self._write = parts, data, write
        self._settings = {one.name: one for one in settings}
        self._platforms: dict[str, Platform] = {}
        self._changed: set[str] = set(self._settings)
        self._wake = asyncio.Event()
        self._wake.set()

    async def run(self) -> None:
        """Have each as it is to be, until cancelled."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._changed:
                    name = self._changed.pop()
                    await _end(tasks.get(name))
                    tasks.pop(name, None)
                    self._platforms.pop(name, None)
                    settings = self._settings.get(name)
                    if settings is None or not (settings.on and settings.sets_clock):
                        self._parts.time.forget(name)
                    if settings is not None and settings.on:
                        password = await asyncio.to_thread(self._password, name)
                        platform = Platform(self._parts, settings, password)
                        self._platforms[name] = platform
                        tasks[name] = asyncio.create_task(
                            supervise(
                                f"gb28181/{name}",
                                platform.run,
                                clock=self._parts.clock,
                                backoff=Backoff(),
                            )
                        )
        finally:
            for task in tasks.values():
                await _end(task)

    def states(self) -> list[PlatformState]:  # noqa: D102 - see Platforms
        return [
            known.state()
            if (known := self._platforms.get(name)) is not None and known.settings is one
            else PlatformState(one, "connecting" if one.on else "off")
            for name, one in self._settings.items()
        ]

    async def write(self, wanted: PlatformSettings, password: str | None = None) -> None:  # noqa: D102 - see Platforms
        await self._write(partial(_put, wanted))
        if password is not None:
            path = self._data.secrets_path
            await asyncio.to_thread(load.edit_platform_secret, path, wanted.name, password)
        self._settings[wanted.name] = wanted
        self._say(wanted.name)

    async def remove(self, name: str) -> None:  # noqa: D102 - see Platforms
        if name not in self._settings:
            raise unknown_platform(name)
        await self._write(partial(_take, name))
        path = self._data.secrets_path
        await asyncio.to_thread(load.edit_platform_secret, path, name, None)
        del self._settings[name]
        self._say(name)

    def _say(self, name: str) -> None:
        self._changed.add(name)
        self._wake.set()

    def _password(self, name: str) -> str:
        secret = self._data.secrets().gb28181.get(name)
        return secret.password if secret else ""


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])  # not the task itself: our own end would look like the task's


def settings_of(one: Written) -> PlatformSettings:
    """Return what the file says of one, as the page knows it."""
    return PlatformSettings(
        name=one.name,
        on=one.on,
        host=one.host,
        port=one.port,
        server=one.server,
        device=one.device,
        domain=one.domain or "",
        user=one.user or "",
        transport=one.transport,
        local_port=one.local_port or 0,
        edition=one.edition,
        expires_s=one.expires_s,
        keepalive_s=one.keepalive_s,
        misses=one.misses,
        retry_s=one.retry_s,
        sets_clock=one.sets_clock,
        channels=tuple(
            PlatformChannel(it.id, it.camera, it.rights, it.speaker or "", it.box or "")
            for it in one.channel
        ),
        inputs=tuple(PlatformInput(it.id, it.input) for it in one.input),
        aux=tuple(sorted((int(number), output) for number, output in one.aux.items())),
        boxes=tuple(PlatformBox(it.id, it.title) for it in one.box),
    )


def _put(wanted: PlatformSettings, document: tomlkit.TOMLDocument) -> None:
    table = tomlkit.table()
    usual = settings_of(
        Written(name=wanted.name, host=wanted.host, server=wanted.server, device=wanted.device)
    )
    for key, value in asdict(wanted).items():
        if key in {"channels", "inputs", "aux", "boxes"}:
            continue
        if value != getattr(usual, key) or key in {"name", "on", "host", "server", "device"}:
            table[key] = value
    arrays: tuple[tuple[str, Sequence[Any]], ...] = (
        ("channel", wanted.channels), ("input", wanted.inputs), ("box", wanted.boxes),
    )  # fmt: skip
    for key, some in arrays:
        if some:
            array = tomlkit.array()
            known = ({k: v for k, v in asdict(one).items() if v != ""} for one in some)
            array.extend(map(_inline, known))
            table[key] = array.multiline(multiline=True)
    if wanted.aux != usual.aux:
        table["aux"] = _inline({str(number): output for number, output in wanted.aux})
    if not document.get("gb28181"):  # an empty array takes no tables
        document.pop("gb28181", None)
    found: Any = document.setdefault("gb28181", tomlkit.aot())
    at = next((n for n, one in enumerate(found) if one["name"] == wanted.name), None)
    if at is None:
        found.append(table)
    else:
        found[at] = table


def _inline(values: dict[str, Any]) -> Any:  # noqa: ANN401 - tomlkit's own
    table = tomlkit.inline_table()
    table.update({k: list(v) if isinstance(v, tuple) else v for k, v in values.items()})
    return table


def _take(name: str, document: tomlkit.TOMLDocument) -> None:
    found: Any = document["gb28181"]
    found.remove(next(one for one in found if one["name"] == name))
    if not found:
        del document["gb28181"]


def platform_table(
    written: list[Written],
    data: DataDirectory,
    doors: Doors,
    clock: Clock,
    control: Control,
    cameras: CameraTable,
    lines: Lines,
    box: BoxState,
    archive: Volumes,
    hub: Ingest,
    talks: Talks,
    looks: Looks,
    time: TakesTime,
) -> PlatformTable:
    """Build them over the box's own parts."""

    def find(camera: str, sub: bool) -> RelaySource | None:
        found = cameras.find(camera)
        seen = found.sub if found is not None and sub else found
        return hub.stream(seen.stream) if seen is not None else None

    def size_of(stream: str, from_us: int, to_us: int) -> int:
        return size_bytes(archive.archive(), [stream], from_us, to_us) // 2

    def disks() -> list[Disk]:
        found = []
        for one in archive.volumes():
            size = one.state.size_bytes if one.state else 0
            free = size - one.state.used_bytes if one.state else 0
            well = one.role in {"recording", "standby"}
            found.append(Disk(one.name or "ring", well, size, free))
        return found

    media = MediaDesk(find, archive, clock, size_of=size_of, talks=talks)
    parts = Parts(
        clock=clock,
        ptz=control.ptz,
        programs=control.programs,
        aims=control.aims,
        point=control.ptz.point,
        cameras=cameras,
        archive=archive,
        lines=lines,
        box=box,
        audit=doors.audit,
        masked=cameras.masked,
        media=media,
        snapshot=looks.snapshot,
        disks=disks,
        time=time,
        version=__version__,
    )
    return PlatformTable(parts, [*map(settings_of, written)], data, cameras.roster.write)
