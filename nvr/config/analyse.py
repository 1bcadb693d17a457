"""What the configuration says of looking at a camera's pictures."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from nvr.config.value import Permille, Title
from nvr.media.happening import TROUBLES, Trouble

MOST_ZONES = 8
"""That are not to be ignored."""

Sensitivity = Annotated[int, Meta(ge=1, le=10)]


class Zone(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the picture, where motion is looked for or ignored."""

    name: Title
    # Corners, thousandths of the picture's width and height.
    points_permille: Annotated[list[tuple[Permille, Permille]], Meta(min_length=3, max_length=16)]
    # None: as the camera's.
    sensitivity: Sensitivity | None = None
    # A tree, a road: what moves there is nothing, whatever other zones say.
    ignore: bool = False


class Analyse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Look at the sub stream, or at key frames of a camera without one. See REQUIREMENTS R13."""

    on: bool = True
    # What motion is looked for: must be said, and is shown. See REQUIREMENTS R26.
    purpose: Annotated[str, Meta(max_length=200)] = ""
    motion: bool = True
    sensitivity: Sensitivity = 5
    # Without one that is not to be ignored: the whole picture.
    zones: Annotated[list[Zone], Meta(max_length=12)] = []
    # What of the picture's health is watched.
    health: list[Trouble] = field(default_factory=lambda: list(TROUBLES))
    # What is an event for the plan, besides those that are reported.
    record_on: list[
        Literal["motion", "dark", "bright", "covered", "moved", "defocused", "frozen"]
    ] = field(default_factory=lambda: ["motion"])
    # Hours events and their pictures are kept; None: as long as the camera's recordings.
    keep_h: Annotated[int, Meta(ge=1, le=8784)] | None = None
