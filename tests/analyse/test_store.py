"""What happened is kept, bounded, and a disk that refuses stops nobody."""

import sqlite3

import pytest

from nvr.analyse import store as module
from nvr.analyse.store import Store
from nvr.base.errors import Damaged

T, H = 1_700_000_000_000_000, 3_600_000_000
JPEG = b"\xff\xd8" + bytes(1000)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "event.db", lambda _: 10 * H)
    yield store
    store.close()


def test_what_begins_goes_on_until_it_ends(store):
    store.begin("gate", "motion", "门", T, 5, JPEG)
    (one,) = store.open("gate")
    assert (one.zone, one.to_us, one.picture) == ("门", None, True)
    assert store.between("gate", T + 100, T + 200) == [one]
    store.better("gate", "motion", "门", 20, JPEG + b"!")
    assert store.picture("gate", one.number) == (JPEG + b"!", T)
    store.end("gate", "motion", "门", T + 50, 30)
    assert store.open("gate") == ()
    (one,) = store.between("gate", T - 1, T + 1)
    assert (one.to_us, one.strength) == (T + 50, 30)
    assert store.between("gate", T + 100, T + 200) == []
    assert store.between("yard", T - 1, T + 1) == []
    assert store.picture("yard", one.number) is None


def test_the_newest_are_given_in_order(store):
    for n in range(10):
        store.begin("gate", "motion" if n % 2 else "dark", "", T + n)
        store.end("gate", "motion" if n % 2 else "dark", "", T + n)
    assert [one.from_us - T for one in store.between("gate", T, T + 99, most=3)] == [7, 8, 9]
    assert [one.from_us - T for one in store.between("gate", T, T + 99, ("dark",))] == [
        0,
        2,
        4,
        6,
        8,
    ]


def test_old_rows_and_many_pictures_go(store, monkeypatch):
    monkeypatch.setattr(module, "MOST_PICTURE_BYTES", 3 * len(JPEG))
    for n in range(8):
        store.begin("gate", "motion", "", T + n * H, 1, JPEG)
        store.end("gate", "motion", "", T + n * H + 1)
    store.trim(T + 12 * H)
    left = store.between("gate", 0, T + 99 * H)
    assert [(one.from_us - T) // H for one in left] == [2, 3, 4, 5, 6, 7]
    assert [one.picture for one in left] == [False] * 3 + [True] * 3
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    store.trim(T + 12 * H)
    assert len(store.between("gate", 0, T + 99 * H)) == 2


def test_what_a_power_cut_left_open_is_ended_and_a_damaged_file_is_begun_anew(tmp_path):
    path = tmp_path / "event.db"
    store = Store(path, lambda _: H)
    store.begin("gate", "covered", "", T)
    store.close()
    store = Store(path, lambda _: H)
    assert store.open("gate") == ()
    assert [one.to_us for one in store.between("gate", 0, T + 1)] == [T]
    store.close()
    path.write_bytes(b"not a database at all" * 1000)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    store = Store(path, lambda _: H)
    assert store.between("gate", 0, T + 1) == []
    store.begin("gate", "covered", "", T)
    assert len(store.open("gate")) == 1
    store.close()


def test_a_disk_that_refuses_costs_the_row(store, tmp_path):
    with sqlite3.connect(tmp_path / "event.db") as other:
        other.execute("DROP TABLE happening")
    other.close()
    assert store.begin("gate", "motion", "", T) is None
    assert store.end("gate", "motion", "", T) is None
    assert store.between("gate", 0, T + 1) == []
    assert store.picture("gate", 1) is None
    store.trim(T)


def test_a_file_of_an_older_recorder_is_taken_on(tmp_path):
    path = tmp_path / "event.db"
    db = sqlite3.connect(path)
    db.executescript(module._SCHEMA.replace(", source TEXT NOT NULL DEFAULT ''", ""))
    db.execute(
        "INSERT INTO happening (camera, kind, zone, from_us, to_us, strength)"
        " VALUES ('gate', 'motion', '', 5, 6, 1)"
    )
    db.commit()
    db.close()
    with pytest.raises(Damaged, match=r"event\.unreadable"):
        module.read(path, [], 0, T, [], 9)
    store = Store(path, lambda _: H)
    assert [one.source for one in store.between("gate", 0, T)] == [""]
    store.begin("gate", "tamper", "", 7, source="camera")
    assert [one.source for one in module.read(path, ["gate"], 0, T, [], 9)] == ["", "camera"]
    assert module.read(path, ["yard"], 0, T, [], 9) == []
    assert [one.kind for one in module.read(path, [], 0, T, ["tamper"], 9)] == ["tamper"]
    store.close()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(Damaged, match=r"event\.unreadable"):
        module.read(path, [], 0, T, [], 9)
