import json

import pytest

from tests import nightly
from tests.nightly import PROOFS, Proof, last_object, main, prove


def test_a_proof_that_crashes_is_one_that_failed():
    result = prove(Proof("none", ("tests.no_such_module",)))
    assert result["met"] is False
    assert "exit code 1" in result["error"]


def test_a_proof_that_hangs_is_given_up():
    result = prove(Proof("slow", ("timeit", "-n1", "-r1", "import time; time.sleep(30)"), 1))
    assert result["met"] is False
    assert "no end in 1 s" in result["error"]


@pytest.mark.parametrize("output", ["", "\n", "a table\n", '{"name": 1}\ntext', "[1]", '{"a": 1}'])
def test_what_is_no_result_is_none(output):
    assert last_object(output) is None


def test_the_last_line_counts():
    assert last_object('{"met": false}\nnote: x\n{"met": true}\n\n') == {"met": True}


def test_a_wrong_name_runs_nothing(capsys):
    assert main(["no-such-proof"]) == 2
    assert "no-such-proof" in capsys.readouterr().err


def test_every_proof_has_its_own_report():
    names = [proof.name for proof in PROOFS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", sorted(nightly.REPORTS.glob("*.json")), ids=lambda it: it.stem)
def test_a_report_is_json_as_others_read_it(path):
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["name"]


def test_a_report_keeps_command_and_result(tmp_path, monkeypatch):
    fake = Proof("fake", ("json.tool", "--help"))
    monkeypatch.setattr(nightly, "PROOFS", (fake,))
    monkeypatch.setattr(nightly, "REPORTS", tmp_path)
    monkeypatch.setattr(nightly, "ROOT", tmp_path)
    assert main([]) == 1
    assert '"command": "python -m json.tool --help --json"' in (tmp_path / "fake.json").read_text()


def test_what_a_reader_needs_to_judge_the_figures_is_kept(tmp_path, monkeypatch):
    said = "note: only one round\n" + json.dumps({"met": True})
    (tmp_path / "said.py").write_text(f"print({said!r})\n")
    monkeypatch.setattr(nightly, "ROOT", tmp_path)
    result = prove(Proof("said", ("said",)))
    assert result["met"]
    assert result["notes"] == ["only one round"]
