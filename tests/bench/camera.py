"""The bench's own programs in C, compiled at first use, and the camera simulator among them."""

import json
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.content import CACHE, FULL, Shape, prepared
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
        process: The simulator.
    """

    port: int
    process: subprocess.Popen[str]

    def url(self, number: int) -> str:
        """Return the address of one camera."""
        return f"rtsp://127.0.0.1:{self.port}/cam{number}"

    def counters(self) -> dict[str, int]:
        """Return ``sent_packets``, ``dropped_units``, ``writes`` and who is ``playing`` now."""
        return asked(self.process)

    def wait_for(self, playing: int, timeout_s: float = 60) -> None:
        """Wait until `playing` clients play; 0 waits until the last one has gone."""
        deadline = time.monotonic() + timeout_s
        while (now := self.counters()["playing"]) != playing:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{now} of {playing} clients play after {timeout_s} s")
            time.sleep(0.1)


@contextmanager
def cameras(
    count: int, *, packets: bool = False, port: int = 0, shape: Shape = FULL
) -> Iterator[Cameras]:
    """Run `count` cameras; they end with the block.

    Args:
        count: How many.
        packets: One write for each RTP packet instead of one for each access unit.
        port: 0 lets the system choose.
        shape: What they send.
    """
    program = compiled("camsim")
    mode = "packets" if packets else "bursts"
    with line_program([program, prepared(shape), count, mode, port], "port") as (process, number):
        yield Cameras(int(number), process)


@contextmanager
def line_program(
    command: Sequence[object], greeting: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a program of ours until the block ends, from its first line on.

    Yields:
        The process and what followed `greeting` in its first line.
    """
    with subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            word, _, rest = process.stdout.readline().strip().partition(" ")
            if word != greeting:
                raise RuntimeError(f"{command[0]} did not start: {word} {rest}")
            yield process, rest
        finally:
            process.stdin.close()
            process.stdout.read()


def asked(process: subprocess.Popen[str]) -> dict[str, int]:
    """Ask a program of ours for its counters."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    counters: dict[str, int] = json.loads(process.stdout.readline())
    return counters


CLIENT = "tests/bench/native/rtsp_client.c"


def floor_program() -> Path:
    """Return the least recorder, compiled."""
    return compiled("floor", [CLIENT, "native/crc32c.c"], ["crypto"])


def reader_program() -> Path:
    """Return the readers, compiled."""
    return compiled("reader", [CLIENT], ["ssl", "crypto"])
