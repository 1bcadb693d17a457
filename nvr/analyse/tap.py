"""Parts on their way to the disk, kept for a moment for who looks at them.

The ingest thread hands over references, twice a second and stream; nothing is copied or parsed
there. What is not taken in time is dropped, up to the next key frame.
"""

import threading
from collections import deque
from collections.abc import Sequence

from nvr.media.fragment import runs
from nvr.media.part import Part

MOST_PARTS = 12
"""Six seconds: a slower look has to be a rarer one."""
MOST_BYTES = 6 << 20
Unit = tuple[bytes, int]
"""A coded picture as MP4 has it, and when it is shown, 90 kHz."""


class Tap:
    """The parts of one stream.

    Args:
        keys_only: Only parts that begin with a key frame are wanted, and of them only the newest.
    """

    def __init__(self, *, keys_only: bool) -> None:
        self.keys_only = keys_only
        self._parts: deque[Part] = deque()
        self._bytes = 0
        self._waiting = True
        self._lock = threading.Lock()
        self.dropped = 0

    def push(self, part: Part) -> None:
        """Keep a part; called in the ingest thread."""
        with self._lock:
            if self.keys_only:
                if part.key:
                    self._parts.clear()
                    self._parts.append(part)
                return
            if self._waiting and not part.key:
                return
            self._waiting = False
            self._parts.append(part)
            self._bytes += len(part.mdat)
            if len(self._parts) > MOST_PARTS or self._bytes > MOST_BYTES:
                self.dropped += len(self._parts)
                self._parts.clear()
                self._bytes = 0
                self._waiting = True

    def take(self) -> list[Part]:
        """Return what waits, and keep it no longer."""
        with self._lock:
            parts = list(self._parts)
            self._parts.clear()
            self._bytes = 0
        return parts

    def waiting(self) -> int:
        """How many parts wait."""
        return len(self._parts)


def units(part: Part, *, key_only: bool = False) -> list[Unit]:
    """Return the coded pictures of a part, or only the first of them.

    Raises:
        Damaged: ``fragment.damaged``.
    """
    video = next((n for n, track in enumerate(part.config) if track.kind == "video"), None)
    if video is None:
        return []
    found: list[Unit] = []
    data, head = memoryview(part.mdat), len(part.moof)
    for number, first_dts, offset, entries in runs(memoryview(part.moof)):
        if number - 1 != video:
            continue
        dts, at = first_dts, offset - head
        for size, duration, shift, _ in entries:
            found.append((bytes(data[at : at + size]), dts + shift))
            if key_only:
                return found
            dts, at = dts + duration, at + size
    return found


def last_key(parts: Sequence[Part]) -> Part | None:
    """Return the newest part that begins with a key frame."""
    return next((part for part in reversed(parts) if part.key), None)
