"""What the ONVIF device is built from, and how one of its operations is declared."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from nvr.auth.audit import Audit
from nvr.auth.machine import Machines
from nvr.auth.policy import Masked
from nvr.auth.throttle import Throttle
from nvr.auth.user import Subject
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.media.camera import BoxState, Cameras
from nvr.media.gpio import Lines
from nvr.media.owner import Operator
from nvr.media.ports import Hub, Position, Ptz
from nvr.serve.rtsp_replay import Archive
from nvr.wire.soap import Fault
from nvr.wire.xml import Element


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the device talks to, made and closed by whoever starts it.

    Attributes:
        points: Whether a head says where it points, and goes where it is told.
        point: Sends a head there. See `nvr.ptz.controller.Controller.point`.
        snapshot: Camera, stream and width in pixels (0: as it is) to a JPEG and its time.
        endpoint: Lasting UUID of the box.
        version: Of the program.
        rtsp_port: Where streams are.
        window_s: How far the clock of who signs a request may be off.
        port: Where it listens, 0 if that is known from requests only.
        tls_port: Where it does over TLS, 0 if it does not.
        permit: Where a host's own server may be.
        only: The one camera that this device has; empty for all, and for what is the box's.
    """

    clock: Clock
    hub: Hub
    ptz: Ptz
    cameras: Cameras
    archive: Archive
    lines: Lines
    box: BoxState
    machines: Machines
    throttle: Throttle
    audit: Audit
    masked: Masked
    snapshot: Callable[[str, str, int], Awaitable[tuple[bytes, int]]]
    points: Callable[[str], bool]
    point: Callable[[str, Operator, Position], None]
    endpoint: str
    version: str
    rtsp_port: int
    permit: Callable[[str, int], bool]
    window_s: float = 60.0
    port: int = 0
    tls_port: int = 0
    only: str = ""

    @property
    def title(self) -> str:
        """What people call the device."""
        camera = self.cameras.find(self.only) if self.only else None
        return (camera.title if camera else "") or self.only or self.box.name


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as operations see it.

    Attributes:
        subject: Who asks; nobody where nobody needs to be.
        body: Its arguments.
        host: Our name as the peer called us, without a port, IPv6 in brackets.
        base: ``http://host:port``.
        address: IP address of the peer.
        path: Path that was asked at.
    """

    subject: Subject
    body: Element
    host: str
    base: str
    address: str
    path: str

    @property
    def operator(self) -> Operator:
        """Who commands a head; a host is one hand, however many connections it opens."""
        return Operator(self.subject.name, "machine", f"onvif/{self.address}")

    def said(self, name: str) -> str:
        """Text of an argument, empty if it is not there."""
        return next((one.text for one in self.body.children if one.name == name), "")


@dataclass(frozen=True, slots=True)
class Operation:
    """What answers one operation.

    Attributes:
        do: Makes the inside of the answer.
        about: Says which camera (or ``@output``) it is about, where the policy wants to know.
    """

    do: Callable[[Call], str | Awaitable[str]]
    about: Callable[[Call], str] | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One of the device's services.

    Attributes:
        name: In keys of the policy: ``onvif media GetProfiles``.
        prefix: Of its name space, see `nvr.wire.soap.SPACES`.
        path: Where it is, below ``/onvif/``.
        version: Of its specification.
        operations: By their names.
        capabilities: Inside of its ``Capabilities``, one element.
        listed: It stands in the list of services.
    """

    name: str
    prefix: str
    path: str
    version: tuple[int, int]
    operations: Mapping[str, Operation]
    capabilities: Callable[[Call], str]
    listed: bool = True

    def key(self, operation: str) -> str:
        """Key in the policy table."""
        return f"onvif {self.name} {operation}"


_WORDS: Mapping[str, tuple[str, ...]] = {
    "camera.unknown": ("ter:InvalidArgVal", "ter:NoProfile"),
    "camera.no_sub": ("ter:InvalidArgVal", "ter:NoProfile"),
    "gpio.unknown_output": ("ter:InvalidArgVal", "ter:RelayToken"),
    "ptz.unknown_camera": ("ter:InvalidArgVal", "ter:NoPTZProfile"),
    "ptz.range": ("ter:InvalidArgVal", "ter:InvalidVelocity"),
    "ptz.unknown_preset": ("ter:InvalidArgVal", "ter:NoToken"),
    "ptz.unaimed": ("ter:InvalidArgVal", "ter:SpaceNotSupported"),
    "ptz.unknown_output": ("ter:InvalidArgVal", "ter:NoToken"),
}


def fault_of(error: NvrError) -> Fault:
    """Word a refusal of ours for a host; our stable code leads its reason."""
    reason = f"{error.code}: {error.detail}"
    if error.code in _WORDS:
        return Fault(reason, *_WORDS[error.code])
    if isinstance(error, Rejected):
        return Fault(reason, "ter:OperationProhibited")
    return Fault(reason, "ter:Action", receiver=True)


def unsupported(what: str) -> Fault:
    """The answer for what we do not do."""
    return Fault(f"this device does not do {what}", "ter:ActionNotSupported", receiver=True)
