"""The process that films a local camera: captures, burns, encodes and sends what comes of it.

``python -m nvr.app.film``, started by `nvr.capture.film`, with its orders on standard input. A
process of its own, because drivers of grabbers and encoders crash and hang where a network camera
only goes silent, because a recorder of network cameras need not load what decodes and draws, and
because its work then never waits for, nor holds up, the threads that record and steer.

It ends when its input does, so it never outlives the recorder.
"""

import contextlib
import os
import resource
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import av
from msgspec.structs import replace

from nvr.app.film_sender import Sender
from nvr.base.clock import TICKS_PER_S, Clock, SystemClock
from nvr.base.errors import Misconfigured, NvrError
from nvr.capture import v4l2
from nvr.capture.ear import Ear
from nvr.encode.session import open_encoder
from nvr.hal.linux_clock import KernelClock
from nvr.media.camera import CaptionText
from nvr.media.caption import MODES, clock_text
from nvr.media.encoder import CodedSource, Encoder, Settings
from nvr.media.film import (
    LINE_BYTES,
    REPORT_S,
    Began,
    Begin,
    Caption,
    Condition,
    Failed,
    Hide,
    Key,
    Lacking,
    Order,
    Refused,
    Report,
    Retarget,
    Wish,
    Work,
    line,
    order,
)
from nvr.media.mask import Masks
from nvr.media.picture import Picture, PictureSource
from nvr.overlay import caption as burned
from nvr.overlay.burn import Burner
from nvr.overlay.font import Font
from nvr.sim.pattern import Pattern

_SEND_S: Final = 5.0
"""So long may the recorder not read before we give up."""
_NICE: Final = 5
"""Recording and steering come first."""

NOTICES: Final = {
    "camera.no_signal": "无信号 NO SIGNAL",
    "camera.no_power": "未供电 NO POWER",
}
"""What a picture says that stands for one there is not."""


