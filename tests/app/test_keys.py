"""`nvr key`, `nvr unseal` and sealed recordings on a real directory, without a recorder."""

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.app.keydesk import KeyDesk
from nvr.app.keyring import SEAL, Keyring
from nvr.auth.audit import Audit
from nvr.base.clock import SystemClock
from nvr.base.errors import Rejected, Unavailable
from nvr.playback.query import Archive
from nvr.record.keys import day_of
from nvr.record.recording import Recording
from nvr.seal import root
from nvr.web.key import day_text
from tests.app.sealed import PARTS, SPAN, WALL_US, Console, exported, record, recovery_key

DAY = day_text(day_of(WALL_US))
DAYS = ["--camera", "gate", "--first", DAY, "--last", DAY, "--why", "request 114"]


def test_a_dead_boxs_disk_is_read_with_the_recovery_key_and_not_without(
    data: Path, tmp_path: Path, nvr: Console
) -> None:
    said = nvr("key", "show", "--data", data)
    assert "sealing       on" in said
    assert "none made yet" in said
    assert f"gate/main             1 keys, {DAY} to {DAY}" in said
    want = exported(nvr, tmp_path / "a.mp4", "--data", data)
    paper = tmp_path / "paper"
    paper.write_text(recovery_key(nvr("key", "recovery", "--data", data)))
    disk = tmp_path / "disk"
    shutil.move(data / "ring", disk)
    shutil.rmtree(data)
    there = ("--volume", disk, "--recovery-key", paper)
    assert exported(nvr, tmp_path / "b.mp4", *there) == want
    assert "key.locked" in nvr("export", "--volume", disk, *SPAN, tmp_path / "c.mp4", status=1)
    said = nvr("unseal", *there, tmp_path / "all")
    name = f"gate-main-{DAY}.mp4"
    assert name in said
    assert (tmp_path / "all" / name).read_bytes() == want
    assert "already there" in nvr("unseal", *there, tmp_path / "all")
    paper.write_text("ABCD-EFGH")
    assert "key.mistyped" in nvr("unseal", *there, tmp_path / "all", status=1)


def test_a_newer_recovery_key_ends_the_older(data: Path, tmp_path: Path, nvr: Console) -> None:
    papers = []
    for n in range(2):
        paper = tmp_path / f"paper{n}"
        paper.write_text(recovery_key(nvr("key", "recovery", "--data", data)))
        papers.append(("--volume", data / "ring", "--recovery-key", paper))
    assert "key.foreign" in nvr("export", *papers[0], *SPAN, tmp_path / "a.mp4", status=1)
    assert exported(nvr, tmp_path / "b.mp4", *papers[1])


def test_a_box_with_a_new_key_reads_what_the_old_one_sealed(
    data: Path, tmp_path: Path, nvr: Console
) -> None:
    want = exported(nvr, tmp_path / "a.mp4", "--data", data)
    old = (data / SEAL).read_text()
    assert len(old.split()) == 1
    nvr("key", "rotate", "--data", data)
    new = (data / SEAL).read_text()
    assert len(new.split()) == 1
    assert old != new
    assert exported(nvr, tmp_path / "b.mp4", "--data", data) == want
    (data / SEAL).write_text(old)
    assert "key.foreign" in nvr("export", "--data", data, *SPAN, tmp_path / "c.mp4", status=1)


def test_another_box_takes_a_disk_over_with_its_recovery_key(
    data: Path, tmp_path: Path, nvr: Console
) -> None:
    want = exported(nvr, tmp_path / "a.mp4", "--data", data)
    words = recovery_key(nvr("key", "recovery", "--data", data))
    other = tmp_path / "other"
    other.mkdir()
    shutil.move(data / "ring", other / "ring")
    shutil.copy(data / "nvr.toml", other)
    record(other, seal=False, parts=())
    said = nvr("export", "--data", other, *SPAN, tmp_path / "b.mp4", status=1)
    assert "key.foreign" in said
    typo = words[:-1] + ("1" if words.endswith("0") else "0")
    wrong = nvr("key", "adopt", "--data", other, typed=typo, status=1)
    assert "key.mistyped" in wrong
    said = nvr("key", "adopt", "--data", other, typed=words)
    assert "all of the archive can be played here" in said
    assert exported(nvr, tmp_path / "c.mp4", "--data", other) == want


def test_a_recovery_key_of_something_else_is_told(data: Path, tmp_path: Path, nvr: Console) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    shutil.copy(data / "nvr.toml", stranger)
    record(stranger)
    words = recovery_key(nvr("key", "recovery", "--data", stranger))
    shutil.rmtree(stranger / "ring")
    shutil.move(data / "ring", stranger / "ring")
    assert "key.wrong" in nvr("key", "adopt", "--data", stranger, typed=words, status=1)


