"""What recording makes a disk write: device bytes for each byte of video with its headers.

The shipped `nvr run` records simulated cameras into a data directory on ext4, on a loop device with
direct I/O, so that what the device is told to write is counted by the kernel and by nothing else:
parts, room up to the next page, indexes of blocks, heads given up, ``volume.log``, ``index.db``,
the file system's journal and metadata. Divided by the bytes of the parts of that time, headers
included, but not the room between them. The volume is full before, of another camera's recordings
that the product's own writer made, and its blocks are as big as on any disk from 128 GiB on. Each
round is done on a volume as it is, and on a sealed one.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nvr.base.clock import FakeClock
from nvr.hal.linux_disk import LinuxDisk
from nvr.media.part import PART_HEADER_BYTES
from nvr.record.recover import open_store
from nvr.record.writer import Committer
from tests.bench.camera import Missing, cameras
from tests.bench.content import FULL, SMALL
from tests.bench.figures import Figure, arguments, at_least, at_most, progress, report
from tests.bench.recorder import recorder, scratch
from tests.bench.stored import begun, headers
from tests.faults import drive
from tests.faults.drive_life import zero_all
from tests.record import synthetic

BLOCK_MIB = 64
SIZE_MIB = 80 * BLOCK_MIB
OLD_PART_BYTES = 2 << 20
WARM_S = 10
_SECTOR_BYTES = 512

MAIN = at_most(1.05, "an SD card or eMMC must not wear out quicker than the video itself demands")
WITH_SUB = at_most(1.10, "a small stream fills its pages less well")
RATE = at_least(3.6, "each camera's main stream must come at about 4 Mbit/s")


@dataclass(frozen=True, slots=True)
class Written:
    """What a device was told since it was made.

    Attributes:
        bytes: Written.
        flushes: Of its cache.
        writes: Requests, after the kernel merged them.
    """

    bytes: int
    flushes: int
    writes: int


@dataclass(frozen=True, slots=True)
class Round:
    """What one round found.

    Attributes:
        device_bytes: Written to the device.
        video_bytes: Of the parts of that time with their headers.
        room_bytes: Of the same with the room up to the next page.
        flushes_s: Flushes a second.
        writes_s: Requests a second.
        main_mbps: Of a main stream.
        parts: How many there were.
    """

    device_bytes: int
    video_bytes: int
    room_bytes: int
    flushes_s: float
    writes_s: float
    main_mbps: float
    parts: int

    @property
    def ratio(self) -> float:
        """Device bytes for each byte of video."""
        return self.device_bytes / self.video_bytes


def counters(device: str) -> Written:
    """Read the kernel's counters of a block device.

    Source: Linux 6.1 ``Documentation/admin-guide/iostats.rst``.
    """
    found = Path(f"/sys/block/{device}/stat").read_text(encoding="ascii").split()
    return Written(int(found[6]) * _SECTOR_BYTES, int(found[15]), int(found[4]))


@contextmanager
def disk(directory: Path, size_mib: int) -> Iterator[tuple[Path, str]]:
    """Yield a mounted ext4 on a loop device in `directory`, and the name of the device."""
    image, point = directory / "disk", directory / "mnt"
    point.mkdir()
    with image.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size_mib << 20)

    def run(*words: object) -> str:
        done = subprocess.run(
            [str(word) for word in words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Missing(f"{words[0]} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    # What mkfs leaves to be done later would be counted as ours.
    run("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", image)
    device = run("losetup", "--find", "--show", "--direct-io=on", image)
    try:
        run("mount", "-o", "noatime", device, point)
        try:
            yield point, device.removeprefix("/dev/")
        finally:
            run("umount", point)
    finally:
        run("losetup", "--detach", device)


def make_volume(ring: Path) -> None:
    """Make a volume that is full, every page of which was written once."""
    linux_disk, rng = LinuxDisk(ring), random.Random(1)
    clock = FakeClock(round((time.time() - 86_400) * 1e6))
    try:
        store = open_store(
            linux_disk, clock, rng, size_bytes=SIZE_MIB << 20, block_bytes=BLOCK_MIB << 20
        )
        zero_all(store.ring)
        store.ring.resume()  # a summary, which says that they are
        committer, start_90k = Committer(store), 0
        while len(store.catalog) < store.identity.blocks - 1:
            part = synthetic.noise_part(
                "before/main",
                rng,
                run=1,
                start_90k=start_90k,
                wall_us=clock.wall_us(),
                size=OLD_PART_BYTES,
                key=True,
            )
            start_90k += part.duration_90k
            clock.advance(0.5)
            committer.submit([part])
            committer.commit()
        store.ring.end()
    finally:
        linux_disk.close()


def measured(count: int, seconds: float, *, subs: bool, sealed: bool) -> Round:
    """Record `count` cameras, with a second stream each or without, and count."""
    with ExitStack() as stack:
        main = stack.enter_context(cameras(count))
        urls = [main.url(number) for number in range(count)]
        small = stack.enter_context(cameras(count, shape=SMALL)) if subs else None
        if small:
            urls += [small.url(number) for number in range(count)]
        directory = stack.enter_context(scratch())
        point, device = stack.enter_context(disk(directory, SIZE_MIB + 640))
        volume = "seal = true" if sealed else ""
        make_volume(point / "data" / "ring")
        with recorder(urls, point, size_mib=SIZE_MIB, volume_lines=volume) as ours:
            ring = ours.data / "ring"
            main.wait_for(count)
            if small:
                small.wait_for(count)
            time.sleep(WARM_S)
            before, from_s = counters(device), time.time()
            time.sleep(seconds)
            after, until_s = counters(device), time.time()
        took_s = until_s - from_s
        found = [
            header
            for path in sorted(ring.glob("block-*.mp4"))
            if begun(path)
            for header in headers(path.read_bytes())
            if header.stream != "before/main" and from_s * 1e6 <= header.wall_us < until_s * 1e6
        ]
        of_main = [header for header in found if int(header.stream[1:].partition("/")[0]) < count]
        video = {id(header): PART_HEADER_BYTES + header.stored_bytes for header in found}
        return Round(
            device_bytes=after.bytes - before.bytes,
            video_bytes=sum(video.values()),
            room_bytes=sum(header.part_bytes for header in found),
            flushes_s=(after.flushes - before.flushes) / took_s,
            writes_s=(after.writes - before.writes) / took_s,
            main_mbps=sum(video[id(h)] for h in of_main) * 8 / 1e6 / took_s / count,
            parts=len(found),
        )


def main(words: list[str] | None = None) -> int:
    """Run the bench."""
    parser = arguments((__doc__ or "").partition("\n")[0])
    parser.add_argument("--cameras", type=int, default=16, help="how many cameras")
    parser.add_argument("--seconds", type=float, default=130, help="window of a round")
    chosen = parser.parse_args(words)
    figures: dict[str, Figure] = {"cameras": chosen.cameras, "seconds": chosen.seconds}
    limits = {}
    try:
        drive.require("ext4")
        drive.in_namespace()
        for subs in (False, True):
            for sealed in (False, True):
                name = ("main_sub" if subs else "main") + ("_sealed" if sealed else "")
                progress(name)
                found = measured(chosen.cameras, chosen.seconds, subs=subs, sealed=sealed)
                progress(f"{name} {found.ratio:.4f}, {found.flushes_s:.1f} flushes a second")
                figures |= {
                    f"{name}_ratio": round(found.ratio, 4),
                    f"{name}_ratio_to_room": round(found.device_bytes / found.room_bytes, 4),
                    f"{name}_device_mb_s": found.device_bytes / 1e6 / chosen.seconds,
                    f"{name}_flushes_s": round(found.flushes_s, 2),
                    f"{name}_writes_s": round(found.writes_s, 1),
                    f"{name}_main_mbps": round(found.main_mbps, 3),
                    f"{name}_parts": found.parts,
                }
                limits[f"{name}_ratio"] = WITH_SUB if subs else MAIN
                limits[f"{name}_main_mbps"] = RATE
    except (Missing, drive.Missing) as err:
        print(f"amplification cannot run here: {err}", file=sys.stderr)
        return 2
    notes = [
        f"the shipped nvr run; main streams: H.264 and AAC at {FULL.video_bps} + 64000 bit/s",
        f"second ones, as cameras of their own: {SMALL.video_bps} + 64000 bit/s",
        "ratio_to_room: the same, the room up to the next 16 KiB page counted as video",
    ]
    return report("amplification", figures, limits, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
