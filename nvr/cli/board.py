"""`nvr board`: what a board file says this box has, and what of it was ever proven."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from nvr.hal import board, detect
from nvr.hal.board_gpio import Gpio, Input

HELP = "a board file, such as board/virtual.toml, or auto: /etc/nvr/board.toml, else by the machine"


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "board",
        help="which board this is, and what it has",
        description="Prints which board this machine is and why, or what a board file describes: "
        "serial ports and lines, outputs, encoders, and whether a bench run has proven it.",
    )
    parser.add_argument(
        "file", type=Path, nargs="?", default=detect.AUTO, metavar="BOARD", help=HELP
    )
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the board."""
    file = detect.locate(chosen.file)
    found = board.load(file.path)
    print(f"{found.id}: {found.title}")
    print(f"  file    {file.path}: {file.why}")
    if found.dome:
        proof = "simulated: what the tests run on"
    else:
        proof = f"proven by {found.proof}" if found.proof else "untested: no bench report yet"
    print(f"  proof   {proof}")
    for name, port in found.port.items():
        there = "" if Path(port.path).exists() else ", not there now"
        wants = f", wants the overlay {port.overlay}" if port.overlay else ""
        takes = f", takes {port.chip}:{'+'.join(map(str, port.pins))}" if port.pins else ""
        print(f"  port    {name}: {port.path}{takes}{wants}{there}")
    for name, line in found.serial.items():
        bauds = " or ".join(map(str, line.bauds))
        how = f"{line.role}, {bauds} baud, direction {line.direction}, {line.driver}"
        print(f"  serial  {name}: {line.path}, {how}")
    for name, output in found.gpio.items():
        where = f"{output.chip}:{output.line}" if output.driver == "gpiod" else output.driver
        where = f"gpiozero GPIO{output.line}" if output.driver == "gpiozero" else where
        print(f"  output  {name}: {output.kind}, {where}, {', '.join(_rules(output))}")
    for name, it in found.input.items():
        print(f"  input   {name}: {it.contact}, {_place(it)}, {', '.join(it.meanings)}")
    if found.watchdog:
        print(f"  watchdog {found.watchdog.device}: {found.watchdog.timeout_s} s")
    for one in found.encoder:
        most = f", at most {one.sessions} streams" if one.sessions < 64 else ""
        most += f", {one.mpixel_s:g} million pixels a second" if one.mpixel_s else ""
        print(f"  encoder {one.name}: {', '.join(one.codecs)}{most}; `nvr encoder` tries it")
    if found.dome:
        print(
            f"  dome    {found.dome.name}: rtsp://127.0.0.1:{found.dome.rtsp_port}/{found.dome.name}"
        )
    return 0


def _rules(output: Gpio) -> Iterator[str]:
    yield f"safe {output.safe}"
    if output.on_crash is not None and output.on_crash != output.safe:
        yield f"{output.on_crash} after a crash"
    if output.active_low:
        yield "active low"
    if output.pulse_ms is not None:
        yield f"pulses of {output.pulse_ms} ms"
    if output.max_on_s is not None:
        yield f"at most {output.max_on_s:g} s on"
    if output.min_off_s:
        yield f"at least {output.min_off_s:g} s off"
    if output.interlock:
        yield f"one of {output.interlock} at a time"


def _place(it: Input) -> str:
    if it.driver == "iio":
        return f"{it.adc} channel {it.channel}"
    return it.driver if it.driver == "virtual" else f"{it.chip}:{'+'.join(map(str, it.lines))}"
