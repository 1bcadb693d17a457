import itertools
import time
from pathlib import Path

import pytest

from nvr.base.clock import SystemClock
from nvr.base.errors import Unavailable
from nvr.playback.query import Archive
from nvr.record.index import NAME, Index
from nvr.record.recording import Recording, remembered
from tests.record import synthetic

ALL = (0, 1 << 62)


def test_a_recording_starts_where_it_stopped_and_remembers_its_rows(tmp_path: Path) -> None:
    camera = synthetic.camera()
    for start in (1, 2):
        recording = Recording(tmp_path, SystemClock(), size_bytes=40 << 20)
        recording.start()
        with pytest.raises(Unavailable, match=r"volume\.busy"):
            Recording(tmp_path, SystemClock(), size_bytes=40 << 20)
        recording.submit(list(itertools.islice(camera, 4)))
        deadline_s = time.monotonic() + 10
        while recording.state().parts < 4 and time.monotonic() < deadline_s:
            time.sleep(0.02)
        assert remembered(tmp_path)(recording.store.identity).streams() in {(), ("gate/main",)}
        recording.stop()
        ranges = Archive(recording.store).ranges("gate/main", *ALL)
        assert len(ranges.runs) == start
        index = Index(tmp_path / NAME, recording.store.identity, read_only=True)
        assert sum(row.count for row in index.load().all_rows()) == 4 * start
        index.close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match=r"volume\.unwritable"):
        Recording(tmp_path / "file" / "ring", SystemClock(), size_bytes=40 << 20)
