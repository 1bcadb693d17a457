"""A TPM 2.0 behind the kernel's resource manager, or a simulated one behind a unix socket."""

import os
import select
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nvr.base.errors import Unavailable
from nvr.wire import tpm2

DEVICE = Path("/dev/tpmrm0")
ANSWER_S = 60.0
"""A slow one takes seconds to make a key; the kernel itself waits up to 5 minutes."""
_MOST_BYTES = 4096


@contextmanager
def opened(path: Path, answer_s: float = ANSWER_S) -> Iterator[Callable[[bytes], bytes]]:
    """Open a TPM; what it gives is an `nvr.seal.tpm.Exchange`.

    Raises:
        Unavailable: ``tpm.missing``: there is none, or it is not ours to use. ``tpm.failed``: it
            does not answer (by the exchange too).
    """
    try:
        fd = _open(path)
    except OSError as err:
        raise Unavailable("tpm.missing", f"no TPM: {err.strerror or err}", path=str(path)) from err
    try:
        yield lambda command: _exchange(fd, path, command, answer_s)
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    if not stat.S_ISSOCK(path.stat().st_mode):
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(str(path))
        line.setblocking(False)
        return line.detach()


def _exchange(fd: int, path: Path, command: bytes, answer_s: float) -> bytes:
    until_s = time.monotonic() + answer_s
    answer = b""
    try:
        os.write(fd, command)  # whole: the device takes nothing less, a socket's buffer holds it
        while len(answer) < (tpm2.size_of(answer) or len(answer) + 1):
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([fd], [], [], left_s)[0]:
                raise TimeoutError(f"no answer within {answer_s:g} s")
            piece = os.read(fd, _MOST_BYTES)
            if not piece:
                raise ConnectionResetError("it hung up")
            answer += piece
    except (OSError, ValueError) as err:
        raise Unavailable("tpm.failed", f"the TPM does not answer: {err}", path=str(path)) from err
    return answer
