"""Recording goes over to another volume and back; nothing is lost, and nothing shown twice."""

import errno
import itertools
import json
import random
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from nvr.app.keyring import Keyring
from nvr.app.vault import GIVE_UP_S, HUNG_S, PROBE_S, RETRY_S
from nvr.app.volumes import HOLD_S, Volumes
from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected
from nvr.cli.main import main
from nvr.config.model import Volume
from nvr.export import verify
from nvr.export.evidence import Asked, Maker, evidence
from nvr.media.part import Part
from nvr.playback.gap import Gap
from nvr.playback.joined import Joined
from nvr.playback.lock import Locked, Wanted
from nvr.playback.query import Recorded
from nvr.record.note import RECORDED, Note
from nvr.record.retention import Terms
from tests.record import synthetic

ALL = (0, 1 << 62)
STREAMS = ("gate/main", "yard/main")
PART_S = 0.5
PART_90K = 45_000
PART_US = 500_000
GOP = 4


class Rig:
    """A recorder with two volumes, whose cameras never stop."""

    def __init__(self, data: Path, *names: str) -> None:
        self.data = data
        self.names = names or ("a", "b")
        self.uuids = dict.fromkeys(self.names, "")
        data.mkdir(exist_ok=True)
        self.keyring = Keyring(data, make=True)
        self.clock = FakeClock()
        self.rng = random.Random(1)
        self.acked: dict[str, int] = {}
        self.made = 0
        self.run = 1
        self.volumes = self.start()

    def start(self) -> Volumes:
        volumes = Volumes(
            self.data,
            [
                Volume(path=name, size_mib=40, uuid=self.uuids[name], readback_mib_s=0)
                for name in self.names
            ],
            self.clock,
            acknowledged=lambda done: self.acked.update({n.stream: n.until_us for n in done}),
            priority=lambda _: 0,
            terms=lambda _: Terms(3600.0),
            sealing=lambda seal: self.keyring.sealing(seal=seal),
            died=lambda: None,
            streams=lambda: STREAMS,
        )
        volumes.open()
        for vault in volumes.all:
            self.uuids[vault.name] = vault.ring or self.uuids[vault.name]
        return volumes

    def parts(self) -> list[Part]:
        key = self.made % GOP == 0
        self.made += 1
        return [
            synthetic.noise_part(
                stream,
                self.rng,
                run=self.run,
                start_90k=round(self.clock.monotonic_s() * 90_000),
                wall_us=self.clock.wall_us(),
                size=20_000,
                key=key,
            )
            for stream in STREAMS
        ]

    def record(self, seconds: float) -> None:
        """Half a second a step; everybody looks when they would."""
        for _ in range(round(seconds / PART_S)):
            self.volumes.submit(self.parts())
            self.clock.advance(PART_S)
            self.settle()
            for vault in self.volumes.all:
                vault.look()
            self.volumes.look()

    def wait(self, seconds: float) -> None:
        """Let time go by with no camera there."""
        for _ in range(round(seconds / PART_S)):
            self.clock.advance(PART_S)
            for vault in self.volumes.all:
                vault.look()
            self.volumes.look()
        self.run += 1
        self.made = 0

    def settle(self) -> None:
        """Wait until the writer has written what there is, or the disk has refused it."""
        vault = self.volumes.vault
        state = vault.state()
        before, until_s = state.failures if state else 0, time.monotonic() + 10.0
        while vault.queue.held_bytes:
            state = vault.state()
            if state is None or state.failures > before or state.busy_s > HUNG_S - 1:
                return
            if state.failures and time.monotonic() > until_s - 9.9:
                return  # it is not tried again yet
            assert time.monotonic() < until_s, "the writer does not write"
            vault.queue.wake()
            time.sleep(0.002)

    def copy(self, seconds: float = 80.0) -> None:
        """Record on, and have what is locked copied meanwhile."""
        for _ in range(round(seconds / 2)):
            self.record(2)
            self.volumes.mirror.look()
            until_s = time.monotonic() + 0.1  # what is not due yet is in the next round
            for vault in self.volumes.all:
                while vault.there and vault.queue.held_bytes and time.monotonic() < until_s:
                    vault.queue.wake()
                    time.sleep(0.002)

    def lock(self, from_us: int, to_us: int, camera: str = "gate") -> Locked:
        until_us = self.clock.wall_us() + 10**12
        return self.volumes.lock(
            Wanted("evidence", camera, from_us, to_us, until_us, "op", "theft")
        )

    def stop(self) -> None:
        self.volumes.stopped_by = "test"
        self.volumes.close()

    def restart(self, off_s: float = 60.0) -> None:
        self.stop()
        self.again(off_s)

    def again(self, off_s: float = 60.0) -> None:
        self.clock.advance(off_s)
        self.run += 1
        self.made = 0
        self.volumes = self.start()

    def break_down(self, name: str) -> Callable[[], None]:
        """Have a disk refuse everything, and be gone once it was let go; returns what ends that."""
        vault = next(one for one in self.volumes.all if one.name == name)
        disk = vault.store().disk

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EIO, "refused")

        disk.flush = disk.pwrite = refuse  # type: ignore[method-assign]
        self.pull(name)
        return lambda: self.plug(name)

    def pull(self, name: str) -> None:
        (self.data / name).rename(self.data / f"{name}-pulled")

    def plug(self, name: str) -> None:
        shutil.rmtree(self.data / name, ignore_errors=True)  # what was tried meanwhile
        (self.data / f"{name}-pulled").rename(self.data / name)

    def recording_on(self) -> str:
        return self.volumes.vault.name

    def account(self, stream: str = STREAMS[0]) -> list[Recorded | Gap]:
        return list(self.volumes.archive().account(stream))

    def gaps(self, stream: str = STREAMS[0]) -> list[Gap]:
        return [one for one in self.account(stream) if isinstance(one, Gap)]

    def whole(self, from_us: int) -> None:
        """Check that all from a time to the last part is there once, listed, played, exported."""
        archive = self.volumes.archive()
        for stream in STREAMS:
            ranges = archive.ranges(stream, from_us, ALL[1])
            assert [gap.cause for gap in ranges.gaps] == []
            assert ranges.runs[0].from_us <= from_us
            for one, two in itertools.pairwise(ranges.runs):
                assert abs(two.from_us - one.to_us) <= 2, "neither a hole nor twice"
            assert ranges.runs[-1].to_us == self.acked[stream]
            check_gops(archive, stream, from_us, self.acked[stream])
            check_export(archive, stream, from_us, self.acked[stream])


