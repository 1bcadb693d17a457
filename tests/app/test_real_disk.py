"""A real file system that is full, then read-only, then back, while `nvr run` records on it."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from nvr.sim import launch
from tests.app.box import RunningBox, running_box

SIZE_MIB, IMAGE_MIB = 64, 160
ALARM_S = 10.0


class Disk:
    """An ext4 file system in a file, on a loop device, as a disk that can fail and be cured."""

    def __init__(self, directory: Path) -> None:
        self.image, self.mount_point = directory / "image", directory / "disk"
        self.mount_point.mkdir()
        with self.image.open("wb") as file:
            file.truncate(IMAGE_MIB << 20)
        for needed in ("mkfs.ext4", "mount", "findmnt"):
            if shutil.which(needed, path=f"{os.environ['PATH']}:/sbin:/usr/sbin") is None:
                pytest.skip(f"needs {needed}")
        subprocess.run(("mkfs.ext4", "-q", "-m", "0", self.image), check=True)
        self.mount()

    def mount(self) -> None:
        how = ("mount", "-o", "loop,errors=remount-ro", self.image, self.mount_point)
        done = subprocess.run(how, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"loop devices cannot be mounted here: {done.stderr.strip()}")

    def umount(self) -> bool:
        return not subprocess.run(
            ("umount", self.mount_point), check=False, capture_output=True
        ).returncode

    def fill(self) -> Path:
        """Take the last byte that is free."""
        filler = self.mount_point / "filler"
        with filler.open("wb") as file:
            size, step = 0, IMAGE_MIB << 20
            while step >= 1024:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                except OSError:
                    step //= 2
                else:
                    size += step
            os.fsync(file)
        room = os.statvfs(self.mount_point)
        assert room.f_bavail * room.f_frsize < 64 << 10
        return filler

    def fail(self) -> None:
        """Make the kernel find a fault in the file system, after which it is read-only."""
        source = subprocess.run(
            ("findmnt", "-no", "SOURCE", self.mount_point),
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        trigger = Path("/sys/fs/ext4") / Path(source).name / "trigger_fs_error"
        if not trigger.exists():
            pytest.skip("this kernel cannot make a file system fail")
        trigger.write_text("nvr test\n")
        with pytest.raises(OSError, match="Read-only"):
            (self.mount_point / "new").write_bytes(b"")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    made = Disk(tmp_path)
    yield made
    made.umount()


async def page_says(box: RunningBox) -> dict[str, Any] | None:
    """What an open page is told is wrong with the recording."""
    url = box.url.replace("https", "wss") + "/ws/control"
    async with box.session.ws_connect(url, origin=box.url) as control:
        while True:
            told = msgpack.unpackb(await control.receive_bytes())
            if told["op"] == "state":
                found: dict[str, Any] | None = told["box"]["fault"]
                return found


async def alarm(box: RunningBox, code: str | None, timeout_s: float = ALARM_S) -> None:
    until_s = time.monotonic() + timeout_s
    while (fault := await page_says(box)) is None or fault["code"] != code:
        if fault is None and code is None:
            return
        assert time.monotonic() < until_s, fault
        await asyncio.sleep(0.2)


async def dome_is_alive(box: RunningBox) -> None:
    """Live to see, and its lamp obeys, whatever the disk does."""
    assert (await box.camera("dome"))["state"] == "live"
    url = box.url.replace("https", "wss") + "/ws/control"
    async with box.session.ws_connect(url, origin=box.url) as control:
        for on in (True, False):
            switch = {"op": "output", "cam": "dome", "name": "lamp", "on": on}
            await control.send_bytes(msgpack.packb(switch))
            async with asyncio.timeout(5):
                while (await asyncio.to_thread(head, box))["lamp"] is not on:
                    await asyncio.sleep(0.05)


def head(box: RunningBox) -> dict[str, Any]:
    return launch.ask(box.data / "sim", {"get": True})


async def recorded_on(box: RunningBox, timeout_s: float = 10.0) -> int:
    """A second more is on the disk; where it ends now."""
    before = (await box.camera("dome"))["recorded_until_us"]
    camera = await box.until(
        "dome", "recorded_until_us", lambda us: us > before + 1_000_000, timeout_s
    )
    return int(camera["recorded_until_us"])


async def test_a_disk_full_then_read_only_then_back(tmp_path: Path, disk: Disk) -> None:
    (disk.mount_point / "ring").mkdir()
    filler = disk.fill()
    volume = f'path = "{disk.mount_point}/ring"\nsize_mib = {SIZE_MIB}'
    async with running_box(tmp_path, "", volume) as box:
        # Full before there is a volume: said, and made as soon as there is room.
        await box.until("dome", "state", "live")
        await alarm(box, "volume.full")
        filler.unlink()
        await box.until("dome", "recorded_until_us", lambda us: us > 0, 12)
        assert await page_says(box) is None

        # Full while it is recorded on: the ring has its room, and nobody needs to know.
        disk.fill()
        full_us = await recorded_on(box)
        assert await page_says(box) is None

        # Read-only, as ext4 makes itself after a fault.
        began_s = time.monotonic()
        disk.fail()
        await alarm(box, "volume.unwritable")
        assert time.monotonic() - began_s < ALARM_S
        await dome_is_alive(box)

        # Its files are let go of, so that it can be taken off, mended and put back.
        async with asyncio.timeout(15):
            while not await asyncio.to_thread(disk.umount):
                await asyncio.sleep(0.2)
        await dome_is_alive(box)
        assert (await page_says(box) or {}).get("code", "").startswith("volume.")
        assert list(disk.mount_point.iterdir()) in ([], [disk.mount_point / "ring"])
        await asyncio.to_thread(disk.mount)
        await alarm(box, None)
        back_us = await recorded_on(box)
        found = await box.call(
            "GET", f"/api/camera/dome/ranges?from_us=0&to_us={back_us + 1_000_000}"
        )
        runs = [(run["from_us"], run["to_us"]) for run in found["runs"]]
        assert any(from_us < full_us <= to_us for from_us, to_us in runs), "what was there is kept"
        assert runs[-1][1] >= back_us
        assert (found["gaps"][-1]["cause"], found["gaps"][-1]["code"]) == (
            "disk",
            "volume.unwritable",
        )


async def test_recording_goes_on_on_another_disk_and_nothing_is_missing(
    tmp_path: Path, disk: Disk
) -> None:
    (tmp_path / "second").mkdir()
    other = Disk(tmp_path / "second")
    try:
        volume = f'path = "{disk.mount_point}/ring"\nsize_mib = {SIZE_MIB}\n'
        volume += f'[[spare]]\npath = "{other.mount_point}/ring"\nsize_mib = {SIZE_MIB}'
        async with running_box(tmp_path, "", volume) as box:

            async def roles(*wanted: str) -> None:
                async with asyncio.timeout(20):
                    while await seen() != wanted:
                        await asyncio.sleep(0.2)

            async def seen() -> tuple[str, ...]:
                ring = await box.call("GET", "/api/ring")
                return tuple(one["role"] for one in ring["volumes"])

            async def gaps() -> list[tuple[str, str]]:
                now_us = (await box.camera("dome"))["recorded_until_us"]
                path = f"/api/camera/dome/ranges?from_us=0&to_us={now_us}"
                found = (await box.call("GET", path))["gaps"]
                return [(gap["cause"], gap["by"]) for gap in found]

            await box.until("dome", "recorded_until_us", lambda us: us > 0, 12)
            assert await seen() == ("recording", "standby")
            disk.fail()
            await roles("away", "recording")
            await recorded_on(box)
            assert await page_says(box) is None
            warnings = (await box.call("GET", "/api/box"))["warnings"]
            assert "volume.fallen_back" in {one["code"] for one in warnings}
            assert await gaps() == [("away", f"{disk.mount_point}/ring")]
            async with asyncio.timeout(15):
                while not await asyncio.to_thread(disk.umount):
                    await asyncio.sleep(0.2)
            await asyncio.to_thread(disk.mount)
            await roles("standby", "recording")
            assert await gaps() == []
    finally:
        other.umount()
