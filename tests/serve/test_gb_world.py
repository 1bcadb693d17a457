"""One GB/T 28181 platform against a box in memory: bursts, alarms, and a day without a leak."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nvr.base.errors import Unavailable
from nvr.media.gb28181 import PlatformBox
from nvr.media.gpio import InputView
from nvr.media.happening import Happening
from nvr.wire.manscdp import Body
from tests.serve.gb_platform import DEVICE, items
from tests.serve.gb_world import JumpingLoop, World, world

INPUT = "34020000001340000001"
CAMERA, OTHER, THIRD = (f"3402000000132000000{n}" for n in (1, 2, 3))
SUBSCRIBE = f"<Query><CmdType>%s</CmdType><SN>1</SN><DeviceID>{DEVICE}</DeviceID></Query>"


def play(directory: Path, story: Callable[[World], Awaitable[None]], **how: object) -> None:
    """Run a story while the device is there, in a time that jumps; no task may be left."""
    loop = JumpingLoop()
    loop.set_debug(False)  # which would make a day ten times as long

    async def run() -> None:
        it = world(directory, **how)  # type: ignore[arg-type] # as `world` takes them
        running = asyncio.create_task(it.device.run())
        try:
            await it.platform.until(lambda: it.platform.registered, 1000)
            await asyncio.sleep(1)
            await story(it)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        it.audit.close()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert it.cameras.told == []

    try:
        loop.run_until_complete(run())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_ten_thousand_channels_are_told_in_pages(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        it.platform.query("Catalog", 5)
        await it.platform.until(
            lambda: len(items([one for one in it.platform.bodies if one.number == "5"])) == 10_001
        )
        found = [one for one in it.platform.bodies if one.number == "5"]
        assert {one.said("SumNum") for one in found} == {"10001"}
        assert len(set(items(found))) == 10_001
        assert "东门1" in items(found, "Name")

    play(tmp_path, story, channels=10_000)


def test_a_lower_platform_tells_of_recorders_below_it_and_of_their_cameras(tmp_path: Path) -> None:
    below = "34020000001180000002"

    async def answers(it: World, command: str, number: int, device: str) -> list[Body]:
        it.platform.query(command, number, device)
        await it.platform.until(lambda: any(o.number == str(number) for o in it.platform.bodies))
        return [one for one in it.platform.bodies if one.number == str(number)]

    async def story(it: World) -> None:
        found = await answers(it, "Catalog", 5, DEVICE)
        ids, parents = items(found), items(found, "ParentID")
        assert dict(zip(ids, parents, strict=True)) == {
            below: DEVICE, CAMERA: DEVICE, OTHER: below, THIRD: below, INPUT: DEVICE,
        }  # fmt: skip
        assert dict(zip(ids, items(found, "Parental"), strict=True))[below] == "1"
        assert items(found, "Name")[0] == "北门"
        assert items(await answers(it, "Catalog", 6, below)) == [below, OTHER, THIRD]
        (info,) = await answers(it, "DeviceInfo", 7, below)
        assert (info.said("DeviceName"), info.said("Channel")) == ("北门", "2")
        it.cameras.change(replace(it.cameras.states["c2"], state="lost"))
        (status,) = await answers(it, "DeviceStatus", 8, below)
        assert status.said("Online") == "ONLINE"
        it.cameras.change(replace(it.cameras.states["c3"], state="lost"))
        (status,) = await answers(it, "DeviceStatus", 9, below)
        assert (status.said("Online"), status.said("Status")) == ("OFFLINE", "ERROR")
        found = await answers(it, "Catalog", 10, DEVICE)
        assert dict(zip(items(found), items(found, "Status"), strict=True))[below] == "OFF"

    boxes = (PlatformBox(below, "北门"),)
    play(tmp_path, story, channels=3, of={2: below, 3: below}, boxes=boxes)


def test_over_datagrams_a_page_fits_into_one(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        it.platform.query("Catalog", 5)
        await it.platform.until(
            lambda: len(set(items([o for o in it.platform.bodies if o.number == "5"]))) == 51,
            1000,
        )

    play(tmp_path, story, channels=50, loss=0.2)


def test_ten_thousand_recordings_are_told_in_pages(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        time = "<StartTime>2020-01-01T00:00:00</StartTime><EndTime>2030-01-01T00:00:00</EndTime>"
        it.platform.query("RecordInfo", 6, CAMERA, time)
        await it.platform.until(
            lambda: len(items([o for o in it.platform.bodies if o.number == "6"])) == 10_000,
            1e5,
        )
        found = [one for one in it.platform.bodies if one.number == "6"]
        starts = items(found, "StartTime")
        assert len(set(starts)) == 10_000
        assert min(starts) == "2026-11-30T19:00:00"

    play(tmp_path, story, records=10_000)


def test_a_burst_of_changes_is_told_and_flapping_is_not(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        more = (("Event", "Catalog;id=1"), ("Expires", "3600"))
        it.platform.ask("SUBSCRIBE", SUBSCRIBE % "Catalog", "Application/MANSCDP+xml", *more)
        await asyncio.sleep(10)
        it.platform.others.clear()
        for n in range(1, 501):
            it.cameras.change(replace(it.cameras.states[f"c{n}"], state="lost"))
        for _ in range(100):  # and one that comes and goes within the time of a look
            it.cameras.change(replace(it.cameras.states["c900"], state="lost"))
            it.cameras.change(replace(it.cameras.states["c900"], state="live"))
        await asyncio.sleep(30)
        bodies = b"".join(one.body for one in it.platform.others)
        assert bodies.count(b"<Event>OFF</Event>") == 500
        assert bodies.count(b"<Event>") == 500
        assert 1 < len(it.platform.others) <= 10
        it.cameras.states.pop("c1000")
        it.cameras.change(replace(it.cameras.states["c1"], state="live"))
        await asyncio.sleep(10)
        bodies = b"".join(one.body for one in it.platform.others)
        assert bodies.count(b"<Event>ON</Event>") == 1

    play(tmp_path, story, channels=1000)


def test_an_alarm_is_told_once_until_it_is_reset(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        def alarms() -> list[str]:
            return [one.device for one in it.platform.bodies if one.command == "Alarm"]

        motion = Happening(1, "c1", "motion", "", 0, None)
        now = it.cameras.states["c1"]
        for happening in ((motion,), (motion,), (), (motion,)):
            it.cameras.change(replace(now, happening=happening))
        await asyncio.sleep(5)
        assert alarms() == [CAMERA, CAMERA]  # it began twice
        normal = InputView("door", "no", "", "", "normal")
        for _ in range(2):
            it.lines.views = [replace(normal, state="alarm")]
            await asyncio.sleep(5)
            it.lines.views = [normal]
            await asyncio.sleep(5)
        assert alarms()[2:] == [INPUT]  # method 2: not again before it is reset
        (first, *_) = await it.platform.told("Alarm")
        assert (first.said("AlarmMethod"), first.root.said("Info", "AlarmType")) == ("5", "2")
        it.platform.control(9, DEVICE, "<AlarmCmd>ResetAlarm</AlarmCmd>")
        (answer,) = await it.platform.told("DeviceControl", "9")
        assert answer.said("Result") == "OK"
        it.lines.views = [replace(normal, state="alarm")]
        await asyncio.sleep(5)
        assert alarms()[2:] == [INPUT, INPUT]
        it.platform.control(10, CAMERA, "<GuardCmd>ResetGuard</GuardCmd>")
        await it.platform.told("DeviceControl", "10")
        it.cameras.change(replace(now, happening=()))
        it.cameras.change(replace(now, happening=(motion,)))
        await asyncio.sleep(5)
        assert len(alarms()) == 4  # it is off duty

    play(tmp_path, story)


def test_an_alarm_of_an_outage_is_told_after_it(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        it.platform.status = 503
        it.wires[-1].break_off(Unavailable("gb.lost", "the test ended it"))
        await asyncio.sleep(5)
        motion = Happening(1, "c1", "motion", "", 0, None)
        it.cameras.change(replace(it.cameras.states["c1"], happening=(motion,)))
        await asyncio.sleep(600)
        assert not [one for one in it.platform.bodies if one.command == "Alarm"]
        it.platform.status = 200
        await asyncio.sleep(100)
        await it.platform.told("Alarm")

    play(tmp_path, story)


def test_a_recording_is_kept_up_until_it_is_ended(tmp_path: Path) -> None:
    async def story(it: World) -> None:
        it.platform.control(3, CAMERA, "<RecordCmd>Record</RecordCmd>")
        await asyncio.sleep(301)
        assert 10 <= len(it.cameras.events) <= 12
        it.platform.control(4, CAMERA, "<RecordCmd>StopRecord</RecordCmd>")
        await asyncio.sleep(1)
        before = len(it.cameras.events)
        await asyncio.sleep(301)
        assert len(it.cameras.events) == before

    play(tmp_path, story)


OFFER = (
    "v=0\r\no=x 0 0 IN IP4 127.0.0.1\r\ns=%s\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=%s 30000 RTP/AVP %s\r\na=%s\r\ny=0200000001\r\n"
)
LIVE, VOICE = OFFER % ("Play", "video", 96, "recvonly"), OFFER % ("Play", "audio", 8, "sendonly")


async def watched(it: World, hour: int) -> None:
    """Half an hour of live pictures, ended in one way or another."""
    subject = ("Subject", f"{CAMERA}:0,{DEVICE}:0")
    call = it.platform.ask("INVITE", LIVE, "application/sdp", subject, to=CAMERA)
    answer = await it.platform.answer(call)
    assert answer.status == 200
    if hour % 4 == 0:  # its ACK is never sent: the device gives it up
        await asyncio.sleep(1800)
        return
    tag = answer.get("To").partition("tag=")[2]
    it.platform.ask("ACK", to=CAMERA, call_id=call, tag=tag)
    assert it.media is not None
    for _ in range(10_000):  # names are looked up by a thread, whose time does not jump
        if it.media.still.relays:
            break
        time.sleep(0.001)  # noqa: ASYNC251 - the loop is not to go on
        await asyncio.sleep(0.001)
    assert it.media.still.relays, "it is sent"
    await asyncio.sleep(1800)
    if hour % 4 != 1:  # else the next INVITE of this sender takes its place
        it.platform.ask("BYE", to=CAMERA, call_id=call, tag=tag)


def spoken(it: World, hour: int) -> None:
    """The platform speaks, and says nothing after all; or does not even take the call."""
    it.platform.speak = lambda _: VOICE if hour % 2 else ""
    it.platform.ask(
        "MESSAGE",
        f"<Notify><CmdType>Broadcast</CmdType><SN>{5000 + hour}</SN><SourceID>1</SourceID>"
        f"<TargetID>{CAMERA}</TargetID></Notify>",
    )


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_day_leaves_nothing_behind(tmp_path: Path, loss: float) -> None:
    async def story(it: World) -> None:
        loop = asyncio.get_running_loop()
        link = it.device._link
        assert link is not None
        assert it.media is not None
        before, open_before = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
        began_s, hour = loop.time(), 0
        while loop.time() - began_s < 86_400:
            hour += 1
            number = 1000 + hour
            it.platform.query("Catalog", number)
            it.platform.query("DeviceStatus", number)
            it.platform.query("Nothing", number)
            spoken(it, hour)
            more = (("Event", "Catalog;id=1"), ("Expires", "300"))
            it.platform.ask("SUBSCRIBE", SUBSCRIBE % "Catalog", "Application/MANSCDP+xml", *more)
            more = (("Event", "presence"), ("Expires", "300"))
            it.platform.ask("SUBSCRIBE", SUBSCRIBE % "Alarm", "Application/MANSCDP+xml", *more)
            motion = Happening(hour, "c1", "motion", "", 0, None)
            it.cameras.change(replace(it.cameras.states["c1"], happening=(motion,)))
            it.cameras.change(replace(it.cameras.states["c1"], happening=(), state="lost"))
            await watched(it, hour)
            it.cameras.change(replace(it.cameras.states["c1"], state="live"))
            if hour == 12:
                it.wires[-1].break_off(Unavailable("gb.lost", "the test ended it"))
            await asyncio.sleep(1800)
        await asyncio.sleep(600)
        state = it.device.state()
        assert state.state == "registered"
        assert (state.sessions, state.subscriptions) == (0, ())
        assert (it.media.desk.sessions, it.media.talks.listening) == (0, 0)
        assert it.media.still.relays == []
        assert len(os.listdir("/proc/self/fd")) <= open_before, "no port is left"
        told = [one.method for one in it.platform.others]
        assert told.count("INVITE") >= 24
        assert told.count("BYE") >= 12, "of calls that nobody ended"
        results = {one.said("Result") for one in it.platform.bodies if one.command == "Broadcast"}
        assert results == {"OK"}
        link = it.device._link
        assert link is not None
        assert len(link) <= 2  # a sign of life may be under way
        assert len(asyncio.all_tasks()) == before
        assert not it.device._alarms.waiting
        assert state.alarms >= 24
        assert sum(not one.closed for one in it.wires) == 1
        assert len(it.wires) == 2
        assert len([o for o in it.platform.bodies if o.command == "Keepalive"]) >= 1400
        assert len(it.platform.registered) >= 24

    play(tmp_path, story, loss=loss, expires_s=3600, sends=True)
