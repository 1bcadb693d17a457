"""All volumes of the box: which one is recorded on, and what is on any of them.

The first in the configuration that can be recorded on is. When it fails, the next goes on with
what waited in memory, beginning with the key frame of each group of pictures under way. When a
better one is back and has been well for a while, recording goes back to it in the same way; each
time it fails again that while is twice as long, so that a loose cable does not wear out both.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from nvr.app import locks
from nvr.app.mirror import Mirror
from nvr.app.outage import Outage, forget, load, save
from nvr.app.turns import Turns
from nvr.app.vault import WATCH_S, Vault
from nvr.base.clock import Clock, beat
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.config.model import Volume
from nvr.media.name import is_beside, original
from nvr.media.part import Part
from nvr.media.ports import Acknowledged
from nvr.media.track import StreamConfig
from nvr.playback.group import Group
from nvr.playback.holding import Holding
from nvr.playback.joined import Joined
from nvr.playback.lock import Locked, Wanted
from nvr.playback.query import Gop, Ranges, VolumeState
from nvr.playback.track import Place
from nvr.record.lock import Lock
from nvr.record.note import HERE, RECORDED, Note
from nvr.record.queue import QUEUE_BYTES, DropNewestGopQueue
from nvr.record.recording import Sealing
from nvr.record.remembered import Remembered
from nvr.record.resize import Change
from nvr.record.retention import Terms, TermsOf
from nvr.record.store import Store
from nvr.record.watch import Reason
from nvr.web.parts import VolumeLook

_log = logging.getLogger(__name__)

BEHIND_S = 1.0
HOLD_S = 60.0
"""A better volume that is back must have been well for so long before it is recorded on again."""
MOST_HOLD_S = 3600.0


@dataclass(slots=True)
class _Standing:
    """What is known of a volume beside whether it is well now.

    Attributes:
        well_s: Since when it has been well, None if it is not.
        failed: How often it failed while it was recorded on, since it last did not for long.
    """

    well_s: float | None = None
    failed: int = 0

    @property
    def hold_s(self) -> float:
        """How long it must be well before recording goes back to it."""
        return min(MOST_HOLD_S, HOLD_S * float(1 << min(10, max(0, self.failed - 1))))


class Volumes:
    """The volumes of a box, there or not. Also what `nvr.web.parts.Archive` asks for.

    Args:
        directory: Data directory; a relative path of a volume starts there.
        volumes: As configured, the one to be recorded on first.
        clock: Time source.
        acknowledged: Told of what is durable.
        priority: Priority of a stream.
        terms: For how long a stream is kept.
        sealing: How what is recorded is sealed and signed; told whether a volume is to be sealed.
        died: Called when a writer ended by a fault of ours.
        streams: Which streams are to be recorded.
    """

    def __init__(
        self,
        directory: Path,
        volumes: Sequence[Volume],
        clock: Clock,
        *,
        acknowledged: Callable[[list[Acknowledged]], None],
        priority: Callable[[str], int],
        terms: TermsOf,
        sealing: Callable[[bool], Sealing | None],
        died: Callable[[], None],
        streams: Callable[[], Collection[str]],
    ) -> None:
        self._data = directory
        self._clock = clock
        self._acknowledged = acknowledged
        self._terms = terms

        def kept(stream: str) -> Terms:  # a copy no longer than what it is of
            return terms(original(stream))

        self._streams = streams
        self.stopped_by = ""
        several = len(volumes) > 1

        def rank(stream: str) -> int:
            return -1 if is_beside(stream) else priority(stream)

        self.all = [
            Vault(
                directory,
                volume,
                clock,
                queue=DropNewestGopQueue(QUEUE_BYTES, rank, keeps=several),
                acknowledged=partial(self._take, slot),
                terms=kept,
                sealing=partial(sealing, volume.seal),
                died=died,
                streams=streams,
                told=partial(self._told, slot),
            )
            for slot, volume in enumerate(volumes)
        ]
        self._turns = Turns(directory, several=several)
        self.mirror = Mirror(self.all, self._turns, clock)
        self._standing = [_Standing() for _ in volumes]
        self._slot = 0
        self._guard = threading.Lock()  # of the queues, while what waits goes from one to another
        self._looking = threading.Lock()
        self._ongoing: dict[tuple[str, str], Note] = {}
        self._outage = True

    @property
    def vault(self) -> Vault:
        """The volume recorded on, or waited for."""
        return self.all[self._slot]

    def _take(self, slot: int, done: list[Acknowledged]) -> None:
        if slot == self._slot:  # what another one still had in hand is written here again
            self._acknowledged([one for one in done if not is_beside(one.stream)])

    def _told(self, slot: int, ring: str) -> Sequence[Note]:
        """What a volume is to be told when it is opened."""
        with self._looking:
            now_us = self._clock.wall_us()
            self._turns.meet(ring, self.all[slot].name, now_us)
            said = self._said() if slot == self._slot else []
            return [*self._turns.take(ring, now_us), *said]

    def _said(self) -> list[Note]:
        """Why nothing was recorded on any volume until now, if so."""
        outage = load(self._data)
        return [] if outage is None else [outage.note(self._clock.wall_us())]

    def open(self) -> None:
        """Open all that are there and begin to record; blocks. What fails is kept in `fault`."""
        for vault in self.all:
            vault.open()
        best = next((slot for slot, vault in enumerate(self.all) if vault.there), 0)
        vault = self.all[best]
        if vault.there and self._turns.ring not in {"", vault.ring}:
            self._go_to(best)
        else:
            self._slot = best
            if vault.there:
                vault.note(*self._said())
                vault.write_notes()
                if not self._turns.ring:
                    self._turns.goes_to(vault.ring, self._clock.wall_us())
        self.look()

    def close(self) -> None:
        """Write what waits and let the volumes go, as `stopped_by` wanted; blocks."""
        for vault in sorted(self.all, key=lambda vault: vault is not self.vault):
            vault.close(self.stopped_by)

    async def run(self) -> None:
        """Watch the volumes and have the right one recorded on."""
        async with asyncio.TaskGroup() as group:
            for vault in self.all:
                group.create_task(vault.run())
            group.create_task(self.mirror.run())
            while True:
                await beat(self._clock, WATCH_S)
                await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Do what `run` does once a second, but for what each volume does for itself; blocks."""
        with self._looking:
            now_s = self._clock.monotonic_s()
            for vault, standing in zip(self.all, self._standing, strict=True):
                if not vault.healthy:
                    standing.well_s = None
                elif standing.well_s is None:
                    standing.well_s = now_s
            self._choose(now_s)
            for slot, vault in enumerate(self.all):
                vault.stands_by = slot != self._slot
                if vault.healthy:
                    if vault.noted:
                        self._turns.told(vault.ring)
                    vault.note(*self._turns.take(vault.ring, self._clock.wall_us()))
            self._keep_outage()

    def _choose(self, now_s: float) -> None:
        now = self._standing[self._slot]
        if now.well_s is not None and now_s - now.well_s >= MOST_HOLD_S:
            now.failed = 0
        for slot, standing in enumerate(self._standing):
            if slot == self._slot and now.well_s is not None:
                return
            if slot == self._slot or standing.well_s is None:
                continue
            ready = now.well_s is None or now_s - standing.well_s >= standing.hold_s
            if ready and self._go_to(slot):
                now.failed += now.well_s is None
                return

    def _go_to(self, slot: int) -> bool:
        """Record on another volume from now on; whether it takes that."""
        old, new, now_us = self.vault, self.all[slot], self._clock.wall_us()
        since, fault = self._turns.name or old.name, old.fault
        here = Note("gap", now_us, cause=HERE)
        ongoing = list(self._ongoing.values())
        if not new.write_notes(here, *self._said(), *ongoing):
            return False
        with self._guard:
            since_us = old.queue.hand_over(new.queue)
            self._slot = slot
        new.note(*ongoing)  # once more behind what is written there again
        self._turns.goes_to(new.ring, min(now_us, since_us or now_us))
        level = logging.WARNING if slot else logging.INFO
        cause = fault.code if fault else ""
        event(_log, level, "record.moved", volume=new.name, since=since, cause=cause)
        return True

    def _keep_outage(self) -> None:
        """Keep on the system's disk that no volume takes anything: they cannot say so."""
        fault, reason = self.fault, self.reason()
        if fault is None or reason is None:
            if self._outage and self.vault.noted:
                forget(self._data)
                self._outage = False
        elif load(self._data) is None:
            self._outage = True
            save(self._data, Outage(self._clock.wall_us(), reason.cause, fault.code))

    def note(self, note: Note) -> None:
        """Keep a note, soon, or once there is a volume; from any thread."""
        if note.kind == "gap" and note.cause in {RECORDED, "removed"}:
            self._ongoing.pop(("gap", note.stream), None)
        elif note.kind in {"gap", "trust"}:
            lasting = replace(note, since_us=note.since_us or note.wall_us, tick_90k=0)
            self._ongoing[note.kind, note.stream] = lasting
        everywhere = note.kind == "clock" or note.cause == "removed"
        for vault in self.all if everywhere else (self.vault,):
            vault.note(note)

    def submit(self, parts: list[Part]) -> None:
        """Queue parts; without a volume the first ones wait for it. See `PartSink`."""
        now_s = self._clock.monotonic_s()
        with self._guard:
            vault = self.vault
            vault.queue.put(parts, now_s, written=vault.there)

    @property
    def queue(self) -> DropNewestGopQueue:
        """What waits to be written."""
        return self.vault.queue

    @property
    def ready(self) -> bool:
        """Whether the volume recorded on takes what comes."""
        return self.vault.healthy

    @property
    def fault(self) -> NvrError | None:
        """Why nothing is recorded, None if a volume is recorded on."""
        return self.vault.fault

    def reason(self) -> Reason | None:
        """What keeps everything from being recorded, None if nothing does."""
        fault = self.fault
        if fault is None or any(vault.healthy for vault in self.all):
            behind = self.behind_s() > BEHIND_S
            return Reason("behind", "record.behind") if behind else None
        cause = "disk" if fault.code == "volume.unwritable" else "volume"
        return Reason(cause, fault.code, sure=fault.code != "volume.opening")

    @property
    def refused(self) -> tuple[int, str]:
        """How often a disk refused something since the box was started, and what it said last."""
        told = [vault.refused for vault in self.all]
        return sum(times for times, _ in told), next((last for _, last in told if last), "")

    @property
    def damaged(self) -> int:
        """Parts that were found with wrong bytes since the volumes were opened."""
        return sum(vault.damaged for vault in self.all)

    @property
    def unread(self) -> float:
        """Share of the volumes that is still to be looked through, 0 to 1."""
        told = [vault.unread for vault in self.all]
        return sum(left for left, _ in told) / max(1, sum(blocks for _, blocks in told))

    @property
    def aside(self) -> int:
        """Blocks that a disk refused, and that are not used any more."""
        return sum(vault.aside for vault in self.all)

    def size_warning(self) -> NvrError | None:
        """Why a volume has not the size that the configuration asks for, None if all have."""
        return next((said for vault in self.all if (said := vault.size_warning())), None)

    def size(self, size_mib: int, name: str = "") -> Change:
        """See `Archive`."""
        return self._called(name).size(size_mib)

    def resize(self, size_mib: int, by: str, name: str = "") -> Change:
        """See `Archive`."""
        return self._called(name).resize(size_mib, by)

    def _called(self, name: str) -> Vault:
        for vault in self.all:
            if name in {"", vault.name}:
                return vault
        raise Rejected("volume.unknown", "there is no volume of that name", volume=name)

    @property
    def slow(self) -> bool:
        """Whether the disk takes longer than the cameras to bring what comes next."""
        state = self.vault.state()
        return state is not None and state.slow

    def behind_s(self) -> float:
        """Seconds by which the disk lags, 0 if it keeps up."""
        state = self.vault.state()
        return state.behind_s if state else 0.0

    def archive(self) -> Joined:
        """Return what is recorded on all volumes that are there.

        Raises:
            NvrError: `fault`, if none is.
        """
        found = {}
        for slot, vault in enumerate(self.all):
            if vault.hangs and vault is not self.vault:
                continue
            try:
                found[slot] = vault.archive()
            except NvrError:
                continue
        if not found:
            raise self.vault.closed()
        return Joined(found, self._slot)

    def stores(self, *, every: bool = False) -> list[Store]:
        """Return the volumes that are there, the one recorded on first.

        Args:
            every: All of them must be.

        Raises:
            NvrError: `fault`, if none is, or what is wrong with one that is not.
        """
        order = sorted(self.all, key=lambda vault: vault is not self.vault)
        found = [vault.store() for vault in order if every or vault.there]
        if not found:
            raise self.vault.closed()
        return found

    def streams(self) -> tuple[str, ...]:
        """See `Archive`; each of these raises `fault` while there is no volume."""
        return self.archive().streams()

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:
        """See `Archive`."""
        return self.archive().ranges(stream, from_us, to_us)

    def config(self, stream: str, run: int) -> StreamConfig:
        """See `Archive`."""
        return self.archive().config(stream, run)

    def gop(
        self, stream: str, t_us: int, place: Place | None = None, *, key_only: bool = False
    ) -> Gop | None:
        """See `Archive`."""
        return self.archive().gop(stream, t_us, place, key_only=key_only)

    def groups(self, stream: str, from_us: int, to_us: int) -> list[Group]:
        """See `Archive`."""
        return self.archive().groups(stream, from_us, to_us)

    def export(self, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
        """See `Archive`."""
        return self.archive().export(stream, from_us, to_us)

    def volume(self) -> VolumeState:
        """See `Archive`."""
        return self.archive().volume()

    def volumes(self) -> list[VolumeLook]:
        """See `Archive`."""
        now = self.vault
        return [_look(vault, now=vault is now) for vault in self.all]

    def readback(self) -> Remembered:
        """See `Archive`: the rounds of the volume recorded on, what is damaged on any."""
        found = self.vault.readback()
        others = [
            damage
            for vault in self.all
            if vault is not self.vault and vault.there
            for damage in vault.readback().damages
        ]
        return msgspec.structs.replace(found, damages=(*found.damages, *others))

    def holdings(self) -> list[Holding]:
        """See `Archive`."""
        return self.archive().holdings(self._terms, self._streams())

    def locked(self) -> list[Locked]:
        """See `Archive`."""
        found = locks.locked(self.stores())
        return [replace(one, copy=self.mirror.state(one.lock)) for one in found]

    def lock(self, wanted: Wanted) -> Locked:
        """See `Archive`."""
        made = locks.add(self.stores(), wanted)
        return replace(made, copy=self.mirror.state(made.lock))

    def unlock(self, camera: str, number: int, by: str) -> Lock:
        """See `Archive`."""
        gone = locks.remove(self.stores(), number, by, camera)
        with self._looking:
            self._turns.end(locks.key(gone))
        return gone


def _look(vault: Vault, *, now: bool) -> VolumeLook:
    fault = vault.fault
    try:
        archive = vault.archive()
    except NvrError:
        return VolumeLook(vault.name, vault.ring, "away", fault)
    newest = archive.store.catalog.newest()
    return VolumeLook(
        vault.name,
        vault.ring,
        "failing" if not vault.healthy else "recording" if now else "standby",
        fault,
        archive.volume(),
        newest.last_us if newest else 0,
    )
