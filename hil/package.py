"""The Debian package, installed, started, removed: by Debian's own tools, under its own systemd.

    python -m hil.package        installs dist/nvr_*~bookworm_amd64.deb into a fresh Debian 12,
                                 boots that in user-mode Linux, waits until the service records
                                 the simulated dome, kills it, removes and purges the package,
                                 and keeps hil/reports/package.bookworm-amd64.json

Needs mmdebstrap, user-mode-linux and e2fsprogs, and root. No board: user-mode Linux is a process of
this machine, with its processor; arm64 and trixie are not tried.
"""

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hil.report import keep
from images.deb import FILES
from images.tree import HOME
from images.wheel import DIST

BASE = ("systemd", "udev", "dbus", "python3", "init-system-helpers", "libfreetype6", "zlib1g")
WITHIN_S = 900
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_UNIT = """\
[Unit]
After=nvr.service
[Service]
ExecStart=/usr/bin/python3 /look.py
StandardOutput=file:/look.json
StandardError=file:/look.err
ExecStopPost=/usr/bin/systemctl poweroff -ff
"""
_LOOK = r"""
import json, os, re, ssl, subprocess, time, urllib.request
from http.cookiejar import CookieJar

URL = "https://127.0.0.1:8443"
BROWSER = urllib.request.build_opener(
    urllib.request.HTTPSHandler(context=ssl._create_unverified_context()),
    urllib.request.HTTPCookieProcessor(CookieJar()),
)

def said(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout

def shown(name):
    return said("systemctl", "show", "nvr", "-p", name, "--value").strip()

def log():
    return said("journalctl", "--no-pager", "-o", "cat", "-u", "nvr")

def ask(path, body=None):
    headers = {"X-NVR": "1", "Origin": URL, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with BROWSER.open(urllib.request.Request(URL + path, data, headers), timeout=30) as answer:
            return answer.read()
    except OSError as err:
        return json.dumps({"error": str(err)}).encode()

def box():
    return json.loads(ask("/api/box"))

def until(holds, within_s):
    began_s = time.monotonic()
    while not (found := holds()) and time.monotonic() - began_s < within_s:
        time.sleep(2)
    return found

def recorded():
    seen = json.loads(ask("/api/camera/dome"))
    return seen if seen.get("recorded_until_us") else None

answers = until(lambda: "error" not in box() and box(), 300)
code = re.findall("^claim +(\\S+)", log(), re.M)
owner = {"code": code[-1] if code else "", "name": "admin", "password": "correct horse battery"}
claimed = json.loads(ask("/api/claim", owner))
first_us = (until(recorded, 240) or {}).get("recorded_until_us", 0)
on = until(lambda: (seen := recorded()) and seen["recorded_until_us"] > first_us > 0 and seen, 60)
camera = json.loads(ask("/api/camera/dome"))
picture = ask(f"/api/camera/dome/gop?t_us={first_us - 1}") if first_us else b""
first = shown("MainPID")
os.kill(int(first), 9)
again = until(lambda: shown("MainPID") not in ("0", first) and "error" not in box(), 200)
security = said("systemd-analyze", "security", "--no-pager", "nvr.service").strip().splitlines()[-1]
print(json.dumps({
    "page answers": bool(answers), "claimed": "error" not in claimed and box().get("claimed"),
    "records the simulated dome": bool(on),
    "plays it back": b"moof" in picture[:64] and len(picture),
    "camera": {key: camera.get(key) for key in ("state", "code", "detail", "health", "error")},
    "back after SIGKILL": bool(again),
    "user": shown("User"), "security": security.partition(": ")[2],
    "restarts": int(shown("NRestarts")),
    "denied": sorted({line for line in log().splitlines() if "not permitted" in line.lower()})[:5],
    "log": log().splitlines()[-25:],
}))
"""


def within(root: Path, *words: str, check: bool = True) -> str:
    """Run a command in a root, and return all it said."""
    done = subprocess.run(
        ["chroot", root, *words],
        env=_PATH, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout}")
    return done.stdout


def files(root: Path) -> set[str]:
    """Everything of a root but what dpkg itself writes down."""
    own = ("var/lib/dpkg", "var/log", "var/cache", "tmp", "proc", "dev", "run")
    names = (str(path.relative_to(root)) for path in root.rglob("*"))
    return {name for name in names if not name.startswith(own)}


