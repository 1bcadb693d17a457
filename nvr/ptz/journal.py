"""The last bytes on a line, both ways, decoded: for whoever looks for what is wrong with it."""

import threading
from collections import deque
from dataclasses import replace
from typing import Final, Literal

from nvr.base.clock import Clock
from nvr.media.desk import Overheard, Words
from nvr.ptz.words import words_of
from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_d import SYNC, Frame, General, ReplyDecoder

KEPT: Final = 400
TOGETHER_S: Final = 0.03
"""Bytes that come within this belong together."""
_LONGEST_BYTES: Final = 64


class Journal:
    """Remembers; every method may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: deque[Overheard] = deque(maxlen=KEPT)  # the oldest are dropped
        self._number = 0
        self._coming = b""
        self._coming_s = 0.0
        self._coming_us = 0
        self._sent: Frame | None = None

    def add(self, way: Literal["out", "in"], data: bytes) -> None:
        """Take bytes that went over the line just now: a whole frame we wrote, or what came."""
        with self._lock:
            now_s, now_us = self._clock.monotonic_s(), self._clock.wall_us()
            self._settle(now_s)
            if way == "out":
                self._end()
                frame, protocol = decoded(data)
                self._sent = frame if protocol == "pelco-d" else None
                self._keep(Overheard(0, now_us, "out", data, *_told(frame, protocol)))
                return
            if not self._coming:
                self._coming_us = now_us
            self._coming += data
            self._coming_s = now_s
            if len(self._coming) >= _LONGEST_BYTES:
                self._end()

    def after(self, number: int) -> tuple[Overheard, ...]:
        """Return what is remembered after a number; what is still coming in is left for later."""
        with self._lock:
            self._settle(self._clock.monotonic_s())
            return tuple(one for one in self._kept if one.number > number)

    def _settle(self, now_s: float) -> None:
        if self._coming and now_s - self._coming_s > TOGETHER_S:
            self._end()

    def _end(self) -> None:
        data, self._coming = self._coming, b""
        found, self._sent = split(data, self._sent)
        for piece in found:
            self._keep(replace(piece, at_us=self._coming_us))

    def _keep(self, one: Overheard) -> None:
        self._number += 1
        self._kept.append(replace(one, number=self._number))


def decoded(data: bytes) -> tuple[Frame | None, str]:
    """Return the command that `data` is as a whole and its protocol; None and empty for none."""
    if len(data) == pelco_d.SIZE and data[0] == SYNC:
        pieces = pelco_d.Decoder(255).feed(data)
        if len(pieces) == 1 and isinstance(pieces[0], Frame):
            return pieces[0], "pelco-d"
    if len(data) == pelco_p.SIZE:
        pieces = pelco_p.Decoder().feed(data)
        if len(pieces) == 1 and isinstance(pieces[0], Frame):
            return pieces[0], "pelco-p"
    return None, ""


def split(data: bytes, sent: Frame | None = None) -> tuple[list[Overheard], Frame | None]:
    """Cut what came into frames, answers to the Pelco-D command before them, and the rest.

    Args:
        data: What came.
        sent: The command before it.

    Returns:
        The pieces, and the last command.
    """
    found: list[Overheard] = []
    rest = b""

    def end_rest() -> None:
        nonlocal rest
        if rest:
            found.append(Overheard(0, 0, "in", rest))
        rest = b""

    while data:
        size, told, command = _first(data, sent)
        sent = command or sent
        if not size:
            rest, data = rest + data[:1], data[1:]
            continue
        end_rest()
        found.append(Overheard(0, 0, "in", data[:size], *told))
        data = data[size:]
    end_rest()
    return found, sent


_Told = tuple[str, int, Words]


def _first(data: bytes, sent: Frame | None) -> tuple[int, _Told, Frame | None]:
    """How many bytes at the beginning belong together, 0 if they say nothing, and what they say."""
    for size in (pelco_d.SIZE, pelco_p.SIZE):
        frame, protocol = decoded(data[:size])
        if frame:
            command = frame if protocol == "pelco-d" and frame.op not in pelco_d.REPLIES else None
            return size, _told(frame, protocol), command
    if sent is not None and len(data) >= 4:
        decoder = ReplyDecoder()
        decoder.sent(sent)
        for reply in decoder.feed(data[:4]):
            if isinstance(reply, General):
                return 4, ("pelco-d", reply.address, (("taken", reply.alarms),)), None
    if data[0] == pelco_p.ACK and len(data) == 1:
        return 1, ("pelco-p", 0, (("taken", 0),)), None
    return 0, ("", 0, ()), None


def _told(frame: Frame | None, protocol: str) -> _Told:
    return (protocol, frame.address, words_of(frame)) if frame else ("", 0, ())
