"""What the kernel says of disks, on trees as Linux lays them out; no such disk was tried."""

import os
from pathlib import Path

import pytest

from nvr.hal.block_device import BlockDevice, behind, boot, under

STAT = "963361 17146 61381522 661800 742046 149668 {} 312896 0 135280 1016550 0 0 0 0 0 0"


class Tree:
    """A /sys and a /proc in a directory."""

    def __init__(self, root: Path) -> None:
        self.sys, self.proc = root / "sys", root / "proc"
        (self.sys / "dev/block").mkdir(parents=True)
        self.write(self.proc / "self/mountinfo", "")

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    def disk(self, where: str, number: str, sectors: int = 2048, **files: str) -> Path:
        """Add a disk; `files` are its own, ``__`` stands for a slash."""
        place = self.sys / "devices" / where
        self.write(place / "stat", STAT.format(sectors))
        self.write(place / "size", "61067264")
        for name, text in files.items():
            self.write(place / name.replace("__", "/"), text)
        self.number(number, place)
        return place

    def number(self, number: str, place: Path) -> None:
        (self.sys / "dev/block" / number).symlink_to(os.path.relpath(place, self.sys / "dev/block"))

    def partition(self, disk: Path, name: str, number: str) -> None:
        self.write(disk / name / "partition", "2")
        self.number(number, disk / name)

    def behind(self, major: int, minor: int) -> list[BlockDevice]:
        return behind(major, minor, sys=self.sys, proc=self.proc)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_an_emmc_says_how_it_is_worn(tree: Tree) -> None:
    disk = tree.disk(
        "platform/soc/mmc_host/mmc0/mmc0:0001/block/mmcblk0",
        "179:0",
        device__type="MMC",
        device__name="DG4032",
        device__manfid="0x000045",
        device__date="07/2021",
        device__cid="450100444734303332",
        device__life_time="0x02 0x01",
        device__pre_eol_info="0x01",
    )
    tree.partition(disk, "mmcblk0p2", "179:2")
    assert tree.behind(179, 2) == tree.behind(179, 0)
    assert tree.behind(179, 2) == [
        BlockDevice(
            name="mmcblk0",
            kind="emmc",
            ident="450100444734303332",
            model="DG4032",
            maker="0x000045",
            made="07/2021",
            size_bytes=61067264 * 512,
            written_bytes=2048 * 512,
            life=(2, 1),
            pre_eol="normal",
        )
    ]


@pytest.mark.parametrize(
    ("life", "eol", "found"),
    [
        ("0x0b 0x03", "0x03", ((11, 3), "urgent")),
        ("0x01 0x09", "0x02", ((1, 9), "warning")),
        ("0x00 0x00", "0x00", (None, "")),
        ("rubbish", "rubbish", (None, "")),
        ("0x01", "0x07", (None, "")),
    ],
)
def test_each_state_of_an_emmc(tree: Tree, life: str, eol: str, found: object) -> None:
    tree.disk(
        "mmc0/block/mmcblk0",
        "179:0",
        device__type="MMC",
        device__life_time=life,
        device__pre_eol_info=eol,
    )
    (disk,) = tree.behind(179, 0)
    assert (disk.life, disk.pre_eol) == found


def test_an_sd_card_says_who_made_it_and_nothing_of_its_wear(tree: Tree) -> None:
    tree.disk(
        "mmc1/mmc1:aaaa/block/mmcblk1",
        "179:32",
        device__type="SD",
        device__name="SC32G",
        device__manfid="0x000003",
        device__date="11/2019",
        device__life_time="0x01 0x01",
    )
    (disk,) = tree.behind(179, 32)
    assert (disk.kind, disk.model, disk.maker, disk.made) == ("sd", "SC32G", "0x000003", "11/2019")
    assert (disk.life, disk.pre_eol, disk.ident) == (None, "", "mmcblk1")


@pytest.mark.parametrize(
    "sensor", ["device__hwmon3__temp1_input", "device__hwmon__hwmon3__temp1_input",
               "device__nvme0__hwmon3__temp1_input"],
)  # fmt: skip
def test_an_nvme_and_its_temperature_wherever_the_kernel_puts_it(tree: Tree, sensor: str) -> None:
    disk = tree.disk(
        "pci0000:00/nvme/nvme0/nvme0n1",
        "259:0",
        wwid="eui.0025385b71b0a1c2",
        device__model="Samsung SSD 980 500GB",
        **{sensor: "41850"},
    )
    tree.partition(disk, "nvme0n1p1", "259:1")
    (found,) = tree.behind(259, 1)
    assert (found.kind, found.model, found.celsius) == ("ssd", "Samsung SSD 980 500GB", 41.85)
    assert found.ident == "eui.0025385b71b0a1c2"


