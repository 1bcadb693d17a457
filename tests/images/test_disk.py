"""How an image is laid out, from small trees made up here; `hil.image` starts a real one."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from images import disk, initramfs, root
from images.image import BOARDS, spdx
from images.root import LOCK, TARGET, Locked, fetch, locked

ROOT = Path(__file__).parent.parent.parent
MADE_S = 1_700_000_000
PARTITIONS = {each.name: each for each in disk.PARTITIONS}


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [name for name in tools if not shutil.which(name, path="/usr/sbin:/usr/bin:/bin")]
    return pytest.mark.skipif(bool(missing), reason=f"there is no {', '.join(missing)}")


def said(*words: object) -> str:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions in the same order, of sizes that are written in a moment."""
    sizes = {"nvr-esp": 34, "nvr-a": 4, "nvr-b": 4, "nvr-config": 8, "nvr-data": 16}
    monkeypatch.setattr(
        disk,
        "PARTITIONS",
        tuple(disk.Partition(name, PARTITIONS[name].kind, mib) for name, mib in sizes.items()),
    )


def made(place: Path) -> tuple[Path, dict[str, Path], disk.Slot]:
    """Make a whole disk of a root of one file."""
    tree, early = place / "root", place / "early"
    tree.mkdir(parents=True)
    (tree / "hello").write_text("hello\n")
    for name in ("usr/lib/systemd/boot/efi/systemd-bootaa64.efi", "boot/vmlinuz-1"):
        (early / name).parent.mkdir(parents=True, exist_ok=True)
        (early / name).write_text(name)
    (place / "initrd").write_text("initrd")
    slot = disk.squash(tree, place / "slot", MADE_S)
    disk.boot_files(place / "boot", early, place / "initrd", "1.2.3", slot)
    parts = {"nvr-a": place / "slot"}
    sizes = {each.name: each.mib for each in disk.PARTITIONS}
    for name in ("nvr-esp", "nvr-config", "nvr-data"):
        parts[name] = place / name
    disk.fat(place / "boot", parts["nvr-esp"], sizes["nvr-esp"], MADE_S)
    for name in ("nvr-config", "nvr-data"):
        disk.ext4(parts[name], name, sizes[name], MADE_S)
    disk.assemble(parts, place / "disk")
    return place / "disk", parts, slot


@needs("mksquashfs", "veritysetup", "mkfs.vfat", "mcopy", "mke2fs", "sfdisk")
@pytest.mark.usefixtures("small")
def test_a_disk_is_what_it_was_made_of(tmp_path: Path) -> None:
    image, parts, slot = made(tmp_path / "one")
    table = json.loads(said("sfdisk", "-J", image))["partitiontable"]
    assert table["label"] == "gpt"
    assert [each["name"] for each in table["partitions"]] == list(PARTITIONS)
    assert table["partitions"][-1]["name"] == "nvr-data", "only the last one can grow"
    whole = image.read_bytes()
    for each in table["partitions"]:
        begin, size = each["start"] * 512, each["size"] * 512
        wanted = parts[each["name"]].read_bytes() if each["name"] in parts else b""
        assert whole[begin : begin + size] == wanted.ljust(size, b"\0"), each["name"]
    checked = ["--no-superblock", f"--salt={slot.salt}", f"--data-blocks={slot.blocks}"]
    checked += ["--hash=sha256", f"--hash-offset={slot.blocks * 4096}"]
    said("veritysetup", "verify", *checked, parts["nvr-a"], parts["nvr-a"], slot.hash)
    harmed = bytearray(parts["nvr-a"].read_bytes())
    harmed[100] ^= 1
    (tmp_path / "harmed").write_bytes(harmed)
    with pytest.raises(subprocess.CalledProcessError):
        said("veritysetup", "verify", *checked, tmp_path / "harmed", tmp_path / "harmed", slot.hash)
    for name in ("nvr-config", "nvr-data"):
        said("e2fsck", "-fn", parts[name])
    entry = said("mtype", "-i", parts["nvr-esp"], "::loader/entries/nvr-a+3.conf")
    assert f"nvr.slot=a nvr.verity={slot.word} " in entry
    for line in ("linux", "initrd"):
        place = next(words[1] for words in map(str.split, entry.splitlines()) if words[0] == line)
        assert said("mtype", "-i", parts["nvr-esp"], f"::{place}")
    assert "default" not in said("mtype", "-i", parts["nvr-esp"], "::loader/loader.conf"), (
        "a default would be taken although it has no tries left"
    )
    again, _, _ = made(tmp_path / "two")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(whole).digest()


@needs("mksquashfs", "veritysetup")
def test_a_root_that_does_not_fit_its_slot_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/noise").write_bytes(hashlib.shake_256(b"").digest(2 << 20))
    monkeypatch.setattr(disk, "PARTITIONS", (disk.Partition("nvr-a", "", 1),))
    with pytest.raises(RuntimeError, match="its slot has 1048576"):
        disk.squash(tmp_path / "root", tmp_path / "slot", MADE_S)


