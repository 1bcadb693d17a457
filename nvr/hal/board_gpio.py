"""Outputs, inputs and the watchdog of a board file, and what is wrong with them.

An output's level is *on* or *off* whatever its polarity. An input reads one of up to four levels:
the levels of its line or two lines as a binary number, or the band between two thresholds that
its voltage lies in; `states` says what each of them means.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from nvr.base.shape import Fault
from nvr.media.gpio import InputState, OutputKind

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Title = Annotated[str, Meta(max_length=64)]
Offset = Annotated[int, Meta(ge=0, le=1023)]
Bias = Literal["as-is", "none", "pull-up", "pull-down"]


class Gpio(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A switching output.

    `chip` is the chip's label, not its number: numbers move between kernels. With ``driver =
    "gpiozero"`` there is none, and `line` is the Raspberry Pi's own number, GPIO17.

    `safe` is its level at the start and at an orderly end, `on_crash` the one that `nvr-guard` and
    `nvr safe` drive when the recorder is killed or frozen; without, it is `safe`. At most one of
    an `interlock` is on. `stroke_s` and `washer` are a wiper's: how long one stroke takes, and
    which output sprays.
    """

    kind: OutputKind = "relay"
    title: Title = ""
    title_en: Title = ""
    driver: Literal["gpiod", "gpiozero", "virtual"] = "gpiod"
    chip: str = ""
    line: Offset = 0
    active_low: bool = False
    safe: Literal["off", "on"] = "off"
    on_crash: Literal["off", "on"] | None = None
    max_on_s: Annotated[float, Meta(gt=0, le=86400)] | None = None
    min_off_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    pulse_ms: Annotated[int, Meta(ge=10, le=60_000)] | None = None
    interlock: Name | None = None
    stroke_s: Annotated[float, Meta(ge=0.1, le=30)] = 1.5
    washer: Name | None = None

    @property
    def crash(self) -> bool:
        """Level when the recorder is gone."""
        return (self.on_crash or self.safe) == "on"


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alarm input.

    ``contact``: ``no`` alarms when its contact closes, ``nc`` when it opens; ``eol`` has resistors
    at the end of its line, so that a short and a cut are seen. A line is active while its contact
    is closed; with the contact between line and ground, and a pull-up, that is `active_low`.
    `tamper_line` is a loop that is closed while all is well.

    ``eol`` wants `line` and `line_2` (of a window comparator; level 0 to 3 is line + 2 x line_2),
    or an ADC of the kernel (IIO): `adc` is its name, `channel` its input, `thresholds` rising raw
    values. `states` is what the levels mean, from 0.
    """

    contact: Literal["no", "nc", "eol"] = "no"
    title: Title = ""
    title_en: Title = ""
    driver: Literal["gpiod", "iio", "virtual"] = "gpiod"
    chip: str = ""
    line: Offset = 0
    line_2: Offset | None = None
    tamper_line: Offset | None = None
    active_low: bool = True
    bias: Bias = "pull-up"
    adc: str = ""
    channel: Annotated[int, Meta(ge=0, le=63)] = 0
    thresholds: Annotated[tuple[int, ...], Meta(max_length=3)] = ()
    states: Annotated[tuple[InputState, ...], Meta(max_length=4)] = ()
    # A level counts once it has stayed for so long.
    debounce_ms: Annotated[int, Meta(ge=0, le=10_000)] = 50
    # Changes in a minute, and edges in a second, that are still believed.
    most_per_min: Annotated[int, Meta(ge=2, le=600)] = 30
    most_edges_per_s: Annotated[int, Meta(ge=10, le=5000)] = 100

    @property
    def lines(self) -> tuple[int, ...]:
        """Lines it is read from, the lowest bit first."""
        second = self.line_2 if self.line_2 is not None else self.tamper_line
        return (self.line,) if second is None else (self.line, second)

    @property
    def levels(self) -> int:
        """How many levels it can have."""
        if self.driver == "iio":
            return len(self.thresholds) + 1
        if self.driver == "virtual" and self.contact == "eol":
            return 4
        return 1 << len(self.lines)

    @property
    def meanings(self) -> tuple[InputState, ...]:
        """State of each level."""
        if self.states:
            return self.states
        if self.contact == "eol":
            return ("short", "normal", "alarm", "open")
        plain: tuple[InputState, ...] = (
            ("normal", "alarm") if self.contact == "no" else ("alarm", "normal")
        )
        return plain if self.tamper_line is None else ("tamper", "tamper", *plain)


class Watchdog(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hardware that restarts the box when the recorder does not work any more."""

    device: Annotated[str, Meta(min_length=1)] = "/dev/watchdog"
    driver: Literal["linux", "virtual"] = "linux"
    # Without food for so long it restarts the box; hardware may round it.
    timeout_s: Annotated[int, Meta(ge=5, le=240)] = 15
    # A condition may be bad for so long before it is not fed any more.
    patience_s: Annotated[float, Meta(ge=5, le=3600)] = 60.0


