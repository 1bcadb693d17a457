"""A camera's signatures from its wire to an export, and what is said of them there."""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import random
import socket
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import Damaged
from nvr.cli.main import main
from nvr.codec.demux import Pictures
from nvr.export import verify, witness
from nvr.export.evidence import Asked, evidence
from nvr.export.mp4 import movie_of
from nvr.hal.linux_disk import LinuxDisk
from nvr.media.ingest import Ingest
from nvr.media.part import Part
from nvr.media.track import RtpTrack, TrackConfig
from nvr.playback.query import Archive
from nvr.record.recover import open_store
from nvr.record.seal import Sealer
from nvr.record.store import Store
from nvr.record.writer import Committer
from nvr.wire import h264, h265, media_signing
from nvr.wire.mp4 import Provenance, begun_us
from nvr.wire.nal import nals
from tests.export import made, signed
from tests.export.signed import VECTORS, codec, units
from tests.media import wire
from tests.media.clip import Clip
from tests.media.clip import Unit as ClipUnit

GATE = "gate/main"
CA = str(VECTORS / "ca.pem")


def on_the_wire(name: str) -> Clip:
    """A vector as the camera that signed it would send it."""
    kind = codec(name)
    module = h264 if kind == "h264" else h265
    wanted = {module.SPS, module.PPS} | ({h265.VPS} if kind == "h265" else set())
    sets = tuple(nal for nal in units(name)[0] if module.nal_type(nal) in wanted)
    record = h264.avcc(sets) if kind == "h264" else h265.hvcc(sets)
    found = tuple(ClipUnit(n * 3600, n % 8 == 0, unit) for n, unit in enumerate(units(name)))
    return Clip(
        RtpTrack("video", kind, 90_000, 96, 0, parameter_sets=sets),
        TrackConfig("video", kind, 90_000, record, 96, 64),
        found,
    )


async def received(clip: Clip) -> list[Part]:
    """What the ingest thread makes of its packets."""
    parts: list[Part] = []
    ingest = Ingest(parts.extend, SystemClock())
    task = asyncio.create_task(ingest.run())
    camera, ours = socket.socketpair()
    ours.setblocking(False)
    try:
        run = ingest.stream(GATE).open_run([clip.track], ours)
        for _, packet in wire.packets(clip, together=True, room=300):
            camera.sendall(wire.frame(0, packet))
        async with asyncio.timeout(20):
            while run.stats().frames < len(clip.units):
                await asyncio.sleep(0.01)
        await run.close()
    finally:
        camera.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return parts


def once_more(parts: list[Part], late_us: int) -> list[Part]:
    """The same pictures after a gap, as if the camera had begun anew."""
    late_90k = late_us * 9 // 100
    found = []
    for part in parts:
        moof = bytearray(part.moof)
        for at in part.tfdt_offsets:
            (ticks,) = struct.unpack_from(">Q", moof, at)
            struct.pack_into(">Q", moof, at, ticks + late_90k)
        found.append(
            replace(
                part, run=part.run + 1, moof=bytes(moof), start_90k=part.start_90k + late_90k,
                wall_us=part.wall_us + late_us,
            )
        )  # fmt: skip
    return found


