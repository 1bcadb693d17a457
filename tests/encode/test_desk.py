"""The box's encoders: tried once a boot, shared, fallen back from."""

import asyncio
import json
from pathlib import Path

import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import Misconfigured, Unavailable
from nvr.encode import desk as under_test
from nvr.encode.desk import Desk, Offer, hold
from nvr.encode.share import Ask, Grant
from nvr.encode.verdict import Order, Verdict

OFFERS = [Offer("v4l2m2m", ("h264",), 1, 62.5), Offer("x264")]
COSTS = {"veryfast": 0.02, "superfast": 0.014, "ultrafast": 0.008}
SD = 10.0


@pytest.fixture
def trials(monkeypatch):
    """What each trial is to say; and which were held."""
    held: list[str] = []
    said = {"v4l2m2m": True, "x264": True}

    async def planted(order: Order) -> Verdict:
        held.append(order.encoder)
        works = said[order.encoder]
        return Verdict(
            encoder=order.encoder,
            works=works,
            code="" if works else "encoder.failed",
            detail="" if works else "green",
            costs=COSTS if order.encoder == "x264" else {},
        )

    monkeypatch.setattr(under_test, "hold", planted)
    return held, said


def made(tmp_path: Path, boot: str = "1", cores: float = 0.5):
    moved: list[tuple[str, str, str]] = []
    clock = FakeClock()

    def tell(stream: str, was: Grant, now: Grant) -> None:
        moved.append((stream, f"{was.encoder} {was.preset}", f"{now.encoder} {now.preset}"))

    return Desk(OFFERS, cores, tmp_path / "encoders.json", boot, clock, tell), moved, clock


async def test_trials_are_held_once_a_boot(tmp_path: Path, trials) -> None:
    held, said = trials
    said["v4l2m2m"] = False
    await made(tmp_path)[0].run()
    again, _, _ = made(tmp_path)
    await again.run()
    assert held == ["v4l2m2m", "x264"]
    first, second = again.report().encoders
    assert (first.state, first.code, first.detail) == ("failed", "encoder.failed", "green")
    assert (second.state, dict(second.costs)) == ("works", COSTS)
    await made(tmp_path, boot="2")[0].run()
    assert held == ["v4l2m2m", "x264"] * 2
    (tmp_path / "encoders.json").write_text("{")
    await made(tmp_path)[0].run()
    assert len(held) == 6, "a file cut short is none"


async def test_who_asks_waits_for_the_trials(tmp_path: Path, trials) -> None:
    desk, _, _ = made(tmp_path)
    asked = asyncio.ensure_future(desk.grant(Ask("a/main", "h264", SD)))
    await asyncio.sleep(0.02)
    assert not asked.done()
    await desk.run()
    assert (await asked).encoder == "v4l2m2m"


async def test_one_that_refuses_or_dies_twice_is_passed_over_for_a_while(tmp_path, trials) -> None:
    desk, moved, clock = made(tmp_path)
    await desk.run()
    ask = Ask("a/main", "h264", SD)
    died = Unavailable("encoder.died", "bus error")
    assert (await desk.grant(ask)).encoder == "v4l2m2m"
    assert (await desk.grant(ask, died)).encoder == "v4l2m2m", "once is nothing"
    assert (await desk.grant(ask, Unavailable("camera.lost", ""))).encoder == "v4l2m2m"
    assert (await desk.grant(ask, died)).encoder == "v4l2m2m", "not in a row"
    fallen = await desk.grant(ask, died)
    assert (fallen.encoder, fallen.instead_of) == ("x264", "v4l2m2m")
    [stream] = desk.report().streams
    assert (stream.encoder, stream.preset, stream.instead_of) == ("x264", "veryfast", "v4l2m2m")
    clock.advance(601)
    assert (await desk.grant(ask)).encoder == "v4l2m2m"
    refused = Misconfigured("encoder.refused", "no such size")
    assert (await desk.grant(ask, refused)).encoder == "x264"
    assert moved == [], "who asks is told by the answer"


async def test_others_are_told_when_their_share_changes(tmp_path: Path, trials) -> None:
    desk, moved, _ = made(tmp_path, cores=0.3)
    await desk.run()
    for n in range(3):
        await desk.grant(Ask(f"c{n}/main", "h264", SD))
    assert moved == [("c1/main", "x264 veryfast", "x264 superfast")]
    moved.clear()
    desk.resize("c2/main", SD * 2.5)
    assert {stream for stream, _, now in moved if now == "x264 ultrafast"} == {
        "c1/main", "c2/main",
    }  # fmt: skip
    assert desk.report().used_cores == round(0.008 * SD * 3.5, 2)
    moved.clear()
    desk.leave("c0/main")
    assert ("c1/main", "x264 ultrafast", "v4l2m2m ") in moved
    with pytest.raises(Unavailable, match=r"encoder\.busy"):
        await desk.grant(Ask("c4/main", "h264", 52.0))
    with pytest.raises(Misconfigured, match=r"encoder\.none"):
        await desk.grant(Ask("c5/main", "h265", 1.0))


async def test_a_trial_that_dies_or_talks_nonsense_is_a_verdict(monkeypatch) -> None:
    found = await hold(Order("x264"), "tests.encode.no_such_program")
    assert (found.works, found.code) == (False, "encoder.failed")
    assert "its trial ended with 1" in found.detail
    found = await hold(Order("x264"), "this")
    assert "says nonsense" in found.detail
    monkeypatch.setattr(under_test, "_TRIAL_S", 0.2)
    monkeypatch.setattr(under_test, "_END_S", 0.2)
    found = await hold(Order("x264"), "nvr.encode.trial")
    assert found.detail == "its trial hung"


async def test_a_real_trial_of_what_is_not_there() -> None:
    found = await hold(Order("nvenc"))
    assert json.loads(json.dumps(found.detail))
    assert (found.encoder, found.works) == ("nvenc", False)


async def test_h265_is_tried_once_somebody_wants_it(tmp_path: Path, trials) -> None:
    held, said = trials
    said["x265"] = True
    offers = [*OFFERS, Offer("x265", ("h265",))]
    desk = Desk(offers, 1.0, tmp_path / "encoders.json", "1", FakeClock(), lambda *_: None)
    running = asyncio.ensure_future(desk.run())
    assert (await desk.grant(Ask("a/main", "h264", SD))).encoder == "v4l2m2m"
    assert [one.state for one in desk.report().encoders] == ["works", "works", "untried"]
    assert held == ["v4l2m2m", "x264"]
    assert (await desk.grant(Ask("b/main", "h265", SD))).encoder == "x265"
    await running
    assert held == ["v4l2m2m", "x264", "x265"]
    assert [one.state for one in desk.report().encoders] == ["works"] * 3
