"""Makes the disks of a running recorder fail, and tells what a person saw and what was lost.

The shipped `nvr run` records some cameras on ext4 over a drive that is told to refuse, to be slow
or to go away (see `drive`); its data directory is on another one. Somebody looks at its page five
times a second. After each fault the power is cut, and what the page had shown as recorded must be
there to be played.
"""

import errno
import itertools
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.bench import figures
from tests.bench.camera import Cameras, cameras
from tests.bench.camera import Missing as MissingPackage
from tests.faults.disk_scene import Look, Scene, Watcher, events, merged, offset_of, outside
from tests.faults.drive import Drive, Missing, in_namespace, require
from tests.faults.planted import DISK_PLANTS

CAMERAS = 4
SIZE_MIB = 256
DISK_MIB = 512
SYSTEM_MIB = 96
SETTLED_S = 8.0
AFTER_S = 6.0
START_S = 40.0
AGAIN_S = 40.0
OPTIONS = "errors=remount-ro"

RESTART_S = 15.0
LIMITS = {
    "acked_lost": figures.at_most(0, "milliseconds of what was shown as recorded"),
    "worst_alarm_s": figures.at_most(10, "a person must see it before much is lost"),
    "worst_lost_s": figures.at_most(1, "what comes while the volume fails waits in memory"),
    "worst_again_s": figures.at_most(15, "recording goes on by itself once the fault is over"),
    "not_met": figures.at_most(0, "faults whose promise was not kept"),
}


@dataclass(frozen=True)
class Fault:
    """One way in which a disk fails.

    Attributes:
        name: For the report.
        promise: What the recorder owes.
        begin: Makes the disk fail.
        end: Makes it whole again.
        hold_s: How long it fails.
        during: What goes on meanwhile.
        most_lost_s: Video that may be lost of any camera.
        stop: How the recorder is ended before a restart.
    """

    name: str
    promise: str
    begin: Callable[[Scene], object]
    end: Callable[[Scene], object]
    hold_s: float = 20.0
    during: Literal["recording", "restart", "first start"] = "recording"
    most_lost_s: float = 1.0
    stop: signal.Signals = signal.SIGKILL


@dataclass
class Outcome:
    """What came of a fault; NaN is never.

    Attributes:
        alarm: Code of what the page said.
        alarm_s: Seconds until it did.
        again_s: Seconds from the fault's end, or the restart, until all cameras were recorded.
        lost_s: Video that is not there of the worst camera.
        acked_lost: Milliseconds the page had shown as recorded that cannot be played.
        events: Warnings and errors in the log.
        error: What kept it from being judged.
    """

    alarm: str = ""
    alarm_s: float = math.nan
    again_s: float = math.nan
    lost_s: float = math.nan
    acked_lost: int = 0
    events: tuple[str, ...] = ()
    error: str = ""

    def met(self, fault: Fault) -> bool:
        return not self.error and (
            self.acked_lost == 0
            and self.alarm_s <= LIMITS["worst_alarm_s"].value
            and self.again_s <= LIMITS["worst_again_s"].value
            and self.lost_s <= fault.most_lost_s
        )

    def __str__(self) -> str:
        if self.error:
            return self.error
        return (
            f"{self.alarm or 'no alarm'} after {self.alarm_s:.1f} s, again after"
            f" {self.again_s:.1f} s, lost {self.lost_s:.1f} s and {self.acked_lost} ms shown"
        )


def _back(scene: Scene) -> None:
    scene.disk.on()
    scene.mount_again()


def _back_at_once(scene: Scene) -> None:
    scene.disk.on()
    scene.mend()


def _unreadable(scene: Scene) -> None:
    """Some sectors in the middle of the oldest block, which is in no page cache."""
    path = scene.oldest_block()
    with path.open("rb") as file:
        os.fdatasync(file)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    scene.disk.set(bad=[(offset_of(path, 1 << 20), 64 << 10)])


def _read_only(scene: Scene) -> None:
    Path(f"/sys/fs/ext4/{scene.disk.device}/trigger_fs_error").write_text("1", encoding="ascii")


def _fill(drive: Drive) -> None:
    """Take all room there is on a disk, as a log that grows for ever does."""
    with (drive.target / "filler").open("ab", buffering=0) as filler:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError as err:
                if err.errno != errno.ENOSPC:
                    raise
    os.sync()


def _empty(drive: Drive) -> None:
    (drive.target / "filler").unlink()


