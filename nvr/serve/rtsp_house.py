"""What all connections of an RTSP server share, and what they tell of their readers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from nvr.base.clock import Clock
from nvr.media.name import Which
from nvr.media.ports import RelaySource
from nvr.serve.rtsp_login import Doorkeeper
from nvr.serve.rtsp_multicast import Groups
from nvr.serve.rtsp_relay import Variants
from nvr.serve.rtsp_replay import Archive
from nvr.serve.rtsp_room import Room


@dataclass(frozen=True, slots=True)
class Watch:
    """Somebody began or stopped watching; for the audit log.

    Attributes:
        user: Machine credential, empty on a server without log-in.
        camera: Camera name.
        which: Which of its streams.
        address: IP address of the reader.
        began: True at PLAY, False at the end.
        sent_bytes: Bytes sent to the reader so far.
        recorded: What is recorded, not what is live.
    """

    user: str
    camera: str
    which: Which
    address: str
    began: bool
    sent_bytes: int
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class House:
    """What all connections of a server share."""

    find: Callable[[str], RelaySource | None]
    door: Doorkeeper | None
    variants: Variants
    clock: Clock
    prefix: str
    config_wait_s: float
    watched: Callable[[Watch], None] | None
    archive: Archive | None = None
    room: Room = field(default_factory=lambda: Room(256, 256))
    datagram_bytes: int = 0
    groups: Groups | None = None
    refusals: Counter[int] = field(default_factory=Counter)


class Input(Protocol):
    """What a peer says: the connection itself, or what comes through HTTP."""

    async def read(self, size: int) -> bytes:
        """Return what there is, `size` bytes at most; nothing at the end."""
        ...
