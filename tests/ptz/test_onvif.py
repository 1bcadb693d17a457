"""Heads over ONVIF behind the same controller, arbiter and leases as those on a serial line."""

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nvr.base.clock import SystemClock
from nvr.base.errors import Rejected, Unavailable
from nvr.base.permit import Permit
from nvr.link.camera import Camera
from nvr.media.aim import Area
from nvr.media.onvif import CameraPreset, Target
from nvr.media.ports import Operator
from nvr.ptz.aim import Aimer
from nvr.ptz.arbiter import LET_GO_S
from nvr.ptz.controller import Controller
from nvr.ptz.heads import Mount
from nvr.ptz.keep import KeepBook
from nvr.ptz.line import Aux
from nvr.ptz.onvif import OnvifHead, OnvifLine, numbered
from nvr.ptz.onvif_output import OnvifAux
from nvr.ptz.preset import PresetBook
from tests.peers.odd_onvif import odd_device

WIPES_S = 1.0
ANNE = Operator("anne", "operator", "page/1")
BEN = Operator("ben", "operator", "page/2")


class NoSwitches:
    def set(self, name, on):  # noqa: ARG002
        raise AssertionError(name)

    def rest(self, name):
        pass

    def get(self, name):  # noqa: ARG002
        return False


class Rig:
    def __init__(self, device, book: PresetBook) -> None:
        self.device = device
        self.audit: list[tuple[str, str]] = []
        self.camera = Camera(
            Target("127.0.0.1", device.port, "admin", "right"), Permit(["127.0.0.1:*"])
        )
        self.ptz = Controller(
            [],
            switches=NoSwitches(),
            presets=book,
            clock=SystemClock(),
            audit=lambda action, who, *_: self.audit.append((action, who.name)),
            save=lambda _: None,
        )
        self.alarms: list[bool] = []
        self.line = OnvifLine(
            "gate",
            self.camera.ask,
            profile="",
            clock=SystemClock(),
            tell=self.ptz.bus_event,
            presets=lambda found: self.ptz.keeps("gate", found),
            outputs={"wiper": OnvifAux("tt:Wiper|On", "tt:Wiper|Off", WIPES_S)},
            unstopped=self.alarms.append,
        )
        self.ptz.mount(Mount("gate", self.line, OnvifHead(), {"wiper": Aux(0, WIPES_S)}))

    def told(self) -> list[str]:
        return [word for _, word in self.device.motions if not word.startswith("tt:")]

    def wiped(self) -> list[str]:
        words = [word for _, word in self.device.motions if word.startswith("tt:")]
        return [word.partition("|")[2] for word in words]

    async def until(self, true, within_s: float = 30.0) -> None:
        ends_s = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < ends_s, self.told()
            await asyncio.sleep(0.02)

    async def hold(self, who: Operator, pan: float, for_s: float) -> None:
        """Push the stick, renewing as the page does."""
        ends_s = time.monotonic() + for_s
        while time.monotonic() < ends_s:
            self.ptz.move("gate", who, pan, 0.0, 0.0)
            await asyncio.sleep(0.15)


@asynccontextmanager
async def rig(tmp_path: Path, **knobs):
    async with odd_device(**knobs) as device:
        made = Rig(device, PresetBook(tmp_path / "presets.json"))
        ticking = asyncio.ensure_future(made.ptz.run())
        try:
            yield made
        finally:
            ticking.cancel()
            await made.line.close()
            await made.camera.close()
            await asyncio.gather(ticking, return_exceptions=True)


