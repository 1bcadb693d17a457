"""What is wrong with the box while it records all the same: what a person should see to.

A disk dies slowly: it refuses a sector now and then, takes its time, and one day it is gone. And
the disk of the system, where configuration, accounts and the audit log are, fills up.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from nvr.app import reserve
from nvr.app.volumes import Volumes
from nvr.app.wear import Wear
from nvr.auth.audit import Audit
from nvr.base.clock import Clock, beat
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event

_log = logging.getLogger(__name__)

LOOK_S = 2.0
LOW_BYTES = 32 << 20
"""Days of audit log and configuration; of a disk smaller than twenty times that, a twentieth."""
SHOWN_S = 24 * 3600.0
"""So long it is shown that a disk refused something: whoever looks once a day sees it."""


class Health:
    """Looks at the disks every two seconds.

    Args:
        data: Data directory.
        volumes: The volumes.
        audit: The audit log.
        clock: Time source.
        wear: How the disks are worn.
        key: Why the box's key cannot be used, if a TPM keeps it.
    """

    def __init__(
        self,
        data: Path,
        volumes: Volumes,
        audit: Audit,
        clock: Clock,
        wear: Wear,
        key: Callable[[], NvrError | None],
    ) -> None:
        self.wear = wear
        self._key = key
        self._data = data
        self._volumes = volumes
        self._audit = audit
        self._clock = clock
        self._left_bytes: int | None = None
        self._refused = 0
        self._refused_s = 0.0
        self.also: list[Callable[[], list[NvrError]]] = []
        """Whoever else knows of something a person should see to."""

    def warnings(self) -> list[NvrError]:
        """What a person should see to, the worst first."""
        return [*self._of_disks(), *(one for more in self.also for one in more())]

    def _of_disks(self) -> list[NvrError]:
        found: list[NvrError] = []
        if self._left_bytes is not None:
            left_mib = self._left_bytes >> 20
            detail = f"the system's disk is nearly full, {left_mib} MiB are left"
            found.append(Unavailable("data.full", detail, left_mib=left_mib))
        elif self._audit.failing:
            found.append(Unavailable("state.unwritable", "the audit log cannot be written"))
        if self._refused and self._clock.monotonic_s() - self._refused_s < SHOWN_S:
            detail = f"the disk refused to read or write {self._refused} times"
            found.append(Unavailable("volume.failing", detail, times=self._refused))
        if self._volumes.damaged:
            detail = f"{self._volumes.damaged} parts of the archive have wrong bytes"
            found.append(Unavailable("volume.decaying", detail, parts=self._volumes.damaged))
        if unread := self._volumes.unread:
            percent = max(1, round(100 * unread))
            detail = f"{percent} % of the disk are still to be looked through for recordings"
            found.append(Unavailable("volume.unread", detail, percent=percent))
        if aside := self._volumes.aside:
            detail = f"{aside} blocks that the disk refused are not used any more"
            found.append(Unavailable("volume.blocks_aside", detail, blocks=aside))
        if (size := self._volumes.size_warning()) is not None:
            found.append(size)
        found += self._fallbacks()
        found += self.wear.warnings()
        if self._volumes.slow:
            found.append(Unavailable("volume.slow", "the disk takes longer than the cameras"))
        locked = self._key()
        if locked is not None:
            found.append(locked)
        return found

    def _fallbacks(self) -> list[NvrError]:
        """What is wrong with volumes that are not recorded on now."""
        found: list[NvrError] = []
        now = self._volumes.vault
        for vault in self._volumes.all:
            code = vault.fault.code if vault.fault else ""
            if vault is now or now.fault:
                continue  # recorded on, or worse is said of the box
            if vault is self._volumes.all[0]:
                detail = f"recording goes on on {now.name}, not on {vault.name}"
                context = {"volume": now.name, "first": vault.name, "cause": code}
                found.append(Unavailable("volume.fallen_back", detail, **context))
            elif not vault.healthy:
                detail = f"{vault.name}, to be recorded on if another fails, cannot be used"
                context = {"volume": vault.name, "cause": code}
                found.append(Unavailable("volume.no_fallback", detail, **context))
        return found

    async def run(self) -> None:
        """Look for as long as the box runs."""
        while True:
            self.look(await asyncio.to_thread(_kept_free, self._data))
            await beat(self._clock, LOOK_S)

    def look(self, left: int | None) -> None:
        """Take note of what changed.

        Args:
            left: Bytes left on the system's disk if that is too few, else None.
        """
        if (left is None) != (self._left_bytes is None):
            if left is not None:
                event(_log, logging.WARNING, "data.full", left_bytes=left)
            else:
                event(_log, logging.INFO, "data.has_room")
        self._left_bytes = left
        refused, last = self._volumes.refused
        if refused > self._refused:
            now_s = self._clock.monotonic_s()
            new = not self._refused or now_s - self._refused_s >= SHOWN_S
            level = logging.WARNING if new else logging.DEBUG
            event(_log, level, "record.disk_refused", times=refused, last=last)
            self._refused, self._refused_s = refused, now_s


def _kept_free(data: Path) -> int | None:
    """Keep the reserve while there is room for it; returns as `left_bytes`."""
    left = left_bytes(data)
    if left is None:
        reserve.keep(data)
    return left


def left_bytes(data: Path) -> int | None:
    """Bytes left on the disk of `data` if those are too few, else None."""
    try:
        disk = os.statvfs(data)
    except OSError:
        return None
    left = disk.f_bavail * disk.f_frsize
    return left if left < min(LOW_BYTES, disk.f_blocks * disk.f_frsize // 20) else None
