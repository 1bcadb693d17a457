"""Whatever is done to an evidence export is found, and the first part concerned is named."""

import ast
import base64
import hashlib
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvr.export import chain, curve, single, verify
from nvr.export.verify import FOUND, UNSIGNED, WHOLE, Report
from nvr.seal import root, sign
from tests.export import made
from tests.export.made import GATE, OTHER, PARTS, SIGNER, Files, chained, cut, forged, head

LOOK = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HEADS = "parts/gate-main-1.heads"


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., Report]:
    def check(files: Files, trusted: str | None = None) -> Report:
        path = tmp_path / "evidence.zip"
        path.write_bytes(made.packed(files))
        return verify.check(str(path), trusted)

    return check


def parts() -> list[bytes]:
    return cut(made.whole()[PARTS]).parts


def put(changed: list[bytes]) -> Files:
    files = dict(made.whole())
    files[PARTS] = cut(files[PARTS]).init + b"".join(changed)
    return files


def first(report: Report) -> tuple[str, str, int]:
    assert report.status == FOUND, list(verify.told(report))
    found = report.findings[0]
    return found.kind, found.stream, found.sequence


def near(report: Report, part: bytes) -> bool:
    """Whether the time named is that of the part."""
    return abs(report.findings[0].wall_us - head(part).wall_us) <= 500_000


COUNT = len(parts())
anywhere = st.integers(0, COUNT - 1)


def test_what_was_not_touched_is_whole(checked: Callable[..., Report]) -> None:
    report = checked(made.whole())
    assert (report.status, report.findings, report.notes) == (WHOLE, [], [])
    assert [(one.stream, one.parts, one.unsigned) for one in report.streams] == [
        (GATE, COUNT, 0), ("yard/main", COUNT, 0),
    ]  # fmt: skip
    assert report.streams[0].signatures >= 3
    assert report.sealed
    unsigned = {k: v for k, v in made.whole().items() if k != "manifest.sig"}
    report = checked(unsigned)
    assert report.status == WHOLE, "the chain is signed up to the end"
    assert "not signed" in report.notes[0]


@LOOK
@given(n=anywhere, data=st.data(), forge=st.booleans())
def test_a_bit_flip_is_found_in_its_part(
    checked: Callable[..., Report], n: int, data: st.DataObject, forge: bool
) -> None:
    changed = parts()
    part = changed[n]
    at = data.draw(st.integers(0, 511 + head(part).stored_bytes))
    raw = bytearray(part)
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    changed[n] = bytes(raw)
    files = put(changed)
    report = checked(unsigned_manifest(files) if forge else files)
    assert first(report) == ("altered", GATE, head(part).sequence)
    assert near(report, part)


def unsigned_manifest(files: Files) -> Files:
    """What somebody does who knows of the manifest, but not of the chain."""
    files = dict(files)
    manifest = json.loads(files["manifest.json"])
    for name, one in manifest["files"].items():
        one["sha256"] = hashlib.sha256(files[name]).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    del files["manifest.sig"]
    return files


@LOOK
@given(n=anywhere, count=st.integers(1, 20), forge=st.booleans())
def test_removed_parts_are_found(
    checked: Callable[..., Report], n: int, count: int, forge: bool
) -> None:
    changed = parts()
    gone = changed[n : n + count]
    if len(gone) == COUNT:
        return
    del changed[n : n + count]
    files = put(changed)
    report = checked(unsigned_manifest(files) if forge else files)
    kind = "removed" if n + len(gone) < COUNT else "cut off"
    assert first(report) == (kind, GATE, head(gone[0]).sequence)
    assert near(report, gone[0]) or n == 0
    assert f"{len(gone)} part" in report.findings[0].text


@LOOK
@given(n=st.integers(1, COUNT - 2), count=st.integers(1, 5))
def test_removed_parts_are_found_though_the_manifest_was_made_to_fit(
    checked: Callable[..., Report], n: int, count: int
) -> None:
    changed = parts()
    gone = changed[n : min(n + count, COUNT - 1)]
    del changed[n : n + len(gone)]
    assert first(checked(forged(put(changed)))) == ("removed", GATE, head(gone[0]).sequence)


