"""The root of an image: Debian trixie for arm64 with the recorder, made without running any of it.

    python -m images.root lock      look up the newest packages, and write images/lock/root-*.txt

Packages are fetched by the lock file's hashes and kept in ``build``; they are unpacked, and the
little that their scripts would have done for a root that is never written to is done here: users,
certificates, which services start. Python is compiled by the same Python of this machine's kind.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from images.archive import BUILD, ROOT, Archive, unpack
from images.deb import BOARD, FILES
from images.tree import HOME, TARGETS, lay

TARGET = next(target for target in TARGETS if target.name == "trixie-arm64")
LOCK = ROOT / f"images/lock/root-{TARGET.name}.txt"
BOX = ROOT / "images/box"
KERNEL = "linux-image-arm64"
EARLY = ("busybox-static", "dmsetup", "systemd-boot-efi")
"""What only the boot partition and the first program are made of."""
SERVICES = (
    "nvr.service", "nvr-healthy.service", "systemd-networkd.service", "systemd-resolved.service",
    "systemd-timesyncd.service",
)  # fmt: skip
MASKED = (
    "getty@.service", "serial-getty@.service", "console-getty.service", "ctrl-alt-del.target",
    "systemd-firstboot.service", "debug-shell.service", "ldconfig.service",
)  # fmt: skip
"""There is no log-in, at the screen as little as on the serial line; and nothing to be made anew in
a root that is never written to."""
_DROPPED = (
    "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/bug",
    "usr/share/bash-completion", "usr/share/zsh", "etc/init.d", "etc/cron.daily", "etc/apt", "boot",
    "var",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Locked:
    """A package as the lock file has it.

    Attributes:
        url: Where it was found.
        sha256: Hex digits.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """Of the package."""
        return unquote(self.file.partition("_")[0])

    @property
    def version(self) -> str:
        """As Debian writes it."""
        return unquote(self.file.split("_")[1])

    @property
    def file(self) -> str:
        """Its file's name."""
        return self.url.rpartition("/")[2]


def fetch(packages: Sequence[Locked], into: Path) -> list[Path]:
    """Fetch packages unless they are there already.

    Raises:
        subprocess.CalledProcessError: One is not there any more, or another than that.
    """
    into.mkdir(parents=True, exist_ok=True)
    paths = [into / each.file for each in packages]
    words = [
        word
        for each, path in zip(packages, paths, strict=True)
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != each.sha256
        for word in (each.url, path, f"SHA256:{each.sha256}")
    ]
    if words:
        helper = ["/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::User=root", "download-file"]
        subprocess.run([*helper, *words], check=True, stdout=subprocess.DEVNULL)
    return paths


def locked(text: str) -> list[Locked]:
    """Read a lock file: one URL and hash a line."""
    lines = [line.split() for line in text.splitlines() if line]
    return [Locked(url, sha256.removeprefix("sha256:")) for url, sha256 in lines]