FAULTS = (
    Fault(
        "write_once",
        "three writes fail: written again elsewhere, nothing lost",
        lambda scene: scene.disk.set(write_errors=3),
        lambda scene: (scene.disk.set(write_errors=0), scene.mend()),
        hold_s=10,
    ),
    Fault(
        "write",
        "every write fails for 20 s: alarm, what came meanwhile waits in memory",
        lambda scene: scene.disk.set(write_errors=-1),
        lambda scene: (scene.disk.set(write_errors=0), scene.mount_again()),
    ),
    Fault(
        "flush_once",
        "one flush fails and loses what it was for: written again elsewhere, nothing lost",
        lambda scene: scene.disk.set(flush_errors=1, spared=True),
        lambda scene: (scene.disk.set(flush_errors=0), scene.mend()),
        hold_s=10,
    ),
    Fault(
        "flush",
        "every flush fails for 20 s: alarm, nothing acknowledged is lost",
        lambda scene: scene.disk.set(flush_errors=-1),
        lambda scene: (scene.disk.set(flush_errors=0), scene.mount_again()),
    ),
    Fault(
        "slow",
        "300 ms a write and a flush: all cameras go on, nothing lost",
        lambda scene: scene.disk.set(slow_s=0.3),
        lambda scene: scene.disk.set(slow_s=0.0),
        hold_s=30,
    ),
    Fault(
        "gone",
        "pulled for 20 s: alarm, what came meanwhile waits in memory",
        lambda scene: scene.disk.cut(1),
        _back,
    ),
    Fault(
        "gone_shortly",
        "pulled for 4 s: nothing lost",
        lambda scene: scene.disk.cut(1),
        _back_at_once,
        hold_s=4,
    ),
    Fault(
        "read",
        "some sectors cannot be read: what is on them is left out, the rest plays",
        _unreadable,
        lambda scene: scene.disk.set(bad=[]),
    ),
    Fault(
        "read_only",
        "read-only by an error for 20 s: alarm, what came meanwhile waits in memory",
        _read_only,
        lambda scene: scene.mount_again(),
    ),
    Fault(
        "system_full",
        "the system's disk is full for 20 s: alarm, recording goes on",
        lambda scene: _fill(scene.system),
        lambda scene: _empty(scene.system),
    ),
    Fault(
        "system_full_restart",
        "the system's disk is full when the box is started again: it records all the same",
        lambda scene: _fill(scene.system),
        lambda scene: _empty(scene.system),
        during="restart",
        most_lost_s=RESTART_S,
        stop=signal.SIGKILL,
    ),
    Fault(
        "system_full_stopped",
        "the same, but the box was stopped in order before the disk was full",
        lambda scene: _fill(scene.system),
        lambda scene: _empty(scene.system),
        during="restart",
        most_lost_s=RESTART_S,
        stop=signal.SIGTERM,
    ),
    Fault(
        "volume_full",
        "no room for so much as a directory at the first start: alarm, made once there is room",
        lambda scene: _fill(scene.disk),
        lambda scene: _empty(scene.disk),
        during="first start",
    ),
)


def suffer(scene: Scene, fault: Fault) -> Outcome:
    """Record, let `fault` happen and end, and look what became of it."""
    outcome = Outcome()
    if fault.during == "first start":
        fault.begin(scene)
        begun_s = time.monotonic()
    else:
        with scene.recorder(stop=fault.stop) as (pid, watcher):
            _wait(watcher, _settled, START_S)
            watcher.playing = fault.name == "read"
            begun_s = time.monotonic()
            if fault.stop == signal.SIGKILL:
                fault.begin(scene)
            if fault.during == "recording":
                _until_whole(scene, fault, outcome, pid, watcher, begun_s)
                return outcome
        fault.begin(scene)  # what it gave back as it ended is taken as well
        begun_s = time.monotonic()
    with scene.recorder(again=fault.during == "restart") as (pid, watcher):
        _until_whole(scene, fault, outcome, pid, watcher, begun_s)
    return outcome


