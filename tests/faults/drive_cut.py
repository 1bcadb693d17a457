"""Cuts the power of a real file system's drive and checks what the recorder then serves.

The product's `Recording` writes to ext4 or xfs on a block device whose cache is lost at the cut
(see `drive`). Both ways of making a group durable are cut, on blocks zeroed ahead and not. The
kernel's own timing makes each run another one. `--plant` builds a known mistake in and must then
report failures. f2fs, the other file system for flash, is in no kernel this has run on.
"""

import os
import select
import signal
import sys
import time
from argparse import Namespace

from tests.bench import figures
from tests.faults import drive_life
from tests.faults import oracle as expected
from tests.faults.drive import SIZES_MIB, Drive, Missing, in_namespace, require
from tests.faults.drive_life import MODES, PLANTS, Life
from tests.faults.oracle import Oracle, Result
from tests.faults.told import Story, Told

CUTS_A_VOLUME = 20
MOST_OPERATIONS = 300
"""Writes and flushes of a life at most; a group of three streams takes four to ten."""
SLOW_S = (0.0, 0.0, 0.005)
"""What a write or a flush takes longer than here: time for the threads to come between."""
STUCK_S = 30.0
MODES_OF = {"ext4": tuple(MODES), "xfs": ("as_shipped", "each_zeroed", "each_unzeroed")}
"""One flush for many files is for ext4 only; on another file system it is tried, not promised."""
LIMITS = {key: expected.LIMITS[key] for key in ("acked_lost", "wrong_bytes", "max_lost_s")}


