"""What `hil.image` calls a fault, and the update it breaks; the start itself takes an emulator."""

import subprocess
from pathlib import Path

from hil import image
from images import disk

SEEN = {
    "pictures played back": 10, "root is read-only": True, "verity": True, "slot blessed": True,
    "kept over a power cut, s": 30, "old slot after three tries": True,
    "memory": {"rss_mib": 100}, "listens": ["8443"], "failed units": list[str](),
}  # fmt: skip


def test_what_was_not_seen_is_a_fault() -> None:
    assert image.faults(SEEN) == []
    for key in SEEN.keys() - {"listens", "failed units"}:
        assert len(image.faults({**SEEN, key: 0} if key != "memory" else {**SEEN, key: {}})) == 1
    assert image.faults({**SEEN, "listens": ["22", "5355"]}) == ["SSH listens", "LLMNR listens"]
    assert image.faults({**SEEN, "failed units": ["a.service"]}) == ["failed: a.service"]
    for none_or_much in (0, 161):
        assert image.faults({**SEEN, "memory": {"rss_mib": none_or_much}})


def test_the_broken_update_is_newer_and_of_another_root(tmp_path: Path) -> None:
    """As the guest's shell makes it from the entry of slot a; else trying it would tell nothing."""
    slot = disk.Slot(1234, "ab" * 32, "cd" * 32)
    entries = tmp_path / "loader/entries"
    entries.mkdir(parents=True)
    (tmp_path / "nvr/a").mkdir(parents=True)
    (tmp_path / "nvr/a/linux").write_text("linux")
    (entries / "nvr-a.conf").write_text(disk.entry("a", "1.2.3", slot))
    script = image._BROKEN.replace("/efi", str(tmp_path))
    subprocess.run(["sh", "-c", script], check=True, capture_output=True)
    broken = disk.Slot(1234, "0" * 8 + "ab" * 28, "cd" * 32)
    assert (entries / "nvr-b+3.conf").read_text() == disk.entry("b", "9999", broken).replace(
        "nvr 9999 (b)", "nvr 1.2.3 (b)"
    )
    assert (tmp_path / "nvr/b/linux").read_text() == "linux"
