"""A box starts on a system disk that is full, because it set room aside while there was some."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from nvr.app import reserve
from nvr.app.data import DataDirectory


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the disk says is left on it, which no test can fill."""
    said = SimpleNamespace(f_frsize=4096, f_bavail=1 << 20)
    monkeypatch.setattr(os, "statvfs", lambda _: said)
    return said


def test_room_is_set_aside_once_there_is_enough(tmp_path: Path, left: SimpleNamespace) -> None:
    left.f_bavail = reserve.RESERVE_BYTES // 4096
    reserve.keep(tmp_path)
    assert not (tmp_path / reserve.NAME).exists()
    left.f_bavail *= 4
    reserve.keep(tmp_path)
    assert (tmp_path / reserve.NAME).stat().st_blocks * 512 >= reserve.RESERVE_BYTES


def test_it_is_given_up_at_a_start_without_room_and_not_before(
    tmp_path: Path, left: SimpleNamespace
) -> None:
    reserve.keep(tmp_path)
    with DataDirectory(tmp_path):
        assert (tmp_path / reserve.NAME).exists()
    left.f_bavail = 0
    with DataDirectory(tmp_path):
        assert not (tmp_path / reserve.NAME).exists()
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
