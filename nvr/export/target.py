"""What an export can be sent to now, and the way there.

A download is always there, and so is the store if one is configured; sticks come and go.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from nvr.base.errors import Rejected
from nvr.export.out import Folder, Out, Target
from nvr.export.room import SPARE_BYTES, check_room
from nvr.export.s3 import MOST_OBJECT_BYTES, Bucket, StoreOut
from nvr.export.usb import StickOut
from nvr.hal.ports import Stick, Sticks, Unusable

DOWNLOAD = Target("", "download")
STORE = "s3"
_STICK_SPARE_BYTES = 1 << 20
"""For the tables of the file system."""


class Targets(Protocol):
    """Where exports can go; may be called from any thread. See `AllTargets`."""

    def all(self) -> list[Target]:
        """What there is now; the download is the first."""
        ...

    def unusable(self) -> list[Unusable]:
        """Sticks that are plugged in, but cannot be written to, and why."""
        ...

    def find(self, name: str) -> Target:
        """Return one.

        Raises:
            Rejected: ``export.no_target``.
        """
        ...

    def check_room(self, target: Target, directory: Path, size_bytes: int) -> None:
        """Check that so much fits, in `directory` where it is a download.

        Raises:
            Unavailable: ``export.no_room``, ``export.unwritable``.
        """
        ...

    def tidy(self) -> None:
        """End what was left unfinished somewhere; called now and then, never raises."""
        ...

    def open(self, target: str, directory: Path, made_us: int, size_bytes: int) -> Out:
        """Begin an export.

        Args:
            target: Its name.
            directory: Where to keep what belongs to the export.
            made_us: UTC microseconds when it was asked for.
            size_bytes: About how big it will be.

        Raises:
            NvrError: Why it cannot be begun.
        """
        ...


class AllTargets:
    """See `Targets`.

    Args:
        sticks: Those who find USB sticks.
        bucket: The store, if there is one.
    """

    def __init__(self, sticks: Sequence[Sticks] = (), bucket: Bucket | None = None) -> None:
        self._sticks = sticks
        self._bucket = bucket

    def all(self) -> list[Target]:  # noqa: D102 - see Targets
        found = [DOWNLOAD, *(_of(stick) for _, stick in self._found())]
        if self._bucket is not None:
            title = str(self._bucket.place)
            found.append(Target(STORE, "s3", title, most_file_bytes=MOST_OBJECT_BYTES))
        return found

    def unusable(self) -> list[Unusable]:  # noqa: D102 - see Targets
        return [stick for one in self._sticks for stick in one.unusable()]

    def tidy(self) -> None:  # noqa: D102 - see Targets
        if self._bucket is not None:
            self._bucket.notes.tidy(self._bucket.store)

    def find(self, name: str) -> Target:  # noqa: D102 - see Targets
        for target in self.all() if name else [DOWNLOAD]:
            if target.name == name:
                return target
        raise Rejected("export.no_target", "there is no such stick or store now", target=name)

    def check_room(self, target: Target, directory: Path, size_bytes: int) -> None:  # noqa: D102 - see Targets
        if target.kind == "download":
            check_room(directory, size_bytes, SPARE_BYTES)
        elif target.kind == "usb":
            _, stick = self._stick(target.name)
            check_room(stick.directory, size_bytes, _STICK_SPARE_BYTES)

    def open(self, target: str, directory: Path, made_us: int, size_bytes: int) -> Out:  # noqa: D102 - see Targets
        if not target:
            return Folder(directory)
        at = time.strftime("%Y%m%d-%H%M%S", time.localtime(made_us / 1e6))
        if target == STORE and self._bucket is not None:
            folder = f"{at}-{directory.name}"
            return StoreOut(self._bucket.store(), folder, self._bucket.notes, size_bytes)
        sticks, stick = self._stick(target)
        check_room(stick.directory, size_bytes, _STICK_SPARE_BYTES)
        return StickOut(sticks, stick, f"nvr-export-{at}")

    def _found(self) -> list[tuple[Sticks, Stick]]:
        return [(one, stick) for one in self._sticks for stick in one.found()]

    def _stick(self, name: str) -> tuple[Sticks, Stick]:
        for sticks, stick in self._found():
            if _of(stick).name == name:
                return sticks, stick
        raise Rejected("export.no_target", "there is no such stick or store now", target=name)


def _of(stick: Stick) -> Target:
    return Target(
        f"usb:{stick.name}", "usb", stick.title, stick.file_system,
        stick.size_bytes, stick.free_bytes, stick.most_file_bytes,
    )  # fmt: skip
