"""The devices of a box as the rest of the code sees them; `hal` alone opens them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class SerialPort(Protocol):
    """A serial line with one owner.

    Attributes:
        rts: RTS must be raised around each write: who holds a duplicate of the descriptor has
            to do the same (`nvr.hal.raw.write_frame`).
    """

    rts: bool

    def fileno(self) -> int:
        """File descriptor, for `select` and for the guard's duplicate."""
        ...

    def write(self, data: bytes) -> None:
        """Write all of `data`; blocks until the kernel took it.

        Raises:
            Unavailable: ``serial.gone``: the adapter was pulled.
        """
        ...

    def read(self, timeout_s: float) -> bytes:
        """Return what arrived within `timeout_s`, possibly nothing.

        Raises:
            Unavailable: ``serial.gone``.
        """
        ...

    def close(self) -> None:
        """Give the line back."""
        ...


class Output(Protocol):
    """A switching output: relay, wiper, lamp."""

    def set(self, on: bool) -> None:
        """Drive the output; True is the active state whatever the polarity.

        Raises:
            Unavailable: ``gpio.gone``.
        """
        ...

    def get(self) -> bool:
        """Level last driven."""
        ...

    def way(self) -> "Way | None":
        """How another process can drive it when this one cannot; None if there is no way."""
        ...

    def close(self) -> None:
        """Give the line back, as it is."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """A kernel line, driven through a duplicate of `fd` (`nvr.hal.raw.drive_line`)."""

    fd: int


@dataclass(frozen=True, slots=True)
class Relay:
    """A simulated output behind the unix socket `path`, which outlives the recorder."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A kernel line that only this process can drive; once it is gone, whoever requests it can.

    Attributes:
        chip: Device of the chip.
        line: Offset on it.
    """

    chip: str
    line: int


Way = Line | Relay | Claim


@dataclass(frozen=True, slots=True)
class Edge:
    """A new level of an input.

    Attributes:
        level: As its lines make it, see `nvr.hal.board_gpio`.
        at_s: Monotonic seconds of the edge, by the kernel where it says so.
        missed: Edges before it that the kernel could not keep.
    """

    level: int
    at_s: float
    missed: int = 0


class Contact(Protocol):
    """An input of the box."""

    def fileno(self) -> int:
        """Readable when something changed; -1: it has to be asked."""
        ...

    def level(self) -> int:
        """Level now.

        Raises:
            Unavailable: ``gpio.gone``.
        """
        ...

    def edges(self) -> Sequence[Edge]:
        """What changed since this was last asked, at most some dozens; never waits.

        Raises:
            Unavailable: ``gpio.gone``.
        """
        ...

    def close(self) -> None:
        """Give the lines back."""
        ...


class WatchdogDevice(Protocol):
    """Restarts the box unless it is fed."""

    timeout_s: float
    """Without food for so long; as the hardware rounded it."""
    was_reset: bool
    """The last start of the box was its doing."""

    def feed(self) -> None:
        """Give it time.

        Raises:
            OSError: It is gone.
        """
        ...

    def close(self, *, disarm: bool) -> None:
        """Let go of it; without `disarm` it restarts the box after its time."""
        ...


class Guard(Protocol):
    """The process that stops heads and makes outputs safe when this one cannot.

    Every method may be called from any thread and returns at once.
    """

    def serial(self, bus: str, fd: int, gap_s: float, *, rts: bool) -> None:
        """Give it a duplicate of a bus's descriptor, in place of an earlier one."""
        ...

    def forget(self, bus: str) -> None:
        """Let it close its duplicate: the port is about to be closed."""
        ...

    def output(self, name: str, way: Way, *, safe: bool) -> None:
        """Let it drive an output to `safe` when something happens to us."""
        ...

    def beat(
        self,
        who: str,
        stops: Sequence[bytes] = (),
        *,
        offs: Sequence[bytes] = (),
        on: bool = False,
    ) -> None:
        """Tell that thread `who` lives, and what to do if it no longer does.

        Args:
            who: The thread: a bus's name, or ``outputs``.
            stops: STOP frames of the heads of this bus that may be moving.
            offs: Frames that switch off the auxiliaries of this bus's heads that may be on.
            on: An output is away from its safe level. With none of these no next beat is
                expected; otherwise one must come every 100 ms.
        """
        ...

    def took_over(self, who: str) -> bool:
        """Whether it acted for thread `who` since this was last asked."""
        ...

    def ready(self) -> bool:
        """Whether it is there and answers; nothing may move while it does not."""
        ...


