"""Watches how fast the disks of the box are worn, over restarts, and says when one is nearly done.

Once a minute it looks; once an hour it keeps what it knows on the system's disk, which is worn by
that as well.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.config import load as config
from nvr.hal.block_device import PROC, SYS, BlockDevice, boot, under
from nvr.record.wear import DiskWear, Watched, looked, report

_log = logging.getLogger(__name__)

LOOK_S = 60.0
SAVE_S = 3600.0
_NAME = "wear.json"
_MOST_DISKS = 16
"""Of disks that come and go, those looked at last are remembered."""


class Wear:
    """The watch.

    Args:
        data: Data directory, on the system's disk.
        volumes: Directories of the volumes.
        clock: Time source.
        recorded_bytes: How much was recorded on each since the box was started.
        sys: Where sysfs is.
        proc: Where procfs is.
    """

    def __init__(
        self,
        data: Path,
        volumes: Sequence[Path],
        clock: Clock,
        recorded_bytes: Callable[[], Sequence[int]] = tuple,
        *,
        sys: Path = SYS,
        proc: Path = PROC,
    ) -> None:
        self._data = data
        self._volumes = volumes
        self._clock = clock
        self._recorded_bytes = recorded_bytes
        self._sys, self._proc = sys, proc
        self._boot = boot(proc)
        self._watched = load(data)
        self._recorded = recorded_bytes()
        self._saved_s = clock.monotonic_s()
        self._said: set[tuple[str, str]] = set()
        self._report: tuple[DiskWear, ...] = ()

    def report(self) -> tuple[DiskWear, ...]:
        """The disks as last looked at, the volumes' first."""
        return self._report

    def warnings(self) -> list[NvrError]:
        """What a person should see to."""
        return [
            Unavailable(
                "disk.worn",
                f"{disk.name} says that its life is nearly over",
                disk=disk.name,
                uses="+".join(disk.uses),
            )
            for disk in self._report
            if disk.worn
        ]

    async def run(self) -> None:
        """Look once a minute until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await self._clock.sleep(LOOK_S)

    def look(self) -> None:
        """Look at the disks; blocks."""
        now_s = self._clock.monotonic_s()
        totals = self._recorded_bytes()
        recorded = [now - before for now, before in zip(totals, self._recorded, strict=True)]
        self._recorded = totals
        places = [under(each, sys=self._sys, proc=self._proc) for each in self._volumes]
        found = []
        for disk, uses in disks(self._data, self._volumes, sys=self._sys, proc=self._proc):
            on_it = [any(one.name == disk.name for one in place) for place in places]
            ours = sum(size for size, here in zip(recorded, on_it, strict=False) if here)
            watched = looked(self._watched.pop(disk.ident, None), disk, self._boot, now_s, ours)
            self._watched[disk.ident] = watched
            found.append(report(disk, watched, uses))
        self._report = tuple(found)
        for each in found:
            self._tell(each)
        while len(self._watched) > _MOST_DISKS:
            del self._watched[next(iter(self._watched))]
        if now_s - self._saved_s >= SAVE_S:
            self.save()

    def _tell(self, disk: DiskWear) -> None:
        what = disk.name, f"{disk.pre_eol} {disk.life_percent}"
        if disk.worn and what not in self._said:
            self._said.add(what)
            event(
                _log,
                logging.WARNING,
                "wear.nearly_over",
                disk=disk.name,
                uses="+".join(disk.uses),
                model=disk.model,
                pre_eol=disk.pre_eol,
                life_percent=disk.life_percent,
            )

    def save(self) -> None:
        """Keep what is known; blocks."""
        self._saved_s = self._clock.monotonic_s()
        try:
            config.write(self._data / _NAME, msgspec.json.encode(self._watched).decode())
        except Unavailable as err:
            event(_log, logging.WARNING, "wear.unsaved", error=str(err))


def load(data: Path) -> dict[str, Watched]:
    """Return what a data directory knows of disks, nothing if it cannot be read."""
    try:
        return msgspec.json.decode((data / _NAME).read_bytes(), type=dict[str, Watched])
    except (OSError, msgspec.MsgspecError):
        return {}


def disks(
    data: Path, volumes: Sequence[Path], *, sys: Path = SYS, proc: Path = PROC
) -> list[tuple[BlockDevice, tuple[str, ...]]]:
    """Return the disks of the volumes and of the system, and which they are."""
    found: dict[str, tuple[BlockDevice, tuple[str, ...]]] = {}
    for use, directory in (*(("volume", each) for each in volumes), ("system", data)):
        for disk in under(directory, sys=sys, proc=proc):
            _, uses = found.get(disk.name, (disk, ()))
            found[disk.name] = disk, uses if use in uses else (*uses, use)
    return list(found.values())