def check_gops(archive: Joined, stream: str, from_us: int, to_us: int) -> None:
    for with_place in (True, False):
        found = list(gops(archive, stream, from_us, with_place=with_place))
        assert found[0].from_us == from_us
        assert found[-1].to_us == to_us
        for one, two in itertools.pairwise(found):
            assert two.from_us == one.to_us == one.next_us
            assert archive.config(stream, one.run)


def gops(archive: Joined, stream: str, t_us: int, *, with_place: bool) -> Iterator:
    found = archive.gop(stream, t_us)
    while found is not None:
        yield found
        if found.next_us is None:
            return
        found = archive.gop(stream, found.next_us, found.following if with_place else None)


def check_export(archive: Joined, stream: str, from_us: int, to_us: int) -> None:
    assert len(archive.configs(stream, from_us, to_us)) == 1
    (_, begun_us), *pieces = archive.export_timed(stream, from_us, to_us)
    assert begun_us == from_us
    assert [at_us for _, at_us in pieces] == list(range(from_us + PART_US, to_us + 1, PART_US))
    assert [decode_90k(piece) for piece, _ in pieces] == [n * PART_90K for n in range(len(pieces))]


def decode_90k(piece: bytes) -> int:
    at = piece.index(b"tfdt") + 8
    return int.from_bytes(piece[at : at + 8])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    found = Rig(tmp_path)
    yield found
    found.stop()


