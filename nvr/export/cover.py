"""Which stretches of a clip the camera's own signatures cover, and which they do not fit.

Every slice is hashed as it comes. In the end each signed message is laid on the pictures it is
about: where the last one ended, or where its list of hashes or the link of the next message says.
A list of hashes tells which of the pictures of a group do not fit; without it the whole group does
not. What is between two messages that fit and is not linked is missing.

A clip hardly ever ends with a signature: what comes after the last one is `OPEN` as long as it is
no longer than what a signature of this camera covers, half as much again; else it is unproven.
"""

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from nvr.wire import media_signing
from nvr.wire.media_signing import BARE, FIRST, Claim, Sei

_UNPROVEN, _COVERED, _ALTERED = 0, 1, 2
ALTERED, UNPROVEN, MISSING, OPEN = "altered", "unproven", "missing", "open"
_NAMES = {_UNPROVEN: UNPROVEN, _ALTERED: ALTERED}
_U, _A = bytes((_UNPROVEN,)), bytes((_ALTERED,))
_STARTS, _BACK = 64, 1000
"""How many groups on, and how many slices back, a message is looked for: bounds what a forger
can make the check cost."""


class Stretch(NamedTuple):
    """A stretch that is not covered.

    Attributes:
        kind: `ALTERED`, `UNPROVEN`, `MISSING` or `OPEN`.
        first_sample: Number of its first picture, from 1; of the one before what is missing.
        last_sample: Number of its last; of the one after what is missing.
        from_us: When it begins.
        to_us: When it ends.
    """

    kind: str
    first_sample: int
    last_sample: int
    from_us: int
    to_us: int


@dataclass(slots=True)
class _Message:
    """A signed message, or one that a later one covers.

    Attributes:
        sei: As it came.
        claim: What it says.
        at: Hashes before it.
        sample: In which it is.
        item: Its own place among the hashes, -1 if it has a signature.
        proven: Its signature is right.
        begin: Of the hashes it is about, -1 if they were not found.
        end: After the last of them.
        first: Hash of the first as the camera has it.
        wrong: Those of them that do not fit.
        holes: Where some that it names are not there.
    """

    sei: Sei
    claim: Claim
    at: int
    sample: int
    item: int
    proven: bool = False
    begin: int = -1
    end: int = -1
    first: bytes = b""
    wrong: list[int] = field(default_factory=list)
    holes: list[int] = field(default_factory=list)