@pytest.mark.parametrize(
    ("where", "turns", "kind"),
    [
        ("pci0000:00/ata1/host0/block/sda", "1", "hdd"),
        ("pci0000:00/ata1/host0/block/sda", "0", "ssd"),
        ("pci0000:00/ata1/host0/block/sda", "", "unknown"),
        ("pci0000:00/usb2/2-1/host4/block/sda", "1", "usb"),
        ("pci0000:00/usb2/2-1/host4/block/sda", "0", "ssd"),
    ],
)
def test_a_sata_disk_turns_or_not_and_a_usb_stick_does_not_say(
    tree: Tree, where: str, turns: str, kind: str
) -> None:
    tree.disk(where, "8:0", device__model="WDC WD40PURX", device__vendor="ATA",
              queue__rotational=turns)  # fmt: skip
    (found,) = tree.behind(8, 0)
    assert (found.kind, found.model, found.celsius) == (kind, "WDC WD40PURX", None)


def test_device_mapper_and_raid_lead_to_every_disk_once(tree: Tree) -> None:
    first = tree.disk("ata1/block/sda", "8:0", queue__rotational="1")
    second = tree.disk("ata2/block/sdb", "8:16", queue__rotational="1")
    tree.partition(first, "sda1", "8:1")
    tree.partition(first, "sda2", "8:2")
    tree.partition(second, "sdb1", "8:17")
    raid = tree.disk("virtual/block/md0", "9:0")
    volume = tree.disk("virtual/block/dm-0", "254:0")
    for place, parts in ((raid, [first / "sda1", second / "sdb1"]),
                         (volume, [raid, first / "sda2"])):  # fmt: skip
        (place / "slaves").mkdir()
        for part in parts:
            (place / "slaves" / part.name).symlink_to(part)
    assert [disk.name for disk in tree.behind(254, 0)] == ["sda", "sdb"]


def test_a_circle_of_devices_ends(tree: Tree) -> None:
    place = tree.disk("virtual/block/dm-0", "254:0")
    (place / "slaves").mkdir()
    (place / "slaves" / "dm-0").symlink_to(place)
    assert tree.behind(254, 0) == []


def test_a_loop_device_leads_to_the_disk_its_file_lies_on(tree: Tree, tmp_path: Path) -> None:
    file = tmp_path / "card.img"
    file.touch()
    tree.disk("virtual/block/loop0", "7:0", loop__backing_file=str(file))
    tree.disk("virtual/block/loop1", "7:1", loop__backing_file=f"{file} (deleted)")
    assert [(d.name, d.kind) for d in tree.behind(7, 0)] == [("loop0", "loop")], "not in this tree"
    number = file.stat().st_dev
    tree.disk("ata1/block/sda", f"{os.major(number)}:{os.minor(number)}", queue__rotational="0")
    assert [disk.name for disk in tree.behind(7, 0)] == ["sda"]
    assert [disk.name for disk in tree.behind(7, 1)] == ["loop1"]
    assert [disk.name for disk in under(tmp_path, sys=tree.sys, proc=tree.proc)] == ["sda"]


def test_a_file_system_with_a_number_of_its_own_is_looked_up_where_it_is_mounted(
    tree: Tree,
) -> None:
    null = os.stat("/dev/null").st_rdev
    tree.disk("ata1/block/sda", f"{os.major(null)}:{os.minor(null)}", queue__rotational="0")
    mounts = (
        "36 35 0:44 / /data rw,noatime shared:1 - btrfs /dev/null rw\n"
        "37 35 0:45 / /net rw - nfs4 192.0.2.1:/export rw"
    )
    tree.write(tree.proc / "self/mountinfo", mounts)
    assert [disk.name for disk in tree.behind(0, 44)] == ["sda"]
    assert tree.behind(0, 45) == [], "a network has no disk of ours"
    assert tree.behind(0, 46) == []


def test_a_directory_that_is_not_there_lies_on_nothing(tree: Tree, tmp_path: Path) -> None:
    assert under(tmp_path / "no-such", sys=tree.sys, proc=tree.proc) == []
    assert boot(tree.proc) == ""


def test_the_counters_of_the_disk_this_runs_on_count_what_is_written(tmp_path: Path) -> None:
    disks = under(tmp_path)
    if not disks:
        pytest.skip("the temporary directory lies on no disk of this machine")
    before = sum(disk.written_bytes for disk in disks)
    with (tmp_path / "file").open("wb") as file:
        file.write(os.urandom(4 << 20))
        file.flush()
        os.fsync(file.fileno())
    assert sum(disk.written_bytes for disk in under(tmp_path)) - before >= 4 << 20
