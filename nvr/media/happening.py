"""What happened at a camera, with its begin, end and picture; `nvr.analyse` finds and keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Trouble = Literal["signal", "dark", "bright", "covered", "moved", "defocused", "frozen"]
"""What can be wrong with a picture, the worse before what it would hide."""
Line = Literal["input", "tamper", "output"]
"""At a line of the box: an alarm input, tampering with it, an output; `zone` is its name."""
Kind = Trouble | Literal["motion", "reported"] | Line

TROUBLES: tuple[Trouble, ...] = (
    "signal", "dark", "bright", "covered", "moved", "defocused", "frozen",
)  # fmt: skip
LINES: tuple[Line, ...] = ("input", "tamper", "output")
KINDS: tuple[Kind, ...] = ("motion", "reported", *LINES, *TROUBLES)
BOX = ""
"""The camera of what happened at the box itself."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened, or still does.

    Attributes:
        number: Under which it is kept.
        camera: Where.
        kind: What.
        zone: In which zone, empty if that does not matter.
        from_us: UTC microseconds of its begin.
        to_us: Of its end; None while it goes on.
        strength: Of a motion, the most cells of the grid that moved at once; else 0.
        picture: There is a picture of it.
    """

    number: int
    camera: str
    kind: Kind
    zone: str
    from_us: int
    to_us: int | None
    strength: int = 0
    picture: bool = False


class Happenings(Protocol):
    """What happened. Calls block on the disk, but for `open`."""

    def between(
        self, camera: str, from_us: int, to_us: int, kinds: Sequence[Kind] = (), most: int = 1000
    ) -> list[Happening]:
        """What happened at a camera between two wall times, the newest `most`, in order."""
        ...

    def picture(self, camera: str, number: int) -> tuple[bytes, int] | None:
        """A JPEG of one of them, and the UTC microseconds of its begin."""
        ...

    def open(self, camera: str) -> tuple[Happening, ...]:
        """What goes on there now."""
        ...
