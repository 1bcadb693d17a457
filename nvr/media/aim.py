"""Pointing a head by its own picture: what is asked, and how it can be done."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, Protocol

from nvr.base.errors import Rejected
from nvr.media.ports import Operator

How = Literal["", "absolute", "fov", "timed"]
"""How a head is aimed: it is told a position; a share of what it sees; or it is moved for so long.
Empty if it cannot be."""

LEAST = 0.02
"""Of width or height: a smaller area was a click."""


@dataclass(frozen=True, slots=True)
class Area:
    """Part of a picture that is to fill it; with no size, what is to come to its middle.

    Attributes:
        x: Of its middle, in widths of the picture from the left, 0 to 1.
        y: The same in heights from the top.
        width: In widths of the picture, 0 to 1.
        height: In heights, 0 to 1.
        aspect: Width of the picture, as it is shown, in its heights.
    """

    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    aspect: float = 16 / 9

    @property
    def larger(self) -> float:
        """How many times larger it is to become; 1 for no other size."""
        size = max(self.width, self.height)
        return 1 / size if size >= LEAST else 1.0

    def check(self) -> None:
        """Raise `Rejected` ``ptz.range`` if it is none."""
        shares = (self.x, self.y, self.width, self.height)
        if not all(isfinite(one) and 0 <= one <= 1 for one in shares):
            raise Rejected("ptz.range", "an area lies in the picture: shares are from 0 to 1")
        if not 0.2 <= self.aspect <= 5:  # also refuses NaN
            raise Rejected("ptz.range", "a picture is not wider than 5 of its heights")


@dataclass(frozen=True, slots=True)
class Grey:
    """A picture without colour.

    Attributes:
        width: Pixels.
        height: Pixels.
        luma: Its rows, one byte a pixel, without padding.
    """

    width: int
    height: int
    luma: bytes


class Aims(Protocol):
    """Points heads by their pictures. Rights are the caller's business."""

    def how(self, camera: str) -> How:
        """How the head of a camera can be aimed now; empty without a head too."""
        ...

    def aim(self, camera: str, who: Operator, area: Area) -> How:
        """Bring an area to the middle, and near if it has a size; returns how.

        A timed one ends by itself, by a stop, by anybody's hand, and with `who`.

        Raises:
            Rejected: ``ptz.unaimed``: nothing is known of what it sees. ``ptz.range``, and as
                `nvr.media.ports.Ptz.preset`.
            Unavailable: As `nvr.media.ports.Ptz.move`.
        """
        ...


What = Literal["sight", "presets"]
"""What is measured of a head: what it sees and how fast it turns; how well it finds its presets."""


@dataclass(frozen=True, slots=True)
class Measuring:
    """A measurement that goes on, or went on last.

    Attributes:
        what: What is measured.
        step: How many of its steps are over.
        of: How many it has, 0 while that is not known.
        done: It is over.
        code: Why it ended early, empty if it did not.
    """

    what: What
    step: int
    of: int
    done: bool = False
    code: str = ""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How well a preset is found again, from either side; the worse of both counts.

    Attributes:
        number: The preset.
        at_us: UTC microseconds of the check.
        off_percent: How far the picture was off, in hundredths of its width; None if not told.
        off_deg: The same in degrees, None where the angle that the head sees is not known.
        zoom_percent: How much too large it was, None if not told.
        said: Why it was not told: ``unmoved``, the head did not go away; ``unseen``, the pictures
            do not show it.
    """

    number: int
    at_us: int
    off_percent: float | None = None
    off_deg: float | None = None
    zoom_percent: float | None = None
    said: Literal["", "unmoved", "unseen"] = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a head by its pictures.

    Attributes:
        measuring: What is measured, or was last since the start; None for nothing.
        angles: ``(zoom position, horizontal angle)``, empty if that was not measured.
        timed: How fast it turns was measured.
        at_us: When, UTC microseconds; 0 for never.
        presets: What the last check found.
    """

    measuring: Measuring | None
    angles: tuple[tuple[float, float], ...]
    timed: bool
    at_us: int
    presets: tuple[Accuracy, ...]


class Measures(Protocol):
    """Measures heads by their pictures. Rights are the caller's business."""

    def measured(self, camera: str) -> Measured:
        """What is known, and what goes on."""
        ...

    def measure(self, camera: str, who: Operator, what: What) -> None:
        """Begin; takes minutes, ends with the head where it was.

        Raises:
            Rejected: ``ptz.held``: a person has the head. As `nvr.media.ports.Ptz.take`.
        """
        ...

    def end(self, camera: str, who: Operator) -> None:
        """Give up what goes on and stop the head; no effect without."""
        ...
