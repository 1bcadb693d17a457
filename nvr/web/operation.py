"""What a page may ask over the control channel, as msgpack maps told apart by ``op``."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Camera = Annotated[str, Meta(max_length=32)]
Speed = Annotated[float, Meta(ge=-1.0, le=1.0)]
Vector = tuple[Speed, Speed, Speed]
Drive = Literal[-1, 0, 1]
Id = Any
"""Whatever the page put there comes back with the answer; messages are at most 4 KiB."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, tag_field="op"):
    """What all operations share."""

    id: Id = None

    def action(self) -> str:
        """Key in the policy table."""
        return f"control {self.__struct_config__.tag}"


class Move(Operation, frozen=True, kw_only=True, tag="move"):
    """Pan, tilt and zoom speeds; sent on change and every 150 ms while not neutral."""

    cam: Camera
    n: int
    v: Vector


class Lens(Operation, frozen=True, kw_only=True, tag="lens"):
    """Focus and iris; renewed like a move."""

    cam: Camera
    n: int = 0
    focus: Drive = 0
    iris: Drive = 0


class Aim(Operation, frozen=True, kw_only=True, tag="aim"):
    """Bring a place of the picture to its middle; an area fills it. See `nvr.media.aim.Area`."""

    cam: Camera
    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    aspect: float = 16 / 9


class Stop(Operation, frozen=True, kw_only=True, tag="stop"):
    """Stop one head."""

    cam: Camera


class StopAll(Operation, frozen=True, kw_only=True, tag="stop_all"):
    """Stop every head."""


class Take(Operation, frozen=True, kw_only=True, tag="take"):
    """Become owner."""

    cam: Camera


class Release(Operation, frozen=True, kw_only=True, tag="release"):
    """Give the camera up."""

    cam: Camera


class LockOp(Operation, frozen=True, kw_only=True, tag="lock"):
    """Keep everybody else off."""

    cam: Camera
    lasts_s: Annotated[float, Meta(ge=0, le=1_000_000)]
    reason: Annotated[str, Meta(max_length=400)]


class Unlock(Operation, frozen=True, kw_only=True, tag="unlock"):
    """End a lock."""

    cam: Camera


class Run(Operation, frozen=True, kw_only=True, tag="run"):
    """Have a tour, pattern, scan or position run; nothing with an empty `what`."""

    cam: Camera
    what: Annotated[str, Meta(max_length=64)] = ""


class GuardOp(Operation, frozen=True, kw_only=True, tag="guard"):
    """Have the head return to its guard position by itself, or not."""

    cam: Camera
    on: bool


class Pattern(Operation, frozen=True, kw_only=True, tag="pattern"):
    """Take a pattern down from a preset on, keep it or drop it."""

    cam: Camera
    act: Literal["begin", "keep", "drop"]
    name: Annotated[str, Meta(max_length=64)] = ""
    preset: Annotated[int, Meta(ge=0, le=255)] = 0


class PresetOp(Operation, frozen=True, kw_only=True, tag="preset"):
    """Go to, store or clear a preset."""

    cam: Camera
    do: Literal["call", "set", "clear"]
    number: Annotated[int, Meta(ge=0, le=255)]
    name: Annotated[str, Meta(max_length=64)] = ""

    def action(self) -> str:
        """Key in the policy table."""
        return f"control preset {self.do}"


class FunctionOp(Operation, frozen=True, kw_only=True, tag="function"):
    """Have a head do one of its functions."""

    cam: Camera
    function: Annotated[str, Meta(max_length=32)]


class Output(Operation, frozen=True, kw_only=True, tag="output"):
    """Switch the wiper or the lamp."""

    cam: Camera
    name: Annotated[str, Meta(max_length=32)]
    on: bool


class Ping(Operation, frozen=True, kw_only=True, tag="ping"):
    """Measure the way there and back."""

    t: Any = None


OPERATIONS = (
    Move | Lens | Aim | Stop | StopAll | Take | Release | LockOp | Unlock | Run | GuardOp | Pattern
    | PresetOp | FunctionOp | Output | Ping
)  # fmt: skip

ACTIONS = (
    "control move",
    "control lens",
    "control aim",
    "control stop",
    "control stop_all",
    "control take",
    "control release",
    "control lock",
    "control unlock",
    "control run",
    "control guard",
    "control pattern",
    "control preset call",
    "control preset set",
    "control preset clear",
    "control function",
    "control output",
    "control ping",
)
"""Every key these can ask for; checked against the policy when the page starts."""
