"""The recorder as a Debian package, with all that it imports: `make deb`.

    python -m images.deb                    dist/nvr_VERSION~SUITE_ARCH.deb: Debian 12 and 13,
                                            amd64 and arm64
    python -m images.deb trixie-arm64       only this one

Everything lies in /usr/lib/nvr (`images.tree`) and touches no Python package of the system. What
the owner writes is /etc/nvr/board.toml and /var/lib/nvr: kept over upgrades and removal; a purge
takes /etc/nvr, and never recordings. Two builds of a commit give the same bytes.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from images.archive import BUILD, ROOT
from images.tree import HOME, TARGETS, Target, lay
from images.wheel import DIST, PLATFORMS, build, committed_s
from nvr import __version__

BOARD = ROOT / "board"
FILES = {
    "nvr.service": "usr/lib/systemd/system/nvr.service",
    "nvr.sysusers.conf": "usr/lib/sysusers.d/nvr.conf",
    "nvr.udev.rules": "usr/lib/udev/rules.d/60-nvr.rules",
    "nvr.sysctl.conf": "usr/lib/sysctl.d/60-nvr.conf",
}
"""What of board/ lies where on a system."""

_CONTROL = """\
Package: nvr
Version: {version}
Architecture: {architecture}
Maintainer: nvr <nvr@localhost>
Installed-Size: {size_kib}
Depends: python3 (>= {python}), python3 (<< {next_python}), libc6, libstdc++6, zlib1g, libfreetype6,
 init-system-helpers, systemd | systemd-standalone-sysusers
Recommends: systemd-timesyncd | time-daemon, fonts-noto-cjk | fonts-wqy-microhei
Section: video
Priority: optional
Description: video recorder and controller for ARM boxes in the field
 Records network cameras without transcoding into a ring that survives power
 cuts, steers domes over RS-485 and ONVIF, switches relays, and serves live and
 recorded video over RTSP, ONVIF and its own web page (port 8443).
"""
_POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  systemd-sysusers nvr.conf
  /usr/bin/python3 -m compileall -q -j 0 /{home} >/dev/null || true
  if [ -d /run/systemd/system ]; then
    udevadm control --reload || true
    udevadm trigger --subsystem-match=gpio --subsystem-match=watchdog || true
    /usr/lib/systemd/systemd-sysctl 60-nvr.conf || true
    systemctl --system daemon-reload || true
  fi
  deb-systemd-helper unmask nvr.service >/dev/null || true
  if deb-systemd-helper --quiet was-enabled nvr.service; then
    deb-systemd-helper enable nvr.service >/dev/null || true
  else
    deb-systemd-helper update-state nvr.service >/dev/null || true
  fi
  if [ -d /run/systemd/system ]; then
    if [ -n "$2" ]; then action=restart; else action=start; fi
    deb-systemd-invoke $action nvr.service >/dev/null || true
  fi
fi
"""
_PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  deb-systemd-invoke stop nvr.service >/dev/null || true
fi
find /{home} -name __pycache__ -type d -prune -exec rm -rf {{}} + || true
"""
_POSTRM = """\
#!/bin/sh
set -e
if [ "$1" = remove ]; then
  deb-systemd-helper mask nvr.service >/dev/null || true
fi
if [ "$1" = purge ]; then
  deb-systemd-helper purge nvr.service >/dev/null || true
  deb-systemd-helper unmask nvr.service >/dev/null || true
  rm -rf /etc/nvr
  if [ -d /var/lib/nvr ]; then
    echo "nvr: recordings, settings and keys stay in /var/lib/nvr, and their user nvr." >&2
    echo "nvr: to destroy them: rm -rf /var/lib/nvr && userdel nvr" >&2
  fi
fi
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload || true
fi
"""


def package(target: Target, wheel: Path, into: Path = DIST) -> Path:
    """Make one package."""
    version = f"{__version__}~{target.suite}"
    with tempfile.TemporaryDirectory(prefix="nvr-deb-") as made:
        root = Path(made)
        lay(target, wheel, root)
        for name, place in FILES.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(BOARD / name, root / place)
        about = root / "usr/share/doc/nvr"
        about.mkdir(parents=True)
        shutil.copy(ROOT / "LICENSE", about / "copyright")
        shutil.copy(ROOT / "nvr/NOTICE.md", about)
        files = [
            path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()
        ]
        major, minor = target.python.split(".")
        words = {
            "version": version,
            "architecture": target.architecture,
            "size_kib": sum(-(-path.stat().st_size // 1024) for path in files),
            "python": target.python,
            "next_python": f"{major}.{int(minor) + 1}",
            "home": HOME,
        }
        control = root / "DEBIAN"
        control.mkdir()
        sums = [f"{_md5(path)}  {path.relative_to(root)}\n" for path in files]
        (control / "md5sums").write_text("".join(sums))
        (control / "control").write_text(_CONTROL.format(**words))
        for name, text in (("postinst", _POSTINST), ("prerm", _PRERM), ("postrm", _POSTRM)):
            (control / name).write_text(text.format(**words))
        for path in (root, *root.rglob("*")):
            if not path.is_symlink():
                runs = path.is_dir() or path.parent.name == "bin" or path.parent == control
                path.chmod(0o755 if runs and path.name not in {"control", "md5sums"} else 0o644)
        into.mkdir(exist_ok=True)
        out = into / f"nvr_{version}_{target.architecture}.deb"
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", "-Zzstd", "-z12", root, out],
            env=os.environ | {"SOURCE_DATE_EPOCH": str(committed_s())},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return out


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def main() -> int:
    """Make all packages, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [target.name for target in TARGETS]
    parser.add_argument("which", nargs="*", metavar="WHICH", help=f"of {', '.join(names)}")
    chosen = parser.parse_args().which or names
    if unknown := set(chosen) - set(names):
        parser.error(f"no such package: {', '.join(unknown)}")
    BUILD.mkdir(exist_ok=True)
    for platform in PLATFORMS:
        wanted = [it for it in TARGETS if it.name in chosen and it.machine == platform.machine]
        if wanted and platform.tag == "manylinux":
            wheel = build(platform)
            for target in wanted:
                print(package(target, wheel).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
