r"""Says when a device was plugged in or pulled, so that nobody has to look every second.

The kernel tells group 1 of netlink's family 15 as it happens; udev tells group 2 when it has made
the names and set the rights. Both are listened to: a box without udev has only the first.

Source: Linux 6.1 ``lib/kobject_uevent.c``; systemd ``libudev`` monitor header (``libudev\0``).
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final, Self

LOOK_S: Final = 0.5
HEARD_LOOK_S: Final = 5.0
SETTLE_S: Final = 0.2
"""Between the node and the rights that udev gives it."""

_FAMILY = 15
_GROUPS = 3
_MOST_BYTES = 8192


class Uevents:
    """What the kernel and udev say of devices of some subsystems.

    Args:
        subsystems: As ``video4linux``, ``sound``.

    Raises:
        OSError: This kernel, or what this process may, has no such socket.
    """

    def __init__(self, *subsystems: str) -> None:
        self._wanted = [f"SUBSYSTEM={name}".encode() for name in subsystems]
        self._sock = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            _FAMILY,
        )
        try:
            self._sock.bind((0, _GROUPS))
        except OSError:
            self._sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Descriptor to wait on for reading."""
        return self._sock.fileno()

    def happened(self) -> bool:
        """Take what has come; returns whether it was of those subsystems.

        One that came too fast to be kept counts as well. Only what root's own processes say is
        believed, and it only ever means: look again.
        """
        found = False
        while True:
            try:
                data, _, _, sender = self._sock.recvmsg(_MOST_BYTES)
            except BlockingIOError:
                return found
            except OSError:  # ENOBUFS: some were lost
                return True
            with contextlib.suppress(TypeError, IndexError):
                if not sender[1]:  # sent to us alone: anybody can
                    continue
            found = found or any(one in data.split(b"\0") for one in self._wanted)

    def close(self) -> None:
        """Listen no more."""
        self._sock.close()


@contextlib.contextmanager
def changes(*subsystems: str) -> Iterator[tuple[asyncio.Event, bool]]:
    """Set an event whenever something of these subsystems was plugged in or pulled.

    Yields:
        The event, and whether anything can be heard: in some containers it cannot.
    """
    changed = asyncio.Event()
    with contextlib.ExitStack() as stack:
        try:
            heard = stack.enter_context(Uevents(*subsystems))
        except OSError:
            yield changed, False
            return
        loop = asyncio.get_running_loop()

        def listen() -> None:
            if heard.happened():
                changed.set()

        loop.add_reader(heard.fileno(), listen)
        stack.callback(loop.remove_reader, heard.fileno())
        yield changed, True


async def look_again(changed: asyncio.Event, *, rare: bool) -> bool:
    """Wait until it is time to look again: something changed, or a while is over.

    Args:
        changed: Of `changes`; cleared.
        rare: Changes are heard of, so that the while may be long.

    Returns:
        Whether something changed.
    """
    try:
        async with asyncio.timeout(HEARD_LOOK_S if rare else LOOK_S):
            return await changed.wait()
    except TimeoutError:
        return False
    finally:
        changed.clear()
