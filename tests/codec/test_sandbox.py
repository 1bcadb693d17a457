"""A sandbox: what a program in it cannot do, and that nothing it does harms whoever asks it."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvr.base.errors import NvrError
from nvr.codec.sandbox import Sandbox
from tests.codec import planted

PROGRAM = "tests.codec.planted"


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    with Sandbox(PROGRAM, answer_cpu_s=1.0) as made:
        yield made


def test_messages_of_any_size_are_answered_in_order(box: Sandbox) -> None:
    for size in (0, 1, 70_000, 9_000_000):
        message = os.urandom(size)
        assert box.ask(b"echo " + message) == message
    assert [box.ask(b"echo %d" % n) for n in range(20)] == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("what", sorted(planted.NAUGHTY))
def test_it_cannot(box: Sandbox, what: bytes) -> None:
    answer = box.ask(what)
    assert answer != b"done"
    assert b"rror" in answer
    assert box.ask(b"echo on") == b"on", "it goes on without"


def test_the_kernel_says_that_it_is_confined(box: Sandbox) -> None:
    said = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{box.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert (said["Seccomp"], said["NoNewPrivs"]) == ("2", "1")
    assert os.getpriority(os.PRIO_PROCESS, box.pid) == 19


def test_it_knows_the_time_zone(box: Sandbox) -> None:
    assert box.ask(b"time 1795415527") == b"2026-11-23T14:32:07+08:00"


@pytest.mark.parametrize(
    ("told", "how"),
    [
        ("crash", "it ended by signal 11"),
        ("exit 3", "it ended with 3"),
        ("raise", "it ended with 1"),
        ("memory", "it ended with 1"),
        ("hang", "it hung"),
        ("nonsense", "it answered nonsense"),
    ],
)
def test_whatever_ends_it_is_one_error(box: Sandbox, told: str, how: str) -> None:
    with pytest.raises(NvrError, match=r"sandbox\.died") as died:
        box.ask(told.encode())
    assert how in died.value.detail
    if told == "raise":
        assert died.value.context["said"] == "ValueError: no such picture[2J"
    with pytest.raises(NvrError, match=r"sandbox\.died"):
        box.ask(b"echo on")


@pytest.mark.parametrize("told", [b"sleep", b"mute"])
def test_one_that_only_waits_hangs_too(told: bytes) -> None:
    with Sandbox(PROGRAM, answer_s=1.0) as box:
        before_s = time.process_time()
        with pytest.raises(NvrError, match="hung"):
            box.ask(told)
        assert time.process_time() - before_s < 0.8, "the parent waits, and does not spin"


def test_one_that_does_not_start_says_why() -> None:
    for program in ("tests.codec.no_such_program", "tests.codec.test_sandbox"):
        with pytest.raises(NvrError, match=r"sandbox\.failed"):
            Sandbox(program)


def test_it_ends_with_the_one_who_started_it() -> None:
    code = (
        "import os, sys; from nvr.codec.sandbox import Sandbox\n"
        f"box = Sandbox({PROGRAM!r}); print(box.pid, flush=True)\n"
        "os.write(box._in, (4).to_bytes(4, 'big') + b'hang'); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    gone = select.poll()
    gone.register(child, select.POLLIN)
    assert gone.poll(20_000), "it goes on although nobody is there"
    os.close(child)
