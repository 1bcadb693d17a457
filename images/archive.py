"""Packages of a Debian suite for any architecture, without touching this machine's own lists.

apt keeps its own state for each suite and architecture under ``build/apt``, verifies what it
fetches by the archive's keys, and runs nothing of it.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"
MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
COMPONENTS = "main non-free-firmware"


@dataclass(frozen=True, slots=True)
class Archive:
    """A suite as one architecture sees it.

    Attributes:
        suite: ``bookworm``, ``trixie``.
        architecture: ``amd64``, ``arm64``.
    """

    suite: str
    architecture: str

    @property
    def place(self) -> Path:
        """Where its lists and packages are kept."""
        return BUILD / "apt" / f"{self.suite}-{self.architecture}"

    @property
    def sources(self) -> list[str]:
        """Lines of its ``sources.list``."""
        signed = f"[signed-by={KEYS}]"
        return [
            f"deb {signed} {MIRROR} {self.suite} {COMPONENTS}",
            f"deb {signed} {MIRROR} {self.suite}-updates {COMPONENTS}",
            f"deb {signed} {SECURITY} {self.suite}-security {COMPONENTS}",
        ]

    def update(self) -> None:
        """Fetch its lists."""
        for name in ("lists/partial", "archives/partial", "etc/preferences.d", "etc/apt.conf.d"):
            (self.place / name).mkdir(parents=True, exist_ok=True)
        (self.place / "status").touch()
        (self.place / "sources.list").write_text("\n".join(self.sources) + "\n")
        self._apt("apt-get", "update", "-qq")

    def fetch(self, *packages: str) -> list[Path]:
        """Fetch packages alone, without what they depend on."""
        into = self.place / "archives"
        self._apt("apt-get", "download", "-qq", *packages, at=into)
        # What was there already is not told again; apt gives a file the time of its making.
        return [
            max(into.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)
            for name in packages
        ]

    def closure(self, *packages: str) -> list[str]:
        """Return packages with all that they depend on, recommendations left out."""
        words = ("-s", "--no-install-recommends", "-o", "Debug::NoLocking=1", "install")
        said = self._apt("apt-get", *words, *packages)
        return sorted({line.split()[1] for line in said.splitlines() if line.startswith("Inst ")})

    def places(self, *packages: str) -> list[str]:
        """Return where packages are and their hashes, a line each: ``URL sha256:HEX``."""
        said = self._apt("apt-get", "download", "--print-uris", *packages)
        lines = [line.split() for line in said.splitlines() if line.startswith("'")]
        return [f"{words[0].strip(chr(39))} {words[3].lower()}" for words in lines]

    def _apt(self, *words: str, at: Path | None = None) -> str:
        here = self.place
        settings = {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Dir::State": f"{here}",
            "Dir::State::status": f"{here}/status",
            "Dir::Cache": f"{here}",
            "Dir::Etc": f"{here}/etc",
            "Dir::Etc::sourcelist": f"{here}/sources.list",
            "Dir::Etc::sourceparts": "-",
        }
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        done = subprocess.run(
            [words[0], *options, *words[1:]], cwd=at, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout


def unpack(package: Path, into: Path, *, only: str = "") -> None:
    """Unpack a package, or the paths of it that match `only`; none of its scripts runs."""
    into.mkdir(parents=True, exist_ok=True)
    if not only:
        subprocess.run(["dpkg-deb", "-x", package, into], check=True)
        return
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as tar:
        words = ["tar", "-C", into, "-x", "--wildcards", only]
        subprocess.run(words, stdin=tar.stdout, check=True)
