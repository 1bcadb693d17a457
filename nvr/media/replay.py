"""What a camera recorded by itself, sent again: how its times become ours."""

from dataclasses import dataclass

BEFORE_US = 120_000_000
"""A replay begins with the key frame that its first picture hangs on; none is further before."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay that is about to come; each picture says when it was taken, by the camera's clock.

    Attributes:
        from_us: UTC microseconds by the camera's clock from which it was asked for.
        ahead_us: The camera's clock minus ours.
        to_us: UTC microseconds, by ours, after which nothing is taken any more.
        uncertainty_ms: How far the times may be off after that is taken away.
    """

    from_us: int
    to_us: int
    ahead_us: int = 0
    uncertainty_ms: int = 0

    def ours(self, camera_us: int) -> int | None:
        """Return a time of the camera's as ours; None if it was not asked for, or is none."""
        wall_us = camera_us - self.ahead_us
        begin_us = self.from_us - self.ahead_us - BEFORE_US
        return wall_us if camera_us and begin_us <= wall_us < self.to_us else None
