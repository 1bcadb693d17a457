"""The box as the time server of its cameras: there or not, while everything runs."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import tomlkit

from nvr.app.edit import Change
from nvr.base.clock import Clock
from nvr.config.model import Ntp
from nvr.media.camera import ClockState
from nvr.media.ntp import TimeServerState
from nvr.serve.ntp import TimeServer, standing_of


class BoxTimeServer:
    """See `nvr.media.ntp.TimeService`.

    Args:
        settings: As the file says.
        write: Changes the file, for good.
        clock: Whose wall time is told.
        trust: How far that can be trusted.
    """

    def __init__(
        self,
        settings: Ntp,
        write: Callable[[Change], Awaitable[None]],
        clock: Clock,
        trust: Callable[[], ClockState],
    ) -> None:
        self._settings, self._write, self._clock, self._trust = settings, write, clock, trust
        self._server = TimeServer(clock, trust)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Be there or not, as the settings say, until cancelled."""
        while True:
            self._changed.clear()
            self._server = TimeServer(self._clock, self._trust)
            settings, serving = self._settings, None
            if settings.on:
                serving = asyncio.create_task(self._server.run(settings.host, settings.port))
            try:
                await self._changed.wait()
            finally:
                if serving is not None:
                    serving.cancel()
                    await asyncio.gather(serving, return_exceptions=True)

    def state(self) -> TimeServerState:  # noqa: D102 - see TimeService
        return TimeServerState(
            self._settings.on,
            self._settings.port,
            self._server.listening,
            standing_of(self._trust(), self._clock.wall_us()).stratum,
            self._server.fault,
            self._server.askers,
        )

    async def write(self, *, on: bool) -> None:  # noqa: D102 - see TimeService
        await self._write(_switched(on))
        self._settings = msgspec.structs.replace(self._settings, on=on)
        self._changed.set()


def _switched(on: bool) -> Change:
    def change(document: tomlkit.TOMLDocument) -> None:
        document.setdefault("ntp", tomlkit.table())["on"] = on

    return change
