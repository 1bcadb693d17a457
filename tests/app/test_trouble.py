from pathlib import Path

from nvr.app.trouble import MOST, Trouble
from nvr.base.clock import FakeClock
from nvr.media.health import Spell


def spell(from_s: int, lasted_s: float, *, ended: bool = True) -> Spell:
    to_us = round((from_s + lasted_s) * 1e6) if ended else 0
    return Spell("lost", ("camera.lost",), from_s * 1_000_000, to_us, lasted_s)


def test_what_was_the_matter_is_known_after_a_restart(tmp_path: Path) -> None:
    known = {"gate/main": (spell(200, 5.0, ended=False), spell(100, 3.0)), "yard/main": ()}
    Trouble(tmp_path, FakeClock()).save(known)
    again = Trouble(tmp_path, FakeClock())
    assert again.past("gate/main") == (spell(100, 3.0), spell(200, 5.0)), "the oldest first, ended"
    assert again.past("yard/main") == again.past("new/main") == ()


def test_it_is_written_only_when_it_changed_and_stays_small(tmp_path: Path) -> None:
    known = {"gate/main": (spell(200, 5.0, ended=False),)}
    trouble = Trouble(tmp_path, FakeClock())
    trouble.save(known)
    file = tmp_path / "trouble.json"
    file.unlink()
    known["gate/main"] = (spell(200, 50.0, ended=False),)
    trouble.save(known)
    assert not file.exists(), "that it lasts longer is no reason to write"
    known["gate/main"] = tuple(spell(n, 1.0) for n in range(3000, 1000, -10))
    trouble.save(known)
    assert len(Trouble(tmp_path, FakeClock()).past("gate/main")) == MOST


def test_a_file_that_is_none_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "trouble.json").write_text('{"gate/main": [{"state": 4}]}')
    trouble = Trouble(tmp_path, FakeClock())
    assert trouble.past("gate/main") == ()
    (tmp_path / "trouble.json").unlink()
    tmp_path.rmdir()
    Trouble(tmp_path, FakeClock()).save({"gate/main": (spell(1, 1.0),)})
