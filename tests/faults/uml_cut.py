"""Kills a whole Linux under a recorder and checks what the recorder then serves: a second witness.

User-mode Linux boots from this machine's files with a kernel, a page cache and an ext4 of its own
on a disk that is a file here; SIGKILL is its power cut. What was only in its memory is gone, and
what its disk was told to flush is there. `drive_cut` loses a drive's own cache as well; this is
another kernel, another block device, and nothing of the harness between them.
"""

import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty
from collections import ChainMap
from pathlib import Path

from tests.bench import figures
from tests.faults import drive_life
from tests.faults import oracle as expected
from tests.faults.drive import Missing
from tests.faults.drive_life import MODES, PLANTS, Life, parts_until
from tests.faults.oracle import Result
from tests.faults.told import Story, Told

CUTS_A_VOLUME = 10
DISK_MIB = 192
MEMORY_MIB = 768
MOST_RECORDED_S = 1.5
STUCK_S = 60.0
EARLY = 0.15
"""So many lives end before they have checked what the one before left."""
LIMITS = {key: expected.LIMITS[key] for key in ("acked_lost", "wrong_bytes", "max_lost_s")}
_KERNEL = "linux.uml"
_INIT = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs {mount}
mkdir {mount}/disk
mount -t ext4 /dev/ubda {mount}/disk
cd {root}
exec {python} -m tests.faults.uml_cut --guest {work}
"""


def require() -> None:
    """Look whether this machine can run it.

    Raises:
        Missing: It cannot, and why.
    """
    if shutil.which(_KERNEL) is None:
        raise Missing("needs Debian's user-mode-linux, which there is for amd64")
    if shutil.which("mkfs.ext4") is None:
        raise Missing("needs the package e2fsprogs (tests/apt.txt)")
    if os.geteuid():
        raise Missing("only root finds its own files in there: run this as root")


class Guest(Told):
    """A Linux with a recorder in it, and what that told.

    Args:
        story: What is known of the volume.
        life: What it sends.
        work: Where the disk and what the guest is told are.
        mode: See `MODES`.
        plant: See `PLANTS`.
    """

    def __init__(self, story: Story, life: Life, work: Path, mode: str, plant: str) -> None:
        pipe, theirs = os.pipe()
        super().__init__(story.oracle, life, pipe)
        story.oracle.sent = {}  # the guest makes it anew
        (work / "life").write_bytes(pickle.dumps((story.oracle, story.sent, life, mode, plant)))
        words = (
            f"mem={MEMORY_MIB}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
            f"init={work}/init", f"ubda={work}/disk", "con=null", f"ssl0=null,fd:{theirs}", "quiet",
            f"umid={work.name}", f"uml_dir={work}",
        )  # fmt: skip
        self._process = subprocess.Popen(
            [_KERNEL, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)

    def leapt(self, at_s: float, leapt_s: float) -> None:
        """Its clock leapt: the last that is heard of it says when the power went."""
        super().leapt(at_s, leapt_s)
        self.struck_s = at_s

    def until_cut(self, recorded_s: float) -> None:
        """Let it record for so long once it has checked, or for less than 0 not even check."""
        until_s = time.monotonic() + (STUCK_S if recorded_s >= 0 else -recorded_s)
        while (left_s := until_s - time.monotonic()) > 0:
            if self.pipe in select.select([self.pipe], [], [], left_s)[0]:
                was_checked = self.checked
                if not self.read():
                    raise RuntimeError("the guest ended by itself, or never began")
                if self.checked and not was_checked and recorded_s >= 0:
                    until_s = time.monotonic() + recorded_s
        if recorded_s >= 0 and not self.checked:
            raise RuntimeError(f"the guest had not checked after {STUCK_S:g} s")
        self.kill()
        while self.read():
            pass

    def kill(self) -> None:
        """Take its power away; its processes are in a session of their own."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self.kill()
        os.close(self.pipe)


