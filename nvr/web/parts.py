"""What the page is built from, and how a handler is declared."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from nvr.auth.audit import Audit, Category
from nvr.auth.claim import Claim
from nvr.auth.machine import Machines
from nvr.auth.session import Session, Sessions
from nvr.auth.throttle import Throttle
from nvr.auth.user import Subject, Users
from nvr.base.clock import Clock
from nvr.media.camera import BoxState, Cameras
from nvr.media.ports import Hub, Ptz
from nvr.media.track import StreamConfig
from nvr.playback.holding import Holding
from nvr.playback.query import Gop, Ranges, VolumeState


class Archive(Protocol):
    """What is recorded; every call blocks on the disk. See `nvr.playback.query.Archive`."""

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:
        """What is recorded between two wall times."""
        ...

    def config(self, stream: str, run: int) -> StreamConfig:
        """Codecs of a run."""
        ...

    def gop(self, stream: str, t_us: int) -> Gop | None:
        """Group of pictures that shows a time, or the next one."""
        ...

    def export(self, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
        """One fragmented MP4, piece by piece."""
        ...

    def volume(self) -> VolumeState:
        """State of the volume."""
        ...

    def holdings(self) -> list[Holding]:
        """What is held of each stream, and will be."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the page talks to, made and closed by whoever starts it."""

    clock: Clock
    hub: Hub
    archive: Archive
    ptz: Ptz
    cameras: Cameras
    box: BoxState
    users: Users
    machines: Machines
    sessions: Sessions
    claim: Claim
    throttle: Throttle
    audit: Audit


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Attributes:
        subject: As the policy sees it.
        session: Its session, None if nobody is signed in.
        address: IP address of the peer.
        token: The session cookie as it came, empty if none.
    """

    subject: Subject
    session: Session | None
    address: str
    token: str


Handler = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One handler.

    Attributes:
        key: Key in the policy table: ``http GET /api/camera/{name}``, ``ws /ws/control``.
        handler: What answers.
        camera: Which part of the path names a camera, empty if none does.
        log: Category of the row it leaves in the audit log; None if it leaves none, or writes its
            own.
    """

    key: str
    handler: Handler
    camera: str = ""
    log: Category | None = None

    @property
    def method(self) -> str:
        """HTTP method."""
        words = self.key.split(" ")
        return words[1] if words[0] == "http" else "GET"

    @property
    def path(self) -> str:
        """Path pattern."""
        return self.key.rpartition(" ")[2]