def test_the_first_is_recorded_on_and_the_other_stands_by(rig: Rig) -> None:
    rig.record(5)
    assert rig.recording_on() == "a"
    assert rig.volumes.all[1].healthy
    assert rig.volumes.all[1].archive().streams() == ()


def test_recording_goes_over_when_a_disk_dies_and_back_once_it_is_well(rig: Rig) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(7.5)
    whole = rig.break_down("a")
    before_us = rig.acked[STREAMS[0]]
    rig.record(10)
    assert rig.recording_on() == "b"
    assert rig.volumes.fault is None
    assert rig.acked[STREAMS[0]] == rig.clock.wall_us(), "nothing waits"
    away, *others = rig.gaps()
    assert (away.cause, away.code, away.by) == ("away", "volume.missing", "a")
    assert others == []
    shown = [one for one in rig.account() if isinstance(one, Recorded)]
    assert shown[0].from_us <= before_us, "it begins with a key frame that is on the other"
    whole()
    rig.record(RETRY_S + HOLD_S - 5)
    assert rig.recording_on() == "b"
    rig.whole(begun_us)
    rig.record(10)
    assert rig.recording_on() == "a"
    rig.record(5)
    rig.whole(begun_us)


def test_what_is_on_the_second_is_missing_when_that_is_pulled_later(rig: Rig) -> None:
    """The first one says so itself, though its camera's connection never ended."""
    begun_us = rig.clock.wall_us()
    rig.record(10)
    rig.break_down("a")
    rig.record(GIVE_UP_S + 4)
    rig.plug("a")
    rig.record(RETRY_S + HOLD_S + 5)
    assert rig.recording_on() == "a"
    rig.whole(begun_us)
    rig.break_down("b")
    rig.record(PROBE_S + GIVE_UP_S + 4)
    assert not rig.volumes.all[1].there
    (gap,) = rig.gaps()
    assert (gap.cause, gap.by) == ("away", "b")


@pytest.mark.parametrize("there", ["a", "b", "ab"])
def test_a_restart_with_some_volumes_records_and_explains_the_rest(rig: Rig, there: str) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(10)
    whole = rig.break_down("a")
    rig.record(20)
    whole()
    rig.record(RETRY_S + 2)  # on b; a is back
    assert rig.recording_on() == "b"
    stopped_us = rig.acked[STREAMS[0]]
    rig.stop()
    for name in {"a", "b"} - set(there):
        rig.pull(name)
    rig.again()
    again_us = rig.clock.wall_us()
    rig.record(10)
    assert rig.recording_on() == there[0]
    if there == "ab":
        stop, *rest = rig.gaps()
        assert (stop.cause, stop.by, rest) == ("stopped", "test", [])
        assert (stop.from_us, stop.to_us) == (stopped_us, again_us)
    elif there == "a":
        (gap,) = rig.gaps()
        assert (gap.cause, gap.by, gap.to_us) == ("away", "b", again_us)
    else:
        first, second = rig.gaps()
        assert (first.cause, first.by, first.from_us) == ("away", "a", begun_us)
        assert (second.cause, second.from_us) == ("stopped", stopped_us)
    rig.stop()
    for name in {"a", "b"} - set(there):
        rig.plug(name)
    rig.again()
    later_us = rig.clock.wall_us()
    rig.record(10)
    assert rig.recording_on() == "a"
    assert [gap.cause for gap in rig.gaps()] == ["stopped", "stopped"]
    rig.whole(later_us)
    assert sum(
        one.to_us - one.from_us for one in rig.account() if isinstance(one, Recorded)
    ) == pytest.approx(stopped_us - begun_us + 20_000_000, abs=10)


def test_a_volume_never_recorded_on_says_where_the_time_before_is(rig: Rig) -> None:
    rig.record(5)
    rig.stop()
    rig.pull("a")
    rig.again()
    rig.record(5)
    (gap,) = rig.gaps()
    assert (gap.cause, gap.by) == ("away", "a")
    rig.stop()
    rig.plug("a")
    rig.again()


