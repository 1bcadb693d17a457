"""A wire that misbehaves: between an RTSP camera over TCP and the recorder, told what to do.

It parses what the camera sends into interleaved packets and messages, so that it can lose, delay,
spoil and swap packets without breaking the framing unless that is asked for.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from nvr.wire.rtsp import Frame, Malformed, Parser

T = TypeVar("T")
READ_BYTES = 65536
SPLICE_S = 10.0


@dataclass(slots=True)
class Faults:
    """What the wire does now; each may be changed while it runs.

    Attributes:
        drop: Share of RTP packets that are lost.
        corrupt: Share of RTP packets in whose payload a few bits are turned.
        delay_s: How late everything from the camera comes.
        jitter_s: How much later than that at most, at random for each burst.
        hold: Nothing passes in either direction, as with a pulled cable.
        deaf: What the recorder asks does not reach the camera.
        cut_after_s: Each connection is reset so long after the camera began to play, 0 never.
    """

    drop: float = 0.0
    corrupt: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    hold: bool = False
    deaf: bool = False
    cut_after_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Line:
    """One connection through the proxy."""

    box: asyncio.StreamWriter
    camera: asyncio.StreamWriter
    spliced: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class Counts:
    """What the wire did.

    Attributes:
        connections: Connections of the recorder.
        packets: RTP packets that came from the camera.
        dropped: Of these lost.
        corrupted: Of these spoilt.
        cut: Connections reset after `Faults.cut_after_s`.
    """

    connections: int = 0
    packets: int = 0
    dropped: int = 0
    corrupted: int = 0
    cut: int = 0


@dataclass(slots=True)
class Proxy:
    """The wire; its methods are for other threads than its own.

    Attributes:
        camera_port: Where connections go, on 127.0.0.1; may be changed.
        port: Where it listens.
        faults: What it does now.
        counts: What it did.
    """

    camera_port: int
    port: int
    loop: asyncio.AbstractEventLoop
    faults: Faults = field(default_factory=Faults)
    counts: Counts = field(default_factory=Counts)
    rng: random.Random = field(default_factory=lambda: random.Random(4))
    _lines: "set[_Line]" = field(default_factory=set)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    _server: asyncio.Server | None = None

    def url(self, path: str = "camera") -> str:
        """Return an address of the camera through the wire."""
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def clear(self) -> None:
        """Do as a good wire does."""
        self.faults = Faults()

    def reset(self) -> None:
        """Reset every connection; both ends are told."""
        self._do(self._reset)

    def close_listener(self) -> None:
        """Refuse connections, as a camera that is starting; those there are end."""
        self._do(self._close_listener)

    def open_listener(self) -> None:
        """Take connections again."""
        self._wait(self._listen())

    def half_close(self) -> None:
        """End the direction towards the recorder and keep the other open."""
        self._do(lambda: [line.box.write_eof() for line in self._lines])

    def garbage(self, data: bytes = b"\x00\xff garbage\r\n" * 40) -> None:
        """Put bytes that are neither RTSP nor RTP between two packets."""
        self._do(lambda: [line.box.write(data) for line in self._lines])

    def splice(self, port: int, path: str = "camera") -> None:
        """From now on connections that stand carry what another camera sends."""
        self._wait(self._splice(port, path))

    def _do(self, what: Callable[[], object]) -> None:
        async def done() -> None:
            what()

        self._wait(done())

    def _wait(self, what: "asyncio.coroutines.Coroutine[None, None, T]") -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(what, self.loop)
        return future.result(30)

    # In the wire's own thread.

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reset()

    def _reset(self) -> None:
        for line in list(self._lines):
            _abort(line.box)
            _abort(line.camera)

    async def end(self) -> None:
        """Let go of everything."""
        self._close_listener()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, Malformed, asyncio.IncompleteReadError):
            pass
        finally:
            _abort(writer)
            self._tasks.discard(task)

    async def _carry(self, box: asyncio.StreamReader, to_box: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        camera, to_camera = await asyncio.open_connection("127.0.0.1", self.camera_port)
        line = _Line(to_box, to_camera)
        self._lines.add(line)
        ways = [
            asyncio.ensure_future(self._asked(box, to_camera)),
            asyncio.ensure_future(self._sent(camera, line)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._lines.discard(line)
            for way in (*ways, *([line.spliced] if line.spliced else [])):
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            # Only the recorder is to be tried: GStreamer's server hangs after some hundred resets.
            to_camera.close()

    async def _asked(self, box: asyncio.StreamReader, to_camera: asyncio.StreamWriter) -> None:
        while data := await box.read(READ_BYTES):
            await self._held()
            if not self.faults.deaf:
                to_camera.write(data)
                await to_camera.drain()

    async def _sent(self, camera: asyncio.StreamReader, line: _Line) -> None:
        parser, played_s = Parser(), 0.0
        while data := await camera.read(READ_BYTES):
            await self._held()
            faults = self.faults
            if faults.delay_s or faults.jitter_s:
                await asyncio.sleep(faults.delay_s / 20 + self.rng.random() * faults.jitter_s)
            parser.feed(data)
            out = bytearray()
            while item := parser.next():
                if isinstance(item, Frame):
                    played_s = played_s or self.loop.time()
                    if line.spliced is None:
                        out += self._packet(item)
                else:
                    out += item.encode()
            if out:
                line.box.write(bytes(out))
                await line.box.drain()
            if faults.cut_after_s and played_s and self.loop.time() - played_s > faults.cut_after_s:
                self.counts.cut += 1
                _abort(line.box)
                return

    def _packet(self, frame: Frame) -> bytes:
        if frame.channel % 2:
            return frame.encode()
        self.counts.packets += 1
        faults, payload = self.faults, frame.payload
        if faults.drop and self.rng.random() < faults.drop:
            self.counts.dropped += 1
            return b""
        if faults.corrupt and len(payload) > 20 and self.rng.random() < faults.corrupt:
            self.counts.corrupted += 1
            spoilt = bytearray(payload)
            for _ in range(3):
                spoilt[self.rng.randrange(14, len(spoilt))] ^= 1 << self.rng.randrange(8)
            return Frame(frame.channel, bytes(spoilt)).encode()
        return frame.encode()

    async def _held(self) -> None:
        while self.faults.hold:
            await asyncio.sleep(0.05)

    async def _splice(self, port: int, path: str) -> None:
        for line in list(self._lines):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await _play(reader, writer, f"rtsp://127.0.0.1:{port}/{path}")
            task = asyncio.ensure_future(self._feed(reader, writer, line))
            line.spliced = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _feed(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line
    ) -> None:
        parser = Parser()
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(READ_BYTES):
                    parser.feed(data)
                    while item := parser.next():
                        if isinstance(item, Frame):
                            line.box.write(self._packet(item))
        finally:
            _abort(writer)


async def _play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str) -> None:
    """Ask a camera to play its first track on channels 0 and 1."""
    steps = (
        ("DESCRIBE", url, "Accept: application/sdp"),
        ("SETUP", "", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
        ("PLAY", url, "Range: npt=0-"),
    )
    session = control = ""
    for number, (method, target, header) in enumerate(steps, 1):
        lines = [f"{method} {target or control} RTSP/1.0", f"CSeq: {number}", header]
        lines += [f"Session: {session}"] if session else []
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SPLICE_S)).decode()
        fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
        body = (await reader.readexactly(int(fields.get("Content-Length", 0)))).decode()
        session = fields.get("Session", session).partition(";")[0]
        if method == "DESCRIBE":
            found = [line for line in body.splitlines() if line.startswith("a=control:")]
            control = f"{url}/{found[-1].partition(':')[2]}"


def _abort(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        sock = writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def proxy(camera_port: int) -> Iterator[Proxy]:
    """Run a wire to a camera on 127.0.0.1, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()
    made = Proxy(camera_port, 0, loop)
    try:
        made.open_listener()
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
