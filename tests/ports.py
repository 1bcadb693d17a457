"""TCP ports for the servers that tests start.

A port that is looked for, let go and bound again by another process can be taken in between: by
the kernel for a connection, or by a test that runs at the same time. These are outside the range
that the kernel takes from, each is given out once, and processes that test at a time have shares
of their own.
"""

import itertools
import os
import re
import socket

_FIRST, _SHARE, _SHARES = 12000, 1000, 16
_worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 15) % _SHARES
_turn = itertools.count(os.getpid() % _SHARE)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    for turn in itertools.islice(_turn, _SHARE):
        port = _FIRST + _worker * _SHARE + turn % _SHARE
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port from {_FIRST + _worker * _SHARE}")