def test_another_disk_in_its_place_is_refused(rig: Rig) -> None:
    rig.record(5)
    rig.break_down("a")
    Rig(rig.data / "other", "x").stop()
    (rig.data / "other" / "x").rename(rig.data / "a")
    rig.record(GIVE_UP_S + RETRY_S + 5)
    assert rig.recording_on() == "b"
    fault = rig.volumes.all[0].fault
    assert fault is not None
    assert fault.code == "volume.foreign"


def test_a_disk_that_hangs_is_not_waited_for_and_what_it_wrote_is_not_shown_twice(
    rig: Rig,
) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(7)
    disk = rig.volumes.all[0].store().disk
    flush, answer, hangs = disk.flush, threading.Event(), threading.Event()

    def hang(ranges: Sequence[tuple[str, int, int]], *, written_before: bool) -> None:
        hangs.set()
        answer.wait(30)
        flush(ranges, written_before=written_before)

    disk.flush = hang  # type: ignore[method-assign]
    rig.volumes.submit(rig.parts())
    rig.clock.advance(PART_S)
    assert hangs.wait(10)
    ring, held = rig.volumes.all[0].store().ring, threading.Event()

    def keep() -> None:
        """As the thread does that makes blocks ready, and waits for the same disk."""
        with ring._guard:
            held.set()
            answer.wait(30)

    keeper = threading.Thread(target=keep)
    keeper.start()
    assert held.wait(10)
    for _ in range(round((HUNG_S + 1) / PART_S)):
        rig.volumes.submit(rig.parts())
        rig.clock.advance(PART_S)
    rig.volumes.look()
    assert rig.recording_on() == "b"
    rig.settle()
    assert rig.gaps()[0].cause == "away"
    assert keeper.is_alive(), "nobody waited for the disk"
    disk.flush = flush
    answer.set()
    keeper.join()
    until_s = time.monotonic() + 10
    while not rig.volumes.all[0].healthy:
        assert time.monotonic() < until_s
        time.sleep(0.01)
    assert rig.volumes.all[0].queue.held_bytes == 0, "what it had is the other's"
    rig.record(5)
    assert rig.recording_on() == "b"
    rig.whole(begun_us)


def test_one_that_fails_as_soon_as_it_is_back_is_left_alone_for_longer(rig: Rig) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(4)
    for lasts_s in (HOLD_S, 2 * HOLD_S):
        whole = rig.break_down("a")
        rig.record(GIVE_UP_S + RETRY_S)
        assert rig.recording_on() == "b"
        whole()
        rig.record(lasts_s - 5)
        assert rig.recording_on() == "b", lasts_s
        rig.record(RETRY_S + 8)
        assert rig.recording_on() == "a", lasts_s
    rig.whole(begun_us)


def test_one_that_stands_by_and_is_gone_is_noticed(rig: Rig) -> None:
    rig.record(5)
    whole = rig.break_down("b")
    rig.record(PROBE_S + 2)
    fault = rig.volumes.all[1].fault
    assert fault is not None
    rig.record(GIVE_UP_S + RETRY_S + 2)
    assert rig.volumes.all[1].fault.code == "volume.missing"
    whole()
    rig.record(RETRY_S + 2)
    assert rig.volumes.all[1].healthy


def test_with_neither_what_came_waits_and_goes_to_the_first_that_is_back(rig: Rig) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(5)
    back = {name: rig.break_down(name) for name in ("a", "b")}
    rig.record(PROBE_S + GIVE_UP_S + 4)
    assert rig.volumes.fault is not None
    assert rig.volumes.reason() is not None
    back["b"]()
    rig.record(RETRY_S + 4)
    assert rig.recording_on() == "b"
    back["a"]()
    rig.record(RETRY_S + 2)
    rig.whole(begun_us)


