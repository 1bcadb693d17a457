"""What a GB/T 28181 device is built from, and how one of its commands is declared."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from nvr.auth.audit import Audit
from nvr.auth.policy import Masked
from nvr.auth.user import Subject
from nvr.base.clock import Clock
from nvr.media.aim import Aims
from nvr.media.camera import BoxState, Cameras
from nvr.media.gb28181 import TakesTime
from nvr.media.gpio import Lines
from nvr.media.owner import Operator
from nvr.media.ports import Position, Ptz
from nvr.media.program import Programs
from nvr.serve.gb28181.ports import MediaDesk
from nvr.serve.rtsp_replay import Archive
from nvr.wire.manscdp import Body, Edition

MANUFACTURER = "nvr"


@dataclass(frozen=True, slots=True)
class Disk:
    """What is recorded on.

    Attributes:
        name: As configured.
        well: It is there and can be recorded on.
        size_bytes: Room for recordings, 0 if that is not known.
        free_bytes: How much of it holds nothing yet.
    """

    name: str
    well: bool
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the device talks to, made and closed by whoever starts it.

    Attributes:
        point: Sends a head to a place: camera, who, where.
        snapshot: Makes a picture. See `nvr.media.analyse.Looks.snapshot`.
        disks: What is recorded on; blocks.
        time: The box's clock.
        version: Of the program.
    """

    clock: Clock
    ptz: Ptz
    programs: Programs
    aims: Aims
    point: Callable[[str, Operator, Position], None]
    cameras: Cameras
    archive: Archive
    lines: Lines
    box: BoxState
    audit: Audit
    masked: Masked
    media: MediaDesk
    snapshot: Callable[[str, str, int], Awaitable[tuple[bytes, int]]]
    disks: Callable[[], list[Disk]]
    time: TakesTime
    version: str


@dataclass(frozen=True, slots=True)
class Call:
    """One command, as what answers it sees it.

    Attributes:
        subject: The platform, with its rights.
        body: What it says.
        edition: What both speak.
        address: Where it came from.
    """

    subject: Subject
    body: Body
    edition: Edition
    address: str

    @property
    def operator(self) -> Operator:
        """Who commands a head: a platform is one hand."""
        return Operator(self.subject.name, "machine", f"gb28181/{self.address}")


class Refusal(Exception):
    """A command that is not done.

    Args:
        status: Of the SIP answer, where the standard has no other one: 400, 403, 404, 501.
        reason: One sentence in ASCII.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


Bodies = Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Operation:
    """What answers one command.

    Attributes:
        do: Does it; returns the bodies of what is sent back, each in a message of its own. One that
            may wait is done after the command was acknowledged.
        about: Whether the policy looks at the camera that is named, or only at who asks.
    """

    do: Callable[[Call], Bodies | Awaitable[Bodies]]
    about: Literal["", "camera"] = ""
