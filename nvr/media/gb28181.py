"""The box as a device of GB/T 28181 platforms, as the page sees it; `app` implements the port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from nvr.base.errors import NvrError, Rejected

Edition = Literal["2016", "2022"]
PlatformCondition = Literal["off", "connecting", "registered", "waiting"]
"""``waiting``: it could not be had, and is tried again after a while."""
ClockUse = Literal["", "set", "better", "denied", "refused"]
"""What became of the time that a platform says: nothing yet, or it is not to set our clock; our
clock goes by it; NTP is better; it is known but not set, for want of the right; not believed."""


@dataclass(frozen=True, slots=True)
class PlatformChannel:
    """A camera as one platform knows it.

    Attributes:
        id: Its 20 digits.
        camera: Its name here.
        rights: Of ``live``, ``playback``, ``export``, ``ptz``, ``relay``, ``config``,
            ``unmasked``.
        speaker: The 20 digits of its loudspeaker, empty if that is not shown.
        box: Of the recorder that it belongs to, empty: to this one.
    """

    id: str
    camera: str
    rights: tuple[str, ...] = ("live",)
    speaker: str = ""
    box: str = ""


@dataclass(frozen=True, slots=True)
class PlatformBox:
    """Another recorder, some of whose cameras are ours too: a device below us on one platform.

    Attributes:
        id: Its 20 digits.
        title: For people.
    """

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class PlatformInput:
    """An alarm input of the box as one platform knows it: 20 digits, and its name here."""

    id: str
    input: str


@dataclass(frozen=True, slots=True)
class PlatformSettings:
    """One platform. See ``[[gb28181]]`` of the configuration.

    Attributes:
        name: Its name here.
        on: It is registered with.
        host: Its address or name.
        port: Its port.
        server: Its 20 digits.
        device: Ours, as it knows us.
        domain: Of both; empty: the first ten digits of `server`.
        user: Name of our log-in; empty: `device`.
        transport: ``udp`` or ``tcp``, for the signalling.
        local_port: Ours, 0 for any.
        edition: The newest of the standard that is spoken.
        expires_s: For how long a registration is asked for.
        keepalive_s: From one sign of life to the next.
        misses: So many without an answer, and it is registered with anew.
        retry_s: After a failure it is tried again so much later, and a little more by chance.
        sets_clock: What it says of the time sets our clock, where NTP does not.
        channels: What it may know of our cameras.
        inputs: And of our alarm inputs.
        aux: ``(number, output)``: what a head's auxiliary switches are; 1 is the wiper unless said.
        boxes: Devices below us that some of the cameras belong to: we are a lower platform, then.
    """

    name: str
    on: bool
    host: str
    port: int
    server: str
    device: str
    domain: str = ""
    user: str = ""
    transport: Literal["udp", "tcp"] = "udp"
    local_port: int = 0
    edition: Edition = "2022"
    expires_s: int = 86400
    keepalive_s: int = 60
    misses: int = 3
    retry_s: int = 60
    sets_clock: bool = False
    channels: tuple[PlatformChannel, ...] = ()
    inputs: tuple[PlatformInput, ...] = ()
    aux: tuple[tuple[int, str], ...] = ()
    boxes: tuple[PlatformBox, ...] = ()

    @property
    def realm(self) -> str:
        """The domain that stands in addresses."""
        return self.domain or self.server[:10]


@dataclass(frozen=True, slots=True)
class PlatformState:
    """One platform, now.

    Attributes:
        settings: As they are in force.
        state: How it is with it.
        since_us: UTC microseconds since when.
        fault: The last thing that went wrong, None if nothing did since it is on.
        fault_us: UTC microseconds of that.
        server: ``host:port`` that is registered with, which may be another after a redirection.
        edition: What both speak; empty until it is known.
        answered_us: UTC microseconds of its last answer to a sign of life, 0 for none.
        clock_off_ms: By how much its clock is ahead of ours, None if it never said.
        clock_use: What became of what it says.
        asked: Requests of it that were taken.
        refused: Requests of it that were not, for want of a right, a channel or sense.
        damaged: Messages that were none.
        repeated: Messages of ours that were sent again.
        alarms: Alarms that it was told.
        sessions: Streams that it has.
        subscriptions: What it is told of by itself: ``Catalog``, ``Alarm``.
    """

    settings: PlatformSettings
    state: PlatformCondition = "off"
    since_us: int = 0
    fault: NvrError | None = None
    fault_us: int = 0
    server: str = ""
    edition: str = ""
    answered_us: int = 0
    clock_off_ms: int | None = None
    clock_use: ClockUse = ""
    asked: int = 0
    refused: int = 0
    damaged: int = 0
    repeated: int = 0
    alarms: int = 0
    sessions: int = 0
    subscriptions: tuple[str, ...] = ()


class TakesTime(Protocol):
    """The box's clock, for a platform that may set it."""

    def offer(self, who: str, wall_us: int, uncertainty_ms: int) -> ClockUse:
        """Take the time that a platform says, if it can be right and nobody knows it better.

        Args:
            who: Name of the platform.
            wall_us: UTC microseconds, now.
            uncertainty_ms: How far that may be off.
        """
        ...

    def forget(self, who: str) -> None:
        """A platform sets the clock no more; a clock that it has set stays as it is."""
        ...


class Platforms(Protocol):
    """The platforms that the box is a device of."""

    def states(self) -> Sequence[PlatformState]:
        """Each of them, in the order of the configuration."""
        ...

    async def write(self, wanted: PlatformSettings, password: str | None = None) -> None:
        """Have one, or have it otherwise, at once and for good.

        Args:
            wanted: All of it.
            password: Of our log-in there; None leaves it as it is.

        Raises:
            Rejected: ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...

    async def remove(self, name: str) -> None:
        """Have it no more, for good.

        Raises:
            Rejected: ``gb.unknown``, ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...


class NoPlatforms:
    """A box that is no such device. See `Platforms`."""

    def states(self) -> Sequence[PlatformState]:  # noqa: D102 - see Platforms
        return ()

    async def write(self, wanted: PlatformSettings, password: str | None = None) -> None:
        """Nothing can be changed."""

    async def remove(self, name: str) -> None:  # noqa: D102 - see Platforms
        raise unknown_platform(name)


def unknown_platform(name: str) -> Rejected:
    """The answer for a platform that is not there."""
    return Rejected("gb.unknown", "there is no such platform", platform=name)
