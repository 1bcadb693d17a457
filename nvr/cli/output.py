"""`nvr output`: the outputs and alarm inputs of the running box, seen and switched."""

import argparse
import sys
import time

import msgspec

from nvr.cli import where
from nvr.cli.camera import span, table
from nvr.cli.console import add_account, running
from nvr.media.gpio import InputView, OutputView

_DESCRIPTION = """\
Asks the running recorder for its outputs and alarm inputs, or switches one. Signs in
as an account of the page, whose password is asked for or read from standard input.
Its limits hold whoever switches: the longest time on, the rest after it, interlocks.
"""
_EXAMPLES = """\
examples:
  nvr output                        all outputs and inputs, one a line
  nvr output lamp on                switch it; off, pulse as well
  nvr output wiper wipe             one stroke
  nvr output wiper wipe --every 15 --strokes 2      two strokes every 15 s, until
  nvr output wiper off                              this
  nvr output wiper wipe --wash 2 --strokes 3        spray for 2 s, then three strokes
  nvr output --json                 for a program

ends with 1 if an input is not as it should be, or an output does not answer
"""


class _Output(msgspec.Struct, frozen=True):
    output: OutputView
    may: list[str]


class _Lines(msgspec.Struct, frozen=True):
    now_us: int
    outputs: list[_Output]
    inputs: list[InputView]


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "output",
        help="relays, wipers, lamps and alarm inputs: see and switch them",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add_data(parser)
    parser.add_argument("name", nargs="?", metavar="NAME", help="an output of the board")
    parser.add_argument("do", nargs="?", choices=("on", "off", "pulse", "wipe"))
    parser.add_argument("--strokes", type=int, default=1, metavar="N", help="strokes of a wipe")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--every", type=float, metavar="S", help="again every S seconds")
    how.add_argument("--wash", type=float, metavar="S", help="spray for S seconds before")
    parser.add_argument("--json", action="store_true", help="what the recorder answers, as JSON")
    add_account(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Show or switch."""
    if chosen.name and not chosen.do:
        print(f"what? nvr output {chosen.name} on, off, pulse or wipe", file=sys.stderr)
        return 2
    with running(chosen) as box:
        if not chosen.name:
            told = box.ask("GET", "/api/line")
            found = msgspec.convert(told, _Lines)
            if chosen.json:
                sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
            else:
                _show(found)
            return int(_wrong(found))
        path = f"/api/output/{chosen.name}"
        if chosen.do == "wipe":
            box.ask("POST", f"{path}/wipe", _wipe(chosen))
        else:
            box.ask("POST", path, {"do": chosen.do})
    print(f"{chosen.name}: {chosen.do}")
    return 0


def _wipe(chosen: argparse.Namespace) -> dict[str, object]:
    wish: dict[str, object] = {"program": "single", "strokes": chosen.strokes}
    if chosen.every is not None:
        wish |= {"program": "intermittent", "every_s": chosen.every}
    if chosen.wash is not None:
        wish |= {"program": "wash", "wash_s": chosen.wash}
    return wish


def _wrong(found: _Lines) -> bool:
    return any(not each.output.online for each in found.outputs) or any(
        one.storm or one.state != "normal" for one in found.inputs
    )


def _show(found: _Lines) -> None:
    if not found.outputs and not found.inputs:
        print("no outputs or inputs")
    rows: list[tuple[str, ...]] = []
    for each in found.outputs:
        one = each.output
        state = ("on" if one.on else "off") if one.online else "DOES NOT ANSWER"
        rows.append(("output", one.name, one.kind, state, _since(one.since_us), _about(one)))
    for it in found.inputs:
        state = "STORM" if it.storm else it.state or "NOT THERE"
        said = f"{it.edges} edges, {it.changes} changes, {it.storms} storms"
        rows.append(("input", it.name, it.contact, state, _since(it.since_us), said))
    table(rows)


def _about(one: OutputView) -> str:
    said = []
    if one.wiping:
        said.append(f"wipes: {one.wiping}")
    if one.left_s is not None:
        said.append(f"{one.left_s:.0f} s left")
    if one.wait_s:
        said.append(f"rests for {one.wait_s:.0f} s")
    if one.blocked_by:
        said.append(f"kept off by {one.blocked_by}")
    if "on" not in _possible(one):
        said.append("pulse only")
    return ", ".join(said)


def _possible(one: OutputView) -> tuple[str, ...]:
    return ("pulse", "off") if one.pulse_ms is not None else ("on", "off", "pulse")


def _since(since_us: int) -> str:
    return span((time.time_ns() // 1000 - since_us) / 1e6) if since_us else ""
