"""The program in the sandbox: decodes pictures, looks at their luma, and makes JPEGs of some.

What cannot be decoded is left out. See `nvr.analyse.worker` for who feeds it.
"""

import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import msgspec

from nvr._native import Scene
from nvr.analyse.grid import HEIGHT, WIDTH
from nvr.analyse.talk import (
    REQUESTS,
    About,
    Answer,
    Feed,
    Find,
    Forget,
    Keep,
    Knows,
    Made,
    Picture,
    Request,
    Saw,
    Still,
    Thing,
    Things,
    Watch,
)
from nvr.base.clock import TICKS_PER_S
from nvr.codec.again import DECODERS, prefixed
from nvr.codec.confined import serve
from nvr.codec.encode import Encoder, picture_of
from nvr.codec.still import grey, jpeg
from nvr.media.encoder import Settings
from nvr.wire import h264

if TYPE_CHECKING:
    from nvr.analyse.detect import Detector

MOST_STREAMS = 64
_LEAST, _MOST = (160, 90), 8192
_GREY = frozenset(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12",
                   "gray"))  # fmt: skip
"""Formats whose first plane is eight bits of luma."""


class Eye:
    """One stream.

    Args:
        asked: What is watched.
    """

    def __init__(self, asked: Watch) -> None:
        self._scene = Scene()
        self.aim(asked)
        if asked.memory:
            self._recall(asked.memory)

    def aim(self, asked: Watch) -> None:
        """Go on with another configuration; what was learned stays."""
        self._decoder = opened(asked.codec, asked.config)
        self._scene.mask(asked.sense, asked.zones)
        self._last_90k: int | None = None
        self.frame: av.VideoFrame | None = None

    def feed(self, asked: Feed) -> Saw:
        """Look at pictures."""
        begun_ns = time.process_time_ns()
        rows: list[tuple[int, Any]] = []
        decoded = failed = 0
        for data, pts_90k in asked.units:
            packet = av.Packet(data)
            packet.pts = packet.dts = pts_90k
            packet.time_base = Fraction(1, TICKS_PER_S)
            try:
                frames = self._decoder.decode(packet)
                if asked.alone:
                    frames += self._decoder.decode(None)
                    self._decoder.flush_buffers()
            except av.FFmpegError:
                failed += 1
                self._decoder.flush_buffers()  # else it may refuse all that comes after
                continue
            decoded += len(frames)
            for frame in frames:
                row = self._look(frame, pts_90k if frame.pts is None else frame.pts, asked)
                if row is not None:
                    rows.append(row)
        shown = self.frame
        return Saw(
            rows,
            decoded,
            failed,
            (time.process_time_ns() - begun_ns) // 1000,
            self._scene.map() if asked.map else b"",
            (shown.width, shown.height) if shown is not None else (0, 0),
        )

    def _look(self, frame: av.VideoFrame, at_90k: int, asked: Feed) -> tuple[int, Any] | None:
        since_90k = None if self._last_90k is None else at_90k - self._last_90k
        # A quarter less, so that even steps are not missed by a tick.
        if since_90k is not None and 0 <= since_90k < asked.apart_90k * 3 // 4:
            return None
        if not (_LEAST[0] <= frame.width <= _MOST and _LEAST[1] <= frame.height <= _MOST):
            return None
        if frame.format.name not in _GREY:
            frame = frame.reformat(format="gray", threads=1)
        self._last_90k = at_90k
        self.frame = frame
        luma = frame.planes[0]
        dt_s = (since_90k if since_90k and since_90k > 0 else asked.apart_90k) / TICKS_PER_S
        size = (frame.width, frame.height)
        return at_90k, self._scene.look(memoryview(luma), luma.line_size, size, dt_s, asked.flags)

    def find(self, detector: "Detector", asked: Find) -> Things:
        """Look for objects in the picture last looked at."""
        begun_ns = time.process_time_ns()
        things: list[Thing] = []
        if self.frame is not None:
            things = detector.find(self.frame, asked.least_permille, asked.classes)
        cells = self._scene.map()
        seen = [one._replace(moving=_within(cells, one)) for one in things]
        return Things(seen, (time.process_time_ns() - begun_ns) // 1000)

    def keep(self) -> bytes:
        """What was learned."""
        return self._scene.keep()

    def forget(self) -> None:
        """Forget what was learned."""
        self._scene.forget()

    def _recall(self, memory: bytes) -> None:
        try:
            self._scene.recall(memory)
        except ValueError:  # of another version: learned anew
            self._scene.forget()


def opened(codec: str, config: bytes) -> av.VideoCodecContext:
    """Return a decoder as cheap as it can be: pictures are only looked at."""
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = config
    decoder.thread_count = 1
    # What blocks a picture without its loop filter has is gone with the next key frame, and means
    # of cells hardly see them; it saves a sixth.
    decoder.options = {"skip_loop_filter": "all"}
    return decoder


def _within(cells: bytes, thing: Thing) -> int:
    left, top, right, bottom = thing.box_permille
    columns = slice(left * WIDTH // 1000, -(-right * WIDTH // 1000))
    rows = range(top * HEIGHT // 1000, -(-bottom * HEIGHT // 1000))
    return sum(cells[row * WIDTH : (row + 1) * WIDTH][columns].count(1) for row in rows)


def still(asked: Still) -> bytes:
    """Return a JPEG of a key frame, nothing if it cannot be decoded."""
    decoder = opened(asked.codec, asked.config)
    decoder.options = {}
    try:
        frames = [*decoder.decode(av.Packet(asked.unit)), *decoder.decode(None)]
        made = grey if asked.grey else jpeg
        return made(frames[0], asked.width) if frames else b""
    except (av.FFmpegError, ValueError):
        return b""


class Eyes:
    """All streams, and what finds objects in their pictures.

    Args:
        detector: None without a model.
        knows: What it is, or why there is none.
    """

    def __init__(self, detector: "Detector | None" = None, knows: Knows | None = None) -> None:
        self._eyes: dict[int, Eye] = {}
        self._detector = detector
        self._knows = knows or Knows()

    def answer(self, asked: Request) -> Answer:
        """Do what is asked."""
        if isinstance(asked, Watch):
            self._watch(asked)
            return Made()
        if isinstance(asked, Still):
            return Made(still(asked))
        if isinstance(asked, About):
            return self._knows
        eye = self._eyes.get(asked.stream)
        if eye is None:
            return Things([], 0) if isinstance(asked, Find) else Made()
        return self._of(eye, asked)

    def _watch(self, asked: Watch) -> None:
        """Look at a stream, or otherwise than before."""
        if asked.stream in self._eyes and not asked.memory:
            self._eyes[asked.stream].aim(asked)
        elif len(self._eyes) < MOST_STREAMS:
            self._eyes[asked.stream] = Eye(asked)

    def _of(self, eye: Eye, asked: Feed | Picture | Find | Keep | Forget) -> Answer:
        if isinstance(asked, Feed):
            return eye.feed(asked)
        if isinstance(asked, Picture):
            return Made(jpeg(eye.frame, asked.width, asked.box) if eye.frame is not None else b"")
        if isinstance(asked, Find):
            detector = self._detector
            return eye.find(detector, asked) if detector else Things([], 0)
        if isinstance(asked, Keep):
            return Made(eye.keep())
        if asked.altogether:
            del self._eyes[asked.stream]
        else:
            eye.forget()
        return Made()


def main() -> None:
    """Run in the sandbox.

    Arguments: a model and the file of its labels, which may be empty; none for no model.
    """
    av.logging.set_level(av.logging.PANIC)
    _warm()
    eyes = Eyes()
    if len(sys.argv) > 2:
        from nvr.analyse.detect import loaded  # noqa: PLC0415 - brings NumPy, and more

        model, labels = sys.argv[1:3]
        eyes = Eyes(*loaded(Path(model), Path(labels) if labels else None))
    serve(lambda message: msgspec.msgpack.encode(eyes.answer(REQUESTS.decode(message))))


def _warm() -> None:
    """Use everything once: what is loaded late could not be loaded any more."""
    size = (320, 180)
    frame = av.VideoFrame(*size, "yuv420p")
    units = Encoder(Settings(size, 25, 200_000)).encode(picture_of(frame, 0))
    config = h264.avcc(units[0].nals)
    sample = prefixed(units[0].nals)
    cells = bytes(b"\5" * 3600)
    for codec in DECODERS:
        record = config if codec == "h264" else b""
        eye = Eye(Watch(0, codec, record, cells, cells))
        eye.feed(Feed(0, [(sample, 0)], 9000, alone=True, flags=1, map=True))
        eye.keep()
        if eye.frame is not None:
            jpeg(eye.frame, 160, (0, 0, 500, 500))
        still(Still(codec, record, sample, 160))


if __name__ == "__main__":
    main()
