"""Speaking through a camera, as the page sees it; `app` implements it."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

CLOCK_HZ = 8000
MOST_SAMPLES = 1024


@dataclass(frozen=True, slots=True)
class Talker:
    """Who speaks.

    Attributes:
        name: Account.
        source: Where from: an IP address.
        since_us: UTC microseconds when it began.
    """

    name: str
    source: str
    since_us: int


class Voice(Protocol):
    """A way into a camera's loudspeaker, held by one person."""

    @property
    def codec(self) -> Literal["pcma", "pcmu"]:
        """What it takes, 8,000 samples a second, one channel."""
        ...

    async def say(self, samples: bytes) -> None:
        """Send samples, at most `MOST_SAMPLES`, as they come; what is too much is left out.

        Raises:
            Unavailable: ``camera.lost``.
            Rejected: ``talk.too_much``.
        """
        ...

    async def lasts(self) -> None:
        """Wait for as long as the camera listens.

        Raises:
            Unavailable: ``camera.lost``.
            Damaged: ``camera.garbage``, ``camera.protocol``.
        """
        ...


class Talks(Protocol):
    """The loudspeakers of the cameras. Rights are the caller's business."""

    async def takes(self, camera: str) -> bool:
        """Whether somebody can speak through it; asks the camera, and remembers for a while.

        Raises:
            Rejected: ``camera.unknown``.
        """
        ...

    def talker(self, camera: str) -> Talker | None:
        """Who speaks through it now."""
        ...

    def speak(self, camera: str, who: str, source: str) -> AbstractAsyncContextManager[Voice]:
        """Begin to speak through it, on a connection of its own: its pictures go on as they are.

        Raises:
            Rejected: ``talk.busy``: somebody else speaks; ``talk.unsupported``; ``camera.unknown``,
                ``camera.refused``.
            Unavailable: The camera does not answer.
        """
        ...
