"""The board file: what this box has, by names that do not move between kernels.

A board's `proof` is the report of a bench run; without one the board is untested, and says so.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from nvr.base.errors import Misconfigured
from nvr.base.shape import Fault, faults
from nvr.hal.board_gpio import Gpio, Input, Name, Offset, Watchdog, unfit

Baud = Literal[2400, 4800, 9600, 19200]
Direction = Literal["auto", "kernel", "rts", "none"]
BAUDS: tuple[Baud, ...] = (2400, 4800, 9600, 19200)


class Serial(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A serial line: with decoders on it, or with a keyboard or matrix that we listen to.

    ``driver = "virtual"``: `path` is relative to the simulator's directory. ``receive = false``:
    only the sending pair is wired, so heads are never asked where they point. ``role = "tap"``: a
    line that another controller drives; nothing is ever written there.
    """

    path: Annotated[str, Meta(min_length=1)]
    role: Literal["decoder", "keyboard", "tap"] = "decoder"
    driver: Literal["linux", "virtual"] = "linux"
    # None: 2400 with decoders, else all of them are tried.
    baud: Baud | None = None
    direction: Direction = "auto"
    gap_ms: Annotated[int, Meta(ge=0, le=1000)] = 80
    receive: bool = True

    @property
    def bauds(self) -> tuple[Baud, ...]:
        """The rate, or those to try."""
        if self.baud is not None:
            return (self.baud,)
        return (2400,) if self.role == "decoder" else BAUDS


class Port(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A serial port that the board has, whether something hangs on it or not.

    While a line of ``[serial]`` uses it, the GPIO lines `pins` of `chip` are its own. `direction`
    is what its driver can do; `overlay` the device-tree overlay (``board/overlays``) that it wants.
    """

    path: Annotated[str, Meta(min_length=1)]
    chip: str = ""
    pins: Annotated[tuple[Offset, ...], Meta(max_length=8)] = ()
    direction: Annotated[tuple[Direction, ...], Meta(min_length=1)] = ("auto", "none")
    overlay: Name | None = None


class Dome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated dome: a process of its own behind a pseudo-terminal and an RTSP port."""

    name: Name = "dome"
    rtsp_port: Annotated[int, Meta(ge=1, le=65535)] = 8654


class Encoder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An encoder this board may have; whether it works, a trial says at the start.

    What is listed first is used first. `sessions` and `mpixel_s` are what it bears: streams at
    once, and million pixels a second (1080p at 25 is 52).
    """

    name: Name
    codecs: Annotated[tuple[Literal["h264", "h265"], ...], Meta(min_length=1)] = ("h264",)
    sessions: Annotated[int, Meta(ge=1, le=64)] = 64
    mpixel_s: Annotated[float, Meta(gt=0)] | None = None


class Board(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole board file.

    `compatible` is what the device tree of such a board says (`nvr.hal.detect`); with `machine`
    it is taken on every machine of that kind which no other board fits. `start` is the
    configuration written when the box has none yet.
    """

    schema: Literal[1]
    id: Name
    title: str
    compatible: list[str] = []
    machine: Literal["aarch64", "x86_64"] | None = None
    proof: str | None = None
    port: dict[Name, Port] = {}
    serial: dict[Name, Serial] = {}
    gpio: dict[Name, Gpio] = {}
    input: dict[Name, Input] = {}
    # Off unless it is named.
    watchdog: Watchdog | None = None
    dome: Dome | None = None
    # Simulated USB sticks: directories under ``sim/usb``.
    sticks: Annotated[list[Name], Meta(max_length=4)] = []
    start: str = "schema = 1\n"
    encoder: Annotated[tuple[Encoder, ...], Meta(max_length=8)] = (
        Encoder(name="x264"),
        Encoder(name="x265", codecs=("h265",)),
    )
    # Processors that encoding may use; None: half of those there are.
    encode_cores: Annotated[float, Meta(gt=0, le=256)] | None = None


def check(text: str) -> list[Fault]:
    """Every fault of a board file."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        return [Fault("$", f"not TOML: {err}")]
    return faults(tree, Board) or _unfit(msgspec.convert(tree, Board))


def load(path: Path) -> Board:
    """Read and check a board file.

    Raises:
        Misconfigured: ``board.missing`` or ``board.invalid`` with every fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise Misconfigured("board.missing", str(err), file=str(path)) from err
    found = check(text)
    if found:
        raise Misconfigured("board.invalid", "; ".join(map(str, found)), file=str(path))
    return parse(text)


def parse(text: str) -> Board:
    """Read a board file in which `check` has found no fault."""
    return msgspec.convert(tomllib.loads(text), Board)


def _unfit(board: Board) -> list[Fault]:
    found = unfit(board.gpio, board.input, _pins(board))
    tables = (("serial", board.serial), ("gpio", board.gpio), ("input", board.input))
    paths: dict[str, str] = {}
    for name, line in board.serial.items():
        before = paths.setdefault(line.path, name)
        if before != name:
            found.append(Fault(f"$.serial.{name}.path", f"{line.path} is already {before}"))
        found += [
            Fault(f"$.serial.{name}.direction", f"port {key} can do {' or '.join(port.direction)}")
            for key, port in board.port.items()
            if port.path == line.path and line.direction not in port.direction
        ]
    virtual = [
        f"$.{table}.{name}"
        for table, parts in tables
        for name, part in parts.items()
        if part.driver == "virtual"
    ]
    if virtual and board.dome is None:
        found.append(Fault(virtual[0], "is virtual, but the board has no [dome]"))
    return found


def _pins(board: Board) -> Iterator[tuple[str, str, str, int, str]]:
    """Lines that serial ports in use have taken. See `nvr.hal.board_gpio.unfit`."""
    used = {line.path for line in board.serial.values()}
    for name, port in board.port.items():
        if port.path in used:
            for pin in port.pins:
                yield f"$.port.{name}", "pins", port.chip, pin, f"port {name}"
