"""Who used the device of late, for people who look for the reason why a host does not."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

MOST = 32
_MOST_NOTED = 1024
_AGAIN_US = 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Client:
    """One host.

    Attributes:
        name: Credential it gave, whether or not it was right; empty if none.
        address: Its IP address.
        at_us: UTC microseconds of its last request.
        did: That request's operation.
        how: How it signed in the last time that it did, empty if never.
        requests: Requests that were answered.
        refused: Requests that were not, for want of a right log-in.
        why: Why the last of these was not; empty once one is answered.
    """

    name: str
    address: str
    at_us: int = 0
    did: str = ""
    how: Literal["", "digest", "token"] = ""
    requests: int = 0
    refused: int = 0
    why: str = ""


class Clients:
    """The last `MOST` of them."""

    def __init__(self, wall_us: Callable[[], int]) -> None:
        self._wall_us = wall_us
        self._known: OrderedDict[tuple[str, str], Client] = OrderedDict()
        self._noted: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def all(self) -> list[Client]:
        """Those there are, the latest first."""
        return list(reversed(self._known.values()))

    def served(self, name: str, address: str, did: str, how: Literal["digest", "token"]) -> bool:
        """Note an answer; True if this host is new."""
        known = self._known.get((name, address), Client(name, address))
        self._keep(replace(known, did=did, how=how, requests=known.requests + 1, why=""))
        return known.requests == 0

    def refused(self, name: str, address: str, did: str, why: str) -> bool:
        """Note a refusal; True if it is the first of its kind for an hour: hosts ask on and on."""
        known = self._known.get((name, address), Client(name, address))
        self._keep(replace(known, did=did, refused=known.refused + 1, why=why))
        key, now_us = (name, address, did, why.split(" ", maxsplit=1)[0]), self._wall_us()
        if abs(now_us - self._noted.get(key, -_AGAIN_US)) < _AGAIN_US:
            return False
        self._noted[key] = now_us
        if len(self._noted) > _MOST_NOTED:
            self._noted.popitem(last=False)
        return True

    def _keep(self, one: Client) -> None:
        key = one.name, one.address
        self._known[key] = replace(one, at_us=self._wall_us())
        self._known.move_to_end(key)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