@LOOK
@given(pair=st.lists(anywhere, min_size=2, max_size=2, unique=True), forge=st.booleans())
def test_swapped_parts_are_found(
    checked: Callable[..., Report], pair: list[int], forge: bool
) -> None:
    one, two = sorted(pair)
    changed = parts()
    changed[one], changed[two] = changed[two], changed[one]
    files = put(changed)
    report = checked(unsigned_manifest(files) if forge else files)
    assert first(report) == ("swapped", GATE, head(parts()[one]).sequence)
    other = head(parts()[two]).sequence
    assert any(f"part {other}" in report.line(found) for found in report.findings)


@LOOK
@given(pair=st.lists(anywhere, min_size=2, max_size=2, unique=True))
def test_swapped_pictures_are_found(checked: Callable[..., Report], pair: list[int]) -> None:
    one, two = pair
    changed = parts()
    if head(changed[one]).stored_sha256 == head(changed[two]).stored_sha256:
        return
    if len(changed[one]) != len(changed[two]):
        return
    changed[one] = changed[one][:512] + changed[two][512:]
    report = checked(put(changed))
    assert first(report)[1:] == (GATE, head(parts()[one]).sequence)


@LOOK
@given(n=anywhere, after=anywhere)
def test_a_part_put_in_twice_is_found(checked: Callable[..., Report], n: int, after: int) -> None:
    changed = parts()
    changed.insert(after, changed[n])
    report = checked(forged(put(changed)))
    assert report.status == FOUND
    assert head(parts()[n]).sequence in {found.sequence for found in report.findings} or any(
        found.kind == "swapped" for found in report.findings
    )


@LOOK
@given(n=anywhere)
def test_a_part_of_another_camera_is_found(checked: Callable[..., Report], n: int) -> None:
    changed = parts()
    changed[n] = cut(made.whole()["parts/yard-main-1.mp4"]).parts[n]
    report = checked(put(changed))
    assert first(report) == ("swapped", GATE, head(parts()[n]).sequence)
    assert "yard/main" in report.findings[0].text
    assert near(report, parts()[n]) or n == 0


@LOOK
@given(n=anywhere, data=st.data())
def test_a_file_of_parts_cut_off_is_found(
    checked: Callable[..., Report], n: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(parts()[n]) - 1))
    files = dict(made.whole())
    whole = cut(files[PARTS])
    files[PARTS] = whole.init + b"".join(whole.parts[:n]) + whole.parts[n][:at]
    report = checked(files)
    assert first(report) == ("cut off", GATE, head(whole.parts[n]).sequence)
    assert near(report, whole.parts[n]) or n == 0


@LOOK
@given(
    n=st.integers(1, COUNT - 2),
    by_us=st.integers(1_000_000, 10**13).flatmap(lambda us: st.sampled_from([us, -us])),
)
def test_an_edited_time_is_found(checked: Callable[..., Report], n: int, by_us: int) -> None:
    changed = parts()
    changed[n] = made.with_time(changed[n], by_us)
    report = checked(put(changed))
    assert first(report) == ("time edited", GATE, head(parts()[n]).sequence)
    assert f"{by_us / 1e6:+.3f} s" in report.findings[0].text


@LOOK
@given(n=anywhere, offset=st.integers(24, 503), forge=st.booleans())
def test_any_edit_of_a_header_is_found(
    checked: Callable[..., Report], n: int, offset: int, forge: bool
) -> None:
    """With its checksum put right: only the chain can tell."""
    changed = parts()
    raw = bytearray(changed[n])
    raw[offset] ^= 1
    changed[n] = made.with_crc(raw)
    files = put(changed)
    report = checked(unsigned_manifest(files) if forge else files)
    assert report.status == FOUND
    named = [found.sequence for found in report.findings if found.stream == GATE]
    wanted = head(parts()[n]).sequence
    # Lengths, names and sequence numbers make it unreadable or another part; all else is named.
    assert any(abs(sequence - wanted) <= 1 for sequence in named), report.findings


@LOOK
@given(n=st.integers(1, COUNT - 2))
def test_a_chain_made_anew_is_found_by_the_signatures(
    checked: Callable[..., Report], n: int
) -> None:
    files = dict(made.whole())
    heads = [files[HEADS][at : at + 512] for at in range(0, len(files[HEADS]), 512)]
    changed = parts()
    changed[n] = made.with_time(changed[n], 3_600_000_000)
    changed = chained([*changed, *heads], n + 1)
    files = put(changed[:COUNT])
    files[HEADS] = b"".join(changed[COUNT:])
    report = checked(forged(files))
    assert report.status == FOUND
    found = report.findings[0]
    assert (found.kind, found.stream) == ("altered", GATE) or found.kind == "foreign key"
    signed = [head(one).signed for one in changed if any(head(one).signature)]
    wanted = head(parts()[n]).sequence
    if found.kind == "altered":
        until = next(one for one in signed if one >= wanted)
        assert found.sequence <= wanted <= until
        assert f"{found.sequence} to {until}" in found.text


