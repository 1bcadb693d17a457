"""Who has a head, and how it is kept from others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Operator:
    """Who gives a command, and through what.

    Attributes:
        name: User name, or the name of the tour, rule or keyboard that acts.
        role: Role of that user, or what acts: ``tour``, ``guard``, ``schedule``, ``alarm``,
            ``local`` (a stick or keyboard at the box), ``machine``; `Ptz` derives the
            priority from it.
        source: Where the command comes from, unique per connection: ``page/7``, ``joystick/0``.
            Two tabs of one user are two operators, because each has a hand of its own.
    """

    name: str
    role: str
    source: str
    priority: int | None = None
    """Instead of the role's: an alarm has one of its own."""


@dataclass(frozen=True, slots=True)
class PtzLock:
    """Somebody keeps everybody off a head.

    Attributes:
        name: Who.
        role: As of `Operator`.
        since_us: UTC microseconds when it was set.
        until_us: UTC microseconds when it ends.
        reason: In words.
    """

    name: str
    role: str
    since_us: int
    until_us: int
    reason: str


class Reserved(Protocol):
    """Heads that are kept, and called up. Part of `nvr.media.ports.Ptz`."""

    def lock(self, camera: str, who: Operator, lasts_s: float, reason: str) -> None:
        """Keep everybody else off, whatever their priority; what moves is stopped. Durable.

        Raises:
            Rejected: ``ptz.held``, ``ptz.taken``: somebody has it who does not rank below;
                ``ptz.locked``; ``ptz.lock_invalid``: too long, or without a reason.
        """
        ...

    def unlock(self, camera: str, who: Operator) -> None:
        """End a lock: one's own, that of a lower priority, for an administrator any.

        Raises:
            Rejected: ``ptz.locked``: it is somebody else's.
        """
        ...

    def arrange(self, camera: str, who: Operator, presets: Sequence[tuple[int, str, int]]) -> None:
        """Set order and names of presets, and under which number the head knows each; 0: the same.

        Raises:
            Rejected: ``ptz.unknown_preset``, ``ptz.reserved``, ``ptz.range``: a number that is
                used twice, or is none.
        """
        ...

    def call_up(
        self, camera: str, preset: int, priority: int | None, hold_s: float, cause: str = "alarm"
    ) -> None:
        """Send the head to a preset for an alarm, and keep lower ones off for `hold_s`.

        Args:
            camera: Camera name.
            preset: Where to.
            priority: Of the alarm, 0-100, see `nvr.ptz.priority.Ranks`; None for that of alarms,
                which is below people.
            hold_s: Seconds, up to an hour.
            cause: What called, for the page and the audit log.

        Raises:
            Rejected: As `Ptz.preset`.
            Unavailable: As `Ptz.preset`.
        """
        ...
