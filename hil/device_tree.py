"""What a kernel's device trees say of our board files and overlays.

    python -m hil.device_tree        fetches the trees of Debian trixie's kernel for arm64, tries
                                     our boards on them, keeps hil/reports/device_tree.json

A tree that fits is no board that ran: timing, voltage and wiring are not in it. Needs
device-tree-compiler. Raspberry Pi OS and JetPack have trees of their own, which were not tried.
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hil.report import keep
from images.archive import BUILD, ROOT, Archive, unpack
from nvr.hal.board import load
from nvr.hal.detect import Machine, detect

OVERLAYS = ROOT / "board/overlays"
ARCHIVE = Archive("trixie", "arm64")
TREES = {
    "rpi4": ("broadcom/bcm2711-rpi-4-b", "broadcom/bcm2711-rpi-400"),
    "rpi-cm4": ("broadcom/bcm2711-rpi-cm4-io",),
    "rpi5": ("broadcom/bcm2712-rpi-5-b",),
    "rpi-zero2w": (
        "broadcom/bcm2837-rpi-zero-2-w", "broadcom/bcm2837-rpi-3-b",
        "broadcom/bcm2837-rpi-3-b-plus",
    ),
    "jetson-nano": ("nvidia/tegra210-p3450-0000",),
    "generic-arm64": ("rockchip/rk3399-nanopi-r4s", "rockchip/rk3588-rock-5b"),
}  # fmt: skip
"""Boards, and the kernel's trees that must be taken for them; of an Orin or Xavier it has none."""


class Wrong(Exception):
    """A tree does not have what an overlay wants."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A compiled device tree."""

    path: Path

    def texts(self, node: str, key: str) -> list[str]:
        """Return a property's strings, none if it is not there."""
        done = subprocess.run(
            ["fdtget", "-t", "s", self.path, node, key], capture_output=True, text=True, check=False
        )
        return done.stdout.split() if done.returncode == 0 else []

    def numbers(self, node: str, key: str) -> list[int]:
        """Return a property's cells, none if it is not there."""
        done = subprocess.run(
            ["fdtget", "-t", "u", self.path, node, key], capture_output=True, text=True, check=False
        )
        return [int(word) for word in done.stdout.split()] if done.returncode == 0 else []

    def has(self, node: str, key: str) -> bool:
        """Whether a node has a property."""
        done = subprocess.run(
            ["fdtget", "-p", self.path, node], capture_output=True, text=True, check=False
        )
        return key in done.stdout.split()

    def status(self, node: str) -> str:
        """Whether a device is on: ``okay`` unless its tree says else."""
        return "".join(self.texts(node, "status")).strip() or "okay"

    def label(self, name: str) -> str:
        """Return the path of a labelled node.

        Raises:
            Wrong: There is none.
        """
        found = self.texts("/__symbols__", name)
        if not found:
            raise Wrong(f"the tree has no label {name}")
        return found[0].strip()

    @property
    def machine(self) -> Machine:
        """What a board with it says of itself."""
        names = tuple(name.strip() for name in self.texts("/", "compatible"))
        return Machine("aarch64", " ".join(self.texts("/", "model")).strip(), names)


def compiled(source: Path, place: Path, *words: str) -> Path:
    """Compile a tree or an overlay, with further words for the compiler; a warning is wrong too.

    Raises:
        Wrong: With what it said.
    """
    out = place / f"{source.stem}.dtb"
    command = ["dtc", "-@", "-I", "dts", "-O", "dtb", *words, "-o", out, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        raise Wrong(done.stderr.strip())
    return out


def lay(base: Tree, source: Path, place: Path) -> Tree:
    """Apply an overlay to a tree, and look whether all it is for is in the result.

    Raises:
        Wrong: What is not.
    """
    out = Tree(place / f"{base.path.stem}+{source.stem}.dtb")
    words = ["fdtoverlay", "-i", base.path, "-o", out.path, compiled(source, place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong(done.stderr.strip())
    port = out.label("uart3" if "uart3" in source.stem else "uart0")
    if out.status(port) != "okay":
        raise Wrong(f"{port} is off")
    if "rs485" in source.stem and not out.has(port, "linux,rs485-enabled-at-boot-time"):
        raise Wrong(f"{port} has no RS-485")
    if "uart3" in source.stem:
        if out.texts("/aliases", "serial3") != [port]:
            raise Wrong(f"{port} is not /dev/ttyAMA3")
    else:
        if out.status(f"{port}/bluetooth") != "disabled":
            raise Wrong("Bluetooth is on")
        if out.status(out.label("uart1")) != "disabled":
            raise Wrong("two ports are on GPIO 14 and 15")
    return out


def pins(tree: Tree, port: str) -> list[int]:
    """Return the GPIO lines that a port's default state takes."""
    wanted = set(tree.numbers(port, "pinctrl-0"))
    gpio = tree.label("gpio")
    listed = subprocess.run(
        ["fdtget", "-l", tree.path, gpio], capture_output=True, text=True, check=True
    )
    nodes = [f"{gpio}/{name}" for name in listed.stdout.split()]
    return sorted(
        pin
        for node in nodes
        if wanted & set(tree.numbers(node, "phandle"))
        for pin in tree.numbers(node, "brcm,pins")
    )


def examine(place: Path) -> dict[str, dict[str, object]]:
    """Try every board on every tree that must be one."""
    files = {path.stem: path for path in sorted((ROOT / "board").glob("*.toml"))}
    boards = [(path, load(path)) for path in files.values()]
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as made:
        for name, stems in TREES.items():
            for stem in stems:
                tree = Tree(place / f"{stem}.dtb")
                got = detect(tree.machine, boards)
                told: dict[str, object] = {"model": tree.machine.model}
                told["passed"] = got is not None and got.path == files[name]
                told["why"] = got.why if got else ""
                wanted = {port.overlay for port in load(files[name]).port.values() if port.overlay}
                if wanted:
                    wanted.add("rpi-bluetooth-off")
                for overlay in sorted(wanted):
                    try:
                        lay(tree, OVERLAYS / f"{overlay}.dts", Path(made))
                        told[overlay] = "applied"
                    except Wrong as err:
                        told[overlay], told["passed"] = str(err), False
                found[stem] = told
    return found


def main() -> int:
    """Fetch the trees, try, keep the report."""
    ARCHIVE.update()
    (image,) = (
        one for one in ARCHIVE.closure("linux-image-arm64") if re.match(r"linux-image-\d", one)
    )
    place = BUILD / "device-tree"
    (package,) = ARCHIVE.fetch(image)
    unpack(package, place, only="./usr/lib/linux-image-*")
    trees = next((place / "usr/lib").glob("linux-image-*"))
    found = examine(trees)
    failed = sum(1 for one in found.values() if not one["passed"])
    kept = keep(
        "device_tree",
        "python -m hil.device_tree",
        "trees as files; no board",
        {"kernel": f"{image}, Debian {ARCHIVE.suite}", "failed": failed, "trees": found},
    )
    print(json.dumps(kept, indent=1, ensure_ascii=False))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
