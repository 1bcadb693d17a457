"""The process that films a local camera: captures, burns, encodes and sends what comes of it.

``python -m nvr.app.film``, started by `nvr.capture.film`, with its orders on standard input. A
process of its own, because drivers of grabbers and encoders crash and hang where a network camera
only goes silent, because a recorder of network cameras need not load what decodes and draws, and
because its work then never waits for, nor holds up, the threads that record and steer.

It ends when its input does, so it never outlives the recorder.
"""

import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import BinaryIO, Final

import av
from msgspec.structs import replace

from nvr.app.film_desk import Desk
from nvr.app.film_outlet import Outlet, SubOutlet, settings_of
from nvr.app.film_passing import Passing
from nvr.app.film_report import SEND_S, Reporter, lost, turn
from nvr.app.film_sender import Sender
from nvr.base.clock import TICKS_PER_S, Clock, SystemClock
from nvr.base.errors import Misconfigured, NvrError, Unavailable
from nvr.base.interpreter import keep_prompt
from nvr.capture import v4l2
from nvr.capture.ear import Ear
from nvr.encode.session import open_encoder
from nvr.hal.linux_clock import KernelClock
from nvr.media.camera import CaptionText
from nvr.media.caption import clock_text
from nvr.media.device import pixel_aspect
from nvr.media.encoder import Encoder
from nvr.media.film import (
    LINE_BYTES,
    Began,
    Begin,
    Failed,
    Lacking,
    OfSub,
    Refused,
    Report,
    Sub,
    SubEnd,
    SubRetarget,
    Turn,
    Wish,
    Work,
    line,
    order,
)
from nvr.media.mask import Masks
from nvr.media.picture import Picture, PictureSource, within
from nvr.overlay.font import Font
from nvr.sim.pattern import Pattern

_NICE: Final = 5
"""Recording and steering come first."""


def opened(begin: Begin) -> PictureSource | v4l2.Coded:
    """Open what an order names.

    Raises:
        NvrError: It cannot be.
    """
    match begin.url.partition(":")[0]:
        case "test":
            made = Pattern(begin.url)
            made.aspect = pixel_aspect(made.size, begin.capture.aspect, analogue=False)
            return made
        case "v4l2":
            return v4l2.opened(begin.url, begin.capture)
    raise Misconfigured("camera.unsupported", "nobody here films such an address")


