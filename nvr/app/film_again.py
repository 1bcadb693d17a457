"""The sub stream of a camera that encodes its own pictures: these, decoded and made small.

They are foreign, so that is done where nothing can be opened, sent or started
(`nvr.serve.recoder`), fed by a thread of its own; the main stream goes on untouched, and never
waits. What it does not keep up with is left out by whole groups. Captions and masks are burned in,
masks before it is made small.
"""

import collections
import socket
import threading
from collections.abc import Callable
from typing import Final

from nvr.app.film_outlet import usual_bps
from nvr.app.film_sender import Sender
from nvr.base.clock import Clock
from nvr.base.errors import Damaged, NvrError
from nvr.codec.again import mp4_sample
from nvr.codec.sandbox import Sandbox
from nvr.media.camera import CaptionText
from nvr.media.encoder import AccessUnit, CodedSource
from nvr.media.film import Began, Failed, OfSub, Sub, Wish, Work
from nvr.media.mask import Masks
from nvr.media.picture import within
from nvr.serve.recode_talk import Burned, Coded, Head, Recoded, Wanted, ask
from nvr.wire import h264
from nvr.wire.nal import nals

NOTHING: Final = CaptionText((), (0, 0), 40, "plain")
"""No caption."""
_MOST_WAITING: Final = 120
"""Pictures; beyond that all of them are left out, up to the next key frame."""
_MOST_AT_ONCE: Final = 8
_ANSWER_S: Final = 20.0
_NICE: Final = 5


def sandbox() -> Sandbox:
    """Start what decodes and encodes."""
    return Sandbox("nvr.serve.recoder", answer_s=_ANSWER_S, nice=_NICE, words=("captions",))


class SubAgain:
    """One sub stream; `take` and the rest are of one thread, its work is of another.

    Args:
        order: What is wanted.
        sock: Where it goes; blocks.
        source: Whose pictures come.
        say: Reports, from any thread.
        clock: Time source.
        start: Starts the sandbox.

    Attributes:
        number: Of its order.
        late: Pictures left out.
        clock: What ``{clock}`` stands for. See `nvr.media.caption.clock_text`.
    """

    def __init__(
        self,
        order: Sub,
        sock: socket.socket,
        source: CodedSource,
        say: Callable[[OfSub], None],
        clock: Clock,
        start: Callable[[], Sandbox] = sandbox,
    ) -> None:
        self.number, self.late = order.number, 0
        self._say, self._start = say, start
        self._sender = Sender(sock, "h264", clock)
        self._source, self._size = source, within(source.size, order.box)
        self._wake = threading.Condition()
        self._waiting: collections.deque[AccessUnit] = collections.deque()
        self._wish: Wish = order.wish
        self._masks: Masks = ()
        self._caption, self.clock, self._time = NOTHING, "", clock
        self._skipping, self._anew, self._ended = True, True, False
        self._box: Sandbox | None = None
        self._pictures = 0
        threading.Thread(target=self._run, name="film/sub", daemon=True).start()

    def take(self, unit: AccessUnit) -> None:
        """Take the next picture of the camera."""
        with self._wake:
            if self._ended:
                return
            if len(self._waiting) >= _MOST_WAITING:
                self._forget()
            if self._skipping and not unit.key:
                self.late += 1
                return
            self._skipping = False
            self._waiting.append(unit)
            self._wake.notify()

    def retarget(self, wish: Wish) -> None:
        """Encode otherwise from the next key frame on."""
        with self._wake:
            self._wish, self._anew = wish, True
            self._forget()

    def hide(self, masks: Masks) -> None:
        """Hide other areas from the next picture on."""
        self._masks = masks

    def caption(self, text: CaptionText) -> None:
        """Burn another one from the next picture on; what the font lacks is left out."""
        self._caption = text

    def work(self) -> Work:
        """What it has cost so far, of what the whole process has."""
        box = self._box
        cpu_s = box.spent_s() if box is not None else 0.0
        return Work(self._pictures, self.late, 0.0, 0.0, 0.0, cpu_s)

    def close(self) -> None:
        """End it, whatever it is at; waits for nothing."""
        with self._wake:
            self._ended = True
            if self._box is not None:
                self._box.kill()
            self._wake.notify()

    def _forget(self) -> None:
        self.late += len(self._waiting)
        self._waiting.clear()
        self._skipping = True

    # The thread.

    def _run(self) -> None:
        try:
            with self._start() as box:
                with self._wake:
                    self._box = box
                self._carry(box)
        except NvrError as err:
            if not self._ended:
                failed = Failed(type(err).__name__, err.code, err.detail)
                self._say(OfSub(self.number, failed))
        finally:
            with self._wake:
                self._box, self._ended = None, True
            self._sender.close()

    def _carry(self, box: Sandbox) -> None:
        record, head = b"", None
        while batch := self._next():
            units, anew, wish = batch
            told = _record(units[0])
            if anew or told not in {b"", record}:
                record = told or record
                ask(box, self._wanted(record, wish), Recoded)
            coded = [(mp4_sample(unit), unit.pts_90k) for unit in units]
            found = ask(box, self._coded(coded), Recoded)
            if found.head is not None:
                if head is None:
                    self._say(OfSub(self.number, self._began(found.head, wish)))
                head = found.head
            if head is not None:
                self._sender.send([_unit(head, *one) for one in found.samples])
                self._pictures += len(found.samples)

    def _next(self) -> tuple[list[AccessUnit], bool, Wish] | None:
        """What waits up to the next key frame; None at the end."""
        with self._wake:
            while not self._waiting and not self._ended:
                self._wake.wait()
            if self._ended:
                return None
            batch = [self._waiting.popleft()]
            while self._waiting and not self._waiting[0].key and len(batch) < _MOST_AT_ONCE:
                batch.append(self._waiting.popleft())
            anew, self._anew = self._anew, False
            return batch, anew, self._wish

    def _coded(self, units: list[tuple[bytes, int]]) -> Coded:
        since_us = self._time.wall_us() - round(self._time.monotonic_s() * 1e6)
        burned = Burned(self._caption, self.clock, since_us)
        return Coded(units, self._masks, burned=burned)

    def _wanted(self, record: bytes, wish: Wish) -> Wanted:
        if not record:
            raise Damaged("camera.no_parameter_sets", "it never says what decoding needs")
        fps = self._fps(wish)
        rate = wish.bitrate_bps or usual_bps(self._size, fps, "h264")
        return Wanted("h264", record, self._size[1], fps, rate)

    def _fps(self, wish: Wish) -> int:
        return min(self._source.fps, wish.fps) if wish.fps else self._source.fps

    def _began(self, head: Head, wish: Wish) -> Began:
        sets = (head.sps.hex(), head.pps.hex())
        return Began("x264", head.size, self._fps(wish), sets)


def _record(unit: AccessUnit) -> bytes:
    """The ``avcC`` record of a key frame, empty if it brings no parameter sets."""
    try:
        return h264.avcc(unit.nals)
    except ValueError:
        return b""


def _unit(head: Head, sample: bytes, pts_90k: int, key: bool) -> AccessUnit:
    try:
        found = tuple(nals(sample))
    except ValueError as err:
        raise Damaged("sandbox.died", "the decoder could not bear it: nonsense") from err
    return AccessUnit((head.sps, head.pps, *found) if key else found, pts_90k, key, pts_90k)
