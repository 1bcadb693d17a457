"""Where an export goes: kept for a download, onto a stick, into a store."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from nvr.base.errors import NvrError
from nvr.export.whole import whole_file

Kind = Literal["download", "usb", "s3"]

SUMS = "SHA256SUMS.txt"
"""Lies beside the files of an export that went somewhere, for ``sha256sum -c``."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that is ready.

    Attributes:
        name: Its name.
        size_bytes: Its size.
        sha256: Hexadecimal SHA-256.
    """

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where an export may go.

    Attributes:
        name: What it is asked for by; empty for a download.
        kind: What it is.
        title: What people call it.
        file_system: Of a stick.
        size_bytes: How big it is, 0 if nobody knows.
        free_bytes: Room on it.
        most_file_bytes: The biggest file it takes, 0 if there is no limit worth naming.
    """

    name: str
    kind: Kind
    title: str = ""
    file_system: str = ""
    size_bytes: int = 0
    free_bytes: int = 0
    most_file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Away:
    """It cannot go on now, but perhaps later.

    Attributes:
        why: What is the matter.
        wait_s: Seconds until it is worth another try.
    """

    why: NvrError
    wait_s: float


Pieces = Iterable[tuple[bytes, float]]
"""Bytes of a file, with the share of all the writing that is done with them."""
Steps = Generator[float | Away, None, None]
"""The share of the work that is done, again and again. May be left and taken up again."""


class Out(Protocol):
    """Writes the files of one export; may take any time between two steps.

    Attributes:
        files: What is whole.
        place: Where they are, in words: a directory, an address.
        safe: Whether the medium may be pulled out; None if there is none to pull.
    """

    files: list[File]
    place: str
    safe: bool | None

    def write(self, name: str, pieces: Pieces) -> Steps:
        """Write one file.

        Raises:
            NvrError: It cannot be written.
            OSError: Likewise.
        """
        ...

    def finish(self, last: Callable[[], bool]) -> Steps:
        """Verify all of them and let go of the target.

        Args:
            last: Whether no other export is waiting for the same target.

        Raises:
            NvrError: They are not what was written.
        """
        ...

    def hurry(self) -> None:
        """End what blocks: somebody waits for it to stop; from any thread, never raises."""
        ...

    def give_up(self) -> None:
        """Remove what was written, unless it is finished; never raises."""
        ...


class Folder:
    """A directory of this box, from which the files are fetched. See `Out`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.files: list[File] = []
        self.place = ""
        self.safe: bool | None = None

    def write(self, name: str, pieces: Pieces) -> Steps:  # noqa: D102 - see Out
        whole = yield from whole_file(self._directory / name, pieces)
        self.files.append(File(name, whole.size_bytes, whole.sha256))

    def finish(self, last: Callable[[], bool]) -> Steps:  # noqa: ARG002, D102 - see Out
        yield 1.0

    def hurry(self) -> None:  # noqa: D102 - see Out
        return

    def give_up(self) -> None:  # noqa: D102 - see Out
        for file in self.files:
            (self._directory / file.name).unlink(missing_ok=True)
