"""Remembers over restarts when streams were degraded or lost.

Written five minutes after a change at the earliest, and at the end: a camera that comes and goes
all day must not wear the card. What a power cut takes of it is in the journal.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.base.log import event
from nvr.config import load as config
from nvr.media.health import Spell

_log = logging.getLogger(__name__)
_NAME = "trouble.json"
SAVE_S = 300.0
MOST = 50
"""Of each stream."""

Spells = Mapping[str, tuple[Spell, ...]]
"""By stream, the newest first."""


class Trouble:
    """What was the matter with the streams, kept in the data directory.

    Args:
        data: The directory.
        clock: Time source.
    """

    def __init__(self, data: Path, clock: Clock) -> None:
        self._path = data / _NAME
        self._clock = clock
        self._past = load(self._path)
        self._saved: object = None

    def past(self, stream: str) -> tuple[Spell, ...]:
        """What was the matter before the start, the oldest first."""
        return tuple(reversed(self._past.get(stream, ())))

    async def run(self, spells: Callable[[], Spells]) -> None:
        """Keep what `spells` says until cancelled, and then once more."""
        try:
            while True:
                await self._clock.sleep(SAVE_S)
                self.save(spells())
        finally:
            self.save(spells())

    def save(self, spells: Spells) -> None:
        """Write it down if it changed."""
        now = {stream: each[:MOST] for stream, each in spells.items() if each}
        # The length of one that lasts changes all the time, and is no reason to write.
        shape = {stream: [replace(it, duration_s=0) for it in each] for stream, each in now.items()}
        if shape == self._saved:
            return
        self._saved = shape
        try:
            config.write(self._path, msgspec.json.encode(now).decode())
        except Unavailable as err:
            event(_log, logging.WARNING, "trouble.unsaved", error=str(err))


def load(path: Path) -> dict[str, tuple[Spell, ...]]:
    """Return what a file holds, nothing if it cannot be read; what lasted ends with the file."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[Spell, ...]])
    except (OSError, msgspec.MsgspecError):
        return {}
    return {stream: tuple(map(_ended, spells)) for stream, spells in found.items()}


def _ended(spell: Spell) -> Spell:
    if spell.to_us:
        return spell
    return replace(spell, to_us=spell.from_us + round(spell.duration_s * 1e6))
