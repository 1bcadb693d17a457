"""Outputs and inputs of the box as people and programs see them."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from nvr.base.errors import Rejected
from nvr.media.ports import Operator

OutputKind = Literal["relay", "wiper", "washer", "lamp", "ir", "siren", "door"]
OUTPUT_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
InputState = Literal["normal", "alarm", "tamper", "short", "open"]
"""``tamper``, ``short`` and ``open`` say that somebody is at the line, or that it is broken."""
TAMPERED: tuple[InputState, ...] = ("tamper", "short", "open")
Program = Literal["single", "intermittent", "wash"]
PROGRAMS: tuple[Program, ...] = get_args(Program)
STROKE = "wipe/"
"""What the source of a wiper program's single strokes begins with."""
OUTPUT_PREFIX = "@"
"""Before the name of an output where rights name what they are for."""


@dataclass(frozen=True, slots=True)
class WipeWish:
    """How to wipe.

    Attributes:
        program: ``single``: `strokes` strokes; ``intermittent``: that every `every_s`, until
            stopped; ``wash``: the washer for `wash_s`, then `strokes` strokes.
        strokes: 1 to 20.
        every_s: From the begin of one wipe to the begin of the next, 3 to 600.
        wash_s: 0.5 to 15.
    """

    program: Program = "single"
    strokes: int = 1
    every_s: float = 10.0
    wash_s: float = 2.0


@dataclass(frozen=True, slots=True)
class InputCall:
    """A preset that an alarm sends a head to."""

    camera: str
    preset: int


@dataclass(frozen=True, slots=True)
class OutputView:
    """An output, now.

    Attributes:
        name: Its name in the board file.
        kind: What it switches.
        title: What its owner calls it, possibly empty.
        title_en: The same in English, possibly empty.
        on: Level last driven.
        online: It answered the last time it was driven.
        safe: Its level at rest.
        since_us: UTC microseconds since it is so, 0 if it never changed.
        left_s: Seconds until its limit switches it off, None if it has none or is off.
        wait_s: Seconds until it may go on, because of its time off; 0 if it may.
        blocked_by: Another output of its interlock that is on, empty if none.
        pulse_ms: Switching on gives a pulse of this length; None if it does not.
        max_on_s: Longest time on, None if there is no limit.
        wiping: Program that goes on, empty if none.
        washes: A washer belongs to it.
    """

    name: str
    kind: OutputKind
    title: str
    title_en: str
    on: bool
    online: bool
    safe: bool
    since_us: int = 0
    left_s: float | None = None
    wait_s: float = 0.0
    blocked_by: str = ""
    pulse_ms: int | None = None
    max_on_s: float | None = None
    wiping: str = ""
    washes: bool = False


@dataclass(frozen=True, slots=True)
class InputView:
    """An input, now.

    Attributes:
        name: Its name in the board file.
        contact: ``no``, ``nc`` or ``eol``.
        title: What its owner calls it, possibly empty.
        title_en: The same in English, possibly empty.
        state: What its settled level means; None while it is not there.
        storm: It chatters, and is not believed until it has been quiet for a while.
        since_us: UTC microseconds of its last change, 0 if there was none.
        edges: Edges seen.
        changes: Of these, how many became a change.
        storms: How often it chattered.
        cameras: Which cameras it records.
        call: Where heads look then.
    """

    name: str
    contact: str
    title: str
    title_en: str
    state: InputState | None
    storm: bool = False
    since_us: int = 0
    edges: int = 0
    changes: int = 0
    storms: int = 0
    cameras: tuple[str, ...] = ()
    call: tuple[InputCall, ...] = ()


class Lines(Protocol):
    """The outputs and inputs of the box; called in the event loop's thread, returns at once."""

    def outputs(self) -> list[OutputView]:
        """Every output."""
        ...

    def inputs(self) -> list[InputView]:
        """Every input."""
        ...

    async def follow(
        self, name: str, cameras: tuple[str, ...], call: tuple[InputCall, ...]
    ) -> None:
        """Have an input followed by that from now on, and for good.

        Raises:
            Rejected: ``gpio.unknown_input``, ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...

    def switch(self, name: str, do: Literal["on", "off", "pulse"], who: str, source: str) -> None:
        """Switch an output; ends a wiper's program.

        Raises:
            Rejected: ``gpio.unknown_output``, ``gpio.resting``, ``gpio.interlocked``.
            Unavailable: ``gpio.gone``, ``gpio.guard_gone``, ``audit.full``.
        """
        ...

    def wipe(self, name: str, wish: WipeWish, who: str, source: str) -> None:
        """Begin a program of a wiper; `switch` to off ends it.

        Raises:
            Rejected: As `switch`, and ``gpio.not_wiper``, ``gpio.no_washer``, ``gpio.range``.
            Unavailable: As `switch`.
        """
        ...

    def wipe_camera(self, camera: str, wish: WipeWish, who: Operator) -> None:
        """Begin a program of the wiper of a camera's head.

        Raises:
            Rejected: As `wipe`, and ``ptz.unknown_camera``, ``ptz.unknown_output``, ``ptz.locked``.
            Unavailable: As `wipe`, and as `nvr.media.ports.Ptz.output`.
        """
        ...

    def rest_camera(self, camera: str, who: Operator) -> None:
        """End a camera's program; nothing happens if there is none."""
        ...


def unknown_output(name: str) -> Rejected:
    """The answer for an output that is not there, and for one that must not be known."""
    return Rejected("gpio.unknown_output", "the board has no such output", output=name)


def unknown_input(name: str) -> Rejected:
    """The answer for an input that is not there."""
    return Rejected("gpio.unknown_input", "the board has no such input", input=name)


class NoLines:
    """A box without. See `Lines`."""

    def outputs(self) -> list[OutputView]:  # noqa: D102 - see Lines
        return []

    def inputs(self) -> list[InputView]:  # noqa: D102 - see Lines
        return []

    async def follow(  # noqa: D102 - see Lines
        self,
        name: str,
        cameras: tuple[str, ...],  # noqa: ARG002 - there is no input
        call: tuple[InputCall, ...],  # noqa: ARG002 - there is no input
    ) -> None:
        raise unknown_input(name)

    def switch(self, name: str, do: Literal["on", "off", "pulse"], who: str, source: str) -> None:  # noqa: ARG002, D102 - see Lines
        raise unknown_output(name)

    def wipe(self, name: str, wish: WipeWish, who: str, source: str) -> None:  # noqa: ARG002, D102 - see Lines
        raise unknown_output(name)

    def wipe_camera(self, camera: str, wish: WipeWish, who: Operator) -> None:  # noqa: ARG002, D102 - see Lines
        raise Rejected("ptz.unknown_output", "there is no wiper", camera=camera)

    def rest_camera(self, camera: str, who: Operator) -> None:
        """Nothing goes on."""
