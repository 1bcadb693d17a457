"""Moving house: what a back-up brings to the box that replaces another."""

import shutil
from pathlib import Path

import pytest

from nvr.app import backup
from nvr.app.keyring import Keyring
from nvr.auth.audit import Audit, Entry
from nvr.auth.state import open_state
from nvr.base.clock import SystemClock
from nvr.base.errors import Damaged, Rejected
from nvr.config import load
from tests.app.sealed import Console, exported

PHRASE = "correct horse"


def test_a_replacement_box_goes_on_with_the_old_ones_disk_and_accounts(
    data: Path,
    tmp_path: Path,
    nvr: Console,
) -> None:
    want = exported(nvr, tmp_path / "a.mp4", "--data", data)
    load.edit_secrets(data / "secrets.toml", "gate", "secret of the camera")
    db = open_state(data / "state.db")
    db.execute("INSERT INTO box VALUES ('claimed', '1')")
    audit = Audit(data / "state.db", SystemClock(), "box")
    audit.record(Entry("startup", "box.started"))
    audit.close()
    file = tmp_path / "box.backup"
    said = nvr("backup", "--data", data, file, typed=PHRASE + "\n")
    assert str(file) in said, "while the database is open"
    db.close()
    assert b"secret of the camera" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "export.exists" in nvr("backup", "--data", data, file, typed=PHRASE, status=1)

    fresh = tmp_path / "fresh"
    assert "key.passphrase" in nvr("restore", "--data", fresh, file, typed="wrong", status=1)
    assert "state.db" in nvr("restore", "--list", "--data", fresh, file, typed=PHRASE)
    assert not (fresh / "nvr.toml").exists()
    nvr("restore", "--data", fresh, file, typed=PHRASE)
    shutil.move(data / "ring", fresh / "ring")
    assert exported(nvr, tmp_path / "b.mp4", "--data", fresh) == want
    assert load.read_secrets(fresh / "secrets.toml").camera["gate"].password.startswith("secret")
    assert (fresh / "seal.key").stat().st_mode & 0o777 == 0o600
    db = open_state(fresh / "state.db")
    assert db.execute("SELECT value FROM box WHERE key = 'claimed'").fetchone() == ("1",)
    db.close()
    audit = Audit(fresh / "state.db", SystemClock(), "box")
    rows, bad = audit.rows()
    audit.close()
    assert bad is None, "the chain of the audit log holds on the new box"
    assert [row.entry.action for row in rows] == ["console restore", "box.started"]


def test_what_is_there_is_kept_and_can_be_had_back(
    data: Path,
    tmp_path: Path,
    nvr: Console,
) -> None:
    file = tmp_path / "box.backup"
    nvr("backup", "--data", data, file, typed=PHRASE)
    other = tmp_path / "other"
    other.mkdir()
    (other / "nvr.toml").write_text("schema = 1\n")
    mine = Keyring(other, make=True).signer.public
    assert "backup.exists" in nvr("restore", "--data", other, file, typed=PHRASE, status=1)
    nvr("restore", "--replace", "--data", other, file, typed=PHRASE)
    assert "seal = true" in (other / "nvr.toml").read_text()
    kept = other / backup.BEFORE
    assert (kept / "nvr.toml").read_text() == "schema = 1\n"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert Keyring(kept, make=False).signer.public == mine


@pytest.mark.parametrize("at", [0, 14, 40, -1])
def test_a_back_up_that_was_changed_is_refused(data: Path, at: int) -> None:
    blob = bytearray(backup.back_up(data, PHRASE, 1))
    blob[at] ^= 1
    with pytest.raises((Damaged, Rejected)):
        backup.read(bytes(blob), PHRASE)


def test_there_is_none_without_a_passphrase(data: Path) -> None:
    with pytest.raises(Rejected, match=r"key\.passphrase"):
        backup.back_up(data, "short", 1)
