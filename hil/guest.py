"""A Linux whose kernel simulates cameras, grabbers, microphones and joysticks, on any amd64.

User-mode Linux built with vivid (webcams and television grabbers), snd-aloop, snd-dummy, uinput: it
boots from this machine's own files in two seconds, at the speed of this machine, with no virtual
machine under it. v4l2loopback, built beside it, is the camera that makes JPEG and H.264, which
vivid does not.

    python -m hil.guest build         once, ten minutes on two processors; needs gcc make flex bison
                                      bc xz-utils udev (Debian 12)
    python -m hil.guest run COMMAND   run a command in it, as root with this machine's files
    python -m hil.guest report WHAT   run `hil.capture` or `hil.joystick` in it, and keep what they
                                      say: hil/reports/WHAT.uml.json

The distribution's user-mode Linux has none of these drivers. Two lines of ``sound/Kconfig`` are
taken out that keep ALSA from it, for no reason that shows.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hil.report import keep

ROOT = Path(__file__).parent.parent
SOURCE = "linux-source-6.1"
LOOPBACK = "v4l2loopback-dkms"
MEMORY_MIB = 1024
BOOT = "vivid.n_devs=2 vivid.input_types=0x0,0x1"
REPORTS = ("capture", "joystick")
_INIT = """\
#!/bin/sh
export PATH={path} HOME=/root NVR_LOOPBACK={place}/v4l2loopback.ko
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
ip link set lo up
exec > /dev/ttyS0 2>&1
/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add
udevadm settle -t 10
cd {root}
{command}
echo "{mark} $?"
sleep 0.2
"""
_MARK = "guest ended with"


def home() -> Path:
    """Where the kernel is built and kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nvr-hil"


def build(place: Path) -> None:
    """Fetch the source, configure and build kernel and module."""
    place.mkdir(parents=True, exist_ok=True)
    for package in (SOURCE, LOOPBACK):
        subprocess.run(["apt-get", "download", package], cwd=place, check=True)
        found = max(place.glob(f"{package}_*.deb"), key=os.path.getmtime)
        subprocess.run(["dpkg-deb", "-x", found, place / package], check=True)
    source, made = place / SOURCE / SOURCE, place / "build"
    if not source.exists():
        archive = place / SOURCE / "usr/src" / f"{SOURCE}.tar.xz"
        subprocess.run(["tar", "-C", place / SOURCE, "-xf", archive], check=True)
    sound = source / "sound/Kconfig"
    lines = sound.read_text().splitlines()
    kept = [line for line in lines if line not in {"if !UML", "endif # !UML"}]
    sound.write_text("\n".join(kept) + "\n")
    made.mkdir(exist_ok=True)
    make = ["make", "-s", "-C", source, "ARCH=um", f"O={made}"]
    subprocess.run([*make, "defconfig"], check=True)
    with (made / ".config").open("a") as config:
        config.write((ROOT / "hil/uml.config").read_text())
    subprocess.run([*make, "olddefconfig"], check=True)
    jobs = f"-j{os.cpu_count() or 1}"
    subprocess.run([*make, jobs], check=True)
    module = next((place / LOOPBACK / "usr/src").iterdir())
    subprocess.run(
        ["make", "-s", "-C", made, "ARCH=um", f"M={module}", jobs, "modules"], check=True
    )
    shutil.copy(module / "v4l2loopback.ko", place)
    shutil.copy(made / "linux", place / "linux")
    subprocess.run(["strip", place / "linux"], check=True)


def run(place: Path, command: str, within_s: float, *, boot: str = BOOT) -> tuple[int, str]:
    """Boot, run a command from this checkout, and return how it ended and what it said.

    Raises:
        RuntimeError: It did not end in time, or never began; with what it said.
    """
    kernel = place / "linux"
    if not kernel.exists():
        raise RuntimeError(f"there is no {kernel}: python -m hil.guest build")
    with tempfile.TemporaryDirectory(prefix="nvr-hil-") as made:
        init = Path(made) / "init"
        path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        init.write_text(
            _INIT.format(path=path, place=place, root=ROOT, command=command, mark=_MARK)
        )
        init.chmod(0o755)
        words = (
            f"mem={MEMORY_MIB}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw",
            f"init={init}", "con=null", "ssl0=null,fd:1", "quiet", f"uml_dir={made}",
            "umid=guest", *boot.split(),
        )  # fmt: skip
        process = subprocess.Popen(
            [kernel, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return _listen(process, within_s)
        finally:
            # Its processes are in a session of their own; SIGKILL is its power button.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _listen(process: "subprocess.Popen[bytes]", within_s: float) -> tuple[int, str]:
    assert process.stdout is not None
    said, until_s = b"", time.monotonic() + within_s
    os.set_blocking(process.stdout.fileno(), False)
    while time.monotonic() < until_s:
        piece = process.stdout.read(65536)
        if piece:
            said += piece
            sys.stderr.buffer.write(piece)
            sys.stderr.flush()
        elif process.poll() is not None:
            break
        else:
            time.sleep(0.05)
        text = said.decode("utf-8", "replace").replace("\r", "")
        head, mark, tail = text.rpartition(f"{_MARK} ")
        if mark and "\n" in tail:
            return int(tail.split()[0]), head
    raise RuntimeError(f"it did not end within {within_s:g} s")


def report(place: Path, within_s: float, what: str) -> int:
    """Run the checks in there and keep what they say."""
    code, said = run(place, f"python -m hil.{what}", within_s)
    found = json.loads(said[said.index("\n{") :] if not said.startswith("{") else said)
    machine = f"{platform.machine()}, {os.cpu_count()} processors, shared; the guest has one"
    keep(f"{what}.uml", f"python -m hil.guest report {what}", machine, found)
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("build", "run", "report"))
    parser.add_argument("--place", type=Path, default=home(), help="where the kernel is kept")
    parser.add_argument("--within", type=float, default=600.0, metavar="S")
    parser.add_argument("--boot", default=BOOT, help="further words for the kernel")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    if chosen.what == "build":
        build(chosen.place)
        return 0
    if chosen.what == "report":
        what = (chosen.command or REPORTS)[0]
        if what not in REPORTS:
            parser.error(f"a report is of {' or '.join(REPORTS)}")
        return report(chosen.place, chosen.within, what)
    words = shlex.join(chosen.command)
    return run(chosen.place, words, chosen.within, boot=chosen.boot)[0]


if __name__ == "__main__":
    sys.exit(main())
