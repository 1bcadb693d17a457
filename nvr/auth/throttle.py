"""Slows guessing down, for every listener with one counter; never locks anybody out for good.

Five wrong answers are free; after that each costs a wait of 1 s, doubling to 60 s, counted for
the source (/24 of IPv4, /64 of IPv6) and for the account. A source without a wrong answer of its
own is let past the account's wait, so that a stranger who guesses at an account does not lock its
owner out from elsewhere. A third counter over everything slows many sources together down to
one guess in 2 s; sources that have signed in before pass it.

A try counts as wrong from the moment it is let in until it proves right: guesses sent at once
cannot all slip in before the first is judged.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import Rejected

FREE = 5
FREE_OF_ALL = 50
LONGEST_S = 60.0
LONGEST_OF_ALL_S = 2.0
FORGET_S = 15 * 60.0
KNOWN_S = 7 * 24 * 3600.0
MOST_KEPT = 4096


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    last_s: float = 0.0

    def wait_s(self, now_s: float, free: int, longest_s: float) -> float:
        if self.wrong < free or now_s - self.last_s >= FORGET_S:
            return 0.0
        doubled = min(longest_s, 2.0 ** min(self.wrong - free, 16))
        return max(0.0, self.last_s + doubled - now_s)

    def add(self, now_s: float) -> None:
        if now_s - self.last_s >= FORGET_S:
            self.wrong = 0
        self.wrong += 1
        self.last_s = now_s


@dataclass(frozen=True, slots=True)
class Attempt:
    """A guess that was let in; give it back to `Throttle.right` if it proves right."""

    account: str
    source: str


class Throttle:
    """Counts wrong answers. All methods return at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sources: OrderedDict[str, _Count] = OrderedDict()
        self._accounts: OrderedDict[str, _Count] = OrderedDict()
        self._all = _Count()
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()

    def enter(self, account: str, address: str) -> Attempt:
        """Let one guess in, or refuse it unseen.

        Args:
            account: Name of the account or credential, as given.
            address: IP address of the peer.

        Raises:
            Rejected: ``auth.throttled`` with ``retry_after_s``.
        """
        now_s = self._clock.monotonic_s()
        source = network_of(address)
        by_source = _count(self._sources, source)
        by_account = _count(self._accounts, account.casefold()[:64])
        known = now_s - self._known.get((account, source), -KNOWN_S) < KNOWN_S
        wait_s = by_source.wait_s(now_s, FREE, LONGEST_S)
        clean = by_source.wrong == 0 or now_s - by_source.last_s >= FORGET_S
        if not clean and not known:
            wait_s = max(wait_s, by_account.wait_s(now_s, FREE, LONGEST_S))
        if not known:
            wait_s = max(wait_s, self._all.wait_s(now_s, FREE_OF_ALL, LONGEST_OF_ALL_S))
        if wait_s > 0:
            raise Rejected(
                "auth.throttled",
                "too many wrong answers, wait before the next",
                retry_after_s=round(wait_s, 1),
            )
        for count in (by_source, by_account, self._all):
            count.add(now_s)
        return Attempt(account, source)

    def right(self, attempt: Attempt) -> None:
        """The answer was right: its source and its account start afresh."""
        self._sources.pop(attempt.source, None)
        self._accounts.pop(attempt.account.casefold()[:64], None)
        self._all.wrong = max(0, self._all.wrong - 1)
        self._known[attempt.account, attempt.source] = self._clock.monotonic_s()
        self._known.move_to_end((attempt.account, attempt.source))
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)

    def not_judged(self, attempt: Attempt) -> None:
        """The answer was never looked at (the hash queue was full): it costs nothing."""
        for count in (
            self._sources.get(attempt.source),
            self._accounts.get(attempt.account.casefold()[:64]),
            self._all,
        ):
            if count:
                count.wrong = max(0, count.wrong - 1)


def network_of(address: str) -> str:
    """The /24 or /64 an address is in; text that is no address stands for itself."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((ip, 64), strict=False))
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24), strict=False))


def _count(table: OrderedDict[str, _Count], key: str) -> _Count:
    """The counter of `key`; the one touched longest ago goes when there are too many."""
    count = table.get(key)
    if count is None:
        count = table[key] = _Count(last_s=-FORGET_S)
        if len(table) > MOST_KEPT:
            table.popitem(last=False)
    else:
        table.move_to_end(key)
    return count
