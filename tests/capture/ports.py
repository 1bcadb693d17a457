"""A stream that does what `nvr.media.ports` promises, in asyncio and without keeping anything."""

import asyncio
import time

from nvr.base.errors import Damaged, NvrError, Unavailable
from nvr.media.ports import RunStats
from nvr.wire.rtsp import Frame, Malformed, Parser


class Stream:
    name = "gate/main"
    config = None

    def __init__(self):
        self.runs = []

    def open_run(self, tracks, sock=None, first=b"", datagrams=None, *, writes=True):
        self.asked = datagrams, writes
        self.runs.append(Run(tracks, sock, first))
        return self.runs[-1]


class Run:
    def __init__(self, tracks, sock, first):
        self.tracks = tracks
        self.channels = {track.channel for track in tracks}
        self._sock = sock
        self._parser = Parser()
        self._messages = asyncio.Queue()
        self._error = None
        self.sent = b""
        self.closed = False
        self.packets = self.frames = self.keys = self.gop_90k = 0
        self.last_key_s = 0.0
        self._last_s = 0.0
        self._task = asyncio.create_task(self._read()) if sock else None
        self.feed(first)

    async def message(self):
        item = await self._messages.get()
        if isinstance(item, NvrError):
            raise item
        return item

    def send(self, data):
        self.sent += data
        self._sock.send(data)

    def feed(self, data):
        self._parser.feed(data)
        try:
            while item := self._parser.next():
                if not isinstance(item, Frame):
                    self._messages.put_nowait(item.encode())
                elif item.channel in self.channels:
                    self.packets += 1
                    self._last_s = time.monotonic()
                    video = (
                        self.tracks[0].kind == "video" and item.channel == self.tracks[0].channel
                    )
                    self.frames += video and item.payload[1] >> 7
        except Malformed as err:
            self._messages.put_nowait(Damaged("camera.garbage", str(err)))

    async def _read(self):
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self._sock, 65536):
                self.feed(data)
            self._messages.put_nowait(Unavailable("camera.lost", "closed"))
        except OSError as err:
            self._messages.put_nowait(Unavailable("camera.lost", str(err)))

    def fail(self, error):
        self._messages.put_nowait(error)

    def stats(self):
        return RunStats(
            0, self.packets, 0, 0, self.frames, self.keys, self._last_s, self.last_key_s,
            self.gop_90k,
        )  # fmt: skip

    async def close(self):
        self.closed = True
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._sock.close()
