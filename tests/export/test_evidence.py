"""What is in an evidence export, on plain and sealed volumes, with holes, and beside a recorder."""

import io
import json
import random
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest

from nvr.app.keyring import Keyring
from nvr.auth.audit import Audit, Entry
from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import NvrError
from nvr.cli.main import main
from nvr.export import verify
from nvr.export.evidence import Asked, evidence
from nvr.hal.linux_disk import LinuxDisk
from nvr.media.ports import Operator
from nvr.playback.query import Archive
from nvr.record import block
from nvr.record.recording import open_directory
from nvr.record.recover import open_reading, open_store
from nvr.record.seal import Sealer
from nvr.record.store import Store
from nvr.record.writer import Committer
from nvr.seal.sign import Signer
from tests.export import made
from tests.export.made import GATE, SIGNER, YARD, W
from tests.record import synthetic
from tests.record.test_sealed import opener


def exported(store: Store, asked: Asked = made.ASKED, **more: object) -> zipfile.ZipFile:
    pieces = evidence(Archive(store), asked, made.maker(**more))
    return zipfile.ZipFile(io.BytesIO(b"".join(piece for piece, _ in pieces)))


def checked(archive: zipfile.ZipFile, directory: Path) -> verify.Report:
    path = directory / "checked.zip"
    assert isinstance(archive.fp, io.BytesIO)
    path.write_bytes(archive.fp.getvalue())
    return verify.check(str(path))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = made.recorded(tmp_path / "ring", 60)
    yield store
    store.disk.close()


def test_the_parts_are_those_on_the_disk_and_the_copy_shows_them(
    store: Store, tmp_path: Path
) -> None:
    asked = Asked((GATE, YARD), W + 3_200_000, W + 15_000_000, "admin")
    archive = exported(store, asked)
    assert archive.testzip() is None
    assert all(one.compress_type == zipfile.ZIP_STORED for one in archive.infolist())
    parts = archive.read(made.PARTS)
    row = store.catalog.rows(GATE)[0]
    on_disk = store.disk.pread(block.name(row.head.block), row.head.block_bytes, 0)
    for part in made.cut(parts).parts:
        assert part in on_disk
    manifest = json.loads(archive.read("manifest.json"))
    stretch = manifest["streams"][0]["stretches"][0]
    assert stretch["from_us"] == W + 3_000_000, "from the key frame before"
    assert W + 15_000_000 <= stretch["to_us"] < W + 15_500_000
    assert manifest["asked"]["by"] == "admin"
    assert manifest["streams"][0]["gaps"] == []
    for name in ("video/gate-main.mp4", made.PARTS):
        with av.open(io.BytesIO(archive.read(name))) as container:
            frames = sum(1 for _ in container.decode(video=0))
        assert frames == 25 * 12 or (name == made.PARTS and frames == 25 * 12 + 12), name
    assert checked(archive, tmp_path).status == verify.WHOLE


def test_it_is_made_piece_by_piece_and_says_how_far_it_is(store: Store) -> None:
    pieces = list(evidence(Archive(store), made.ASKED, made.maker()))
    shares = [share for _, share in pieces]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert max(len(piece) for piece, _ in pieces) < 1 << 20


def test_nothing_recorded_is_said_before_the_first_byte(store: Store) -> None:
    with pytest.raises(NvrError, match=r"export\.nothing"):
        next(evidence(Archive(store), Asked((GATE,), 1, 2, "x"), made.maker()))


def test_a_hole_is_two_stretches_and_named(tmp_path: Path) -> None:
    """What was overwritten between two locked stretches is missing, and is not an alteration."""
    store = made.recorded(tmp_path / "ring", 150)
    rows = store.catalog.rows(GATE)
    assert len(rows) >= 3
    store.catalog.remove(rows[1].head.block)
    archive = exported(store, Asked((GATE,), 0, 1 << 62, "admin"))
    manifest = json.loads(archive.read("manifest.json"))
    one, two = manifest["streams"][0]["stretches"]
    assert one["last_sequence"] + 1 < two["first_sequence"]
    assert [gap["cause"] for gap in manifest["streams"][0]["gaps"]][:1] == ["gone"]
    report = checked(archive, tmp_path)
    assert report.findings == []
    assert "were not there" in report.notes[0]
    store.disk.close()


