"""An image for a board: `make image BOARD=generic-arm64`.

    python -m images.image generic-arm64            dist/nvr_VERSION_BOARD.img.zst, .bmap,
                                                    .spdx.json, .sha256
    python -m images.image generic-arm64 --twice    the same once more, from nothing; the hashes are
                                                    compared and kept, hil/reports/image.*.json

Needs Debian's systemd, kmod, squashfs-tools, cryptsetup-bin, dosfstools, mtools, e2fsprogs, fdisk,
bmap-tools and zstd, and root; no loop device, and nothing is emulated. Two builds
of a commit give the same bytes. Only generic-arm64 has an image so far: any board that starts by
UEFI, such as a virtual machine; no maker's was tried.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hil.report import keep
from images import disk, initramfs, root
from images.archive import BUILD, ROOT
from images.root import LOCK, TARGET, Locked, locked
from images.wheel import DIST, PLATFORMS, build, committed_s
from nvr import __version__

BOARDS = ("generic-arm64",)
MOST_BYTES = 300 * 1000 * 1000


def make(board: str, wheel: Path, into: Path, place: Path) -> list[Path]:
    """Make an image.

    Args:
        board: Its name.
        wheel: The recorder's own.
        into: Where the files for download go.
        place: An empty directory with 3 GB of room.

    Returns:
        The image, compressed, first; then what goes with it.
    """
    made_s = committed_s()
    packages = locked(LOCK.read_text())
    early = root.make(wheel, place / "root", packages)
    initramfs.make(place / "root", early, place / "initrd")
    slot = disk.squash(place / "root", place / "slot", made_s)
    disk.boot_files(place / "boot", early, place / "initrd", __version__, slot)
    parts = {name: place / name for name in ("nvr-esp", "nvr-config", "nvr-data")}
    sizes = {each.name: each.mib for each in disk.PARTITIONS}
    disk.fat(place / "boot", parts["nvr-esp"], sizes["nvr-esp"], made_s)
    for name in ("nvr-config", "nvr-data"):
        disk.ext4(parts[name], name, sizes[name], made_s)
    into.mkdir(exist_ok=True)
    name = f"nvr_{__version__}_{board}"
    image = into / f"{name}.img"
    disk.assemble({**parts, "nvr-a": place / "slot"}, image)
    bmap, bill, out = into / f"{name}.bmap", into / f"{name}.spdx.json", into / f"{name}.img.zst"
    subprocess.run(["bmaptool", "-q", "create", "-o", bmap, image], check=True)
    bill.write_text(json.dumps(spdx(board, packages, TARGET.lock.read_text(), made_s), indent=1))
    subprocess.run(["zstd", "-q", "-f", "-T1", "-9", image, "-o", out], check=True)
    sums = into / f"{name}.sha256"
    sums.write_text("".join(f"{digest(path)}  {path.name}\n" for path in (out, bmap, bill, image)))
    return [out, bmap, bill, sums]


def spdx(board: str, packages: Sequence[Locked], wheels: str, made_s: int) -> dict[str, object]:
    """Return what an image is made of.

    Source: SPDX 2.3, in JSON.
    """
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made_s))
    found = [
        {
            "name": each.name, "versionInfo": each.version, "downloadLocation": each.url,
            "checksums": [{"algorithm": "SHA256", "checksumValue": each.sha256}],
        }
        for each in packages
    ]  # fmt: skip
    for line in wheels.splitlines():
        match = re.fullmatch(r"(\S+)==(\S+) --hash=sha256:([0-9a-f]{64})", line)
        assert match, "as images.tree writes them"
        found.append({
            "name": match[1], "versionInfo": match[2],
            "downloadLocation": f"https://pypi.org/project/{match[1]}/{match[2]}/",
            "checksums": [{"algorithm": "SHA256", "checksumValue": match[3]}],
        })  # fmt: skip
    found.append({"name": "nvr", "versionInfo": __version__, "downloadLocation": "NOASSERTION"})
    numbered = [
        {"SPDXID": f"SPDXRef-{number}", "filesAnalyzed": False, **one}
        for number, one in enumerate(found)
    ]
    name = f"nvr_{__version__}_{board}"
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://nvr.invalid/spdx/{name}-{made_s}",
        "creationInfo": {"created": date, "creators": ["Tool: images.image"]},
        "documentDescribes": [one["SPDXID"] for one in numbered], "packages": numbered,
    }  # fmt: skip


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Make it, or make it twice."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("board", choices=BOARDS)
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--json", action="store_true", help="the report of --twice in one line")
    chosen = parser.parse_args()
    os.umask(0o022)
    BUILD.mkdir(exist_ok=True)
    (ours,) = (one for one in PLATFORMS if (one.machine, one.tag) == ("aarch64", "manylinux"))
    told: list[dict[str, object]] = []
    size = 0
    for into in (DIST, BUILD / "image-again") if chosen.twice else (DIST,):
        began_s = time.monotonic()
        place = Path(tempfile.mkdtemp(prefix="image-", dir=BUILD))
        try:
            files = make(chosen.board, build(ours, place / "wheel"), into, place)
        finally:
            shutil.rmtree(place)
        print(*(path.relative_to(ROOT) for path in files), sep="\n")
        size = files[0].stat().st_size
        sums = dict(line.split()[::-1] for line in files[-1].read_text().splitlines())
        told.append({"took_s": round(time.monotonic() - began_s), "sha256": sums})
    if not chosen.twice:
        return 0
    report = {
        "name": f"image.{chosen.board}",
        "met": told[0]["sha256"] == told[1]["sha256"] and size <= MOST_BYTES,
        "download_bytes": size, "at most": MOST_BYTES, "builds": told,
        "packages": len(locked(LOCK.read_text())),
    }  # fmt: skip
    machine = f"{platform.machine()}, {os.cpu_count()} processors, shared; no board"
    command = f"python -m images.image {chosen.board} --twice"
    kept = keep(f"image.{chosen.board}", command, machine, report)
    print(json.dumps(kept, indent=None if chosen.json else 1))
    return 0 if kept["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
