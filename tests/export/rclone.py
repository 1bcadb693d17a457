"""An S3 server that somebody else wrote."""

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

RCLONE = Path(sys.executable).with_name("rclone")


class Server:
    """`rclone serve s3` on a directory; a bucket is a directory in it."""

    def __init__(self, root: Path, *more: str) -> None:
        self.root = root / "store"
        (self.root / "evidence").mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process = subprocess.Popen(
            (RCLONE, "serve", "s3", "--config", root / "none", "--addr", f"127.0.0.1:{self.port}",
             "--auth-key", "nvr,correct", *more, self.root),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end_s = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self._process.poll() is None
            assert time.monotonic() < end_s
            time.sleep(0.05)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def object(self, name: str) -> bytes:
        return (self.root / "evidence" / name).read_bytes()

    def names(self) -> set[str]:
        bucket = self.root / "evidence"
        return {str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file()}
