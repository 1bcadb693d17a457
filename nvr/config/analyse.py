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


Label = Annotated[str, Meta(pattern=r"^[^\s,.&?#%/]{1,48}$")]


class Objects(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Look for objects with the owner's own model. See REQUIREMENTS R26: nothing of it is usual."""

    on: bool = True
    # What for, who may use what is found, and the last day of it: without, it does not start.
    purpose: Annotated[str, Meta(min_length=1, max_length=200)]
    who: Annotated[str, Meta(min_length=1, max_length=100)]
    until: Annotated[str, Meta(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$")]
    # By the model's own words, a blank as ``_``.
    classes: Annotated[list[Label], Meta(min_length=1, max_length=32)]
    # How sure the model must be.
    sure_permille: Annotated[int, Meta(ge=100, le=950)] = 500
    # Of so many key frames one is searched though nothing moves; 0: only what moves is.
    every_keys: Annotated[int, Meta(ge=0, le=1000)] = 0


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
        Literal["motion", "object", "dark", "bright", "covered", "moved", "defocused", "frozen"]
    ] = field(default_factory=lambda: ["motion"])
    # Hours events and their pictures are kept; None: as long as the camera's recordings.
    keep_h: Annotated[int, Meta(ge=1, le=8784)] | None = None
    # None: no objects are looked for.
    objects: Objects | None = None
