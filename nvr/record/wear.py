"""How fast disks are worn: bytes a day, over restarts, and what is left where that can be told.

The kernel counts what is written to a disk from the moment it meets it; the counter begins anew at
every start of the machine. What is kept are sums over the time that was watched, in steps of a day
of at most thirty, so that a change of the cameras shows within weeks.
"""

import msgspec
from msgspec.structs import replace

from nvr.hal.block_device import BlockDevice, PreEol

DAY_S = 86400.0
MOST_DAYS = 30
LEAST_S = 3600.0
"""Less than an hour says nothing of a day."""
LEAST_RECORDED_BYTES = 1 << 30
_OVER = 11
"""First step of an eMMC's estimate that is beyond its life."""
_MOST_STEPS = 12


class Day(msgspec.Struct, frozen=True):
    """A day's worth of watching.

    Attributes:
        seconds: How long it was watched.
        written_bytes: What was written to the disk, by everybody.
        recorded_bytes: What of that is recordings of ours.
    """

    seconds: float = 0.0
    written_bytes: int = 0
    recorded_bytes: int = 0


class Step(msgspec.Struct, frozen=True):
    """An eMMC's estimate went up.

    Attributes:
        life: To which tenth.
        watched_s: Seconds for which the disk had been watched by then.
    """

    life: int
    watched_s: float


class Watched(msgspec.Struct, frozen=True):
    """What is remembered of a disk.

    Attributes:
        boot: Start of the kernel in which it was looked at last.
        looked_s: Monotonic seconds then, which count from that start.
        written_bytes: The kernel's counter then.
        watched_s: For how long it was watched in all.
        total_bytes: Written in that time.
        days: Newest last.
        life: Its estimate when last looked at.
        steps: When that went up.
    """

    boot: str
    looked_s: float
    written_bytes: int
    watched_s: float = 0.0
    total_bytes: int = 0
    days: tuple[Day, ...] = ()
    life: int = 0
    steps: tuple[Step, ...] = ()


class DiskWear(msgspec.Struct, frozen=True):
    """A disk as it is shown.

    Attributes:
        name: The kernel's name.
        uses: ``volume``, ``system`` or both.
        kind: See `BlockDevice`.
        model: Likewise.
        maker: Likewise.
        made: Likewise.
        size_bytes: Likewise.
        written_bytes: Written while it was watched.
        watched_s: For how long that was.
        bytes_a_day: Written a day, by everybody; None while too little is known.
        recorded_a_day: Of that, what is recordings; None likewise, or if they are elsewhere.
        amplification: How many bytes the disk is given for one that is recorded. What flash
            makes of it within is not given by any disk.
        disk_writes_a_year: How often the whole disk is written a year, None likewise.
        life_percent: How much of an eMMC's life is used at most, None if it is not given.
        pre_eol: What it says of its spare blocks, empty if it is not given.
        days_left: Until its life is over at this rate; None where that cannot be told.
        celsius: Its temperature, None if it is not given.
    """

    name: str
    uses: tuple[str, ...]
    kind: str
    model: str
    maker: str
    made: str
    size_bytes: int
    written_bytes: int
    watched_s: float
    bytes_a_day: float | None
    recorded_a_day: float | None
    amplification: float | None
    disk_writes_a_year: float | None
    life_percent: int | None
    pre_eol: PreEol
    days_left: float | None
    celsius: float | None

    @property
    def worn(self) -> bool:
        """It says itself that its life is nearly over, or is."""
        return self.pre_eol in {"warning", "urgent"} or (self.life_percent or 0) > 100


def looked(
    before: Watched | None, disk: BlockDevice, boot: str, now_s: float, recorded_bytes: int
) -> Watched:
    """Return what is known after a look at a disk.

    Args:
        before: What was known.
        disk: What it says now.
        boot: This start of the kernel.
        now_s: Monotonic seconds, from that start.
        recorded_bytes: Recorded on it since it was looked at before.
    """
    life = max(disk.life or (0,))
    if before is None:
        return Watched(boot, now_s, disk.written_bytes, life=life)
    same = before.boot == boot and now_s >= before.looked_s
    seconds = now_s - before.looked_s if same else now_s
    written = disk.written_bytes
    if same and written >= before.written_bytes:  # else it was pulled, and is counted anew
        written -= before.written_bytes
    watched_s = before.watched_s + seconds
    steps = before.steps
    if life > before.life > 0:
        steps = (*steps, Step(life, watched_s))[-_MOST_STEPS:]
    return Watched(
        boot,
        now_s,
        disk.written_bytes,
        watched_s,
        before.total_bytes + written,
        _added(before.days, seconds, written, recorded_bytes),
        life or before.life,
        steps,
    )


def _added(days: tuple[Day, ...], seconds: float, written: int, recorded: int) -> tuple[Day, ...]:
    last = days[-1] if days else Day()
    kept = days[:-1]
    if last.seconds >= DAY_S:
        last, kept = Day(), days
    last = replace(
        last,
        seconds=last.seconds + seconds,
        written_bytes=last.written_bytes + written,
        recorded_bytes=last.recorded_bytes + recorded,
    )
    return (*kept, last)[-MOST_DAYS:]


def report(disk: BlockDevice, watched: Watched | None, uses: tuple[str, ...]) -> DiskWear:
    """Put together what a disk says and what was watched."""
    days = watched.days if watched else ()
    seconds = sum(day.seconds for day in days)
    written = sum(day.written_bytes for day in days)
    recorded = sum(day.recorded_bytes for day in days)
    enough = seconds >= LEAST_S
    a_day = written / seconds * DAY_S if enough else None
    return DiskWear(
        name=disk.name,
        uses=uses,
        kind=disk.kind,
        model=disk.model,
        maker=disk.maker,
        made=disk.made,
        size_bytes=disk.size_bytes,
        written_bytes=watched.total_bytes if watched else 0,
        watched_s=watched.watched_s if watched else 0.0,
        bytes_a_day=a_day,
        recorded_a_day=recorded / seconds * DAY_S if enough and "volume" in uses else None,
        amplification=(
            written / recorded if "volume" in uses and recorded >= LEAST_RECORDED_BYTES else None
        ),
        disk_writes_a_year=a_day * 365 / disk.size_bytes if a_day and disk.size_bytes else None,
        life_percent=max(disk.life) * 10 if disk.life else None,
        pre_eol=disk.pre_eol,
        days_left=_days_left(watched) if watched and disk.life else None,
        celsius=disk.celsius,
    )


def _days_left(watched: Watched) -> float | None:
    """Days until an eMMC is beyond its life, None unless its estimate went up twice meanwhile.

    It goes in tenths: where within one the disk was when it was first seen nobody knows.
    """
    if len(watched.steps) < 2:
        return None
    first, last = watched.steps[0], watched.steps[-1]
    a_step_s = (last.watched_s - first.watched_s) / (last.life - first.life)
    left_s = (_OVER - last.life) * a_step_s - (watched.watched_s - last.watched_s)
    return max(0.0, left_s) / DAY_S