def unfit(
    outputs: Mapping[str, Gpio],
    inputs: Mapping[str, Input],
    others: Iterable[tuple[str, str, str, int, str]] = (),
) -> list[Fault]:
    """What cannot be of outputs and inputs, whatever their shape.

    Args:
        outputs: By name.
        inputs: By name.
        others: Further lines in use: place in the file, key, chip, line, and whose they are.
    """
    found: list[Fault] = []
    taken: dict[tuple[str, int], str] = {}
    for at, key, chip, line, name in itertools.chain(others, _lines(outputs, inputs)):
        before = taken.setdefault((chip, line), name)
        if before != name:
            found.append(Fault(f"{at}.{key}", f"{chip}:{line} is already {before}"))
    for name, output in outputs.items():
        found += _unfit_output(f"$.gpio.{name}", output, outputs)
    for name, it in inputs.items():
        found += _unfit_input(f"$.input.{name}", it)
    groups: dict[str, list[str]] = defaultdict(list)
    for name, output in outputs.items():
        if output.interlock:
            groups[output.interlock].append(name)
    found += [
        Fault(f"$.gpio.{names[0]}.interlock", f"nobody else is in {group}")
        for group, names in groups.items()
        if len(names) == 1
    ]
    return found


def _lines(
    outputs: Mapping[str, Gpio], inputs: Mapping[str, Input]
) -> Iterator[tuple[str, str, str, int, str]]:
    for name, output in outputs.items():
        if output.driver != "virtual":
            chip = output.chip if output.driver == "gpiod" else "gpiozero"
            yield f"$.gpio.{name}", "line", chip, output.line, name
    for name, it in inputs.items():
        if it.driver == "gpiod":
            keys = ("line", "line_2" if it.line_2 is not None else "tamper_line")
            for key, line in zip(keys, it.lines, strict=False):
                # One input with the same line twice is two users of it.
                user = name if key == "line" else f"{name}.{key}"
                yield f"$.input.{name}", key, it.chip, line, user


def _unfit_output(at: str, output: Gpio, outputs: Mapping[str, Gpio]) -> Iterator[Fault]:
    if output.driver == "gpiod" and not output.chip:
        yield Fault(f"{at}.chip", "is missing")
    if output.driver == "gpiozero" and output.active_low:
        yield Fault(
            f"{at}.driver",
            "gpiozero drives a line low before its level, a pulse of what is active-low: use gpiod",
        )
    rests_on = output.safe == "on" or output.crash
    limited = output.max_on_s is not None or output.pulse_ms is not None
    if rests_on and limited:
        yield Fault(f"{at}.safe", "what rests on has no max_on_s or pulse_ms")
    if rests_on and output.interlock:
        yield Fault(f"{at}.interlock", "what rests on would keep the others of it off for good")
    if output.washer is not None and (
        output.washer not in outputs or outputs[output.washer].kind != "washer"
    ):
        yield Fault(f"{at}.washer", f"the board has no output {output.washer} of kind washer")
    if output.kind == "siren" and not limited and not rests_on:
        yield Fault(f"{at}.max_on_s", "is missing: a siren must end by itself")


def _unfit_input(at: str, it: Input) -> Iterator[Fault]:
    if it.driver == "iio":
        yield from _unfit_adc(at, it)
    elif it.driver == "gpiod" and not it.chip:
        yield Fault(f"{at}.chip", "is missing")
    if it.line_2 is not None and it.contact != "eol":
        yield Fault(f"{at}.line_2", 'only with contact = "eol"')
    if it.contact == "eol" and it.tamper_line is not None:
        yield Fault(f"{at}.tamper_line", "an eol line shows tampering already")
    if it.contact == "eol" and it.driver == "gpiod" and it.line_2 is None:
        yield Fault(f"{at}.contact", "eol wants two lines (line_2) or an ADC")
    if len(it.meanings) != it.levels:
        yield Fault(f"{at}.states", f"must be {it.levels}, one for each level")
    if it.states and "normal" not in it.states:
        yield Fault(f"{at}.states", "one of them must be normal")


def _unfit_adc(at: str, it: Input) -> Iterator[Fault]:
    if not it.adc:
        yield Fault(f"{at}.adc", "is missing")
    if not it.thresholds or any(b <= a for a, b in itertools.pairwise(it.thresholds)):
        yield Fault(f"{at}.thresholds", "are one to three rising raw values")
