"""Joysticks at the box, and how a hand on one is understood: profiles, shared with the page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, get_args

from msgspec import Meta

from nvr.base.errors import Rejected

Way = Literal["pan", "tilt", "zoom"]
WAYS: tuple[Way, ...] = get_args(Way)

ACTION = re.compile(
    r"(stop|take|release|prev|next|wiper|lamp|snapshot|replay|full"
    r"|zoom (in|out)|focus (near|far)|iris (open|close)"
    r"|preset [1-9][0-9]{0,2}|camera [a-z0-9][a-z0-9-]{0,31})\Z"
)
"""What a button may do. ``snapshot``, ``replay`` and ``full`` are for a page; zoom, focus and iris
go on while it is held."""
PROFILE_SCHEMA = 1
Share = Annotated[float, Meta(ge=-1, le=1)]


@dataclass(frozen=True, slots=True)
class Axis:
    """Which axis of a joystick drives something.

    Attributes:
        axis: Its number, from 0, as a browser and ``joydev`` count them.
        invert: Right, up and in are where it says less.
        centre: What it says at rest, -1 to 1.
        least: What it says at one end,
        most: and at the other.
    """

    axis: Annotated[int, Meta(ge=0, le=63)]
    invert: bool = False
    centre: Share = 0.0
    least: Share = -1.0
    most: Share = 1.0


@dataclass(frozen=True, slots=True)
class JoystickProfile:
    """How a make of joystick is understood; its JSON is what the page learns, too.

    Attributes:
        schema: 1.
        device: Of which: ``046d:c215:NAME``; of a page's gamepad what its browser calls it.
        title: What people call it.
        pan: None if it has no such axis.
        tilt: The same; of most joysticks inverted, as up says less.
        zoom: The same; of CCTV joysticks the twist.
        dead: Share around the centre in which pan and tilt rest.
        expo: 0 for a straight line to 1 for a cube: slow motions near the centre.
        zoom_dead: As `dead`, of zoom: a twist slips while a hand tilts.
        zoom_expo: As `expo`.
        slow_at_tele: By how much full zoom takes from the speed of pan and tilt, 0 to 0.95. Of
            heads that say where they are.
        buttons: By number: what it does, see `ACTION`.
        camera: Where it begins, empty for the first one with a head.
    """

    schema: Literal[1]
    device: Annotated[str, Meta(min_length=1, max_length=200)]
    title: Annotated[str, Meta(max_length=64)] = ""
    pan: Axis | None = None
    tilt: Axis | None = None
    zoom: Axis | None = None
    dead: Annotated[float, Meta(ge=0.02, le=0.5)] = 0.1
    expo: Annotated[float, Meta(ge=0, le=1)] = 0.5
    zoom_dead: Annotated[float, Meta(ge=0.02, le=0.5)] = 0.15
    zoom_expo: Annotated[float, Meta(ge=0, le=1)] = 0.5
    slow_at_tele: Annotated[float, Meta(ge=0, le=0.95)] = 0.8
    buttons: Annotated[
        dict[Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,2})\Z")], str], Meta(max_length=128)
    ] = field(default_factory=dict)
    camera: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?\Z")] = ""


def fault_of(profile: JoystickProfile) -> str:
    """Return what is wrong with a profile in a sentence, empty if nothing is."""
    for way in WAYS:
        axis: Axis | None = getattr(profile, way)
        if axis is not None and not axis.least < axis.centre < axis.most:
            return f"{way}: its centre must lie between least and most"
    axes = [axis.axis for way in WAYS if (axis := getattr(profile, way)) is not None]
    if len(set(axes)) < len(axes):
        return "two of pan, tilt and zoom are the same axis"
    for number, action in profile.buttons.items():
        if not ACTION.match(action):
            return f"button {number}: there is no action {action[:40]!r}"
    return ""


@dataclass(frozen=True, slots=True)
class JoystickState:
    """A joystick that is plugged in, now.

    Attributes:
        number: Of the box's, from 1; the operator's source is ``joystick/NUMBER``.
        name: As its maker calls it.
        key: What its profile is kept under.
        learned: Somebody taught it; else `profile` is guessed.
        profile: How it is understood.
        camera: Whom it steers, empty while no camera has a head.
        axes: As it stands, -1 to 1, before the profile.
        buttons: Which are held.
        speeds: Pan, tilt, zoom it asks for.
        moving: It moves the head.
        must_centre: It was stopped, or was not at rest when it came: it has to be let go first.
        learning: A wizard looks at it: it moves nothing.
        code: Error code of why its last command was not carried out, else empty.
        detail: A sentence to go with it.
    """

    number: int
    name: str
    key: str
    learned: bool
    profile: JoystickProfile
    camera: str
    axes: tuple[float, ...]
    buttons: tuple[bool, ...]
    speeds: tuple[float, float, float]
    moving: bool
    must_centre: bool
    learning: bool
    code: str = ""
    detail: str = ""


class Joysticks(Protocol):
    """All joysticks at the box, and every profile it keeps. Rights are the caller's business."""

    def joysticks(self) -> tuple[JoystickState, ...]:
        """Those that are plugged in."""
        ...

    def learn(self, number: int) -> JoystickState:
        """Look at one that is being taught: it moves nothing for two seconds from now.

        Raises:
            Rejected: ``joystick.unknown``.
        """
        ...

    def aim(self, number: int, camera: str) -> None:
        """Have it steer another camera; the one before is let go.

        Raises:
            Rejected: ``joystick.unknown``, ``ptz.unknown_camera``.
        """
        ...

    def profiles(self) -> Mapping[str, JoystickProfile]:
        """By what they are kept under, see `JoystickProfile.device`."""
        ...

    def damaged(self) -> Mapping[str, str]:
        """What is wrong with files of profiles, in a sentence, by the name of each."""
        ...

    async def write_profile(self, profile: JoystickProfile) -> None:
        """Keep a profile, at once and for good; what such a joystick moves is stopped.

        Raises:
            Rejected: ``joystick.profile``: it makes no sense, or there are too many.
            Unavailable: ``joystick.unwritable``.
        """
        ...

    async def drop_profile(self, device: str) -> None:
        """Forget a profile: such a joystick is guessed again. No effect without one.

        Raises:
            Unavailable: ``joystick.unwritable``.
        """
        ...


class NoJoysticks:
    """Of a box that takes none. See `Joysticks`."""

    def joysticks(self) -> tuple[JoystickState, ...]:  # noqa: D102 - see Joysticks
        return ()

    def learn(self, number: int) -> JoystickState:  # noqa: D102 - see Joysticks
        raise unknown_joystick(number)

    def aim(self, number: int, camera: str) -> None:  # noqa: ARG002, D102 - see Joysticks
        raise unknown_joystick(number)

    def profiles(self) -> Mapping[str, JoystickProfile]:  # noqa: D102 - see Joysticks
        return {}

    def damaged(self) -> Mapping[str, str]:  # noqa: D102 - see Joysticks
        return {}

    async def write_profile(self, profile: JoystickProfile) -> None:  # noqa: ARG002, D102 - see Joysticks
        raise Rejected("joystick.profile", "this box takes no joysticks")

    async def drop_profile(self, device: str) -> None:
        """See Joysticks."""


def unknown_joystick(number: int) -> Rejected:
    """Say that there is none of that number."""
    return Rejected("joystick.unknown", "there is no such joystick", joystick=number)
