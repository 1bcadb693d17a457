"""What keeps recordings: the keys, the volumes, their wear and their health."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from nvr.app.cameras import CameraTable
from nvr.app.data import DataDirectory
from nvr.app.health import Health
from nvr.app.keydesk import KeyDesk
from nvr.app.keyring import Keyring
from nvr.app.promises import Promises
from nvr.app.volumes import Volumes
from nvr.app.wear import Wear
from nvr.auth.audit import Audit
from nvr.base.clock import Clock
from nvr.config.model import Config

_GIVE_WAY_S = 0.5
"""What can wait does, while the disk lags by so much behind what is recorded."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What keeps recordings, open."""

    keyring: Keyring
    keys: KeyDesk
    volumes: Volumes
    wear: Wear
    health: Health
    clock: Clock

    def busy(self) -> bool:
        """Whether work that can wait should."""
        return self.volumes.behind_s() > _GIVE_WAY_S

    def start(self, group: asyncio.TaskGroup) -> None:
        """Look after it, in tasks of `group`'s."""
        group.create_task(self.volumes.run())
        group.create_task(self.keys.run())
        group.create_task(self.health.run())
        group.create_task(self.wear.run())
        group.create_task(Promises(self.volumes.holdings, self.clock).run())


async def open_storage(
    stack: contextlib.ExitStack,
    data: DataDirectory,
    config: Config,
    cameras: CameraTable,
    audit: Audit,
    clock: Clock,
) -> Storage:
    """Unlock what can be, and open the volumes; `stack` closes them.

    A volume that is away, foreign or broken is no error: `Storage.volumes` says so.
    """
    keyring = await asyncio.to_thread(Keyring, data.path, make=True, device=Path(config.volume.tpm))
    await asyncio.to_thread(keyring.unlock_at_start)
    configured = [config.volume, *config.spare]
    volumes = Volumes(
        data.path,
        configured,
        clock,
        acknowledged=cameras.intake.acknowledged,
        priority=cameras.intake.priority,
        terms=cameras.intake.terms,
        sealing=lambda seal: keyring.sealing(seal=seal),
        died=_die,
        streams=cameras.streams,
    )
    await asyncio.to_thread(volumes.open)
    stack.callback(volumes.close)
    wear = Wear(
        data.path,
        [vault.directory for vault in volumes.all],
        clock,
        lambda: [vault.recorded_bytes for vault in volumes.all],
    )
    stack.callback(wear.save)
    health = Health(data.path, volumes, audit, clock, wear, lambda: keyring.refused)
    seals = any(volume.seal for volume in configured)
    keys = KeyDesk(keyring, volumes.stores, clock, seals=seals)
    return Storage(keyring, keys, volumes, wear, health, clock)


def _die() -> None:
    """The disk writer is gone: nothing is recorded any more, so let systemd start us afresh."""
    os.kill(os.getpid(), signal.SIGKILL)
