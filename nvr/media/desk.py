"""Serial lines of the box and the keyboards on them, as page, API and command line say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from nvr.base.errors import Rejected

Words = tuple[tuple[str, int], ...]
"""What a frame says: ``("left", 31)``, ``("preset_call", 7)``; 0 where there is no number."""


@dataclass(frozen=True, slots=True)
class Overheard:
    """Bytes on a line, in the order in which they went over it.

    Attributes:
        number: Counts up from 1 on each line.
        at_us: UTC microseconds.
        way: ``out``: we wrote them; ``in``: they came, without the echo of our own.
        data: The bytes.
        protocol: ``pelco-d`` or ``pelco-p``; empty if they are no frame.
        address: Of whom they speak, 0 if they are no frame.
        words: What they say, empty if they are no frame.
    """

    number: int
    at_us: int
    way: Literal["out", "in"]
    data: bytes
    protocol: str = ""
    address: int = 0
    words: Words = ()


@dataclass(frozen=True, slots=True)
class HeadOnLine:
    """A head on a line.

    Attributes:
        camera: Whose it is.
        address: Its number on its switch.
        protocol: How it is spoken to.
    """

    camera: str
    address: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Pressed:
    """The last command of a keyboard.

    Attributes:
        at_us: UTC microseconds when it came.
        address: Whom it named.
        words: What it said.
        data: Its bytes.
        camera: Whom it was passed on to, empty if to nobody.
        code: Error code if it was not carried out, else empty.
        detail: A sentence to go with it.
    """

    at_us: int
    address: int
    words: Words
    data: bytes
    camera: str = ""
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class KeyboardSettings:
    """What is done with what a keyboard says. See ``[[keyboard]]`` of the configuration.

    Attributes:
        cameras: By address: the camera; None: by the numbers that cameras have.
        aux: By number of an auxiliary: the output it switches, ``wiper`` or ``lamp``.
        profile: ``auto``, ``repeats`` or ``latched``.
        hold_s: After so long without a command a motion is over; 0 for what the profile says.
        shared: Several people's keyboards come over the line.
        answer: Commands are answered, for keyboards that wait for that.
    """

    cameras: Mapping[int, str] | None = None
    aux: Mapping[int, str] = field(default_factory=lambda: {1: "wiper", 2: "lamp"})
    profile: Literal["auto", "repeats", "latched"] = "auto"
    hold_s: float = 0.0
    shared: bool = False
    answer: bool = False


@dataclass(frozen=True, slots=True)
class KeyboardState:
    """What is known of a keyboard.

    Attributes:
        settings: As configured.
        cameras: By address: the camera, as it is now.
        protocol: Found out; empty before.
        frames: Commands understood.
        noise_bytes: Bytes that were none.
        repeats: It was seen to repeat its command while a key is held.
        hold_s: After so long without a command a motion is over.
        moving: Cameras it moves now.
        last: Its last command, None before the first.
        refused: Its last command that was not carried out, None if there was none.
    """

    settings: KeyboardSettings
    cameras: Mapping[int, str]
    protocol: str = ""
    frames: int = 0
    noise_bytes: int = 0
    repeats: bool = False
    hold_s: float = 0.0
    moving: tuple[str, ...] = ()
    last: Pressed | None = None
    refused: Pressed | None = None


@dataclass(frozen=True, slots=True)
class LineState:
    """A serial line of the board.

    Attributes:
        name: Its name.
        role: ``decoder``, ``keyboard`` or ``tap``.
        path: Device.
        baud: Its rate, the one that is tried now while that is searched for.
        state: ``open``, ``searching``: for rate and protocol, or ``lost``.
        since_us: UTC microseconds since when.
        detail: Why it is lost.
        heads: On a line with decoders.
        keyboard: Of the two others.
    """

    name: str
    role: Literal["decoder", "keyboard", "tap"]
    path: str
    baud: int
    state: Literal["open", "searching", "lost"]
    since_us: int
    detail: str = ""
    heads: tuple[HeadOnLine, ...] = ()
    keyboard: KeyboardState | None = None


class SerialLines(Protocol):
    """All serial lines of the box. Rights are the caller's business."""

    def lines(self) -> tuple[LineState, ...]:
        """How they do."""
        ...

    def overheard(self, name: str, after: int) -> tuple[Overheard, ...]:
        """Return what went over a line after the number `after`, as far as it is remembered.

        Raises:
            Rejected: ``serial.unknown``.
        """
        ...

    async def write_keyboard(self, name: str, settings: KeyboardSettings) -> None:
        """Do otherwise with a keyboard, at once and for good; what it moves is stopped.

        Raises:
            Rejected: ``serial.unknown``, ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...


class NoSerialLines:
    """Of a box without serial lines. See `SerialLines`."""

    def lines(self) -> tuple[LineState, ...]:  # noqa: D102 - see SerialLines
        return ()

    def overheard(self, name: str, after: int) -> tuple[Overheard, ...]:  # noqa: ARG002, D102 - see SerialLines
        raise unknown_line(name)

    async def write_keyboard(self, name: str, settings: KeyboardSettings) -> None:  # noqa: ARG002, D102 - see SerialLines
        raise unknown_line(name)


def unknown_line(name: str) -> Rejected:
    """Say that the board has no serial line of that name."""
    return Rejected("serial.unknown", "the board has no such serial line", line=name)
