"""The virtual dome's process: ``python -m nvr.sim.dome --dir DIR --rtsp 127.0.0.1:PORT``.

It makes, in DIR, ``dome0`` (a pseudo-terminal that takes Pelco-D and Pelco-P), ``relay0`` (a
socket for relays, caption and state: one JSON line a request, one a reply) and serves its picture
at ``rtsp://127.0.0.1:PORT/NAME``. It outlives the recorder that started it, as a dome does.

    {"output": "wiper", "on": true}   -> {"ok": true}
    {"masks": [{"points_permille": [[x, y], ...], "kind": "solid" or "mosaic"}, ...]}
    {"caption": {"lines": [...], "position_permille": [x, y], "size_permille": n, "mode": ...}}
                                      -> {"ok": true, "missing": [...]}
    {"get": true}                     -> {"ok": true, "wiper": ..., "lamp": ..., "pan_deg": ...,
                                          "tilt_deg": ..., "zoom": ..., "moving": ..., ...}
    anything else                     -> {"ok": false, "code": ..., "detail": ...}
"""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from nvr import __version__
from nvr.base.clock import Clock, SystemClock
from nvr.base.errors import Misconfigured, NvrError, Rejected, Unavailable
from nvr.base.log import event, set_up
from nvr.media.caption import Mode
from nvr.media.encoder import Settings
from nvr.media.mask import Masks, fault_of
from nvr.overlay.caption import Caption
from nvr.serve.rtsp import RtspServer
from nvr.serve.rtsp_house import Watch
from nvr.sim import launch
from nvr.sim.camera import DEFAULT_CAPTION, Camera, State
from nvr.sim.studio import Studio

_log = logging.getLogger("nvr.sim.dome")  # not __name__: this runs as __main__

_LONGEST_PATH = 100
"""A socket's path has 108 bytes in the kernel, the terminating zero included."""
_LOCK_TRIES = 20


class CaptionRequest(msgspec.Struct, frozen=True):
    """The caption part of a request. See `nvr.overlay.layout.Caption`."""

    lines: tuple[str, ...] = DEFAULT_CAPTION.lines
    position_permille: tuple[int, int] = DEFAULT_CAPTION.position_permille
    size_permille: int = DEFAULT_CAPTION.size_permille
    mode: Mode = DEFAULT_CAPTION.mode


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line from a client: exactly one of these."""

    output: str | None = None
    on: bool | None = None
    caption: CaptionRequest | None = None
    get: bool | None = None
    masks: Masks | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line to a client."""

    ok: bool
    missing: tuple[str, ...] | None = None
    code: str | None = None
    detail: str | None = None


class StateAnswer(msgspec.Struct, frozen=True):
    """What ``{"get": true}`` is answered with."""

    ok: bool
    wiper: bool
    lamp: bool
    pan_deg: float
    tilt_deg: float
    zoom: float
    moving: bool
    name: str
    rtsp: str
    version: str
    pid: int
    relays: dict[str, bool]


