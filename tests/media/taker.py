"""Takes what a native session makes, and plays it."""

import io
import os

import av

from nvr._native import Engine, Session
from nvr.media.track import RtpTrack, StreamConfig, TrackConfig
from nvr.wire import aac, fmp4, h264, h265

CODES = {"h264": 0, "h265": 1, "aac": 2, "pcma": 3, "pcmu": 3}
MESSAGE, CLOSED, CONFIG, PART, LIVE = range(5)


def setup(track: RtpTrack, floor: int = 0, reorder: int = 0):
    samples = aac.parse(track.aac_config).frame_samples if track.aac_config else 0
    return (
        CODES[track.codec], track.clock_hz, track.payload_type, track.channel, track.channels,
        track.aac_size_bits, track.aac_index_bits, samples, floor, reorder,
    )  # fmt: skip


class Taker:
    """A session fed by hand; gathers events."""

    def __init__(self, *tracks: RtpTrack, fd: int = -1, sets=None, floor: int = 0):
        self.tracks = tracks
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.engine = Engine(self.wake_fd)
        given = tracks[0].parameter_sets if sets is None else sets
        self.session = Session(
            self.engine, self, tuple(setup(t, floor) for t in tracks), tuple(given), fd
        )
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


def config_of(tracks, blob: bytes) -> StreamConfig:
    nals = []
    while blob:
        size = int.from_bytes(blob[:2], "big")
        nals.append(blob[2 : 2 + size])
        blob = blob[2 + size :]
    out = []
    for track in tracks:
        if track.kind == "audio":
            out.append(
                TrackConfig(
                    "audio", track.codec, track.clock_hz, track.aac_config, channels=track.channels
                )
            )
            continue
        wire = h264 if track.codec == "h264" else h265
        sps = wire.parse_sps(next(n for n in nals if wire.nal_type(n) == wire.SPS))
        record = h264.avcc(nals) if track.codec == "h264" else h265.hvcc(nals)
        out.append(
            TrackConfig("video", track.codec, track.clock_hz, record, sps.width_px, sps.height_px)
        )
    return tuple(out)


def decode(data: bytes, kind: str = "video"):
    with av.open(io.BytesIO(data)) as box:
        stream = next(s for s in box.streams if s.type == kind)
        stream.thread_type = "NONE"
        return list(box.decode(stream))


def demux(data: bytes, kind: str = "video"):
    with av.open(io.BytesIO(data)) as box:
        stream = next(s for s in box.streams if s.type == kind)
        return [(p.pts, p.dts, p.duration, bytes(p)) for p in box.demux(stream) if p.size]