@dataclass(slots=True)
class Desk:
    """Orders that wait for the next picture: the newest of each kind."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    key: bool = False
    wish: Wish | None = None
    captions: list[Caption] = field(default_factory=list)
    masks: Masks | None = None

    def take(self, given: Order) -> None:
        """Note an order."""
        with self.lock:
            match given:
                case Key():
                    self.key = True
                case Retarget():
                    self.wish = given.wish
                case Hide():
                    self.masks = given.masks
                case Caption():
                    self.captions = [*self.captions[-7:], given]

    def hidden(self) -> Masks | None:
        """Return the masks that have waited, None if there are no other ones."""
        with self.lock:
            waited, self.masks = self.masks, None
            return waited

    def hand_over(self) -> "tuple[bool, Wish | None, list[Caption]]":
        """Return what has waited."""
        with self.lock:
            waited = self.key, self.wish, self.captions
            self.key, self.wish, self.captions = False, None, []
            return waited


def usual_bps(size: tuple[int, int], fps: int, codec: str) -> int:
    """Bits a second that look well enough for most: 4 Mbit/s for 1080p at 25 in H.264.

    Small pictures need more for each pixel, for what they show is smaller: the exponent.
    """
    rate: float = 4_000_000 * (size[0] * size[1] / (1920 * 1080)) ** 0.8 * (fps / 25) ** 0.7
    return round(rate * (0.65 if codec == "h265" else 1.0) / 10_000) * 10_000


def settings_of(wish: Wish, source: PictureSource) -> Settings:
    """Return what an encoder is to be opened with."""
    fps = min(source.fps, wish.fps) if wish.fps else source.fps
    return Settings(
        source.size,
        fps,
        wish.bitrate_bps or usual_bps(source.size, fps, wish.codec),
        wish.gop_s,
        wish.codec,
        wish.profile,
        wish.latency,
        wish.preset,
    )


def opened(begin: Begin) -> PictureSource | v4l2.Coded:
    """Open what an order names.

    Raises:
        NvrError: It cannot be.
    """
    match begin.url.partition(":")[0]:
        case "test":
            return Pattern(begin.url)
        case "v4l2":
            return v4l2.opened(begin.url, begin.capture)
    raise Misconfigured("camera.unsupported", "nobody here films such an address")


class Reporter:
    """Says what is the matter with a source, and once a second what was done.

    Args:
        say: Reports.
        pictures: What lacks is said in pictures.
        clock: Time source.
    """

    def __init__(self, say: Callable[[Report], None], clock: Clock, *, pictures: bool) -> None:
        self.say, self._clock, self._pictures = say, clock, pictures
        self._lack = ""
        self._said_s = clock.monotonic_s()

    def look(self, lack: str, work: Work) -> bool:
        """Say what there is to say now; returns whether a second is over."""
        if lack != self._lack:
            self._lack = lack
            self.say(Condition(lack, self._pictures))
        now_s = self._clock.monotonic_s()
        if now_s - self._said_s >= REPORT_S:
            self._said_s = now_s
            self.say(replace(work, cpu_s=spent_s()))
            return True
        return False


class Film:
    """One source filmed into one socket. Used by one thread.

    Args:
        source: Where the pictures come from.
        encoder: Opened for `settings_of`.
        sender: Where they go.
        wish: How they are encoded.
        desk: Where orders wait.
        reporter: Reports.
        clock: Time source.
    """

    def __init__(
        self,
        source: PictureSource,
        encoder: Encoder,
        sender: Sender,
        wish: Wish,
        desk: Desk,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        self._source, self._encoder, self._sender = source, encoder, sender
        self._desk, self._reporter, self._clock = desk, reporter, clock
        self._say = reporter.say
        self._wish = wish
        font = Font()
        self._burner = Burner(font, source.size)
        self._notice = Burner(font, source.size)
        self._kernel = KernelClock()
        self._work = Work(0, 0, 0.0, 0.0, 0.0, 0.0)
        self._next_90k: int | None = None
        self._keyed_90k: int | None = None

    def caption(self, text: CaptionText) -> tuple[str, ...]:
        """Burn another one; returns what the font lacks. Raises ``caption.invalid``."""
        mode = next((mode for mode in MODES if mode == text.mode), MODES[0])
        return self._burner.set(
            burned.Caption(text.lines, text.position_permille, text.size_permille, mode)
        )

    def hide(self, masks: Masks) -> None:
        """Hide other areas from the next picture on."""
        self._burner.mask(masks)

    def run(self, going: Callable[[], bool]) -> None:
        """Film as long as `going` says so.

        Raises:
            NvrError: The source, the encoder or the recorder gave up.
        """
        self._tell_clock()
        while going():
            self._obey()
            begun_s = time.thread_time()
            picture = self._source.read()
            captured_s = time.thread_time()
            if picture is not None and self._wanted(picture):
                self._film(picture, captured_s - begun_s)
            else:
                self._count(capture_s=captured_s - begun_s)
            if self._reporter.look(self._source.lack, self._work):
                self._tell_clock()

    def _tell_clock(self) -> None:
        self._burner.clock = clock_text(self._kernel.state(), self._kernel.uncertainty_ms())

    def _film(self, picture: Picture, capture_s: float) -> None:
        begun_s = time.thread_time()
        behind_us = round((self._clock.monotonic_s() - picture.pts_90k / TICKS_PER_S) * 1e6)
        wall_us = self._clock.wall_us() - behind_us
        if self._source.lack:
            self._notice.set(notice(self._source.lack))
            self._notice.burn(picture.planes, wall_us)
        self._burner.burn(picture.planes, wall_us)
        burned_s = time.thread_time()
        self._look_for_key(picture)
        try:
            units = self._encoder.encode(picture)
        except Misconfigured as err:
            self._say(Refused(err.code, err.detail))
            return
        encoded_s = time.thread_time()
        self._keyed_90k = max((unit.pts_90k for unit in units if unit.key), default=self._keyed_90k)
        self._sender.send(units)
        self._count(
            pictures=1,
            capture_s=capture_s,
            burn_s=burned_s - begun_s,
            encode_s=encoded_s - burned_s,
        )

    def _look_for_key(self, picture: Picture) -> None:
        """Ask for a key frame when its time has come.

        Encoders count pictures, and of a source that is slower than it said, or a box that leaves
        some out, so many take longer.
        """
        if self._keyed_90k is None:
            return
        settings = self._encoder.settings
        half = TICKS_PER_S // settings.fps // 2
        if picture.pts_90k - self._keyed_90k >= round(settings.gop_s * TICKS_PER_S) - half:
            self._encoder.request_key()
            self._keyed_90k = picture.pts_90k

    def _wanted(self, picture: Picture) -> bool:
        """Whether a picture is one of those that make up the rate asked for."""
        fps = self._encoder.settings.fps
        if fps >= self._source.fps:
            return True
        step = TICKS_PER_S // fps
        if self._next_90k is None or picture.pts_90k - self._next_90k > 4 * step:
            self._next_90k = picture.pts_90k
        # Half a picture early is nearer than half a picture late.
        if picture.pts_90k < self._next_90k - TICKS_PER_S // self._source.fps // 2:
            return False
        self._next_90k += step
        return True

    def _obey(self) -> None:
        key, wish, captions = self._desk.hand_over()
        if wish is not None:
            self._wish = wish
            self._encoder.retarget(settings_of(wish, self._source))
        if key:
            self._encoder.request_key()
        if (masks := self._desk.hidden()) is not None:
            self.hide(masks)
        for one in captions:
            try:
                self._say(Lacking(one.number, self.caption(one.text)))
            except NvrError as err:
                self._say(Lacking(one.number, (), err.code, err.detail))

    def _count(
        self,
        pictures: int = 0,
        capture_s: float = 0.0,
        burn_s: float = 0.0,
        encode_s: float = 0.0,
    ) -> None:
        was = self._work
        self._work = replace(
            was,
            pictures=was.pictures + pictures,
            late=self._source.late,
            capture_s=was.capture_s + capture_s,
            burn_s=was.burn_s + burn_s,
            encode_s=was.encode_s + encode_s,
        )


def spent_s() -> float:
    """Processor seconds of this process and of those it has waited for."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def film(
    begin: Begin, desk: Desk, say: Callable[[Report], None], going: Callable[[], bool]
) -> None:
    """Open what an order names, and film.

    Raises:
        NvrError: What keeps it from that, or ended it.
    """
    clock = SystemClock()
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket(fileno=begin.socket))
        sock.settimeout(_SEND_S)
        source = opened(begin)
        stack.callback(source.close)
        if isinstance(source, v4l2.Coded):
            sender = Sender(sock, source.codec, clock)
            began = Began("camera", source.size, source.fps, (), source.codec)
            say(_with_sound(began, begin, sender, stack))
            pass_on(source, sender, desk, Reporter(say, clock, pictures=False), going)
            return
        encoder = open_encoder(begin.wish.encoder, settings_of(begin.wish, source))
        stack.callback(encoder.close)
        sender = Sender(sock, begin.wish.codec, clock)
        reporter = Reporter(say, clock, pictures=begin.capture.no_signal == "picture")
        made = Film(source, encoder, sender, begin.wish, desk, reporter, clock)
        made.hide(begin.masks)
        if begin.caption is not None:
            made.caption(begin.caption)
        sets = tuple(one.hex() for one in encoder.parameter_sets)
        fps, codec = encoder.settings.fps, begin.wish.codec
        began = Began(encoder.name, source.size, fps, sets, codec)
        say(_with_sound(began, begin, sender, stack))
        made.run(going)


