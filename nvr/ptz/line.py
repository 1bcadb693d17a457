"""What a head is reached over, and how it is spoken to: what `Controller` may know of both.

A serial line (`nvr.ptz.bus`) has many heads and a thread, a camera of its own (`nvr.ptz.onvif`)
one head and a conversation. Both end a motion whose lease lapses by themselves, whatever becomes of
whoever asked for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from nvr.media.ports import HeadFunction, Position
from nvr.ptz.position import Asked
from nvr.ptz.schedule import Auxiliary, Motion

Said: TypeAlias = tuple[str, str]
"""The same in English and in Chinese."""


@dataclass(frozen=True, slots=True)
class Aux:
    """An auxiliary output of a head.

    Attributes:
        number: 1-8; what hangs on it differs from dome to dome, 1 is mostly the wiper.
        max_on_s: Longest time on.
    """

    number: int
    max_on_s: float


@dataclass(frozen=True, slots=True)
class Deed:
    """What a function of a head comes to on its line.

    Attributes:
        data: What is sent.
        moves: It moves the head: a STOP drops it while it waits.
    """

    data: bytes
    moves: bool


@dataclass(frozen=True, slots=True)
class Glide:
    """A way by a share of what is seen.

    Attributes:
        x: -1 to the left edge of the picture, 1 to the right one.
        y: -1 to the lower edge, 1 to the upper one.
    """

    x: float
    y: float


class Chain(Protocol):
    """Heads that learn their addresses from us."""

    @property
    def opening(self) -> Sequence[bytes]:
        """What their line is told once it is open."""
        ...

    @property
    def renewal(self) -> Sequence[bytes]:
        """What it is told when a head joined."""
        ...

    def joined(self, data: bytes) -> bool:
        """Take bytes as they come; True if a head says that it came, or was switched on."""
        ...


class Line(Protocol):
    """Carries motions to heads. `nvr.ptz.bus.Bus` says more of each."""

    @property
    def online(self) -> bool:
        """The head, or the port it is behind, can be reached."""
        ...

    @property
    def glides(self) -> bool:
        """The head can be told a `Glide`."""
        ...

    def add(
        self,
        head: str,
        encode: Callable[[Motion], bytes],
        asked: Asked | None = None,
        chain: Chain | None = None,
    ) -> None:
        """Put a head on it; it is told to stop."""
        ...

    def add_auxiliary(self, head: str, name: str, auxiliary: Auxiliary) -> None:
        """Add an output of a head."""
        ...

    def leave(self, head: str) -> None:
        """Take a head off, after a stop."""
        ...

    def move(self, head: str, motion: Motion, until_s: float) -> None:
        """Let it move until `until_s`. Raises `Unavailable`."""
        ...

    def stop(self, head: str) -> None:
        """Stop it; never refused."""
        ...

    def switch(self, head: str, name: str, on: bool) -> None:
        """Switch an output of it. Raises `Unavailable`."""
        ...

    def lit(self, head: str, name: str) -> bool:
        """Whether an output was last told to be on."""
        ...

    def unbar(self, head: str) -> None:
        """Accept its motions again, after one was ended by itself."""
        ...

    def command(self, head: str, data: bytes, *, moves: bool) -> None:
        """Send what its dialect made. Raises `Unavailable`, `Rejected`."""
        ...


class Dialect(Protocol):
    """How a head is spoken to. `nvr.ptz.pelco.Pelco` says more of each."""

    @property
    def asked(self) -> Asked | None:
        """How it is asked where it points, None if it is not."""
        ...

    @property
    def chain(self) -> Chain | None:
        """What gives it its address, None if it has a switch for that."""
        ...

    @property
    def reserved(self) -> Mapping[int, Said]:
        """Preset numbers that mean something else, and what."""
        ...

    @property
    def presets_max(self) -> int:
        """The highest number of a preset."""
        ...

    @property
    def functions(self) -> tuple[HeadFunction, ...]:
        """What it can be told beside motions, presets and outputs."""
        ...

    def perform(self, function: str) -> Deed | None:
        """What does a function, by its name; None if there is none of that name."""
        ...

    def end(self) -> Deed | None:
        """What ends a function that runs until it is ended, beside a STOP."""
        ...

    def auxiliary(self, aux: Aux) -> Auxiliary | None:
        """What switches an output of its own, None if it has none."""
        ...

    def encode(self, motion: Motion) -> bytes:
        """What sets all axes at once."""
        ...

    def preset(self, do: Literal["call", "set", "clear"], number: int) -> bytes:
        """What goes to, stores or clears a preset."""
        ...

    def point(self, to: Position | Glide) -> tuple[bytes, ...]:
        """What makes it point there, in this order; nothing if it cannot be told that."""
        ...
