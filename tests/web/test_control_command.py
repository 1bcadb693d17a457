"""`nvr control` before a recorder that runs: a head aimed and measured from a terminal."""

import asyncio
import dataclasses
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nvr.media.aim import Accuracy, Measured, Measuring
from tests.ports import free_port
from tests.web import box as boxes
from tests.web.box import PASSWORD, Box

ROOT = Path(__file__).parents[2]
ANGLES = ((0.0, 60.2), (1.0, 3.36))


@dataclass(frozen=True)
class Terminal:
    """Where somebody sits."""

    box: Box
    place: Path

    async def begin(self, *words: str, user: str = "owner") -> asyncio.subprocess.Process:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nvr", "control", "--data", self.place, "--user", user, *words),
            cwd=ROOT, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin is not None
        child.stdin.write(f"{PASSWORD}\n".encode())
        return child

    async def end(self, child: asyncio.subprocess.Process) -> tuple[int, str, str]:
        try:
            async with asyncio.timeout(60):
                out, err = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.communicate()
        assert child.returncode is not None
        return child.returncode, out.decode(), err.decode()

    async def run(self, *words: str, user: str = "owner") -> tuple[int, str, str]:
        return await self.end(await self.begin(*words, user=user))

    async def asked(self, *entry: str) -> None:
        async with asyncio.timeout(60):
            while entry not in self.box.parts.ptz.log:
                await asyncio.sleep(0.02)


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    port = free_port()
    async with boxes.running(tmp_path, port=port) as box:
        (tmp_path / "nvr.toml").write_text(f'[page]\nhost = "127.0.0.1"\nport = {port}\n')
        box.parts.cameras.put("gate", "大门")
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        await box.user("op", "operator", {"gate": ["live", "ptz"]})
        yield Terminal(box, tmp_path)


@pytest.mark.parametrize(
    ("shares", "area"),
    [("0.8,0.4", (0.8, 0.4, 0.0, 0.0)), ("0.5,1,0.25,0.2", (0.5, 1.0, 0.25, 0.2))],
)
async def test_a_head_is_aimed_by_shares_of_its_picture(
    terminal: Terminal, shares: str, area: tuple[float, ...]
) -> None:
    terminal.box.parts.ptz.show("gate", aim="timed")
    code, out, err = await terminal.run("gate", "--aim", shares, user="op")
    assert (code, err) == (0, "")
    assert terminal.box.parts.ptz.log[-1] == ("aim", "gate", "op", *area, 1.778)
    assert out.splitlines()[0] == "gate: stands"
    assert "  can be aimed by its picture: it is moved for a measured time" in out.splitlines()


@pytest.mark.parametrize("shares", ["", "0.5", "0.5,1.01", "-0.1,0.5", "a,b", "nan,0.5", "0,0,0"])
async def test_what_is_no_place_in_a_picture_is_not_even_asked(
    terminal: Terminal, shares: str
) -> None:
    code, out, err = await terminal.run("gate", f"--aim={shares}")
    assert (code, err) == (2, "")
    assert out == "where? X,Y or X,Y,WIDTH,HEIGHT, from 0 to 1 each\n"
    assert terminal.box.parts.ptz.log == []


async def test_what_it_sees_is_measured_and_told(terminal: Terminal) -> None:
    child = await terminal.begin("gate", "--measure")
    await terminal.asked("measure", "gate", "owner", "sight")
    done = Measuring("sight", 4, 4, done=True)
    terminal.box.parts.ptz.show("gate", aim="absolute")
    terminal.box.parts.measures.now = Measured(done, ANGLES, False, 1, ())
    code, out, err = await terminal.end(child)
    assert (code, err) == (0, "")
    assert out.split("\r")[-1].splitlines() == [
        "  zoom 0.000  sees 60.2 degrees",
        "  zoom 1.000  sees 3.4 degrees",
        "gate: can be aimed by its picture: it is told where to",
    ]
    assert "  1 of 4\r" in out


async def test_how_well_it_finds_its_presets_is_told_of_each(terminal: Terminal) -> None:
    child = await terminal.begin("gate", "--check-presets")
    await terminal.asked("measure", "gate", "owner", "presets")
    found = (
        Accuracy(1, 1, 0.42, 0.25, 0.3),
        Accuracy(2, 1, 12.0, None, -3.4),
        Accuracy(3, 1, said="unmoved"),
        Accuracy(4, 1, said="unseen"),
    )
    done = Measuring("presets", 4, 4, done=True)
    terminal.box.parts.measures.now = Measured(done, ANGLES, False, 1, found)
    code, out, err = await terminal.end(child)
    assert (code, err) == (0, "")
    assert out.split("\r")[-1].splitlines() == [
        "  preset 1  off by 0.4 % of the picture, 0.25 degrees",
        "  preset 2  off by 12.0 % of the picture, zoom -3.4 %",
        "  preset 3  the head did not move",
        "  preset 4  its pictures do not tell",
    ]


async def test_a_measurement_that_ends_early_says_why_and_fails(terminal: Terminal) -> None:
    child = await terminal.begin("gate", "--measure")
    await terminal.asked("measure", "gate", "owner", "sight")
    now = terminal.box.parts.measures.now
    ended = Measuring("sight", 1, 4, done=True, code="ptz.measure_ended")
    terminal.box.parts.measures.now = dataclasses.replace(now, measuring=ended)
    code, out, _ = await terminal.end(child)
    assert (code, out.split("\r")[-1]) == (1, "gate: ptz.measure_ended\n")


async def test_a_measurement_is_given_up_by_an_interrupt(terminal: Terminal) -> None:
    child = await terminal.begin("gate", "--measure")
    await terminal.asked("measure", "gate", "owner", "sight")
    assert child.stdout is not None
    assert await child.stdout.readuntil(b"\r") == b"  1 of 4\r"
    child.send_signal(signal.SIGINT)
    code, out, err = await terminal.end(child)
    assert (code, err) == (1, "")
    assert out.endswith("given up\n")
    assert ("measured", "gate", "owner") in terminal.box.parts.ptz.log


async def test_who_may_not_is_refused_in_a_sentence(terminal: Terminal) -> None:
    for words, user in (
        (("gate", "--measure"), "op"),
        (("gate", "--check-presets"), "op"),
        (("yard", "--aim", "0.5,0.5"), "op"),
    ):
        code, out, err = await terminal.run(*words, user=user)
        assert (code, out) == (1, ""), words
        assert err.count("\n") == 1, err
    assert terminal.box.parts.ptz.log == []
