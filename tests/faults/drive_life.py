"""One life of a recorder on the drive: opened, checked, and recording until the power goes.

It is a process of its own, forked from the harness, so that it has what the harness knows, and is
killed when the power goes. The recorder is the product's `Recording` with its threads on a
`LinuxDisk`; the clock is real, but leaps over the time in which nothing is to be done.
"""

import contextlib
import ctypes
import json
import logging
import os
import pickle
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from nvr.base.clock import FakeClock, SystemClock
from nvr.hal import linux_disk
from nvr.media.part import Part
from nvr.record import block, recording
from nvr.record.catalog import Catalog
from nvr.record.key_table import Publics
from nvr.record.recording import Recording
from nvr.record.ring import Ring
from nvr.record.writer import Writer
from nvr.seal import root
from nvr.seal.sign import Signer
from tests.faults.oracle import Oracle
from tests.faults.power_cut import Camera, FlushesLate, unchecked_part

STREAMS = ("gate/main", "gate/sub", "yard/main")
SIZES = (4_000, 60_000, 250_000)
TICK_S = 0.1
SIZE_BYTES = 40 << 20
BLOCKS = 10
OPENING_S = 60.0
PLANTS = ("early_ack", "no_checksum", "one_flush_unzeroed")

_PR_SET_PDEATHSIG = 1

MODES = {
    "as_shipped": (None, None),
    "one_flush": (True, True),
    "each_zeroed": (False, True),
    "each_unzeroed": (False, False),
}
"""Whether one flush stands for many files, and whether blocks are zeroed ahead.

``None`` leaves it to the product: one flush on ext4 if all blocks of the group were zeroed, which
`disk-keeper` may or may not have come to.
"""


SEALING = recording.Sealing(
    seal=True,
    publics=Publics(root.public_of(b"\1" * 32), root.public_of(b"\2" * 32)),
    privates=[b"\1" * 32],
    signer=Signer(b"\3" * 32),
)


@dataclass(frozen=True)
class Life:
    """What one life is made of; everything that is sent follows from it.

    Attributes:
        seed: Of what the cameras send.
        run: Number of the connection.
        begun_us: UTC microseconds at which recording begins.
        sealed: On a sealed volume.
    """

    seed: int
    run: int
    begun_us: int
    sealed: bool = False

    def ticks(self) -> Iterator[list[Part]]:
        """Yield what the ingest thread hands over each tenth of a second."""
        clock = FakeClock(self.begun_us)
        started_s = clock.monotonic_s()
        rng = random.Random(self.seed)
        cameras = [Camera(stream, rng, clock, self.run) for stream in STREAMS]
        for camera in cameras:
            camera.sizes = SIZES
        step = 0
        while True:
            step += 1
            clock.now_s = round(started_s + step * TICK_S, 1)
            yield [part for c in cameras if (part := c.tick(cut_all=step % 5 == 0))]


class Leaping(SystemClock):
    """Real time, except that waiting takes none.

    Args:
        begun_us: UTC microseconds now.
    """

    def __init__(self, begun_us: int) -> None:
        self._wall_us = begun_us - round(time.monotonic() * 1e6)
        self.leapt_s = 0.0

    def monotonic_s(self) -> float:
        return time.monotonic() + self.leapt_s

    def wall_us(self) -> int:
        return self._wall_us + round(self.monotonic_s() * 1e6)


class Teller:
    """Tells the harness, line by line, through a pipe that outlives this process."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._guard = threading.Lock()

    def say(self, *words: object) -> None:
        data = json.dumps(words).encode() + b"\n"
        with self._guard:
            os.write(self._pipe, data)

    def hand_over(self, oracle: Oracle) -> None:
        oracle.sent = {}
        data = pickle.dumps(oracle)
        with self._guard:
            os.write(self._pipe, json.dumps(["checked", len(data)]).encode() + b"\n")
            while data:
                data = data[os.write(self._pipe, data) :]


class Watched(Writer):
    """The product's writer, telling what it acknowledged in which block, and whether it works."""

    teller: Teller | None = None
    busy = False

    def commit(self) -> bool:
        self.busy = True
        try:
            return super().commit()
        finally:
            self.busy = False

    def _publish(self, group, started_s: float) -> None:
        super()._publish(group, started_s)
        for write in group.writes:
            head = write.place.head
            times = [entry.wall_us for entry in write.entries]
            if times:
                self.teller.say("acked", head.block, head.serial, head.stream, times)


