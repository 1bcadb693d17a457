"""The child's half of a sandbox: gives up its rights, then answers one message after the other.

A message is its length in four bytes and then itself; the first one says that the rights are gone.
What the parent keeps is in `nvr.codec.sandbox`.
"""

import contextlib
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from nvr._native import confine

MOST_BYTES = 64 << 20
"""Of one message."""
MEMORY_BYTES = 1 << 30
"""Of its own that the child may have: pictures of 4K need a third of it."""


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Give up all rights and answer until the parent closes the line.

    All that is ever imported, opened or started must have been so before.

    Args:
        answer: Turns a message into its answer; what it raises ends the process.

    Raises:
        OSError: The kernel has no such filter.
    """
    with contextlib.suppress(OSError):  # of all processes this one should go first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_DATA, MEMORY_BYTES),
    ):
        resource.setrlimit(what, (most, most))
    confine()
    _write(b"")
    while (message := _read()) is not None:
        _write(answer(message))


def _read() -> bytes | None:
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        return None
    return sys.stdin.buffer.read(int.from_bytes(head, "big"))


def _write(message: bytes) -> None:
    sys.stdout.buffer.write(len(message).to_bytes(4, "big") + message)
    sys.stdout.buffer.flush()
