"""`nvr run` with some cameras, on disks that fail when told, and somebody who looks at its page."""

import contextlib
import fcntl
import http.client
import os
import re
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nvr.base.clock import FakeClock
from nvr.hal.linux_disk import LinuxDisk
from nvr.playback.query import Archive
from nvr.record.recover import open_reading
from nvr.record.row import TOLERANCE_90K
from tests.bench.camera import Cameras
from tests.bench.recorder import START_S, Page, Setup, lasting_ports, set_up
from tests.bench.stored import begun
from tests.faults.drive import Drive

LOOK_S = 0.2
TOLERANCE_US = TOLERANCE_90K * 100 // 9
"""What the recorder itself takes for jitter of a camera's clock; a part is longer."""

Span = tuple[int, int]


@dataclass
class Look:
    """What somebody saw at the page."""

    at_s: float
    box: dict[str, Any]
    cameras: list[dict[str, Any]]
    ring: dict[str, Any] | None

    def alarm(self) -> str:
        """Return what it says is wrong, empty if nothing."""
        if self.box["fault"]:
            return str(self.box["fault"]["code"])
        found = [str(one["code"]) for one in self.box.get("warnings", ())]
        for camera in self.cameras:
            if camera["record_behind"]:
                found.append("record.behind")
            elif camera["not_recorded"]:
                found.append(camera["not_recorded"]["code"] or camera["not_recorded"]["cause"])
        return found[0] if found else ""

    def oldest_us(self) -> int:
        """Up to when all cameras are said to be recorded."""
        return min(camera["recorded_until_us"] for camera in self.cameras)


class Watcher:
    """Looks at the page again and again in a thread of its own, as a person would."""

    def __init__(self, port: int, claim: str) -> None:
        self.looks: list[Look] = []
        self.failed: list[tuple[float, str]] = []
        self.shown: dict[str, list[Span]] = {}
        self.playing = False
        self._play_us: dict[str, int] = {}
        self._page = Page(port, claim)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        number = 0
        while not self._ending.wait(LOOK_S):
            try:
                self._look(number)
            except (RuntimeError, OSError, http.client.HTTPException) as err:
                self.failed.append((time.monotonic(), str(err)))
            number += 1

    def _look(self, number: int) -> None:
        at_s = time.monotonic()
        box = self._page.call("GET", "/api/box")
        cameras = self._page.call("GET", "/api/camera")
        ring = None
        with contextlib.suppress(RuntimeError):  # there is none while the volume is not there
            ring = self._page.call("GET", "/api/ring")
        self.looks.append(Look(at_s, box, cameras, ring))
        if number % 5 == 0 and ring is not None:
            self.note_shown(cameras)
        if self.playing:
            for camera in cameras:
                self._play(camera["name"])

    def _play(self, name: str) -> None:
        """Play some of what is recorded of a camera, from its beginning on."""
        for _ in range(10):
            at_us = self._play_us.get(name, 0)
            with contextlib.suppress(RuntimeError):  # nothing there
                answer, _ = self._page.fetch("GET", f"/api/camera/{name}/gop?t_us={at_us}")
                if following := answer.headers["X-NVR-Next-Us"]:
                    self._play_us[name] = int(following)

    def note_shown(self, cameras: list[dict[str, Any]]) -> None:
        """Keep what the page says is recorded of each camera."""
        for camera in cameras:
            name = camera["name"]
            path = f"/api/camera/{name}/ranges?from_us=0&to_us={1 << 52}"
            found = self._page.call("GET", path)
            spans = [(one["from_us"], one["to_us"]) for one in found["runs"]]
            self.shown[name] = merged([*self.shown.get(name, []), *spans])

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._page.close()

    def wait(self, wanted: Any, timeout_s: float) -> float:
        """Wait until a look at the page satisfies `wanted`; returns when, NaN if none does."""
        until_s, seen = time.monotonic() + timeout_s, len(self.looks)
        while time.monotonic() < until_s:
            while seen < len(self.looks):
                if wanted(self.looks[seen]):
                    return self.looks[seen].at_s
                seen += 1
            time.sleep(0.05)
        return float("nan")


