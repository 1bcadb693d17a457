"""The bench's own programs in C, compiled at first use, and the camera simulator among them."""

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.content import CACHE, prepared
from tests.bench.figures import ROOT

NATIVE = Path(__file__).with_name("native")


class Missing(RuntimeError):
    """A package the bench needs is not installed; the text names it."""


def compiled(name: str, sources: Sequence[str] = (), libraries: Sequence[str] = ()) -> Path:
    """Return the path of ``tests/bench/native/<name>.c`` compiled, anew if a source is newer.

    Args:
        name: Of the program.
        sources: More C files, relative to the repository; their folders are searched for headers.
        libraries: To link, ``crypto`` for ``-lcrypto``.
    """
    target = CACHE / name
    inputs = [NATIVE / f"{name}.c", *(ROOT / source for source in sources)]
    headers = [*NATIVE.glob("*.h"), *(ROOT / "native").glob("*.h")]
    newest = max(path.stat().st_mtime for path in [*inputs, *headers])
    if target.exists() and target.stat().st_mtime > newest:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    cc = shutil.which("cc") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    command = [cc, "-O2", "-std=c11", "-Wall", "-Wextra", f"-I{ROOT / 'native'}", "-o", str(target)]
    command += [str(path) for path in inputs] + [f"-l{library}" for library in libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        hint = " (Debian: libssl-dev)" if "openssl/" in done.stderr else ""
        raise Missing(f"{name}.c does not compile{hint}:\n{done.stderr}")
    return target


@dataclass
class Cameras:
    """A running camera simulator.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        pid: Of its process.
        counters: What it counted, once it has ended.
    """

    port: int
    pid: int
    counters: dict[str, int]

    def url(self, number: int) -> str:
        """Return the address of one camera."""
        return f"rtsp://127.0.0.1:{self.port}/cam{number}"


@contextmanager
def cameras(count: int, *, packets: bool = False, port: int = 0) -> Iterator[Cameras]:
    """Run `count` cameras; they end with the block.

    Args:
        count: How many.
        packets: One write for each RTP packet instead of one for each access unit.
        port: 0 lets the system choose.
    """
    program = compiled("camsim")
    mode = "packets" if packets else "bursts"
    with subprocess.Popen(
        [program, prepared(), str(count), mode, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            word, _, number = process.stdout.readline().partition(" ")
            if word != "port":
                raise RuntimeError("the camera simulator did not start")
            running = Cameras(int(number), process.pid, {})
            yield running
        finally:
            process.stdin.close()
            last = process.stdout.readline()
        running.counters.update(json.loads(last))


CLIENT = "tests/bench/native/rtsp_client.c"


def floor_program() -> Path:
    """Return the least recorder, compiled."""
    return compiled("floor", [CLIENT, "native/crc32c.c"], ["crypto"])


def reader_program() -> Path:
    """Return the readers, compiled."""
    return compiled("reader", [CLIENT], ["ssl", "crypto"])
