"""A program for the sandbox that does what it is told, also what it must not be able to."""

import ctypes
import fcntl
import mmap
import os
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

from nvr.codec.confined import serve

libc = ctypes.CDLL(None, use_errno=True)


def tried(call) -> bytes:
    """What came of something that a confined process cannot do."""
    try:
        call()
    except (OSError, RuntimeError, ValueError) as err:
        return repr(err).encode()
    return b"done"


def executable() -> None:
    if libc.mprotect(ctypes.c_void_p(PAGE), 4096, 1 | 4):
        raise OSError(ctypes.get_errno(), "mprotect")


def page() -> int:
    libc.mmap.restype = ctypes.c_void_p
    return libc.mmap(None, 4096, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)


PAGE = page()
NAUGHTY = {
    b"read": Path("/etc/hostname").read_bytes,
    b"write": lambda: Path("/dev/shm/x").write_bytes(b"x"),
    b"list": lambda: os.listdir("/"),
    b"delete": lambda: os.unlink("/nowhere"),
    b"socket": socket.socket,
    b"unix": socket.socketpair,
    b"run": lambda: subprocess.run(["/bin/true"], check=True),
    b"exec": lambda: os.execv("/bin/true", ["true"]),
    b"fork": os.fork,
    b"thread": lambda: threading.Thread(target=print).start(),
    b"kill": lambda: os.kill(os.getppid(), 0),
    b"trace": lambda: libc.ptrace(16, os.getppid(), 0, 0) and (_ for _ in ()).throw(OSError("no")),
    b"fcntl": lambda: fcntl.fcntl(0, fcntl.F_GETFL),
    b"executable": executable,
    b"mapped": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
}


def answer(message: bytes) -> bytes:
    word, _, rest = message.partition(b" ")
    if word in NAUGHTY:
        return tried(NAUGHTY[word])
    if word == b"echo":
        return rest
    if word == b"time":
        return datetime.fromtimestamp(int(rest)).astimezone().isoformat().encode()
    if word == b"crash":
        ctypes.string_at(0)
    if word == b"hang":
        while True:
            pass
    if word == b"sleep":
        time.sleep(3600)
    if word == b"exit":
        sys.exit(int(rest))
    if word == b"raise":
        raise ValueError("no such picture\x1b[2J")
    if word == b"memory":
        return b"%d" % len(bytearray(3 << 30))
    if word == b"nonsense":
        os.write(1, b"\xff" * 100)
    if word == b"mute":
        os.close(2)
        time.sleep(3600)
    return b""


if __name__ == "__main__":
    serve(answer)
