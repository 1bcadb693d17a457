"""From a camera on the network to one that is recorded: the port `Finder` and its values."""

from dataclasses import dataclass
from typing import Literal, Protocol

from nvr.media.camera import CameraState, OnvifSettings
from nvr.media.onvif import Device, Profile, Sighting

Weight = Literal["alarm", "warn", "note"]
"""It cannot be recorded so; it can, and somebody should see to it; good to know."""

Cure = Literal["", "login", "clock", "gop"]
"""What the box can do about it when asked to: be given a log-in; set its clock, its key frames."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A camera that was found.

    Attributes:
        sighting: Where and what it is.
        address: As a person writes it: ``192.0.2.10:80``, ``https://192.0.2.10:443``.
        known: Name of the camera of the box at this address, empty if it is none.
    """

    sighting: Sighting
    address: str
    known: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is the matter with a camera, or good to know of it.

    Attributes:
        code: Stable; the page and ``errors.md`` have its sentence and the first thing to do.
        weight: See `Weight`.
        detail: A sentence for a person.
        cure: See `Cure`.
        values: Numbers for the sentence, by name.
    """

    code: str
    weight: Weight
    detail: str
    cure: Cure = ""
    values: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """A stream of a camera, as it says it is and as it was seen.

    Attributes:
        profile: What it says; None for an address given without ONVIF.
        url: Where it is, on the host that was typed.
        code: Error code if it does not come as it should, else empty.
        detail: A sentence to go with it.
        codec: Of its pictures as they came, empty if none did.
        width_px: Of its pictures.
        height_px: The same.
        fps: Measured.
        gop_s: Seconds from key frame to key frame, measured; 0 if not two were seen.
        kbit_s: Measured.
        audio: Codec of its sound.
        transport: How packets came.
        picture: A small JPEG of it, empty if there is none.
    """

    profile: Profile
    url: str
    code: str = ""
    detail: str = ""
    codec: str = ""
    width_px: int = 0
    height_px: int = 0
    fps: float = 0.0
    gop_s: float = 0.0
    kbit_s: int = 0
    audio: str = ""
    transport: str = ""
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class Examined:
    """A camera that was looked into.

    Attributes:
        address: As it was given.
        device: What it says of itself, None if it did not let us in.
        profiles: Its streams, as it says.
        main: The one suggested to be recorded, opened and watched; None if there is none.
        sub: The one suggested as its sub stream; None if there is none.
        findings: What is the matter, the worst first.
        name: A name for it that is free.
        title: What people might call it.
        known: Name of the camera of the box at this address, empty if it is none.
    """

    address: str
    device: Device | None
    profiles: tuple[Profile, ...]
    main: Trial | None
    sub: Trial | None
    findings: tuple[Finding, ...]
    name: str
    title: str
    known: str


@dataclass(frozen=True, slots=True)
class Login:
    """Whom to ask, and as whom; the password shows in no representation.

    Attributes:
        address: ``192.0.2.10``, ``192.0.2.10:8080``, ``https://192.0.2.10``.
        user: Account on the camera, empty for none.
        password: Its password.
        pin: SHA-256 of the certificate to be taken, empty for any.
        main: Token of the profile to be the main stream, empty for the one suggested.
        sub: The same of the sub stream; ``-`` for none.
    """

    address: str
    user: str = ""
    password: str = ""
    pin: str = ""
    main: str = ""
    sub: str = ""

    def __repr__(self) -> str:
        return f"Login({self.address!r}, {self.user!r})"


class Finder(Protocol):
    """Finds cameras and makes them cameras of the box. Rights are the caller's business."""

    async def find(self, where: str = "") -> tuple[Seen, ...]:
        """Look for cameras on every network, or at an address, or on a network of at most 256.

        Raises:
            Rejected: ``camera.search``, ``onvif.forbidden``; ``camera.busy``: somebody looks.
        """
        ...

    async def examine(self, login: Login) -> Examined:
        """Log in to a camera, choose its streams, and watch each for real.

        Takes some seconds. What is wrong with the camera is a `Finding`, no error.

        Raises:
            Rejected: ``camera.search``: that is no address; ``camera.busy``.
        """
        ...

    async def cure(self, login: Login, what: Cure) -> None:
        """Set the camera's clock from ours, or its key frames to every two seconds.

        Raises:
            NvrError: As `nvr.media.onvif_wish.OnvifClient.ask`.
        """
        ...

    def place(self, name: str) -> tuple[OnvifSettings | None, str]:
        """Return where a camera's own services are, and where one would look for them."""
        ...

    async def move(self, name: str, onvif: OnvifSettings | None) -> None:
        """Say where a camera's own services are, or that it has none; at once and for good.

        Raises:
            Rejected: ``config.refused``, ``camera.search``, ``camera.forbidden``.
        """
        ...

    async def adopt(self, login: Login, name: str, title: str) -> CameraState:
        """Have it recorded from now on, with its ONVIF address kept.

        Raises:
            Rejected: ``camera.name_taken``, ``config.refused``; what keeps it from being recorded.
            NvrError: As `examine` finds.
        """
        ...
