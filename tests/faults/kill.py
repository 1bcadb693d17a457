"""Records on a real directory until killed; says on standard output what is acknowledged."""

import os
import sys
import time
from pathlib import Path

from nvr.base.clock import SystemClock
from nvr.record.recording import Recording
from tests.record import synthetic


def main() -> None:
    directory, start = Path(sys.argv[1]), int(sys.argv[2])
    out = os.dup(1)

    def acknowledged(news) -> None:
        os.write(out, "".join(f"{n.stream} {n.until_us}\n" for n in news).encode())

    recording = Recording(directory, SystemClock(), size_bytes=40 << 20, acknowledged=acknowledged)
    recording.start()
    begun_us = synthetic.WALL_US + start * 60_000_000
    cameras = [synthetic.camera(name, wall_us=begun_us) for name in ("gate/main", "yard/main")]
    while True:
        recording.submit([next(camera) for camera in cameras])
        time.sleep(0.05)


if __name__ == "__main__":
    main()
