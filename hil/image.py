"""An image, started on an emulated arm64 board and used from outside, as its owner would.

    python -m hil.image                  boots dist/nvr_*_generic-arm64.img.zst on a larger disk in
                                         QEMU; claims it, adds cameras, plays back, cuts its power,
                                         breaks an update; keeps hil/reports/image.boot.json
    python -m hil.image --keep           and leaves the disk in build/hil-image

Emulated by TCG: 1/20 to 1/50 of a board, which the calibration loop in the report tells; times are
the guest's, and say nothing of a board. The image is as it is downloaded; what the checks want to
know inside is asked of a unit that QEMU hands to systemd as a credential and that nothing else has.
Needs qemu-system-arm, qemu-efi-aarch64 and zstd.
"""

import argparse
import base64
import json
import os
import platform
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import av

from hil.report import keep
from images.archive import BUILD
from images.wheel import DIST

FIRMWARE = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
DISK_GIB = 8
MOST_RSS_MIB = 160
CAMERAS = 4
OWNER = {"name": "admin", "password": "correct horse battery"}
_LOOP = "import time; b = time.process_time(); sum(range(3000000)); print(time.process_time() - b)"
_AGENT = """
import http.server, subprocess
class Shell(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        words = self.rfile.read(int(self.headers["Content-Length"])).decode()
        done = subprocess.run(words, shell=True, capture_output=True, text=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write((done.stdout + done.stderr).encode())
http.server.HTTPServer(("", 9000), Shell).serve_forever()
"""
_RSS = """\
cd /sys/fs/cgroup/system.slice/nvr.service
for pid in $(cat cgroup.procs); do
  echo $(tr '\\0' ' ' </proc/$pid/cmdline | cut -c1-60 | tr ' ' _) \
    $(grep ^VmRSS /proc/$pid/status | tr -dc 0-9) \
    $(grep ^Pss: /proc/$pid/smaps_rollup | tr -dc 0-9)
done"""
# An update as it must not be: of the newest version, and with a hash that its root does not have.
_BROKEN = """\
set -e
cd /efi/loader/entries && mkdir -p ../../nvr/b && cp ../../nvr/a/* ../../nvr/b/
sed -e 's/(a)/(b)/; s/^version .*/version 9999/; s#/nvr/a/#/nvr/b/#; s/slot=a/slot=b/' \
    -e 's/\\(verity=[0-9]*:\\)......../\\100000000/' "$(ls nvr-a*.conf)" >nvr-b+3.conf
sync; cat nvr-b+3.conf"""


class Failed(Exception):
    """It did not do in time what it was waited for."""


