"""Joysticks at the box over the page's API, taught while plugged in; and on the console."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from nvr.sim.joystick import ABS_X, ABS_Y, ABS_Z, BTN_JOYSTICK
from tests.web import sticks
from tests.web.box import Client
from tests.web.sticks import DEVICE, Rig

ROOT = Path(__file__).parents[2]
TAUGHT = {
    "schema": 1, "device": DEVICE, "title": "Turm 塔", "pan": {"axis": 1}, "tilt": None,
    "zoom": {"axis": 0}, "buttons": {"0": "preset 2", "4": "camera gate", "5": "camera secret"},
}  # fmt: skip


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with sticks.rig(tmp_path) as it:
        await it.box.user("op", "operator", {"gate": ["live", "ptz"]})
        await it.box.user("guest", "operator", {"other": ["live", "ptz"]})
        yield it


async def seen(client: Client) -> dict:
    status, told, _ = await client.ask("GET", "/api/joystick")
    assert status == 200
    return told


async def test_one_is_taught_while_it_is_plugged_in(rig: Rig) -> None:
    hand = await rig.plugged()
    async with rig.box.client() as client:
        assert (await client.ask("GET", "/api/joystick"))[0] == 401
        await client.log_in("admin")
        (it,) = (await seen(client))["joysticks"]
        assert (it["number"], it["key"], it["learned"], it["camera"]) == (1, DEVICE, False, "gate")
        hand.move({ABS_X: 1})
        await rig.until(lambda: rig.bench.dome.head.moving)
        # Whoever teaches it looks at it, and nothing moves.
        status, it, _ = await client.ask("POST", "/api/joystick/1/learn")
        assert (status, it["learning"], it["moving"]) == (200, True, False)
        assert it["axes"][0] == 1
        assert not rig.bench.dome.head.moving
        hand.move({ABS_X: 0})
        status, told, _ = await client.ask("PUT", "/api/joystick/profile", TAUGHT)
        assert status == 200
        assert told["joysticks"][0]["learned"]
        rig.bench.clock.advance(3)
        hand.move({ABS_Y: 1})
        await rig.until(lambda: rig.bench.dome.head.moving)
        assert rig.sticks.joysticks()[0].speeds == (1, 0, 0)
        hand.move({ABS_Y: 0, ABS_Z: 0})
        await rig.until(lambda: not rig.bench.dome.head.moving)
        hand.press(BTN_JOYSTICK)
        await rig.until(lambda: rig.bench.actions("ptz.preset_call"))
        # It is kept, and forgotten again.
        (kept,) = rig.profiles.iterdir()
        assert json.loads(kept.read_text())["title"] == "Turm 塔"
        status, told, _ = await client.ask(
            "DELETE", f"/api/joystick/profile?device={quote(DEVICE)}"
        )
        assert (status, told["profiles"]) == (200, [])
        assert not told["joysticks"][0]["learned"]
        assert not kept.exists()


async def test_a_file_that_is_changed_is_used_while_it_is_plugged_in(rig: Rig) -> None:
    hand = await rig.plugged()
    hand.move({ABS_X: 1})
    await rig.until(lambda: rig.bench.dome.head.moving)
    file = rig.profiles / "mine.json"
    rig.profiles.mkdir()
    file.write_text(json.dumps(TAUGHT))
    await rig.until(lambda: not rig.bench.dome.head.moving)  # it is another hand's now
    (it,) = rig.sticks.joysticks()
    assert (it.learned, it.profile.title) == (True, "Turm 塔")
    file.write_text(json.dumps(TAUGHT)[:-9])
    async with rig.box.client() as client:
        await client.log_in("admin")
        await rig.until(rig.sticks.damaged)
        told = await seen(client)
        assert told["joysticks"][0]["learned"], "it counts as it was"
        (damaged,) = told["damaged"]
        assert damaged == {"file": "mine.json", "detail": "Input data was truncated"}
        await client.log_in("op")
        assert (await seen(client))["damaged"] == []
    file.unlink()
    await rig.until(lambda: not rig.sticks.joysticks()[0].learned)


async def test_each_is_known_for_itself_and_a_pulled_one_is_gone(rig: Rig) -> None:
    first, second = await rig.plugged(), await rig.plugged()
    assert [one.number for one in rig.sticks.joysticks()] == [1, 2]
    first.move({ABS_X: 1})
    await rig.until(lambda: rig.bench.dome.head.moving)
    assert [one.moving for one in rig.sticks.joysticks()] == [True, False]
    first.pull()
    await rig.until(lambda: not rig.bench.dome.head.moving)
    assert [one.number for one in rig.sticks.joysticks()] == [2]
    assert rig.bench.ptz.status("gate").holder is None
    third = await rig.plugged()
    assert [one.number for one in rig.sticks.joysticks()] == [1, 2]
    second.move({ABS_X: 1})
    await rig.until(lambda: rig.bench.dome.head.moving)
    third.move({ABS_X: -1})
    await rig.until(lambda: rig.sticks.joysticks()[0].code == "ptz.held")


async def test_a_held_joystick_is_renewed(rig: Rig) -> None:
    hand = await rig.plugged()
    hand.move({ABS_X: 1})
    await rig.until(lambda: rig.bench.dome.head.moving)
    for _ in range(8):
        before = rig.bench.dome._until_s
        rig.bench.clock.advance(0.2)
        await rig.until(lambda before=before: rig.bench.dome._until_s > before)
    assert rig.bench.dome.head.moving


async def test_who_may_what(rig: Rig) -> None:
    await rig.plugged()
    async with rig.box.client() as client:
        await client.log_in("admin")
        await client.ask("PUT", "/api/joystick/profile", TAUGHT)
        await client.log_in("op")
        told = await seen(client)
        assert told["joysticks"][0]["camera"] == "gate"
        assert told["profiles"][0]["buttons"] == {"0": "preset 2", "4": "camera gate"}
        path = "/api/camera/gate/joystick"
        assert (await client.ask("PUT", path, {"number": 1}))[0] == 200
        assert (await client.ask("PUT", path, {"number": 2}))[0] == 404
        assert (await client.ask("PUT", "/api/joystick/profile", TAUGHT))[0] == 403
        assert (await client.ask("DELETE", "/api/joystick/profile?device=a"))[0] == 403
        assert (await client.ask("POST", "/api/joystick/1/learn"))[0] == 403
        await client.log_in("guest")
        told = await seen(client)
        assert told["joysticks"][0]["camera"] == ""
        assert told["profiles"][0]["buttons"] == {"0": "preset 2"}
        assert told["joysticks"][0]["profile"]["buttons"] == {"0": "preset 2"}
        assert (await client.ask("PUT", path, {"number": 1}))[0] in {403, 404}


async def test_what_makes_no_sense_is_refused_in_a_sentence(rig: Rig) -> None:
    async with rig.box.client() as client:
        await client.log_in("admin")
        for change, status, code in (
            ({"schema": 2}, 400, "body.invalid"),
            ({"device": ""}, 400, "body.invalid"),
            ({"dead": 0.9}, 400, "body.invalid"),
            ({"dead": "NaN"}, 400, "body.invalid"),
            ({"pan": {"axis": -1}}, 400, "body.invalid"),
            ({"pan": {"axis": 0}}, 400, "joystick.profile"),
            ({"buttons": {"0": "fly"}}, 400, "joystick.profile"),
            ({"buttons": {"zero": "stop"}}, 400, "body.invalid"),
        ):
            answer = await client.ask("PUT", "/api/joystick/profile", {**TAUGHT, **change})
            assert answer[0] == status, change
            assert answer[1]["code"] == code, answer
        for number in ("1", "0", "x", "99999999999", "1.0"):
            assert (await client.ask("POST", f"/api/joystick/{number}/learn"))[0] == 404
        for query in ("", "?device=", f"?device={'x' * 201}"):
            assert (await client.ask("DELETE", f"/api/joystick/profile{query}"))[0] == 400
    assert not list((rig.place / "kept").iterdir())


def nvr(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nvr", "joystick", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_console_says_what_is_there_and_checks_a_file(tmp_path: Path) -> None:
    (tmp_path / "event0").write_bytes(b"")
    places = ("--input", str(tmp_path), "--data", str(tmp_path))
    done = nvr(*places)
    assert done.returncode == 0
    assert "Inappropriate ioctl" in done.stderr
    done = nvr("watch", *places)
    assert (done.returncode, "joystick.gone" in done.stderr) == (1, True)
    (tmp_path / "joystick").mkdir()
    file = tmp_path / "joystick/a.json"
    file.write_text(json.dumps(TAUGHT))
    assert "good, for 1209:0001" in nvr("check", str(file)).stdout
    kept = nvr("profile", "1209", *places)
    assert json.loads(kept.stdout)["zoom"]["axis"] == 0
    file.write_text(json.dumps({**TAUGHT, "pan": {"axis": 0}}))
    done = nvr("check", str(file))
    assert (done.returncode, "the same axis" in done.stderr) == (1, True)
    done = nvr(*places)
    assert done.returncode == 1
    assert "joystick/a.json: two of pan, tilt and zoom are the same axis" in done.stderr
    assert nvr("--input", str(tmp_path / "none")).stdout == "no joystick\n"
