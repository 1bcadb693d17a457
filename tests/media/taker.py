"""Takes what a native session makes, and plays it."""

import io
import os

import av

from nvr._native import Engine, Session
from nvr.media import told
from nvr.media.track import RtpTrack, StreamConfig
from nvr.wire import fmp4

MESSAGE, CLOSED, CONFIG, PART, LIVE = range(5)


class Taker:
    """A session fed by hand; gathers events."""

    def __init__(self, *tracks: RtpTrack, fd: int = -1, sets=None, floor: int = 0, ports=()):
        self.tracks = tracks
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.engine = Engine(self.wake_fd)
        given = tracks[0].parameter_sets if sets is None else sets
        self.session = Session(
            self.engine, self, tuple(told.setup(t, floor, 0) for t in tracks), tuple(given), fd
        )
        if ports:
            self.session.set_datagrams(ports)
        self.engine.add(self.session)
        self.now = 90_000 * 1000
        self.events = []

    def close(self):
        self.engine.remove(self.session)
        os.close(self.wake_fd)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def feed(self, data: bytes):
        self.session.feed(data, self.now)

    def tick(self, cut: bool = False, read: bool = True):
        got = self.engine.tick(self.now, read, cut)
        self.events += [event[:1] + event[2:] for event in got]
        return got

    def end(self):
        self.session.end()
        self.tick()

    def kind(self, kind: int):
        return [event[1:] for event in self.events if event[0] == kind]

    @property
    def parts(self):
        return self.kind(PART)

    def config(self) -> StreamConfig:
        return config_of(self.tracks, self.kind(CONFIG)[0][0])

    def mp4(self) -> bytes:
        body = b"".join(part[0] + bytes(part[1]) for part in self.parts)
        return fmp4.init_segment(self.config()) + body


def sample_bytes(moof: bytes) -> int:
    """Bytes of all samples that a ``moof`` of ours tells of."""
    found, at = 0, 24
    while at < len(moof):
        size = int.from_bytes(moof[at : at + 4], "big")
        trun = at + 8 + 20 + 20
        flags = int.from_bytes(moof[trun + 8 : trun + 12], "big")
        count = int.from_bytes(moof[trun + 12 : trun + 16], "big")
        row = trun + 20 + (4 if flags & 4 else 0)
        for _ in range(count):
            found += int.from_bytes(moof[row + 4 : row + 8], "big")
            row += 12 if flags & 0x800 else 8
        assert row == at + size
        at += size
    return found


def config_of(tracks, blob: bytes) -> StreamConfig:
    return told.config_of(tracks, blob)


def decode(data: bytes, kind: str = "video"):
    with av.open(io.BytesIO(data)) as box:
        stream = next(s for s in box.streams if s.type == kind)
        stream.thread_type = "NONE"
        return list(box.decode(stream))


def demux(data: bytes, kind: str = "video"):
    with av.open(io.BytesIO(data)) as box:
        stream = next(s for s in box.streams if s.type == kind)
        return [(p.pts, p.dts, p.duration, bytes(p)) for p in box.demux(stream) if p.size]
