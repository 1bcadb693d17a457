import asyncio
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.auth import audit as module
from nvr.auth.audit import Audit, Entry
from nvr.base.clock import FakeClock
from nvr.base.errors import Unavailable

FIELDS = (
    "seq",
    "time_us",
    "category",
    "state",
    "reason",
    "hardware_no",
    "who",
    "source",
    "camera",
    "action",
    "hash",
)


def written(directory: Path, count: int) -> None:
    log = Audit(directory / "state.db", FakeClock(), "box-1")
    for i in range(count):
        log.record(Entry("event", "control move", who="张工", camera="gate", reason=str(i)))
    log.close()


def changed(directory: Path, statement: str, *values) -> module.Bad | None:
    db = sqlite3.connect(directory / "state.db", isolation_level=None)
    db.execute("BEGIN")
    for one in statement.split(";"):
        db.execute(one, values if "?" in one else ())
    db.execute("COMMIT")
    db.close()
    log = Audit(directory / "state.db", FakeClock(), "box-1")
    try:
        return log.verify()
    finally:
        log.close()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.data())
def test_the_first_row_tampered_with_is_named(count, data):
    seq = data.draw(st.integers(1, count))
    kind = data.draw(st.sampled_from(("edit", "drop", "swap", "truncate", "insert")))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        written(directory, count)
        if kind == "edit":
            field = data.draw(st.sampled_from(FIELDS[1:]))
            value = data.draw(
                st.binary(min_size=32, max_size=32)
                if field == "hash"
                else st.integers(0, 1000)
                if field == "time_us"
                else st.text("abc张", min_size=1, max_size=4).map(lambda text: f"new {text}")
            )
            bad = changed(directory, f"UPDATE audit SET {field}=? WHERE seq={seq}", value)
            assert bad is not None
            # A changed hash shows at the row itself.
            assert bad.seq == seq
        elif kind == "drop":
            bad = changed(directory, f"DELETE FROM audit WHERE seq={seq}")
            assert bad is not None
            assert bad.seq == seq
        elif kind == "swap" and count > 1:
            other = seq % count + 1
            bad = changed(
                directory,
                f"UPDATE audit SET seq=-1 WHERE seq={seq};"
                f"UPDATE audit SET seq={seq} WHERE seq={other};"
                f"UPDATE audit SET seq={other} WHERE seq=-1",
            )
            assert bad is not None
            assert bad.seq == min(seq, other)
        elif kind == "truncate":
            bad = changed(directory, f"DELETE FROM audit WHERE seq>={seq}")
            assert bad is not None
            assert bad.seq == seq
        elif kind == "insert":
            bad = changed(
                directory,
                f"INSERT INTO audit SELECT {count + 1}, time_us, category, state, reason,"
                f" hardware_no, who, source, camera, action, hash FROM audit WHERE seq={seq}",
            )
            assert bad is not None
            assert bad.seq == count + 1


def test_a_whole_new_chain_with_an_old_head_is_named(tmp_path):
    written(tmp_path, 3)
    entry = Entry("event", "forged", hardware_no="box-1")
    digest = module.chained(module.GENESIS, 1, 5, entry)
    bad = changed(
        tmp_path,
        "DELETE FROM audit;"
        f"INSERT INTO audit VALUES (1, 5, 'event', 'ok', '', 'box-1', '', '', '', 'forged',"
        f" x'{digest.hex()}');"
        f"UPDATE audit_head SET seq=1, hash=x'{digest.hex()}'",
    )
    assert bad is not None


async def test_rows_are_on_the_disk_after_flush_and_go_on_after_a_restart(tmp_path):
    path = tmp_path / "state.db"
    log = Audit(path, FakeClock(), "box-1")
    log.record(Entry("startup", "box.started"))
    log.record(Entry("event", "control move", who="张工", camera="gate", hardware_no="ptz/1"))
    await log.flush()
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM audit").fetchone() == (2,)
    db.close()
    log.close()
    log = Audit(path, FakeClock(), "box-1")
    log.record(Entry("startup", "box.started"))
    await log.flush()
    rows, bad = log.rows()
    assert [row.seq for row in rows] == [3, 2, 1]
    assert [row.entry.hardware_no for row in rows] == ["box-1", "ptz/1", "box-1"]
    assert bad is None
    rows, bad = log.rows(before=3, limit=1)
    assert [row.seq for row in rows] == [2]
    assert bad is None
    assert log.verify() is None
    log.close()


async def test_a_full_queue_refuses_but_never_a_stop_and_says_what_is_missing(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "MOST_QUEUED", 3)
    monkeypatch.setattr(module, "MOST_QUEUED_STOPS", 1)
    monkeypatch.setattr(module, "RETRY_S", 0.02)
    log = Audit(tmp_path / "state.db", FakeClock(), "box-1")
    blocker = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for i in range(3):
        log.record(Entry("event", "x", reason=str(i)))
    with pytest.raises(Unavailable) as refused:
        log.record(Entry("event", "x"))
    assert refused.value.code == "audit.full"
    with pytest.raises(Unavailable):
        log.check_room()
    for _ in range(3):
        log.record(Entry("event", "control stop"), stop=True)
    await asyncio.sleep(0.05)
    blocker.execute("ROLLBACK")
    blocker.close()
    await log.flush()
    await log.flush()
    rows, bad = log.rows()
    actions = [row.entry.action for row in rows]
    assert actions == ["audit.missing", "control stop", "x", "x", "x"]
    assert rows[0].entry.reason.startswith("2 rows")
    assert bad is None
    log.close()