def _until_whole(
    scene: Scene,
    fault: Fault,
    outcome: Outcome,
    pid: int,
    watcher: Watcher,
    begun_s: float,
) -> None:
    """See the fault through, and what the recorder makes of it."""

    def seen(look: Look) -> bool:
        return look.at_s >= begun_s and bool(look.alarm())

    goes_on_us = time.time_ns() // 1000  # a restart is over at once, though its fault is not

    def again(look: Look) -> bool:
        return bool(look.cameras) and not look.box["fault"] and look.oldest_us() > goes_on_us

    outcome.alarm_s = watcher.wait(seen, fault.hold_s) - begun_s
    outcome.alarm = next((look.alarm() for look in watcher.looks if seen(look)), "")
    if fault.during == "restart":
        outcome.again_s = watcher.wait(again, AGAIN_S) - begun_s
    time.sleep(max(0.0, begun_s + fault.hold_s - time.monotonic()))
    fault.end(scene)
    ended_s, goes_on_us = time.monotonic(), time.time_ns() // 1000
    again_s = watcher.wait(again, AGAIN_S) - ended_s
    if fault.during != "restart":
        outcome.again_s = again_s
    time.sleep(AFTER_S)
    outcome.events = tuple(events(scene.setup.log.read_text(errors="replace")))
    shown = dict(watcher.shown)
    if len(shown) < scene.count:
        raise RuntimeError(f"the page did not show what is recorded: {watcher.failed[:1]}")
    served = scene.served(pid)
    outcome.acked_lost = (
        sum(outside(spans, merged(served.get(name, []))) for name, spans in shown.items()) // 1000
    )
    outcome.lost_s = max(_holes_s(merged(spans)) for spans in served.values())


def _wait(watcher: Watcher, wanted: Callable[[Look], bool], timeout_s: float) -> None:
    if math.isnan(watcher.wait(wanted, timeout_s)):
        raise RuntimeError(f"the cameras were not recorded in {timeout_s} s")


def _settled(look: Look) -> bool:
    """Whether every camera has been recorded for some time."""
    return bool(look.ring and look.cameras) and all(
        camera["state"] == "live"
        and camera["recorded_until_us"] - max(camera["since_us"], 1) > SETTLED_S * 1e6
        for camera in look.cameras
    )


def _holes_s(spans: list[tuple[int, int]]) -> float:
    return sum(b[0] - a[1] for a, b in itertools.pairwise(spans)) / 1e6


def staged(running: Cameras, fault: Fault, plant: str) -> Outcome:
    """Set the disks up for one fault."""
    with (
        tempfile.TemporaryDirectory(prefix="nvr-scene-") as directory,
        Drive(DISK_MIB << 20) as disk,
        Drive(SYSTEM_MIB << 20) as system,
    ):
        scene = Scene(
            disk,
            system,
            running,
            Path(directory),
            count=CAMERAS,
            size_mib=SIZE_MIB,
            options=OPTIONS,
            plant=plant,
        )
        for drive in (disk, system):
            drive.make("ext4")
            drive.mount("ext4", OPTIONS)
        try:
            outcome = suffer(scene, fault)
        except (RuntimeError, TimeoutError, OSError) as err:
            outcome = Outcome(error=f"{type(err).__name__}: {err}")
        figures.progress(f"{fault.name}: {outcome}; {', '.join(outcome.events)}")
        return outcome


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--fault", choices=[fault.name for fault in FAULTS], help="only this one")
    parser.add_argument("--plant", choices=DISK_PLANTS, default="", help="build a mistake in")
    chosen = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if chosen.fault in {None, fault.name}]
    try:
        require("ext4")
        in_namespace()
        with cameras(CAMERAS) as running:
            outcomes = [(fault, staged(running, fault, chosen.plant)) for fault in faults]
    except (Missing, MissingPackage) as err:
        print(f"disk cannot run here: {err}", file=sys.stderr)
        return 2
    found = [outcome for _, outcome in outcomes]
    volume = [outcome for fault, outcome in outcomes if fault.during != "restart"]
    return figures.report(
        ".".join(word for word in ("disk", chosen.fault, chosen.plant) if word),
        {
            "acked_lost": sum(outcome.acked_lost for outcome in found),
            "worst_alarm_s": _worst(outcome.alarm_s for outcome in found),
            "worst_lost_s": _worst(outcome.lost_s for outcome in volume),
            "worst_again_s": _worst(outcome.again_s for outcome in found),
            "not_met": sum(not outcome.met(fault) for fault, outcome in outcomes),
            **{fault.name: str(outcome) for fault, outcome in outcomes},
        },
        LIMITS,
        as_json=chosen.json,
        notes=[f"{fault.name}: {fault.promise}" for fault in faults],
    )


def _worst(values: Iterable[float]) -> float:
    """Return the largest; never is larger than anything."""
    found = list(values)
    return math.nan if any(map(math.isnan, found)) else round(max(found, default=0.0), 1)


if __name__ == "__main__":
    sys.exit(main())
