"""H.265 for browsers that do not know it: one stream at a time, decoded in the sandbox, made small.

It looks like a stream to whoever watches it (`Recode.watch`), and lasts as long as somebody does. A
box that cannot keep up leaves out groups of pictures, never memory: what waits is bounded.
"""

import asyncio
import collections
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Final

import msgspec

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Damaged, NvrError, Unavailable
from nvr.base.log import event
from nvr.codec.sandbox import Sandbox
from nvr.media.live import Deliver
from nvr.media.part import Fragment
from nvr.media.ports import Stream
from nvr.media.track import StreamConfig, TrackConfig
from nvr.wire import fmp4, h264

_log = logging.getLogger(__name__)

LINES: Final = 480
FPS: Final = 12
BITRATE_BPS: Final = 700_000
_MOST_BYTES: Final = 4 << 20
"""May wait for the sandbox; beyond it everything does not, up to the next key frame."""
_BATCH_BYTES: Final = 1 << 20
_TIMES: Final = 3
"""So often may the sandbox die of one stream, until it is left alone."""


class Wanted(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """What is to be made: head of the MP4, its ``hvcC``, and what comes out."""

    head: bytes
    config: bytes
    most_lines: int
    fps: int
    bitrate_bps: int


class Coded(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Fragments, one behind the other."""

    fragments: bytes


class Head(msgspec.Struct, array_like=True, frozen=True):
    """Parameter sets and size of what comes out."""

    sps: bytes
    pps: bytes
    size: tuple[int, int]


class Recoded(msgspec.Struct, array_like=True, frozen=True):
    """What came out: a head where there is a key frame; samples of MP4, their times, which key."""

    head: Head | None
    samples: list[tuple[bytes, int, bool]]


_ASKED: Final = msgspec.msgpack.Decoder(Wanted | Coded)
_SAID: Final = msgspec.msgpack.Decoder(Recoded)


def asked(message: bytes) -> Wanted | Coded:
    """Read what the sandbox is asked."""
    return _ASKED.decode(message)


def said(answer: Recoded) -> bytes:
    """Write what it answers."""
    return msgspec.msgpack.encode(answer)


class Recode:
    """One stream as a browser without H.265 can show it; only its picture.

    Args:
        stream: What is watched.
        ended: Called once nobody watches any more.
        sandbox: Starts one.
    """

    def __init__(
        self, stream: Stream, ended: Callable[[], None], sandbox: Callable[[], Sandbox]
    ) -> None:
        self.name = stream.name
        self._stream, self._ended, self._sandbox = stream, ended, sandbox
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._waiting: collections.deque[Fragment] = collections.deque()
        self._bytes = 0
        self._config: StreamConfig = ()
        self._skipping = True
        self._stopped = False
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
                    self._carry(box, deliver)
            except NvrError as err:
                event(_log, logging.WARNING, "recode.failed", stream=self.name, error=str(err))
                with self._wake:
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
            if config != begun:
                begun = config
                video = next(track for track in config if track.kind == "video")
                head = fmp4.init_segment(config)
                wanted = Wanted(head, video.config, LINES, FPS, BITRATE_BPS)
                box.ask(msgspec.msgpack.encode(wanted))
            coded = Coded(b"".join(bytes(one.data) for one in batch))
            try:
                found = _SAID.decode(box.ask(msgspec.msgpack.encode(coded)))
            except (msgspec.DecodeError, RecursionError) as err:
                raise Damaged("sandbox.died", "the decoder answered nonsense") from err
            if found.head is not None:
                made = (_track(found.head),)
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
        samples: list[tuple[bytes, int, bool]],
        arrived_s: float,
    ) -> None:
        fragments = [
            Fragment(
                fmp4.fragment(at_90k, TICKS_PER_S // FPS, sample, key=key), key, at_90k, arrived_s
            )
            for sample, at_90k, key in samples
        ]

        def hand() -> None:
            if not self._stopped:
                deliver(made, fragments)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches
            self._loop.call_soon_threadsafe(hand)


def _track(head: Head) -> TrackConfig:
    try:
        record = h264.avcc([head.sps, head.pps])
    except ValueError as err:
        raise Damaged("sandbox.died", "the decoder answered nonsense") from err
    return TrackConfig("video", "h264", TICKS_PER_S, record, *head.size)


class Recodes:
    """Who is made small now: one stream at a time. Of the event loop's thread.

    Args:
        behind: Whether recording lags, so that nothing else may be begun.
        sandbox: Starts one.
    """

    def __init__(
        self,
        behind: Callable[[], bool] = lambda: False,
        sandbox: Callable[[], Sandbox] = lambda: Sandbox("nvr.encode.recoder", answer_s=20.0),
    ) -> None:
        self._behind, self._sandbox = behind, sandbox
        self._now: Recode | None = None

    def open(self, stream: Stream) -> Recode:
        """Begin one.

        Raises:
            Unavailable: ``recode.busy``: another stream is made small now; ``recode.behind``:
                recording lags, and goes first.
        """
        if self._behind():
            raise Unavailable("recode.behind", "recording lags, and goes first")
        if self._now is not None:
            raise Unavailable("recode.busy", "another picture is converted now, one at a time")
        self._now = Recode(stream, self._over, self._sandbox)
        return self._now

    def _over(self) -> None:
        self._now = None