@needs("cpio")
def test_the_first_program_is_packed_as_the_kernel_reads_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/one").write_bytes(b"12345")
    (tree / "bin/one").chmod(0o700)
    (tree / "init").write_text("plain")
    (tree / "bin/sh").symlink_to("one")
    packed = initramfs.cpio(tree)
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["cpio", "-idm", "--quiet"], input=packed, cwd=out, check=True)
    assert (out / "bin/one").read_bytes() == b"12345"
    assert (out / "bin/one").stat().st_mode & 0o777 == 0o755
    assert (out / "init").stat().st_mode & 0o777 == 0o644
    assert (out / "bin/sh").readlink() == Path("one")


def test_modules_come_with_what_they_need(tmp_path: Path) -> None:
    lines = (
        "kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz",
        "kernel/lib/crc16.ko.xz:",
        "kernel/drivers/scsi/sd_mod.ko.xz: kernel/drivers/scsi/scsi_mod.ko.xz",
        "kernel/drivers/scsi/scsi_mod.ko.xz:",
        "kernel/drivers/scsi/sd_modern.ko.xz:",
        "kernel/drivers/usb/storage/uas.ko.xz:",
        "kernel/drivers/usb/serial/ftdi_sio.ko.xz:",
    )
    (tmp_path / "modules.dep").write_text("\n".join(lines))
    assert [Path(name).name.removesuffix(".ko.xz") for name in initramfs.modules(tmp_path)] == [
        "scsi_mod", "sd_mod", "uas", "ext4", "crc16",
    ]  # fmt: skip


def test_the_lock_has_all_that_was_asked_for() -> None:
    packages = locked(LOCK.read_text())
    names = [each.name for each in packages]
    assert len(set(names)) == len(names)
    wanted = (ROOT / "images/packages.txt").read_text().splitlines()
    assert {name for name in wanted if name and name[0] != "#"} <= set(names)
    assert len([name for name in names if name.startswith("linux-image-")]) == 1
    assert not {"openssh-server", "sudo"} & set(names)
    for each in packages:
        assert each.file.endswith(("_arm64.deb", "_all.deb"))
        assert len(bytes.fromhex(each.sha256)) == 32
    bill = spdx(BOARDS[0], packages, TARGET.lock.read_text(), MADE_S)
    listed = bill["packages"]
    assert isinstance(listed, list)
    assert {"systemd", "av", "nvr"} <= {each["name"] for each in listed}
    assert len({each["SPDXID"] for each in listed}) == len(listed)


def test_a_package_with_another_hash_is_not_taken(tmp_path: Path) -> None:
    """Neither fetched nor found: what lies there already is looked at as well."""
    package = tmp_path / "there/one_1%3a2_all.deb"
    package.parent.mkdir()
    package.write_bytes(b"package")
    right = hashlib.sha256(b"package").hexdigest()
    one = Locked(f"file:{package}", right)
    assert (one.name, one.version) == ("one", "1:2")
    assert fetch([one], package.parent) == [package]
    package.write_bytes(b"another")
    with pytest.raises(subprocess.CalledProcessError):
        fetch([one], package.parent)


@needs("systemd-sysusers")
def test_nobody_can_log_in(tmp_path: Path) -> None:
    """Neither at the screen nor on the serial line, and the boot loader takes no words."""
    for name in ("getty@.service", "serial-getty@.service", "debug-shell.service"):
        assert name in root.MASKED
    script = (ROOT / "images/init").read_text()
    subprocess.run(["sh", "-n", ROOT / "images/init"], check=True)
    assert "exec sh" not in script
    disk_text = (ROOT / "images/disk.py").read_text()
    assert "editor no" in disk_text
    etc = tmp_path / "etc"
    etc.mkdir()
    (tmp_path / "usr/share/base-passwd").mkdir(parents=True)
    (tmp_path / "usr/lib/sysusers.d").mkdir(parents=True)
    (tmp_path / "usr/share/base-passwd/passwd.master").write_text("root::0:0:root:/root:/bin/sh\n")
    (tmp_path / "usr/share/base-passwd/group.master").write_text("root:*:0:\n")
    (tmp_path / "usr/lib/sysusers.d/a.conf").write_text('u nvr - "x" /var/lib/nvr\n')
    (tmp_path / "usr/lib/sysusers.d/b.conf").write_text('u! systemd-network 998 "x"\n')
    root._users(tmp_path)
    rows = dict(line.split(":")[:2] for line in (etc / "shadow").read_text().splitlines())
    assert rows.keys() == {"root", "nvr", "systemd-network"}
    assert set(rows.values()) == {"!*"}
    assert not list(etc.glob("*-"))