class Dome:
    """The process's parts.

    Args:
        directory: Where terminal, socket, lock and memory live.
        name: Name of the stream.
        address: ``(host, port)`` of the RTSP server.
        camera: The dome itself.
        settings: Size and rate of the picture.
        clock: Time source.
        ready: Called once everything can be reached.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        address: tuple[str, int],
        camera: Camera,
        settings: Settings,
        clock: Clock,
        ready: Callable[[], None],
    ) -> None:
        self._ready = ready
        self._directory = directory
        self._name = name
        self._address = address
        self._camera = camera
        self._clock = clock
        self._clients: set[asyncio.StreamWriter] = set()
        self._studio = Studio(camera, settings, clock)
        self._server = RtspServer(
            lambda wanted: self._studio if wanted == name else None,
            None,
            clock=clock,
            prefix="",
            watched=self._watched,
        )

    def listen(self) -> None:
        """Take the RTSP port.

        Raises:
            Unavailable: ``rtsp.port``: somebody else has it.
        """
        self._address = (self._address[0], self._server.listen(*self._address))

    async def run(self) -> None:
        """Serve until cancelled; `listen` first."""
        async with self._terminal(), self._relays(), asyncio.TaskGroup() as group:
            group.create_task(self._server.run())
            group.create_task(self._film())
            event(_log, logging.INFO, "dome.started", url=self.url, pid=os.getpid())
            self._ready()

    @property
    def url(self) -> str:
        """Where the picture is served."""
        return f"rtsp://{self._address[0]}:{self._address[1]}/{self._name}"

    async def _film(self) -> None:
        filming = asyncio.get_running_loop().run_in_executor(None, self._studio.run)
        try:
            await asyncio.shield(filming)
        finally:
            self._studio.stop()
            await filming

    def _watched(self, watch: Watch) -> None:
        if watch.began:
            self._studio.request_key()

    @asynccontextmanager
    async def _terminal(self) -> AsyncIterator[None]:
        """The pseudo-terminal, reachable as ``dome0``."""
        loop = asyncio.get_running_loop()
        master, slave = os.openpty()
        # The slave stays open here: without it the master would fail whenever nobody else
        # has the line open.
        tty.setraw(slave)
        os.set_blocking(master, False)
        link = self._directory / "dome0"
        fresh = self._directory / f"dome0.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(link)
        loop.add_reader(master, self._line, master)
        try:
            yield
        finally:
            loop.remove_reader(master)
            with suppress(OSError):
                link.unlink()
            os.close(master)
            os.close(slave)

    def _line(self, master: int) -> None:
        with suppress(BlockingIOError):
            data = os.read(master, 4096)
            presets = self._camera.presets
            reply = self._camera.receive(data, self._clock.monotonic_s())
            if reply:
                # A full line means nobody reads replies; a real one would lose them too.
                with suppress(BlockingIOError):
                    os.write(master, reply)
            if self._camera.presets != presets:
                self._remember()

    @asynccontextmanager
    async def _relays(self) -> AsyncIterator[None]:
        """The socket for relays, caption and state."""
        path = self._directory / "relay0"
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise Misconfigured(
                "dome.path_too_long", "the directory's path is too long for a socket", path=path
            )
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, path, limit=16 * 1024)
        path.chmod(0o600)
        try:
            yield
        finally:
            server.close()
            for client in self._clients:
                client.close()
            await server.wait_closed()
            path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                writer.write(self._answer(line) + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # gone, or a line beyond the limit: either way this peer is done
        finally:
            self._clients.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            return msgspec.json.encode(self._obey(msgspec.json.decode(line, type=Request)))
        except msgspec.DecodeError as err:
            return msgspec.json.encode(Answer(False, code="dome.invalid", detail=str(err)))
        except NvrError as err:
            return msgspec.json.encode(Answer(False, code=err.code, detail=err.detail))

    def _obey(self, request: Request) -> Answer | StateAnswer:
        if request.caption is not None:
            asked = request.caption
            caption = Caption(asked.lines, asked.position_permille, asked.size_permille, asked.mode)
            missing = self._camera.caption(caption)
            self._remember()
            return Answer(True, missing=missing)
        if request.masks is not None:
            if fault := fault_of(request.masks):
                raise Rejected("dome.invalid", fault)
            self._camera.mask(request.masks)
            self._remember()
            return Answer(True)
        if request.output is not None and request.on is not None:
            self._camera.switch(request.output, on=request.on)
            return Answer(True)
        if request.get:
            return self._state(self._camera.state(self._clock.monotonic_s()))
        raise Rejected("dome.invalid", "a request names an output, a caption or get")

    def _state(self, state: State) -> StateAnswer:
        return StateAnswer(
            True,
            state.wiper,
            state.lamp,
            state.pan_deg,
            state.tilt_deg,
            state.zoom,
            state.moving,
            self._name,
            f"{self._address[0]}:{self._address[1]}",
            __version__,
            os.getpid(),
            dict(self._camera.relays),
        )

    def _remember(self) -> None:
        """Keep presets and caption over a restart, as a dome's own memory does."""
        memory = self._directory / "dome.json"
        fresh = memory.with_suffix(".new")
        try:
            fresh.write_bytes(self._camera.memory())
            fresh.replace(memory)
        except OSError as err:  # a full disk: what is in force stays in force until we end
            event(_log, logging.WARNING, "dome.memory_unwritten", error=str(err))