async def test_a_held_stick_moves_it_and_letting_go_stops_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        with pytest.raises(Unavailable, match=r"ptz\.bus_down"):
            it.ptz.move("gate", ANNE, 0.5, 0.0, 0.0)
        await it.until(lambda: it.ptz.status("gate").online)
        assert it.told() == ["stop"]  # whatever it did before
        it.device.motions.clear()
        await asyncio.sleep(LET_GO_S)  # the stick was pushed while nothing could move
        await it.hold(ANNE, 0.5, 0.7)
        assert it.told() == ["move 0.5 0 PT3S"]
        await it.hold(ANNE, -1.0, 0.3)
        assert it.told()[1] == "move -1 0 PT3S"
        it.ptz.move("gate", ANNE, 0.0, 0.0, 0.0)
        await it.until(lambda: it.told()[-1] == "stop")
        await it.until(lambda: it.ptz.status("gate").stop_sent_ms is not None)
        assert not it.device.moving
        assert [action for action, _ in it.audit][-2:] == ["ptz.move", "ptz.stop"]


async def test_a_place_in_its_picture_is_told_as_a_share_of_it(tmp_path: Path) -> None:
    async with rig(tmp_path, fov=True) as it:
        await it.until(lambda: it.ptz.status("gate").online)
        aimer = Aimer(it.ptz, KeepBook(tmp_path / "ptz.json", lambda job: job()), SystemClock())
        assert aimer.aim("gate", ANNE, Area(0.75, 0.4)) == "fov"
        await it.until(lambda: it.told()[-1] == "by 0.5 0.2 TranslationSpaceFov")
        assert it.audit[-1] == ("ptz.aim", "anne")
        it.ptz.stop("gate", ANNE)
        await it.until(lambda: it.told()[-1] == "stop")
    async with rig(tmp_path) as it:
        await it.until(lambda: it.ptz.status("gate").online)
        aimer = Aimer(it.ptz, KeepBook(tmp_path / "ptz.json", lambda job: job()), SystemClock())
        with pytest.raises(Rejected, match=r"ptz\.unaimed"):
            aimer.aim("gate", ANNE, Area(0.75, 0.4))