async def recorded(name: str, directory: Path, again_us: int = 0) -> Store:
    parts = await received(on_the_wire(name))
    first = parts[0]  # they came all at once here, and not in the time that they show
    parts = [
        replace(one, wall_us=first.wall_us + (one.start_90k - first.start_90k) * 100 // 9)
        for one in parts
    ]
    if again_us:
        parts += once_more(parts, again_us)
    store = open_store(
        LinuxDisk(directory), FakeClock(), random.Random(1), size_bytes=32 << 20,
        block_bytes=4 << 20,
    )  # fmt: skip
    sealer = Sealer(None, made.SIGNER, store.identity.ring_id.bytes)
    committer = Committer(store, sealer=sealer)
    for part in parts:
        committer.submit([part])
        store.clock.advance(0.5)
        assert committer.commit()
        store.ring.keep()
    return store


def packed(store: Store, path: Path) -> Path:
    pieces = evidence(Archive(store), Asked((GATE,), 0, 1 << 62, "admin"), made.maker())
    path.write_bytes(b"".join(piece for piece, _ in pieces))
    return path


@pytest.mark.parametrize("name", ["plain.h264", "low.h265", "escaped.h264"])
async def test_every_bit_of_the_signatures_is_in_the_export(name: str, tmp_path: Path) -> None:
    store = await recorded(name, tmp_path / "ring")
    path = packed(store, tmp_path / "case.zip")
    store.disk.close()
    sent = [nal for unit in units(name) for nal in unit if media_signing.read(codec(name), nal)]
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        for file in ("video/gate-main.mp4", "parts/gate-main-1.mp4"):
            with av.open(io.BytesIO(archive.read(file))) as container:
                kept = [
                    nal
                    for packet in container.demux(video=0)
                    for nal in nals(bytes(packet))
                    if media_signing.read(codec(name), nal)
                ]
            assert kept == sent, file
    (found,) = manifest["streams"][0]["camera_signatures"]
    assert (found["file"], found["verdict"], found["covered"]) == (
        "video/gate-main.mp4", "valid", 32,
    )  # fmt: skip
    assert (found["chain"], [one["kind"] for one in found["stretches"]]) == ("unchecked", ["open"])
    tail = found["stretches"][0]
    recorded_us = manifest["streams"][0]["recorded"][0]
    assert recorded_us["from_us"] < tail["from_us"] < tail["to_us"] <= recorded_us["to_us"] + 40_000


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("case")
    store = asyncio.run(recorded("plain.h264", directory / "ring"))
    path = packed(store, directory / "case.zip")
    store.disk.close()
    return path


@pytest.fixture(scope="module")
def movie(case: Path) -> bytes:
    with zipfile.ZipFile(case) as archive:
        return archive.read("video/gate-main.mp4")


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main(["verify", *map(str, arguments)])
    shown = capsys.readouterr()
    return status, shown.out + shown.err


def test_nvr_verify_checks_it_anew(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(capsys, case)
    assert status == verify.WHOLE, text
    assert "camera signature valid: video/gate-main.mp4, 32 of 40 pictures covered" in text
    assert "chain not checked: anybody can make such a certificate" in text
    assert "CN=Synthetic camera 1,O=nvr tests" in text
    assert "as the box found it" not in text
    status, text = said(capsys, case, "--camera-ca", CA)
    assert (status, "its chain ends in the CA given\n" in text) == (verify.WHOLE, True), text
    status, text = said(capsys, case, "--json", "--camera-ca", CA)
    tree = json.loads(text)
    assert tree["camera_signatures_checked"] is True
    assert tree["camera_signatures"][0]["chain"] == "trusted"


def test_the_verifier_in_the_zip_says_what_the_box_said(case: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(case) as archive:
        (tmp_path / "verify.py").write_bytes(archive.read("verify.py"))
    done = subprocess.run(
        [sys.executable, "-I", "-S", tmp_path / "verify.py", case],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == verify.WHOLE, done.stderr
    assert "camera signature valid: video/gate-main.mp4" in done.stdout
    assert "as the box found it when it exported" in done.stdout


def test_times_after_a_gap_are_right_in_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the copy the picture goes on at once, so its own times are an hour off."""
    store = asyncio.run(recorded("plain.h264", tmp_path / "ring", 3_600_000_000))
    path = packed(store, tmp_path / "case.zip")
    store.disk.close()
    with zipfile.ZipFile(path) as archive:
        entry = json.loads(archive.read("manifest.json"))["streams"][0]
    (before,) = entry["camera_signatures"]
    assert (before["verdict"], before["covered"]) == ("partial", 64)
    assert [one["kind"] for one in before["stretches"]] == ["unproven", "open"]
    assert [one[0] for one in before["times"]] == [1, 41]
    _, text = said(capsys, path, "--json")
    (after,) = json.loads(text)["camera_signatures"]
    begun_us = before["times"][0][1]
    for one, other in zip(before["stretches"], after["stretches"], strict=True):
        assert one["first_sample"] == other["first_sample"]
        for key in ("from_us", "to_us"):
            assert abs(one[key] - other[key]) < 50_000
    assert after["stretches"][1]["from_us"] - begun_us > 3_600_000_000


def test_a_box_that_lies_about_the_camera_is_found_out(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has the box's key can sign any copy; the camera's signature cannot be made anew."""
    with zipfile.ZipFile(case) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    movie = bytearray(files["video/gate-main.mp4"])
    slices = [nal for nal in units("plain.h264")[12] if media_signing.kind("h264", nal)]
    at = movie.index(slices[0])
    movie[at + len(slices[0]) // 2] ^= 4
    files["video/gate-main.mp4"] = bytes(movie)
    manifest = json.loads(files["manifest.json"])
    one = manifest["files"]["video/gate-main.mp4"]
    one["sha256"] = hashlib.sha256(bytes(movie)).hexdigest()
    raw = json.dumps(manifest).encode()
    files["manifest.json"] = raw
    message = made.manifest_message(raw)
    files["manifest.sig"] = base64.b64encode(made.SIGNER.sign(message))
    path = tmp_path / "case.zip"
    path.write_bytes(made.packed(files))
    status, text = said(capsys, path)
    assert status == verify.WHOLE, "the parts are"
    assert "camera signature partial: video/gate-main.mp4, 31 of 40" in text
    assert "pictures 13 to 13: not what the camera signed" in text


def test_any_mp4_can_be_checked(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "gate.mp4"
    with zipfile.ZipFile(case) as archive:
        data = archive.read("video/gate-main.mp4")
        clip.write_bytes(data)
        recorded_us = json.loads(archive.read("manifest.json"))["streams"][0]["recorded"][0]
    assert abs((begun_us(data, 1) or 0) - recorded_us["from_us"]) < 1000
    status, text = said(capsys, clip)
    assert (status, "camera signature valid: gate.mp4" in text) == (verify.WHOLE, True), text
    assert said(capsys, clip, "--camera-ca", CA)[0] == verify.WHOLE
    other = signed.VECTORS / "README.md"
    status, text = said(capsys, clip, "--camera-ca", other)
    assert (status, "camera.ca_unreadable" in text) == (1, True)
    slices = [nal for nal in units("plain.h264")[3] if media_signing.kind("h264", nal)]
    changed = data.replace(slices[0], slices[0][:-1] + bytes((slices[0][-1] ^ 64,)))
    clip.write_bytes(changed)
    status, text = said(capsys, clip, "--json")
    assert status == verify.FOUND
    assert json.loads(text)["stretches"][0] | {"from_us": 0, "to_us": 0} == {
        "kind": "altered", "first_sample": 4, "last_sample": 4, "from_us": 0, "to_us": 0,
    }  # fmt: skip


def test_an_mp4_that_is_not_signed_or_none_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = made.recorded(tmp_path / "ring", 20)
    movie = movie_of(Archive(store), GATE, made.W, 1 << 62)
    assert list(movie.scan())
    origin = Provenance("box", "", 0, "", "", "", movie.start_us)
    clip = tmp_path / "plain.mp4"
    clip.write_bytes(movie.head(origin) + b"".join(piece for piece, _ in movie.media()))
    store.disk.close()
    assert not movie.marked
    status, text = said(capsys, clip)
    assert (status, text) == (
        verify.UNSIGNED,
        "camera signature absent: plain.mp4: the camera does not sign its video\n",
    )
    clip.write_bytes(b"\0\0\0\x18ftypisom" + bytes(50))
    status, text = said(capsys, clip)
    assert (status, "clip.unreadable" in text) == (verify.UNREADABLE, True)
    assert said(capsys, tmp_path / "none.mp4")[0] == verify.UNREADABLE


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_clip_that_is_cut_off_is_told_or_refused(case: Path, share: float) -> None:
    with zipfile.ZipFile(case) as archive:
        data = archive.read("video/gate-main.mp4")
    cut = data[: int(len(data) * share)]
    seen: list[bytes] = []
    with contextlib.suppress(Damaged):
        seen.extend(sample for sample, _ in Pictures(lambda: io.BytesIO(cut)).read())
    whole = [sample for sample, _ in Pictures(lambda: io.BytesIO(data)).read()]
    assert len(whole) == 40
    assert seen[:-1] == whole[: max(0, len(seen) - 1)]
    assert seen != whole


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_clip_that_is_damaged_is_told_or_refused(movie: bytes, data: st.DataObject) -> None:
    raw = bytearray(movie)
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.sampled_from([movie.index(b"mdat"), len(raw)]))  # mostly the tables
        raw[data.draw(st.integers(0, where - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Damaged):
        pictures = Pictures(lambda: io.BytesIO(bytes(raw)))
        clip = witness.Clip(pictures.codec, pictures.record, pictures.read, lambda: pictures.end_us)
        check = witness.Check("x", clip)
        assert list(check.steps()) is not None
        assert list(verify.camera_lines([{"camera_signatures": [check.found]}], str, checked=True))


def test_who_does_not_say_when_it_began_is_not_believed() -> None:
    assert begun_us(b"", 1) is None
    assert begun_us(b"\0\0\0\x08ftyp\0\0\0\x08meta", 1) is None
    assert begun_us(b"\0\0\0\x00ftyp" + bytes(20), 1) is None
