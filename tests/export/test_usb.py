"""Exports onto a stick: simulated ones, pulled or wrong, and file systems on a loop device."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.app.target import targets
from nvr.base.errors import NvrError
from nvr.config.model import Config, Export, Volume
from nvr.export import usb
from nvr.export.out import SUMS, Out
from nvr.export.target import AllTargets
from nvr.hal.linux_stick import LinuxSticks
from nvr.hal.ports import Stick, Sticks
from nvr.hal.virtual_stick import VirtualSticks

AT_US = 1_772_323_200_000_000
MEGA = bytes(range(256)) * 4096


@pytest.fixture
def sticks(tmp_path: Path) -> VirtualSticks:
    made = VirtualSticks(tmp_path / "usb")
    made.plug_in(["blue"])
    return made


def begun(sticks: Sticks, size_bytes: int = 1000) -> Out:
    targets = AllTargets([sticks])
    return targets.open(targets.all()[1].name, Path("unused"), AT_US, size_bytes)


def pieces(count: int, size: int = 10) -> Iterator[tuple[bytes, float]]:
    for n in range(count):
        yield MEGA[:size], (n + 1) / count


def code(call: Iterator[object]) -> str:
    with pytest.raises(NvrError) as refused:
        list(call)
    return refused.value.code


def test_an_export_is_read_back_and_the_stick_ejected(
    sticks: VirtualSticks, tmp_path: Path
) -> None:
    out = begun(sticks)
    shares = [*out.write("东门.mp4", pieces(40, 1 << 20)), *out.write("b.mp4", pieces(3))]
    assert not list(tmp_path.rglob("*.part"))
    assert out.safe is False, "not before it is unmounted"
    shares += list(out.finish(lambda: True))
    assert (shares[-1], max(shares)) == (1.0, 1.0)
    assert out.safe is True
    assert sticks.found() == []
    out.give_up()  # too late
    sticks.plug_in(["blue"])
    (folder,) = (tmp_path / "usb" / "blue").iterdir()
    assert out.place == f"blue (simulated): {folder.name}"
    assert folder.name.startswith("nvr-export-2026")
    assert (folder / "b.mp4").read_bytes() == MEGA[:10] * 3
    check = subprocess.run(
        ("sha256sum", "-c", "--strict", SUMS),
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    assert check.stdout == "东门.mp4: OK\nb.mp4: OK\n"
    assert [file.sha256 for file in out.files] == [
        hashlib.sha256((folder / file.name).read_bytes()).hexdigest() for file in out.files
    ]


def test_two_exports_of_one_second_do_not_meet(sticks: VirtualSticks) -> None:
    first, second = begun(sticks), begun(sticks)
    assert second.place == first.place + "-2"


def test_a_stick_that_is_pulled_ends_the_export_and_nothing_is_written_where_it_was(
    sticks: VirtualSticks, tmp_path: Path
) -> None:
    out = begun(sticks)
    steps = out.write("a.mp4", pieces(5))
    next(steps)
    pulled, place = tmp_path / "usb" / ".blue", tmp_path / "usb" / "blue"
    place.rename(pulled)
    place.mkdir()  # as the mount point is there when its stick is not
    assert code(steps) == "usb.gone"
    out.give_up()
    assert list(place.iterdir()) == []
    assert out.safe is False
    assert list(pulled.iterdir()) == [], "nor is a part of it left on the stick"


def test_what_the_stick_gives_back_wrongly_is_found(
    sticks: VirtualSticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = begun(sticks)
    list(out.write("a.mp4", pieces(5)))
    (path,) = (tmp_path / "usb").rglob("a.mp4")
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    assert code(out.finish(lambda: True)) == "usb.wrong_bytes"
    assert out.safe is False
    assert sticks.found(), "it is not ejected"


def test_room_is_looked_for_and_a_stick_without_it_or_gone_is_refused(
    sticks: VirtualSticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = AllTargets([sticks])
    target = targets.all()[1]
    assert (target.name, target.kind, target.most_file_bytes) == (
        "usb:sim-blue",
        "usb",
        (1 << 32) - 1,
    )
    with pytest.raises(NvrError, match=r"export\.no_room"):
        begun(sticks, 1 << 60)
    sticks.eject(sticks.found()[0])
    for call in (lambda: targets.find(target.name), lambda: begun_named(targets, target.name)):
        with pytest.raises(NvrError, match=r"export\.no_target"):
            call()
    assert [one.kind for one in targets.all()] == ["download"]


def begun_named(targets: AllTargets, name: str) -> Out:
    return targets.open(name, Path("unused"), AT_US, 1)


class Loop:
    """A file system in a file on a loop device, mounted as the system would mount a stick."""

    def __init__(self, root: Path, kind: str, size_mib: int) -> None:
        self.media, self.image, self.device = root / "media", root / "image", ""
        self.place = self.media / "STICK 1"
        self.place.mkdir(parents=True)
        with self.image.open("wb") as file:
            file.truncate(size_mib << 20)
        make = {"ext4": ("mkfs.ext4", "-q", "-m", "0"), "vfat": ("mkfs.vfat", "-F", "32"),
                "exfat": ("mkfs.exfat",)}[kind]  # fmt: skip
        self.run(*make, str(self.image))
        self.device = self.run("losetup", "--show", "-f", str(self.image)).strip()
        mount = ["mount", "-t", kind]
        if kind == "exfat" and not self.known("exfat"):
            mount = ["mount.exfat-fuse"]
        try:
            self.run(*mount, self.device, str(self.place))
        except pytest.skip.Exception:
            self.run("losetup", "-d", self.device)
            raise

    @staticmethod
    def known(kind: str) -> bool:
        return kind in Path("/proc/filesystems").read_text().split()

    @staticmethod
    def run(*words: str) -> str:
        if shutil.which(words[0], path=f"{os.environ['PATH']}:/sbin:/usr/sbin") is None:
            pytest.skip(f"needs {words[0]}")
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def sticks(self, *ours: Path) -> LinuxSticks:
        return LinuxSticks(self.media, lambda: ours)

    def close(self) -> None:
        subprocess.run(("umount", "-l", self.place), check=False, capture_output=True)
        subprocess.run(("losetup", "-d", self.device), check=False, capture_output=True)


@pytest.fixture(
    params=[
        "ext4",
        pytest.param("vfat", marks=pytest.mark.needs("dosfstools")),
        pytest.param("exfat", marks=pytest.mark.needs("exfat-fuse")),
    ]
)
def loop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Loop]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    made = Loop(tmp_path, request.param, 64)
    yield made
    made.close()


def found(loop: Loop, *ours: Path) -> list[Stick]:
    return loop.sticks(*ours).found()


def test_a_real_file_system_is_found_written_and_unmounted(loop: Loop, tmp_path: Path) -> None:
    (stick,) = found(loop)
    assert (stick.title, stick.directory) == ("STICK 1", loop.place)
    assert bool(stick.most_file_bytes) == (stick.file_system == "fat32")
    out = begun(loop.sticks())
    list(out.write("东门.mp4", pieces(20, 1 << 20)))
    list(out.finish(lambda: True))
    assert out.safe is True
    assert list(loop.place.iterdir()) == [], "unmounted"
    assert found(loop) == []


def test_one_with_a_volume_or_ours_or_read_only_is_not_offered(loop: Loop) -> None:
    assert found(loop, loop.place / "export") == []
    (loop.place / "ring").mkdir()
    (loop.place / "ring" / "volume.id").touch()
    assert found(loop) == []
    (loop.place / "ring" / "volume.id").unlink()
    assert len(found(loop)) == 1
    if subprocess.run(("mount", "-o", "remount,ro", loop.place), check=False).returncode == 0:
        assert found(loop) == []


def test_a_volume_that_is_yet_to_be_made_is_not_offered(loop: Loop, tmp_path: Path) -> None:
    export = Export(usb=str(loop.media))
    spare = Volume(path=str(loop.place))
    for config, count in ((Config(export=export), 2), (Config(export=export, spare=[spare]), 1)):
        assert len(targets(tmp_path / "data", config, lambda: 0).all()) == count


def test_a_full_one_says_so(loop: Loop) -> None:
    out = begun(loop.sticks())
    assert code(out.write("a.mp4", pieces(200, 1 << 20))) == "export.no_room"
    out.give_up()
    assert [one.name for one in loop.place.iterdir()] in ([], ["lost+found"])


def test_one_that_is_in_use_is_not_called_safe(loop: Loop) -> None:
    out = begun(loop.sticks())
    list(out.write("a.mp4", pieces(3)))
    with (loop.place / "other").open("wb"):
        list(out.finish(lambda: True))
        assert out.safe is False
    assert replace(found(loop)[0], free_bytes=0).title == "STICK 1", "still mounted"


def test_one_that_another_namespace_still_has_is_not_called_safe(loop: Loop) -> None:
    out = begun(loop.sticks())
    list(out.write("a.mp4", pieces(3)))
    words = ("unshare", "-m", "--propagation", "private", "sh", "-c", "echo; exec sleep 60")
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout
        if other.stdout.readline() != b"\n":
            pytest.skip("mount namespaces cannot be made here")
        list(out.finish(lambda: True))
        other.kill()
    assert list(loop.place.iterdir()) == [], "unmounted here"
    assert out.safe is False


def test_one_that_is_unmounted_by_force_is_gone(loop: Loop) -> None:
    out = begun(loop.sticks())
    steps = out.write("a.mp4", pieces(9, usb.SYNC_BYTES))
    next(steps)
    subprocess.run(("umount", "-l", loop.place), check=True)
    assert code(steps) == "usb.gone"
    out.give_up()
    assert list(loop.place.iterdir()) == []


def test_a_stick_of_which_another_part_is_in_use_is_not_called_safe(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    image, media = tmp_path / "image", tmp_path / "media"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    device = Loop.run("losetup", "--show", "-f", str(image)).strip()
    try:
        for n in (1, 2):
            Loop.run("addpart", device, str(n), str((n << 16) - 65536 + 2048), "57344")
            (media / f"p{n}").mkdir(parents=True)
            Loop.run("mkfs.ext4", "-q", f"{device}p{n}")
            Loop.run("mount", f"{device}p{n}", str(media / f"p{n}"))
        sticks = LinuxSticks(media, lambda: ())
        names = [f"{Path(device).name}p{n}" for n in (1, 2)]
        assert [stick.name for stick in sticks.found()] == names
        for safe in (False, True):
            out = begun(sticks)
            list(out.write("a.mp4", pieces(3)))
            list(out.finish(lambda: True))
            assert out.safe is safe
        assert sticks.found() == []
    finally:
        for n in (1, 2):
            subprocess.run(("umount", "-q", media / f"p{n}"), check=False, capture_output=True)
            subprocess.run(("delpart", device, str(n)), check=False, capture_output=True)
        subprocess.run(("losetup", "-d", device), check=False)