def test_parts_after_the_last_signature_are_said_to_be_unsigned(
    checked: Callable[..., Report],
) -> None:
    """Without the headers that follow, and with a manifest by nobody, the end proves nothing."""
    files = dict(made.whole())
    del files[HEADS]
    changed = parts()
    last = max(n for n, part in enumerate(changed) if any(head(part).signature))
    changed[last + 1] = made.with_time(changed[last + 1], 60_000_000)
    files[PARTS] = cut(files[PARTS]).init + b"".join(chained(changed, last + 2))
    report = checked(forged(files))
    assert report.status == UNSIGNED
    assert report.streams[0].unsigned == COUNT - last
    assert f"last {COUNT - last} parts" in " ".join(report.notes)
    stays_signed = dict(files)
    stays_signed["manifest.json"] = made.whole()["manifest.json"]
    assert checked(stays_signed).status == FOUND, "the manifest names the last part"


def test_a_foreign_key_is_named(checked: Callable[..., Report], tmp_path: Path) -> None:
    files = dict(made.whole())
    for name, heads in ((PARTS, HEADS), ("parts/yard-main-1.mp4", "parts/yard-main-1.heads")):
        found = cut(files[name])
        follow = [files[heads][at : at + 512] for at in range(0, len(files[heads]), 512)]
        anew = chained([*found.parts, *follow], 0, OTHER)
        count = len(found.parts)
        files[name], files[heads] = found.init + b"".join(anew[:count]), b"".join(anew[count:])
    only_signed = forged(files)
    report = checked(only_signed)
    assert first(report)[0] == "foreign key"
    assert root.fingerprint(SIGNER.public) in report.findings[0].text
    files["sign.pub"] = base64.b64encode(OTHER.public) + b"\n"
    everything = forged(files, OTHER)
    mine = root.fingerprint(SIGNER.public)
    assert checked(everything).status == WHOLE, "nobody can tell a box from another without a key"
    report = checked(everything, mine)
    assert first(report)[0] == "foreign key"
    assert root.fingerprint(OTHER.public) in report.findings[0].text
    key = tmp_path / "sign.pub"
    key.write_bytes(base64.b64encode(SIGNER.public))
    assert first(checked(everything, str(key)))[0] == "foreign key"
    for trusted in (mine, mine.replace(" ", ""), str(key)):
        assert checked(made.whole(), trusted).status == WHOLE
    assert first(checked(made.whole(), "c5b9"))[0] == "foreign key", "too short to mean anything"


def test_without_any_signature_nothing_is_claimed(checked: Callable[..., Report]) -> None:
    files = dict(made.whole())
    for name in [name for name in files if name.endswith(".heads")]:
        del files[name]
    for name in [name for name in files if name.startswith("parts/")]:
        found = cut(files[name])
        bare = [made.with_crc(bytearray(p[:384] + bytes(72) + p[456:])) for p in found.parts]
        files[name] = found.init + b"".join(chained(bare, 0))
    del files["sign.pub"]
    report = checked(forged(files))
    assert report.status == UNSIGNED
    assert "not signed" in list(verify.told(report))[-1]


@LOOK
@given(data=st.data())
def test_no_byte_of_any_file_can_be_changed(
    checked: Callable[..., Report], data: st.DataObject
) -> None:
    files = dict(made.whole())
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name]) - 1))
    raw = bytearray(files[name])
    raw[at] ^= 1 << data.draw(st.integers(0, 6))
    files[name] = bytes(raw)
    report = checked(files)
    assert report.status == FOUND, (name, at)


@pytest.mark.parametrize("name", ["manifest.json", "video/gate-main.mp4", PARTS, "README.txt"])
def test_a_missing_file_is_named(checked: Callable[..., Report], name: str) -> None:
    files = dict(made.whole())
    del files[name]
    report = checked(files)
    assert report.status == FOUND
    assert any(name in report.line(one) or one.stream == GATE for one in report.findings)


