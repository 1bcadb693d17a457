"""Cameras that encode their own pictures are told to draw captions and masks into them.

Each is looked at when its settings change, when it comes back, and now and then: what it lost is
told again. What is in force is what was read back, never what was answered. Masks count as being
in the picture only after they were read back twice, `SETTLE_S` apart, for pictures taken before are
still on their way; and no longer than until the stream breaks or one look finds them gone. From
the last look at which they were there, pictures are treated as unmasked again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from nvr.app import ours
from nvr.app.made import Book
from nvr.app.picture import sources_of
from nvr.app.settings import caption_in, masks_of
from nvr.app.settle import Ask, Outcome, Settling
from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, NvrError
from nvr.base.log import event
from nvr.base.supervise import Backoff
from nvr.config import camera as written
from nvr.media import onvif_wish as wish
from nvr.media.camera import CameraState
from nvr.media.drawn import Drawn, Remark
from nvr.media.mask import Masks
from nvr.media.onvif import Mask, MaskOptions, Osd, OsdOptions
from nvr.overlay import cover, told

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
CALM_S: Final = 2.0
"""Settings are told when nobody changed them for so long: cameras keep them in flash."""
SETTLE_S: Final = 12.0
"""Between two looks that make masks sure: longer than a group of pictures."""
MASKS_S: Final = 30.0
TEXTS_S: Final = 300.0
"""So often it is looked whether they are still there."""
NOTED_S: Final = 300.0
"""So often it is written down that they were."""
_BACKOFF: Final = Backoff(first_s=10.0, cap_s=300.0)
_WAITING: Final = Drawn("waiting")


class Asks(Protocol):
    """Asks cameras by name. See `nvr.app.services.Services`."""

    async def ask(self, camera: str, wish: wish.Wish[Any]) -> Any:  # noqa: ANN401 - as the wish says
        """Put a question to a camera."""
        ...


class Table(Protocol):
    """The cameras there are. See `nvr.app.cameras.CameraTable`."""

    def configured(self) -> Iterable[written.Camera]:
        """The settings of all, as they are now."""
        ...

    def encoded_here(self, name: str) -> bool:
        """Whether we encode its pictures, and draw into them ourselves."""
        ...


@dataclass(slots=True)
class _One:
    """One camera that is to draw something, or to draw no more what it did."""

    camera: written.Camera
    texts: Settling[Osd]
    masks: Settling[Mask]
    due_s: float
    sources: tuple[str, ...] = ()
    height_px: int = 0
    live: bool = False
    known: bool = False
    failures: int = 0
    caption: Drawn | None = None
    hiding: Drawn | None = None
    boxed: set[int] = field(default_factory=set)
    seen_s: float | None = None
    """When all of these masks were read back first; None: they were not at the last look."""
    sure: Masks | None = None
    """Masks that are in the picture for sure."""
    noted_s: float = -NOTED_S
    task: asyncio.Task[None] | None = None


class Painter:
    """Has cameras draw. Used in one event loop.

    Args:
        services: Asks them.
        cameras: The cameras there are.
        book: What we made in cameras.
        clock: Time source.
    """

    def __init__(
        self,
        services: Asks,
        cameras: Table,
        book: Book,
        clock: Clock,
    ) -> None:
        self._services = services
        self._cameras = cameras
        self._book = book
        self._clock = clock
        self._all: dict[str, _One] = {}
        self._leaving: set[str] = set()
        self.told: Callable[[str], None] = lambda _: None
        """Told a camera at which something is otherwise than before."""

    def caption(self, camera: str) -> Drawn | None:
        """What became of a camera's caption; None if it is not to draw it."""
        it = self._all.get(camera)
        return it.caption if it else None

    def masks(self, camera: str) -> Drawn | None:
        """What became of its masks; None if it is not to hide them."""
        it = self._all.get(camera)
        return it.hiding if it else None

    def writes(self, camera: str) -> bool:
        """Whether its pictures carry the caption, if not all of it."""
        found = self.caption(camera)
        return found is not None and found.there

    def hides(self, camera: written.Camera) -> bool:
        """Whether its pictures carry exactly the masks of these settings, for sure."""
        it = self._all.get(camera.name)
        return it is not None and it.sure is not None and it.sure == masks_of(camera)

    def hid_until_us(self, camera: str) -> int:
        """UTC microseconds when its masks were seen in force last, 0 if never."""
        return self._book.of(camera).masked_us

    def seen(self, state: CameraState) -> None:
        """Take note of how a camera does: what breaks may have been restarted, or another one."""
        it = self._all.get(state.name)
        if it is None:
            return
        live = state.state == "live"
        if live == it.live:
            return
        it.live, it.known, it.failures = live, False, 0
        it.due_s = min(it.due_s, self._clock.monotonic_s() + CALM_S)
        if not live and it.seen_s is not None:
            self._unsure(it)

    def follow(self) -> None:
        """Take over the settings as they are now."""
        now_s = self._clock.monotonic_s()
        wanted = {one.name: one for one in self._cameras.configured() if self._concerned(one)}
        for name in self._all.keys() - wanted.keys():
            self._leave(self._all.pop(name))
            self.told(name)
        for name, camera in wanted.items():
            it = self._all.get(name)
            if it is None or it.camera.onvif != camera.onvif:
                if it is not None:
                    self._leave(it)
                self._all[name] = it = self._fresh(camera, now_s)
                self._say(it)
            elif _told_of(it.camera) != _told_of(camera):
                self._changed(it, camera, now_s)
            it.camera = camera

    def step(self) -> list[asyncio.Task[None]]:
        """Follow the settings, and look at who is due; returns what was begun."""
        self.follow()
        now_s = self._clock.monotonic_s()
        begun = []
        for it in self._all.values():
            if it.due_s <= now_s and (it.task is None or it.task.done()):
                it.task = asyncio.ensure_future(self._look(it))
                begun.append(it.task)
        return begun

    async def clear(self, camera: str) -> int:
        """Take what is ours off a camera that is about to be removed; see `nvr.app.ours.clear`.

        It is seen to no more, until `stays` or as long as it is configured.
        """
        it = self._all.get(camera)
        self._leaving.add(camera)
        self.follow()
        if it is not None and it.task is not None:
            await asyncio.wait((it.task,))
        return await ours.clear(camera, partial(self._services.ask, camera), self._book)

    def stays(self, camera: str) -> None:
        """It was not removed, or one of its name is there again."""
        self._leaving.discard(camera)

    async def run(self) -> None:
        """See to all of them until cancelled."""
        try:
            while True:
                self.step()
                await self._clock.sleep(LOOK_S)
        finally:
            tasks = [it.task for it in self._all.values() if it.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._book.save)

    # From here on: one camera.

    def _concerned(self, camera: written.Camera) -> bool:
        if camera.onvif is None or self._cameras.encoded_here(camera.name):
            return False
        if camera.name in self._leaving:
            return False
        return _writes(camera) or _hides(camera) or self._book.of(camera.name).any

    def _fresh(self, camera: written.Camera, now_s: float) -> _One:
        made = self._book.of(camera.name)
        it = _One(camera, ours.texts(made.texts), ours.masks(made.masks), now_s + CALM_S)
        it.caption = _WAITING if _writes(camera) else None
        it.hiding = _WAITING if _hides(camera) else None
        return it

    def _changed(self, it: _One, camera: written.Camera, now_s: float) -> None:
        before, it.camera = it.camera, camera
        it.due_s, it.failures = now_s + CALM_S, 0
        it.texts.refused.clear()
        it.masks.refused.clear()
        if before.caption != camera.caption:
            it.caption = _WAITING if _writes(camera) else None
        if _masks_told(before) != _masks_told(camera):
            it.boxed.clear()
            it.hiding = _WAITING if _hides(camera) else None
            self._unsure(it)
        self._say(it)

    def _leave(self, it: _One) -> None:
        if it.task is not None:
            it.task.cancel()
        it.sure = it.seen_s = None

    def _unsure(self, it: _One) -> None:
        """Masks may not be there: from here on its pictures are unmasked ones."""
        it.sure = it.seen_s = None
        if it.hiding is not None and it.hiding.there:
            it.hiding = _WAITING
        self._say(it)

    def _say(self, it: _One) -> None:
        self.told(it.camera.name)

    async def _look(self, it: _One) -> None:
        camera = it.camera
        it.due_s = self._clock.monotonic_s() + TEXTS_S
        try:
            await self._draw(it)
        except NvrError as err:
            it.failures += 1
            it.known = False
            wait_s = TEXTS_S if isinstance(err, Misconfigured) else _BACKOFF.wait_s(it.failures)
            it.due_s = self._clock.monotonic_s() + wait_s
            if it.failures == 1 and it.sure is not None:
                return  # it is asked once more before it counts
            failed = _failed(err)
            it.caption = failed if it.caption is not None else None
            it.hiding = failed if it.hiding is not None else None
            level = logging.WARNING if it.failures == 1 else logging.DEBUG
            event(_log, level, "drawn.failed", camera=camera.name, error=str(err), wait_s=wait_s)
            self._unsure(it)
        else:
            it.failures = 0

    async def _draw(self, it: _One) -> None:
        camera = it.camera
        ask: Ask = partial(self._services.ask, camera.name)
        if not it.known:
            await self._know(it, ask)
        before = (it.caption, it.hiding, it.sure)
        caption = await self._write(it, ask)
        hiding = await self._hide(it, ask)
        if _told_of(it.camera) != _told_of(camera):
            return  # changed meanwhile: it is looked at again
        it.caption, it.hiding = caption, hiding
        period_s = MASKS_S if it.hiding is not None else TEXTS_S
        if it.seen_s is not None and it.sure is None:
            period_s = SETTLE_S
        it.due_s = self._clock.monotonic_s() + period_s
        if (it.caption, it.hiding, it.sure) != before:
            event(
                _log, logging.INFO, "drawn.told", camera=camera.name,
                caption=it.caption.state if it.caption else "off",
                masks=it.hiding.state if it.hiding else "off",
            )  # fmt: skip
            self._say(it)

    async def _know(self, it: _One, ask: Ask) -> None:
        """Which picture it is, and whether it is the camera that we know."""
        device = await ask(wish.GetDevice())
        made = self._book.of(it.camera.name)
        if made.serial != device.serial:
            if made.serial:  # another camera in its place: nothing in it is ours
                for kept in (made.texts, made.masks):
                    kept.tokens.clear()
                    kept.making = None
            made.serial = device.serial
            await asyncio.to_thread(self._book.save)
        profiles = await ask(wish.GetProfiles())
        assert it.camera.onvif is not None
        it.sources, it.height_px = sources_of(profiles, it.camera.onvif.profile or "")
        it.texts.forget()
        it.masks.forget()
        it.boxed.clear()
        it.known = True

    async def _write(self, it: _One, ask: Ask) -> Drawn | None:
        wanted = _writes(it.camera)
        if not wanted and not it.texts.kept.some:
            return None
        try:
            there = await it.texts.there(ask)
            pieces: list[told.Piece] = []
            remarks: list[Remark] = []
            for source in it.sources if wanted else ():
                options = await _options(ask, source)
                ours = set(it.texts.kept.tokens)
                others = [
                    one
                    for one in there.values()
                    if one.token not in ours and one.source in {source, ""}
                ]
                plan = told.pieces_of(caption_in(it.camera), source, options, it.height_px, others)
                pieces += plan.pieces
                remarks += plan.remarks
            outcomes = await it.texts.settle(ask, self._book, [one.osd for one in pieces], there)
        except NvrError as err:
            if not _cannot(err):
                raise
            return _failed(err) if wanted else None
        if not wanted:
            return None
        for piece, outcome in zip(pieces, outcomes, strict=True):
            remarks += _became(piece.line, outcome)
        return _drawn_of(remarks, any(one.got is not None for one in outcomes))

    async def _hide(self, it: _One, ask: Ask) -> Drawn | None:
        masks = masks_of(it.camera) if _hides(it.camera) else ()
        if not masks and not it.masks.kept.some:
            return None
        try:
            outcomes = await self._lay(it, ask, masks)
        except NvrError as err:
            if not _cannot(err):
                raise
            self._unsure(it)
            return _failed(err) if masks else None
        if not masks:
            return None
        seen = [(number, one.wanted.source, one.got) for (number, _), one in outcomes.items()]
        whole = bool(it.sources) and cover.all_hidden(masks, seen, len(it.sources))
        remarks = [
            Remark("mask.refused", number + 1, one.refused)
            if one.refused
            else Remark("mask.uncovered", number + 1)
            for (number, source), one in sorted(outcomes.items())
            if not cover.hides(cover.wanted_of(masks[number]), one.got, source)
        ]
        left = sorted(set(range(len(masks))) - {number for number, _ in outcomes})
        remarks += [Remark("mask.too_many", number + 1, str(left[0])) for number in left]
        await self._sure(it, masks if whole else None)
        if whole:
            return Drawn("drawn") if it.sure is not None else _WAITING
        return Drawn("failed", "mask.uncovered", "not all of it is hidden", _once(remarks))

    async def _lay(self, it: _One, ask: Ask, masks: Masks) -> dict[tuple[int, str], Outcome[Mask]]:
        """Have it hide them; what it did not hide as it is, as a rectangle around it."""
        there = await it.masks.there(ask)
        if it.seen_s is not None and not self._covered(it, masks, there):
            self._unsure(it)
        options = {source: await ask(wish.GetMaskOptions(source)) for source in it.sources}
        outcomes: dict[tuple[int, str], Outcome[Mask]] = {}
        for _ in range(2):
            places = self._room(it, masks, options, there)
            wanted = [
                cover.told_of(masks[number], source, options[source], boxed=number in it.boxed)
                for number, source in places
            ]
            found = await it.masks.settle(ask, self._book, wanted, there)
            outcomes = dict(zip(places, found, strict=True))
            short = {
                number
                for (number, source), one in outcomes.items()
                if not cover.hides(cover.wanted_of(masks[number]), one.got, source)
            }
            if not short - it.boxed:
                break
            it.boxed |= short
            there = await it.masks.there(ask)
        return outcomes

    @staticmethod
    def _covered(it: _One, masks: Masks, there: dict[str, Mask]) -> bool:
        """Whether what is there, before anything is told, hides all."""
        ours = [there[token] for token in it.masks.kept.tokens if token in there]
        return all(
            any(cover.hides(cover.wanted_of(mask), one, source) for one in ours)
            for mask in masks
            for source in it.sources
        )

    @staticmethod
    def _room(
        it: _One, masks: Masks, options: dict[str, MaskOptions], there: dict[str, Mask]
    ) -> list[tuple[int, str]]:
        """Which masks there is room for, in each source."""
        ours = set(it.masks.kept.tokens)
        found = []
        for source, can in options.items():
            others = sum(one.source == source and one.token not in ours for one in there.values())
            found += [(number, source) for number in range(len(masks))[: max(0, can.most - others)]]
        return found

    async def _sure(self, it: _One, masks: Masks | None) -> None:
        """Masks were read back, or were not."""
        now_s = self._clock.monotonic_s()
        if masks is None or masks != masks_of(it.camera) or not it.live:
            self._unsure(it)
            return
        if it.seen_s is None:
            it.seen_s = now_s
        if now_s - it.seen_s < SETTLE_S:
            return
        it.sure = masks
        self._book.of(it.camera.name).masked_us = self._clock.wall_us()
        if now_s - it.noted_s >= NOTED_S:
            it.noted_s = now_s
            await asyncio.to_thread(self._book.save)


