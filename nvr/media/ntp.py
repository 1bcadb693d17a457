"""The box as a time server of cameras, as the page sees it; `app` implements the port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nvr.base.errors import Misconfigured, NvrError


@dataclass(frozen=True, slots=True)
class TimeAsker:
    """Who asked for the time of late.

    Attributes:
        address: Its IP address.
        at_us: UTC microseconds of the last time.
        answered: How often it was told, since the server is on.
    """

    address: str
    at_us: int
    answered: int


@dataclass(frozen=True, slots=True)
class TimeServerState:
    """The server, now.

    Attributes:
        on: It is wanted.
        port: UDP port.
        listening: Questions are taken.
        stratum: What is said of the clock, 1-15; 0: it was never set, and is offered to nobody.
        fault: Why not.
        askers: The last first, at most 64.
    """

    on: bool
    port: int
    listening: bool
    stratum: int
    fault: NvrError | None
    askers: Sequence[TimeAsker]


class TimeService(Protocol):
    """Told to be there, or not."""

    def state(self) -> TimeServerState:
        """What it does."""
        ...

    async def write(self, *, on: bool) -> None:
        """Be there from now on, or not, for good."""
        ...


class NoTimeServer:
    """A page without a box behind it. See `TimeService`."""

    def state(self) -> TimeServerState:  # noqa: D102 - see TimeService
        return TimeServerState(False, 0, False, 0, None, ())

    async def write(self, *, on: bool) -> None:  # noqa: D102 - see TimeService
        raise Misconfigured("ntp.none", "there is no time server here", on=on)
