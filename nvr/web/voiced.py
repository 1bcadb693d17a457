"""Converted pictures of a live stream, with the sound that it has beside them.

Pictures come late out of the converter, so sound waits for them: whoever begins with a key frame
has the sound of the same moment, and what is buffered of both ends together. Of what waits too long
the oldest is dropped.
"""

import collections
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from nvr.base.errors import Damaged
from nvr.base.log import event
from nvr.media.live import Deliver
from nvr.media.part import Fragment
from nvr.media.ports import Watched
from nvr.media.track import StreamConfig
from nvr.web.fragment import without

_log = logging.getLogger(__name__)

MOST_WAITING: Final = 512
"""Fragments of sound, of a tick each: ten seconds of them at least."""


class Voiced:
    """What is watched in place of converted pictures. Of the event loop's thread.

    Args:
        pictures: The converted ones.
        stream: What they are made of.
    """

    def __init__(self, pictures: Watched, stream: Watched) -> None:
        self._pictures, self._stream = pictures, stream

    @property
    def config(self) -> StreamConfig | None:
        """None: it is known with the first picture."""
        return None

    def watch(self, deliver: Deliver) -> Callable[[], None]:
        """Deliver both from the next key frame on. See `Stream`."""
        both = _Both(deliver)
        ends = self._pictures.watch(both.see), self._stream.watch(both.hear)

        def end() -> None:
            for one in ends:
                one()

        return end


class _Both:
    """Puts the two together for one watcher."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._config: StreamConfig = ()
        self._ids: dict[int, int] = {}
        self._waiting: collections.deque[Fragment] = collections.deque(maxlen=MOST_WAITING)

    def hear(self, config: StreamConfig, fragments: list[Fragment]) -> None:
        """Keep the sound of what came."""
        if config != self._config:
            self._config = config
            heard = [n for n, track in enumerate(config, 1) if track.kind == "audio"]
            self._ids = {old: new for new, old in enumerate(heard, 2)}
            self._waiting.clear()
        self._waiting.extend(
            one for one in fragments if one.track + 1 in self._ids or (self._ids and one.track < 0)
        )

    def see(self, config: StreamConfig, fragments: list[Fragment]) -> None:
        """Pass pictures on, and the sound up to the last one of them."""
        until_90k = max((one.start_90k for one in fragments), default=0)
        out = list(fragments)
        while self._waiting and self._waiting[0].start_90k <= until_90k:
            one = self._waiting.popleft()
            try:
                data = without(one.data, self._ids)
            except Damaged as err:
                event(_log, logging.DEBUG, "page.fragment_left_out", error=str(err))
                continue
            if data:
                out.append(replace(one, data=data, key=False, track=-1))
        heard = (track for track in self._config if track.kind == "audio")
        self._deliver((*config, *heard), out)
