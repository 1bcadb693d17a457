"""Which of the mounted disks are sticks to write to, on trees as Linux lays them out."""

import os
from pathlib import Path

import pytest

from nvr.hal import linux_stick
from nvr.hal.linux_stick import LinuxSticks
from nvr.record import volume
from tests.hal.test_block_device import Tree

USB = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/"
CARD = "platform/soc/mmc_host/mmc0/mmc0:0001/block/mmcblk0"


class Box(Tree):
    """A card with the system on it, and whatever is plugged in."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.media = root / "media"
        card = self.disk(CARD, "179:0", removable="0")
        self.partition(card, "mmcblk0p2", "179:2")
        self.lines: list[str] = []
        self.mount("179:2", Path("/"), "ext4", "/dev/root")

    def stick(self, name: str, number: int, where: str = USB, **files: str) -> None:
        disk = self.disk(where + name, f"8:{number}", device__vendor="Kingston",
                         device__model="DataTraveler", **{"removable": "1", **files})  # fmt: skip
        self.partition(disk, f"{name}1", f"8:{number + 1}")
        (self.sys / "block").mkdir(exist_ok=True)
        (self.sys / "block" / name).symlink_to(disk)

    def mount(self, number: str, place: Path, kind: str, source: str, how: str = "rw") -> Path:
        if place != Path("/"):
            place.mkdir(parents=True, exist_ok=True)
        at = str(place).replace(" ", "\\040")
        self.lines.append(
            f"30 1 {number} / {at} {how},nosuid shared:1 - {kind} {source} {how},utf8"
        )
        self.write(self.proc / "self/mountinfo", "\n".join(self.lines))
        return place

    def sticks(self, *ours: Path) -> LinuxSticks:
        return LinuxSticks(self.media, lambda: ours, sys=self.sys, proc=self.proc)

    def found(self, *ours: Path) -> list[str]:
        return [stick.name for stick in self.sticks(*ours).found()]

    def unusable(self) -> list[tuple[str, str]]:
        return [(stick.title, stick.code) for stick in self.sticks().unusable()]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_stick_says_what_it_is(box: Box) -> None:
    box.stick("sda", 0)
    place = box.mount("8:1", box.media / "MY STICK", "vfat", "/dev/sda1")
    (stick,) = box.sticks().found()
    assert (stick.name, stick.title) == ("sda1", "MY STICK (Kingston DataTraveler)")
    assert (stick.file_system, stick.directory) == ("fat32", place)
    assert stick.most_file_bytes == 4_294_967_295
    assert 0 < stick.free_bytes <= stick.size_bytes


def test_the_name_of_a_stick_does_nothing_to_a_terminal_or_a_page(box: Box) -> None:
    box.stick("sda", 0)
    place = box.media / os.fsdecode(b"\x1b[31m\xe4\xb8\x9c\xff")
    place.mkdir(parents=True)
    line = b"30 1 8:1 / " + os.fsencode(place) + b" rw shared:1 - vfat /dev/sda1 rw"
    (box.proc / "self/mountinfo").write_bytes(line)
    (stick,) = box.sticks().found()
    assert stick.title == "_[31m东_ (Kingston DataTraveler)"
    assert stick.directory == place


def test_what_is_not_a_stick_is_not_offered(box: Box) -> None:
    box.stick("sda", 0)
    box.stick("sdb", 16, where="pci0000:00/0000:00:17.0/ata1/block/", removable="0")
    box.mount("8:17", box.media / "inner", "ext4", "/dev/sdb1")
    box.mount("0:44", box.media / "net", "nfs4", "server:/x")
    box.mount("0:45", box.media / "memory", "tmpfs", "tmpfs")
    assert box.found() == []
    box.mount("8:1", box.media / "a", "exfat", "/dev/sda1")
    assert box.found() == ["sda1"]
    assert LinuxSticks(box.media / "a", lambda: (), sys=box.sys, proc=box.proc).found() == []


def test_the_disk_of_the_system_is_not_offered_though_it_is_a_stick(box: Box) -> None:
    box.stick("sda", 0)
    disk = box.sys / "devices" / USB / "sda"
    box.partition(disk, "sda2", "8:2")
    box.mount("8:1", box.media / "data", "ext4", "/dev/sda1")
    assert box.found() == ["sda1"]
    box.mount("8:2", box.media.parent / "boot", "vfat", "/dev/sda2")
    assert box.found() == []


def test_read_only_and_what_is_mounted_over_are_not_offered(box: Box) -> None:
    box.stick("sda", 0)
    box.mount("8:1", box.media / "a", "vfat", "/dev/sda1", how="ro")
    assert box.found() == []
    assert box.unusable() == [("a (Kingston DataTraveler)", "usb.read_only")]
    box.lines.pop()
    box.mount("8:1", box.media / "a", "vfat", "/dev/sda1")
    assert box.found() == ["sda1"]
    box.mount("0:45", box.media / "a", "tmpfs", "tmpfs")
    assert box.found() == []


@pytest.mark.parametrize("place", [".", "ring"])
def test_a_disk_with_a_volume_is_not_offered(box: Box, place: str) -> None:
    box.stick("sda", 0)
    at = box.mount("8:1", box.media / "a", "ext4", "/dev/sda1") / place
    at.mkdir(exist_ok=True)
    (at / volume.ID_NAME).touch()
    assert box.found() == []
    assert box.unusable() == [("a (Kingston DataTraveler)", "usb.volume")]
    assert linux_stick.VOLUME_ID == volume.ID_NAME


def test_the_disk_of_a_directory_of_ours_is_not_offered(box: Box) -> None:
    number = os.stat(box.media.parent).st_dev
    major, minor = os.major(number), os.minor(number)
    if not major:
        pytest.skip("the temporary directory lies on no disk of this machine")
    disk = box.disk(USB + "sdz", f"{major}:{minor}", removable="1")
    assert disk.name == "sdz"
    box.mount(f"{major}:{minor}", box.media / "a", "ext4", "/dev/sdz")
    assert box.found() == ["sdz"]
    assert box.found(box.media.parent / "not" / "yet" / "made") == []


def test_fuse_and_rubbish_break_nothing(box: Box) -> None:
    box.mount("0:50", box.media / "f", "fuseblk", "/dev/no-such")
    box.mount("0:51", box.media / "g", "fuse.sshfs", "me@there:")
    box.lines.append("rubbish")
    box.mount("9:99", box.media / "h", "vfat", "/dev/sdx1")
    assert box.found() == []


def test_a_stick_that_nobody_has_mounted_is_named_and_other_disks_are_not(box: Box) -> None:
    box.stick("sdb", 16, where="pci0000:00/0000:00:17.0/ata1/block/", removable="0")
    assert box.unusable() == []
    box.stick("sda", 0)
    assert box.unusable() == [("sda (Kingston DataTraveler)", "usb.unmounted")]
    box.write(box.sys / "block/sda/size", "0")
    assert box.unusable() == [], "a reader without a card"
    box.write(box.sys / "block/sda/size", "61067264")
    box.mount("8:1", box.media.parent / "boot", "vfat", "/dev/sda1")
    assert box.unusable() == [], "the system's"


def test_what_is_mounted_elsewhere_out_of_a_file_is_not_offered(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "snap"
    file.touch()
    box.disk("virtual/block/loop3", "7:3", loop__backing_file=str(file))
    box.mount("7:3", tmp_path / "snaps", "squashfs", "/dev/loop3")
    assert box.found() == []
