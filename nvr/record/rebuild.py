"""Reads, beside the recording, the blocks of a big disk that nobody remembers.

After ``index.db`` was lost a disk of 20 TB takes a quarter of an hour to read, a slow one longer.
Recording does not wait for it: see `record.survey` for what is read before it begins. Until the
rest is read, what is in it is neither shown nor overwritten, and nothing is decided because it is
not there.
"""

import logging
import threading
from collections.abc import Callable, Iterable

from nvr.base.log import event
from nvr.hal.idle import give_way
from nvr.record.store import Store
from nvr.record.survey import Survey, settle

_log = logging.getLogger(__name__)

AT_ONCE = 256
"""Blocks that are read before recording begins: 3 s of a disk that seeks, and more than the streams
of a box have begun since the last of them was."""
_BUSY_S = 0.2
_REFUSED_S = 0.5


class Rebuild:
    """The reading of the rest of one volume.

    Args:
        store: The open volume.
        busy: Whether the disk has something more important to do; then it waits.
    """

    def __init__(self, store: Store, busy: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._busy = busy

    def run(self, stop: threading.Event) -> None:
        """Read until nothing is left, or told to stop."""
        survey, ring, clock = self._store.survey, self._store.ring, self._store.clock
        if survey is None or not survey.unread:
            return
        give_way()
        blocks, begun_s = len(survey.unread), clock.monotonic_s()
        event(_log, logging.WARNING, "record.rebuild_begun", blocks=blocks)
        newest = ring.unread_serial
        refused = self._read(survey, survey.unread, stop)
        survey.refused.difference_update(refused)
        for number in self._read(survey, refused, stop):  # a cable may only have been shaken
            ring.found(number, None, refused=True)
        if stop.is_set():
            return
        settle(
            self._store.catalog,
            lambda row: row.head.serial <= newest and ring.at_rest(row.head.block),
        )
        took_s = clock.monotonic_s() - begun_s
        event(_log, logging.INFO, "record.rebuild_done", blocks=blocks, took_s=round(took_s, 1))

    def _read(self, survey: Survey, numbers: Iterable[int], stop: threading.Event) -> list[int]:
        """Read blocks; returns those that the disk refused."""
        clock, refused = self._store.clock, list[int]()
        for number in numbers:
            while self._busy() and not stop.is_set():
                stop.wait(_BUSY_S)
            began_s = clock.monotonic_s()
            row = survey.read(number)
            if number in survey.refused:
                refused.append(number)
                pause_s = _REFUSED_S
            else:
                self._store.ring.found(number, row)
                # Half of the time is the recorder's, which shares the interpreter with it.
                pause_s = min(_BUSY_S, clock.monotonic_s() - began_s)
            if stop.wait(pause_s):
                break
        return refused
