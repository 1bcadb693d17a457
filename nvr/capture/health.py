"""Which state a stream is in, and why: decided at every look, never in haste.

Each reason has a limit at which it comes and a milder one at which it goes, and a time for which
either must hold without a break; between the two limits it stays as it is. So a stream at a limit
does not flap. What the connection itself says (lost, frozen) has waited already and counts at once.

The limits are those of `LIMITS`; ``nvr camera --help`` and ``nvr/config/SETTINGS.md`` say so.
"""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nvr.base.log import event
from nvr.capture.meter import Meter
from nvr.capture.state import Connection
from nvr.media.health import Condition, Failure, Rates, Spell, StreamHealth, Why

_log = logging.getLogger(__name__)

SPELLS = 100
"""So many times of trouble are remembered of each stream."""


@dataclass(frozen=True, slots=True)
class Limit:
    """When a reason comes and goes.

    Attributes:
        comes: From here on it is one.
        goes: From here back it is none; above `comes` where less is worse.
        comes_s: For so long, without a break.
        goes_s: The same for its end.
    """

    comes: float
    goes: float
    comes_s: float
    goes_s: float


LIMITS = {
    "camera.frozen": Limit(1, 0, 0, 0),
    "camera.unsupported": Limit(1, 0, 0, 0),
    "camera.no_signal": Limit(1, 0, 0, 0),
    "camera.no_power": Limit(1, 0, 0, 0),
    "camera.not_recorded": Limit(1, 0, 0, 10),
    "record.behind": Limit(1, 0, 4, 20),
    "camera.no_key_frames": Limit(10, 5, 0, 4),
    "camera.loss": Limit(0.5, 0.1, 4, 60),
    "camera.damaged": Limit(2, 0.5, 4, 60),
    "camera.unsteady": Limit(3, 2, 0, 0),
    "camera.frame_rate": Limit(75, 90, 20, 20),
    "camera.gop_long": Limit(2.1, 2.05, 10, 30),
    "camera.clock_drift": Limit(500, 250, 30, 120),
    "camera.sound_unsupported": Limit(1, 0, 0, 0),
    "camera.sound_missing": Limit(10, 5, 0, 10),
    "camera.sub_missing": Limit(1, 0, 20, 10),
}
"""The worst first. Units: percent of packets, of pictures and of the usual frame rate;
seconds; parts per million; connections that broke within `UNSTEADY_S`; elsewhere 1 for yes."""
UNSTEADY_S = 600.0
_BREAKS = 1000
_LACKS = frozenset({"camera.no_signal", "camera.no_power"})
_DRIFT_ERROR_PPM = 250.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to go by at one look.

    Attributes:
        connection: What the connection does.
        connected: There is a connection.
        connections: How often it was connected.
        next_try_us: See `StreamHealth`.
        failures: See `StreamHealth`.
        planned: Its plan wants it recorded now, or it has none.
        recorded: It is to be recorded at all.
        stopped: Code of what keeps it from being recorded although the camera is there, empty if
            nothing does.
        behind: The disk does not keep up.
        sub_lost: The camera has a sub stream, and that does not come.
        tolerate: Codes that are no reason to call it degraded.
    """

    connection: Connection
    connected: bool = True
    connections: int = 0
    next_try_us: int = 0
    failures: int = 0
    planned: bool = True
    recorded: bool = True
    stopped: str = ""
    behind: bool = False
    sub_lost: bool = False
    tolerate: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Switch:
    """One reason: whether it holds, and since when the opposite could be said."""

    on: bool = False
    since_us: int = 0
    value: float = 0.0
    turning_s: float | None = None

    def look(self, value: float | None, limit: Limit, now_s: float, wall_us: int) -> None:
        """Take a value; None, which is not known, changes nothing and begins no wait."""
        if value is None:
            self.turning_s = None
            return
        sign = 1 if limit.comes > limit.goes else -1
        self.value = value
        turns = sign * (value - limit.comes) >= 0
        if self.on:
            turns = sign * (value - limit.goes) <= 0
        if not turns:
            self.turning_s = None
            return
        if self.turning_s is None:
            self.turning_s = now_s
        if now_s - self.turning_s >= (limit.goes_s if self.on else limit.comes_s):
            self.on, self.turning_s = not self.on, None
            self.since_us = wall_us


class Machine:
    """State of one stream.

    Args:
        name: Of the stream, for the log.
        wall_us: UTC microseconds now.
        past: Times of trouble known from before, the oldest first.

    Attributes:
        health: As of the last look.
    """

    def __init__(self, name: str, wall_us: int, past: Iterable[Spell] = ()) -> None:
        self._name = name
        self.health = StreamHealth("connecting", wall_us)
        self._switches = {code: _Switch() for code in LIMITS}
        self._breaks: deque[float] = deque(maxlen=_BREAKS)
        self._connections = 0
        self._spells: deque[Spell] = deque(past, maxlen=SPELLS)
        self._open: Spell | None = None
        self._open_s = 0.0

    def spells(self, now_s: float) -> tuple[Spell, ...]:
        """Times of trouble, the newest first; `Spell.to_us` of one that lasts is 0."""
        lasting = [self._open] if self._open else []
        found = [replace(one, duration_s=now_s - self._open_s) for one in lasting]
        return (*found, *reversed(self._spells))

    def look(self, now_s: float, wall_us: int, seen: Seen, meter: Meter) -> bool:
        """Decide anew.

        Returns:
            Whether the state or its reasons changed.
        """
        before, quiet = self.health, self._switches["camera.unsteady"].on
        self._judge(now_s, wall_us, seen, meter)
        found = tuple(
            Why(code, one.since_us, round(one.value, 2), LIMITS[code].comes)
            for code, one in self._switches.items()
            if one.on
        )
        why = tuple(one for one in found if one.code not in seen.tolerate)
        state = _state(seen, before.state, degraded=bool(why))
        if state in {"lost", "connecting"}:
            why = found = ()
        self.health = StreamHealth(
            state,
            before.since_us if state == before.state else wall_us,
            why,
            tuple(one for one in found if one not in why),
            seen.next_try_us if state in {"lost", "connecting"} else 0,
            seen.failures if state in {"lost", "connecting"} else 0,
            _last(before, seen, wall_us),
        )
        self._note(now_s, wall_us, quiet=quiet)
        return state != before.state or _codes(self.health) != _codes(before)

    def _judge(self, now_s: float, wall_us: int, seen: Seen, meter: Meter) -> None:
        if seen.connections > self._connections:
            # The first connection follows on no break.
            breaks = seen.connections - max(1, self._connections)
            self._breaks.extend([now_s] * min(breaks, _BREAKS))
            self._connections = seen.connections
        while self._breaks and now_s - self._breaks[0] >= UNSTEADY_S:
            self._breaks.popleft()
        values = _values(seen, meter)
        values["camera.unsteady"] = float(len(self._breaks))
        for code, limit in LIMITS.items():
            self._switches[code].look(values.get(code), limit, now_s, wall_us)

    def _note(self, now_s: float, wall_us: int, *, quiet: bool) -> None:
        """Keep times of trouble, and tell the log of their begin and end."""
        # One that comes and goes all day says so by being unsteady, not by two lines each time.
        info, warning = (logging.DEBUG,) * 2 if quiet else (logging.INFO, logging.WARNING)
        now, codes, open_ = self.health, _codes(self.health), self._open
        fresh = tuple(code for code in codes if not open_ or code not in open_.codes)
        if open_ is not None and now.state == open_.state:
            if not fresh:
                return
            self._open = replace(open_, codes=(*open_.codes, *fresh))
        elif open_ is not None:
            ended = replace(open_, to_us=wall_us, duration_s=now_s - self._open_s)
            self._spells.append(ended)
            self._open = None
            about = {"after_s": round(ended.duration_s, 1), "why": " ".join(ended.codes)}
            if ended.state == "lost":
                event(_log, info, "camera.returned", camera=self._name, **about)
            elif now.state != "lost":
                event(_log, info, "camera.recovered", camera=self._name, **about)
            fresh = codes
        if now.state not in {"degraded", "lost"}:
            return
        if self._open is None:
            self._open, self._open_s = Spell(now.state, codes, wall_us, 0, 0.0), now_s
        why = " ".join(fresh)
        if now.state == "degraded":
            event(_log, warning, "camera.degraded", camera=self._name, why=why)
            return
        detail = now.last.detail if now.last else ""
        event(_log, warning, "camera.lost", camera=self._name, why=why, detail=detail)


def _codes(health: StreamHealth) -> tuple[str, ...]:
    if health.state == "lost":
        return (health.last.code,) if health.last else ()
    return tuple(one.code for one in health.why)


def _gone(seen: Seen) -> bool:
    """Whether nothing comes: a camera whose pictures we cannot carry may still have sound."""
    state = seen.connection.state
    return state in {"lost", "refused"} or (state == "unsupported" and not seen.connected)


def _state(seen: Seen, before: Condition, *, degraded: bool) -> Condition:
    if _gone(seen):
        return "lost"
    if seen.connection.state == "connecting":
        return "lost" if before == "lost" else "connecting"  # until it has come
    if seen.recorded and not seen.planned:
        return "off"
    if degraded:
        return "degraded"
    return "recording" if seen.recorded else "watched"


def _last(before: StreamHealth, seen: Seen, wall_us: int) -> Failure | None:
    """Why a connection ended last; the time is that of the last attempt that ended so."""
    said, last = seen.connection, before.last
    if not _gone(seen) or not said.code:
        return last
    if before.state == "lost" and last and seen.failures == before.failures:
        return Failure(said.code, said.detail, last.at_us)
    return Failure(said.code, said.detail, wall_us)


def _values(seen: Seen, meter: Meter) -> dict[str, float | None]:
    """What there is to judge by; what is left out is not known."""
    if _gone(seen) or seen.connection.state == "connecting":
        return {"record.behind": float(seen.behind)}
    rates, code = meter.rates, seen.connection.code
    flows = rates.fps is not None and seen.connection.state == "live"
    pictures = seen.connection.state != "unsupported"
    return {
        "camera.frozen": float(seen.connection.state == "frozen" and code not in _LACKS),
        "camera.unsupported": float(not pictures),
        "camera.no_signal": float(code == "camera.no_signal"),
        "camera.no_power": float(code == "camera.no_power"),
        "camera.sound_unsupported": float(code == "camera.sound_unsupported"),
        "camera.not_recorded": float(bool(seen.stopped)),
        "record.behind": float(seen.behind),
        "camera.no_key_frames": rates.key_age_s if pictures and flows else None,
        "camera.loss": rates.loss_percent,
        "camera.damaged": meter.damaged_percent if flows else None,
        "camera.frame_rate": _percent(rates) if pictures and flows else None,
        "camera.gop_long": rates.gop_s if pictures and flows else None,
        "camera.clock_drift": _drift(rates),
        "camera.sound_missing": meter.silent_s if flows else None,
        "camera.sub_missing": float(seen.sub_lost),
    }


def _percent(rates: Rates) -> float | None:
    return 100 * rates.fps / rates.usual_fps if rates.fps is not None and rates.usual_fps else None


def _drift(rates: Rates) -> float | None:
    """What is sure enough of the drift to be judged by."""
    if rates.drift_ppm is None or (rates.drift_error_ppm or 0.0) > _DRIFT_ERROR_PPM:
        return None
    return abs(rates.drift_ppm)