class Cover:
    """Takes the samples of one clip and then says what is covered.

    Args:
        codec: ``h264`` or ``h265``.
        algorithm: Hash that the camera uses. If it turns out in `algorithms` that it is another,
            take the clip once more.
    """

    def __init__(self, codec: str, algorithm: str = "sha256") -> None:
        self._codec = codec
        self._hash: Callable[[bytes], bytes] = lambda data: hashlib.new(algorithm, data).digest()
        self._size = hashlib.new(algorithm).digest_size
        self._hashes = bytearray()
        self._samples = array("I")
        self._starts = array("I")
        self._times = array("q")
        self._bare: list[tuple[int, int]] = []
        self._anchor = bytes(self._size)
        self._messages: list[_Message] = []
        self._broken = -1
        self.seis: list[Sei] = []
        self.algorithms: set[str] = set()

    def sample(self, nals: Iterable[bytes], at_us: int) -> None:
        """Take the next sample in the order of decoding."""
        number, bare = len(self._times), False
        self._times.append(at_us)
        for nal in nals:
            kind = media_signing.kind(self._codec, nal)
            if kind == BARE:
                bare = True
            elif kind:
                self._slice(media_signing.hashed(nal), number, first=kind == FIRST)
            elif (sei := media_signing.read(self._codec, nal)) is not None:
                self._sei(sei, number)
        if bare and self._bare and self._bare[-1][1] == number - 1:
            self._bare[-1] = self._bare[-1][0], number
        elif bare:
            self._bare.append((number, number))

    @property
    def from_us(self) -> int:
        """When the first sample was decoded, 0 if none came."""
        return self._times[0] if self._times else 0

    def _slice(self, data: bytes, sample: int, *, first: bool) -> None:
        digest = self._hash(data)
        if first:
            self._starts.append(len(self._samples))
            self._anchor = digest
        else:
            digest = self._hash(self._anchor + digest)
        self._samples.append(sample)
        self._hashes += digest

    def _sei(self, sei: Sei, sample: int) -> None:
        self.seis.append(sei)
        if sei.algorithm:
            self.algorithms.add(sei.algorithm)
        at = len(self._samples)
        if not sei.signature:
            self._samples.append(sample)
            self._hashes += self._hash(sei.message)
        claim = sei.claim
        if claim is not None and len(claim.group_hash) == self._size:
            item = -1 if sei.signature else at
            self._messages.append(_Message(sei, claim, at, sample, item))
        elif not sei.certificates:
            self._broken = at

    def settle(self, right: Callable[[Sei], bool], end_us: int) -> "Settled":
        """Lay the messages on the pictures.

        Args:
            right: Whether an SEI carries a right signature of the camera.
            end_us: When the last picture ends.
        """
        for one in self._messages:
            one.proven = bool(one.sei.signature) and right(one.sei)
        usable = [one for one in self._messages if one.proven or one.item >= 0]
        places = self._places(usable)
        self._find_all(usable, places)
        state = bytearray(len(self._samples))
        for one in reversed(usable):  # a message without a signature is covered by a later one
            one.proven = one.proven or state[one.item] == _COVERED
            if one.proven and one.begin >= 0:
                state[one.begin : one.end] = bytes((_COVERED,)) * (one.end - one.begin)
                for n in one.wrong:
                    state[n] = _ALTERED
                if not one.claim.partial:  # it says that the group has ended there
                    ended = self._after(one.end - 1, one)
                    state[one.end : ended] = state[one.end : ended].replace(_U, _A)
        proven = [one for one in usable if one.proven]
        fit = [one for one in proven if one.begin >= 0]
        holes = {place for one in fit for place in one.holes}
        self._blame(proven, places, state, holes)
        for before, after in pairwise(fit):
            if before.end == after.begin and after.claim.link != before.first:
                holes.add(after.begin)
        wrong = any(one.item < 0 and not one.proven for one in self._messages)
        tail = self._tail(fit, state)
        found = [*self._runs(state, tail, end_us), *self._missing(holes)]
        found += [self._stretch(UNPROVEN, first, last, end_us) for first, last in self._bare]
        whole = bytearray(len(self._times))
        for sample, how in zip(self._samples, state, strict=True):
            whole[sample] = 1 if how == _COVERED and whole[sample] != 2 else 2
        for first, last in self._bare:
            whole[first : last + 1] = b"\2" * (last + 1 - first)
        return Settled(
            len(whole) - whole.count(0),
            whole.count(1),
            sorted(found, key=lambda one: (one.first_sample, one.last_sample)),
            wrong,
            [one.claim for one in fit],
        )

    def _places(self, usable: list[_Message]) -> dict[bytes, int]:
        """Return where the first slices of groups are, as far as messages name them."""
        wanted = {one.claim.link for one in usable} | {
            one.sei.hashes[: self._size] for one in usable
        }
        places: dict[bytes, int] = {}
        for n in range(len(self._samples)):
            if (digest := self._digest(n)) in wanted:
                places.setdefault(digest, n)
        return places

    def _find_all(self, usable: list[_Message], places: dict[bytes, int]) -> None:
        cursor = 0
        for one, after in zip(usable, [*usable[1:], None], strict=False):
            hints = [cursor, places.get(one.sei.hashes[: self._size], -1)]
            hints.append(places.get(after.claim.link, -1) if after else -1)
            first = bisect_right(self._starts, cursor)
            hints += self._starts[first : first + _STARTS]
            if self._fits(one, cursor, hints) or self._fits_list(one, cursor):
                cursor = one.end

    def _digest(self, n: int) -> bytes:
        return bytes(self._hashes[n * self._size : (n + 1) * self._size])

    def _fits(self, one: _Message, cursor: int, hints: list[int]) -> bool:
        count = one.claim.nals
        for begin in dict.fromkeys(hints):
            end = begin + count
            if count and begin >= cursor and end <= one.at:
                joined = bytes(self._hashes[begin * self._size : end * self._size])
                if self._hash(joined) == one.claim.group_hash:
                    one.begin, one.end, one.first = begin, end, joined[: self._size]
                    return True
        return False

    def _fits_list(self, one: _Message, cursor: int) -> bool:
        """Find which pictures are in a list of hashes, in its order."""
        size, named = self._size, one.sei.hashes
        order = {named[n * size : (n + 1) * size]: n for n in range(len(named) // size)}
        cursor = max(cursor, one.at - 4 * len(order) - _BACK)
        named_here = [(n, order.get(self._digest(n), -1)) for n in range(cursor, one.at)]
        fits = _rising([(n, number) for n, number in named_here if number >= 0])
        if not fits:
            return False
        begin = self._starts[max(0, bisect_right(self._starts, fits[0]) - 1)]
        end = self._after(fits[-1], one)
        one.begin, one.end, one.first = max(cursor, begin), end, named[:size]
        if one.claim.partial:
            one.begin = max(one.begin, fits[0] - order[self._digest(fits[0])])
            one.end = max(fits[-1] + 1, min(end, one.begin + len(order)))
        there = set(fits)
        one.wrong = [n for n in range(one.begin, one.end) if n not in there]
        last_place, last_number = one.begin - 1, -1
        for n in (*fits, one.end):
            number = order[self._digest(n)] if n in there else len(order)
            if number - last_number > n - last_place:
                one.holes.append(n)
            last_place, last_number = n, number
        return True

    def _after(self, n: int, one: _Message) -> int:
        """Where the group of a place ends: with the next one, or at the message."""
        following = bisect_right(self._starts, n)
        ends = self._starts[following] if following < len(self._starts) else one.at
        return min(ends, one.at)

    def _blame(
        self,
        proven: list[_Message],
        places: dict[bytes, int],
        state: bytearray,
        holes: set[int],
    ) -> None:
        """Mark what messages are about that fit nothing: altered there, or missing."""
        following: list[_Message | None] = [None]
        for one in reversed(proven):
            following.append(one if one.begin >= 0 else following[-1])
        before: _Message | None = None
        marked = 0
        for one in proven:
            following.pop()
            if one.begin >= 0:
                before = one
                continue
            start, end = self._between(one, before, following[-1])
            linked = places.get(one.claim.link, -1)
            if start <= linked < end:  # it goes on after the group that begins there
                start = linked + 1 if one.claim.partial else min(end, self._after(linked, one))
            if end > start:
                start = max(start, marked)
                marked = max(marked, end)
                state[start:end] = state[start:end].replace(_U, _A)
            elif end == start and (before or linked >= 0):
                holes.add(start)

    def _between(
        self, one: _Message, before: _Message | None, after: _Message | None
    ) -> tuple[int, int]:
        """Return where a message that fits nothing should; end before begin: it is no matter."""
        start, closed = before.end if before else 0, bisect_right(self._starts, one.at) - 1
        end = self._starts[closed] if closed >= 0 else 0
        end = after.begin if after else one.at if one.claim.partial else end
        if before:
            ahead = (one.claim.counter - before.claim.counter) & 0xFFFFFFFF
            return (start, end) if 0 < ahead < 1 << 31 else (1, 0)  # else an old one again
        groups = bisect_left(self._starts, end)
        ahead = (after.claim.counter - one.claim.counter) & 0xFFFFFFFF if after else 1
        return (start, end) if one.claim.partial or ahead <= groups else (1, 0)  # before the clip

    def _tail(self, fit: list[_Message], state: bytearray) -> int:
        """Return from which hash on it is open, past the end if nothing is."""
        signed = [one for one in fit if one.item < 0]
        end, place = len(self._samples), 0
        if not signed or signed[-1].end >= end:
            return end
        longest, place = 0, signed[0].begin
        for one in signed:
            longest = max(longest, one.sample - self._samples[min(place, end - 1)] + 1)
            place = one.end
        late = max(
            (one.at for one in self._messages if one.item < 0 and not one.proven), default=-1
        )
        if max(late, self._broken) >= signed[-1].at or _A in state[place:]:
            return end
        after = len(self._times) - self._samples[place]
        return place if 2 * after <= 3 * longest else end

    def _runs(self, state: bytearray, tail: int, end_us: int) -> Iterator[Stretch]:
        begin = 0
        for n in range(1, len(state) + 1):
            if n < len(state) and state[n] == state[begin] and n != tail:
                continue
            if state[begin] != _COVERED:
                kind = OPEN if begin >= tail else _NAMES[state[begin]]
                yield self._stretch(kind, self._samples[begin], self._samples[n - 1], end_us)
            begin = n

    def _missing(self, holes: set[int]) -> Iterator[Stretch]:
        for place in holes:
            after = self._samples[place] if place < len(self._samples) else len(self._times) - 1
            at_us = self._times[after]
            yield Stretch(MISSING, max(1, after), after + 1, at_us, at_us)

    def _stretch(self, kind: str, first: int, last: int, end_us: int) -> Stretch:
        end = self._times[last + 1] if last + 1 < len(self._times) else end_us
        return Stretch(kind, first + 1, last + 1, self._times[first], end)


def _rising(found: list[tuple[int, int]]) -> list[int]:
    """Return the places of as many as can be that are in the order of their numbers."""
    tails: list[int] = []
    numbers: list[int] = []
    before: list[int] = []
    for n, (_, number) in enumerate(found):
        at = bisect_left(numbers, number)
        before.append(tails[at - 1] if at else -1)
        tails[at : at + 1] = [n]
        numbers[at : at + 1] = [number]
    places: list[int] = []
    n = tails[-1] if tails else -1
    while n >= 0:
        places.append(found[n][0])
        n = before[n]
    return places[::-1]


@dataclass(frozen=True, slots=True)
class Settled:
    """What is covered.

    Attributes:
        pictures: How many there are.
        covered: How many pictures are.
        stretches: What is not, in order.
        wrong: A signature is not right.
        claims: Those that fit, in order.
    """

    pictures: int
    covered: int
    stretches: list[Stretch]
    wrong: bool
    claims: list[Claim]
