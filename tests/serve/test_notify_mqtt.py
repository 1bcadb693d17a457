"""A broker, Mosquitto: retained states, last will, reconnect, TLS, commands and their rights."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nvr.auth.audit import Audit
from nvr.auth.machine import Machines
from nvr.auth.policy import unknown_camera
from nvr.auth.state import open_state
from nvr.auth.user import rights_of
from nvr.base.clock import SystemClock
from nvr.base.errors import NvrError
from nvr.base.permit import Permit
from nvr.base.supervise import ended
from nvr.media.camera import CameraState, CaptionText, ClockState
from nvr.media.gpio import InputView, OutputView
from nvr.media.news import News
from nvr.media.notify import NotifySettings
from nvr.serve.notify import mqtt_command
from nvr.serve.notify.mqtt import Incoming, MqttNotifier
from nvr.serve.notify.mqtt_command import BURST, Commands
from nvr.serve.notify.mqtt_state import States, VolumeSeen
from nvr.serve.notify.tally import Tally
from tests.serve.notify_servers import (
    Certificate,
    Heard,
    Mosquitto,
    hearing,
    mosquitto,
    until,
)

pytestmark = pytest.mark.needs("mosquitto")
HERE = Permit(["127.0.0.1:*"])
ENDPOINT = "0a0b0c0d-0000-4000-8000-000000000001"
ALL = {"*": ["live", "ptz", "relay", "config"], "@gate": ["relay"]}
CAPTION = CaptionText(("旧",), (10, 10), 40, "plain")


def camera(name: str, state: str = "live") -> CameraState:
    return CameraState(
        stream=f"{name}/main", state=state, since_us=1, code="", detail="", codec="h264",  # type: ignore[arg-type]
        width_px=1280, height_px=720, fps=25.0, bitrate_bps=1, recorded_until_us=5, name=name,
        title="大门", record_behind=False, retain_h=1, caption=CAPTION,
    )  # fmt: skip


class Box:
    """What a broker can see and do, in memory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.did: list[tuple[Any, ...]] = []
        self.cameras = [camera("gate"), camera("yard")]
        self.outputs = [
            OutputView("lamp", "lamp", "灯", "", on=False, online=True, safe=False),
            OutputView("gate", "door", "门", "", on=False, online=True, safe=False),
        ]
        self.inputs = [InputView("fence", "nc", "围栏", "", "normal")]
        self.clock = SystemClock()
        self.audit = Audit(home / "state.db", self.clock, "box")
        self.db = open_state(home / "state.db")
        self.machines = Machines(self.db, self.clock)
        self.machines.add("broker", rights_of(ALL))
        self.machines.add("guest", rights_of({"gate": ["live"]}))

    def close(self) -> None:
        self.audit.close()
        self.db.close()

    def notifier(self, url: str, permit: Permit = HERE, **settings: Any) -> MqttNotifier:
        said = {"credential": "broker", "user": Mosquitto.USER, "topic": "site/box", **settings}
        wanted = NotifySettings(kind="mqtt", name="plant", on=True, url=url, **said)
        cameras: Any = SimpleNamespace(
            all=lambda: tuple(self.cameras),
            find=lambda name: next((c for c in self.cameras if c.name == name), None),
            write_caption=self._write,
        )
        lines: Any = SimpleNamespace(
            outputs=lambda: self.outputs, inputs=lambda: self.inputs, switch=self._note("switch")
        )
        ptz: Any = SimpleNamespace(
            stop=self._note("stop"), stop_all=self._note("stop_all"), preset=self._note("preset")
        )
        box: Any = SimpleNamespace(
            name="盒子", fault=lambda: None, warnings=list, clock_state=lambda: ClockState("ntp", 1)
        )
        states = States(
            cameras, lines, lambda: [VolumeSeen("ring", "recording", "", 9)], box, "0.1"
        )
        commands = Commands("plant", cameras, lines, ptz, self._record, self.audit, self.clock)
        return MqttNotifier(
            wanted, lambda: Mosquitto.PASSWORD, states, commands, self.machines, lambda: "盒子",
            ENDPOINT, permit, self.home, self.clock,
        )  # fmt: skip

    def _note(self, what: str) -> Callable[..., None]:
        def note(*said: Any) -> None:
            self.did.append((what, *said))

        return note

    def _record(self, name: str, for_s: float | None) -> None:
        if name not in {one.name for one in self.cameras}:
            raise unknown_camera()
        self.did.append(("record", name, for_s))

    async def _write(self, name: str, caption: CaptionText) -> tuple[str, ...]:
        self.did.append(("caption", name, caption))
        return ()


