"""What happened at a camera, with its begin, end and picture; `nvr.analyse` finds and keeps it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Trouble = Literal["signal", "dark", "bright", "covered", "moved", "defocused", "frozen"]
"""What can be wrong with a picture, the worse before what it would hide."""
Line = Literal["input", "tamper", "output"]
"""At a line of the box: an alarm input, tampering with it, an output; `zone` is its name."""
Kind = str
"""A `Trouble`, a `Line`, ``motion``, ``line`` (one was crossed, as a camera says), ``reported``,
or an object: ``object.person``."""
Source = Literal["", "camera"]
"""Who noticed: we, or the camera itself."""

TROUBLES: tuple[Trouble, ...] = (
    "signal", "dark", "bright", "covered", "moved", "defocused", "frozen",
)  # fmt: skip
LINES: tuple[Line, ...] = ("input", "tamper", "output")
KINDS: tuple[Kind, ...] = ("motion", "reported", "line", *LINES, *TROUBLES)
"""All but objects."""
BOX = ""
"""The camera of what happened at the box itself."""
MOST_WORD = 48
OBJECT = "object"
"""Stands for all objects where kinds are chosen."""
_OBJECT = re.compile(r"object(\.[^\s,.]{1,48})?")


def word(label: str) -> str:
    """A class as it stands in a kind: ``traffic light`` is ``traffic_light``."""
    kept = "".join("_" if c.isspace() or c in ",.&?#%/" else c for c in label.strip())
    return "".join(c for c in kept if c.isprintable())[:MOST_WORD]


def object_kind(label: str) -> Kind:
    """The kind of an object: ``object.person``."""
    return f"{OBJECT}.{label}"


def is_object(kind: Kind) -> bool:
    """Whether that is an object, or all of them."""
    return _OBJECT.fullmatch(kind) is not None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened, or still does.

    Attributes:
        number: Under which it is kept.
        camera: Where.
        kind: What.
        zone: In which zone, or by which rule of the camera; empty if that does not matter.
        from_us: UTC microseconds of its begin.
        to_us: Of its end; None while it goes on.
        strength: Of a motion, the most cells of the grid that moved at once; of an object, how sure
            it was at most, permille; else 0.
        picture: There is a picture of it.
        source: Who noticed.
    """

    number: int
    camera: str
    kind: Kind
    zone: str
    from_us: int
    to_us: int | None
    strength: int = 0
    picture: bool = False
    source: Source = ""


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