async def _options(ask: Ask, source: str) -> OsdOptions:
    """Which texts it can have; of one that does not say, all are tried."""
    try:
        found: OsdOptions = await ask(wish.GetOsdOptions(source))
    except NvrError as err:
        if not _cannot(err):
            raise
        return OsdOptions()
    return found


def _cannot(err: NvrError) -> bool:
    """It does not know the question, or not for this."""
    return err.code in {"onvif.unsupported", "onvif.fault"}


def _failed(err: NvrError) -> Drawn:
    impossible = isinstance(err, Misconfigured)
    return Drawn("impossible" if impossible else "failed", err.code, err.detail)


def _became(line: int, outcome: Outcome[Osd]) -> list[Remark]:
    if outcome.refused:
        return [Remark("osd.refused", line, outcome.refused)]
    return told.became(outcome.wanted, outcome.got, line)


def _drawn_of(remarks: list[Remark], there: bool) -> Drawn:
    found = _once(remarks)
    worse = [one for one in found if one.code in told.WORSE]
    if not there:
        return Drawn("failed", next((one.code for one in worse or found), ""), "", found)
    return Drawn("partly" if worse else "drawn", remarks=found)


def _once(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """The same is said once, though it is so of two streams."""
    return tuple(dict.fromkeys(remarks))[:32]


def _writes(camera: written.Camera) -> bool:
    caption = camera.caption
    return caption is not None and caption.burn == "auto" and any(map(str.strip, caption.lines))


def _hides(camera: written.Camera) -> bool:
    return camera.mask_burn == "auto" and bool(camera.mask)


def _masks_told(camera: written.Camera) -> object:
    return masks_of(camera), camera.mask_burn


def _told_of(camera: written.Camera) -> object:
    return camera.caption, _masks_told(camera), camera.user
