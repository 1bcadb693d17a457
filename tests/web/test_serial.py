"""Serial lines and keyboards over the page's API, and from the console of a box that runs."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nvr.config import load
from nvr.wire import pelco_d
from nvr.wire.pelco_d import Frame
from tests.app import keyboards
from tests.ports import free_port
from tests.web import box as boxes
from tests.web.box import PASSWORD, Box

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[tuple[Box, keyboards.Rig]]:
    port = free_port()
    async with (
        keyboards.rig(tmp_path) as (lines, _),
        boxes.running(tmp_path, serial=lines.desk, port=port) as box,
    ):
        (tmp_path / "nvr.toml").write_text(f'[page]\nhost = "127.0.0.1"\nport = {port}\n')
        for name in ("dome", "gate"):
            box.parts.cameras.put(name, name.title())
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        await box.user("op", "operator", {"gate": ["live", "ptz"]})
        yield box, lines


async def lines_of(client: boxes.Client) -> dict[str, dict]:
    status, told, _ = await client.ask("GET", "/api/serial")
    assert status == 200
    return {one["name"]: one for one in told["lines"]}


async def test_everybody_sees_the_lines_of_their_cameras(rig: tuple[Box, keyboards.Rig]) -> None:
    box, lines = rig
    await lines.settled()
    async with box.client() as client:
        assert (await client.ask("GET", "/api/serial"))[0] == 401
        await client.log_in("owner")
        await lines.key(pelco_d.motion(1, pan=-20))
        await lines.until(lines.dome_moves)
        seen = await lines_of(client)
        assert seen["ptz"]["heads"] == [{"camera": "dome", "address": 1, "protocol": "pelco-d"}]
        assert [seen[name]["role"] for name in ("ptz", "desk", "old")] == [
            "decoder", "keyboard", "tap",
        ]  # fmt: skip
        pad = seen["desk"]["keyboard"]
        assert pad["cameras"] == {"1": "dome", "2": "gate"}
        # We may have stalled for longer than a lease, and then it moves no more.
        assert pad["moving"] == ["dome"] or not lines.line().keyboard.moving
        assert (pad["last"]["words"], pad["last"]["camera"]) == ([["left", 20]], "dome")
        await lines.key(Frame(1))
        await lines.key(pelco_d.motion(5, pan=-20))
        await lines.until(lambda: lines.line().keyboard.refused)
        assert (await lines_of(client))["desk"]["keyboard"]["refused"]["code"] == (
            "keyboard.unmapped"
        )
        _, told, _ = await client.ask("GET", "/api/serial/ptz/monitor?after=0")
        assert {
            "way": "out",
            "protocol": "pelco-d",
            "address": 1,
            "words": [["left", 20]],
        }.items() <= (
            next(one for one in told["heard"] if one["words"][:1] == [["left", 20]]).items()
        )
        last = told["heard"][-1]["number"]
        _, told, _ = await client.ask("GET", f"/api/serial/ptz/monitor?after={last}")
        assert [one["number"] for one in told["heard"]] in ([], [last + 1])
        await client.log_in("op")
        seen = await lines_of(client)
        assert seen["ptz"]["heads"] == []
        assert seen["desk"]["keyboard"]["cameras"] == {"2": "gate"}
        assert (await client.ask("GET", "/api/serial/ptz/monitor?after=0"))[0] == 403
        assert (await client.ask("PUT", "/api/serial/desk/keyboard", {}))[0] == 403


async def test_a_keyboard_is_set_up_and_what_does_not_fit_is_refused(
    rig: tuple[Box, keyboards.Rig], tmp_path: Path
) -> None:
    box, lines = rig
    async with box.client() as client:
        await client.log_in("owner")
        body = {"cameras": {"9": "dome"}, "profile": "repeats", "hold_s": 1.5, "answer": True}
        status, told, _ = await client.ask("PUT", "/api/serial/desk/keyboard", body)
        assert status == 200
        pad = next(one for one in told["lines"] if one["name"] == "desk")["keyboard"]
        assert {key: pad[key] for key in body} == body
        (kept,) = load.read(tmp_path / "data/nvr.toml").keyboard
        assert (kept.map, kept.profile, kept.hold_s, kept.answer) == (
            {"9": "dome"}, "repeats", 1.5, True,
        )  # fmt: skip
        for path, wrong, status, code in (
            ("none", {}, 404, "serial.unknown"),
            ("ptz", {}, 404, "serial.unknown"),
            ("desk", {"cameras": {"9": "nobody"}}, 409, "config.refused"),
            ("desk", {"cameras": {"255": "dome"}}, 409, "config.refused"),
            ("desk", {"cameras": {"x": "dome"}}, 400, "body.invalid"),
            ("desk", {"hold_s": 0.1}, 409, "config.refused"),
            ("desk", {"hold_s": "NaN"}, 400, "body.invalid"),
            ("desk", {"aux": {"1": "door"}}, 400, "body.invalid"),
        ):
            status_, told, _ = await client.ask("PUT", f"/api/serial/{path}/keyboard", wrong)
            assert (status_, told["code"]) == (status, code), (path, wrong)
        path = "/api/serial/none/monitor?after=0"
        assert (await client.ask("GET", path))[1]["code"] == "serial.unknown"
        for after in ("", "?after=x", "?after=-1"):
            assert (await client.ask("GET", f"/api/serial/ptz/monitor{after}"))[0] == 400
    assert lines.line().keyboard.settings.cameras == {9: "dome"}, "what was refused is not used"


async def test_the_console_shows_what_a_running_box_says(
    rig: tuple[Box, keyboards.Rig], tmp_path: Path
) -> None:
    _, lines = rig
    await lines.until(lambda: len(lines.dome()) >= 2)
    words = ("-m", "nvr", "ptz", "monitor", "--line", "ptz", "--data", tmp_path, "--user", "owner")
    child = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(f"{PASSWORD}\n".encode())
        async with asyncio.timeout(60):
            line = (await child.stdout.readline()).decode()
            assert line.endswith("->  FF 01 00 00 00 00 01     D address 1: stop\n")
            child.send_signal(signal.SIGINT)
            _, err = await child.communicate()
        assert (child.returncode, err) == (0, b"")
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()