class Disk(Protocol):
    """All the file operations the ring uses, so that a test can cut the power at any of them.

    Paths are relative to the volume's directory. Every method may raise `OSError`.
    """

    def create(self, path: str, size: int) -> None:
        """Allocate a file of `size` bytes (contents undefined until zeroed or written).

        One that is smaller is made larger, and keeps what it holds; its new size is durable with
        the next flush of the file.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file and give its room back; not durable before `sync_directory`.

        Raises:
            FileNotFoundError: It is not there.
        """
        ...

    def pread(self, path: str, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        ...

    def pwrite(
        self, path: str, pieces: Sequence[bytes | bytearray | memoryview], offset: int
    ) -> None:
        """Write all of `pieces` one after another at `offset`."""
        ...

    def zero(self, path: str, size: int, offset: int) -> None:
        """Write zeroes, not durable before `flush`, and leave none of them in the page cache.

        Args:
            path: The file.
            size: How many, a multiple of 4096.
            offset: Where, a multiple of 4096.
        """
        ...

    def flush(self, ranges: Sequence[tuple[str, int, int]], *, written_before: bool) -> None:
        """Make ``(path, offset, size)`` ranges durable, all with as few flushes as are safe.

        After an error the pages of `ranges` are lost: flushing them again may say they are
        durable when they are not. Write them again, elsewhere.

        Args:
            ranges: What to make durable.
            written_before: Every range was made durable once before, so the file system need
                not remember anything new. Only then may one flush stand for many files.
        """
        ...

    def drop_cache(self, path: str) -> None:
        """Forget cached pages of a file, so that the next read tells what the medium holds."""
        ...

    def lock(self) -> None:
        """Keep other processes off the volume for as long as this object lives.

        Raises:
            Unavailable: ``volume.busy``: another process has it.
        """
        ...

    def close(self) -> None:
        """Give descriptors and the lock back."""
        ...

    def sync_directory(self) -> None:
        """Make creations and removals durable."""
        ...

    def listing(self) -> list[tuple[str, int]]:
        """Names and sizes of the files present."""
        ...

    def refused(self) -> tuple[int, str]:
        """How often it refused to read, write or flush, and what it said last."""
        ...

    def free_bytes(self) -> int:
        """Room for new files."""
        ...


@dataclass(frozen=True, slots=True)
class Stick:
    """A USB stick that is plugged in and mounted.

    Attributes:
        name: What tells it from others now: the kernel's name of its partition.
        title: What people call it: its label, its model.
        file_system: ``vfat``, ``exfat``, ``ext4``.
        directory: Where it is mounted.
        size_bytes: Its size.
        free_bytes: Room for new files.
        most_file_bytes: The biggest file it can hold, 0 if there is no limit worth naming.
        disk: Device of the whole of it, empty if it has none.
    """

    name: str
    title: str
    file_system: str
    directory: Path
    size_bytes: int
    free_bytes: int
    most_file_bytes: int = 0
    disk: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A USB stick that is plugged in, but cannot be written to.

    Attributes:
        title: What people call it.
        code: ``usb.unmounted``, ``usb.read_only`` or ``usb.volume``: it holds one.
    """

    title: str
    code: str


class Sticks(Protocol):
    """The USB sticks of a box; may be called from any thread."""

    def found(self) -> list[Stick]:
        """Those that may be written to: never a disk of the system's or with a volume on it."""
        ...

    def unusable(self) -> list[Unusable]:
        """Those that may not, and why; nothing of disks that are the system's or ours."""
        ...

    def eject(self, stick: Stick) -> bool:
        """Write out what is left and unmount; returns whether it may be pulled out.

        Raises:
            OSError: What was left could not be written.
        """
        ...
