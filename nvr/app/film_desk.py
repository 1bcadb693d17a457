"""Orders for the process that films, as they wait for the next picture."""

import socket
import threading
from dataclasses import dataclass, field
from typing import TypeAlias

from nvr.media.device import Controls
from nvr.media.film import Caption, Hide, Key, Order, Retarget, Sub, SubEnd, SubRetarget, Turn, Wish
from nvr.media.mask import Masks

SubOrder: TypeAlias = "tuple[Sub | SubRetarget | SubEnd, socket.socket | None]"
"""An order about a sub stream, of `Sub` with the socket that takes it."""


@dataclass(slots=True)
class Desk:
    """Orders that wait for the next picture: the newest of each kind.

    Attributes:
        handover: Where the sockets of sub streams come from, None for nowhere.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    key: bool = False
    wish: Wish | None = None
    captions: list[Caption] = field(default_factory=list)
    masks: Masks | None = None
    controls: Controls | None = None
    subs: list["SubOrder"] = field(default_factory=list)
    handover: socket.socket | None = None

    def take(self, given: Order) -> None:
        """Note an order."""
        sock = received(self.handover, given.number) if isinstance(given, Sub) else None
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
                case Turn():
                    self.controls = given.controls
                case Sub() | SubRetarget() | SubEnd():
                    self.subs.append((given, sock))

    def hidden(self) -> Masks | None:
        """Return the masks that have waited, None if there are no other ones."""
        with self.lock:
            waited, self.masks = self.masks, None
            return waited

    def turned(self) -> Controls | None:
        """Return the controls that have waited, None if there are no other ones."""
        with self.lock:
            waited, self.controls = self.controls, None
            return waited

    def of_sub(self) -> "list[SubOrder]":
        """Return the orders about sub streams that have waited, the oldest first."""
        with self.lock:
            waited, self.subs = self.subs, []
            return waited

    def hand_over(self) -> "tuple[bool, Wish | None, list[Caption]]":
        """Return what has waited."""
        with self.lock:
            waited = self.key, self.wish, self.captions
            self.key, self.wish, self.captions = False, None, []
            return waited


def received(handover: socket.socket | None, number: int) -> socket.socket | None:
    """Take the socket that was handed over with a number; older ones are let go, None if lost."""
    while handover is not None:
        try:
            said, fds, _, _ = socket.recv_fds(handover, 16, 1)
        except OSError:
            return None
        socks = [socket.socket(fileno=fd) for fd in fds]
        if said == b"%d" % number and socks:
            return socks[0]
        for each in socks:
            each.close()
        if not said:
            return None
    return None
