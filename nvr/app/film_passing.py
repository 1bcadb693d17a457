"""A local camera that encodes its own pictures: filmed without encoding them again."""

from collections.abc import Callable

from msgspec.structs import replace

from nvr.app.film_again import NOTHING, SubAgain
from nvr.app.film_desk import Desk
from nvr.app.film_report import SEND_S, Reporter, lost, turn
from nvr.app.film_sender import Sender
from nvr.base.clock import Clock
from nvr.hal.linux_clock import KernelClock
from nvr.media.caption import clock_text
from nvr.media.encoder import CodedSource
from nvr.media.film import Begin, Lacking, OfSub, Report, Sub, SubEnd, Work


class Passing:
    """What a camera encodes itself, sent on untouched; its sub stream is made of that again.

    Used by one thread. Captions and masks are burned into the sub stream only.

    Args:
        source: The camera.
        sender: Where its pictures go.
        desk: Where orders wait.
        say: Reports.
        clock: Time source.
        begin: What is burned into the sub stream at first.
    """

    def __init__(
        self,
        source: CodedSource,
        sender: Sender,
        desk: Desk,
        say: Callable[[Report], None],
        clock: Clock,
        begin: Begin,
    ) -> None:
        self._source, self._sender, self._desk, self._say = source, sender, desk, say
        self._reporter, self._clock = Reporter(say, clock, pictures=False), clock
        self._sub: SubAgain | None = None
        self._masks, self._caption = begin.masks, begin.caption or NOTHING
        self._kernel = KernelClock()

    def run(self, going: Callable[[], bool]) -> None:
        """Send from its first key frame on, as long as `going` says so.

        Raises:
            NvrError: The source or the recorder gave up.
        """
        work, begun = Work(0, 0, 0.0, 0.0, 0.0, 0.0), False
        while going():
            self._obey()
            unit = self._source.read_unit()
            if unit is not None and (begun := begun or unit.key):
                self._sender.send([unit])
                work = replace(work, pictures=work.pictures + 1, late=self._source.late)
                if self._sub is not None:
                    self._sub.take(unit)
            if self._reporter.look(self._source.lack, work) and self._sub is not None:
                self._tell_clock()
                self._say(OfSub(self._sub.number, self._sub.work()))

    def close(self) -> None:
        """End the sub stream."""
        sub, self._sub = self._sub, None
        if sub is not None:
            sub.close()

    def _tell_clock(self) -> None:
        if self._sub is not None:
            self._sub.clock = clock_text(self._kernel.state(), self._kernel.uncertainty_ms())

    def _obey(self) -> None:
        turn(self._source, self._desk, self._say)
        if (masks := self._desk.hidden()) is not None:
            self._masks = masks
            if self._sub is not None:
                self._sub.hide(masks)
        _, _, captions = self._desk.hand_over()
        for one in captions:
            self._caption = one.text
            if self._sub is not None:
                self._sub.caption(one.text)
            self._say(Lacking(one.number))  # what no font has, whoever asked has looked up
        for waited, sock in self._desk.of_sub():
            if isinstance(waited, Sub):
                self.close()
                if sock is None:
                    self._say(OfSub(waited.number, lost()))
                    continue
                sock.settimeout(SEND_S)
                self._sub = SubAgain(waited, sock, self._source, self._say, self._clock)
                self._sub.hide(self._masks)
                self._sub.caption(self._caption)
                self._tell_clock()
            elif self._sub is not None and self._sub.number == waited.number:
                if isinstance(waited, SubEnd):
                    self.close()
                else:
                    self._sub.retarget(waited.wish)
