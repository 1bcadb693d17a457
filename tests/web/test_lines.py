"""Outputs and inputs over the page's API: who may see and do what."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nvr.app.line_metrics import families
from nvr.base.clock import FakeClock
from nvr.wire.openmetrics import encode
from tests.app.lines import Bench, bench
from tests.web import box as boxes
from tests.web.box import PASSWORD, Box, LogPtz


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[tuple[Box, Bench]]:
    async with (
        bench(tmp_path, LogPtz(("gate",), FakeClock())) as lines,
        boxes.running(tmp_path, lines=lines.lines) as box,
    ):
        box.parts.cameras.put("gate", "Gate")
        await box.parts.claim.claim(box.parts.claim.code(), "owner", PASSWORD)
        await box.user("op", "operator", {"*": ["live", "relay"]})
        await box.user("porter", "operator", {"gate": ["live"], "@door": ["relay"]})
        await box.user("viewer", "viewer", {"*": ["live", "relay"]})
        yield box, lines


async def seen(client: boxes.Client) -> dict[str, list[str]]:
    _, told, _ = await client.ask("GET", "/api/line")
    return {each["output"]["name"]: each["may"] for each in told["outputs"]}


async def test_everybody_sees_and_does_what_is_theirs(rig: tuple[Box, Bench]) -> None:
    box, lines = rig
    plain = ["on", "off", "pulse"]
    async with box.client() as client:
        assert (await client.ask("GET", "/api/line"))[0] == 401
        await client.log_in("owner")
        assert await seen(client) == {
            "wiper": [*plain, "wipe"],
            **dict.fromkeys(("washer", "siren", "horn", "door"), plain),
        }
        await client.log_in("op")
        assert (await seen(client))["door"] == ["off"], "a door wants a right of its own"
        refused = await client.ask("POST", "/api/output/door", {"do": "pulse"})
        assert (refused[0], refused[1]["code"]) == (403, "auth.denied")
        await client.log_in("viewer")
        assert (await seen(client))["horn"] == []
        assert (await client.ask("POST", "/api/output/horn", {"do": "on"}))[0] == 403
        assert (await client.ask("POST", "/api/output/wiper/wipe", {}))[0] == 403
        await client.log_in("porter")
        assert await seen(client) == {"door": plain}
        told = await client.ask("POST", "/api/output/horn", {"do": "on"})
        assert (told[0], told[1]["code"]) == (404, "gpio.unknown_output")
        assert (await client.ask("POST", "/api/output/door", {"do": "pulse"}))[0] == 200
    assert lines.relays.first("door", True, 0.0)
    assert lines.relays.state.get("horn", False) is False


async def test_refusals_have_their_status_and_their_context(rig: tuple[Box, Bench]) -> None:
    box, _ = rig
    async with box.client() as client:
        await client.log_in("op")
        assert (await client.ask("POST", "/api/output/horn", {"do": "on"}))[0] == 200
        status, told, _ = await client.ask("POST", "/api/output/siren", {"do": "on"})
        assert (status, told["code"], told["context"]["by"]) == (409, "gpio.interlocked", "horn")
        for path, body, status, code in (
            ("none", {"do": "on"}, 404, "gpio.unknown_output"),
            ("horn", {"do": "explode"}, 400, "body.invalid"),
            ("horn", {"do": "on", "for": 3}, 400, "body.invalid"),
            ("horn/wipe", {}, 409, "gpio.not_wiper"),
            ("wiper/wipe", {"strokes": 50}, 400, "gpio.range"),
            ("wiper/wipe", {"every_s": "NaN"}, 400, "body.invalid"),
        ):
            found = await client.ask("POST", f"/api/output/{path}", body)
            assert (found[0], found[1]["code"]) == (status, code), path


async def test_wipers_of_both_kinds(rig: tuple[Box, Bench]) -> None:
    box, lines = rig
    async with box.client() as client:
        await client.log_in("op")
        body = {"program": "intermittent", "every_s": 5, "strokes": 2}
        assert (await client.ask("POST", "/api/output/wiper/wipe", body))[0] == 200
        _, told, _ = await client.ask("GET", "/api/line")
        assert told["outputs"][0]["output"]["wiping"] == "intermittent"
        assert (await client.ask("POST", "/api/output/wiper", {"do": "off"}))[0] == 200
        assert (await client.ask("POST", "/api/camera/gate/wipe", body))[0] == 200
        assert lines.lines.wipers.going("camera/gate") == "intermittent"
        assert (await client.ask("DELETE", "/api/camera/gate/wipe"))[0] == 200
        assert lines.lines.wipers.going("camera/gate") == ""
        await client.log_in("porter")
        assert (await client.ask("POST", "/api/camera/gate/wipe", body))[0] == 403


async def test_inputs_are_shown_and_counted_by_rights(rig: tuple[Box, Bench]) -> None:
    _, lines = rig
    box = rig[0]
    lines.move("fence", 0)
    async with box.client() as client:
        await client.log_in("op")
        end_s = time.monotonic() + 10
        while True:
            _, told, _ = await client.ask("GET", "/api/line")
            state = {one["name"]: one["state"] for one in told["inputs"]}
            if state["fence"] == "alarm":
                break
            assert time.monotonic() < end_s
            await asyncio.sleep(0.02)
            lines.move("fence", 0)
        assert state["cabinet"] == "normal"
        assert told["inputs"][0]["cameras"] == ["gate", "yard"]
        assert (await client.ask("GET", "/api/line/event"))[1]["code"] == "body.invalid"
        assert (await client.ask("GET", "/api/line/event?from_us=0&to_us=9"))[1] == {
            "happenings": []
        }
        await client.log_in("porter")
        assert (await client.ask("GET", "/api/line"))[1]["inputs"] == []
    text = encode(families(lines.lines, lambda name: name != "@cabinet"))
    assert 'nvr_input_state{input="fence",state="alarm"} 1' in text
    assert "cabinet" not in text
    assert 'nvr_output_on{output="siren",kind="siren"} 0' in text


async def test_only_who_administers_says_what_follows_an_input(rig: tuple[Box, Bench]) -> None:
    box, lines = rig
    body = {"cameras": ["gate"], "call": [{"camera": "gate", "preset": 2}]}
    async with box.client() as client:
        await client.log_in("op")
        assert (await client.ask("PUT", "/api/input/fence", body))[0] == 403
        await client.log_in("owner")
        status, told, _ = await client.ask("PUT", "/api/input/fence", body)
        assert status == 200
        assert (told["inputs"][0]["cameras"], told["inputs"][0]["call"]) == (["gate"], body["call"])
        for path, wrong, status in (
            ("nothing", body, 404),
            ("fence", {"cameras": ["../etc"]}, 400),
            ("fence", {"call": [{"camera": "gate", "preset": 0}]}, 400),
        ):
            assert (await client.ask("PUT", f"/api/input/{path}", wrong))[0] == status
    assert lines.lines.inputs()[0].cameras == ("gate",)
