"""A data directory with sealed recordings, and `nvr` as it is typed at the console."""

import io
import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.app.keyring import Keyring
from nvr.base.clock import SystemClock
from nvr.cli.main import main
from nvr.record.recording import Recording
from tests.record import synthetic

WALL_US = 1_750_000_000_000_000
PARTS = [
    replace(part, wall_us=part.wall_us - synthetic.WALL_US + WALL_US)
    for part in itertools.islice(synthetic.camera(), 20)
]
SPAN = ["--camera", "gate", "--from", "2020-01-01T00:00Z", "--to", "2040-01-01T00:00Z"]


def record(data: Path, *, seal: bool = True, parts=PARTS) -> None:
    sealing = Keyring(data, make=True).sealing(seal=seal)
    recording = Recording(data / "ring", SystemClock(), size_bytes=40 << 20, sealing=sealing)
    recording.start()
    recording.submit(list(parts))
    recording.stop("somebody")


def sealed_box(directory: Path, more: str = "") -> Path:
    """Make a data directory with sealed recordings; `more` is further TOML of its volume."""
    directory.mkdir()
    config = f'[volume]\npath = "ring"\nsize_mib = 64\nseal = true\n{more}'
    (directory / "nvr.toml").write_text(config)
    record(directory)
    return directory


class Console:
    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *words: object, status: int = 0, typed: str = "") -> str:
        self._monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert main([str(word) for word in words]) == status
        out = self._capsys.readouterr()
        return out.out + out.err


def recovery_key(said: str) -> str:
    return re.search(r"recovery key  (\S+)", said)[1]


def exported(nvr: Console, to: Path, *where: object) -> bytes:
    to.unlink(missing_ok=True)
    to.with_name(to.name + ".json").unlink(missing_ok=True)
    nvr("export", "--fragmented", *where, *SPAN, to)
    return to.read_bytes()
