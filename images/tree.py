"""The recorder with all that it imports, laid out as it lies on a box: /usr/lib/nvr.

It is a virtual environment without pip: ``pyvenv.cfg``, ``bin/python3`` (the distribution's),
``lib/python3.11/site-packages``, ``share/nvr``. The wheels are those of ``images/lock``, by hash;
they are unpacked, not installed: one for arm64 is laid out anywhere, and none of its code runs.

    python -m images.tree lock        look up the newest wheels that fit, and write images/lock
"""

import json
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from images.archive import BUILD, ROOT

HOME = PurePosixPath("usr/lib/nvr")
COMMANDS = ("nvr", "nvr-guard")
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


@dataclass(frozen=True, slots=True)
class Target:
    """A distribution on a kind of processor.

    Attributes:
        suite: Debian's name for it.
        python: Version of its python3.
        glibc: Minor version of its C library, the newest that a wheel may ask for.
        architecture: As Debian calls it.
        machine: As Python does.
    """

    suite: str
    python: str
    glibc: int
    architecture: str
    machine: str

    @property
    def name(self) -> str:
        """Of its lock file, and of what is made for it."""
        return f"{self.suite}-{self.architecture}"

    @property
    def lock(self) -> Path:
        """The wheels it gets."""
        return ROOT / "images" / "lock" / f"{self.name}.txt"

    @property
    def site(self) -> PurePosixPath:
        """Where modules lie below the root of the box."""
        return HOME / f"lib/python{self.python}/site-packages"

    @property
    def _kind(self) -> list[str]:
        tags = [f"manylinux_2_{minor}" for minor in range(self.glibc, 16, -1)]
        platforms = [f"--platform={tag}_{self.machine}" for tag in (*tags, "manylinux2014")]
        return [
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={self.python}",
            *platforms,
        ]

    def look_up(self) -> None:
        """Write the lock file: the newest that `pyproject.toml` allows, with hashes."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        wanted = project["dependencies"]
        report = BUILD / f"{self.name}.json"
        report.parent.mkdir(exist_ok=True)
        words = [
            "install",
            "--dry-run",
            "--ignore-installed",
            "--report",
            report,
            "--target",
            BUILD / "none",
        ]
        subprocess.run([*_PIP, *words, *self._kind, *wanted], check=True)
        lines = [
            f"{one['metadata']['name']}=={one['metadata']['version']}"
            f" --hash=sha256:{one['download_info']['archive_info']['hashes']['sha256']}"
            for one in json.loads(report.read_text())["install"]
        ]
        self.lock.parent.mkdir(exist_ok=True)
        self.lock.write_text("\n".join(sorted(lines, key=str.lower)) + "\n")

    def wheels(self) -> list[Path]:
        """Fetch the wheels of the lock file.

        Raises:
            subprocess.CalledProcessError: One is not there any more, or another than that.
        """
        into = BUILD / "wheels" / self.name
        words = ["download", "--no-deps", "--require-hashes", "-r", self.lock, "-d", into]
        subprocess.run([*_PIP, *words, *self._kind], check=True)
        names = {line.partition("==")[0] for line in self.lock.read_text().splitlines()}
        versions = {_plain(line.split()[0]) for line in self.lock.read_text().splitlines()}
        found = [
            path
            for path in sorted(into.glob("*.whl"))
            if _plain("==".join(path.name.split("-")[:2])) in versions
        ]
        assert len(found) == len(names), "a wheel for each line"
        return found


TARGETS = tuple(
    Target(suite, python, glibc, architecture, machine)
    for suite, python, glibc in (("bookworm", "3.11", 36), ("trixie", "3.13", 41))
    for architecture, machine in (("amd64", "x86_64"), ("arm64", "aarch64"))
)


def lay(target: Target, wheel: Path, root: Path) -> None:
    """Lay the recorder out below `root`.

    Args:
        target: What for.
        wheel: The recorder's own.
        root: Becomes the root of the box; files that are there are overwritten.
    """
    home, site = root / HOME, root / target.site
    for each in (*target.wheels(), wheel):
        with zipfile.ZipFile(each) as bundle:
            for name in bundle.namelist():
                if name.endswith("/"):
                    continue
                place = _place(PurePosixPath(name), home, site)
                if place is None:
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(bundle.read(name))
    (home / "bin").mkdir(exist_ok=True)
    link = home / "bin/python3"
    link.unlink(missing_ok=True)
    link.symlink_to("/usr/bin/python3")
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {target.python}\n"
    )
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (root / "usr/bin").mkdir(parents=True, exist_ok=True)
    for command in COMMANDS:
        module, _, function = scripts[command].partition(":")
        script = root / "usr/bin" / command
        script.write_text(
            f"#!/{HOME}/bin/python3 -P\nimport sys\n\n"
            f"from {module} import {function}\n\nsys.exit({function}())\n"
        )
        script.chmod(0o755)


def _place(name: PurePosixPath, home: Path, site: Path) -> Path | None:
    """Where a file of a wheel belongs, None for what a box does not need.

    Source: the wheel format, PEP 427, "The .data directory".
    """
    if not name.parts[0].endswith(".data"):
        return site / name
    kind, inside = name.parts[1], PurePosixPath(*name.parts[2:])
    into = {"purelib": site, "platlib": site, "data": home}.get(kind)
    return into / inside if into else None


def _plain(requirement: str) -> str:
    """A name and version as every writer of wheels writes them."""
    return requirement.lower().replace("-", "_").replace(".", "_")


if __name__ == "__main__":
    for each in TARGETS:
        each.look_up()
        print(each.lock.relative_to(ROOT))