def boot(root: Path, place: Path) -> dict[str, object]:
    """Boot a copy of a root on ext4, and return what was seen there."""
    (root / "look.py").write_text(_LOOK)
    (root / "etc/systemd/system/look.service").write_text(_UNIT)
    wants = root / "etc/systemd/system/multi-user.target.wants/look.service"
    wants.symlink_to("../look.service")
    (root / "etc/nvr").mkdir(exist_ok=True)
    text = (root / HOME / "share/nvr/board/virtual.toml").read_text()
    (root / "etc/nvr/board.toml").write_text(text.replace("size_mib = 2048", "size_mib = 512"))
    disk = place / "root.ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, disk, "3G"], check=True)
    words = ("mem=1536M", "root=/dev/ubda", "rw", f"ubd0={disk}", "init=/lib/systemd/systemd")
    console = ("con=null", "con0=null,fd:1", "ssl=null", f"uml_dir={place}", "umid=package")
    with (place / "console").open("w") as said:
        subprocess.run(
            ["linux.uml", *words, *console], stdin=subprocess.DEVNULL, stdout=said,
            stderr=subprocess.STDOUT, timeout=WITHIN_S, check=False,
        )  # fmt: skip
    for name in ("look.json", "look.err"):
        command = ["debugfs", "-R", f"dump /{name} {place / name}", disk]
        subprocess.run(command, check=False, capture_output=True)
    for path in (wants, root / "etc/systemd/system/look.service", root / "look.py"):
        path.unlink()
    text = (place / "look.json").read_text()
    if not text:
        raise RuntimeError(
            (place / "look.err").read_text() + (place / "console").read_text()[-2000:]
        )
    return dict(json.loads(text))


def prove(package: Path, base: Path | None) -> dict[str, object]:
    """Install, boot, upgrade, remove and purge a package; what was seen, and what failed."""
    with tempfile.TemporaryDirectory(prefix="nvr-package-") as made:
        place = Path(made)
        root = place / "root"
        if base is None:
            words = ["--mode=root", "--variant=minbase", f"--include={','.join(BASE)}", "bookworm"]
            subprocess.run(["mmdebstrap", "-q", *words, root], check=True)
        else:
            root.mkdir()
            subprocess.run(["tar", "-C", root, "-xf", base], check=True)
        before = files(root)
        shutil.copy(package, root / "tmp/nvr.deb")
        within(root, "dpkg", "-i", "/tmp/nvr.deb")
        seen: dict[str, object] = {
            "groups": within(root, "id", "-nG", "nvr").split(),
            "board": within(root, "nvr", "board").splitlines()[0],
            "verify": within(root, "systemd-analyze", "verify", "nvr.service"),
            "altered": within(root, "dpkg", "--verify", "nvr"),
        }
        seen |= boot(root, place)
        kept = root / "var/lib/nvr/nvr.toml"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text("schema = 1\n")
        within(root, "dpkg", "-i", "/tmp/nvr.deb")
        board = root / "etc/nvr/board.toml"
        seen["own files kept by an upgrade"] = board.exists() and kept.exists()
        within(root, "dpkg", "-r", "nvr")
        seen["own files kept by a removal"] = board.exists() and kept.exists()
        told = within(root, "dpkg", "-P", "nvr")
        seen["recordings kept by a purge, and said so"] = kept.exists() and "/var/lib/nvr" in told
        seen["left by a purge"] = sorted(files(root) - before)
        return seen


def faults(seen: dict[str, object]) -> list[str]:
    """What of it is not as it must be."""
    true = (
        "page answers", "claimed", "records the simulated dome", "back after SIGKILL",
        "own files kept by an upgrade", "own files kept by a removal",
        "recordings kept by a purge, and said so",
    )  # fmt: skip
    found = [what for what in true if seen.get(what) is not True]
    if not seen.get("plays it back"):
        found.append("plays it back")
    found += [what for what in ("verify", "altered", "denied") if seen.get(what)]
    left = seen["left by a purge"]
    assert isinstance(left, Sequence)
    may = re.compile(
        r"var/lib/nvr(/nvr\.toml)?|etc/(passwd|group|g?shadow|sub[ug]id|\.pwd\.lock)-?"
    )
    found += [f"left: {name}" for name in left if not may.fullmatch(name)]
    return found


def main() -> int:
    """Prove the package in dist, keep the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", type=Path, help="a tar of the fresh Debian, made otherwise")
    parser.add_argument("--json", action="store_true", help="the report in one line")
    chosen = parser.parse_args()
    (package,) = DIST.glob("nvr_*~bookworm_amd64.deb")
    seen = prove(package, chosen.base)
    found = faults(seen)
    machine = f"{platform.machine()}, user-mode Linux 6.1 with Debian 12's systemd; no board"
    told = {
        "package": package.name,
        "files": sorted(FILES),
        "met": not found,
        "faults": found,
        **seen,
    }
    kept = keep("package.bookworm-amd64", "python -m hil.package", machine, told)
    print(json.dumps(kept, indent=None if chosen.json else 1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
