"""The Debian package, from wheels made up here; `hil.package` installs and boots a real one."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from images import deb
from images.deb import FILES
from images.tree import TARGETS, Target

BOARD = Path(__file__).parent.parent.parent / "board"


def said(*words: object) -> str:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "nvr-0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("nvr/__init__.py", "")
        bundle.writestr("nvr-0.data/data/share/nvr/board/virtual.toml", "")
    monkeypatch.setattr(Target, "wheels", lambda _: [])
    return path


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_package_is_whole(target: Target, wheel: Path, tmp_path: Path) -> None:
    made = deb.package(target, wheel, tmp_path / "out")
    assert made.name.endswith(f"~{target.suite}_{target.architecture}.deb")
    assert said("dpkg-deb", "--field", made, "Architecture").strip() == target.architecture
    assert f"python3 (>= {target.python})" in said("dpkg-deb", "--field", made, "Depends")
    listed = [line.split() for line in said("dpkg-deb", "--contents", made).splitlines()]
    modes = {words[5].removeprefix("./"): words[0] for words in listed}
    assert {words[1] for words in listed} == {"root/root"}
    assert set(FILES.values()) <= modes.keys()
    assert modes["usr/bin/nvr"] == "-rwxr-xr-x"
    assert modes["usr/lib/nvr/pyvenv.cfg"] == "-rw-r--r--"
    assert f"usr/lib/nvr/lib/python{target.python}/site-packages/nvr/__init__.py" in modes
    assert not [name for name in modes if name.startswith(("etc/", "var/"))], (
        "those are the owner's"
    )
    control = tmp_path / "control"
    subprocess.run(["dpkg-deb", "--control", made, control], check=True)
    for script in ("postinst", "prerm", "postrm"):
        assert (control / script).stat().st_mode & 0o777 == 0o755
        subprocess.run(["sh", "-n", control / script], check=True)


def test_two_builds_are_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    target = TARGETS[0]
    sums = {
        hashlib.sha256(deb.package(target, wheel, tmp_path / name).read_bytes()).hexdigest()
        for name in ("one", "two")
    }
    assert len(sums) == 1


def test_the_service_stops_no_device_and_kills_no_guard() -> None:
    """What would keep the recorder from every device, or nvr-guard from acting, is not in it."""
    lines = (BOARD / "nvr.service").read_text(encoding="utf-8").splitlines()
    keys = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert keys["KillMode"] == "mixed"
    assert keys["User"] == "nvr"
    assert keys["NoNewPrivileges"] == "yes"
    assert not {"PrivateDevices", "ProtectClock", "DeviceAllow", "DevicePolicy"} & keys.keys()
    assert "seccomp" in keys["SystemCallFilter"].split(), "else the decoders' sandbox cannot start"
    assert {"adjtimex", "clock_adjtime"} <= set(keys["SystemCallFilter"].split()), (
        "else nobody can tell that NTP keeps the clock"
    )
    assert not keys["CapabilityBoundingSet"]
    assert "AF_NETLINK" in keys["RestrictAddressFamilies"], (
        "devices that come and go are told there"
    )
    safe = {keys["ExecStartPre"].removeprefix("-"), keys["ExecStopPost"]}
    assert safe == {"nvr safe auto --data /var/lib/nvr"}
    users = (BOARD / "nvr.sysusers.conf").read_text(encoding="utf-8")
    for group in ("audio", "dialout", "gpio", "input", "render", "video"):
        assert f"m nvr {group}\n" in users
