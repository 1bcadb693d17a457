"""Where the signalling of GB/T 28181 meets its media: a dialog opens a session at the desk."""

from collections.abc import Callable
from typing import Protocol

from nvr.auth.user import Span
from nvr.wire.gb_sdp import Offer, Transport

Allowed = Callable[[Span | None], bool]
"""Whether a platform may still see a camera: its recordings of a span in UTC microseconds, or None
for what it shows now."""

FINISHED = "end"
"""Why a session ended whose recording was sent to its end."""


class Refused(Exception):
    """A session that cannot be.

    Args:
        status: Of the answer: 403, 480, 486, 488.
        reason: One sentence in ASCII.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


class Session(Protocol):
    """One stream that a platform asked for. Called in the event loop's thread; returns at once.

    Attributes:
        on_end: Told once why it ended by itself, never after `close`: ``end`` (the recording was
            sent), ``lost``, ``stuck``, ``denied``, ``camera``, ``teardown``.
    """

    on_end: Callable[[str], None] | None

    def answer(self) -> str:
        """Our description, the body of the 200."""
        ...

    def start(self) -> None:
        """The platform acknowledged: send."""
        ...

    def control(self, text: str) -> str:
        """Do what MANSRTSP in an INFO says; returns the body of the answer.

        Raises:
            Refused: It is none, or cannot be done.
        """
        ...

    def close(self) -> None:
        """End it and free its ports; may be called again."""
        ...


class Invited(Session, Protocol):
    """A session that we ask the platform for: it speaks, and we hear it."""

    def invitation(self, device: str) -> str:
        """Our offer, the body of the INVITE.

        Args:
            device: Our identifier.
        """
        ...

    def meet(self, answer: Offer) -> None:
        """Take what the platform answered, before `Session.start`.

        Raises:
            Refused: 488: that is not what was asked for.
        """
        ...


class MediaDesk(Protocol):
    """Opens sessions."""

    async def open(
        self,
        channel: str,
        sub: bool,
        offer: Offer,
        remote_host: str,
        local_host: str,
        allowed: Allowed,
    ) -> Session:
        """Open one; nothing is sent before `Session.start`.

        Args:
            channel: Name of the camera.
            sub: Its sub stream.
            offer: What the platform offers.
            remote_host: Address it asks from.
            local_host: Address of ours that it reaches.
            allowed: Asked now and then while it goes on; rights may end.

        Raises:
            Refused: It cannot be.
        """
        ...

    async def invite(
        self,
        channel: str,
        transport: Transport,
        remote_host: str,
        local_host: str,
        allowed: Allowed,
    ) -> Invited:
        """Make ready to hear a platform; nothing is heard before `Session.start`.

        Args:
            channel: Name of the camera that is to speak.
            transport: How voice is to come; over TCP we connect.
            remote_host: Address of the platform.
            local_host: Address of ours that it reaches.
            allowed: As of `open`.

        Raises:
            Refused: 403, 486, 488: among others, the camera has no loudspeaker.
            NvrError: The camera is not there.
        """
        ...


class NoMedia:
    """A desk without media: every session is refused. See `MediaDesk`."""

    async def open(
        self,
        channel: str,  # noqa: ARG002 - see MediaDesk
        sub: bool,  # noqa: ARG002 - see MediaDesk
        offer: Offer,  # noqa: ARG002 - see MediaDesk
        remote_host: str,  # noqa: ARG002 - see MediaDesk
        local_host: str,  # noqa: ARG002 - see MediaDesk
        allowed: Allowed,  # noqa: ARG002 - see MediaDesk
    ) -> Session:
        """Refuse."""
        raise Refused(488, "this version of the recorder sends no media yet")

    async def invite(
        self,
        channel: str,  # noqa: ARG002 - see MediaDesk
        transport: Transport,  # noqa: ARG002 - see MediaDesk
        remote_host: str,  # noqa: ARG002 - see MediaDesk
        local_host: str,  # noqa: ARG002 - see MediaDesk
        allowed: Allowed,  # noqa: ARG002 - see MediaDesk
    ) -> Invited:
        """Refuse."""
        raise Refused(488, "nothing can be spoken through here")
