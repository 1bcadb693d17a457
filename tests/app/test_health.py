"""What is wrong with a disk is told while the box records, and for as long as somebody may look."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvr.app.health import SHOWN_S, Health, left_bytes
from nvr.app.volumes import Volumes
from nvr.app.wear import Wear
from nvr.auth.audit import Audit
from nvr.base.clock import FakeClock
from nvr.base.errors import NvrError, Unavailable
from nvr.config.model import Volume
from nvr.record.retention import default_terms


class Watched:
    def __init__(self, data: Path) -> None:
        self.clock = FakeClock()
        self.audit = Audit(data / "state.db", self.clock, "test")
        self.volumes = Volumes(
            data,
            [Volume(path="ring", size_mib=40)],
            self.clock,
            acknowledged=lambda _: None,
            priority=lambda _: 0,
            terms=default_terms,
            sealing=lambda _: None,
            died=lambda: None,
            streams=tuple,
        )
        self.volumes.open()
        self.wear = Wear(data, [data / "ring"], self.clock, sys=data / "sys", proc=data / "proc")
        self.key: NvrError | None = None
        self.health = Health(
            data, self.volumes, self.audit, self.clock, self.wear, lambda: self.key
        )

    def codes(self) -> list[str]:
        return [one.code for one in self.health.warnings()]

    def refuse(self) -> None:
        """Have the kernel refuse something, as a dying disk makes it."""
        recording = self.volumes.vault._recording
        assert recording is not None
        with pytest.raises(OSError, match="Invalid argument"):
            recording.store.disk.pread("block-000000.mp4", 10, -1)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    yield found
    found.volumes.close()
    found.audit.close()


def test_nothing_is_wrong_at_first(watched: Watched) -> None:
    watched.health.look(None)
    assert watched.codes() == []


def test_a_full_system_disk_is_told_once_and_again_when_it_has_room(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "nvr.app.health"):
        for left in (5 << 20, 4 << 20, None):
            watched.health.look(left)
            assert watched.codes() == (["data.full"] if left else [])
    told = [record.getMessage().split()[0] for record in caplog.records]
    assert told == ["data.full", "data.has_room"]


def test_what_a_disk_refuses_is_told_for_a_day_and_after_it_was_let_go(watched: Watched) -> None:
    watched.refuse()
    watched.health.look(None)
    assert watched.codes() == ["volume.failing"]
    watched.volumes.close()
    watched.health.look(None)
    assert watched.codes() == ["volume.failing"]
    assert watched.volumes.refused[0] == 1
    watched.clock.advance(SHOWN_S)
    watched.health.look(None)
    assert watched.codes() == []


def test_a_key_that_its_tpm_keeps_back_is_told_for_as_long_as_it_lasts(watched: Watched) -> None:
    watched.key = Unavailable("tpm.other", "this TPM is another")
    assert watched.codes() == ["tpm.other"]
    watched.key = None
    assert watched.codes() == []


def test_it_is_said_while_a_disk_is_looked_through(watched: Watched) -> None:
    ring = watched.volumes.vault.store().ring
    ring._unread.add(3)
    assert watched.codes() == ["volume.unread"]
    ring.found(3, None)
    assert watched.codes() == []


def test_there_is_room_on_the_disk_this_runs_on_and_none_to_tell_of_where_there_is_none(
    tmp_path: Path,
) -> None:
    assert left_bytes(tmp_path) is None
    assert left_bytes(tmp_path / "no-such") is None