def main(arguments: list[str] | None = None) -> int:
    """Run the process until SIGTERM; 3 if one is already there."""
    parser = argparse.ArgumentParser(prog="python -m nvr.sim.dome", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--dir", type=Path, required=True, help="where dome0 and relay0 are made")
    parser.add_argument("--rtsp", default="127.0.0.1:8654", help="HOST:PORT to serve at")
    parser.add_argument("--name", default="dome", help="name of the stream")
    parser.add_argument("--address", type=int, default=1, help="Pelco address")
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT of the picture")
    parser.add_argument("--fps", type=int, default=25, help="pictures a second")
    parser.add_argument("--bitrate", type=int, default=2_000_000, help="bits a second")
    parser.add_argument("--zone", default="", help="time zone of caption and clock; default: here")
    parser.add_argument("--slack", type=float, default=0.0, help="play of a worn gear, degrees")
    parser.add_argument(
        "--leave", type=float, default=0.0, help="end after so many seconds without a recorder"
    )
    parser.add_argument("--background", action="store_true", help="return once it can be reached")
    parser.add_argument("--stop", action="store_true", help="end the one that runs in --dir")
    chosen = parser.parse_args(arguments)
    set_up()
    try:
        if chosen.stop:
            launch.stop(chosen.dir)
            return 0
        if chosen.background:
            return _detached(lambda ready: _run(chosen, ready))
        _run(chosen, lambda: None)
    except NvrError as err:
        _log.error("dome.failed %s", err)
        return 1
    return 0


def _detached(run: Callable[[Callable[[], None]], None]) -> int:
    """Do `run` in a child in a session of its own; return 0 once it called its argument.

    A signal from the terminal of whoever started it is not meant for the dome, and nobody is
    left who would have to wait for its end.
    """
    outcome, ready = os.pipe()
    if os.fork():
        os.close(ready)
        with open(outcome, "rb") as pipe:
            return 0 if pipe.read() else 1
    os.close(outcome)
    os.setsid()

    def tell() -> None:
        os.write(ready, b"1")
        os.close(ready)

    try:
        run(tell)
    except NvrError as err:
        _log.error("dome.failed %s", err)
        return 1
    return 0


def _run(chosen: argparse.Namespace, ready: Callable[[], None]) -> None:
    chosen.dir.mkdir(parents=True, exist_ok=True)
    host, _, port = chosen.rtsp.rpartition(":")
    host = host.strip("[]")
    width, _, height = chosen.size.partition("x")
    try:
        zone = ZoneInfo(chosen.zone) if chosen.zone else None
        settings = Settings((int(width), int(height)), chosen.fps, chosen.bitrate)
        address = (host, int(port))
    except (ValueError, ZoneInfoNotFoundError) as err:
        raise Misconfigured("dome.invalid", str(err)) from err
    with (chosen.dir / launch.LOCK).open("a+") as lock:
        _hold(lock)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        clock = SystemClock()
        now_s = clock.monotonic_s()
        camera = Camera(settings.size, now_s, chosen.address, zone, chosen.slack)
        memory = chosen.dir / "dome.json"
        if memory.exists():
            camera.recall(memory.read_bytes())
        dome = Dome(chosen.dir, chosen.name, address, camera, settings, clock, ready)
        asyncio.run(_until_left(dome, chosen.dir, chosen.leave, clock))


def _hold(lock: IO[str]) -> None:
    """Lock the file that says a dome runs here."""
    for attempt in range(_LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Whoever looks whether a dome runs holds the lock for some microseconds.
            if attempt < _LOCK_TRIES - 1:
                time.sleep(0.02)
        else:
            return
    raise Unavailable("dome.running", "there is a dome here already", file=lock.name)


async def _until_left(dome: Dome, directory: Path, leave_s: float, clock: Clock) -> None:
    """Serve until signalled, or until nobody has used the dome for `leave_s`, if that is not 0."""
    loop = asyncio.get_running_loop()
    dome.listen()
    serving = asyncio.ensure_future(dome.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    used_s = clock.monotonic_s()
    while leave_s and not serving.done():
        await asyncio.wait([serving], timeout=leave_s / 10)
        if not launch.forsaken(directory):
            used_s = clock.monotonic_s()
        elif clock.monotonic_s() - used_s >= leave_s:
            event(_log, logging.INFO, "dome.left", dir=str(directory))
            serving.cancel()
            break
    with suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    sys.exit(main())
