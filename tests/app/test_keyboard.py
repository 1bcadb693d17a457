"""A keyboard, the recorder and real heads: a Pelco dome on a pty, a camera over ONVIF."""

import asyncio
import time
from pathlib import Path

import pytest
import tomlkit

from nvr.base.errors import Rejected
from nvr.config import load
from nvr.config.head import Has
from nvr.config.keyboard import numbered
from nvr.hal import board
from nvr.media.desk import KeyboardSettings
from nvr.media.ports import Operator
from nvr.wire import pelco_d
from nvr.wire.pelco_d import Cmd, Frame
from tests.app.keyboards import BOARD, CONFIG, rig
from tests.ptz.line import FarEnd

ANNE = Operator("anne", "operator", "page/1")
CHIEF = Operator("chief", "admin", "page/2")


async def napped(for_s: float) -> float:
    """Let time pass; returns the longest time for which this process did nothing."""
    begun_s = before_s = time.monotonic()
    longest_s = 0.0
    while before_s - begun_s < for_s:
        await asyncio.sleep(0.02)
        now_s = time.monotonic()
        longest_s, before_s = max(longest_s, now_s - before_s), now_s
    return longest_s


async def test_a_keyboard_drives_a_dome_and_shares_it_with_the_page(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, _):
        await it.ready("dome")
        left = pelco_d.motion(1, pan=-40)
        await it.key(left)
        await it.until(it.dome_moves)
        assert it.dome()[-1] == left
        with pytest.raises(Rejected, match=r"ptz\.held"):
            it.control.ptz.move("dome", ANNE, 0.5, 0.0, 0.0)
        async with asyncio.timeout(60):
            while await napped(0.8) > 0.2:  # so busy that the dead-man may have ended it meanwhile
                await it.key(Frame(1))
                await it.key(left)
        assert it.dome_moves(), "that was longer than a lease: it was not renewed"
        await it.key(Frame(1))
        await it.until(lambda: not it.dome_moves())
        # Now somebody above has it, and the keyboard is told so.
        it.control.ptz.take("dome", CHIEF)
        it.control.ptz.move("dome", CHIEF, 0.5, 0.0, 0.0)
        await it.until(it.dome_moves)
        await it.key(left)
        state = it.line().keyboard
        assert state is not None
        assert state.refused is not None
        assert (state.refused.code, state.refused.camera) == ("ptz.taken", "dome")
        assert it.dome()[-1].command == Cmd.RIGHT
        it.control.ptz.stop("dome", ANNE)
        assert ("ptz.move", "keyboard desk", "dome") in it.audit
        assert ("ptz.refused", "keyboard desk", "dome") in it.audit
        out = [one for one in it.desk.overheard("ptz", 0) if one.way == "out"]
        assert out[-1].words
        with pytest.raises(Rejected, match=r"serial\.unknown"):
            it.desk.overheard("none", 0)


async def test_a_keyboard_drives_a_camera_over_onvif(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, device):
        await it.ready("gate")
        device.motions.clear()
        await it.key(pelco_d.motion(2, pan=63))
        await it.until(lambda: device.moving)
        assert device.motions[0][1].startswith("move 1 ")
        await it.key(Frame(2))
        await it.until(lambda: not device.moving)
        assert device.motions[-1][1] == "stop"
        # And one that falls silent is stopped by its hold, here two seconds.
        await it.desk.write_keyboard("desk", KeyboardSettings({2: "gate"}, hold_s=2.0))
        await it.key(pelco_d.motion(2, pan=63))
        await it.until(lambda: device.moving)
        await it.until(lambda: not device.moving)
        assert ("ptz.stop", "keyboard desk", "gate") in it.audit


async def test_pulled_adapters_stop_the_dome_and_are_found_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, _):
        await it.ready("dome")
        left = pelco_d.motion(1, pan=-40)
        await it.key(left)
        await it.until(it.dome_moves)
        it.far.pop("desk").close()  # the keyboard's
        await it.until(lambda: not it.dome_moves())
        await it.until(lambda: it.line().state == "lost")
        it.far["desk"] = FarEnd(tmp_path / "sim/desk0")
        await it.settled()
        await it.key(left)
        await it.until(it.dome_moves)
        it.far.pop("ptz").close()  # the dome's
        await it.until(lambda: it.line("ptz").state == "lost")
        assert it.line("ptz").detail
        await it.until(lambda: not it.control.ptz.status("dome").moving)
        it.far["ptz"] = FarEnd(tmp_path / "sim/dome0")
        await it.until(lambda: len(it.dome()) >= 2)
        assert it.dome()[:2] == [Frame(1), Frame(1)], "STOP is the first thing on the line"
        await it.until(lambda: it.line("ptz").state == "open")
        await it.key(left)
        refused = it.line().keyboard
        assert refused is not None
        assert refused.last is not None
        assert refused.last.code == "ptz.rearm", "the key was never let go"


async def test_a_tap_says_nothing_and_a_map_is_changed_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as (it, _):
        await it.settled("old")
        await it.key(pelco_d.motion(1, pan=-9), "old")
        tap = it.line("old").keyboard
        assert tap is not None
        await it.until(lambda: it.line("old").keyboard.last)
        assert it.line("old").keyboard.refused is None
        assert it.far["old"].heard == []
        await it.settled()
        await it.desk.write_keyboard("desk", KeyboardSettings({9: "dome"}, answer=True))
        await it.key(pelco_d.motion(9, pan=9))
        await it.until(it.dome_moves)
        assert it.far["desk"].heard == [], "an answer of four bytes is no frame"
        words = [one.words for one in it.desk.overheard("desk", 0) if one.way == "out"]
        assert words
        kept = tomlkit.parse((tmp_path / "data/nvr.toml").read_text())["keyboard"][0]
        assert kept == {"port": "desk", "answer": True, "map": {"9": "dome"}}
        with pytest.raises(Rejected, match=r"config\.refused.*no camera nobody"):
            await it.desk.write_keyboard("desk", KeyboardSettings({9: "nobody"}))


def test_faults_of_keyboards_are_named() -> None:
    text = (
        CONFIG.replace("PORT", "80")
        + '[[keyboard]]\nport = "desk"\nmap = { 300 = "dome", 4 = "x" }'
    )
    found = load.check(
        text, board=Has(frozenset({"ptz"}), frozenset(), keyboards=frozenset({"pad"}))
    )
    assert [str(one) for one in found] == [
        "$.keyboard[0].port: the board has no serial line desk for a keyboard (it has pad)",
        "$.keyboard[1].port: desk is used twice",
        "$.keyboard[1].port: the board has no serial line desk for a keyboard (it has pad)",
        "$.keyboard[1].map.300: numbers are 1 to 254",
        "$.keyboard[1].map.4: there is no camera x",
    ]
    twice = CONFIG.replace("PORT", "80").replace('name = "dome"', 'name = "dome"\nnumber = 7')
    assert [str(one) for one in load.check(twice)] == ["$.camera[1].number: 7 is already dome's"]
    both = BOARD.replace('"old0"', '"desk0"')
    assert [str(one) for one in board.check(both)] == ["$.serial.old.path: desk0 is already desk"]


def test_a_camera_without_a_number_goes_by_the_address_of_its_head(tmp_path: Path) -> None:
    path = tmp_path / "nvr.toml"
    path.write_text(CONFIG.replace("PORT", "80"))
    assert numbered(load.read(path).camera) == {1: "dome", 7: "gate"}
