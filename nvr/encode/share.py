"""Who gets which encoder: a rule over what is asked and what there is, without any state.

In the order of their priority, and among equals in that of the configuration, each gets the first
encoder of the board's that works, that it has not just failed with, and that still has a session
and pixels left. What the processor encodes shares one budget: all use one preset, the slowest with
which all of them fit, and who does not fit with the fastest is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nvr.media.track import VideoCodec

SOFTWARE: Final = frozenset({"x264", "x265", "gst-x264", "gst-openh264"})
"""What works on the processor."""
MOST_PRIORITY: Final = 9
"""Of main streams; a second stream asks with less than the least of them."""
_UNMEASURED: Final = {"": 0.02}
"""Processor seconds of a million pixels, where no trial has said."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one stream needs.

    Attributes:
        stream: Its name.
        codec: ``h264`` or ``h265``.
        mpixel_s: Million pixels a second.
        priority: Higher goes first.
        only: The encoder that it must be, empty for any.
        failed: Encoders that it has just failed with.
    """

    stream: str
    codec: VideoCodec
    mpixel_s: float
    priority: int = 5
    only: str = ""
    failed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Has:
    """One encoder of the board that works.

    Attributes:
        name: Its name.
        codecs: What it makes.
        sessions: Streams at once.
        mpixel_s: Million pixels a second, of all streams together.
        costs: By codec and preset: processor seconds of a million pixels, the slowest first.
    """

    name: str
    codecs: frozenset[VideoCodec]
    sessions: int = 64
    mpixel_s: float = float("inf")
    costs: Mapping[VideoCodec, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one stream gets.

    Attributes:
        encoder: Its name, empty if it gets none.
        preset: Of an encoder that has such.
        code: Why it gets none.
        detail: A sentence to go with it.
        instead_of: What it would have had if that had worked, or had had room.
    """

    encoder: str
    preset: str = ""
    code: str = ""
    detail: str = ""
    instead_of: str = ""


def share(asks: Sequence[Ask], board: Sequence[Has], cores: float) -> dict[str, Grant]:
    """Decide for all streams of the box.

    Args:
        asks: In the order of the configuration.
        board: In the order of preference.
        cores: Processors that encoding may use together.

    Returns:
        A grant for each stream.
    """
    used = {has.name: [0, 0.0] for has in board}
    soft: list[tuple[Ask, Has]] = []
    grants: dict[str, Grant] = {}
    for ask in sorted(asks, key=lambda one: -one.priority):
        fitting = [h for h in board if ask.codec in h.codecs and ask.only in {"", h.name}]
        if not fitting:
            named = f"{ask.only} does" if ask.only else "no encoder of this box does"
            grants[ask.stream] = Grant("", code="encoder.none", detail=f"{named} {ask.codec} here")
            continue
        tried = [has for has in fitting if has.name not in ask.failed] or fitting
        for has in tried:
            sessions, mpixel_s = used[has.name]
            if sessions >= has.sessions or mpixel_s + ask.mpixel_s > has.mpixel_s:
                continue
            if has.name in SOFTWARE:
                if load([*soft, (ask, has)], fastest=True) > cores:
                    continue
                soft.append((ask, has))
            used[has.name] = [sessions + 1, mpixel_s + ask.mpixel_s]
            first = fitting[0].name
            grants[ask.stream] = Grant(has.name, instead_of="" if has.name == first else first)
            break
        else:
            grants[ask.stream] = Grant("", code="encoder.busy", detail=_full(ask, tried, cores))
    for ask, has in soft:
        preset = _preset(ask, has, soft, cores)
        was = grants[ask.stream]
        grants[ask.stream] = Grant(has.name, preset, instead_of=was.instead_of)
    return {ask.stream: grants[ask.stream] for ask in asks}


def load(soft: Sequence[tuple[Ask, Has]], *, fastest: bool = False, step: int = 0) -> float:
    """Processors that these take together, each with the `step`-th preset or its fastest."""
    total = 0.0
    for ask, has in soft:
        costs = [*(has.costs.get(ask.codec) or _UNMEASURED).values()]
        total += ask.mpixel_s * costs[-1 if fastest else min(step, len(costs) - 1)]
    return total


def _preset(ask: Ask, has: Has, soft: Sequence[tuple[Ask, Has]], cores: float) -> str:
    presets = [*(has.costs.get(ask.codec) or _UNMEASURED)]
    most = max(len(each.costs.get(one.codec) or _UNMEASURED) for one, each in soft)
    for step in range(most):
        if load(soft, step=step) <= cores:
            return presets[min(step, len(presets) - 1)]
    return presets[-1]


def _full(ask: Ask, tried: Sequence[Has], cores: float) -> str:
    if any(has.name in SOFTWARE for has in tried):
        return (
            f"{ask.mpixel_s:.1f} million pixels a second are more than what is left of"
            f" {cores:.2g} processors for encoding"
        )
    return f"all sessions of {', '.join(has.name for has in tried)} are taken"
