"""How the recorder is laid out on a box, from wheels made up here; nothing is fetched or built."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from images import tree
from images.tree import HOME, TARGETS, Target
from nvr.base.shipped import shipped

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HERE = ".".join(map(str, sys.version_info[:2]))


def wheel(place: Path, name: str, files: dict[str, str]) -> Path:
    path = place / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as bundle:
        for inside, text in files.items():
            bundle.writestr(inside, text)
    return path


def test_a_laid_out_tree_runs_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the modules that were laid there, the files beside them, and none of the machine's."""
    target = Target("here", HERE, 36, "amd64", "x86_64")
    other = wheel(tmp_path, "other", {"other/__init__.py": "said = 'other'\n"})
    main = "import sys, other\ndef main():\n    print(sys.prefix, other.said)\n    return 3\n"
    own = {
        "nvr/__init__.py": "",
        "nvr/__main__.py": main,
        "nvr/base/__init__.py": "",
        "nvr-1.0.data/data/share/nvr/board/a.toml": "a",
        "nvr-1.0.data/scripts/nvr": "left out",
        "nvr-1.0.data/": "",
    }
    monkeypatch.setattr(Target, "wheels", lambda _: [other])
    root = tmp_path / "root"
    tree.lay(target, wheel(tmp_path, "nvr", own), root)
    home = root / HOME
    assert (home / "share/nvr/board/a.toml").read_text() == "a"
    link = home / "bin/python3"
    assert str(link.readlink()) == "/usr/bin/python3"
    script = (root / "usr/bin/nvr").read_text()
    assert script.startswith(f"#!/{HOME}/bin/python3 -P\n")
    # Here, this test's own interpreter stands for the distribution's.
    python = Path(sys.executable).resolve()
    link.unlink()
    link.symlink_to(python)
    settings = home / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace("/usr/bin", str(python.parent)))
    words = [link, "-P", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, env={}, check=False)
    assert (done.returncode, done.stdout) == (3, f"{home} other\n"), done.stderr


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_lock_file_has_all_that_the_project_wants(target: Target) -> None:
    lines = target.lock.read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    locked = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    wanted = PROJECT["project"]["dependencies"]
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in wanted}
    assert not names - locked, "lock them: python -m images.tree lock"


def test_every_kernel_is_compiled() -> None:
    """One that is not named makes a module that nobody can load, once it is built anew."""
    (module,) = PROJECT["tool"]["setuptools"]["ext-modules"]
    assert set(module["sources"]) == {
        f"native/{path.name}" for path in (ROOT / "native").glob("*.c")
    }


def test_what_is_shipped_lies_beside_the_code_or_in_the_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shipped("board") == ROOT / "board"
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert shipped("nothing/there") == tmp_path / "share/nvr/nothing/there"
