"""Upstream systems that are told what happens, as the page sees them; `app` implements the port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from nvr.base.errors import NvrError, Rejected

NotifyKind = Literal["mqtt", "webhook", "syslog"]
NOTIFY_KINDS: tuple[NotifyKind, ...] = get_args(NotifyKind)
Standing = Literal["off", "connecting", "connected", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """See ``[[mqtt]]``, ``[[webhook]]`` and ``[[syslog]]`` of the configuration.

    Attributes:
        kind: Which of these.
        name: Its name.
        on: It is told.
        url: Where it is.
        ca: File of the CA that must have signed its certificate, empty for the system's.
        pin: SHA-256 of its certificate, empty for any that is trusted.
        events: Which events; empty for all.
        cameras: Of which cameras; empty for all.
        user: MQTT: account at the broker.
        topic: MQTT: what all topics begin with.
        credential: MQTT: whose rights the broker has.
        commands: MQTT: it may give commands.
        discovery: MQTT: Home Assistant is told what there is.
        audit: Syslog: rows of the audit log are sent too.
    """

    kind: NotifyKind
    name: str
    on: bool = False
    url: str = ""
    ca: str = ""
    pin: str = ""
    events: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    user: str = ""
    topic: str = ""
    credential: str = ""
    commands: bool = False
    discovery: bool = False
    audit: bool = True


@dataclass(frozen=True, slots=True)
class NotifyState:
    """One of them, now.

    Attributes:
        settings: As they are in force.
        standing: ``connected`` for a webhook says that it took what was sent last.
        since_us: UTC microseconds since when.
        error: What was the matter last; None if nothing ever was.
        error_us: UTC microseconds when.
        sent: Messages that were taken, since the start.
        sent_us: UTC microseconds of the last.
        failed: Given up.
        dropped: Lost because too many waited.
        waiting: Waiting now.
        commands: MQTT: commands obeyed.
        refused: MQTT: commands refused.
        has_secret: There is a password or secret for it.
    """

    settings: NotifySettings
    standing: Standing = "off"
    since_us: int = 0
    error: NvrError | None = None
    error_us: int = 0
    sent: int = 0
    sent_us: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    commands: int = 0
    refused: int = 0
    has_secret: bool = False


class Notifiers(Protocol):
    """All of them."""

    def all(self) -> Sequence[NotifyState]:
        """How each does, in the order of the configuration."""
        ...

    async def write(self, wanted: NotifySettings, secret: str | None) -> None:
        """Have one, or another one of that name; at once and for good.

        Args:
            wanted: How.
            secret: Password, or secret of a webhook; None leaves it, empty takes it away.

        Raises:
            Rejected: ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...

    async def remove(self, kind: NotifyKind, name: str) -> None:
        """Have it no more.

        Raises:
            Rejected: ``notify.unknown``.
            Unavailable: ``config.unwritable``.
        """
        ...

    async def test(self, kind: NotifyKind, name: str) -> float:
        """Send it a test, whatever its filter; returns after how many seconds it took it.

        Raises:
            Rejected: ``notify.unknown``, ``notify.off``.
            NvrError: Why it could not be sent.
        """
        ...


def unknown_notifier(kind: str, name: str) -> Rejected:
    """The answer for one that is not there."""
    return Rejected("notify.unknown", "there is no such upstream system", kind=kind, name=name)


class NoNotifiers:
    """A box without. See `Notifiers`."""

    def all(self) -> Sequence[NotifyState]:  # noqa: D102 - see Notifiers
        return ()

    async def write(self, wanted: NotifySettings, secret: str | None) -> None:  # noqa: ARG002, D102 - see Notifiers
        raise unknown_notifier(wanted.kind, wanted.name)

    async def remove(self, kind: NotifyKind, name: str) -> None:  # noqa: D102 - see Notifiers
        raise unknown_notifier(kind, name)

    async def test(self, kind: NotifyKind, name: str) -> float:  # noqa: D102 - see Notifiers
        raise unknown_notifier(kind, name)