class Recorder(Told):
    """The process of one life, and what it told.

    Args:
        oracle: What is known of the volume.
        life: What it sends.
        drive: What it records on, mounted.
        mode: See `MODES`.
        plant: See `PLANTS`.
    """

    def __init__(self, oracle: Oracle, life: Life, drive: Drive, mode: str, plant: str) -> None:
        pipe, theirs = os.pipe()
        super().__init__(oracle, life, pipe)
        self.drive = drive
        their_go, self._go = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            for ours in (pipe, self._go, drive.strikes):
                os.close(ours)
            drive_life.live(
                oracle, life, drive.target / "volume", mode, plant, pipe=theirs, go=their_go
            )
        os.close(theirs)
        os.close(their_go)

    def until_checked(self) -> None:
        """Wait until it has checked; it does not record."""
        while not self.checked:
            if not self.read():
                raise RuntimeError("the recorder ended before it had checked")

    def until_cut(self, operations: int, seed: int) -> None:
        """Let it record for so many writes and flushes once it has checked; then kill it."""
        until_s = time.monotonic() + STUCK_S
        while not self.struck_s:
            left_s = until_s - time.monotonic()
            ready, _, _ = select.select([self.pipe, self.drive.strikes], [], [], max(0.0, left_s))
            if self.pipe in ready:
                was_checked = self.checked
                if not self.read():
                    break
                if self.checked and not was_checked:
                    self.drive.arm(operations, seed)
                    os.write(self._go, b"!")
            elif self.drive.strikes in ready:
                self.struck_s = self.drive.struck_s()
            elif not ready:
                self.drive.cut(seed)
        self.kill()
        while self.read():
            pass

    def kill(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def close(self) -> None:
        self.kill()
        os.close(self.pipe)
        os.close(self._go)

    def adopt(self, oracle: Oracle) -> None:
        """Take over what it found, unless the power went while it looked."""
        if not self.struck_s and self.drive.disarm():
            super().adopt(oracle)

    def failed(self, what: str, where: str) -> None:
        """After the cut everything fails, as it must."""
        if self.drive.ask()["power"]:
            super().failed(what, where)


class Volume(Story):
    """One volume on a file system of its own, through many cuts."""

    def __init__(
        self, drive: Drive, kind: str, mode: str, plant: str, seed: int, *, sealed: bool
    ) -> None:
        super().__init__(seed, sealed=sealed)
        self.drive, self.kind, self.mode, self.plant = drive, kind, mode, plant
        drive.on()
        drive.make(kind)

    def life(self) -> None:
        """Power on, check what the last cut left, record until the next."""
        rng, drive = self.rng, self.drive
        drive.on()
        drive.set(slow_s=rng.choice(SLOW_S))
        if rng.random() < 0.15:
            drive.arm(rng.randrange(120), rng.getrandbits(32))
        try:
            if drive.mount(self.kind):
                self.record(rng.randrange(MOST_OPERATIONS), rng.getrandbits(32))
            elif drive.ask()["power"]:
                raise RuntimeError(f"{self.kind} cannot be mounted after a cut")
            else:
                drive.struck_s()
                self.oracle.result.recoveries_cut += 1
        finally:
            drive.unmount()
        self.oracle.result.cuts += 1

    def record(self, operations: int, seed: int) -> None:
        recorder = self.recorder()
        try:
            recorder.until_cut(operations, seed)
        finally:
            recorder.close()
        self.ended(recorder)

    def recorder(self) -> Recorder:
        life = self.next_life()
        return Recorder(self.oracle, life, self.drive, self.mode, self.plant)

    def last_look(self) -> None:
        """Check what the last cut left."""
        self.drive.on()
        if not self.drive.mount(self.kind):
            raise RuntimeError(f"{self.kind} cannot be mounted after a cut")
        try:
            recorder = self.recorder()
            try:
                recorder.until_checked()
            finally:
                recorder.close()
        finally:
            self.drive.unmount()
        self.oracle = recorder.oracle


def run(
    drive: Drive,
    kind: str,
    mode: str,
    cuts: int,
    seed: int,
    plant: str = "",
    *,
    sealed: bool = False,
) -> Result:
    """Cut the power `cuts` times."""
    total = Result()
    while total.cuts < cuts:
        volume = Volume(drive, kind, mode, plant, seed * 1_000_003 + total.cuts, sealed=sealed)
        for _ in range(min(CUTS_A_VOLUME, cuts - total.cuts)):
            volume.life()
            if plant and volume.oracle.result.first_failures:
                cuts = 0  # it was found, which is all that is asked
                break
        volume.last_look()
        total.add(volume.oracle.result)
        figures.progress(
            f"{kind} {mode}: {total.cuts} cuts, {total.acked} acknowledged,"
            f" {total.acked_lost} lost, {total.wrong_bytes} wrong"
        )
    return total


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--disk", choices=tuple(SIZES_MIB), default="ext4", help="file system")
    parser.add_argument("--cuts", type=int, default=200, help="power cuts of each mode")
    parser.add_argument(
        "--mode", choices=tuple(MODES), help="only this way of flushing and zeroing"
    )
    parser.add_argument("--sealed", action="store_true", help="on a sealed volume")
    parser.add_argument("--seed", type=int, default=1, help="what is left to chance here")
    parser.add_argument("--plant", choices=PLANTS, default="", help="build a known mistake in")
    chosen = parser.parse_args(arguments)
    try:
        require(chosen.disk)
        in_namespace()
        with Drive(SIZES_MIB[chosen.disk] << 20) as drive:
            return told(drive, chosen)
    except Missing as err:
        print(f"drive_cut cannot run here: {err}", file=sys.stderr)
        return 2


def told(drive: Drive, chosen: Namespace) -> int:
    """Run what was chosen and say what came of it."""
    kind, plant = chosen.disk, chosen.plant
    modes = ("as_shipped",) if plant else MODES_OF[kind]
    if chosen.mode:
        modes = (chosen.mode,)
    total, found, notes = Result(), {}, []
    for mode in modes:
        result = run(drive, kind, mode, chosen.cuts, chosen.seed, plant, sealed=chosen.sealed)
        total.add(result)
        found |= {f"{mode}_cuts": result.cuts, f"{mode}_acked": result.acked}
    if kind != "ext4" and not plant and not chosen.mode:
        tried = run(drive, kind, "one_flush", chosen.cuts, chosen.seed)
        found |= {"one_flush_acked": tried.acked, "one_flush_lost": tried.acked_lost}
        notes.append("one_flush is only tried here: the product does not do it on this file system")
    return figures.report(
        ".".join(filter(None, ("drive_cut", kind, "sealed" if chosen.sealed else "", plant))),
        {
            "cuts": total.cuts,
            "acked": total.acked,
            "acked_lost": total.acked_lost,
            "wrong_bytes": total.wrong_bytes,
            "max_lost_s": round(total.max_lost_s, 3),
            "recoveries_cut": total.recoveries_cut,
            "wraps": total.wraps,
            **found,
        },
        LIMITS,
        as_json=chosen.json,
        notes=[*total.first_failures, *notes],
    )


if __name__ == "__main__":
    sys.exit(main())
