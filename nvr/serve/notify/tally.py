"""What is counted of one upstream system, and how it stands."""

from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.media.notify import Standing


@dataclass(slots=True)
class Tally:
    """See `nvr.media.notify.NotifyState`."""

    clock: Clock
    standing: Standing = "connecting"
    since_us: int = 0
    error: NvrError | None = None
    error_us: int = 0
    sent: int = 0
    sent_us: int = 0
    failed: int = 0
    commands: int = 0
    refused: int = 0

    def stand(self, standing: Standing) -> None:
        """It stands otherwise from now on."""
        if standing != self.standing or not self.since_us:
            self.standing, self.since_us = standing, self.clock.wall_us()

    def wrong(self, error: NvrError) -> None:
        """Something is the matter."""
        self.error, self.error_us = error, self.clock.wall_us()

    def took(self) -> None:
        """It took a message."""
        self.sent += 1
        self.sent_us = self.clock.wall_us()
