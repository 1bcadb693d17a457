"""Pictures of presets: taken a moment after the head stands there, kept beside their names."""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.base.file import replace_file
from nvr.base.log import event
from nvr.media.name import stream_of
from nvr.media.ports import Ptz

_log = logging.getLogger(__name__)

DIRECTORY = "presets"
WIDTH_PX = 320
SET_S = 0.5
"""After a preset was stored: the head stands there."""
CALL_S = 7.0
"""After one was called: the way there, and the focus."""
FRESH_US = 24 * 3600 * 1_000_000
"""A tour calls a preset a thousand times a day; its picture is taken anew once."""

Snapshot = Callable[[str, str, int], Awaitable[tuple[bytes, int]]]
"""See `nvr.media.analyse.Looks.snapshot`."""


class Shots:
    """Takes and keeps them.

    Args:
        data: The data directory.
        ptz: The heads.
        snapshot: Takes a picture.
        pictured: Told the camera, the preset and when its picture was taken.
        clock: Time source.
    """

    def __init__(
        self,
        data: Path,
        ptz: Ptz,
        snapshot: Snapshot,
        pictured: Callable[[str, int, int], None],
        clock: Clock,
    ) -> None:
        self._directory = data / DIRECTORY
        self._ptz, self._snapshot, self._pictured, self._clock = ptz, snapshot, pictured, clock
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def told(self, camera: str, do: str, number: int) -> None:
        """A head was sent somewhere or moved: ``call``, ``set``, ``clear``, ``move``."""
        waiting = self._waiting.pop(camera, None)
        if waiting is not None:
            waiting.cancel()
        if do == "clear":
            self._path(camera, number).unlink(missing_ok=True)
        if do not in {"call", "set"} or (do == "call" and self._fresh(camera, number)):
            return
        wait_s = SET_S if do == "set" else CALL_S
        self._waiting[camera] = asyncio.create_task(self._take(camera, number, wait_s))

    def picture(self, camera: str, number: int) -> bytes | None:
        """Return the JPEG of a preset, None if there is none; blocks."""
        try:
            return self._path(camera, number).read_bytes()
        except OSError:
            return None

    def forget(self, camera: str) -> None:
        """A camera is no more; blocks."""
        shutil.rmtree(self._directory / camera, ignore_errors=True)

    async def aclose(self) -> None:
        """Take no more."""
        waiting = list(self._waiting.values())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _fresh(self, camera: str, number: int) -> bool:
        presets = self._ptz.status(camera).presets
        at_us = next((one.pictured_us for one in presets if one.number == number), 0)
        return 0 <= self._clock.wall_us() - at_us < FRESH_US

    async def _take(self, camera: str, number: int, wait_s: float) -> None:
        await self._clock.sleep(wait_s)
        try:
            jpeg, at_us = await self._snapshot(camera, stream_of(camera), WIDTH_PX)
            await asyncio.to_thread(self._keep, self._path(camera, number), jpeg)
        except (NvrError, OSError) as err:
            event(_log, logging.DEBUG, "ptz.not_pictured", camera=camera, error=str(err))
            return
        self._pictured(camera, number, at_us)

    def _keep(self, path: Path, jpeg: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, jpeg)

    def _path(self, camera: str, number: int) -> Path:
        return self._directory / camera / f"{number}.jpg"
