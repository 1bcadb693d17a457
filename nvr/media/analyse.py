"""Looking at a camera's pictures as the page knows it; `app` implements the port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nvr.media.happening import Kind, Trouble

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """A part of the picture.

    Attributes:
        name: What people call it.
        points_permille: Its corners, thousandths of the picture's width and height.
        sensitivity: 1 to 10, 0 for the camera's.
        ignore: What moves there is nothing.
    """

    name: str
    points_permille: tuple[Point, ...]
    sensitivity: int = 0
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class ObjectSettings:
    """See ``[camera.analyse.objects]`` of the configuration.

    Attributes:
        on: They are looked for.
        purpose: What for.
        who: May use what is found.
        until: The last day of it, ``2027-06-30``.
        classes: Which, by the model's own words.
        sure_permille: How sure the model must be.
        every_keys: Of so many key frames one is searched though nothing moves; 0: none.
    """

    on: bool
    purpose: str
    who: str
    until: str
    classes: tuple[str, ...]
    sure_permille: int
    every_keys: int = 0


@dataclass(frozen=True, slots=True)
class DetectorState:
    """What finds objects, for all cameras.

    Attributes:
        code: Why nothing does: ``objects.no_model``, ``objects.no_runtime``, ``objects.model``;
            empty if something does.
        detail: More of that.
        layout: See `nvr.analyse.layout`; empty if that is only known when it runs.
        labels: Of its classes, as far as they are known.
        per_s: Most searches a second.
        cpu_percent: Most processor time they may take.
    """

    code: str
    detail: str = ""
    layout: str = ""
    labels: tuple[str, ...] = ()
    per_s: float = 0.0
    cpu_percent: int = 0


@dataclass(frozen=True, slots=True)
class AnalyseSettings:
    """See ``[camera.analyse]`` of the configuration.

    Attributes:
        on: It is looked at.
        purpose: What motion is looked for.
        motion: Motion is looked for.
        sensitivity: 1 to 10.
        zones: Where; the whole picture if all of them are to be ignored.
        health: What of the picture's health is watched.
        record_on: What is an event for the plan.
        keep_h: Hours events are kept, 0 for as long as recordings are.
        objects: Which objects are looked for, None if never any were.
    """

    on: bool
    purpose: str
    motion: bool
    sensitivity: int
    zones: tuple[ZoneSettings, ...]
    health: tuple[Trouble, ...]
    record_on: tuple[Kind, ...]
    keep_h: int = 0
    objects: ObjectSettings | None = None


@dataclass(frozen=True, slots=True)
class ZoneNow:
    """A zone as it was seen last.

    Attributes:
        name: Its name, empty for the whole picture.
        cells: Cells that move.
        least: How many must.
    """

    name: str
    cells: int
    least: int


@dataclass(frozen=True, slots=True)
class LookNow:
    """What was seen last of a camera.

    Attributes:
        state: ``off``, ``waiting`` (for the first picture), ``learning``, ``looking``, or
            ``failed``: what it sends cannot be looked at, or nothing can.
        code: Error code to go with ``failed``, else empty.
        stream: Name of the stream that is looked at.
        keys_only: Only its key frames.
        slow: That is so because the box is busy.
        at_us: UTC microseconds of the picture, 0 if there is none.
        grid: Columns and rows of cells.
        cells: Cells that move, one byte each, row by row; empty if that is not known yet.
        zones: Each zone.
        on: What goes on.
        luma: Mean grey level, 0-255.
        sharp_permille: What is left of the edges that were learned.
        like_permille: How alike it is to what was learned.
        cpu_permille: Processor time it takes, thousandths of one processor.
    """

    state: str
    code: str = ""
    stream: str = ""
    keys_only: bool = False
    slow: bool = False
    at_us: int = 0
    grid: tuple[int, int] = (80, 45)
    cells: bytes = b""
    zones: tuple[ZoneNow, ...] = ()
    on: tuple[Kind, ...] = ()
    luma: int = 0
    sharp_permille: int = 0
    like_permille: int = 0
    cpu_permille: int = 0


class Looks(Protocol):
    """Looks at cameras. Rights are the caller's business."""

    def now(self, camera: str) -> LookNow:
        """What was seen last; for some seconds the cells that move come with it."""
        ...

    def detector(self) -> DetectorState:
        """What finds objects. Blocks on the disk."""
        ...

    def accept(self, camera: str) -> None:
        """How its picture is now is right: it was moved or focused on purpose."""
        ...

    def reported(self, camera: str, until_us: int) -> None:
        """Note that somebody reported something, which is recorded until then."""
        ...

    async def snapshot(self, camera: str, stream: str, width: int) -> tuple[bytes, int]:
        """Make a JPEG of the newest key frame.

        Args:
            camera: Its name.
            stream: ``gate/main``.
            width: Most pixels across, 0 for as many as it has.

        Returns:
            The JPEG, and the UTC microseconds of the picture.

        Raises:
            Unavailable: ``snapshot.busy``, ``snapshot.none``, ``sandbox.failed``.
            Damaged: ``sandbox.died``.
        """
        ...


def looked(
    zones: Sequence[ZoneSettings], sensitivity: int
) -> list[tuple[str, tuple[Point, ...], int]]:
    """Return name, corners and sensitivity of each zone, 0 for one that is to be ignored.

    The whole picture is one if none is looked at.
    """
    found = [
        (zone.name, zone.points_permille, 0 if zone.ignore else zone.sensitivity or sensitivity)
        for zone in zones
    ]
    if not any(sense for _, _, sense in found):
        found.insert(0, ("", ((0, 0), (1000, 0), (1000, 1000), (0, 1000)), sensitivity))
    return found
