"""`nvr ptz monitor`: what goes over a line, one frame a line of text."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterable, Sequence

import msgspec

from nvr.base.clock import SystemClock
from nvr.cli import where
from nvr.cli.console import running
from nvr.cli.ptz_scan import Open
from nvr.media.desk import Overheard, Words
from nvr.ptz.journal import Journal
from nvr.ptz.keyboard_line import KeyboardLine, LineNews
from nvr.ptz.words import sentence

_LOOK_S = 0.1
_ASK_S = 0.5
_ARROWS = {"out": "->", "in": "<-"}


class _Heard(msgspec.Struct, frozen=True):
    number: int
    at_us: int
    way: str
    hex: str
    protocol: str
    address: int
    words: list[tuple[str, int]]


class _Answer(msgspec.Struct, frozen=True):
    heard: list[_Heard]


def listen(open_port: Open, bauds: Sequence[int]) -> int:
    """Listen to a line until Ctrl-C."""
    clock = SystemClock()
    journal = Journal(clock)
    line = KeyboardLine("monitor", open_port, bauds, clock=clock, tell=_news, overheard=journal.add)
    line.start()
    after = 0
    try:
        while True:
            after = show(journal.after(after), after)
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        return 0
    finally:
        line.close()


def follow(chosen: argparse.Namespace) -> int:
    """Show what the running recorder says and hears on a line, until Ctrl-C."""
    after = 0
    with running(chosen) as box, contextlib.suppress(KeyboardInterrupt):
        while True:
            told = box.ask("GET", f"/api/serial/{chosen.line}/monitor?after={after}")
            found = msgspec.convert(told, _Answer).heard
            after = show(
                [
                    Overheard(
                        one.number, one.at_us, "out" if one.way == "out" else "in",
                        bytes.fromhex(one.hex), one.protocol, one.address, tuple(one.words),
                    )
                    for one in found
                ],
                after,
            )  # fmt: skip
            time.sleep(_ASK_S)
    return 0


def show(found: Iterable[Overheard], after: int) -> int:
    """Print what was overheard; returns the number of the last."""
    for one in found:
        print(told(one), flush=True)
        after = one.number
    return after


def told(one: Overheard) -> str:
    """Return one line of text."""
    at = where.local(one.at_us).strftime("%H:%M:%S.%f")[:-3]
    meaning = _meaning(one.protocol, one.address, one.words)
    return f"{at}  {_ARROWS[one.way]}  {one.data.hex(' ').upper():<24} {meaning}".rstrip()


def _meaning(protocol: str, address: int, words: Words) -> str:
    if not protocol:
        return "no frame"
    whom = f" address {address}" if address else ""
    return f"{protocol[-1].upper()}{whom}: {sentence(words)}"


def _news(news: LineNews) -> None:
    if news.kind == "found":
        sys.stderr.write(f"{news.baud} baud, {news.protocol}\n")
    elif news.kind == "searching":
        sys.stderr.write(f"listening at {news.baud} baud\n")
    elif news.kind == "lost":
        sys.stderr.write(f"the port is gone: {news.detail}\n")
