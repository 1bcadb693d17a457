"""Speaking through cameras: who does, and which of them can be spoken through."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.capture.rtsp import Caller
from nvr.capture.talk import mouth
from nvr.media.talk import Talker, Voice

REMEMBERED_S = 600.0
_PROBES = 2


class CameraTalks:
    """The loudspeakers of the cameras. See `nvr.media.talk.Talks`.

    Args:
        caller: Who opens a connection to a camera, None to one that is not on the network; raises
            ``camera.unknown``.
        clock: Time source.
    """

    def __init__(self, caller: Callable[[str], Caller | None], clock: Clock) -> None:
        self._caller = caller
        self._clock = clock
        self._talkers: dict[str, Talker] = {}
        self._known: dict[str, tuple[str, bool, float]] = {}
        self._probing = asyncio.Semaphore(_PROBES)

    def talker(self, camera: str) -> Talker | None:  # noqa: D102 - see Talks
        return self._talkers.get(camera)

    async def takes(self, camera: str) -> bool:  # noqa: D102 - see Talks
        caller = self._caller(camera)
        if caller is None:
            return False
        if camera in self._talkers:
            return True
        url, takes, asked_s = self._known.get(camera, ("", False, 0.0))
        if url == caller.url and self._clock.monotonic_s() - asked_s < REMEMBERED_S:
            return takes
        async with self._probing:
            try:
                async with mouth(caller, self._clock):
                    takes = True
            except NvrError as err:
                if err.code != "talk.unsupported":
                    return False  # not known: it is asked again
                takes = False
        self._known[camera] = (caller.url, takes, self._clock.monotonic_s())
        return takes

    def speak(self, camera: str, who: str, source: str) -> AbstractAsyncContextManager[Voice]:
        """See `nvr.media.talk.Talks.speak`."""
        return self._speak(camera, who, source)

    @asynccontextmanager
    async def _speak(self, camera: str, who: str, source: str) -> AsyncIterator[Voice]:
        caller = self._caller(camera)
        if caller is None:
            raise Rejected("talk.unsupported", "it is not a network camera", camera=camera)
        if other := self._talkers.get(camera):
            raise Rejected("talk.busy", f"{other.name} speaks now", camera=camera, by=other.name)
        self._talkers[camera] = Talker(who, source, self._clock.wall_us())
        try:
            async with mouth(caller, self._clock) as voice:
                self._known[camera] = (caller.url, True, self._clock.monotonic_s())
                yield voice
        finally:
            del self._talkers[camera]
