"""A box whose key is kept by a TPM, on a real directory, with a TPM in software."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.app import keyring as keyring_module
from nvr.app.keydesk import RETRY_S, KeyDesk
from nvr.app.keyring import SEAL, SEAL_BEFORE, Keyring
from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import NvrError, Unavailable
from nvr.playback.query import Archive
from nvr.record.recording import Recording
from nvr.seal import root
from tests.app.sealed import PARTS, SPAN, Console, exported, record, recovery_key, sealed_box
from tests.seal.simulated import SimulatedTpm

pytestmark = pytest.mark.needs("swtpm")


@pytest.fixture
def chip() -> Iterator[SimulatedTpm]:
    with SimulatedTpm() as made:
        yield made


@pytest.fixture
def data(tmp_path: Path, chip: SimulatedTpm) -> Path:
    return sealed_box(tmp_path / "data", f'tpm = "{chip.path}"\n')


def ring_of(data: Path, chip: SimulatedTpm) -> Keyring:
    return Keyring(data, make=True, device=chip.path)


def test_a_key_in_the_tpm_is_a_new_one_and_no_file_opens_anything_without_the_tpm(
    data: Path, chip: SimulatedTpm, tmp_path: Path, nvr: Console
) -> None:
    want = exported(nvr, tmp_path / "a.mp4", "--data", data)
    in_a_file = (data / SEAL).read_text()
    said = nvr("key", "tpm", "--data", data)
    assert "its TPM keeps it" in said
    assert "no recovery key" in said
    assert "kept by the TPM" in nvr("key", "show", "--data", data)
    chip.restart()
    assert exported(nvr, tmp_path / "b.mp4", "--data", data) == want, "without a person"
    record(data)
    chip.off()
    said = nvr("export", "--data", data, *SPAN, tmp_path / "c.mp4", status=1)
    assert "tpm.missing" in said
    assert "key.locked" in said
    assert "tpm.missing" in nvr("key", "rotate", "--data", data, status=1)
    with SimulatedTpm() as other:
        toml = (data / "nvr.toml").read_text()
        (data / "nvr.toml").write_text(toml.replace(str(chip.path), str(other.path)))
        said = nvr("export", "--data", data, *SPAN, tmp_path / "c.mp4", status=1)
        assert "tpm.other" in said
        (data / "nvr.toml").write_text(toml)
    kept = (data / SEAL).read_text()
    (data / SEAL).write_text(in_a_file)  # as found in a stale page of the card
    assert "key.foreign" in nvr("export", "--data", data, *SPAN, tmp_path / "c.mp4", status=1)
    (data / SEAL).write_text(kept)
    chip.on()
    assert exported(nvr, tmp_path / "d.mp4", "--data", data)
    assert "in a file" in nvr("key", "file", "--data", data)
    chip.off()
    assert exported(nvr, tmp_path / "e.mp4", "--data", data)


def test_a_box_whose_tpm_is_gone_for_good_is_opened_by_its_recovery_key(
    data: Path, chip: SimulatedTpm, tmp_path: Path, nvr: Console
) -> None:
    here = ("--data", data)
    want = exported(nvr, tmp_path / "a.mp4", *here)
    words = recovery_key(nvr("key", "recovery", *here))
    nvr("key", "tpm", *here)
    locked = (data / SEAL).read_text()
    chip.clear()
    assert "tpm.other" in nvr("export", *here, *SPAN, tmp_path / "b.mp4", status=1)
    said = nvr("key", "adopt", *here, typed=words)
    assert "has a new key, in a file" in said
    assert "all of the archive" in said
    assert (data / SEAL_BEFORE).read_text() == locked
    chip.off()
    assert exported(nvr, tmp_path / "c.mp4", *here) == want
    chip.on()
    assert "tpm.unmeasured" in nvr("key", "tpm", "--pcr", "7", *here, status=1)
    nvr("key", "tpm", *here)
    assert exported(nvr, tmp_path / "d.mp4", *here) == want


def test_a_forgotten_passphrase_is_got_over_with_the_recovery_key(
    data: Path, tmp_path: Path, nvr: Console
) -> None:
    here = ("--data", data)
    want = exported(nvr, tmp_path / "a.mp4", *here)
    words = recovery_key(nvr("key", "recovery", *here))
    nvr("key", "passphrase", *here, typed="correct horse\n")
    strangers = root.to_words(root.new())
    assert "key.wrong" in nvr("key", "adopt", *here, typed=strangers, status=1)
    assert Keyring(data, make=False).locked, "another's recovery key changes nothing"
    nvr("key", "adopt", *here, typed=words)
    assert exported(nvr, tmp_path / "b.mp4", *here) == want


def test_a_box_that_was_started_otherwise_keeps_its_key_until_it_is_as_before(
    data: Path, chip: SimulatedTpm, tmp_path: Path, nvr: Console
) -> None:
    here = ("--data", data)
    chip.measure(0, b"firmware 1")
    nvr("key", "tpm", "--pcr", "0", *here)
    assert "kept by the TPM, PCR 0" in nvr("key", "show", *here)
    chip.restart()
    chip.measure(0, b"firmware 2")
    said = nvr("export", *here, *SPAN, tmp_path / "a.mp4", status=1)
    assert "tpm.changed" in said
    assert "PCR 0" in said
    chip.restart()
    chip.measure(0, b"firmware 1")
    assert exported(nvr, tmp_path / "b.mp4", *here)


async def test_a_tpm_that_comes_late_unlocks_a_box_that_records_already(
    data: Path, chip: SimulatedTpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = ring_of(data, chip)
    first = Recording(
        data / "ring", SystemClock(), size_bytes=40 << 20, sealing=ring.sealing(seal=True)
    )
    first.start()
    KeyDesk(ring, lambda **_: [first.store], SystemClock(), seals=True).bind_tpm(())
    first.stop("somebody")

    monkeypatch.setattr(keyring_module, "START_S", 0.2)
    chip.hang()
    late = ring_of(data, chip)
    await asyncio.to_thread(late.unlock_at_start)
    assert late.locked
    assert late.refused is not None
    assert late.refused.code == "tpm.failed"
    recording = Recording(
        data / "ring", SystemClock(), size_bytes=40 << 20, sealing=late.sealing(seal=True)
    )
    clock = FakeClock()
    desk = KeyDesk(late, lambda **_: [recording.store], clock, seals=True)
    recording.start()
    recording.submit([replace(p, wall_us=p.wall_us + 3_600_000_000, run=2) for p in PARTS])
    archive = Archive(recording.store)
    until_s = time.monotonic() + 10
    while archive.recorded_until_us("gate/main") < PARTS[-1].wall_us + 3_600_000_000:
        assert time.monotonic() < until_s
        await asyncio.sleep(0.05)
    with pytest.raises(Unavailable, match=r"key\.locked"):
        archive.gop("gate/main", PARTS[0].wall_us)

    chip.restart()
    await asyncio.wait_for(desk.run(), 20)
    assert clock.slept_s[0] == RETRY_S
    assert desk.state().refused is None
    assert archive.gop("gate/main", PARTS[0].wall_us) is not None
    recording.stop("somebody")


async def test_a_tpm_that_is_another_is_not_asked_for_ever(data: Path, chip: SimulatedTpm) -> None:
    ring = ring_of(data, chip)
    ring.add_box_key(ring.tpm_lock(()))
    chip.clear()
    locked = ring_of(data, chip)
    locked.unlock_at_start()

    def no_volume() -> None:
        raise Unavailable("volume.opening", "not yet")

    desk = KeyDesk(locked, no_volume, FakeClock(), seals=True)
    await asyncio.wait_for(desk.run(), 5)
    assert locked.refused is not None
    assert locked.refused.code == "tpm.other"
    with suppress(NvrError):
        locked.must_be_open()
    assert locked.locked
