"""What several of these tests begin with."""

from pathlib import Path

import pytest

from tests.app.sealed import Console, sealed_box


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return sealed_box(tmp_path / "data")


@pytest.fixture
def nvr(capsys: pytest.CaptureFixture[str], monkeypatch) -> Console:
    return Console(capsys, monkeypatch)
