"""Who has a picture converted now: one at a time, live or recorded, and never while recording lags.

Converting takes a processor and is for people who look at one picture; whoever is refused is told
for whom it is done now. A viewer who leaves frees it at once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nvr.base.errors import Unavailable
from nvr.codec.sandbox import Sandbox
from nvr.media.mask import Masks
from nvr.media.ports import Stream
from nvr.serve.recode import Recode
from nvr.serve.recode_talk import Made, Still, ask
from nvr.serve.regroup import Regroup

PATIENCE_S: Final = 1.0
"""Whoever goes from one picture to another has let go of the first just now."""
_MOST_STILLS: Final = 4


@dataclass(frozen=True, slots=True)
class Use:
    """What a picture is converted for.

    Attributes:
        camera: Its camera.
        by: Name of the account.
        session: Its number.
    """

    camera: str
    by: str
    session: int


class Place:
    """The right to have a picture converted. Of the event loop's thread.

    Attributes:
        use: What for.
        given_up: Called when the same person wants another picture more; has to let go.
    """

    def __init__(self, use: Use, freed: Callable[["Place"], None]) -> None:
        self.use = use
        self.given_up: Callable[[], None] = self.free
        self._freed = freed

    def free(self) -> None:
        """Let others have it; twice is once."""
        self._freed(self)


class Recodes:
    """The converter of the box. Of the event loop's thread.

    Args:
        behind: Whether recording lags, so that nothing else may be done; any thread.
        sandbox: Starts one.
    """

    def __init__(
        self,
        behind: Callable[[], bool] = lambda: False,
        sandbox: Callable[[], Sandbox] = lambda: Sandbox("nvr.serve.recoder", answer_s=20.0),
    ) -> None:
        self._behind, self._sandbox = behind, sandbox
        self._now: Place | None = None
        self._free = asyncio.Event()
        self._stills = 0
        self._drawing = asyncio.Lock()

    async def take(
        self,
        use: Use,
        *,
        first: bool = False,
        knows: Callable[[str], bool] = lambda _camera: True,
    ) -> Place:
        """Have the converter, after a moment if somebody has it.

        Args:
            use: What for.
            first: What the same session has converted now is given up for it.
            knows: Whether who asks may know a camera.

        Raises:
            Unavailable: ``recode.busy``: another picture is converted now, with `camera` and `by`;
                ``recode.behind``: recording lags, and goes first.
        """
        self._check()
        if first and self._now is not None and self._now.use.session == use.session:
            self._now.given_up()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self._now is not None:
                    self._free.clear()
                    await self._free.wait()
        except TimeoutError:
            if self._now is not None:
                raise _busy(self._now.use, knows) from None
        self._check()
        self._now = Place(use, self._over)
        return self._now

    def _check(self) -> None:
        if self._behind():
            raise Unavailable("recode.behind", "recording lags, and goes first")

    def _over(self, place: Place) -> None:
        if self._now is place:
            self._now = None
            self._free.set()

    def live(self, stream: Stream, place: Place, masks: Callable[[], Masks]) -> Recode:
        """Return a stream as it is converted, which frees its place when nobody watches any more.

        Args:
            stream: What is watched.
            place: As taken.
            masks: What is hidden of it now, and was a moment ago; called in another thread.
        """
        return Recode(stream, place.free, self._sandbox, masks, self._behind)

    def groups(self) -> Regroup:
        """Return what converts recordings, for who has taken a place."""
        return Regroup(self._sandbox, self._behind)

    async def still(self, wanted: Still) -> bytes:
        """Return a JPEG with masks over it, empty if it is no picture; one is made at a time.

        Raises:
            Unavailable: ``recode.behind``; ``snapshot.busy``: too many wait; ``sandbox.failed``.
            Damaged: ``sandbox.died``.
        """
        self._check()
        if self._stills >= _MOST_STILLS:
            raise Unavailable("snapshot.busy", "too many pictures are being made")
        self._stills += 1
        try:
            async with self._drawing:
                return await asyncio.to_thread(self._drawn, wanted)
        finally:
            self._stills -= 1

    def _drawn(self, wanted: Still) -> bytes:
        with self._sandbox() as box:
            return ask(box, wanted, Made).jpeg


def _busy(use: Use, knows: Callable[[str], bool]) -> Unavailable:
    camera, by = (use.camera, use.by) if knows(use.camera) else ("–", "–")
    what = f"another picture is being converted: {camera}, by {by}"
    return Unavailable("recode.busy", what, camera=camera, by=by)
