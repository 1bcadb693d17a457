"""The cameras of the box: their settings in the file, their sources in tasks, their state."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import tomlkit

from nvr.app.data import DataDirectory, has
from nvr.app.head import settings_of, table_of
from nvr.base.clock import Clock
from nvr.base.errors import Rejected
from nvr.capture.permit import Permit, check
from nvr.capture.rtsp import Account, Caller, untrusting_tls
from nvr.capture.source import Source
from nvr.capture.state import Connection
from nvr.config import load, model
from nvr.hal.board import Board
from nvr.media.camera import CameraState, CaptionText, HeadSettings, NotRecorded, Sockets
from nvr.media.ports import Acknowledged, Hub, RunStats, Stream
from nvr.record.note import Note
from nvr.record.retention import DEFAULT_S
from nvr.record.watch import Reason, Watch

_MEASURE_S = 2.0
_LOOK_S = 1.0

Burner = Callable[[CaptionText], tuple[str, ...]]
"""Writes a caption into a picture that we encode; returns what the font lacks. Blocks."""


@dataclass(slots=True)
class _Camera:
    config: model.Camera
    source: Source
    task: asyncio.Task[None]
    measured: RunStats | None = None
    fps: float = 0.0
    bitrate_bps: int = 0
    recorded_until_us: int = 0


def stream_of(name: str) -> str:
    """Return the name of the stream that is recorded and watched."""
    return f"{name}/main"


class CameraTable:
    """All cameras of the box. See `nvr.media.camera.Cameras`.

    Args:
        config: As loaded.
        data: Where changes are kept.
        board: What changes are checked against.
        burners: By camera name: who burns its caption.
        clock: Time source.
        mount: Gives a camera that has these settings its head; None takes it away.
    """

    def __init__(
        self,
        config: model.Config,
        data: DataDirectory,
        board: Board,
        burners: Mapping[str, Burner],
        clock: Clock,
        mount: Callable[[str, model.Ptz | None], None],
    ) -> None:
        self.config = config
        self._data = data
        self._board = has(board)
        dome = [f"127.0.0.1:{board.dome.rtsp_port}"] if board.dome else []
        self._permit = Permit([*config.local_cameras, *dome])
        self._hub: Hub | None = None
        self._burners = burners
        self._mount = mount
        self._clock = clock
        self._unrecorded: Callable[[], Reason | None] = lambda: None
        self._watch: Watch | None = None
        self._cameras: dict[str, _Camera] = {}
        self._listeners: dict[object, Callable[[CameraState], None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tls = untrusting_tls()

    def attach(
        self,
        hub: Hub,
        unrecorded: Callable[[], Reason | None],
        note: Callable[[Note], None],
        clock_unset: Callable[[], bool],
    ) -> None:
        """Say where the streams are, what keeps all from being recorded, who keeps notes; once."""
        self._hub = hub
        self._unrecorded = unrecorded
        self._watch = Watch(self._clock, note, clock_unset)

    def streams(self) -> tuple[str, ...]:
        """Return the streams to be recorded."""
        return tuple(stream_of(camera.name) for camera in self.config.camera)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Connect every camera; tasks are `group`'s."""
        self._group = group
        self._data.secrets()  # at the start a file that is wrong is said at once
        for camera in self.config.camera:
            self._cameras[camera.name] = self._open(camera)
        group.create_task(self._measure())
        group.create_task(self._look())

    def priority(self, stream: str) -> int:
        """Priority of a stream when the disk is behind, higher is kept longer."""
        camera = self._cameras.get(stream.partition("/")[0])
        return camera.config.priority if camera else 0

    def promised_s(self, stream: str) -> float:
        """Seconds that a stream is to be kept at least."""
        camera = self._cameras.get(stream.partition("/")[0])
        return camera.config.retain_h * 3600.0 if camera else DEFAULT_S

    def acknowledged(self, done: list[Acknowledged]) -> None:
        """Take what a power cut can no longer take; from any thread."""
        for one in done:
            camera = self._cameras.get(one.stream.partition("/")[0])
            if camera:
                camera.recorded_until_us = one.until_us
        if self._watch is not None:
            self._watch.acknowledged(done)

    def all(self) -> tuple[CameraState, ...]:  # noqa: D102 - see Cameras
        return tuple(self._state(camera) for camera in self._cameras.values())

    def find(self, name: str) -> CameraState | None:  # noqa: D102 - see Cameras
        camera = self._cameras.get(name)
        return self._state(camera) if camera else None

    def subscribe(  # noqa: D102 - see Cameras
        self, changed: Callable[[CameraState], None]
    ) -> Callable[[], None]:
        key = object()
        self._listeners[key] = changed

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    async def add(  # noqa: D102 - see Cameras
        self, name: str, title: str, url: str, user: str, password: str
    ) -> CameraState:
        if name in self._cameras:
            raise Rejected("config.refused", f"$.camera.name: {name} is used already")
        await check(url, self._permit)

        def change(document: tomlkit.TOMLDocument) -> None:
            entry = tomlkit.table()
            entry["name"] = name
            if title:
                entry["title"] = title
            entry["url"] = url
            if user:
                entry["user"] = user
            document.setdefault("camera", tomlkit.aot()).append(entry)

        await self._edit(change)
        if password:
            await asyncio.to_thread(load.edit_secrets, self._data.secrets_path, name, password)
        camera = self._open(next(c for c in self.config.camera if c.name == name))
        self._cameras[name] = camera
        return self._state(camera)

    async def change(  # noqa: D102 - see Cameras
        self,
        name: str,
        *,
        title: str | None = None,
        user: str | None = None,
        password: str | None = None,
        retain_h: int | None = None,
    ) -> CameraState:
        camera = self._must(name)
        given = (("title", title), ("user", user), ("retain_h", retain_h))
        wanted = {key: v for key, v in given if v is not None}
        if wanted:
            await self._edit(lambda document: _entry(document, name).update(wanted))
            self._refresh(name)
        if password is not None:
            await asyncio.to_thread(
                load.edit_secrets, self._data.secrets_path, name, password or None
            )
        if (user, password) != (None, None) and camera.source.state.state not in {"live", "frozen"}:
            await self._reopen(camera)
        self._tell(camera)
        return self._state(camera)

    async def remove(self, name: str, by: str = "") -> None:  # noqa: D102 - see Cameras
        self._must(name)

        def change(document: tomlkit.TOMLDocument) -> None:
            document["camera"].remove(_entry(document, name))

        await self._edit(change)
        await asyncio.to_thread(load.edit_secrets, self._data.secrets_path, name, None)
        camera = self._cameras.pop(name)
        camera.task.cancel()
        self._mount(name, None)
        if self._watch is not None:
            self._watch.end(stream_of(name), by)

    def head(self, name: str) -> HeadSettings | None:  # noqa: D102 - see Cameras
        ptz = self._must(name).config.ptz
        return None if ptz is None else settings_of(ptz)

    def sockets(self) -> Sockets:  # noqa: D102 - see Cameras
        return Sockets(tuple(sorted(self._board.buses)), tuple(sorted(self._board.outputs)))

    async def write_head(self, name: str, head: HeadSettings | None) -> None:  # noqa: D102 - see Cameras
        camera = self._must(name)

        def change(document: tomlkit.TOMLDocument) -> None:
            entry = _entry(document, name)
            if head is None:
                entry.pop("ptz", None)
                return
            table = entry.setdefault("ptz", tomlkit.table())
            for key, value in table_of(head).items():
                if value is None:
                    table.pop(key, None)
                else:
                    table[key] = value

        await self._edit(change)
        self._refresh(name)
        self._mount(name, camera.config.ptz)
        self._tell(camera)

    async def write_caption(  # noqa: D102 - see Cameras
        self, name: str, caption: CaptionText
    ) -> tuple[str, ...]:
        camera = self._must(name)
        burner = self._burners.get(name)
        if burner is None:
            raise Rejected(
                "caption.unsupported",
                "this camera encodes its own picture, which is recorded untouched",
                camera=name,
            )
        missing = await asyncio.to_thread(burner, caption)

        def change(document: tomlkit.TOMLDocument) -> None:
            table = tomlkit.table()
            table["lines"] = list(caption.lines)
            table["position_permille"] = list(caption.position_permille)
            table["size_permille"] = caption.size_permille
            table["mode"] = caption.mode
            _entry(document, name)["caption"] = table

        await self._edit(change)
        self._refresh(name)
        self._tell(camera)
        return missing

    async def _reopen(self, camera: _Camera) -> None:
        """Try again now what would wait, up to half a minute after a refused log-in."""
        task = camera.task
        task.cancel()
        await asyncio.wait([task])
        # Meanwhile it may have been removed, or opened again by another change.
        if self._cameras.get(camera.config.name) is camera and camera.task is task:
            fresh = self._open(camera.config)
            camera.source, camera.task = fresh.source, fresh.task

    def _account(self, name: str) -> Account | None:
        """Who we are on a camera, as the files say now: passwords change while we run."""
        user = self._cameras[name].config.user
        if not user:
            return None
        secret = self._data.secrets().camera.get(name)
        return Account(user, secret.password if secret else "")

    def _open(self, camera: model.Camera) -> _Camera:
        assert self._group is not None
        source = Source(
            camera.name,
            Caller(
                camera.url,
                partial(self._account, camera.name),
                self._clock,
                permit=self._permit,
                tls=self._tls,
            ),
            self._stream(camera),
            clock=self._clock,
            changed=lambda _: self._changed(self._cameras.get(camera.name)),
        )
        if self._watch is not None and camera.name not in self._cameras:
            self._watch.begin(stream_of(camera.name))
        return _Camera(camera, source, self._group.create_task(source.run()))

    def _stream(self, camera: model.Camera) -> Stream:
        assert self._hub is not None
        return self._hub.stream(stream_of(camera.name))

    async def _edit(self, change: Callable[[tomlkit.TOMLDocument], None]) -> None:
        self.config = await asyncio.to_thread(
            load.edit, self._data.config_path, change, board=self._board
        )

    def _refresh(self, name: str) -> None:
        fresh = next(c for c in self.config.camera if c.name == name)
        self._cameras[name].config = fresh

    def _must(self, name: str) -> _Camera:
        camera = self._cameras.get(name)
        if camera is None:
            raise Rejected("camera.unknown", "there is no such camera", camera=name)
        return camera

    def _tell(self, camera: _Camera | None) -> None:
        if camera is None:
            return
        state = self._state(camera)
        for changed in list(self._listeners.values()):
            changed(state)

    def _state(self, camera: _Camera) -> CameraState:
        config = camera.config
        seen = camera.source.state
        tracks = self._stream(config).config or ()
        video = next((track for track in tracks if track.kind == "video"), None)
        live = seen.state in {"live", "frozen"}
        unrecorded = self._unrecorded()
        gap = self._watch.stopped(stream_of(config.name)) if self._watch else None
        return CameraState(
            name=config.name,
            title=config.title or config.name,
            stream=stream_of(config.name),
            state=seen.state,
            since_us=seen.since_us,
            code=seen.code,
            detail=seen.detail,
            codec=video.codec if video else "",
            width_px=video.width_px if video else 0,
            height_px=video.height_px if video else 0,
            fps=camera.fps if live else 0.0,
            bitrate_bps=camera.bitrate_bps if live else 0,
            recorded_until_us=camera.recorded_until_us,
            record_behind=bool(unrecorded and unrecorded.cause == "behind"),
            retain_h=config.retain_h,
            caption=_caption(config) if config.name in self._burners else None,
            not_recorded=NotRecorded(gap.since_us, gap.reason.cause, gap.reason.code)
            if gap
            else None,
        )

    def _changed(self, camera: _Camera | None) -> None:
        if camera is not None:
            self._look_at([camera])
            self._tell(camera)

    async def _look(self) -> None:
        """Notice which cameras are no longer recorded, or are again."""
        while True:
            await self._clock.sleep(_LOOK_S)
            for camera in self._look_at(list(self._cameras.values())):
                self._tell(camera)

    def _look_at(self, cameras: list[_Camera]) -> list[_Camera]:
        if self._watch is None:
            return []
        unrecorded = self._unrecorded()
        reasons = {
            stream_of(camera.config.name): unrecorded or _reason(camera.source.state)
            for camera in cameras
        }
        changed = self._watch.look(reasons)
        return [camera for camera in cameras if stream_of(camera.config.name) in changed]

    async def _measure(self) -> None:
        """Frames and bits a second, over the last two seconds."""
        while True:
            await self._clock.sleep(_MEASURE_S)
            for camera in self._cameras.values():
                now, before = camera.source.stats(), camera.measured
                camera.measured = now
                if now is None or before is None or now.bytes_in < before.bytes_in:
                    continue
                camera.bitrate_bps = round((now.bytes_in - before.bytes_in) * 8 / _MEASURE_S)
                camera.fps = round((now.frames - before.frames) / _MEASURE_S, 1)


def _reason(seen: Connection) -> Reason | None:
    """What the camera lacks: while it is frozen, or cannot be carried whole, some may come."""
    if seen.state == "live":
        return None
    return Reason("camera", seen.code, sure=seen.state in {"lost", "refused"})


def caption_of(config: model.Camera) -> CaptionText | None:
    """Return the caption in the file, None if there is none."""
    return _caption(config) if config.caption else None


def _caption(config: model.Camera) -> CaptionText:
    caption = config.caption or model.Caption()
    return CaptionText(
        tuple(caption.lines), caption.position_permille, caption.size_permille, caption.mode
    )


def _entry(document: tomlkit.TOMLDocument, name: str) -> Any:  # noqa: ANN401 - tomlkit's own
    return next(entry for entry in document["camera"] if entry["name"] == name)