def free_port() -> int:
    """A port of this machine nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Guest:
    """One start of the emulated board, and its owner's browser.

    Args:
        disk: The image, raw.
        console: Where what it says on its serial line goes.
    """

    def __init__(self, disk: Path, console: Path) -> None:
        self._page, self._agent = free_port(), free_port()
        self._console = console
        code = base64.b64encode(_AGENT.encode()).decode()
        python = f"/usr/bin/python3 -c \"import base64; exec(base64.b64decode('{code}'))\""
        handed = {
            "systemd.extra-unit.hil.service": f"[Service]\nExecStart={python}\n",
            "systemd.unit-dropin.multi-user.target": "[Unit]\nWants=hil.service\n",
        }
        ports = ((self._page, 8443), (self._agent, 9000))
        forwarded = [f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in ports]
        words = [
            "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024",
            "-accel", "tcg,thread=multi", "-bios", FIRMWARE, "-display", "none",
            "-serial", f"file:{console}", "-device", "virtio-rng-pci",
            "-drive", f"if=virtio,format=raw,file={disk},cache=writeback",
            "-nic", f"user,model=virtio-net-pci,{','.join(forwarded)}",
        ]  # fmt: skip
        for name, text in handed.items():
            packed = base64.b64encode(text.encode()).decode()
            file = console.with_name(name)
            file.write_text(f"io.systemd.credential.binary:{name}={packed}")
            words += ["-smbios", f"type=11,path={file}"]
        self.began_s = time.monotonic()
        self.process = subprocess.Popen(words)
        insecure = ssl.create_default_context()
        insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
        self._browser = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=insecure),
            urllib.request.HTTPCookieProcessor(CookieJar()),
        )

    @property
    def said(self) -> str:
        """All that came over the serial line."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def shell(self, words: str) -> str:
        """Run a command in the guest, as root."""
        url = f"http://127.0.0.1:{self._agent}/"
        with urllib.request.urlopen(url, words.encode(), timeout=180) as answer:
            return str(answer.read().decode())

    def take(self, path: str, body: object = None) -> bytes:
        """Ask the page's API."""
        url = f"https://127.0.0.1:{self._page}"
        headers = {"X-NVR": "1", "Origin": url, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url + path, data, headers)
        try:
            with self._browser.open(request, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as err:
            raise Failed(f"{path}: {err.read().decode()}") from err

    def ask(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Ask for JSON."""
        return json.loads(self.take(path, body))

    def until(self, what: str, holds: Callable[[], Any], within_s: float) -> Any:  # noqa: ANN401 - what it found
        """Wait for something.

        Raises:
            Failed: It did not come, or QEMU ended.
        """
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            if self.process.poll() is not None:
                raise Failed(f"{what}: QEMU ended; {self.said[-1500:]}")
            try:
                if found := holds():
                    return found
            except (OSError, ValueError):
                pass
            time.sleep(1)
        raise Failed(f"{what}: not within {within_s:g} s; {self.said[-1500:]}")

    def cut(self) -> None:
        """Take its power away."""
        self.process.kill()
        self.process.wait()


@contextmanager
def scene(place: Path) -> Iterator[str]:
    """A camera of ours on this machine; yields its address as the guest sees it."""
    port = free_port()
    words = ["--rtsp", f"127.0.0.1:{port}", "--size", "640x360", "--fps", "10"]
    words += ["--bitrate", "500000", "--dir", str(place)]
    place.mkdir(exist_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "nvr.sim.dome", *words])
    try:
        yield f"rtsp://10.0.2.2:{port}/dome"
    finally:
        process.terminate()
        process.wait()


def record(guest: Guest, url: str, names: list[str]) -> None:
    """Add cameras and wait until each is recorded."""
    for name in names:
        guest.ask("/api/camera", {"name": name, "url": url})
    for name in names:
        path = f"/api/camera/{name}"
        guest.until(f"{name} records", lambda path=path: guest.ask(path)["recorded_until_us"], 300)


def pictures(guest: Guest, name: str, place: Path) -> int:
    """Play back what was recorded first; how many pictures decode."""
    runs = guest.ask(f"/api/camera/{name}/ranges?from_us=0&to_us={1 << 52}")["runs"]
    data = guest.take(f"/api/camera/{name}/init?run={runs[0]['run']}")
    data += guest.take(f"/api/camera/{name}/gop?t_us={runs[0]['from_us']}")
    place.write_bytes(data)
    with av.open(str(place)) as file:
        return sum(1 for _ in file.decode(video=0))


def memory(guest: Guest) -> dict[str, object]:
    """What the recorder's processes hold."""
    rows = [line.split() for line in guest.shell(_RSS).splitlines()]
    rows = [row for row in rows if len(row) == 3]
    rss, pss = (sum(int(row[at]) for row in rows) / 1024 for at in (1, 2))
    each = {f"{at} {row[0]}": round(int(row[1]) / 1024) for at, row in enumerate(rows)}
    return {"rss_mib": round(rss), "pss_mib": round(pss), "processes_rss_mib": each}


def first(guest: Guest, url: str, place: Path, seen: dict[str, Any]) -> None:
    """From the first start to four cameras recorded; fills in what was seen."""
    guest.until("the page", lambda: guest.ask("/api/box"), 600)
    seen["page answers after_s"] = round(time.monotonic() - guest.began_s)
    code = guest.until("a code", lambda: re.search(r"claim +(\w+-\w+-\w+)", guest.said), 60)[1]
    guest.ask("/api/claim", {"code": code, **OWNER})
    record(guest, url, ["cam1"])
    seen["pictures played back"] = pictures(guest, "cam1", place / "played.mp4")
    guest.until("the agent", lambda: guest.shell("echo ready"), 120)
    seen["ready, guest's s"] = (
        int(guest.shell("systemctl show nvr -p ActiveEnterTimestampMonotonic --value")) / 1e6
    )
    seen["calibration_s"] = {
        "guest": round(float(guest.shell(f"python3 -c '{_LOOP}'")), 2),
        "this machine": round(float(subprocess.check_output([sys.executable, "-c", _LOOP])), 2),
    }
    record(guest, url, [f"cam{number}" for number in range(2, CAMERAS + 1)])
    time.sleep(30)  # what a start holds for a moment is given back
    seen["memory"] = memory(guest)
    seen["security"] = guest.shell("systemd-analyze security --no-pager nvr | tail -1").strip()
    seen["data"] = guest.shell("df -h --output=size,target /var /etc/nvr | tail -2").split()
    seen["root is read-only"] = "Read-only" in guest.shell("touch /usr/x")
    seen["verity"] = guest.shell("cat /sys/block/dm-0/dm/name").strip() == "nvr-root"
    seen["listens"] = sorted(set(re.findall(r":(\d+) ", guest.shell("ss -Hltn4; ss -Hltn6"))))
    seen["failed units"] = guest.shell("systemctl --failed --plain --no-legend").split("\n")[:-1]
    blessed = "ls /efi/loader/entries"
    guest.until("slot a blessed", lambda: "nvr-a.conf" in guest.shell(blessed), 400)
    seen["slot blessed"] = True


def again(guest: Guest, seen: dict[str, Any]) -> None:
    """After the power was cut: what was recorded is there, and more of it comes."""
    guest.until("the page after a cut", lambda: guest.ask("/api/box"), 600)
    guest.ask("/api/login", OWNER)
    ranges = guest.ask(f"/api/camera/cam1/ranges?from_us=0&to_us={1 << 52}")
    seen["kept over a power cut, s"] = round(
        sum(run["to_us"] - run["from_us"] for run in ranges["runs"]) / 1e6
    )
    until_us = ranges["recorded_until_us"]
    path = "/api/camera/cam1"
    guest.until("more", lambda: guest.ask(path)["recorded_until_us"] > until_us, 300)
    guest.until("the agent", lambda: guest.shell("echo ready"), 120)
    seen["broken update"] = guest.shell(_BROKEN).strip().splitlines()[-1]
    with suppress(OSError):  # the agent may go before it has answered
        guest.shell("sync; systemctl reboot")


def rolled_back(guest: Guest, seen: dict[str, Any]) -> None:
    """After three tries of a slot that does not start: the other one runs."""
    guest.until("three tries", lambda: guest.said.count("this slot does not start") >= 3, 900)
    guest.until("the old slot", lambda: "nvr.slot=a" in guest.shell("cat /proc/cmdline"), 600)
    seen["tries of the broken slot"] = guest.said.count("this slot does not start")
    seen["entries"] = guest.shell("ls /efi/loader/entries").split()
    guest.until("the page", lambda: guest.ask("/api/box"), 600)
    seen["old slot after three tries"] = True


def prove(image: Path, place: Path) -> dict[str, Any]:
    """Do all of it; what was seen, with ``error`` where it ended early."""
    seen: dict[str, Any] = {"image": image.name}
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    disk = place / "disk"
    subprocess.run(["zstd", "-q", "-d", "--sparse", image, "-o", disk], check=True)
    os.truncate(disk, DISK_GIB << 30)
    guest: Guest | None = None
    try:
        with scene(place / "dome") as url:
            guest = Guest(disk, place / "console.1")
            first(guest, url, place, seen)
            guest.cut()
            guest = Guest(disk, place / "console.2")
            again(guest, seen)
            rolled_back(guest, seen)
    except (Failed, OSError, ValueError, KeyError, IndexError, KeyboardInterrupt) as err:
        seen["error"] = f"{type(err).__name__}: {err}"
    finally:
        if guest is not None:
            guest.cut()
    return seen


def faults(seen: dict[str, Any]) -> list[str]:
    """What of it is not as it must be."""
    wanted = (
        "pictures played back", "root is read-only", "verity", "slot blessed",
        "kept over a power cut, s", "old slot after three tries",
    )  # fmt: skip
    found = [what for what in wanted if not seen.get(what)]
    if not 0 < seen.get("memory", {}).get("rss_mib", 0) <= MOST_RSS_MIB:
        found.append(f"memory: over {MOST_RSS_MIB} MiB, or not known")
    closed = {"22": "SSH", "5355": "LLMNR", "5353": "mDNS"}
    found += [f"{closed[it]} listens" for it in seen.get("listens", []) if it in closed]
    return found + [f"failed: {unit}" for unit in seen.get("failed units", [])]


def main() -> int:
    """Prove the image in dist, keep the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", action="store_true", help="the report in one line")
    chosen = parser.parse_args()
    (image,) = DIST.glob("nvr_*_generic-arm64.img.zst")
    place = BUILD / "hil-image"
    began_s = time.monotonic()
    seen = prove(image, place)
    if not chosen.keep:
        shutil.rmtree(place)
    found = faults(seen)
    version = subprocess.check_output(["qemu-system-aarch64", "--version"], text=True)
    machine = f"{platform.machine()}, {os.cpu_count()} processors, shared; no board"
    emulator = f"{version.splitlines()[0]}, virt, cortex-a72, TCG, 2 cores, 1 GiB"
    told = {"name": "image.boot", "emulator": emulator, "met": not found, "faults": found, **seen}
    told["took_s"] = round(time.monotonic() - began_s)
    kept = keep("image.boot", "python -m hil.image", machine, told)
    print(json.dumps(kept, indent=None if chosen.json else 1, ensure_ascii=False))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
