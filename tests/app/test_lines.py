"""What people do to outputs, and what follows from inputs: real threads, pipes and files."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import Rejected, Unavailable
from nvr.config import load
from nvr.config.head import Has
from nvr.media.gpio import InputCall, WipeWish
from nvr.media.ports import Operator
from tests.app.lines import Bench, bench
from tests.web.box import LogPtz

WHO = ("op", "192.0.2.1")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Bench]:
    ptz = LogPtz(("gate", "yard"), FakeClock())
    async with bench(tmp_path, ptz) as made:
        made.ptz = ptz
        yield made


async def until(holds: Callable[[], object], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end_s, "in vain"
        await asyncio.sleep(0.01)


def output(rig: Bench, name: str):
    return next(one for one in rig.lines.outputs() if one.name == name)


def sensor(rig: Bench, name: str):
    return next(one for one in rig.lines.inputs() if one.name == name)


async def test_switched_cut_and_written_down(rig: Bench) -> None:
    rig.lines.switch("siren", "on", *WHO)
    await until(lambda: rig.relays.state.get("siren"))
    await until(lambda: output(rig, "siren").on)
    left_s = output(rig, "siren").left_s
    assert left_s is not None
    assert 0 < left_s <= 0.3
    await until(lambda: not rig.relays.state["siren"])
    await until(lambda: ("output", "siren", False) in rig.happened())
    await rig.audit.flush()
    assert rig.rows() == [
        ("output.on", "", "op", "output:siren"),
        ("output.limit", "off", "box", "output:siren"),
    ]


async def test_a_door_gets_its_pulse(rig: Bench) -> None:
    rig.lines.switch("door", "pulse", *WHO)
    on_s = rig.relays.first("door", True, 0.0)
    off_s = rig.relays.first("door", False, on_s)
    assert off_s - on_s >= 0.15


async def test_refusals_leave_no_row(rig: Bench) -> None:
    rig.lines.switch("horn", "on", *WHO)
    for name, do, code in (
        ("siren", "on", "gpio.interlocked"),
        ("siren", "pulse", "gpio.interlocked"),
        ("nothing", "on", "gpio.unknown_output"),
        ("nothing", "pulse", "gpio.unknown_output"),
    ):
        with pytest.raises(Rejected, check=lambda err, code=code: err.code == code):
            rig.lines.switch(name, do, *WHO)
    await until(lambda: output(rig, "siren").blocked_by == "horn")
    await rig.audit.flush()
    assert [row[0] for row in rig.rows()] == ["output.on"]


async def test_a_wiper_wipes_and_off_ends_it(rig: Bench) -> None:
    task = asyncio.create_task(rig.lines.run())
    rig.lines.wipe("wiper", WipeWish("wash", strokes=2, wash_s=0.5), *WHO)
    assert output(rig, "wiper").wiping == "wash"
    sprayed_s = rig.relays.first("washer", True, 0.0)
    dry_s = await asyncio.to_thread(rig.relays.first, "washer", False, sprayed_s)
    wiped_s = await asyncio.to_thread(rig.relays.first, "wiper", True, sprayed_s)
    ended_s = await asyncio.to_thread(rig.relays.first, "wiper", False, wiped_s)
    assert dry_s - sprayed_s >= 0.4
    assert ended_s - wiped_s >= 0.3
    rig.lines.wipe("wiper", WipeWish("intermittent", every_s=3), *WHO)
    await until(lambda: output(rig, "wiper").on)
    await asyncio.sleep(0.1)  # that is told
    rig.lines.switch("wiper", "off", *WHO)
    assert output(rig, "wiper").wiping == ""
    await until(lambda: not rig.relays.state["wiper"])
    assert "wiper" not in {name for _, name, _ in rig.happened()}, "one stroke of many"
    with pytest.raises(Rejected, check=lambda err: err.code == "gpio.not_wiper"):
        rig.lines.wipe("horn", WipeWish(), *WHO)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await rig.audit.flush()
    assert [row[:2] for row in rig.rows()] == [
        ("output.wipe", "wash"),
        ("output.wipe", "intermittent"),
        ("output.off", ""),
    ]


async def test_a_hand_ends_a_program(rig: Bench) -> None:
    rig.lines.wipe("wiper", WipeWish("intermittent", every_s=3), *WHO)
    rig.lines.switch("wiper", "on", *WHO)
    assert output(rig, "wiper").wiping == ""
    await until(lambda: output(rig, "wiper").on)


async def test_a_heads_own_wiper_wipes_too(rig: Bench) -> None:
    task = asyncio.create_task(rig.lines.run())
    who = Operator("op", "operator", "page/1")
    rig.lines.wipe_camera("gate", WipeWish(strokes=1), who)
    await until(lambda: ("output", "gate", "op", "wiper", True) in rig.ptz.log)
    await until(lambda: ("output", "gate", "op", "wiper", False) in rig.ptz.log)
    rig.lines.wipe_camera("gate", WipeWish("intermittent"), who)
    rig.lines.rest_camera("gate", who)
    with pytest.raises(Rejected, check=lambda err: err.code == "gpio.no_washer"):
        rig.lines.wipe_camera("gate", WipeWish("wash"), who)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await rig.audit.flush()
    assert [row[:2] for row in rig.rows()] == [
        ("ptz.wipe", "single"),
        ("ptz.wipe", "intermittent"),
        ("ptz.wipe", "off"),
    ]


async def test_an_alarm_is_kept_recorded_called_and_over(rig: Bench) -> None:
    called: list[tuple[str, int, str]] = []
    rig.lines.call_up = lambda *words: called.append(words)
    began: list[tuple[str, str, str]] = []
    rig.lines.began = lambda *words: began.append(words)
    await until(lambda: sensor(rig, "fence").state == "normal")
    task = asyncio.create_task(rig.lines.run())
    rig.move("fence", 0)
    await until(lambda: sensor(rig, "fence").state == "alarm")
    await until(lambda: len(rig.recorded) >= 4)  # at once, and again while it lasts
    assert set(rig.recorded) == {"gate", "yard"}
    assert called == [("gate", 3, "fence")]
    assert began == [("gate", "input", "fence"), ("yard", "input", "fence")]
    for camera in ("", "gate", "yard"):
        assert rig.happened(camera) == [("input", "fence", True)]
    rig.move("fence", 1)
    await until(lambda: rig.happened("gate") == [("input", "fence", False)])
    await until(lambda: set(rig.told) == {"gate", "yard"})
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await rig.audit.flush()
    assert rig.rows() == [
        ("input.change", "alarm", "box", "input:fence"),
        ("input.change", "normal", "box", "input:fence"),
    ]


async def test_a_call_up_goes_to_the_head_and_a_refusal_stops_nothing(rig: Bench) -> None:
    rig.lines.call_up("gate", 3, "fence")
    assert rig.ptz.log[-1] == ("call_up", "gate", "input fence", 3, 60.0)

    def refuses(*_words: object) -> None:
        raise Unavailable("ptz.bus_down", "no adapter")

    rig.lines.call_up = refuses
    await until(lambda: sensor(rig, "fence").state == "normal")
    rig.move("fence", 0)
    await until(lambda: rig.happened("gate") == [("input", "fence", True)])


async def test_what_follows_is_changed_at_once_and_for_good(rig: Bench) -> None:
    await until(lambda: sensor(rig, "fence").state == "normal")
    rig.move("fence", 0)
    await until(lambda: rig.happened("gate") == [("input", "fence", True)])
    await rig.lines.follow("fence", ("yard", "yard"), (InputCall("gate", 7),))
    kept = load.read(rig.toml).input["fence"]
    assert (kept.record, kept.call[0].camera, kept.call[0].preset) == (("yard",), "gate", 7)
    assert rig.toml.read_text().startswith("# mine\n")
    assert sensor(rig, "fence").cameras == ("yard",)
    rig.move("fence", 1)  # what began at the camera ends there
    await until(lambda: rig.happened("gate") == [("input", "fence", False)])
    rig.move("fence", 0)
    await until(lambda: len(rig.happened("yard")) == 2)
    assert len(rig.happened("gate")) == 1
    await rig.lines.follow("cabinet", ("gate",), ())
    await rig.lines.follow("fence", (), ())
    assert set(load.read(rig.toml).input) == {"cabinet"}
    with pytest.raises(Rejected, check=lambda err: err.code == "gpio.unknown_input"):
        await rig.lines.follow("nothing", (), ())


async def test_a_cut_line_is_tampering(rig: Bench) -> None:
    await until(lambda: sensor(rig, "cabinet").state == "normal")
    for level, state, kind in (
        (3, "open", "tamper"),
        (2, "alarm", "input"),
        (0, "short", "tamper"),
    ):
        rig.move("cabinet", level)
        await until(lambda state=state: sensor(rig, "cabinet").state == state)
        await until(lambda kind=kind: rig.happened()[-1:] == [(kind, "cabinet", True)])
    assert [kind for kind, _, _ in rig.happened()] == ["tamper", "input", "tamper"]


async def test_a_line_that_chatters_floods_nothing(rig: Bench) -> None:
    await until(lambda: sensor(rig, "cabinet").state == "normal")
    pipe = os.open(rig.sim / "input/cabinet", os.O_WRONLY)
    for _ in range(100):
        os.write(pipe, b"21" * 30)
        await asyncio.sleep(0.002)
    os.close(pipe)
    await until(lambda: sensor(rig, "cabinet").storm)
    await until(lambda: sensor(rig, "cabinet").edges > 100)
    await rig.audit.flush()
    said = [row[0] for row in rig.rows()]
    assert said.count("input.storm") == 1
    assert len(said) <= 5, said


def test_what_follows_an_input_is_checked() -> None:
    has = Has(frozenset(), frozenset(), frozenset({"door"}))
    text = 'schema = 1\n[input.fence]\nrecord = ["gate"]\n'
    assert [str(fault) for fault in load.check(text, board=has)] == [
        "$.input.fence: the board has no input fence (it has door)",
    ]
    assert load.check(text.replace("fence", "door"), board=has) == []


async def test_a_camera_that_went_is_named(rig: Bench) -> None:
    assert rig.lines.warnings() == []
    rig.lines._known = {"gate": 1}.get
    rig.ptz._status.clear()
    said = [(err.code, err.context) for err in rig.lines.warnings()]
    assert said == [
        ("gpio.no_camera", {"input": "fence", "camera": "yard"}),
        ("gpio.no_camera", {"input": "fence", "camera": "gate"}),
    ]