def test_evidence_from_two_volumes_proves_itself(rig: Rig, tmp_path: Path) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(15)
    rig.break_down("a")
    rig.record(25)
    rig.plug("a")
    rig.record(RETRY_S + 2)
    asked = Asked(STREAMS, begun_us, rig.clock.wall_us(), "admin")
    signer = rig.keyring.signer
    maker = Maker("box", rig.clock.wall_us(), signer=signer, public=signer.public)
    path = tmp_path / "case.zip"
    path.write_bytes(b"".join(piece for piece, _ in evidence(rig.volumes.archive(), asked, maker)))
    report = verify.check(str(path))
    assert report.status == verify.WHOLE, [*verify.told(report)]
    assert [one["volume"] for one in report.manifest["streams"]] == 2 * list(rig.uuids.values())
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "forged.zip", "w") as out:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "manifest.json":
                data = data.replace(rig.uuids["b"].encode(), rig.uuids["a"].encode())
            out.writestr(name, data)
    forged = verify.check(str(tmp_path / "forged.zip"))
    assert "swapped" in {one.kind for one in forged.findings}


def test_a_lock_holds_on_every_volume_that_has_something_of_it(rig: Rig) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(5)
    rig.break_down("a")
    rig.record(GIVE_UP_S + 8)
    rig.plug("a")
    rig.record(RETRY_S + 2)
    made = rig.lock(begun_us, rig.clock.wall_us())
    stores = [vault.store() for vault in rig.volumes.all]
    assert all(store.ring.locked for store in stores)
    (shown,) = rig.volumes.locked()
    assert shown.lock == made.lock
    assert shown.copy == "waiting"
    assert shown.used_bytes == made.used_bytes
    assert made.used_bytes == sum(
        len(store.ring.locked) * store.identity.block_bytes for store in stores
    )
    rig.volumes.unlock("gate", made.lock.number, "op")
    assert not any(store.ring.locked for store in stores)
    with pytest.raises(Rejected, match=r"lock\.nothing"):
        rig.lock(begun_us, rig.clock.wall_us(), "gone")


def test_what_is_locked_is_copied_and_there_when_its_disk_is_lost(rig: Rig, tmp_path: Path) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(20)
    end_us = begun_us + 15_000_000
    rig.lock(begun_us, end_us)
    rig.copy()
    (shown,) = rig.volumes.locked()
    assert shown.copy == "copied"
    rig.whole(begun_us)  # nothing is shown twice
    held = rig.volumes.archive().holdings(lambda _: Terms(3600.0), STREAMS)
    assert sorted(one.stream for one in held) == sorted(STREAMS)
    rig.break_down("a")
    rig.copy(GIVE_UP_S + RETRY_S + 40)
    (shown,) = rig.volumes.locked()
    assert shown.copy == "copied"
    archive = rig.volumes.archive()
    assert archive.streams() == STREAMS
    ranges = archive.ranges("gate/main", 0, end_us)
    assert [(run.from_us, run.to_us) for run in ranges.runs] == [(begun_us, end_us)]
    assert ranges.gaps == ()
    (before, after) = rig.gaps()[0], rig.gaps("yard/main")[0]
    assert (before.cause, before.from_us) == ("away", end_us)
    assert (after.cause, after.from_us) == ("away", begun_us)
    played = list(itertools.islice(gops(archive, "gate/main", begun_us, with_place=True), 9))
    assert [gop.from_us for gop in played[:8]] == [begun_us + n * 2_000_000 for n in range(8)]
    assert played[7].to_us == end_us
    assert played[8].from_us > end_us + 60_000_000, "then what is on the other disk"
    check_export(archive, "gate/main", begun_us, end_us)
    signer = rig.keyring.signer
    maker = Maker("box", rig.clock.wall_us(), signer=signer, public=signer.public)
    asked = Asked(("gate/main",), begun_us, end_us, "admin")
    path = tmp_path / "case.zip"
    path.write_bytes(b"".join(piece for piece, _ in evidence(archive, asked, maker)))
    report = verify.check(str(path))
    assert report.status == verify.WHOLE, [*verify.told(report)]
    assert [one["stream"] for one in report.manifest["streams"]] == ["gate/main+copy"]


