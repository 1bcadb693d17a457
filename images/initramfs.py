"""The archive that the boot loader gives the kernel: `images/init`, and what it calls.

Nothing of it runs here: programs and libraries are copied out of the unpacked packages, the
archive's bytes are written here. Two calls on the same files give the same bytes.
"""

import lzma
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
PROGRAMS = ("usr/sbin/dmsetup", "usr/sbin/sfdisk", "usr/bin/busybox")
DRIVERS = (
    "ata", "block/virtio_blk", "bus", "clk", "firmware", "gpio", "i2c/busses", "iommu", "mfd",
    "mmc", "nvme", "pci/controller", "phy", "pinctrl", "power/sequencing", "regulator", "reset",
    "scsi/sd_mod", "usb/chipidea", "usb/core", "usb/dwc2", "usb/dwc3", "usb/host", "usb/storage",
    "virtio",
)  # fmt: skip
"""What a board may need on the way to its disk, below kernel/drivers."""
OTHERS = (
    "kernel/fs/ext4", "kernel/fs/squashfs", "kernel/drivers/md/dm-verity",
    "kernel/arch/arm64/crypto",
    "kernel/crypto/crc32c_generic", "kernel/crypto/sha256_generic",
)  # fmt: skip
_LIBRARY = PurePosixPath("usr/lib/aarch64-linux-gnu")


def libraries(program: Path, roots: Iterable[Path]) -> set[Path]:
    """Return the shared libraries a program needs, and theirs, with the loader.

    Raises:
        FileNotFoundError: One is in none of the roots.
    """
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - comes with auditwheel

    found: set[Path] = set()
    left = [program]
    while left:
        with left.pop().open("rb") as file:
            dynamic = ELFFile(file).get_section_by_name(".dynamic")
            tags = dynamic.iter_tags("DT_NEEDED") if dynamic else ()
            names = [tag.needed for tag in tags]
        for name in names:
            places = [root / _LIBRARY / name for root in roots]
            path = next((place for place in places if place.exists()), None)
            if path is None:
                raise FileNotFoundError(f"{program.name} needs {name}, which no package has")
            if path not in found:
                found.add(path)
                left.append(path)
    return found


def modules(tree: Path) -> list[str]:
    """Return the kernel's modules that are taken, paths below its directory.

    Args:
        tree: ``usr/lib/modules/VERSION``, with the lists of depmod.
    """
    needs = {}
    for line in (tree / "modules.dep").read_text().splitlines():
        name, _, others = line.partition(":")
        needs[name] = others.split()
    wanted = (*(f"kernel/drivers/{name}" for name in DRIVERS), *OTHERS)
    taken: set[str] = set()
    for name, others in needs.items():
        if name.startswith(tuple(f"{one}{end}" for one in wanted for end in ("/", ".ko"))):
            taken |= {name, *others}
    return sorted(taken)


def make(root: Path, early: Path, out: Path) -> None:
    """Make the archive.

    Args:
        root: Of the image, `images.root.make`.
        early: What that returned.
        out: The file, compressed.
    """
    with tempfile.TemporaryDirectory(prefix="nvr-initramfs-") as made:
        place = Path(made)
        for name in ("bin", "dev", "lib", "proc", "sys", "root", "usr/lib"):
            (place / name).mkdir(parents=True)
        (place / "init").write_bytes((ROOT / "images/init").read_bytes())
        (place / "init").chmod(0o755)
        for name in PROGRAMS:
            program = next(each for each in (root / name, early / name) if each.exists())
            (place / "bin" / program.name).write_bytes(program.read_bytes())
            (place / "bin" / program.name).chmod(0o755)
            for library in libraries(program, (root, early)):
                (place / "lib" / library.name).write_bytes(library.read_bytes())
                (place / "lib" / library.name).chmod(0o755)
        (place / "bin/sh").symlink_to("busybox")
        (place / "sbin").symlink_to("bin")  # where the kernel looks for modprobe
        tree = next((root / "usr/lib/modules").iterdir())
        into = place / "lib/modules" / tree.name
        for name in modules(tree):
            # The whole is compressed once more: what is packed twice is larger.
            plain = into / name.removesuffix(".xz")
            plain.parent.mkdir(parents=True, exist_ok=True)
            data = (tree / name).read_bytes()
            plain.write_bytes(lzma.decompress(data) if name.endswith(".xz") else data)
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            (into / name).write_bytes((tree / name).read_bytes())
        subprocess.run(["depmod", "-b", place, tree.name], check=True)
        archive = out.with_suffix(".cpio")
        archive.write_bytes(cpio(place))
        subprocess.run(["zstd", "-q", "-f", "-T1", "-15", "--rm", archive, "-o", out], check=True)


def cpio(tree: Path) -> bytes:
    """Return a directory as an archive of the kernel's kind, everything root's and of 1970.

    Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst ("newc").
    """
    parts = []
    names = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*"))
    for number, name in enumerate([*names, "TRAILER!!!"], start=1):
        mode, data = 0, b""
        if name != "TRAILER!!!":
            path = tree / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                data = os.readlink(path).encode()
            elif stat.S_ISREG(mode):
                data = path.read_bytes()
            mode = stat.S_IFMT(mode) | (0o755 if mode & 0o100 or not stat.S_ISREG(mode) else 0o644)
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]
    return b"".join(parts)