async def test_silence_stops_it_and_a_neutral_command_must_come_first(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        await it.until(lambda: it.ptz.status("gate").online)
        it.ptz.move("gate", ANNE, 0.5, 0.0, 0.0)
        await it.until(lambda: it.device.moving)
        await it.until(lambda: not it.device.moving, 5.0)
        await it.until(lambda: ("ptz.dead_man", "anne") in it.audit)
        with pytest.raises(Rejected, match=r"ptz\.rearm"):
            it.ptz.move("gate", ANNE, 0.5, 0.0, 0.0)
        it.ptz.move("gate", ANNE, 0.0, 0.0, 0.0)
        await it.hold(ANNE, 0.5, 0.3)
        assert it.device.moving


async def test_anybody_may_stop_it_and_only_one_may_move_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        await it.until(lambda: it.ptz.status("gate").online)
        await it.hold(ANNE, 0.5, 0.3)
        with pytest.raises(Rejected, match=r"ptz\.held"):
            it.ptz.move("gate", BEN, 0.5, 0.0, 0.0)
        assert it.device.moving
        it.ptz.stop("gate", BEN)
        await it.until(lambda: not it.device.moving)
        with pytest.raises(Rejected, match=r"ptz\.rearm"):
            it.ptz.move("gate", ANNE, 0.5, 0.0, 0.0)


async def test_a_camera_that_goes_away_ends_the_motion_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvr.ptz.onvif.AGAIN_S", 0.1)
    monkeypatch.setattr("nvr.ptz.onvif.LOOK_S", 0.2)
    async with rig(tmp_path) as it:
        await it.until(lambda: it.ptz.status("gate").online)
        await it.hold(ANNE, 0.5, 0.3)
        it.device.answer = "reset"
        await it.until(lambda: not it.ptz.status("gate").online)
        with pytest.raises((Unavailable, Rejected)):
            it.ptz.move("gate", ANNE, 0.5, 0.0, 0.0)
        it.device.answer = ""
        await it.until(lambda: it.ptz.status("gate").online)
        await it.until(lambda: not it.device.moving)
        it.ptz.move("gate", ANNE, 0.0, 0.0, 0.0)
        await it.hold(ANNE, 0.5, 0.3)
        assert it.device.moving


async def test_presets_of_the_camera_are_known_and_kept_by_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        await it.until(lambda: len(it.ptz.status("gate").presets) == 2)
        names = {one.number: one.name for one in it.ptz.status("gate").presets}
        assert names == {1: "Gate", 2: "北门"}
        it.ptz.preset("gate", ANNE, "call", 2)
        await it.until(lambda: it.told()[-1] == "preset Preset_7")
        it.ptz.preset("gate", ANNE, "set", 3, "东门")
        await it.until(lambda: "SetPreset" in it.device.log)
        await asyncio.sleep(0.1)
        it.ptz.preset("gate", ANNE, "call", 3)
        await it.until(lambda: it.told()[-1] == "preset 9")


def test_each_preset_has_a_number_and_numbers_stay() -> None:
    found = numbered(
        tuple(CameraPreset(token, token) for token in ("Preset_1", "2", "x", "2", "999", "1"))
    )
    assert {n: one.token for n, one in found.items()} == {
        1: "1", 2: "2", 3: "Preset_1", 4: "x", 5: "2", 6: "999",
    }  # fmt: skip
    many = numbered(tuple(CameraPreset(f"t{n}", "") for n in range(400)))
    assert len(many) == 255


async def test_a_wiper_goes_off_by_our_timer_and_at_the_end(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        with pytest.raises(Unavailable, match=r"ptz\.bus_down"):
            it.ptz.output("gate", ANNE, "wiper", True)
        await it.until(lambda: it.wiped() == ["Off"])  # whatever was on before
        await it.until(lambda: not it.line.lit("gate", "wiper"))
        it.ptz.output("gate", ANNE, "wiper", True)
        await it.until(lambda: it.wiped() == ["Off", "On"])
        assert dict(it.ptz.status("gate").outputs)["wiper"]
        await asyncio.sleep(0.6 * WIPES_S)
        it.ptz.output("gate", ANNE, "wiper", True)  # does not extend it
        await it.until(lambda: it.wiped()[-1] == "Off", 0.8 * WIPES_S + 5)
        on_s, off_s = (at for at, word in it.device.motions[-2:] if word.startswith("tt:"))
        assert off_s - on_s < 2 * WIPES_S + 3
        await it.until(lambda: not dict(it.ptz.status("gate").outputs)["wiper"])
        it.ptz.output("gate", ANNE, "wiper", True)
        await it.until(lambda: it.wiped()[-1] == "On")
    assert it.wiped()[-1] == "Off"


async def test_a_wiper_that_does_not_go_off_counts_as_on_and_is_told_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvr.ptz.onvif_output.AGAIN_S", 0.2)
    async with rig(tmp_path) as it:
        await it.until(lambda: it.wiped() == ["Off"])
        it.ptz.output("gate", ANNE, "wiper", True)
        await it.until(lambda: it.wiped()[-1] == "On")
        it.device.refuses_off = True
        it.ptz.output("gate", ANNE, "wiper", False)
        tries = it.device.log.count("SendAuxiliaryCommand")
        await it.until(lambda: it.device.log.count("SendAuxiliaryCommand") > tries + 3)
        assert it.line.lit("gate", "wiper")
        it.device.refuses_off = False
        await it.until(lambda: it.wiped()[-1] == "Off")
        await it.until(lambda: not it.line.lit("gate", "wiper"))


async def test_who_switched_it_on_and_leaves_is_told_of(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        left: list[Operator] = []
        it.ptz.left = left.append
        it.ptz.gone(ANNE)
        assert left == [ANNE]


async def test_a_stop_that_did_not_arrive_is_an_alarm_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvr.ptz.onvif.AGAIN_S", 0.2)
    monkeypatch.setattr("nvr.link.head.STOP_AGAIN_S", 0.05)
    async with rig(tmp_path) as it:
        await it.until(lambda: it.ptz.status("gate").online)
        await it.hold(ANNE, 0.5, 0.3)
        it.device.answer = "reset"
        it.ptz.stop("gate", ANNE)
        await it.until(lambda: it.alarms == [True])
        it.device.answer = ""
        await it.until(lambda: it.alarms == [True, False])
        assert not it.device.moving
