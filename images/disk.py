"""One file for a disk: boot partition, two slots, settings, data; no loop device, nothing mounted.

| partition  | MiB | |
|------------|-----|-|
| nvr-esp    | 192 | FAT: systemd-boot, kernels, how often each slot may be tried |
| nvr-a      | 640 | squashfs, never written to, with the hash tree of dm-verity behind it |
| nvr-b      | 640 | the other slot, empty until the first update |
| nvr-config |  32 | /etc/nvr: the owner's board file, the box's identity; kept by every update |
| nvr-data   | 128 | /var: settings, keys, recordings; all the rest from the first start on |

Sources: UEFI 2.10, 5.3 (GPT); the UAPI group's boot loader specification, "Boot counting".
"""

import os
import re
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
_SPACE = uuid.UUID("6f2a3c1e-5d0b-4c1f-9d52-7f1d6a0e8b11")
_EFI = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_FIRST_MIB = 1
TRIES = 3


@dataclass(frozen=True, slots=True)
class Partition:
    """One of a disk.

    Attributes:
        name: In the table; `images/init` and fstab look for it.
        kind: GUID of its type.
        mib: Its size.
    """

    name: str
    kind: str
    mib: int


PARTITIONS = (
    Partition("nvr-esp", _EFI, 192),
    Partition("nvr-a", _LINUX, 640),
    Partition("nvr-b", _LINUX, 640),
    Partition("nvr-config", _LINUX, 32),
    Partition("nvr-data", _LINUX, 128),
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A root with what dm-verity needs to check it.

    Attributes:
        blocks: Of 4 KiB, before the hash tree.
        hash: Of the tree's root, hex digits.
        salt: Hex digits.
    """

    blocks: int
    hash: str
    salt: str

    @property
    def word(self) -> str:
        """As `images/init` takes it from the kernel's command line."""
        return f"{self.blocks}:{self.hash}:{self.salt}"


def squash(root: Path, out: Path, made_s: int) -> Slot:
    """Make a slot of a directory.

    Args:
        root: What becomes /.
        out: The file.
        made_s: The date of all that is in it, seconds since 1970.

    Raises:
        RuntimeError: It is too large for its partition.
    """
    out.unlink(missing_ok=True)
    words = ["-quiet", "-no-progress", "-noappend", "-all-root", "-no-xattrs", "-no-exports"]
    packed = ["-comp", "zstd", "-Xcompression-level", "15", "-b", "256K"]
    environment = {name: text for name, text in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    dates = ["-mkfs-time", str(made_s), "-all-time", str(made_s)]
    command = ["mksquashfs", root, out, *words, *packed, *dates]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    size = out.stat().st_size
    with out.open("r+b") as file:
        file.truncate(-(-size // 4096) * 4096)
    blocks = out.stat().st_size // 4096
    salt = uuid.uuid5(_SPACE, f"salt {made_s}").hex * 2
    said = subprocess.run(
        [
            "veritysetup", "format", "--no-superblock", f"--salt={salt}", "--hash=sha256",
            f"--data-blocks={blocks}", f"--hash-offset={blocks * 4096}", out, out,
        ],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = re.search(r"Root hash:\s*([0-9a-f]{64})", said)
    if found is None:
        raise RuntimeError(f"veritysetup gave no hash: {said}")
    room = next(each.mib for each in PARTITIONS if each.name == "nvr-a") * MIB
    if out.stat().st_size > room:
        raise RuntimeError(f"the root takes {out.stat().st_size} bytes, its slot has {room}")
    return Slot(blocks, found[1], salt)


def entry(name: str, version: str, slot: Slot) -> str:
    """What the boot loader reads of a slot: how it is started."""
    return (
        f"title nvr {version} ({name})\nsort-key nvr\nversion {version}\n"
        f"linux /nvr/{name}/linux\ninitrd /nvr/{name}/initrd\n"
        f"options nvr.slot={name} nvr.verity={slot.word} systemd.gpt_auto=0 quiet panic=20\n"
    )


def boot_files(into: Path, early: Path, initramfs: Path, version: str, slot: Slot) -> None:
    """Lay the boot partition out in a directory, with slot a in it, not blessed yet."""
    files = {
        "EFI/BOOT/BOOTAA64.EFI": early / "usr/lib/systemd/boot/efi/systemd-bootaa64.efi",
        "nvr/a/linux": next((early / "boot").glob("vmlinuz-*")),
        "nvr/a/initrd": initramfs,
    }
    for name, path in files.items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_bytes(path.read_bytes())
    (into / "loader/entries").mkdir(parents=True)
    # No default: the newest entry that still has tries is taken, one that has none comes last.
    (into / "loader/loader.conf").write_text("timeout 0\neditor no\nauto-entries no\n")
    (into / f"loader/entries/nvr-a+{TRIES}.conf").write_text(entry("a", version, slot))


def fat(tree: Path, out: Path, mib: int, made_s: int) -> None:
    """Make a FAT file system of a directory."""
    out.unlink(missing_ok=True)
    with out.open("wb") as file:
        file.truncate(mib * MIB)
    number = uuid.uuid5(_SPACE, "esp").hex[:8]
    words = ["mkfs.vfat", "-F", "32", "--invariant", "-i", number, "-n", "NVR-ESP", out]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    for path in sorted(tree.rglob("*"), reverse=True):
        os.utime(path, (made_s, made_s))
    dates = {**os.environ, "SOURCE_DATE_EPOCH": str(made_s), "TZ": "UTC"}
    for path in sorted(tree.rglob("*")):
        place = f"::{path.relative_to(tree).as_posix()}"
        words = ["mmd", "-i", out] if path.is_dir() else ["mcopy", "-m", "-i", out, path]
        subprocess.run([*words, place], env=dates, check=True)


def ext4(out: Path, name: str, mib: int, made_s: int) -> None:
    """Make an empty ext4 file system that can become 4 TB without being moved."""
    out.unlink(missing_ok=True)
    number = str(uuid.uuid5(_SPACE, name))
    subprocess.run(
        [
            "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-m", "1", "-I", "256", "-L", name,
            "-U", number, "-E", f"hash_seed={number},lazy_itable_init=1,resize=1073741824", out,
            f"{mib}M",
        ],
        env={**os.environ, "E2FSPROGS_FAKE_TIME": str(made_s)}, check=True,
    )  # fmt: skip


def assemble(parts: dict[str, Path], out: Path) -> None:
    """Write a disk: the table, and the file of each partition that has one.

    Args:
        parts: By partition's name.
        out: The file; holes stay holes.
    """
    out.unlink(missing_ok=True)
    lines = ["label: gpt", f"label-id: {uuid.uuid5(_SPACE, 'disk')}", "first-lba: 2048"]
    at_mib = _FIRST_MIB
    with out.open("w+b") as file:
        file.truncate((sum(each.mib for each in PARTITIONS) + 2) * MIB)
        for each in PARTITIONS:
            lines.append(
                f"start={at_mib}MiB, size={each.mib}MiB, type={each.kind}, name={each.name},"
                f" uuid={uuid.uuid5(_SPACE, each.name)}"
            )
            if path := parts.get(each.name):
                copy(path, file.fileno(), at_mib * MIB)
            at_mib += each.mib
    subprocess.run(
        ["sfdisk", "-q", out], input="\n".join(lines) + "\n", text=True, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def copy(path: Path, into: int, at: int) -> None:
    """Copy a file to a place in another, zeros left out."""
    zeros = bytes(MIB // 16)
    with path.open("rb") as file:
        while piece := file.read(len(zeros)):
            if piece != zeros[: len(piece)]:
                os.pwrite(into, piece, at)
            at += len(piece)