@pytest.fixture
def box(tmp_path: Path):
    made = Box(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path_factory.mktemp("broker")) as it:
        yield it


@contextlib.asynccontextmanager
async def running(made: MqttNotifier) -> AsyncIterator[MqttNotifier]:
    task = asyncio.create_task(made.session())
    try:
        await until(lambda: task.done() or made.tally.standing == "connected")
        assert not task.done(), task.exception()
        yield made
    finally:
        await ended([task])


def url(broker: Mosquitto) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


def kept(heard: Heard, topic: str) -> Any:
    payload = heard.kept.get(f"site/box/{topic}")
    return None if payload is None else json.loads(payload)


async def test_a_broker_keeps_the_state_of_everything_and_is_told_of_changes(
    box: Box, broker: Mosquitto
) -> None:
    async with running(box.notifier(url(broker))) as it:
        await until(lambda: it.tally.sent >= 8)
        async with hearing(broker, "#") as heard:  # who comes later finds it
            await heard.until(lambda h: len(h.kept) == 8)
            assert all(retained for _, _, retained in heard.all)
            assert heard.kept["site/box/status"] == b"online"
            assert kept(heard, "camera/gate")["state"] == "live"
            assert kept(heard, "camera/gate")["recording"] is True
            assert kept(heard, "output/lamp")["state"] == "OFF"
            assert kept(heard, "input/fence")["state"] == "normal"
            assert kept(heard, "volume/ring")["role"] == "recording"
            assert kept(heard, "box")["name"] == "盒子"
            box.outputs[0] = replace(box.outputs[0], on=True)
            del box.cameras[1]
            it.offer(News("n-1", 1_800_000_000_000_000, "motion", "begin", "gate"))
            await heard.until(lambda h: kept(h, "output/lamp")["state"] == "ON")
            await heard.until(lambda h: h.kept["site/box/camera/yard"] == b"")
            await heard.until(lambda h: h.of("site/box/event"))
            told = json.loads(heard.of("site/box/event")[0])
            assert told["at"] == "2027-01-15T08:00:00.000Z"
            assert (told["id"], told["event"], told["camera"]) == ("n-1", "motion", "gate")
        async with hearing(broker, "#") as later:
            await later.until(lambda h: len(h.kept) == 7)
            assert "site/box/event" not in later.kept  # an event is no state
            assert "site/box/camera/yard" not in later.kept


async def test_a_broker_says_offline_of_who_vanishes_and_of_who_leaves(
    box: Box, broker: Mosquitto
) -> None:
    async with hearing(broker, "site/box/status") as heard:
        async with running(box.notifier(url(broker))) as it:
            await heard.until(lambda h: h.of("site/box/status") == [b"online"])
            # Somebody pulls the plug: the broker sees the end of the connection, no farewell.
            client_id = f"nvr-{ENDPOINT[:8]}-plant"
            async with broker.client(client_id):
                await heard.until(lambda h: h.of("site/box/status")[-1] == b"offline")
            assert it.tally.sent > 0
        async with running(box.notifier(url(broker))):
            await heard.until(lambda h: h.of("site/box/status")[-1] == b"online")
        await heard.until(lambda h: h.of("site/box/status")[-1] == b"offline")


async def test_after_a_broker_was_away_everything_is_there_again_and_news_were_kept(
    box: Box, broker: Mosquitto
) -> None:
    made = box.notifier(url(broker))
    task = asyncio.create_task(made.session())
    await until(lambda: made.tally.standing == "connected")
    await broker.end()  # it forgets all that it was told to keep
    with pytest.raises(NvrError) as caught:
        await task
    assert caught.value.code in {"notify.lost", "notify.unreachable"}
    for number in range(1002):
        made.offer(News(f"n-{number}", 1, "motion", "begin", "gate"))
    with pytest.raises(NvrError, match=r"notify\.unreachable"):
        await made.session()
    await broker.start()
    async with hearing(broker, "#") as heard, running(made):
        await heard.until(lambda h: len(h.of("site/box/event")) == 1001)
        first, second = map(json.loads, heard.of("site/box/event")[:2])
        assert (first["event"], first["detail"][:7]) == ("dropped", "2 older")
        assert second["id"] == "n-2"
        await heard.until(lambda h: len({w for w, _, _ in h.all}) == 9)
        assert made.outbox.dropped == 2