def test_a_part_damaged_on_the_disk_is_told_from_one_altered_later(
    store: Store, tmp_path: Path
) -> None:
    row = store.catalog.rows(GATE)[0]
    entry = store.entries(row)[20]
    path = tmp_path / "ring" / block.name(row.head.block)
    with path.open("r+b") as file:
        file.seek(entry.offset + 2000)
        file.write(b"\xee" * 16)
    archive = exported(store)
    sequence = json.loads(archive.read("manifest.json"))["streams"][0]["damaged"]
    assert sequence == [20]
    report = checked(archive, tmp_path)
    assert (report.status, report.findings[0].sequence) == (verify.FOUND, 20)
    assert "part 20 was damaged on the disk before" in " ".join(report.notes)


def test_codecs_that_change_make_another_file_of_one_chain(tmp_path: Path) -> None:
    store = open_store(
        LinuxDisk(tmp_path / "r"), FakeClock(), random.Random(1), size_bytes=48 << 20
    )
    committer = Committer(store, sealer=Sealer(None, SIGNER, store.identity.ring_id.bytes))
    before = synthetic.camera(GATE, width=160)
    after = synthetic.camera(GATE, run=2, wall_us=W + 10_000_000, start_90k=1_800_000)
    for camera in (before, after):
        for _ in range(20):
            committer.submit([next(camera)])
            store.clock.advance(0.5)
            assert committer.commit()
    archive = exported(store, Asked((GATE,), 0, 1 << 62, "admin"))
    names = set(archive.namelist())
    assert {"parts/gate-main-1.mp4", "parts/gate-main-2.mp4"} <= names
    assert {"video/gate-main.mp4", "video/gate-main-2.mp4"} <= names
    report = checked(archive, tmp_path)
    assert (report.status, report.notes) == (verify.WHOLE, [])
    store.disk.close()


def test_a_sealed_volume_proves_itself_without_its_keys(tmp_path: Path) -> None:
    store = open_store(
        LinuxDisk(tmp_path / "r"), FakeClock(), random.Random(1), size_bytes=48 << 20, keys=opener()
    )
    committer = Committer(store, sealer=Sealer(store.keys, SIGNER, store.identity.ring_id.bytes))
    camera = synthetic.camera(GATE)
    for _ in range(40):
        committer.submit([next(camera)])
        store.clock.advance(0.5)
        assert committer.commit()
    asked = Asked((GATE,), 0, W + 9_000_000, "admin")
    with_key = exported(store, asked)
    assert "video/gate-main.mp4" in with_key.namelist()
    assert checked(with_key, tmp_path).status == verify.WHOLE
    store.disk.close()
    disk = LinuxDisk(tmp_path / "r", read_only=True)
    archive = exported(open_reading(disk, FakeClock()), asked)
    entry = json.loads(archive.read("manifest.json"))["streams"][0]
    assert (entry["sealed"], entry["copies"], entry["copy_missing"]) == (True, [], "key.none")
    assert checked(archive, tmp_path).status == verify.WHOLE
    changed = bytearray(archive.read(made.PARTS))
    changed[made.cut(bytes(changed)).init.__len__() + 700] ^= 1
    files = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "x.zip").write_bytes(made.packed({**files, made.PARTS: bytes(changed)}))
    assert verify.check(str(tmp_path / "x.zip")).findings[0].kind == "altered"
    disk.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with keys, a log and a minute of a camera that moved."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "nvr.toml").write_text('schema = 1\n[volume]\npath = "ring"\n')
    signer = Keyring(data, make=True).signer
    store = made.recorded(data / "ring", 90, signer)
    store.disk.close()

    audit = Audit(data / "state.db", FakeClock(W + 10_000_000), hardware_no="box")
    who = Operator("wang", "operator", "page/7")
    audit.record(Entry("event", "http GET /api/camera/{name}/gop", who="li", camera="yard"))
    audit.control("move", who, "gate", "pan left")
    audit.record(Entry("event", "http GET /api/camera/{name}/gop", who="li", camera="gate"))
    audit.close()
    return data