@LOOK
@given(share=st.floats(0.01, 0.999))
def test_a_zip_cut_off_says_how_far_it_is_whole(tmp_path: Path, share: float) -> None:
    data = made.packed(made.whole())
    path = tmp_path / "cut.zip"
    path.write_bytes(data[: int(len(data) * share)])
    report = verify.check(str(path))
    assert report.status == FOUND
    assert any(found.kind == "cut off" for found in report.findings)
    left = path.read_bytes()
    for stream in {found.stream for found in report.findings if found.sequence >= 0}:
        named = next(f.sequence for f in report.findings if f.stream == stream)
        have = [part for name in (PARTS, "parts/yard-main-1.mp4")
                for part in cut(made.whole()[name]).parts
                if head(part).stream == stream and part in left]  # fmt: skip
        assert named == head(have[-1]).sequence + 1 if have else named


def test_a_folder_is_checked_like_the_zip(tmp_path: Path) -> None:
    path = tmp_path / "evidence.zip"
    path.write_bytes(made.packed(made.whole()))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "x")
    assert verify.check(str(tmp_path / "x")).status == WHOLE
    with (tmp_path / "x" / PARTS).open("r+b") as file:
        file.seek(100_000)
        file.write(b"\xee" * 10)
    assert first(verify.check(str(tmp_path / "x")))[0] == "altered"


