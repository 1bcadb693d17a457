"""How many may watch at once, in all and from one address."""

from collections import Counter as Tally

from nvr.serve.rtsp_login import Denied


class Room:
    """How many may watch at once.

    Args:
        most: In all.
        most_of_one: From one address.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._taken: Tally[str] = Tally()

    def take(self, address: str) -> None:
        """Let one more watch.

        Raises:
            Denied: 453.
        """
        if self._taken.total() >= self._most or self._taken[address] >= self._most_of_one:
            raise Denied(453, (("X-NVR-Code", "rtsp.full"), ("Retry-After", "10")))
        self._taken[address] += 1

    def give(self, address: str) -> None:
        """One watches no more."""
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]