async def test_commands_are_off_unless_said_and_obeyed_by_the_rights_of_the_credential(
    box: Box, broker: Mosquitto
) -> None:
    orders = [
        ("output/lamp/set", "ON"), ("output/gate/set", "pulse"), ("output/lamp/set", "OFF"),
        ("camera/gate/preset/set", "7"), ("camera/gate/stop/set", ""), ("stop/set", "x"),
        ("camera/gate/caption/set", "第一行\n第二行"), ("camera/gate/record/set", "30"),
        ("camera/yard/record/set", ""),
    ]  # fmt: skip
    async with (
        hearing(broker, "site/box/answer") as heard,
        broker.client() as person,
    ):
        async with running(box.notifier(url(broker))):
            for topic, payload in orders:
                await person.publish(f"site/box/{topic}", payload, qos=1)
            await asyncio.sleep(0.5)
            assert box.did == []
        async with running(box.notifier(url(broker), commands=True)) as it:
            for topic, payload in orders:
                await person.publish(f"site/box/{topic}", payload, qos=1)
            await heard.until(lambda h: len(h.all) == len(orders))
            assert all(json.loads(one)["ok"] for one in heard.of("site/box/answer"))
            assert it.tally.commands == len(orders)
        did = {one[0]: one for one in box.did}
        assert len(box.did) == len(orders)
        assert [one[1:3] for one in box.did if one[0] == "switch"] == [
            ("lamp", "on"), ("gate", "pulse"), ("lamp", "off"),
        ]  # fmt: skip
        assert did["switch"][3:] == ("broker", "mqtt/plant")
        assert (did["preset"][1], did["preset"][3:]) == ("gate", ("call", 7))
        assert did["preset"][2].role == "machine"
        assert did["caption"][2] == replace(CAPTION, lines=("第一行", "第二行"))
        assert [one[1:] for one in box.did if one[0] == "record"] == [("gate", 30), ("yard", None)]
        box.did.clear()
        async with running(box.notifier(url(broker), commands=True, credential="guest")) as it:
            before = len(heard.all)
            for topic, payload in orders:
                await person.publish(f"site/box/{topic}", payload, qos=1)
            await heard.until(lambda h: len(h.all) == before + len(orders))
            told = [json.loads(one) for one in heard.of("site/box/answer")[before:]]
            codes = {one["topic"]: one.get("code") for one in told}
            assert codes == {
                "output/lamp/set": "gpio.unknown_output",
                "output/gate/set": "gpio.unknown_output",
                "camera/gate/preset/set": "auth.denied",
                "camera/gate/stop/set": None,
                "stop/set": None,
                "camera/gate/caption/set": "auth.denied",
                "camera/gate/record/set": "auth.denied",
                "camera/yard/record/set": "camera.unknown",
            }
            assert {one[0] for one in box.did} == {"stop", "stop_all"}
            assert it.tally.refused == 7


async def test_a_broker_is_told_no_more_than_its_credential_may_know(
    box: Box, broker: Mosquitto
) -> None:
    async with (
        hearing(broker, "#") as heard,
        running(box.notifier(url(broker), credential="guest")) as it,
    ):
        it.offer(News("n-1", 1, "motion", "begin", "yard"))
        it.offer(News("n-2", 1, "input", "begin", "", "fence"))
        it.offer(News("n-3", 1, "motion", "begin", "gate"))
        await heard.until(lambda h: h.of("site/box/event"))
        await heard.until(lambda h: kept(h, "camera/gate"))
        assert [json.loads(one)["id"] for one in heard.of("site/box/event")] == ["n-3"]
        assert {one.removeprefix("site/box/") for one in heard.kept} == {
            "status", "box", "volume/ring", "camera/gate", "event",
        }  # fmt: skip
        box.machines.remove("guest")
        box.machines.add("guest", rights_of({"yard": ["live"]}))
        await heard.until(lambda h: h.kept["site/box/camera/gate"] == b"")
        await heard.until(lambda h: kept(h, "camera/yard"))


async def test_what_is_malformed_retained_or_too_much_is_refused_and_stop_gets_through(
    box: Box, broker: Mosquitto
) -> None:
    async with hearing(broker, "site/box/answer") as heard, broker.client() as person:
        await person.publish("site/box/output/lamp/set", "ON", qos=1, retain=True)
        async with running(box.notifier(url(broker), commands=True)) as it:
            await until(lambda: it.tally.refused == 1)
            assert box.did == []  # nobody knows when that was said
            wrong: list[tuple[str, bytes]] = [
                ("output/lamp/set", b"\xff\xfe"), ("output/lamp/set", b"TOGGLE"),
                ("output/lamp/set", b"ON" * 2000), ("output/none/set", b"ON"),
                ("camera/gate/preset/set", b"-1"), ("camera/gate/preset/set", b"9" * 1000),
                ("camera/gate/preset/set", "٣".encode()), ("camera/gate/preset/set", b"256"),
                ("camera/gate/record/set", b"1e9"), ("camera/gate/elsewhere/set", b""),
                ("camera/none/record/set", b""), ("camera/大门/record/set", b""),
            ]  # fmt: skip
            for topic, payload in wrong:
                await person.publish(f"site/box/{topic}", payload, qos=1)
            await heard.until(lambda h: len(h.all) == len(wrong))
            assert not any(json.loads(one)["ok"] for one in heard.of("site/box/answer"))
            flood = 3000
            for _ in range(flood):
                await person.publish("site/box/output/lamp/set", "ON")
            await person.publish("site/box/camera/gate/stop/set", "")
            await until(lambda: any(one[0] == "stop" for one in box.did))
            assert sum(one[0] == "switch" for one in box.did) < BURST + 300
            await it.test(News("t", 1, "test"))  # it goes on
    rows, bad = box.audit.rows(limit=1000)
    assert bad is None
    refused = [row.entry.reason for row in rows if row.entry.action == "mqtt"]
    assert 2 <= len(refused) < 12