def merged(spans: list[Span], slack_us: int = TOLERANCE_US) -> list[Span]:
    """Return the union of stretches of time."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1] + slack_us:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def outside(spans: list[Span], covered: list[Span]) -> int:
    """Return the microseconds of `spans` that `covered` does not hold."""
    missing = 0
    for begin, end in spans:
        held = sum(max(0, min(end, b) - max(begin, a)) for a, b in covered)
        missing += end - begin - held
    return missing


class Scene:
    """Two disks, cameras, and the recorder between them.

    Args:
        disk: Of the volume.
        system: Of the data directory.
        running: The cameras.
        directory: For the board file and the log.
        count: How many cameras are recorded.
        size_mib: Of the volume.
        options: Of the mounts.
        plant: Known mistake to build in; see `planted`.
    """

    def __init__(
        self,
        disk: Drive,
        system: Drive,
        running: Cameras,
        directory: Path,
        *,
        count: int,
        size_mib: int,
        options: str,
        plant: str,
    ) -> None:
        self.disk, self.system, self.count = disk, system, count
        self.options, self.plant = options, plant
        setup: Setup = set_up(
            [running.url(number) for number in range(count)],
            directory,
            lasting_ports(3),
            size_mib=size_mib,
            ring=str(self.ring),
        )
        self.setup = replace(setup, data=system.target / "data")

    @property
    def ring(self) -> Path:
        return self.disk.target / "ring"

    @contextmanager
    def recorder(
        self, *, again: bool = False, stop: signal.Signals = signal.SIGKILL
    ) -> Iterator[tuple[int, Watcher]]:
        """Run the recorder until it is ended by `stop`; yields its process id."""
        program = ("tests.faults.planted", self.plant) if self.plant else ("nvr",)
        with self.setup.spawn(program) as process:
            try:
                watcher = Watcher(self.setup.page_port, said(process, again=again))
                try:
                    yield process.pid, watcher
                finally:
                    watcher.close()
            finally:
                process.send_signal(stop)

    def oldest_block(self) -> Path:
        """The block of the volume that was written first."""
        found = [path for path in self.ring.glob("block-*.mp4") if begun(path)]
        return min(found, key=lambda path: path.stat().st_mtime)

    def mend(self) -> None:
        """What the system does when a disk is back but its file system takes nothing any more.

        That is so if it was the journal's own write or flush that failed.
        """
        try:
            probe = self.disk.target / "probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError:
            self.mount_again()

    def mount_again(self) -> None:
        """What the system does when a disk is back: the old mount goes, a new one comes."""
        self.disk.unmount()
        if not self.disk.mount("ext4", self.options):
            raise RuntimeError("the disk cannot be mounted again")

    def served(self, pid: int) -> dict[str, list[Span]]:
        """Cut the power, and return what can be played of each camera afterwards."""
        self.disk.cut(1)
        self.disk.struck_s()
        os.kill(pid, signal.SIGKILL)
        self.disk.unmount()
        self.disk.on()
        if not self.disk.mount("ext4"):
            raise RuntimeError("the volume's file system cannot be mounted")
        store_disk = LinuxDisk(self.ring, read_only=True)
        try:
            store = open_reading(store_disk, FakeClock())
            archive = Archive(store)
            return {
                stream.partition("/")[0]: list(groups(archive, stream))
                for stream in store.catalog.streams()
            }
        finally:
            store_disk.close()


def offset_of(path: Path, offset: int) -> int:
    """Return where on the device a byte of a file is."""
    with path.open("rb") as file:
        request = struct.pack("<QQIIII", offset, 1, 0, 0, 1, 0) + bytes(56)
        answer = fcntl.ioctl(file, 0xC020660B, request)
        logical, physical = struct.unpack_from("<QQ", answer, 32)
    return physical + offset - logical


def groups(archive: Archive, stream: str) -> Iterator[Span]:
    """Every group of pictures that can be played, with its times."""
    t_us: int | None = 0
    while t_us is not None:
        gop = archive.gop(stream, t_us)
        if gop is None:
            return
        yield gop.from_us, gop.to_us
        t_us = gop.next_us


def events(log: str) -> list[str]:
    """Names of the events in a log that are warnings or errors."""
    found = (re.match(r"(?:WARNING|ERROR) \S+ (\S+)", line) for line in log.splitlines())
    return list(dict.fromkeys(match[1] for match in found if match))


def said(process: subprocess.Popen[str], *, again: bool) -> str:
    """Wait until the recorder has said where its page is; returns its claim code if it is new.

    Raises:
        RuntimeError: It ended before that, or took too long.
    """
    assert process.stdout
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and (line := process.stdout.readline()):
        word, _, rest = line.strip().partition(" ")
        if word == ("page" if again else "claim"):
            return "" if again else rest.strip()
    raise RuntimeError("nvr run did not start")