class Film:
    """One source filmed into one socket, and a second, smaller stream of it into another.

    Used by one thread.

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
        self._source, self._desk = source, desk
        self._reporter, self._clock = reporter, clock
        self._say = reporter.say
        self._wish = wish
        self._font = Font()
        self._main = Outlet(source, encoder, sender, self._font)
        self._sub: SubOutlet | None = None
        self._caption: CaptionText | None = None
        self._masks: Masks = ()
        self._kernel = KernelClock()
        self._capture_s = 0.0

    def caption(self, text: CaptionText) -> tuple[str, ...]:
        """Burn another one; returns what the font lacks. Raises ``caption.invalid``."""
        lacking = self._main.caption(text)
        self._caption = text
        if self._sub is not None:
            self._sub.caption(text)
        return lacking

    def hide(self, masks: Masks) -> None:
        """Hide other areas from the next picture on."""
        self._masks = masks
        for outlet in self._outlets():
            outlet.hide(masks)

    def run(self, going: Callable[[], bool]) -> None:
        """Film as long as `going` says so.

        Raises:
            NvrError: The source, the main stream's encoder or the recorder gave up.
        """
        self._tell_clock()
        try:
            while going():
                self._obey()
                begun_s = time.thread_time()
                picture = self._source.read()
                self._capture_s += time.thread_time() - begun_s
                if picture is not None:
                    self._film(picture)
                if self._reporter.look(self._source.lack, self._work()):
                    self._tell_clock()
                    if self._sub is not None:
                        self._say(OfSub(self._sub.number, self._sub.work()))
        finally:
            self._end_sub()

    def _outlets(self) -> "list[Outlet]":
        return [self._main] if self._sub is None else [self._main, self._sub]

    def _tell_clock(self) -> None:
        text = clock_text(self._kernel.state(), self._kernel.uncertainty_ms())
        for outlet in self._outlets():
            outlet.burner.clock = text

    def _film(self, picture: Picture) -> None:
        behind_us = round((self._clock.monotonic_s() - picture.pts_90k / TICKS_PER_S) * 1e6)
        wall_us = self._clock.wall_us() - behind_us
        # Before anything is burned in: the small one has its own captions and masks.
        small = self._scaled(picture)
        if self._main.wanted(picture.pts_90k):
            try:
                self._main.put(picture, wall_us)
            except Misconfigured as err:
                self._say(Refused(err.code, err.detail))
        if small is not None and self._sub is not None:
            try:
                self._sub.put(small, wall_us)
            except Misconfigured as err:
                self._say(OfSub(self._sub.number, Refused(err.code, err.detail)))
            except NvrError as err:
                self._end_sub(err)

    def _scaled(self, picture: Picture) -> Picture | None:
        try:
            return None if self._sub is None else self._sub.scaled(picture)
        except (av.FFmpegError, ValueError) as err:
            self._end_sub(Unavailable("encoder.died", f"the picture cannot be scaled: {err}"))
            return None

    def _obey(self) -> None:
        key, wish, captions = self._desk.hand_over()
        if wish is not None:
            self._wish = wish
            self._main.encoder.retarget(settings_of(wish, self._source))
        if key:
            self._main.encoder.request_key()
        if (masks := self._desk.hidden()) is not None:
            self.hide(masks)
        for one in captions:
            try:
                self._say(Lacking(one.number, self.caption(one.text)))
            except NvrError as err:
                self._say(Lacking(one.number, (), err.code, err.detail))
        turn(self._source, self._desk, self._say)
        for waited, sock in self._desk.of_sub():
            self._obey_sub(waited, sock)

    def _obey_sub(self, order: Sub | SubRetarget | SubEnd, sock: socket.socket | None) -> None:
        sub = self._sub
        if isinstance(order, Sub):
            self._end_sub()
            self._begin_sub(order, sock)
        elif sub is not None and sub.number == order.number:
            if isinstance(order, SubEnd):
                self._end_sub()
            else:
                sub.encoder.retarget(settings_of(order.wish, self._source, sub.size))

    def _begin_sub(self, order: Sub, sock: socket.socket | None) -> None:
        if sock is None:
            self._say(OfSub(order.number, lost()))
            return
        sock.settimeout(SEND_S)
        size = within(self._source.size, order.box)
        settings = settings_of(order.wish, self._source, size)
        try:
            encoder = open_encoder(order.wish.encoder, settings)
        except NvrError as err:
            sock.close()
            self._say(OfSub(order.number, _failed(err)))
            return
        sender = Sender(sock, order.wish.codec, self._clock)
        self._sub = sub = SubOutlet(order.number, self._source, encoder, sender, self._font)
        sub.hide(self._masks)
        if self._caption is not None:
            sub.caption(self._caption)
        self._tell_clock()
        sets = tuple(one.hex() for one in encoder.parameter_sets)
        began = Began(encoder.name, size, settings.fps, sets, order.wish.codec)
        self._say(OfSub(order.number, began))

    def _end_sub(self, error: NvrError | None = None) -> None:
        """Make the sub stream no more, and say why if it was not asked for."""
        sub, self._sub = self._sub, None
        if sub is not None:
            sub.close()
            if error is not None:
                self._say(OfSub(sub.number, _failed(error)))

    def _work(self) -> Work:
        main = self._main
        return Work(
            main.pictures, self._source.late, self._capture_s, main.burn_s, main.encode_s, 0.0
        )


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
        sock.settimeout(SEND_S)
        source = opened(begin)
        stack.callback(source.close)
        desk.take(Turn(begin.capture.controls))
        if isinstance(source, v4l2.Coded):
            sender = Sender(sock, source.codec, clock)
            began = Began("camera", source.size, source.fps, (), source.codec)
            say(_with_sound(began, begin, sender, stack))
            passing = Passing(source, sender, desk, say, clock, begin)
            with contextlib.closing(passing):
                passing.run(going)
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


def _failed(err: NvrError) -> Failed:
    return Failed(type(err).__name__, err.code, err.detail)


def _listen(orders: BinaryIO, desk: Desk, ended: threading.Event) -> None:
    """Take orders until there are no more; then whatever still runs must end."""
    with contextlib.suppress(ValueError, OSError):
        while text := orders.readline(LINE_BYTES):
            desk.take(order(text))
    ended.set()
    time.sleep(SEND_S)
    os._exit(1)  # a driver that hangs would keep us here


def main() -> int:
    """Run until standard input ends."""
    os.nice(_NICE)
    keep_prompt()
    av.logging.set_level(av.logging.PANIC)
    out = sys.stdout.buffer
    sys.stdout = sys.stderr  # what libraries print is no report

    saying = threading.Lock()

    def say(said: Report) -> None:
        with saying, contextlib.suppress(OSError):
            out.write(line(said))
            out.flush()

    try:
        begin = order(sys.stdin.buffer.readline(LINE_BYTES))
    except ValueError:
        return 2
    if not isinstance(begin, Begin):
        return 2
    desk, ended = Desk(), threading.Event()
    if begin.handover >= 0:
        desk.handover = socket.socket(fileno=begin.handover)
        desk.handover.settimeout(SEND_S)
    threading.Thread(target=_listen, args=(sys.stdin.buffer, desk, ended), daemon=True).start()
    try:
        film(begin, desk, say, lambda: not ended.is_set())
    except NvrError as err:
        say(_failed(err))
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