def pass_on(
    source: CodedSource,
    sender: Sender,
    desk: Desk,
    reporter: Reporter,
    going: Callable[[], bool],
) -> None:
    """Send what a camera encodes itself, from its first key frame on, untouched.

    Raises:
        NvrError: The source or the recorder gave up.
    """
    work, begun = Work(0, 0, 0.0, 0.0, 0.0, 0.0), False
    while going():
        _, _, captions = desk.hand_over()
        for one in captions:
            detail = "this camera encodes its own picture, which is recorded untouched"
            reporter.say(Lacking(one.number, (), "caption.unsupported", detail))
        unit = source.read_unit()
        if unit is not None and (begun := begun or unit.key):
            sender.send([unit])
            work = replace(work, pictures=work.pictures + 1, late=source.late)
        reporter.look(source.lack, work)


def _with_sound(began: Began, begin: Begin, sender: Sender, stack: contextlib.ExitStack) -> Began:
    """Listen, if that is wished for; what keeps us from it keeps nobody from filming."""
    if not begin.capture.alsa:
        return began
    try:
        ear = Ear(begin.capture.alsa, sender.send_sound)
    except NvrError as err:
        return replace(began, sound_code=err.code)
    stack.callback(ear.close)
    ear.start()
    return replace(began, sound=ear.config.hex())


def notice(code: str) -> burned.Caption:
    """What stands in the middle of a picture that stands for one there is not."""
    return burned.Caption((NOTICES.get(code, code),), (320, 440), 90, "plain")


def _listen(orders: BinaryIO, desk: Desk, ended: threading.Event) -> None:
    """Take orders until there are no more; then whatever still runs must end."""
    with contextlib.suppress(ValueError, OSError):
        while text := orders.readline(LINE_BYTES):
            desk.take(order(text))
    ended.set()
    time.sleep(_SEND_S)
    os._exit(1)  # a driver that hangs would keep us here


def main() -> int:
    """Run until standard input ends."""
    os.nice(_NICE)
    av.logging.set_level(av.logging.PANIC)
    out = sys.stdout.buffer
    sys.stdout = sys.stderr  # what libraries print is no report

    def say(said: Report) -> None:
        with contextlib.suppress(OSError):
            out.write(line(said))
            out.flush()

    try:
        begin = order(sys.stdin.buffer.readline(LINE_BYTES))
    except ValueError:
        return 2
    if not isinstance(begin, Begin):
        return 2
    desk, ended = Desk(), threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, desk, ended), daemon=True).start()
    try:
        film(begin, desk, say, lambda: not ended.is_set())
    except NvrError as err:
        say(Failed(type(err).__name__, err.code, err.detail))
        return 1
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except BaseException:  # noqa: BLE001 - a bug, said on the way out
        traceback.print_exc()
        code = 3
    sys.stderr.flush()
    os._exit(code)  # not past a thread that reads, nor through the destructors of a driver