def test_what_is_destroyed_is_noted_audited_and_kept_from_locks(
    data: Path, tmp_path: Path, nvr: Console
) -> None:
    here = ("--data", data)
    assert "nothing was destroyed" in nvr("key", "destroy", *here, *DAYS, status=1)
    made = nvr("lock", "add", *here, *SPAN[:2], "--from", "2025-06-15T15:00Z", "--to",
               "2025-06-15T16:00Z", "--why", "theft")  # fmt: skip
    assert "lock 1" in made
    assert "key.held" in nvr("key", "destroy", *here, *DAYS, "--yes", status=1)
    nvr("lock", "remove", 1, *here)
    assert "destroyed 1 keys" in nvr("key", "destroy", *here, *DAYS, "--yes")
    assert "key.nothing" in nvr("key", "destroy", *here, *DAYS, "--yes", status=1)
    said = nvr("key", "show", *here)
    assert f"gate/main {DAY}: request 114" in said
    assert "not signed" not in said
    audit = Audit(data / "state.db", SystemClock(), "box")
    rows = [row.entry for row in audit.rows()[0] if row.entry.action == "console key destroy"]
    audit.close()
    assert [row.reason for row in rows] == [f"gate {DAY} to {DAY}: request 114"]
    record(data)
    assert exported(nvr, tmp_path / "b.mp4", *here), "what comes after can be seen"


def test_a_passphrase_locks_what_is_there_and_not_what_comes(
    data: Path, tmp_path: Path, nvr: Console
) -> None:
    short = nvr("key", "passphrase", "--data", data, typed="short\n", status=1)
    assert "key.passphrase" in short
    assert "at each start" in nvr("key", "passphrase", "--data", data, typed="correct horse\n")
    assert "under a passphrase" in nvr("key", "show", "--data", data)
    assert "key.locked" in nvr("export", "--data", data, *SPAN, tmp_path / "b.mp4", status=1)
    assert "key.locked" in nvr("key", "rotate", "--data", data, status=1)
    record(data)
    keyring = Keyring(data, make=True)
    assert keyring.locked
    with pytest.raises(Rejected, match=r"key\.passphrase"):
        keyring.unlock("wrong horse")
    keyring.unlock("correct horse")
    assert keyring.publics.box == root.public_of(keyring.privates[0])
    keyring.add_box_key()
    keyring.drop_old()
    again = Keyring(data, make=False)
    again.unlock("correct horse")
    assert again.privates == keyring.privates, "a new key is locked too"
    again.set_passphrase("")
    assert not Keyring(data, make=False).locked


async def test_a_locked_box_plays_what_it_records_and_the_rest_once_unlocked(data: Path) -> None:
    """Through the desk that the page uses, over a recording that goes on."""
    keyring = Keyring(data, make=True)
    keyring.set_passphrase("correct horse")
    locked = Keyring(data, make=True)
    recording = Recording(
        data / "ring", SystemClock(), size_bytes=40 << 20, sealing=locked.sealing(seal=True)
    )
    desk = KeyDesk(locked, lambda **_: [recording.store], SystemClock(), seals=True)
    later = [replace(part, wall_us=part.wall_us + 3_600_000_000, run=2) for part in PARTS]
    recording.start()
    recording.submit(later)
    archive = Archive(recording.store)
    until_s = time.monotonic() + 10
    while archive.recorded_until_us("gate/main") < later[-1].wall_us:
        assert time.monotonic() < until_s
        await asyncio.sleep(0.05)
    assert desk.state().locked
    assert archive.gop("gate/main", later[0].wall_us) is not None
    with pytest.raises(Unavailable, match=r"key\.locked"):
        archive.gop("gate/main", PARTS[0].wall_us)
    with pytest.raises(Rejected):
        desk.unlock("wrong horse")
    desk.unlock("correct horse")
    assert not desk.state().locked
    assert archive.gop("gate/main", PARTS[0].wall_us) is not None
    recording.stop("somebody")


def test_a_box_that_stops_sealing_still_plays_what_it_sealed(
    data: Path, tmp_path: Path, nvr: Console
) -> None:
    record(data, seal=False)
    raw = b"".join(path.read_bytes() for path in (data / "ring").glob("block-*"))
    assert bytes(PARTS[0].mdat[40:72]) in raw, "the second time it is not sealed"
    out = exported(nvr, tmp_path / "a.mp4", "--data", data)
    there = sum(bytes(part.mdat).count(bytes(PARTS[3].mdat[40:72])) for part in PARTS)
    assert out.count(bytes(PARTS[3].mdat[40:72])) == 2 * there, "sealed, and not"


def test_keys_that_others_can_read_are_not_used(data: Path, nvr: Console) -> None:
    (data / SEAL).chmod(0o644)
    assert "chmod 600" in nvr("key", "show", "--data", data, status=1)
