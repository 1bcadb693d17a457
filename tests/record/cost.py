"""Measures what the writer's Python costs per part, system calls, checksums and hashes apart.

16 streams, 4 Mbit/s, parts of half a second, groups of 16; the disk takes everything at once and
the sums are made up, so what is left is ours. CPU time of the thread, median of the rounds.
"""

import random
import statistics
import sys
import time
from unittest import mock

from nvr.base.clock import FakeClock
from nvr.hal.virtual_disk import VirtualDisk
from nvr.record import writer
from nvr.record.recover import open_store
from tests.bench import figures
from tests.record import synthetic

LIMITS = {
    "python_us_per_part": figures.at_most(
        60, "16 cameras, 2.5 parts a second each: 0.24 % of a core"
    )
}
STREAMS = 16


class FreeDisk(VirtualDisk):
    """Remembers heads and logs, and takes parts for nothing."""

    def pwrite(self, path, pieces, offset: int) -> None:
        if not (offset and path.startswith("block-")):
            super().pwrite(path, pieces, offset)

    def flush(self, ranges, **_: bool) -> None:
        for path, _, _ in ranges:
            self._files[path].pending.clear()


def measure(groups: int, rounds: int) -> list[float]:
    """Return microseconds per part of each round."""
    rng = random.Random(1)
    store = open_store(FreeDisk(rng), FakeClock(), rng, size_bytes=160 << 20)
    committer = writer.Committer(store)
    found = []
    begun = 0
    with mock.patch.object(writer, "sums", lambda payloads: [(0, bytes(32)) for _ in payloads]):
        for _ in range(rounds):
            made = [
                [
                    synthetic.noise_part(
                        f"camera-{n}/main",
                        rng,
                        run=1,
                        start_90k=(begun + g) * 45_000,
                        wall_us=synthetic.WALL_US + (begun + g) * 500_000,
                        size=250_000,
                        key=g % 4 == 0,
                    )
                    for n in range(STREAMS)
                ]
                for g in range(groups)
            ]
            begun += groups
            started_s = time.thread_time()
            for parts in made:
                committer.submit(parts)
                committer.commit()
            found.append((time.thread_time() - started_s) / groups / STREAMS * 1e6)
    return found


def main(arguments: list[str] | None = None) -> int:
    chosen = figures.arguments(__doc__.partition("\n")[0]).parse_args(arguments)
    found = measure(groups=20, rounds=7)
    return figures.report(
        "writer_cost",
        {
            "python_us_per_part": round(statistics.median(found), 1),
            "worst_round_us": round(max(found), 1),
        },
        LIMITS,
        as_json=chosen.json,
        notes=["blocks are begun and indexed on the way: 4 MiB each, 14 parts"],
    )


if __name__ == "__main__":
    sys.exit(main())
