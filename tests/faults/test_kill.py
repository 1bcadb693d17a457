import random
import subprocess
import sys
import time
from pathlib import Path

from nvr.base.clock import FakeClock
from nvr.hal.linux_disk import LinuxDisk
from nvr.playback.query import Archive
from nvr.record.recover import open_reading

ROOT = Path(__file__).parents[2]


def test_a_recorder_killed_again_and_again_keeps_all_it_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(4)
    acked: dict[str, int] = {}
    for start in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.kill", str(tmp_path), str(start)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(rng.randint(2, 8)):
            stream, until_us = process.stdout.readline().split()
            acked[stream] = int(until_us)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        rest = process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
        acked.update(
            (stream, int(until_us)) for stream, until_us in (line.split() for line in rest)
        )
        disk = LinuxDisk(tmp_path, read_only=True)
        archive = Archive(open_reading(disk, FakeClock()))
        for stream, until_us in acked.items():
            ranges = archive.ranges(stream, 0, 1 << 62)
            assert ranges.recorded_until_us >= until_us
            assert {gap.cause for gap in ranges.gaps} <= {"power"}
            assert sum(len(piece) for piece in archive.export(stream, 0, 1 << 62)) > 0
        disk.close()
    assert len(acked) == 2
