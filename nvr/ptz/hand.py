"""What a hand at the box holds down: a motion that is renewed for as long as it is this hand's.

Keyboards and joysticks say a motion once. It goes on under a lease as short as that of a stick on
the page, so that it ends with whoever held it: with the wire, with the thread, with the process.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from nvr.base.errors import NvrError
from nvr.media.ports import Operator, Ptz

RENEW_S: Final = 0.15
LEASE_S: Final = 0.5


class Hand(Protocol):
    """Somebody at the box."""

    @property
    def moving(self) -> bool:
        """It moves something: `tick` is wanted every `RENEW_S`."""
        ...

    def tick(self) -> None:
        """Renew what is moved, or let it go."""
        ...


def still_moves(ptz: Ptz, camera: str, who: Operator) -> bool:
    """Whether the head still moves for `who`: nobody stopped it, and nobody took it."""
    try:
        status = ptz.status(camera)
    except NvrError:
        return False
    return status.moving and status.holder is not None and status.holder.operator == who


def let_go(ptz: Ptz, camera: str, who: Operator) -> None:
    """Say aloud that nothing is held any more, which ends what moves for `who`.

    Raises:
        NvrError: It has no head any more.
    """
    ptz.move(camera, who, 0.0, 0.0, 0.0)
    ptz.lens(camera, who, 0, 0)


async def renew(moving: asyncio.Event, hands: Callable[[], Iterable[Hand]]) -> None:
    """Renew what hands move, until cancelled.

    Args:
        moving: Set when one of them begins.
        hands: Those that are there now.
    """
    while True:
        await moving.wait()
        while any(hand.moving for hand in hands()):
            for hand in hands():
                hand.tick()
            await asyncio.sleep(RENEW_S)
        moving.clear()
