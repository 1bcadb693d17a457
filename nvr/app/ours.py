"""What in a camera's own picture is ours: texts and masks, and how they are taken off again."""

import asyncio
import logging
from typing import Final

from nvr.app.made import Book, Kept
from nvr.app.settle import Ask, Settling, Thing, Trade
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.media import onvif_wish as wish
from nvr.media.onvif import Mask, Osd
from nvr.overlay import cover, told

_log = logging.getLogger(__name__)

CLEAR_S: Final = 5.0
"""So long is a camera that is removed waited for."""


def texts(kept: Kept) -> Settling[Osd]:
    """Our texts in a camera."""
    trade = Trade(wish.GetOsds, wish.SetOsd, wish.DeleteOsd, told.as_told, told.may_be)
    return Settling(trade, kept)


def masks(kept: Kept) -> Settling[Mask]:
    """Our masks in a camera."""
    trade = Trade(
        wish.GetMasks, wish.SetMask, wish.DeleteMask, cover.same,
        lambda one, got: cover.hides(one.points, got, one.source),
    )  # fmt: skip
    return Settling(trade, kept)


async def clear(camera: str, ask: Ask, book: Book) -> int:
    """Take everything of ours off a camera's picture, before it is removed; never raises.

    What may be left stays in the book, and is taken off should the camera come back.

    Returns:
        How many texts and masks may be left.
    """
    made = book.of(camera)
    if not made.any:
        return 0
    # What nobody answered when it was made is not known from what others wrote.
    unsure = sum(kept.making is not None for kept in (made.texts, made.masks))
    why = ""
    try:
        async with asyncio.timeout(CLEAR_S):
            device = await ask(wish.GetDevice())
            if device.serial != made.serial:  # another camera in its place: nothing in it is ours
                await asyncio.to_thread(book.forget, camera)
                return 0
            await _take_off(texts(made.texts), ask, book)
            await _take_off(masks(made.masks), ask, book)
    except NvrError as err:
        why = str(err)
    except TimeoutError:
        why = "it did not answer in time"
    left = unsure + sum(len(kept.tokens) for kept in (made.texts, made.masks))
    if not left:
        await asyncio.to_thread(book.forget, camera)
        return 0
    event(_log, logging.WARNING, "drawn.left", camera=camera, left=left, error=why)
    return left


async def _take_off(kind: Settling[Thing], ask: Ask, book: Book) -> None:
    if kind.kept.some:
        await kind.settle(ask, book, (), await kind.there(ask))