def look_up() -> None:
    """Write the lock file: the newest of the suite, with hashes."""
    archive = Archive(TARGET.suite, TARGET.architecture)
    archive.update()
    wanted = [
        line
        for line in (ROOT / "images/packages.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    kernels = [name for name in archive.closure(KERNEL) if name.startswith("linux-image-")]
    lines = archive.places(*archive.closure(*wanted), *(set(kernels) - {KERNEL}))
    LOCK.write_text("\n".join(sorted(lines)) + "\n")


def make(wheel: Path, root: Path, packages: Sequence[Locked]) -> Path:
    """Make the root of an image.

    Args:
        wheel: The recorder's own.
        root: Must not be there yet.
        packages: Of the lock file.

    Returns:
        Where what only the boot partition needs was unpacked.
    """
    early = root.with_name(f"{root.name}.early")
    # base-files first: its links say where everything else goes.
    ordered = sorted(packages, key=lambda each: each.name != "base-files")
    for package, path in zip(ordered, fetch(ordered, BUILD / "apt" / LOCK.stem), strict=True):
        unpack(path, early if package.name in EARLY else root)
    for name in ("bin", "sbin", "lib"):
        if not (root / name).is_symlink():
            raise RuntimeError(f"/{name} of the image is no link: a package brought its own")
    shutil.copytree(root / "boot", early / "boot", dirs_exist_ok=True)
    for name in _DROPPED:
        shutil.rmtree(root / name, ignore_errors=True)
    # var/tmp: services that start before /var is mounted get one of their own put there.
    for name in ("var/tmp", "efi", "etc/nvr", "etc/ssl/certs"):
        (root / name).mkdir(parents=True, exist_ok=True)
    lay(TARGET, wheel, root)
    for name, place in FILES.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BOARD / name, root / place)
    shutil.copytree(BOX, root, dirs_exist_ok=True)
    shutil.copy(ROOT / "images/healthy.py", root / HOME)
    _users(root)
    _settings(root)
    _services(root)
    _compile(root)
    modules = next((root / "usr/lib/modules").iterdir()).name
    subprocess.run(["depmod", "-b", root / "usr", modules], check=True)
    return early


def _users(root: Path) -> None:
    """The distribution's and ours; root has no password and no way to get one."""
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / f"etc/{name}")
    # `u!`, a user locked for good, is not known to a systemd before 257: such a line would be left
    # out. Here every user is locked.
    wanted = sorted((root / "usr/lib/sysusers.d").glob("*.conf"))
    text = re.sub("^u!", "u", "\n".join(path.read_text() for path in wanted), flags=re.MULTILINE)
    subprocess.run(["systemd-sysusers", f"--root={root}", "-"], input=text, check=True, text=True)
    for name in ("passwd-", "group-", "shadow-", "gshadow-", ".pwd.lock"):
        (root / "etc" / name).unlink(missing_ok=True)
    passwd, shadow = root / "etc/passwd", root / "etc/shadow"
    rows = [line.split(":", 2) for line in passwd.read_text().splitlines()]
    passwd.write_text("".join(f"{name}:x:{rest}\n" for name, _, rest in rows))
    shadow.write_text("".join(f"{name}:!*:::::::\n" for name, _, _ in rows))
    shadow.chmod(0o600)


def _settings(root: Path) -> None:
    etc = root / "etc"
    shutil.copy(root / "usr/share/libc-bin/nsswitch.conf", etc)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    text = "".join(path.read_text().rstrip() + "\n" for path in certificates)
    (etc / "ssl/certs/ca-certificates.crt").write_text(text)
    (etc / "machine-id").touch()  # images/init puts the box's own over it
    (etc / "hostname").write_text("nvr\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n127.0.1.1 nvr\n::1 localhost\n")
    links = {
        "mtab": "../proc/self/mounts",
        "localtime": "/usr/share/zoneinfo/Etc/UTC",
        "resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
        "adjtime": "../var/lib/adjtime",
    }
    for name, target in links.items():
        (etc / name).unlink(missing_ok=True)
        (etc / name).symlink_to(target)


def _services(root: Path) -> None:
    own = root / "etc/systemd/system"
    for name in MASKED:
        (own / name).unlink(missing_ok=True)
        (own / name).symlink_to("/dev/null")
    systemctl = ["systemctl", f"--root={root}", "-q"]
    subprocess.run([*systemctl, "enable", *SERVICES], check=True)
    subprocess.run([*systemctl, "set-default", "multi-user.target"], check=True)


def _compile(root: Path) -> None:
    """Compile all Python ahead: the root can't be written to later.

    Compiled code is the same on every processor, so the target's own Python of this machine's kind
    does it at full speed. One process: what is written depends on what was compiled before.
    """
    here = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    )
    machine = Archive(TARGET.suite, here.stdout.strip())
    tools = BUILD / f"python-{machine.suite}-{machine.architecture}"
    if not (tools / "usr/bin/python3").exists():
        machine.update()
        for package in machine.fetch(*machine.closure("python3", "base-files")):
            unpack(package, tools)
    (libraries,) = (tools / "usr/lib").glob("*-linux-gnu")
    (loader,) = libraries.glob("ld-linux-*.so.*")
    python: list[str | Path] = [loader, "--library-path", libraries]
    python += [tools / "usr/bin/python3", "-S", "-P"]
    places = [f"/usr/lib/python{TARGET.python}", f"/{TARGET.site}"]
    subprocess.run(
        [
            *python, "-m", "compileall", "-q", "-s", root, "-p", "/",
            "--invalidation-mode", "unchecked-hash", *(f"{root}{place}" for place in places),
        ],
        env={**os.environ, "PYTHONHOME": str(tools / "usr"), "PYTHONHASHSEED": "0"},
        check=False,  # of a template that is no Python it says so and goes on
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:] != ["lock"]:
        sys.exit(__doc__)
    look_up()
    print(LOCK.relative_to(ROOT))