class EarlyAck(FlushesLate, Watched):
    """The planted bug, watched."""


@contextlib.contextmanager
def arranged(mode: str, plant: str, teller: Teller) -> Iterator[None]:
    """Have the product flush and zero as `mode` says, make the mistake `plant`, and tell."""
    one_flush, zeroed = (True, False) if plant == "one_flush_unzeroed" else MODES[mode]
    remove = Catalog.remove

    def removed(catalog: Catalog, number: int) -> None:
        teller.say("gone", number)
        remove(catalog, number)

    with contextlib.ExitStack() as stack:

        def patch(place: object, name: str, value: object) -> None:
            stack.enter_context(mock.patch.object(place, name, value))

        patch(recording, "Writer", EarlyAck if plant == "early_ack" else Watched)
        patch(Watched, "teller", teller)
        patch(Catalog, "remove", removed)
        if one_flush is not None:
            magic = linux_disk.EXT4_MAGIC if one_flush else 0
            patch(linux_disk, "_file_system", lambda *_: magic)
        if zeroed is False:
            patch(Ring, "keep", lambda _: False)
        if plant == "one_flush_unzeroed":
            patch(Ring, "written_before", lambda *_: True)
        if plant == "no_checksum":
            patch(block, "read_part", unchecked_part)
        yield


def live(
    oracle: Oracle, life: Life, directory: Path, mode: str, plant: str, *, pipe: int, go: int
) -> None:
    """Live until killed; never returns. An error is told before the process ends."""
    teller = Teller(pipe)
    try:
        _die_with_parent()
        logging.disable()  # after the cut everything fails, as it must
        clock = Leaping(life.begun_us - round(OPENING_S * 1e6))
        with arranged(mode, plant, teller):
            sealing = SEALING if life.sealed else None
            recorder = Recording(directory, clock, size_bytes=SIZE_BYTES, sealing=sealing)
            if MODES[mode][1]:
                zero_all(recorder.store.ring)
            oracle.check(recorder.store)
            teller.hand_over(oracle)
            if os.read(go, 1):
                record(recorder, life, clock, teller)
    except BaseException as err:  # noqa: BLE001 - whatever it is, the harness must be told
        where = traceback.extract_tb(err.__traceback__)[-1]
        teller.say("error", f"{type(err).__name__}: {err}", f"{where.filename}:{where.lineno}")
    finally:
        sys.stdout.flush()
        os._exit(0)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def zero_all(ring: Ring) -> None:
    """Zero every block not used yet, as is the case on a volume some time after its making."""
    for number in ring._free:
        if not ring.written_before(number):
            ring._zero(number)


def record(recorder: Recording, life: Life, clock: Leaping, teller: Teller) -> None:
    """Record for ever, leaping over the time in which the writer has nothing to do."""
    writer = recorder._writer
    rng = random.Random(life.seed)
    teller.say("clock", clock.wall_us() - round(clock.monotonic_s() * 1e6))
    clock.leapt_s += (life.begun_us - clock.wall_us()) / 1e6
    teller.say("leapt", time.monotonic(), clock.leapt_s)
    begun_s = clock.monotonic_s()
    recorder.start()
    for step, parts in enumerate(life.ticks(), 1):
        until_s = begun_s + step * TICK_S
        while (left_s := until_s - clock.monotonic_s()) > 0:
            busy, due_s = writer.busy, writer.due_s()
            if not busy and (due_s is None or due_s > clock.monotonic_s()):
                clock.leapt_s += min(left_s, max(0.0, (due_s or until_s) - clock.monotonic_s()))
                teller.say("leapt", time.monotonic(), clock.leapt_s)
                writer.queue.wake()
            else:
                time.sleep(0.0005)
        if parts:
            teller.say("sent", step)
            recorder.submit(parts)
        if rng.random() < 0.02:
            recorder._remember()


def parts_until(life: Life, steps: int) -> Mapping[bytes, Part]:
    """Return every part of `life` up to a tick, by the first bytes of its samples."""
    found: dict[bytes, Part] = {}
    for _, parts in zip(range(steps), life.ticks(), strict=False):
        found.update((bytes(part.mdat[8:24]), part) for part in parts)
    return found
