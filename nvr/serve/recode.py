"""A live stream made anew for a browser: small H.264, with masks over it, decoded in the sandbox.

It looks like a stream to whoever watches it (`Recode.watch`), and lasts as long as somebody does. A
box that cannot keep up leaves out groups of pictures, never memory: what waits is bounded.
"""

import asyncio
import collections
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Damaged, NvrError
from nvr.base.log import event
from nvr.codec.sandbox import Sandbox
from nvr.media.fragment import pieces, samples
from nvr.media.live import Deliver
from nvr.media.mask import Masks
from nvr.media.part import Fragment
from nvr.media.ports import Stream
from nvr.media.track import StreamConfig
from nvr.serve.recode_talk import Coded, Recoded, Wanted, ask, track_of
from nvr.wire import fmp4

_log = logging.getLogger(__name__)

LINES: Final = 480
FPS: Final = 12
BITRATE_BPS: Final = 700_000
_MOST_BYTES: Final = 4 << 20
"""May wait for the sandbox; beyond it everything does not, up to the next key frame."""
_BATCH_BYTES: Final = 1 << 20
_TIMES: Final = 3
"""So often may the sandbox die of one stream, until it is left alone."""
_GIVE_WAY_S: Final = 1.0


class Recode:
    """One stream as a browser can show it, or its viewer may see it; only its picture.

    Args:
        stream: What is watched.
        ended: Called once nobody watches any more.
        sandbox: Starts one.
        masks: What is hidden now, and was a moment ago; from a thread of its own.
        behind: Whether recording lags, so that nothing is converted; likewise.
    """

    def __init__(
        self,
        stream: Stream,
        ended: Callable[[], None],
        sandbox: Callable[[], Sandbox],
        masks: Callable[[], Masks] = tuple,
        behind: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = stream.name
        self._stream, self._ended, self._sandbox = stream, ended, sandbox
        self._masks, self._behind = masks, behind
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._waiting: collections.deque[Fragment] = collections.deque()
        self._bytes = 0
        self._config: StreamConfig = ()
        self._skipping = True
        self._stopped = False
        self._box: Sandbox | None = None
        self.dropped = 0

    @property
    def config(self) -> StreamConfig | None:
        """None: it is known with the first picture."""
        return None

    def watch(self, deliver: Deliver) -> Callable[[], None]:
        """Deliver the small picture from its next key frame on. See `Stream`."""
        thread = threading.Thread(target=self._work, args=(deliver,), name=f"recode/{self.name}")
        thread.start()
        end_watching = self._stream.watch(self._take)

        def end() -> None:
            end_watching()
            with self._wake:
                self._stopped = True
                if self._box is not None:
                    self._box.kill()  # what it is at nobody wants any more
                self._wake.notify()
            self._ended()

        return end

    def _take(self, config: StreamConfig, fragments: list[Fragment]) -> None:
        number = next((n for n, track in enumerate(config) if track.kind == "video"), -1)
        with self._wake:
            if number < 0:
                return
            if config != self._config:
                self._config, self._skipping = config, True
                self._forget()
            for fragment in fragments:
                if fragment.track not in {number, -1}:
                    continue
                if self._bytes > _MOST_BYTES:
                    self._forget()
                    self._skipping = True
                if self._skipping and not fragment.key:
                    self.dropped += 1
                    continue
                self._skipping = False
                self._waiting.append(fragment)
                self._bytes += len(fragment.data)
            self._wake.notify()

    def _forget(self) -> None:
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._bytes = 0

    # The thread.

    def _work(self, deliver: Deliver) -> None:
        for _ in range(_TIMES):
            try:
                with self._sandbox() as box:
                    with self._wake:
                        self._box = box
                    self._carry(box, deliver)
            except NvrError as err:
                if not self._stopped:
                    event(_log, logging.WARNING, "recode.failed", stream=self.name, error=str(err))
            with self._wake:
                self._box = None
                self._forget()
                self._skipping = True
            if self._stopped:
                return

    def _carry(self, box: Sandbox, deliver: Deliver) -> None:
        begun: StreamConfig = ()
        made: StreamConfig = ()
        while True:
            config, batch = self._next()
            if not batch:
                return
            if self._behind():
                with self._wake:
                    self._forget()
                    self._skipping = True
                time.sleep(_GIVE_WAY_S)
                continue
            number = next(n for n, track in enumerate(config) if track.kind == "video")
            if config != begun:
                begun, video = config, config[number]
                ask(
                    box,
                    Wanted(video.codec, video.config, LINES, FPS, BITRATE_BPS),
                    Recoded,
                )
            found = ask(box, Coded(_units(config, batch, number), self._masks()), Recoded)
            if found.head is not None:
                made = (track_of(found.head),)
            if found.samples and made:
                self._hand_over(deliver, made, found.samples, batch[-1].arrived_s)

    def _next(self) -> tuple[StreamConfig, list[Fragment]]:
        with self._wake:
            while not self._waiting and not self._stopped:
                self._wake.wait()
            if self._stopped:
                return (), []
            batch, size = list[Fragment](), 0
            while self._waiting and size < _BATCH_BYTES:
                batch.append(self._waiting.popleft())
                size += len(batch[-1].data)
            self._bytes -= size
            return self._config, batch

    def _hand_over(
        self,
        deliver: Deliver,
        made: StreamConfig,
        found: list[tuple[bytes, int, bool]],
        arrived_s: float,
    ) -> None:
        fragments = [
            Fragment(
                fmp4.fragment(at_90k, TICKS_PER_S // FPS, sample, key=key), key, at_90k, arrived_s
            )
            for sample, at_90k, key in found
        ]

        def hand() -> None:
            if not self._stopped:
                deliver(made, fragments)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches
            self._loop.call_soon_threadsafe(hand)


def _units(config: StreamConfig, batch: list[Fragment], number: int) -> list[tuple[bytes, int]]:
    """Return the pictures of fragments; of one that is damaged, none."""
    units: list[tuple[bytes, int]] = []
    for fragment in batch:
        with contextlib.suppress(Damaged):
            for piece in pieces(bytes(fragment.data)):
                found = samples(piece, config)
                units += [(one.data, one.pts_90k) for one in found if one.track == number]
    return units
