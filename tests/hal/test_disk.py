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
