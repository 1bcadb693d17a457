"""What the ingest thread has for the event loop, handed over at most once a tick.

Nothing is posted per packet or per access unit: whoever has something marks itself in the mailbox,
and one call into the loop empties all marked queues. A loop that stalls finds one call waiting, not
thousands; what its watchers missed meanwhile is bounded by each queue.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from nvr.media.part import Fragment, Portion
from nvr.media.track import StreamConfig

T = TypeVar("T", Fragment, Portion)
Deliver = Callable[[StreamConfig, list[Fragment]], None]
DeliverPortions = Callable[[StreamConfig, list[Portion]], None]


class Receiver(Protocol):
    """Has a queue to be emptied in the loop."""

    def drain(self) -> None:
        """Hand over what is queued; called in the event loop's thread."""
        ...


class Mailbox:
    """Marks receivers in the ingest thread, drains them in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._marked: dict[Receiver, None] = {}
        self._posted = False

    def mark(self, receiver: Receiver) -> None:
        """Drain `receiver` after the next `flush`."""
        with self._lock:
            self._marked[receiver] = None

    def flush(self) -> None:
        """Post what is marked; a loop that is closed already loses it."""
        with self._lock:
            if not self._marked or self._posted or self._loop.is_closed():
                return
            self._posted = True
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        with self._lock:
            marked = list(self._marked)
            self._marked.clear()
            self._posted = False
        for receiver in marked:
            receiver.drain()


class Watcher(Generic[T]):
    """One viewer of a stream: a queue that drops whole groups of pictures.

    Args:
        mailbox: Takes the mark when something is queued.
        deliver: Called in the event loop.
        queue_bytes: Most that may wait; beyond it everything waiting is dropped and the next
            delivery begins with a key frame.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        deliver: Callable[[StreamConfig, list[T]], None],
        queue_bytes: int = 16 << 20,
    ) -> None:
        self._mailbox = mailbox
        self._deliver: Callable[[StreamConfig, list[T]], None] = deliver
        self._queue_bytes = queue_bytes
        self._lock = threading.Lock()
        self._queue: list[tuple[StreamConfig, list[T]]] = []
        self._queued_bytes = 0
        self._waiting = True
        self._open = True
        self.dropped = 0

    def push(self, config: StreamConfig, fragments: list[T]) -> None:
        """Queue `fragments`, from the first key frame on if one must come first."""
        if self._waiting:
            start = next((n for n, fragment in enumerate(fragments) if fragment.key), None)
            if start is None:
                return
            fragments = fragments[start:]
            self._waiting = False
        size = sum(len(fragment.data) for fragment in fragments)
        with self._lock:
            if self._queued_bytes and self._queued_bytes + size > self._queue_bytes:
                self.dropped += sum(len(queued) for _, queued in self._queue) + len(fragments)
                self._queue.clear()
                self._queued_bytes = 0
                self._waiting = True
                return
            self._queue.append((config, fragments))
            self._queued_bytes += size
        self._mailbox.mark(self)

    def restart(self) -> None:
        """Let the next delivery begin with a key frame."""
        self._waiting = True

    def close(self) -> None:
        """Deliver nothing from now on; called in the event loop."""
        self._open = False

    def drain(self) -> None:  # noqa: D102 - see Receiver
        with self._lock:
            queue = self._queue
            self._queue = []
            self._queued_bytes = 0
        for config, fragments in queue:
            if self._open:
                self._deliver(config, fragments)