class Volume(Story):
    """One volume on a disk of its own, through many cuts."""

    def __init__(self, work: Path, mode: str, plant: str, seed: int, *, sealed: bool) -> None:
        super().__init__(seed, sealed=sealed)
        self.work, self.mode, self.plant = work, mode, plant
        disk = work / "disk"
        disk.unlink(missing_ok=True)
        with disk.open("wb") as file:
            file.truncate(DISK_MIB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(disk)], check=True)

    def live(self, recorded_s: float) -> None:
        """Boot, check what the last cut left, record until the next."""
        guest = Guest(self, self.next_life(), self.work, self.mode, self.plant)
        try:
            guest.until_cut(recorded_s)
        finally:
            guest.close()
        self.ended(guest)

    def cut(self) -> None:
        """One power cut."""
        rng = self.rng
        early = rng.random() < EARLY
        self.live(-0.5 - rng.random() * 2 if early else rng.random() * MOST_RECORDED_S)
        self.oracle.result.cuts += 1


def run(mode: str, cuts: int, seed: int, plant: str, *, sealed: bool) -> Result:
    """Cut the power `cuts` times."""
    total = Result()
    with tempfile.TemporaryDirectory(prefix="nvr-uml-") as made:
        work = Path(made)
        mount = work / "mnt"
        mount.mkdir()
        init = work / "init"
        init.write_text(
            _INIT.format(root=figures.ROOT, python=sys.executable, work=work, mount=mount)
        )
        init.chmod(0o755)
        while total.cuts < cuts:
            volume = Volume(work, mode, plant, seed * 1_000_003 + total.cuts, sealed=sealed)
            for _ in range(min(CUTS_A_VOLUME, cuts - total.cuts)):
                volume.cut()
                if plant and volume.oracle.result.first_failures:
                    cuts = 0  # it was found, which is all that is asked
                    break
            volume.live(0.0)
            total.add(volume.oracle.result)
            figures.progress(
                f"{mode}: {total.cuts} cuts, {total.acked} acknowledged,"
                f" {total.acked_lost} lost, {total.wrong_bytes} wrong"
            )
    return total


def guest(work: Path) -> None:
    """Be the recorder in the guest; never returns."""
    oracle, sent, life, mode, plant = pickle.loads((work / "life").read_bytes())
    oracle.sent = ChainMap(*(parts_until(*each) for each in sent))
    line = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    go, start = os.pipe()
    os.write(start, b"!")
    drive_life.live(oracle, life, work / "mnt" / "disk" / "volume", mode, plant, pipe=line, go=go)


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=50, help="power cuts")
    parser.add_argument("--mode", choices=tuple(MODES), default="as_shipped", help="of flushing")
    parser.add_argument("--sealed", action="store_true", help="on a sealed volume")
    parser.add_argument("--seed", type=int, default=1, help="what is left to chance here")
    parser.add_argument("--plant", choices=PLANTS, default="", help="build a known mistake in")
    parser.add_argument("--guest", type=Path, help="used within the guest")
    chosen = parser.parse_args(arguments)
    if chosen.guest:
        guest(chosen.guest)
    try:
        require()
    except Missing as err:
        print(f"uml_cut cannot run here: {err}", file=sys.stderr)
        return 2
    result = run(chosen.mode, chosen.cuts, chosen.seed, chosen.plant, sealed=chosen.sealed)
    return figures.report(
        ".".join(filter(None, ("uml_cut", "sealed" if chosen.sealed else "", chosen.plant))),
        {
            "cuts": result.cuts,
            "acked": result.acked,
            "acked_lost": result.acked_lost,
            "wrong_bytes": result.wrong_bytes,
            "max_lost_s": round(result.max_lost_s, 3),
            "recoveries_cut": result.recoveries_cut,
            "wraps": result.wraps,
        },
        LIMITS,
        as_json=chosen.json,
        notes=result.first_failures,
    )


if __name__ == "__main__":
    sys.exit(main())
