"""Which of the shipped boards this machine is, and why.

A device tree names its board from the closest name to the widest: ``raspberrypi,4-model-b``,
``brcm,bcm2711``. The first of them that a board file lists decides. Without one (a PC, a board that
boots by ACPI) it is the file for all machines of that kind.

Source: Devicetree Specification 0.4, 2.3.1 ``compatible``.
"""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nvr.base.errors import Misconfigured
from nvr.base.shipped import shipped
from nvr.hal.board import Board, load

AUTO = Path("auto")
OWN = Path("/etc/nvr/board.toml")
TREE = Path("/proc/device-tree")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine says of itself.

    Attributes:
        kind: ``aarch64``, ``x86_64``.
        model: Its name for people, empty without a device tree.
        compatible: Its names for programs, the closest first.
    """

    kind: str
    model: str = ""
    compatible: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A board file, and why it is this one."""

    path: Path
    why: str


def machine(tree: Path = TREE) -> Machine:
    """Return what this machine says of itself."""
    return Machine(platform.machine(), "".join(_texts(tree / "model")), _texts(tree / "compatible"))


def detect(it: Machine, boards: Iterable[tuple[Path, Board]]) -> Found | None:
    """Return the board that a machine is, None if none fits."""
    known = list(boards)
    named = {name: path for path, board in known for name in board.compatible}
    for name in it.compatible:
        if name in named:
            return Found(named[name], f"the device tree says {name}: {it.model or 'no model'}")
    for path, board in known:
        if board.machine == it.kind:
            closer = f"knows a {it.model}" if it.model else "fits closer"
            return Found(path, f"it is an {it.kind}, and no board file {closer}")
    return None


def locate(wanted: Path, it: Machine | None = None) -> Found:
    """Return the board file that is meant.

    Args:
        wanted: A file, or ``auto``: the owner's own file if there is one, else the shipped one
            that this machine is.
        it: The machine, None for this one.

    Raises:
        Misconfigured: ``board.unknown``.
    """
    if wanted != AUTO:
        return Found(wanted, "it was named")
    if OWN.exists():
        return Found(OWN, "it is there")
    it = it or machine()
    found = detect(it, ((path, load(path)) for path in sorted(shipped("board").glob("*.toml"))))
    if found is None:
        raise Misconfigured("board.unknown", "no board file fits this machine", machine=it.kind)
    return found


def load_board(wanted: Path) -> Board:
    """Read the board file that is meant. See `locate`, `nvr.hal.board.load`."""
    return load(locate(wanted).path)


def _texts(file: Path) -> tuple[str, ...]:
    try:
        return tuple(filter(None, file.read_bytes().decode("utf-8", "replace").split("\0")))
    except OSError:
        return ()
