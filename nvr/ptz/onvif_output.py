"""Wiper and lamp of a camera over ONVIF's auxiliary commands: guarded as far as that goes.

`nvr-guard` has no part in it: it holds descriptors, and this is a conversation. What is on is told
off by our timer, when the camera comes back, when whoever switched it on leaves, and at the end;
the client's worker (`nvr.link.lit`) does so too when this process dies or freezes. Told off in vain
it is told again until the camera has taken it, and counts as on meanwhile.

Source: ONVIF PTZ 23.06 section 5.9 and Core 23.06 section 8.6 (``tt:Wiper|On`` and the like).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.media import onvif_wish as wish

_log = logging.getLogger(__name__)

AGAIN_S: Final = 5.0
LAST_TRIES: Final = 3
LAST_AGAIN_S: Final = 1.0

Ask = Callable[[wish.Wish[Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class OnvifAux:
    """What a camera's own output is called.

    Attributes:
        on: Command that switches it on.
        off: Command that switches it off, or leaves it to the camera.
        max_on_s: Longest time on; switching on again while on does not extend it.
    """

    on: str
    off: str
    max_on_s: float


@dataclass(slots=True)
class _State:
    aux: OnvifAux
    wanted: bool = False
    told: bool | None = False
    """What the camera took last; None: it may be either."""
    been_on: bool = False
    cut: asyncio.TimerHandle | None = None
    telling: asyncio.Task[None] | None = None


class OnvifOutputs:
    """The outputs of one camera. Used in the event loop.

    Args:
        camera: Its name.
        ask: Asks it.
        outputs: By what they are here: ``wiper``, ``lamp``.
    """

    def __init__(self, camera: str, ask: Ask, outputs: Mapping[str, OnvifAux]) -> None:
        self._camera = camera
        self._ask = ask
        self._states = {name: _State(aux) for name, aux in outputs.items()}
        self._profile = ""
        self._last = False

    def lit(self, name: str) -> bool:
        """Whether it is on, or may be."""
        return self._find(name).told is not False

    def switch(self, name: str, on: bool) -> None:
        """Switch one.

        Raises:
            Rejected: ``ptz.unknown_output``.
            Unavailable: ``ptz.bus_down``: it is to go on, and the camera was not reached yet.
        """
        it = self._find(name)
        if on and (self._last or not self._profile):
            raise Unavailable("ptz.bus_down", "the camera cannot be reached", camera=self._camera)
        if on and not it.wanted and it.told is False:
            loop = asyncio.get_running_loop()
            it.cut = loop.call_later(it.aux.max_on_s, self._cut, name)
        it.wanted = on
        self._tell(it)

    def rest(self) -> None:
        """Have everything off that is not."""
        for it in self._states.values():
            if it.wanted or it.told is not False:
                it.wanted = False
                self._tell(it)

    def back(self, profile: str) -> None:
        """The camera is there, again: nobody knows what was on meanwhile.

        Args:
            profile: Token of the profile that is steered.
        """
        self._profile = profile
        for it in self._states.values():
            it.wanted, it.told = False, None
            self._tell(it)

    async def close(self) -> None:
        """Have everything off, and wait for that as long as it makes sense."""
        self._last = True
        self.rest()
        telling = [it.telling for it in self._states.values() if it.telling is not None]
        await asyncio.gather(*telling, return_exceptions=True)
        for it in self._states.values():
            if it.cut is not None:
                it.cut.cancel()

    def _find(self, name: str) -> _State:
        it = self._states.get(name)
        if it is None:
            raise Rejected("ptz.unknown_output", f"this camera has no {name} of its own")
        return it

    def _cut(self, name: str) -> None:
        event(_log, logging.INFO, "ptz.output_cut", head=self._camera, output=name)
        self.switch(name, False)

    def _tell(self, it: _State) -> None:
        if it.telling is None or it.telling.done():
            it.telling = asyncio.ensure_future(self._until_told(it))

    async def _until_told(self, it: _State) -> None:
        """Tell the camera what is wanted, the newest, until it has taken that."""
        failures = 0
        while it.told != it.wanted:
            wanted, aux = it.wanted, it.aux
            if wanted:
                asked = wish.Auxiliary(self._profile, aux.on, aux.off, aux.max_on_s)
            else:
                asked = wish.Auxiliary(self._profile, aux.off)
            it.told = None
            try:
                await self._ask(asked)
            except NvrError as err:
                failures += 1
                level = logging.WARNING if failures == 1 else logging.DEBUG
                event(
                    _log, level, "ptz.onvif_refused", camera=self._camera, command=asked.command,
                    error=str(err),
                )  # fmt: skip
                if wanted:
                    it.wanted = False  # nobody waits for a late "on"
                    continue
                if err.code == "onvif.unsupported" and not it.been_on:
                    it.told = False  # it has no such thing, so nothing is on
                    return
                if self._last and failures >= LAST_TRIES:
                    return
                await asyncio.sleep(LAST_AGAIN_S if self._last else AGAIN_S)
            else:
                failures = 0
                it.told, it.been_on = wanted, it.been_on or wanted
                if not wanted and it.cut is not None:
                    it.cut.cancel()
                    it.cut = None
