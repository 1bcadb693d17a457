import json
import subprocess
import sys
import time

import pytest

from tests.bench.figures import (
    Window,
    at_least,
    at_most,
    cpu_s,
    interleaved,
    median,
    memory,
    report,
    spread,
    verdict,
)

BURN = "import time\nt = time.process_time()\nwhile time.process_time() - t < {}: pass\n"


def test_the_last_line_is_one_json_object_with_every_key(capsys):
    code = report(
        "some.bench",
        {"ratio": 9.0, "lost": 0, "note": "as is"},
        {"ratio": at_least(8, "the issue asks for it"), "lost": at_most(0, "nothing may go")},
        as_json=True,
        notes=["two rounds"],
    )
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    assert set(last) == {"name", "figures", "limits", "met", "commit", "machine", "load"}
    assert last["figures"] == {"ratio": 9.0, "lost": 0, "note": "as is"}
    assert last["limits"]["ratio"] == {"at_least": 8, "why": "the issue asks for it"}
    assert last["met"] is True
    assert len(last["load"]) == 3


def test_a_missed_limit_is_a_failed_command_and_shown(capsys):
    code = report("b", {"x": 7.9}, {"x": at_least(8, "because")}, as_json=False)
    out = capsys.readouterr().out
    assert code == 1
    assert "NOT MET" in out
    assert ">= 8" in out
    assert "because" in out


@pytest.mark.parametrize("figure", [None, float("nan"), "8"])
def test_what_is_not_a_number_meets_no_limit(figure):
    assert not verdict({"x": figure}, {"x": at_least(8, "")})
    assert not verdict({"x": figure}, {"x": at_most(8, "")})


def test_what_has_no_end_is_null_and_said_in_words(capsys):
    found = {"worst_s": float("inf"), "median_s": float("nan"), "count": 2}
    limits = {"worst_s": at_most(1.0, "promised")}
    assert report("endless", found, limits, as_json=True) == 1
    *notes, last = capsys.readouterr().out.splitlines()
    assert notes == ["note: worst_s: without end", "note: median_s: not known"]
    told = json.loads(last, parse_constant=pytest.fail)
    assert told["figures"] == {"worst_s": None, "median_s": None, "count": 2}
    assert told["met"] is False


def test_a_limit_without_its_figure_is_not_met():
    assert not verdict({}, {"x": at_most(8, "")})


def test_the_bound_itself_is_good():
    assert verdict({"x": 8, "y": 8}, {"x": at_most(8, ""), "y": at_least(8, "")})


def test_cpu_of_a_child_is_counted_while_it_lives_and_after():
    # The parent only waits, so all that is seen is the child's.
    then_idle = BURN.format(0.3) + "time.sleep(60)"
    program = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {BURN.format(0.3)!r}])\n"
        f"child = subprocess.Popen([sys.executable, '-c', {then_idle!r}])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "child.kill()\n"
        "child.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout.readline() == b"ready\n"
        waited_for = cpu_s(parent.pid)
        deadline = time.monotonic() + 30
        while cpu_s(parent.pid) < waited_for + 0.25 and time.monotonic() < deadline:
            time.sleep(0.05)
        both = cpu_s(parent.pid)
        parent.stdin.close()
    assert waited_for >= 0.28  # the ended child
    assert both >= 0.55  # and the living one


def test_a_window_counts_only_what_falls_into_it():
    with subprocess.Popen(
        [sys.executable, "-c", BURN.format(0.2) + "print('x', flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        window = Window([process.pid])
        time.sleep(0.2)
        share, elapsed = window.core_share()
        process.stdin.close()
    assert elapsed >= 0.2
    assert share < 0.5


def test_memory_sees_what_a_process_touched():
    with subprocess.Popen(
        [sys.executable, "-c", "b = bytearray(b'x') * (64 << 20)\nprint('x', flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        seen = memory(process.pid)
        process.stdin.close()
    assert seen.rss_bytes > 64 << 20
    assert 64 << 20 < seen.pss_bytes <= seen.rss_bytes


def test_a_process_that_is_gone_costs_nothing():
    with subprocess.Popen(["/bin/true"]) as process:
        pass
    assert cpu_s(process.pid) == 0
    assert memory(process.pid).rss_bytes == 0


def test_rounds_are_interleaved():
    order = []

    def one(name):
        order.append(name)
        return len(order)

    results = interleaved({"a": lambda: one("a"), "b": lambda: one("b")}, 3, say=lambda _text: None)
    assert order == ["a", "b"] * 3
    assert results == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_the_spread_names_its_ends():
    assert spread([3.0, 1.0, 2.0]) == "2 [1..3] of 3"
    assert spread([]) == "nothing"
    assert str(median([])) == "nan"
