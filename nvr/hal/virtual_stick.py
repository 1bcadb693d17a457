"""Simulated USB sticks: directories, one a stick, so that everybody can try them.

A directory ``STICK`` is a stick that is plugged in; ejected, it is renamed ``.STICK``. Renaming it
while it is written to pulls it out, renaming it back plugs it in again. They have FAT32's limit.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from nvr.hal.linux_stick import FAT_MOST_BYTES
from nvr.hal.ports import Stick, Unusable


class VirtualSticks:
    """See `Sticks`.

    Args:
        directory: Where they are; need not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def plug_in(self, names: Iterable[str]) -> None:
        """Have these sticks plugged in.

        Raises:
            OSError: They cannot be made.
        """
        for name in names:
            out = self._directory / f".{name}"
            if out.exists() and not (self._directory / name).exists():
                out.rename(self._directory / name)
            (self._directory / name).mkdir(parents=True, exist_ok=True)

    def found(self) -> list[Stick]:  # noqa: D102 - see Sticks
        try:
            names = sorted(one.name for one in os.scandir(self._directory) if one.is_dir())
            room = shutil.disk_usage(self._directory)
        except OSError:
            return []
        return [
            Stick(
                f"sim-{name}", f"{name} (simulated)", "fat32", self._directory / name,
                room.total, room.free, FAT_MOST_BYTES,
            )
            for name in names if not name.startswith(".")
        ]  # fmt: skip

    def unusable(self) -> list[Unusable]:  # noqa: D102 - see Sticks
        return []

    def eject(self, stick: Stick) -> bool:  # noqa: D102 - see Sticks
        out = stick.directory.with_name(f".{stick.directory.name}")
        shutil.rmtree(out, ignore_errors=True)
        stick.directory.rename(out)
        return True
