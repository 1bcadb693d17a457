import os
from pathlib import Path

import pytest

from nvr.hal.linux_disk import LinuxDisk


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_in_use_is_closed_by_whoever_uses_it(tmp_path: Path) -> None:
    disk = LinuxDisk(tmp_path)
    disk.create("a", 4096)
    disk.pwrite("a", [b"kept"], 0)
    with disk._file("a") as fd:
        disk.close()
        other = os.open("/dev/null", os.O_RDONLY)
        assert other != fd, "a closed number would be given to the next file"
        assert os.pread(fd, 4, 0) == b"kept"
        os.close(other)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_late_reader_leaves_nothing_open(tmp_path: Path) -> None:
    disk = LinuxDisk(tmp_path)
    disk.create("a", 4096)
    disk.pwrite("a", [b"kept"], 0)
    disk.close()
    before = descriptors()
    assert disk.pread("a", 4, 0) == b"kept"
    assert descriptors() == before


def test_what_the_disk_refuses_is_counted_and_what_is_not_there_is_not(tmp_path: Path) -> None:
    disk = LinuxDisk(tmp_path)
    disk.create("a", 4096)
    assert disk.refused() == (0, "")
    with pytest.raises(FileNotFoundError):
        disk.pread("b", 4, 0)
    assert disk.refused() == (0, "")
    with pytest.raises(OSError, match="Invalid argument"):
        disk.pread("a", 4, -1)
    disk = LinuxDisk(tmp_path, read_only=True)
    for refused in (
        lambda: disk.pwrite("a", [b"new"], 0),
        lambda: disk.zero("a", 4096, 0),
    ):
        with pytest.raises(OSError, match="Bad file descriptor"):
            refused()
    assert disk.refused()[0] == 2
    assert "Bad file descriptor" in disk.refused()[1]
    disk.close()
