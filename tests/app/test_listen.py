"""A camera's own events have it recorded: made-up cameras tell of them, ours listens."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest

from nvr.analyse.store import Store
from nvr.app.listen import Listener, by_events
from nvr.base.clock import SystemClock
from nvr.base.errors import Rejected
from nvr.base.permit import Permit
from nvr.cli.main import main
from nvr.config.camera import Camera as Written
from nvr.config.camera import Onvif, Plan
from nvr.link.camera import Camera
from nvr.link.meaning import Meant, meant
from nvr.media.onvif import CameraEvent, Target
from tests.peers.odd_onvif import event, odd_device


def told(topic: str, operation: str = "Changed", **data: str) -> CameraEvent:
    return CameraEvent(topic, operation, {"Source": "v"}, data, 0)


@pytest.mark.parametrize(
    ("one", "sort", "active", "lasting"),
    [
        (told("RuleEngine/CellMotionDetector/Motion", IsMotion="true"), "motion", True, True),
        (told("VideoSource/MotionAlarm", State="0"), "motion", False, True),
        (told("RuleEngine/FieldDetector/ObjectsInside", IsInside="1"), "motion", True, True),
        (told("RuleEngine/LineDetector/Crossed", "", ObjectId="17"), "line", True, False),
        (told("RuleEngine/TamperDetector/Tamper", IsTamper="true"), "tamper", True, True),
        (told("VideoSource/GlobalSceneChange/ImagingService", State="true"), "tamper", True, True),
        (told("Device/Trigger/DigitalInput", LogicalState="active"), "input", True, True),
        (
            told("Device/Trigger/DigitalInput", "Initialized", LogicalState="0"),
            "input",
            False,
            True,
        ),
    ],
)
def test_what_cameras_tell_is_understood(one, sort, active, lasting) -> None:
    found = meant(one)
    assert isinstance(found, Meant)
    assert (found.sort, found.active, found.lasting) == (sort, active, lasting)


def test_what_is_nothing_to_us_is_left() -> None:
    assert meant(told("Monitoring/ProcessorUsage", Value="5")) is None
    assert meant(told("VideoSource/MotionAlarm", "Deleted", State="1")) is None


def test_a_camera_is_listened_to_where_its_plan_records_events() -> None:
    def camera(plan: Plan | None) -> Written:
        return Written(name="gate", url="rtsp://192.0.2.1/1", plan=plan)

    assert not by_events(camera(None))
    assert not by_events(camera(Plan()))
    assert by_events(camera(Plan(mode="event")))
    assert by_events(camera(Plan(mode="off", sun=["08:00-10:00 event"])))


class Nowhere:
    """Keeps nothing. See `nvr.app.listen.Kept`."""

    def begin(self, *_args, **_kwargs) -> None:
        pass

    def end(self, *_args, **_kwargs) -> None:
        pass


class Here:
    """Asks in this process. See `nvr.app.services.Services`."""

    def __init__(self, port: int) -> None:
        self.camera = Camera(Target("127.0.0.1", port, "admin", "right"), Permit(["127.0.0.1:*"]))

    async def ask(self, _name, wish):
        return await self.camera.ask(wish)


@asynccontextmanager
async def listening(happened, plan=Plan(mode="event"), kept=None, **knobs):  # noqa: B008 - frozen
    async with odd_device(**knobs) as device:
        here = Here(device.port)
        gate = Written(
            name="gate",
            url="rtsp://192.0.2.1/1",
            plan=plan,
            onvif=Onvif(address=f"127.0.0.1:{device.port}"),
        )
        cameras = [gate]
        told: list[str] = []
        running = asyncio.ensure_future(
            Listener(
                here, lambda: cameras, happened, SystemClock(), kept or Nowhere(), told.append
            ).run()
        )
        try:
            yield device, cameras
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await here.camera.close()


async def until(true, within_s: float = 30.0) -> None:
    ends_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends_s
        await asyncio.sleep(0.02)


async def test_motion_has_it_recorded_until_its_end_is_told(monkeypatch) -> None:
    monkeypatch.setattr("nvr.app.listen.WAIT_S", 1.0)
    happened: list[str] = []
    async with listening(happened.append) as (device, _):
        await until(lambda: device.subscriptions == 1)
        motion = "RuleEngine/CellMotionDetector/Motion"
        device.events.append(event(motion, "Source", "IsMotion", "true"))
        await until(lambda: len(happened) >= 3)  # it goes on: told again with each pull
        device.events.append(event(motion, "Source", "IsMotion", "false"))
        await until(lambda: not device.events)
        pulls = device.log.count("PullMessages")
        await until(lambda: device.log.count("PullMessages") >= pulls + 1)
        after = len(happened)
        await until(lambda: device.log.count("PullMessages") >= pulls + 3)
        assert len(happened) == after
        device.events.append(event("RuleEngine/LineDetector/Crossed", "S", "ObjectId", "7", ""))
        await until(lambda: len(happened) == after + 1)
        assert set(happened) == {"gate"}
    assert device.log[-1] == "Unsubscribe"


async def test_a_plan_that_is_off_and_a_camera_taken_away_are_no_trouble(monkeypatch) -> None:
    monkeypatch.setattr("nvr.app.listen.WAIT_S", 1.0)
    monkeypatch.setattr("nvr.app.listen._LOOK_S", 0.1)

    def refuse(_name: str) -> None:
        raise Rejected("plan.off", "not now")

    async with listening(refuse) as (device, cameras):
        device.events.append(event("VideoSource/MotionAlarm", "S", "State", "1"))
        pulls = 3
        await until(lambda: device.log.count("PullMessages") >= pulls)
        cameras.clear()
        await until(lambda: device.log[-1] == "Unsubscribe")


async def test_what_a_camera_tells_is_kept_with_begin_end_and_who_says_so(
    monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.setattr("nvr.app.listen.WAIT_S", 1.0)
    monkeypatch.setattr("nvr.app.listen.HOLD_S", 1.5)
    store = Store(tmp_path / "event.db", lambda _: 1 << 60)
    happened: list[str] = []
    span = (0, 1 << 60)
    motion = "RuleEngine/CellMotionDetector/Motion"
    async with listening(happened.append, None, store) as (device, _):
        await until(lambda: device.subscriptions == 1)
        device.events.append(event(motion, "Rule", "IsMotion", "true"))
        await until(lambda: store.open("gate"))
        (one,) = store.open("gate")
        assert (one.kind, one.zone, one.source) == ("motion", "1", "camera")
        store.begin("gate", "motion", "1", one.from_us)  # ours, at the same time
        for value in ("false", "true"):  # in pieces
            device.events.append(event(motion, "Rule", "IsMotion", value))
            await until(lambda: not device.events)
        device.events.append(event(motion, "Rule", "IsMotion", "false"))
        device.events.append(event("RuleEngine/LineDetector/Crossed", "Rule", "ObjectId", "7", ""))
        await until(lambda: len(store.between("gate", *span)) == 3)
        await until(lambda: [one.source for one in store.open("gate")] == [""])
        device.events.append(event("Device/Trigger/DigitalInput", "InputToken", "State", "true"))
        await until(lambda: len(store.between("gate", *span)) == 4)
    found = [(one.kind, one.source, one.to_us is None) for one in store.between("gate", *span)]
    assert sorted(found) == [
        ("input", "camera", False),  # nobody hears of its end any more
        ("line", "camera", False),
        ("motion", "", True),
        ("motion", "camera", False),
    ]
    assert happened == [], "its plan records no events"
    store.close()
    asked = ["events", "--data", str(tmp_path), "--from", "1970-01-02"]
    assert main([*asked, "--kind", "line,input", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted((one["kind"], one["camera"], one["source"]) for one in rows) == [
        ("input", "gate", "camera"), ("line", "gate", "camera"),
    ]  # fmt: skip
    assert all(one["to_us"] >= one["from_us"] > 0 for one in rows)
    assert main([*asked, "--camera", "gate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert any("  line  camera  " in line for line in lines)
    assert any(line.endswith("goes on  1") for line in lines)
    assert main([*asked, "--camera", "yard"]) == 0
    assert capsys.readouterr().out == ""
    for wrong in (["--kind", "no"], ["--to", "1970-01-01"], ["--data", str(tmp_path / "no")]):
        assert main([*asked, *wrong]) == 1
    assert "event.kind" in capsys.readouterr().err