def test_a_lock_that_was_removed_while_a_disk_was_away_does_not_come_back(rig: Rig) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(5)
    made = rig.lock(begun_us, rig.clock.wall_us())
    rig.copy()
    rig.break_down("a")
    rig.record(GIVE_UP_S + RETRY_S)
    rig.volumes.unlock("gate", made.lock.number, "op")
    rig.plug("a")
    rig.copy(50)
    assert rig.volumes.all[0].there
    assert [store.ring.locks for store in rig.volumes.stores()] == [(), ()]


def test_a_lock_made_while_a_disk_was_away_holds_there_too(rig: Rig) -> None:
    begun_us = rig.clock.wall_us()
    rig.record(20)
    rig.break_down("a")
    rig.record(GIVE_UP_S + RETRY_S)
    rig.lock(begun_us, rig.clock.wall_us())
    rig.copy(40)
    (shown,) = rig.volumes.locked()
    assert shown.copy == "waiting", "who knows what is on the disk that is away"
    rig.plug("a")
    rig.copy()
    assert all(store.ring.locked for store in rig.volumes.stores())
    (shown,) = rig.volumes.locked()
    assert shown.copy == "copied"


def test_the_commands_read_all_volumes_that_are_there(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.record(70)
    rig.break_down("a")
    rig.record(GIVE_UP_S + 60)
    rig.plug("a")
    rig.record(RETRY_S + 2)
    until_us = rig.clock.wall_us()
    rig.stop()
    toml = 'schema = 1\n[volume]\npath = "a"\nsize_mib = 64\n'
    toml += '[[spare]]\npath = "b"\nsize_mib = 64\n'
    toml += '[[camera]]\nname = "gate"\nurl = "rtsp://192.0.2.1/a"\n'
    (rig.data / "nvr.toml").write_text(toml)

    def said(*words: str, code: int = 0) -> str:
        assert main([words[0], "--data", str(rig.data), *words[1:]]) == code
        return capsys.readouterr().out

    def gaps() -> list[tuple[str, str]]:
        found = json.loads(said("gaps", "--camera", "gate", "--json"))
        return [(gap["cause"], gap["by"]) for gap in found if gap["from_us"] < until_us]

    assert gaps() == []
    planned = said("plan", code=1)  # they are small
    assert f"{rig.data}/a, standing by:" in planned
    assert f"{rig.data}/b, recorded on:" in planned
    assert said("fsck").count("the archive is sound") == 2
    rig.pull("a")
    assert gaps() == [("away", "a")]
    assert f"{rig.data}/a: away" in said("plan", code=1)
    rig.plug("a")
    rig.again()


def test_a_camera_that_is_away_while_recording_goes_over_is_the_cause(rig: Rig) -> None:
    rig.record(5)
    lost_us = rig.clock.wall_us()
    for stream in STREAMS:
        rig.volumes.note(Note("gap", lost_us, stream=stream, cause="camera", code="camera.lost"))
    rig.wait(5)
    whole = rig.break_down("a")
    rig.volumes.all[0].note(Note("alive", rig.clock.wall_us()))
    rig.volumes._go_to(1)
    rig.settle()
    rig.wait(10)
    back_us = rig.clock.wall_us()
    rig.record(3)
    for stream in STREAMS:
        rig.volumes.note(Note("gap", rig.clock.wall_us(), stream=stream, cause=RECORDED))
    rig.record(GIVE_UP_S + RETRY_S)
    whole()
    rig.record(RETRY_S + 2)
    (gap,) = rig.gaps()
    assert (gap.cause, gap.code) == ("camera", "camera.lost")
    assert gap.from_us == pytest.approx(lost_us, abs=5)
    assert gap.to_us == pytest.approx(back_us, abs=5)