def at(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat()


def test_the_console_makes_evidence_and_checks_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "case.zip"
    span = ("--from", at(W + 2_000_000), "--to", at(W + 15_000_000))
    words = ["export", "--data", str(data), "--evidence", "--camera", "gate", *span, str(path)]
    assert main(words) == 0
    assert str(path) in capsys.readouterr().out
    archive = zipfile.ZipFile(path)
    rows = [json.loads(line) for line in archive.read("audit.jsonl").splitlines()]
    assert [(row["seq"], row["who"]) for row in rows] == [(2, "wang"), (3, "li")]
    assert rows[1]["before"] == rows[0]["hash"]
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["audit"] == {"rows": 2, "scope": "all"}
    assert "at the console" in manifest["asked"]["by"]
    assert main(["verify", str(path)]) == verify.WHOLE
    out = capsys.readouterr().out
    fingerprint = manifest["key"]["fingerprint"]
    assert "WHOLE" in out
    assert fingerprint in out
    assert main(["verify", str(path), "--key", fingerprint]) == 0
    other = tmp_path / "sign.pub"
    other.write_text("A" * 43 + "=")
    assert main(["verify", str(path), "--key", str(other)]) == verify.FOUND
    assert "foreign key" in capsys.readouterr().out
    assert main(words) == 1
    assert "export.exists" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "none.zip")]) == verify.UNREADABLE


def test_a_row_of_the_log_that_was_changed_is_named(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "case.zip"
    span = ("--from", at(W + 2_000_000), "--to", at(W + 15_000_000))
    assert (
        main(["export", "--data", str(data), "--evidence", "--camera", "gate", *span, str(path)])
        == 0
    )
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["audit.jsonl"] = files["audit.jsonl"].replace(b"wang", b"zhao")
    path.write_bytes(made.packed(made.forged(files)))
    report = verify.check(str(path))
    assert [(one.kind, one.file) for one in report.findings] == [("altered", "audit.jsonl")]
    assert "row 2" in report.findings[0].text


def test_the_disk_of_another_box_is_evidence_too_and_says_what_it_lacks(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "case.zip"
    words = ["export", "--volume", str(data / "ring"), "--camera", "gate"]
    assert main([*words, "--from", at(W), "--to", at(W + 15_000_000), str(path)]) == 0
    names = zipfile.ZipFile(path).namelist()
    assert not {"audit.jsonl", "sign.pub", "manifest.sig"} & set(names)
    assert main(["verify", str(path)]) == verify.UNSIGNED
    assert main(["verify", str(path), "--key", str(data / "sign.pub")]) == verify.WHOLE
    other = tmp_path / "other.pub"
    other.write_text(made.base64.b64encode(Signer(bytes([9]) * 32).public).decode())
    capsys.readouterr()
    assert main(["verify", str(path), "--key", str(other)]) == verify.FOUND
    assert "foreign key" in capsys.readouterr().out


def test_several_cameras_as_mp4_are_a_file_each(data: Path, tmp_path: Path) -> None:
    span = ("--from", at(W), "--to", at(W + 9_000_000))
    cameras = ("--camera", "gate", "--camera", "yard")
    assert main(["export", "--data", str(data), *cameras, *span, str(tmp_path / "a.mp4")]) == 0
    for name in ("a-gate.mp4", "a-yard.mp4"):
        with av.open(str(tmp_path / name)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 225
        assert json.loads((tmp_path / f"{name}.json").read_text())["files"][0]["name"] == name


def test_evidence_beside_a_recorder_ends_at_what_is_durable(tmp_path: Path) -> None:
    store = made.recorded(tmp_path / "ring", 30)
    disk = open_directory(tmp_path / "ring", read_only=True)
    archive = exported(open_reading(disk, SystemClock()), Asked((GATE,), 0, 1 << 62, "x"))
    report = checked(archive, tmp_path)
    assert (report.status, report.streams[0].parts) == (verify.WHOLE, 30)
    disk.close()
    store.disk.close()
