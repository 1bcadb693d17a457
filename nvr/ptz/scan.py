"""Finds out who is on a line: at which address and rate, in which protocol.

By reply nothing is moved: a head is asked where it points, or told to stop, and answers if its
return pair is wired. By watching the picture every address is nudged under a lease that the line's
thread ends and `nvr-guard` guards, and told to stop; whether the picture went is looked at after.
All addresses are nudged before the first look, and halves of those that moved it after that, so 32
addresses take six looks and not 32.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.hal.ports import Guard, SerialPort
from nvr.ptz.bus import Bus, BusEvent
from nvr.ptz.echo import EchoFilter
from nvr.ptz.pelco import Pelco, frame_s
from nvr.ptz.schedule import Motion
from nvr.ptz.shift import Grey, difference, moved
from nvr.wire import pelco_p
from nvr.wire.pelco_d import Frame, Op, ReplyDecoder

ANSWER_S: Final = 0.12
NUDGE_S: Final = 0.4
SPEED: Final = 0.5
GAP_S: Final = 0.08
_OPEN_S: Final = 5.0

Language = Literal["pelco-d", "pelco-p"]
Open = Callable[[int], SerialPort]


@dataclass(frozen=True, slots=True)
class Found:
    """A head.

    Attributes:
        address: Its number.
        baud: The line's rate.
        protocol: How it is spoken to.
        by: How it gave itself away: ``reply`` or ``picture``.
    """

    address: int
    baud: int
    protocol: Language
    by: Literal["reply", "picture"]


class Say(Protocol):
    """Told how far it is."""

    def __call__(self, done: int, of: int, what: str) -> None:
        """`done` of `of` steps are over, and `what` is next."""
        ...


def by_reply(
    open_port: Open,
    bauds: Sequence[int],
    protocols: Sequence[Language],
    addresses: Sequence[int],
    say: Say,
) -> list[Found]:
    """Ask every address; nothing is moved.

    Raises:
        Unavailable: ``serial.gone``.
    """
    found: list[Found] = []
    of, done = len(bauds) * len(protocols) * len(addresses), 0
    for baud in bauds:
        port = open_port(baud)
        try:
            for protocol in protocols:
                for address in addresses:
                    say(done, of, f"{baud} baud, {protocol}, address {address}")
                    done += 1
                    if _answers(port, protocol, address, frame_s(baud)):
                        found.append(Found(address, baud, protocol, "reply"))
        finally:
            port.close()
    say(of, of, "")
    return found


def _answers(port: SerialPort, protocol: Language, address: int, wire_s: float) -> bool:
    stop = Frame(address)
    if protocol == "pelco-p":
        # One byte, of nobody in particular: it must come twice, and alone.
        sent = pelco_p.encode(stop)
        return all(_asked(port, sent, wire_s) == bytes((pelco_p.ACK,)) for _ in range(2))
    for command in (Frame(address, Op.QUERY_PAN), stop):
        decoder = ReplyDecoder()
        decoder.sent(command)
        if decoder.feed(_asked(port, command.encode(), wire_s)):
            return True
    return False


def _asked(port: SerialPort, data: bytes, wire_s: float) -> bytes:
    """Write `data` and return what came, without the echo."""
    port.read(0.0)
    echo = EchoFilter()
    echo.sent(data)
    port.write(data)
    ends_s = time.monotonic() + ANSWER_S + 2 * wire_s
    came = b""
    while (left_s := ends_s - time.monotonic()) > 0:
        came += echo.feed(port.read(left_s))
    return came + echo.quiet()


class Nudger:
    """Moves heads of one line by a little, one after the other; each is told to stop.

    Args:
        open_port: Opens the line.
        baud: At this rate.
        protocol: How heads are spoken to.
        addresses: Those that may be moved; all are told to stop at once.
        guard: Stops them if we do not.
        clock: Time source.
        nudge_s: For how long each moves.

    Raises:
        Unavailable: ``serial.gone``: the port does not open.
    """

    def __init__(
        self,
        open_port: Open,
        baud: int,
        protocol: Language,
        addresses: Sequence[int],
        *,
        guard: Guard,
        clock: Clock,
        nudge_s: float = NUDGE_S,
    ) -> None:
        self._clock = clock
        self._nudge_s = nudge_s
        self._news = threading.Condition()
        self._stops: Counter[str] = Counter()
        self._broken = False
        self._bus = Bus(
            "scan",
            lambda: open_port(baud),
            clock=clock,
            guard=guard,
            tell=self._told,
            gap_s=GAP_S,
            frame_s=frame_s(baud),
        )
        for address in addresses:
            self._bus.add(str(address), Pelco(protocol, address).encode)
        self._bus.start()
        try:
            # Nobody turns any more, and nothing waits that would come before a nudge.
            most_s = _OPEN_S + 2 * len(addresses) * GAP_S
            self._wait_for(lambda: all(self._stops[str(one)] >= 2 for one in addresses), most_s)
        except BaseException:
            self._bus.close()
            raise

    def nudge(self, addresses: Sequence[int], way: int) -> None:
        """Turn each a little, `way` -1 left or 1 right, and stop it.

        Raises:
            Unavailable: ``ptz.bus_down``, ``ptz.guard_gone``, ``serial.gone``.
        """
        for address in addresses:
            head, before = str(address), self._stops[str(address)]
            until_s = self._clock.monotonic_s() + GAP_S + self._nudge_s
            self._bus.unbar(head)
            self._bus.move(head, Motion(pan=way * SPEED), until_s)
            # Both: the second one would come before the next head's motion, and take of its time.
            self._wait_for(lambda: self._stops[head] >= before + 2, self._nudge_s + _OPEN_S)  # noqa: B023 - called at once

    def close(self) -> None:
        """Stop all of them, twice, and give the line back."""
        self._bus.close()

    def _wait_for(self, true: Callable[[], bool], most_s: float) -> None:
        with self._news:
            self._news.wait_for(lambda: self._broken or true(), most_s)
            if self._broken or not true():
                raise Unavailable("serial.gone", self._bus.fault or "the line does not take frames")

    def _told(self, told: BusEvent) -> None:
        with self._news:
            if told.kind == "stopped":
                self._stops[told.head] += 1
            # Cut: by the guard, or because we were frozen; what was moved is not known any more.
            self._broken = self._broken or told.kind in {"down", "cut"}
            self._news.notify_all()


def by_picture(
    nudger: Callable[[int, Language], Nudger],
    bauds: Sequence[int],
    protocols: Sequence[Language],
    addresses: Sequence[int],
    look: Callable[[], Grey],
    say: Say,
) -> list[Found]:
    """Nudge every address until the picture goes.

    Args:
        nudger: Makes one, for a rate and protocol.
        bauds: Rates to try.
        protocols: Protocols to try.
        addresses: Addresses to try.
        look: Returns a picture of which all was seen after it was asked for.
        say: Told how far it is.

    Returns:
        The one head that moves the picture, in each protocol it understands at that rate.

    Raises:
        NvrError: The line is gone, or there is no picture.
    """
    say(0, 1, "two pictures without moving anything")
    restless = difference(look(), look())
    found: list[Found] = []
    of, done = len(bauds) * len(protocols), 0
    for baud in bauds:
        for protocol in protocols:
            say(done, of, f"{baud} baud, {protocol}: all {len(addresses)} addresses")
            done += 1
            hands = nudger(baud, protocol)
            try:
                address = _narrowed(hands, list(addresses), look, restless)
            finally:
                hands.close()
            if address is not None:
                found.append(Found(address, baud, protocol, "picture"))
        if found:
            break  # a line has one rate
    say(of, of, "")
    return found


def _narrowed(
    hands: Nudger, addresses: list[int], look: Callable[[], Grey], restless: float
) -> int | None:
    way = 1

    def moves(some: list[int]) -> bool:
        nonlocal way
        before = look()
        hands.nudge(some, way)
        way = -way  # so that it ends near where it began
        return moved(before, look(), restless)

    if not moves(addresses):
        return None
    while len(addresses) > 1:
        half = len(addresses) // 2
        addresses = addresses[:half] if moves(addresses[:half]) else addresses[half:]
    # What passed through the picture meanwhile could have led astray: the one must move it again.
    return addresses[0] if moves(addresses) else None
