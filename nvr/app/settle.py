"""Has a camera have what is wanted of one kind, texts or masks, and nothing else that was ours.

What is there already, or became what it is when it was last told the same, is told no more: a
camera keeps it in flash. Everything is read back, whatever it answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from nvr.app.made import Book, Kept
from nvr.base.errors import Misconfigured, NvrError, Rejected
from nvr.media import onvif_wish as wish
from nvr.media.onvif import Mask, Osd

Thing = TypeVar("Thing", Osd, Mask)
Ask = Callable[[wish.Wish[Any]], Awaitable[Any]]

_THAT_ONE: Final = frozenset(("onvif.fault", "onvif.unsupported"))
"""Refusals of what was asked, and not of us."""


@dataclass(slots=True)
class Trade(Generic[Thing]):
    """How one kind is asked for.

    Attributes:
        all: Which are there?
        put: Have one.
        drop: Have one no more.
        like: Whether what is there is what was told.
        ours: Whether what came to be there, while nobody answered, is what was told.
    """

    all: Callable[[], wish.Wish[tuple[Thing, ...]]]
    put: Callable[[Thing], wish.Wish[str]]
    drop: Callable[[str], wish.Wish[None]]
    like: Callable[[Thing, Thing], bool]
    ours: Callable[[Thing, Thing], bool]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Thing]):
    """What became of one.

    Attributes:
        wanted: As it was told, with its token, if it got one.
        got: As it was read back, None if it is not there.
        refused: What the camera said against it, empty if nothing.
    """

    wanted: Thing
    got: Thing | None
    refused: str = ""


@dataclass(slots=True)
class Settling(Generic[Thing]):
    """One kind of thing in one camera.

    Attributes:
        trade: How it is asked for.
        kept: Those that are ours.
        told: What each was told last, and what it was then; without tokens.
        refused: What the camera does not take, and why; told again after `forget`.
    """

    trade: Trade[Thing]
    kept: Kept
    told: dict[str, tuple[Thing, Thing]] = field(default_factory=dict)
    refused: dict[Thing, str] = field(default_factory=dict)

    def forget(self) -> None:
        """Everything is told anew."""
        self.told.clear()
        self.refused.clear()

    async def there(self, ask: Ask) -> dict[str, Thing]:
        """What is there, by its token."""
        found = await ask(self.trade.all())
        return {one.token: one for one in found if one.token}

    async def settle(
        self, ask: Ask, book: Book, wanted: Sequence[Thing], there: dict[str, Thing]
    ) -> list[Outcome[Thing]]:
        """Have what is wanted, and say what became of each.

        Args:
            ask: Asks the camera.
            book: Where `kept` is kept.
            wanted: Without tokens.
            there: As `there` answered just now.

        Raises:
            NvrError: The camera could not be asked.
        """
        await self._sort(book, wanted, there)
        before = set(there)
        written = False
        places = self._places(wanted, there)
        for token in [one for one in self.kept.tokens if one not in places.values()]:
            written |= await self._drop(ask, book, token)
        for number, one in enumerate(wanted):
            token = places.get(number, "")
            if one in self.refused or (token and self._stands(one, there[token])):
                continue
            try:
                places[number] = await self._put(ask, book, one, token, there)
            except NvrError as err:
                if err.code not in _THAT_ONE:
                    raise
                self.refused[one] = str(err.context.get("said", err.detail))
            written = True
        if written:
            there = await self.there(ask)
            if await self._drop_twins(ask, book, wanted, before, there):
                there = await self.there(ask)
        return [self._outcome(one, places.get(n, ""), there) for n, one in enumerate(wanted)]

    async def _sort(self, book: Book, wanted: Sequence[Thing], there: dict[str, Thing]) -> None:
        """Know ours again, also one whose answer never came; forget those that are gone."""
        kept: Kept = self.kept
        tokens, making = list(kept.tokens), kept.making
        if kept.making is not None:
            known = set(kept.making) | set(kept.tokens)
            fresh = [one for token, one in there.items() if token not in known]
            kept.tokens += [
                one.token for one in fresh if any(self.trade.ours(each, one) for each in wanted)
            ]
            kept.making = None
        kept.tokens = [token for token in kept.tokens if token in there]
        if (kept.tokens, kept.making) != (tokens, making):
            await asyncio.to_thread(book.save)

    async def _drop_twins(
        self,
        ask: Ask,
        book: Book,
        wanted: Sequence[Thing],
        before: set[str],
        there: dict[str, Thing],
    ) -> bool:
        """Drop what was made twice, as a question that got no answer was sent once more."""
        fresh = [one for one in there.values() if one.token not in before | set(self.kept.tokens)]
        twins = [one.token for one in fresh if any(self.trade.ours(each, one) for each in wanted)]
        self.kept.tokens += twins
        for token in twins:
            await self._drop(ask, book, token)
        return bool(twins)

    def _places(self, wanted: Sequence[Thing], there: dict[str, Thing]) -> dict[int, str]:
        """Which of ours is to be which of what is wanted; those that are so already first."""
        places: dict[int, str] = {}
        free = list(self.kept.tokens)
        for fits in (self._stands, self._could):
            for number, one in enumerate(wanted):
                if number in places or one in self.refused:
                    continue
                found = next((token for token in free if fits(one, there[token])), "")
                if found:
                    places[number] = found
                    free.remove(found)
        return places

    def _stands(self, one: Thing, got: Thing) -> bool:
        """It is as it was told, or as it became when it was told the same."""
        return self.trade.like(one, got) or self.told.get(got.token) == (one, bare(got))

    @staticmethod
    def _could(one: Thing, got: Thing) -> bool:
        return one.source == got.source and one.kind == got.kind

    async def _drop(self, ask: Ask, book: Book, token: str) -> bool:
        try:
            await ask(self.trade.drop(token))
        except NvrError as err:
            if err.code not in _THAT_ONE:
                raise
            return False  # tried again with the next change
        self.kept.tokens.remove(token)
        self.told.pop(token, None)
        await asyncio.to_thread(book.save)
        return True

    async def _put(
        self, ask: Ask, book: Book, one: Thing, token: str, there: dict[str, Thing]
    ) -> str:
        if token:
            self.told.pop(token, None)
            try:
                await ask(self.trade.put(replace(one, token=token)))
            except NvrError as err:
                # It cannot be changed; what it says now is wrong, so another takes its place.
                if err.code not in _THAT_ONE or not await self._drop(ask, book, token):
                    raise
                del there[token]
            else:
                return token
        self.kept.making = [*there, *self.kept.tokens]
        await asyncio.to_thread(book.save)
        try:
            made: str = await ask(self.trade.put(one))
        except (Rejected, Misconfigured):
            self.kept.making = None  # it said no, so there is nothing
            raise
        self.kept.making = None
        self.kept.tokens.append(made)
        await asyncio.to_thread(book.save)
        return made

    def _outcome(self, one: Thing, token: str, there: dict[str, Thing]) -> Outcome[Thing]:
        if one in self.refused:
            return Outcome(one, None, self.refused[one])
        got = there.get(token)
        if got is not None:
            self.told[token] = (one, bare(got))
        return Outcome(replace(one, token=token), got)


def bare(one: Thing) -> Thing:
    """Return it without its token."""
    return replace(one, token="")
