"""Privacy masks: areas of a picture that are not to be seen, by whom has no right to.

Polygons in thousandths of the picture, so that they hold for every stream and size. What is inside
goes by the winding number, so that a polygon that crosses itself has no holes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

MaskKind = Literal["solid", "mosaic"]
MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)
MOST_MASKS = 8
LEAST_POINTS, MOST_POINTS = 3, 16


@dataclass(frozen=True, slots=True)
class Mask:
    """One area.

    Attributes:
        points_permille: Its corners in order, ``(x, y)``, thousandths of width and height.
        kind: ``solid`` dark grey, or ``mosaic``: blocks of a 24th of the height.
    """

    points_permille: tuple[tuple[int, int], ...]
    kind: MaskKind = "solid"


Masks = tuple[Mask, ...]
MasksAt = Callable[[int], Masks]
"""Says what is not to be seen of a picture of some UTC microseconds."""


def fault_of(masks: Sequence[Mask]) -> str:
    """Return what is wrong with the masks of a camera, empty if nothing is."""
    if len(masks) > MOST_MASKS:
        return f"a camera has at most {MOST_MASKS} masks"
    for mask in masks:
        if not LEAST_POINTS <= len(mask.points_permille) <= MOST_POINTS:
            return f"a mask has {LEAST_POINTS} to {MOST_POINTS} corners"
        if not all(0 <= one <= 1000 for point in mask.points_permille for one in point):
            return "a corner is two numbers from 0 to 1000"
        if mask.kind not in MASK_KINDS:
            return f"a mask is {' or '.join(MASK_KINDS)}"
    return ""