async def test_tls_is_verified_by_ca_pin_and_name(box: Box, broker: Mosquitto) -> None:
    other = Certificate(box.home, "other")
    place = f"mqtts://localhost:{broker.tls_port}"
    (box.home / "ca.pem").write_bytes(broker.certificate.cert.read_bytes())
    for how, code in (
        ({}, "notify.certificate"),
        ({"ca": "other.pem"}, "notify.certificate"),
        ({"pin": other.pin}, "notify.certificate"),
        ({"ca": "none.pem"}, "notify.ca"),
    ):
        with pytest.raises(NvrError) as caught:
            await box.notifier(place, **how).session()
        assert caught.value.code == code, (how, str(caught.value))
    for how in ({"ca": "ca.pem"}, {"pin": broker.certificate.pin}):
        async with running(box.notifier(place, **how)) as it:
            await it.test(News("t", 1, "test"))


async def test_what_keeps_it_from_a_broker_is_said(box: Box, broker: Mosquitto) -> None:
    for made, code in (
        (box.notifier(url(broker), Permit()), "notify.forbidden"),
        (box.notifier(url(broker), user="nobody"), "mqtt.refused"),
        (box.notifier(url(broker), credential="gone"), "mqtt.credential"),
        (box.notifier("mqtt://127.0.0.1:1"), "notify.unreachable"),
        (box.notifier("mqtt://nowhere.invalid"), "notify.unreachable"),
    ):
        with pytest.raises(NvrError) as caught:
            await made.session()
        assert caught.value.code == code, str(caught.value)


async def test_home_assistant_is_told_only_if_said_and_without_commands_no_switches(
    box: Box, broker: Mosquitto
) -> None:
    node = ENDPOINT.replace("-", "")
    async with hearing(broker, "homeassistant/#") as heard:
        async with running(box.notifier(url(broker))) as it:
            await until(lambda: it.tally.sent >= 8)
        assert heard.kept == {}
        made = box.notifier(url(broker), discovery=True, commands=True)
        async with running(made):
            await heard.until(lambda h: len(h.kept) == 9)
            first = made
        lamp = json.loads(heard.kept[f"homeassistant/switch/{node}/output_lamp/config"])
        assert lamp["command_topic"] == "site/box/output/lamp/set"
        assert lamp["availability_topic"] == "site/box/status"
        assert lamp["device"]["identifiers"] == [ENDPOINT]
        # Set otherwise, it is told no more; given up for good, nothing of ours stays there.
        made = box.notifier(url(broker))
        made.inherit(first.kept())
        async with running(made):
            await heard.until(lambda h: not any(h.kept.values()))
            async with hearing(broker, "site/box/#", "other") as all_:
                await all_.until(lambda h: h.kept.get("site/box/status") == b"online")
                made.leaves = True
        async with hearing(broker, "#", "late") as late:
            await asyncio.sleep(0.5)
            assert late.kept == {}


async def test_a_stop_goes_before_what_waits_and_fits_when_nothing_does() -> None:
    tally = Tally(SystemClock())
    queue = Incoming(tally, maxsize=3)
    for topic in ("a/set", "b/set", "c/set", "d/set", "x/stop/set"):
        queue.put_nowait(SimpleNamespace(topic=topic))
    assert [queue.get_nowait().topic for _ in range(3)] == ["x/stop/set", "a/set", "b/set"]
    assert tally.refused == 2


def test_commands_without_a_rule_do_not_start(box: Box, monkeypatch) -> None:
    monkeypatch.setattr(mqtt_command, "KEYS", (*mqtt_command.KEYS, "mqtt elsewhere"))
    with pytest.raises(NvrError, match=r"policy\.missing"):
        box.notifier("mqtt://127.0.0.1")
