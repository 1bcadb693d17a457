"""What a camera sees, for a command without a recorder: small grey pictures of new key frames."""

import asyncio
import contextlib
import threading
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nvr.analyse.talk import Still
from nvr.analyse.tap import units
from nvr.analyse.worker import Analyst
from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.capture.rtsp import Caller
from nvr.capture.source import Source
from nvr.codec.jpeg import JpegDecoder
from nvr.media.ingest import Ingest
from nvr.media.part import Part

WIDTH_PX: Final = 320
PATIENCE_S: Final = 20.0
SETTLE_S: Final = 0.5
"""Pictures of before are still on their way for so long."""


class Sight:
    """A connection to a camera, in a thread of its own. Use as a context manager.

    Args:
        caller: Connects.
        clock: Time source.
    """

    def __init__(self, caller: Caller, clock: Clock) -> None:
        self._caller = caller
        self._clock = clock
        self._news = threading.Condition()
        self._part: Part | None = None
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._source: Source | None = None
        self._thread = threading.Thread(target=self._run, name="sight")
        self._analyst = Analyst(clock, lambda _: None)
        self._decoder: JpegDecoder | None = None

    def __enter__(self) -> Self:
        self._analyst.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join()
        self._analyst.stop()
        if self._decoder is not None:
            self._decoder.close()

    def look(self) -> NDArray[np.uint8]:
        """Return a picture that was taken after now, shape ``(height, width)``.

        Raises:
            Unavailable: ``camera.silent``: none came in 20 s.
        """
        self._clock_sleep(SETTLE_S)
        with self._news:
            self._part = None
            part = self._news.wait_for(lambda: self._part, PATIENCE_S)
        if part is None:
            why = self._source.state.detail if self._source else ""
            raise Unavailable("camera.silent", why or "no key frame came in 20 s")
        return self._grey(part)

    def _clock_sleep(self, pause_s: float) -> None:
        threading.Event().wait(pause_s)

    def _grey(self, part: Part) -> NDArray[np.uint8]:
        video = next((one for one in part.config if one.kind == "video"), None)
        first = units(part, key_only=True)
        if video is None or not first:
            raise Unavailable("camera.silent", "its pictures cannot be decoded")
        jpeg = self._analyst.still(Still(video.codec, video.config, first[0][0], WIDTH_PX)).result(
            PATIENCE_S
        )
        size = jpeg_size(jpeg)
        if self._decoder is None or self._decoder.size != (size[0] // 2 * 2, size[1] // 2 * 2):
            if self._decoder is not None:
                self._decoder.close()
            self._decoder = JpegDecoder(size)
        frame = self._decoder.decode(jpeg)
        if frame is None:
            raise Unavailable("camera.silent", "its pictures cannot be decoded")
        width, height = self._decoder.size
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return rows[:height, :width].copy()

    def _take(self, parts: list[Part]) -> None:  # in the ingest thread
        keys = [part for part in parts if part.key]
        if keys:
            with self._news:
                self._part = keys[-1]
                self._news.notify_all()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(asyncio.CancelledError):
            self._task = self._loop.create_task(self._watch())
            self._loop.run_until_complete(self._task)
        self._loop.close()

    async def _watch(self) -> None:
        ingest = Ingest(self._take, self._clock)
        self._source = Source("sight", self._caller, ingest.stream("sight/main"), clock=self._clock)
        running = asyncio.ensure_future(ingest.run())
        capturing = asyncio.ensure_future(self._source.run())
        try:
            await asyncio.Event().wait()
        finally:
            for task in (capturing, running):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height in pixels as the frame header says, zeros if there is none.

    Source: ITU-T T.81, B.2.
    """
    at = 2
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker in range(0xC0, 0xC4):
            height, width = (int.from_bytes(jpeg[at + n : at + n + 2], "big") for n in (5, 7))
            return width, height
        at += 2 + length
    return 0, 0
