"""What is measured and judged of one stream, in one place: counters, rates, state, history."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from nvr.base.clock import Clock
from nvr.capture.health import Machine, Seen
from nvr.capture.history import Trace
from nvr.capture.meter import Meter
from nvr.capture.state import Connection
from nvr.capture.tally import Tally, summed
from nvr.media.health import Counters, Rates, Spell, StreamHealth, StreamReport
from nvr.media.ports import RunStats

HOUR = (10.0, 360)
DAY = (300.0, 288)


class Source(Protocol):
    """What carries the stream.

    Attributes:
        name: For the log.
        tally: What it carried.
    """

    name: str
    tally: Tally

    @property
    def state(self) -> Connection:
        """What its connection does."""
        ...


class Pulse:
    """The pulse of one stream; of one thread.

    Args:
        source: What carries it.
        clock: Time source.
        past: Times of trouble known from before, the oldest first.
    """

    def __init__(self, source: Source, clock: Clock, past: Iterable[Spell] = ()) -> None:
        self._source = source
        self._clock = clock
        self._meter = Meter()
        self._machine = Machine(source.name, clock.wall_us(), past)
        self._hour, self._day = Trace(*HOUR), Trace(*DAY)
        self._before = self._counted = Counters(clock.wall_us())
        self._connections = 0

    @property
    def health(self) -> StreamHealth:
        """State as of the last look."""
        return self._machine.health

    @property
    def rates(self) -> Rates:
        """Rates as of the last measurement."""
        return self._meter.rates

    def moved(self, source: Source) -> None:
        """Another source carries the stream from now on; what was counted stays."""
        self._before, self._connections = self.counters(), self.connections()
        self._source = source

    def connections(self) -> int:
        """How often it was connected, by all its sources."""
        return self._connections + self._source.tally.connections

    def counters(self, stats: RunStats | None = None) -> Counters:
        """Everything counted so far; `stats` are the connection's, if known."""
        now, before = self._source.tally.totals(stats), self._before
        reconnects = max(0, self.connections() - 1)
        counted = summed(before, now)
        return Counters(before.since_us, now.connected_us, **counted, reconnects=reconnects)

    def measure(self, *, shape: object) -> None:
        """Take counters; every two seconds. `shape`: see `Meter.look`."""
        now_s, wall_us = self._clock.monotonic_s(), self._clock.wall_us()
        tally = self._source.tally
        stats = tally.stats()
        if stats is None:
            self._meter.nothing()
        else:
            self._meter.look(now_s, wall_us, stats, sound=tally.has_sound, shape=shape)
        last, self._counted = self._counted, self.counters(stats)
        for trace in (self._hour, self._day):
            trace.add(
                now_s,
                bytes_in=self._counted.bytes_in - last.bytes_in,
                frames=self._counted.frames - last.frames,
                lost=self._counted.lost - last.lost,
                jitter_ms=self._meter.rates.jitter_ms or 0.0,
                state=self.health.state,
            )

    def look(self, seen: Seen) -> bool:
        """Judge anew; returns whether state or reasons changed. What the source knows is added."""
        tally = self._source.tally
        seen = replace(
            seen,
            connection=self._source.state,
            connected=tally.connected_us > 0,
            connections=self.connections(),
            next_try_us=tally.next_try_us,
            failures=tally.failures,
        )
        return self._machine.look(
            self._clock.monotonic_s(), self._clock.wall_us(), seen, self._meter
        )

    def spells(self) -> tuple[Spell, ...]:
        """Times of trouble, the newest first."""
        return self._machine.spells(self._clock.monotonic_s())

    def report(self) -> StreamReport:
        """Return all there is to say."""
        now_s, wall_us = self._clock.monotonic_s(), self._clock.wall_us()
        return StreamReport(
            self.health,
            self.counters(),
            self.rates,
            self._hour.history(now_s, wall_us),
            self._day.history(now_s, wall_us),
            self._machine.spells(now_s),
        )
