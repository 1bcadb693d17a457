"""An export that somebody asks for, as it stands, and what makes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from nvr.export.out import File

Form = Literal["mp4", "ps", "evidence"]
Streams = Literal["main", "sub", "both"]
State = Literal["queued", "running", "waiting", "paused", "done", "failed"]
UNFINISHED: frozenset[State] = frozenset(("queued", "running", "waiting", "paused"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for.

    Attributes:
        form: ``mp4`` or ``ps``, a file a camera, or ``evidence``, one zip.
        cameras: Names.
        from_us: UTC microseconds of the first picture.
        to_us: UTC microseconds after the last.
        by: Account.
        everything: All rows of the log about the cameras belong to the evidence.
        target: Where to. See `Target`.
        most_file_bytes: The biggest file it takes there, 0 if there is no limit worth naming.
        streams: Which of each camera's.
        captions: The caption is burned into the pictures of an MP4.
        masks: What is masked is hidden in the pictures of an MP4.
    """

    form: Form
    cameras: tuple[str, ...]
    from_us: int
    to_us: int
    by: str
    everything: bool = False
    target: str = ""
    most_file_bytes: int = 0
    streams: Streams = "main"
    captions: bool = False
    masks: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """An export, as it stands.

    Attributes:
        number: Its number.
        wanted: What is made.
        state: How it stands.
        share: Share of the work that is done, 0 to 1.
        written_bytes: Written so far.
        size_bytes: About how much it will be.
        worked_s: Seconds it has been worked on.
        made_us: UTC microseconds when it was asked for.
        code: Error code if it failed, or of what it waits for.
        detail: The same in words.
        files: What is ready.
        place: Where that is, in words; empty for a download.
        safe: Whether the stick may be pulled out; None if there is none to pull.
        missing: Characters of captions that the font does not have.
    """

    number: int
    wanted: Wanted
    state: State
    share: float
    written_bytes: int
    size_bytes: int
    worked_s: float
    made_us: int
    code: str = ""
    detail: str = ""
    files: tuple[File, ...] = ()
    place: str = ""
    safe: bool | None = None
    missing: str = ""


class Make(Protocol):
    """Makes exports; calls block on the disk. See `nvr.app.exporter.Exporter`."""

    def size_bytes(self, wanted: Wanted) -> int:
        """About how big it will be; 0 if nothing is recorded."""
        ...

    def missing(self, wanted: Wanted) -> str:
        """Characters of captions that the font does not have."""
        ...

    def files(self, wanted: Wanted) -> Iterator[tuple[str, Iterator[tuple[bytes, float]]]]:
        """Name and pieces of each file, with the share of all the work that is done."""
        ...
