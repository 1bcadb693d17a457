"""Compares what an archive tells of a recording with what really happened to it.

A `Stretch` is what was recorded without a hole, a start or a step of the clock; a harness that
sets the clock writes them down as they go by.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from nvr.media.part import Part
from nvr.playback.gap import Gap
from nvr.playback.query import Archive, Recorded
from nvr.record.note import UNKNOWN_MS

SLACK_US = 1_100_000
"""A part is half a second, the box looks at its clock once a second, cameras may say up to one."""


@dataclass
class Stretch:
    """What was recorded without a hole, a start or a step of the clock.

    Attributes:
        from_us: What the box's clock said at the beginning.
        to_us: What it said at the end.
        off_s: For how long nothing was recorded before it.
        state: How the clock was set at its end.
        behind_us: By how much it was set forward later, having been unset.
        parts: Recorded in it.
    """

    from_us: int
    to_us: int
    off_s: float
    state: str
    behind_us: int = 0
    parts: list[Part] = field(default_factory=list)


@dataclass
class Found:
    """What came of it.

    Attributes:
        jumps: Of the wall clock.
        restarts: Of the recorder, with a stop, by a kill, or of the whole box.
        seconds: Recorded.
        seconds_lost: Not found by one of the ways.
        seconds_twice: Found twice by one of them.
        stretches: That there should be, over all cameras.
        stretches_wrong: Missing, too many, or at another time.
        gaps_wrong: Gaps where there was none, missing ones, and those of another length.
        trust_wrong: Stretches of which it is told wrongly how good the clock was.
        notes: What was wrong first.
    """

    jumps: int = 0
    restarts: int = 0
    seconds: float = 0.0
    seconds_lost: float = 0.0
    seconds_twice: float = 0.0
    stretches: int = 0
    stretches_wrong: int = 0
    gaps_wrong: int = 0
    trust_wrong: int = 0
    notes: list[str] = field(default_factory=list)

    def say(self, what: str) -> None:
        if len(self.notes) < 8:
            self.notes.append(what)


def compare(
    found: Found,
    stream: str,
    truth: list[Stretch],
    told: list[Recorded | Gap],
    *,
    own_clock: bool,
) -> None:
    """Every stretch once, at its times; and between two of them as much gap as there was."""
    if own_clock:
        # A step of less than a second may not concern it: it goes by the camera's clock. Where it
        # begins or ceases to, a stretch may end.
        pieces = sum(isinstance(one, Recorded) for one in told) - len(truth)
        if pieces > len(truth) // 4:
            found.stretches_wrong += pieces
            found.say(f"{stream}: in {pieces} pieces more than there are stretches")
        truth, told = joined(truth), joined(told)
    recorded = [one for one in told if isinstance(one, Recorded)]
    found.stretches += len(truth)
    if len(recorded) != len(truth):
        found.stretches_wrong += abs(len(recorded) - len(truth))
        found.say(f"{stream}: {len(recorded)} stretches for {len(truth)}")
    for n, (was, one) in enumerate(zip(truth, recorded, strict=False)):
        if abs(one.from_us - was.from_us) > SLACK_US or abs(one.to_us - was.to_us) > SLACK_US:
            found.stretches_wrong += 1
            found.say(f"{stream}: stretch {n} is told as {one}, was {was.from_us} {was.to_us}")
        known = one.trust.uncertainty_ms < UNKNOWN_MS
        if one.trust.clock != was.state or known != (was.state in {"ntp", "gb28181"}):
            found.trust_wrong += 1
            found.say(f"{stream}: stretch {n} was {was.state}, told {one.trust}")
        if abs(one.trust.behind_us - was.behind_us) > SLACK_US:
            found.trust_wrong += 1
            found.say(f"{stream}: stretch {n} was behind {was.behind_us}, told {one.trust}")
    gaps_s = [0.0]
    for one in told:
        if isinstance(one, Gap):
            gaps_s[-1] += (one.to_us - one.from_us) / 1e6
            if one.to_us <= one.from_us:
                found.gaps_wrong += 1
                found.say(f"{stream}: a gap that goes back: {one}")
        else:
            gaps_s.append(0.0)
    for n, (was, gap_s) in enumerate(zip(truth, gaps_s, strict=False)):
        if abs(gap_s - was.off_s) > SLACK_US / 1e6:
            found.gaps_wrong += 1
            found.say(f"{stream}: before stretch {n} {gap_s:.1f} s of gap, {was.off_s:.1f} true")


def joined(stretches: list) -> list:
    """Join stretches between which the clock was stepped by less than cameras differ from it."""
    made: list = []
    for one in stretches:
        last = made[-1] if made else None
        if (
            type(one) is type(last)
            and not isinstance(one, Gap)
            and not getattr(one, "off_s", 0.0)
            and abs(one.from_us - last.to_us) <= SLACK_US
        ):
            made[-1] = replace(one, from_us=last.from_us, **_kept(last))
        else:
            made.append(one)
    return made


def _kept(last: Stretch | Recorded) -> dict:
    return {"off_s": last.off_s, "behind_us": last.behind_us} if isinstance(last, Stretch) else {}


def walk(
    found: Found,
    archive: Archive,
    stream: str,
    truth: list[Stretch],
    told: list[Recorded | Gap],
) -> None:
    """Go from group to group, as a player does, and recognise every part."""
    names = {bytes(part.mdat[8:24]): part for was in truth for part in was.parts}
    seen: set[bytes] = set()
    first = next((one for one in told if isinstance(one, Recorded)), None)
    place = first.place if first else None
    gop = archive.gop(stream, first.from_us, place) if first else None
    while gop is not None:
        for name in _names(gop.data):
            part = names[name]
            if name in seen:
                found.seconds_twice += part.duration_90k / 90_000
                found.say(f"{stream}: {part.wall_us} is served twice")
                return
            seen.add(name)
        if gop.following is None or gop.next_us is None:
            break
        gop = archive.gop(stream, gop.next_us, gop.following)
    lost = [part for name, part in names.items() if name not in seen]
    found.seconds_lost += sum(part.duration_90k for part in lost) / 90_000
    if lost:
        found.say(f"{stream}: {len(lost)} parts are not served, the first at {lost[0].wall_us}")


def _names(data: bytes) -> Iterator[bytes]:
    """Yield the first bytes of the samples of each part in a group."""
    at = 0
    while at < len(data):
        at += int.from_bytes(data[at : at + 4], "big")
        yield data[at + 8 : at + 24]
        at += int.from_bytes(data[at : at + 4], "big")


def by_day(found: Found, archive: Archive, stream: str, told: list[Recorded | Gap]) -> None:
    """Ask day by day, as the page does: together the days hold everything once."""
    day_us = 86_400_000_000
    all_us = sum(one.to_us - one.from_us for one in told if isinstance(one, Recorded))
    from_us = min(one.from_us for one in told) // day_us * day_us
    until_us = max(one.to_us for one in told)
    seen_us = 0
    while from_us < until_us:
        for one in archive.ranges(stream, from_us, from_us + day_us).runs:
            seen_us += min(one.to_us, from_us + day_us) - max(one.from_us, from_us)
        later = [one.from_us for one in told if one.to_us > from_us + day_us]
        from_us = max(from_us + day_us, min(later, default=until_us) // day_us * day_us)
    if seen_us != all_us:
        found.seconds_lost += max(0, all_us - seen_us) / 1e6
        found.seconds_twice += max(0, seen_us - all_us) / 1e6
        found.say(f"{stream}: {seen_us} us by day, {all_us} in all")


def take_away(found: Found, archive: Archive, stream: str, truth: list[Stretch]) -> None:
    """Export each time that was there twice: both recordings of it are in the file."""
    for before, after in pairwise(truth):
        from_us, to_us = max(after.from_us, before.from_us), min(before.to_us, after.to_us)
        if from_us >= to_us:
            continue
        # Some of both lies before it and behind it, so that it has to be left and found again.
        from_us, to_us = (3 * from_us + to_us) // 4, (from_us + 3 * to_us) // 4
        wanted = {
            bytes(part.mdat[8:24]): part.duration_90k / 90_000
            for was in truth
            for part in was.parts
            if part.wall_us < to_us and part.wall_us + part.duration_90k * 100 // 9 > from_us
        }
        pieces = archive.export_timed(stream, from_us, to_us)
        next(pieces)  # what a player needs first
        names = [name for piece, _ in pieces for name in _names(piece)]
        lost_s = sum(long_s for name, long_s in wanted.items() if name not in names)
        if lost_s or len(set(names)) < len(names):
            found.seconds_lost += lost_s
            found.seconds_twice += len(names) - len(set(names))
            found.say(f"{stream}: of {from_us} to {to_us} {lost_s} s are not exported")
