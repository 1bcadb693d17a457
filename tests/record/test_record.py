import io
import itertools
import random
import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import pytest

from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import Misconfigured, NvrError, Unavailable
from nvr.hal.linux_disk import LinuxDisk
from nvr.hal.virtual_disk import VirtualDisk
from nvr.media.part import Part
from nvr.media.ports import Acknowledged
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.queue import DropNewestGopQueue
from nvr.record.recover import open_store
from nvr.record.store import Store
from nvr.record.writer import Committer, Writer
from tests.record import synthetic

SIZE = 48 << 20
ALL = (0, 1 << 62)
GATE = "gate/main"


def opened(directory: Path, **more: object) -> Store:
    return open_store(LinuxDisk(directory), FakeClock(), random.Random(1), size_bytes=SIZE, **more)


def record(store: Store, parts: list[Part], committer: Committer | None = None) -> Committer:
    committer = committer or Committer(store)
    for part in parts:
        committer.submit([part])
        store.clock.advance(0.5)
        assert committer.commit()
        store.ring.keep()
    return committer


def frames(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_what_was_recorded_is_served_bit_for_bit(tmp_path: Path) -> None:
    store = opened(tmp_path)
    parts = list(itertools.islice(synthetic.camera(with_audio=True), 30))
    record(store, parts)
    archive = Archive(store)
    ranges = archive.ranges(GATE, *ALL)
    assert [(r.from_us, r.to_us) for r in ranges.runs] == [
        (synthetic.WALL_US, ranges.recorded_until_us)
    ]
    assert ranges.gaps == ()
    exported = b"".join(archive.export(GATE, *ALL))
    media = [bytes(part.mdat[8:200]) for part in parts]
    at = 0
    for piece in media:
        at = exported.index(piece, at)
    assert frames(exported) == sum(part.samples for part in parts)
    store.disk.close()


def test_a_group_of_pictures_is_found_at_any_instant_and_leads_to_the_next(tmp_path: Path) -> None:
    store = opened(tmp_path)
    record(store, list(itertools.islice(synthetic.camera(), 30)))
    archive = Archive(store)
    run = archive.ranges(GATE, *ALL).runs[0]
    init, shown, t_us = archive.init(GATE, run.run), 0, run.from_us + 300_000
    while t_us is not None:
        gop = archive.gop(GATE, t_us)
        assert gop is not None
        assert gop.from_us <= t_us < gop.to_us
        assert gop.start_90k == (gop.from_us - run.from_us) * 9 // 100
        shown += frames(init + gop.data)
        first = archive.gop(GATE, t_us, key_only=True)
        assert gop.data.startswith(first.data)
        assert replace(first, data=gop.data) == gop
        assert frames(init + first.data) == 12
        t_us = gop.next_us
    assert shown == 10 * 25
    assert archive.gop(GATE, run.to_us) is None
    assert archive.gop(GATE, run.from_us - 5_000_000).from_us == run.from_us
    store.disk.close()


@pytest.mark.needs("ffmpeg")
def test_players_open_a_block_copied_while_it_is_recorded(tmp_path: Path) -> None:
    store = opened(tmp_path / "volume")
    committer, copied = Committer(store), tmp_path / "copy.mp4"
    expected = 0
    for n, part in enumerate(itertools.islice(synthetic.camera(with_audio=True), 60)):
        record(store, [part], committer)
        row = store.catalog.rows(GATE)[-1]
        expected = part.samples if row.count == 1 else expected + part.samples
        if n % 7:
            continue
        shutil.copy(tmp_path / "volume" / f"block-{row.head.block:06d}.mp4", copied)
        assert frames(copied.read_bytes()) == expected
        probe = subprocess.run(
            ["ffprobe", "-v", "warning", "-count_packets", "-select_streams", "v",
             "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", str(copied)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert (probe.stdout.strip(), probe.stderr) == (str(expected), "")
    assert len(store.catalog.rows(GATE)) > 1
    store.disk.close()


def test_the_ring_wraps_and_keeps_the_newest(tmp_path: Path) -> None:
    store = opened(tmp_path)
    parts = list(itertools.islice(synthetic.camera(), 500))
    record(store, parts)
    archive = Archive(store)
    ranges = archive.ranges(GATE, *ALL)
    assert len(ranges.runs) == 1
    assert ranges.runs[0].from_us > parts[100].wall_us
    assert ranges.recorded_until_us == parts[-1].wall_us + parts[-1].duration_90k * 100 // 9
    store.disk.close()
    again = opened(tmp_path)
    assert Archive(again).ranges(GATE, *ALL) == ranges
    again.disk.close()


def test_blocks_begun_before_they_were_zeroed_are_zeroed_when_their_turn_comes(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path)
    record(store, list(itertools.islice(synthetic.camera(), 500)))  # several laps
    number = store.identity.blocks
    assert [n for n in range(number) if not store.ring.written_before(n)] == []
    store.disk.close()


def test_a_restart_goes_on_in_the_same_block_and_the_gap_has_its_cause(tmp_path: Path) -> None:
    store = opened(tmp_path)
    record(store, list(itertools.islice(synthetic.camera(), 6)))
    store.ring.end()
    store.disk.close()
    for restart, cause in ((1, "stopped"), (2, "power")):
        store = opened(tmp_path)
        wall_us = synthetic.WALL_US + restart * 60_000_000
        record(store, list(itertools.islice(synthetic.camera(start_90k=77, wall_us=wall_us), 6)))
        assert len(store.catalog.rows(GATE)) == 1
        ranges = Archive(store).ranges(GATE, *ALL)
        assert [run.run for run in ranges.runs] == list(range(1, restart + 2))
        assert ranges.gaps[-1].cause == cause
        assert ranges.gaps[-1].to_us == wall_us
        store.disk.close()


def test_a_block_whose_first_group_was_cut_off_is_used_as_if_never_begun() -> None:
    """The cut left the head and no part: the block before it is gone on with, or closed."""
    disk, camera = VirtualDisk(random.Random(1)), synthetic.camera()

    def started() -> Store:
        return open_store(disk, FakeClock(), random.Random(1), size_bytes=SIZE)

    store = started()
    committer = Committer(store)
    while len(store.catalog.rows(GATE)) < 2:
        record(store, [next(camera)], committer)
    begun = store.catalog.rows(GATE)[-1].head
    for _ in range(5):
        page = [bytes(block.PAGE_BYTES)]
        disk.pwrite(block.name(begun.block), page, begun.first_offset)
        disk.flush([(block.name(begun.block), 0, begun.block_bytes)], written_before=False)
        store = started()
        assert len(store.catalog.rows(GATE)) == 1
        committer = record(store, [next(camera)])
        begun = store.catalog.rows(GATE)[-1].head
    record(store, list(itertools.islice(camera, 3)), committer)
    first, last = store.catalog.rows(GATE)
    assert first.closed
    assert first.entries is None, "it has its index"
    assert (last.head.sequence, last.count) == (first.sequence, 4)


def test_a_reconnect_is_a_gap_of_the_camera_and_a_changed_codec_a_new_block(tmp_path: Path) -> None:
    store = opened(tmp_path)
    committer = record(store, list(itertools.islice(synthetic.camera(), 4)))
    later = synthetic.camera(run=2, start_90k=9_000_000, wall_us=synthetic.WALL_US + 30_000_000)
    record(store, list(itertools.islice(later, 4)), committer)
    assert len(store.catalog.rows(GATE)) == 1
    wide = synthetic.camera(
        run=2, start_90k=19_000_000, wall_us=synthetic.WALL_US + 60_000_000, width=160
    )
    record(store, list(itertools.islice(wide, 4)), committer)
    assert len(store.catalog.rows(GATE)) == 2
    archive = Archive(store)
    ranges = archive.ranges(GATE, *ALL)
    assert [run.run for run in ranges.runs] == [1, 2, 3]
    assert [gap.cause for gap in ranges.gaps] == ["camera", "camera"]
    with pytest.raises(NvrError, match=r"export\.config_changed"):
        next(archive.export(GATE, *ALL))
    split = archive.configs(GATE, *ALL)
    assert [frames(b"".join(archive.export(GATE, *part))) for part in split] == [
        12 + 12 + 1 + 12 + 12 + 12 + 1 + 12,
        49 - 12,
    ]
    store.disk.close()


@pytest.mark.parametrize("step_s", [-3600, -2, 2, 3600])
def test_a_step_of_the_clock_is_a_new_mapping_and_no_gap(tmp_path: Path, step_s: int) -> None:
    store = opened(tmp_path)
    before = list(itertools.islice(synthetic.camera(), 12))
    after = [
        replace(part, wall_us=part.wall_us + step_s * 1_000_000)
        for part in itertools.islice(synthetic.camera(), 12, 24)
    ]
    record(store, before + after)
    archive = Archive(store)
    ranges = archive.ranges(GATE, *ALL)
    assert ranges.gaps == ()
    assert [(run.from_us, run.to_us) for run in ranges.runs] == [
        (part[0].wall_us, part[-1].wall_us + part[-1].duration_90k * 100 // 9)
        for part in (before, after)
    ]
    assert frames(b"".join(archive.export(GATE, *ALL))) == sum(p.samples for p in before + after)
    found = archive.gop(GATE, after[-1].wall_us)
    assert found is not None
    assert found.to_us == ranges.recorded_until_us
    store.disk.close()


def test_two_hundred_restarts_cost_the_archive_only_what_they_record(tmp_path: Path) -> None:
    store = opened(tmp_path)
    record(store, list(itertools.islice(synthetic.camera(), 40)))
    first = Archive(store).ranges(GATE, *ALL).runs[0]
    blocks = len(store.catalog.all_rows())
    store.disk.close()
    for restart in range(1, 201):
        store = opened(tmp_path)
        wall_us = synthetic.WALL_US + restart * 60_000_000
        record(store, list(itertools.islice(synthetic.camera(wall_us=wall_us, width=160), 1)))
        store.disk.close()
    store = opened(tmp_path)
    ranges = Archive(store).ranges(GATE, *ALL)
    assert ranges.runs[0] == first
    assert len(ranges.runs) == 201
    assert len({run.run for run in ranges.runs}) == 201
    part_bytes = sum(row.tail - row.head.first_offset for row in store.catalog.all_rows()[blocks:])
    assert len(store.catalog.all_rows()) - blocks <= part_bytes // (3 << 20) + 1
    store.disk.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(Unavailable, match=r"volume\.busy"):
        opened(tmp_path)
    store.disk.close()
    opened(tmp_path).disk.close()


def test_another_disk_a_missing_one_and_a_copy_are_refused(tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    (tmp_path / "usb" / "holiday.jpg").write_bytes(b"x")
    disk = LinuxDisk(tmp_path / "usb")
    with pytest.raises(Misconfigured, match=r"volume\.foreign"):
        open_store(disk, FakeClock(), random.Random(1), size_bytes=SIZE)
    disk.close()
    store = opened(tmp_path / "a")
    store.disk.close()
    ring_id = store.identity.ring_id
    for place, refusal in (("b", "volume.missing"), ("a", "volume.clone")):
        disk = LinuxDisk(tmp_path / place)
        with pytest.raises(NvrError, match=refusal):
            open_store(
                disk, FakeClock(), random.Random(1), size_bytes=SIZE, ring_id=ring_id, generation=9
            )
        disk.close()
    disk = LinuxDisk(tmp_path / "b")
    other = open_store(disk, FakeClock(), random.Random(2), size_bytes=SIZE)
    disk.close()
    assert other.identity.ring_id != ring_id
    disk = LinuxDisk(tmp_path / "b")
    with pytest.raises(Misconfigured, match=r"volume\.foreign"):
        open_store(disk, FakeClock(), random.Random(1), size_bytes=SIZE, ring_id=ring_id)
    disk.close()


def test_the_threads_acknowledge_within_a_second_and_stop_cleanly(tmp_path: Path) -> None:
    store = open_store(LinuxDisk(tmp_path), SystemClock(), random.Random(1), size_bytes=SIZE)
    told: list[Acknowledged] = []
    done = threading.Event()

    def acknowledged(news: list[Acknowledged]) -> None:
        told.extend(news)
        if len(told) >= 6:
            done.set()

    writer = Writer(store, acknowledged=acknowledged)
    writer.start()
    cameras = [synthetic.camera(name) for name in ("gate/main", "yard/main")]
    started_s = time.monotonic()
    for _ in range(3):
        writer.submit([next(camera) for camera in cameras])
        time.sleep(0.4)
    assert done.wait(10)
    writer.stop()
    assert {news.stream for news in told} == {"gate/main", "yard/main"}
    assert all(started_s < news.at_s for news in told)
    state = writer.state()
    assert (state.parts, state.dropped_parts, state.failures) == (6, 0, 0)
    store.disk.close()
    again = opened(tmp_path)
    assert again.ring.clean
    again.disk.close()


def test_a_full_queue_drops_the_newest_gop_of_the_least_important_camera(tmp_path: Path) -> None:
    store = opened(tmp_path)
    room = sum(len(p.mdat) for p in itertools.islice(synthetic.camera(), 4))
    committer = Committer(
        store,
        queue=DropNewestGopQueue(room * 3, lambda stream: 0 if stream == "yard/main" else 1),
    )
    gate, yard = synthetic.camera("gate/main"), synthetic.camera("yard/main")
    gate_parts, yard_parts = list(itertools.islice(gate, 12)), list(itertools.islice(yard, 12))
    for pair in zip(gate_parts[:9], yard_parts[:9], strict=True):
        committer.submit(pair)
    assert committer.queue.held_bytes <= room * 3
    assert committer.commit()
    for pair in zip(gate_parts[9:], yard_parts[9:], strict=True):
        committer.submit(pair)
    assert committer.commit()
    archive = Archive(store)
    assert archive.ranges("gate/main", *ALL).gaps == ()
    kept = archive.ranges("yard/main", *ALL)
    assert [gap.cause for gap in kept.gaps] == ["behind"]
    assert committer.state().dropped_parts > 0
    assert frames(b"".join(archive.export("yard/main", *ALL))) > 0
    store.disk.close()