def test_the_file_in_the_export_is_this_code_and_needs_nothing(tmp_path: Path) -> None:
    files = made.whole()
    assert files["verify.py"] == single.source().encode()
    ast.parse(files["verify.py"], feature_version=(3, 8))
    path, script = tmp_path / "evidence.zip", tmp_path / "verify.py"
    script.write_bytes(files["verify.py"])
    for change, status in ((None, WHOLE), (7, FOUND)):
        changed = parts()
        if change:
            changed[change] = made.with_time(changed[change], 5_000_000)
        path.write_bytes(made.packed(put(changed)))
        ran = subprocess.run(
            [sys.executable, "-I", "-S", str(script), str(path), "--json"],
            check=False, capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
        assert ran.returncode == status, ran.stderr
        mine = verify.check(str(path))
        told = json.loads(ran.stdout)
        assert told["findings"] == [one._asdict() for one in mine.findings]
        assert told["key"] == root.fingerprint(SIGNER.public)


NONSENSE = (None, 0, -1, 1 << 70, "x", "", [], {}, [1], {"a": 1}, True, 1.5, "../../etc/passwd")


def meddled(tree: object, rng: random.Random) -> None:
    """Put nonsense somewhere into a JSON value."""
    place = None
    while isinstance(tree, dict | list) and tree and (place is None or rng.random() < 0.8):
        key = rng.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
        place, tree = (tree, key), tree[key]
    if place is not None:
        place[0][place[1]] = rng.choice(NONSENSE)


@settings(LOOK, max_examples=40)
@given(seed=st.integers(0, 1 << 32))
def test_nothing_breaks_the_check(tmp_path: Path, seed: int) -> None:
    """Whatever is in the file: the answer is a report, and never that it is whole."""
    rng = random.Random(seed)
    files = dict(made.whole())
    manifest = json.loads(files["manifest.json"])
    meddled(manifest, rng)
    files["manifest.json"] = json.dumps(manifest).encode()
    files["audit.jsonl"] = rng.choice([b"{}", b"[]", b"\xff", b'{"seq":1}', b'"x"', b"[" * 9999])
    part = bytearray(parts()[5])
    part[120:128] = rng.choice([b"\x7f" + b"\xff" * 7, b"\x80" + bytes(7), bytes(8)])
    files[PARTS] = put([*parts()[:5], made.with_crc(part), *parts()[6:]])[PARTS]
    if rng.random() < 0.5:
        del files["manifest.sig"]
    data = bytearray(made.packed(files))
    for _ in range(rng.choice([0, 0, 30])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path = tmp_path / "any.zip"
    path.write_bytes(data[rng.choice([0, 0, 0, 1000]) :])
    report = verify.check(str(path))
    assert list(verify.told(report))
    assert report.status == FOUND


# What a verifier must not forget: each is planted, and the cases above must notice.


def cases() -> list[tuple[str, Files]]:
    rng = random.Random(3)
    n = COUNT // 2
    late = made.with_time(parts()[n], 10_000_000)
    flipped = bytearray(parts()[n])
    flipped[30_000] ^= 1
    files = dict(made.whole())
    heads = [files[HEADS][at : at + 512] for at in range(0, len(files[HEADS]), 512)]
    anew = chained([*parts()[:n], late, *parts()[n + 1 :], *heads], n + 1)
    rechained = put(anew[:COUNT]) | {HEADS: b"".join(anew[COUNT:])}
    swapped = parts()
    swapped[3], swapped[9] = swapped[9], swapped[3]
    video = bytearray(files["video/gate-main.mp4"])
    video[rng.randrange(len(video))] ^= 1
    header_flip = bytearray(parts()[n])
    header_flip[130] ^= 1
    return [
        ("bit flip", unsigned_manifest(put([*parts()[:n], bytes(flipped), *parts()[n + 1 :]]))),
        ("header", unsigned_manifest(put([*parts()[:n], bytes(header_flip), *parts()[n + 1 :]]))),
        ("removed", forged(put([*parts()[:n], *parts()[n + 1 :]]))),
        ("swapped", unsigned_manifest(put(swapped))),
        ("cut off", unsigned_manifest(put(parts()[:-2]) | {HEADS: b""})),
        ("time", unsigned_manifest(put([*parts()[:n], late, *parts()[n + 1 :]]))),
        ("anew", forged(rechained)),
        ("video", put(parts()) | {"video/gate-main.mp4": bytes(video)}),
        ("manifest", put(parts()) | {
            "manifest.json": files["manifest.json"].replace(b'"admin"', b'"nobody"')
        }),
    ]  # fmt: skip


def missed(checked: Callable[..., Report]) -> list[str]:
    return [name for name, files in cases() if checked(files).status in {WHOLE, UNSIGNED}]


WEAKNESSES: dict[str, tuple[object, str, object, str]] = {
    "links are not compared": (chain.Chain, "_check_link", lambda *_: None, "time"),
    "pictures are not hashed": (chain.Chain, "_check_data", lambda *_: None, "bit flip"),
    "sequences may jump": (
        chain.Chain, "_in_order", lambda self, n, *_: (self.parts[n].sequence + 1, True), "removed",
    ),
    "signatures are believed": (chain, "signed", lambda *_: True, "anew"),
    "the manifest is believed": (verify, "signed", lambda *_: True, "manifest"),
    "files are not compared": (verify, "_check_files", lambda *_: None, "video"),
}  # fmt: skip


def test_nothing_is_missed(checked: Callable[..., Report]) -> None:
    assert missed(checked) == []


@pytest.mark.parametrize("weakness", sorted(WEAKNESSES))
def test_a_weak_verifier_is_caught(
    checked: Callable[..., Report], monkeypatch: pytest.MonkeyPatch, weakness: str
) -> None:
    where, name, planted, case = WEAKNESSES[weakness]
    monkeypatch.setattr(where, name, planted)
    assert case in missed(checked)


@settings(max_examples=30, deadline=None)
@given(message=st.binary(max_size=200), seed=st.binary(min_size=32, max_size=32), data=st.data())
def test_ed25519_agrees_with_the_library(message: bytes, seed: bytes, data: st.DataObject) -> None:
    signer = sign.Signer(seed)
    signature = signer.sign(message)
    assert curve.signed(signer.public, message, signature)
    which = data.draw(st.sampled_from(["public", "message", "signature"]))
    bad = {"public": signer.public, "message": message or b"\0", "signature": signature}
    raw = bytearray(bad[which])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    bad[which] = bytes(raw)
    mine = curve.signed(bad["public"], bad["message"], bad["signature"])
    assert mine == sign.valid(bad["public"], bad["signature"], bad["message"])
    assert not mine


def test_ed25519_refuses_what_rfc_8032_refuses() -> None:
    """RFC 8032 7.1, TEST 3; and S + L, which is the same signature written otherwise."""
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert curve.signed(public, b"\xaf\x82", signature)
    order = 2**252 + 27742317777372353535851937790883648493
    other = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert not curve.signed(public, b"\xaf\x82", signature[:32] + other)
    assert not curve.signed(b"\xff" * 32, b"\xaf\x82", signature)
    assert not curve.signed(public[:31], b"\xaf\x82", signature)


def test_the_verifier_and_the_box_mean_the_same_message() -> None:
    ring, link = bytes(range(16)), bytes(range(32))
    assert curve.head_message(ring, "东门/main", 7, link) == sign.head_message(
        ring, "东门/main", 7, link
    )
    assert curve.fingerprint(SIGNER.public) == root.fingerprint(SIGNER.public)
