import asyncio
import contextlib
import json

import aiohttp
import msgpack
import pytest

from nvr.base.errors import Rejected
from nvr.web.operation import ACTIONS
from tests.web import box as boxes


class Pad:
    """A page's end of the control channel."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, **message):
        await self.socket.send_bytes(msgpack.packb(message))

    async def get(self, op, seconds=3.0):
        async with asyncio.timeout(seconds):
            while True:
                message = msgpack.unpackb(await self.socket.receive_bytes())
                if message["op"] == op:
                    return message

    async def ask(self, **message):
        await self.send(id=7, **message)
        async with asyncio.timeout(3):
            while True:
                answer = msgpack.unpackb(await self.socket.receive_bytes())
                if answer["op"] in {"ok", "error"}:
                    assert answer["id"] == 7
                    return answer


@pytest.fixture
async def pad(box):
    async with box.client() as client:
        await client.log_in("owner")
        async with client.socket("/ws/control") as socket:
            yield Pad(socket)


async def settled(box):
    await asyncio.sleep(0.1)
    return [entry for entry in box.parts.ptz.log if entry[0] != "gone"]


async def test_every_operation_reaches_the_head_and_is_answered(box, pad):
    for message in (
        {"op": "take", "cam": "gate"},
        {"op": "move", "cam": "gate", "n": 1, "v": [0.5, -0.25, 0]},
        {"op": "lens", "cam": "gate", "n": 2, "focus": 1, "iris": -1},
        {"op": "aim", "cam": "gate", "x": 0.75, "y": 0.25, "width": 0.5, "height": 0.5},
        {"op": "preset", "cam": "gate", "do": "set", "number": 3, "name": "大门"},
        {"op": "preset", "cam": "gate", "do": "call", "number": 3},
        {"op": "preset", "cam": "gate", "do": "clear", "number": 3},
        {"op": "output", "cam": "gate", "name": "wiper", "on": True},
        {"op": "lock", "cam": "gate", "lasts_s": 3600, "reason": "检修"},
        {"op": "unlock", "cam": "gate"},
        {"op": "run", "cam": "gate", "what": "home"},
        {"op": "run", "cam": "gate"},
        {"op": "guard", "cam": "gate", "on": False},
        {"op": "pattern", "cam": "gate", "act": "begin", "name": "p", "preset": 1},
        {"op": "pattern", "cam": "gate", "act": "keep"},
        {"op": "stop", "cam": "gate"},
        {"op": "stop_all"},
        {"op": "release", "cam": "gate"},
    ):
        answer = await pad.ask(**message)
        assert answer["op"] == "ok", answer
    assert await settled(box) == [
        ("take", "gate", "owner"),
        ("move", "gate", "owner", 0.5, -0.25, 0.0),
        ("lens", "gate", "owner", 1, -1),
        ("aim", "gate", "owner", 0.75, 0.25, 0.5, 0.5, 1.778),
        ("preset", "gate", "owner", "set", 3, "大门"),
        ("preset", "gate", "owner", "call", 3, ""),
        ("preset", "gate", "owner", "clear", 3, ""),
        ("output", "gate", "owner", "wiper", True),
        ("lock", "gate", "owner", 3600.0, "检修"),
        ("unlock", "gate", "owner"),
        ("start", "gate", "home", "owner"),
        ("release", "gate", "owner"),
        ("end", "gate", "owner"),
        ("take_down", "gate", "owner", "p", 1),
        ("taken", "gate", "owner", True),
        ("stop", "gate", "owner"),
        ("stop_all", "owner"),
        ("release", "gate", "owner"),
    ]
    await pad.send(op="ping", t=12.5)
    assert (await pad.get("pong"))["t"] == 12.5


async def test_state_comes_at_once_and_each_second_and_heads_when_they_change(box, pad):
    state = await pad.get("state")
    assert [one["name"] for one in state["cameras"]] == ["gate", "yard", "dock"]
    assert state["box"]["user"]["name"] == "owner"
    head = await pad.get("ptz")
    assert head["cam"] == "gate"
    assert head["holder"] is None
    assert head["outputs"] == {"wiper": False, "lamp": False}
    await pad.send(op="move", cam="gate", n=1, v=[1, 0, 0])
    head = await pad.get("ptz")
    assert head["moving"]
    assert head["holder"]["mine"]
    assert head["holder"]["source"].startswith("page/")
    await pad.send(op="stop", cam="gate")
    assert (await pad.get("stopped"))["sent_ms"] == 2.5
    await pad.get("state", 1.5)


@pytest.mark.parametrize("how", ["close", "cut"])
async def test_a_page_that_goes_stops_what_it_moves(box, how):
    async with box.client() as client:
        await client.log_in("owner")
        socket = await client.socket("/ws/control")
        await Pad(socket).send(op="move", cam="gate", n=1, v=[1, 0, 0])
        await asyncio.sleep(0.1)
        assert box.parts.ptz.status("gate").moving
        if how == "close":
            await socket.close()
        else:
            socket._response.connection.transport.abort()
        await asyncio.sleep(0.1)
        assert box.parts.ptz.log[-1] == ("gone", "owner")
        assert not box.parts.ptz.status("gate").moving


async def test_a_flood_of_moves_becomes_few_and_ends_with_the_newest(box, pad):
    for n in range(1, 500):
        await pad.send(op="move", cam="gate", n=n, v=[n / 500, 0, 0])
    await asyncio.sleep(0.2)
    moves = [one for one in await settled(box) if one[0] == "move"]
    assert len(moves) < 60
    assert moves[-1][3] == 499 / 500
    assert moves == sorted(moves, key=lambda one: one[3])


async def test_a_stop_in_a_flood_is_obeyed_and_nothing_old_moves_after_it(box, pad):
    for n in range(1, 60):
        await pad.send(op="move", cam="gate", n=n, v=[n / 100, 0, 0])
    await pad.send(op="stop", cam="gate")
    await pad.send(op="move", cam="gate", n=3, v=[1, 0, 0])  # overtaken on the way
    assert (await settled(box))[-1] == ("stop", "gate", "owner")


async def test_neutral_is_not_held_back(box, pad):
    await pad.ask(op="move", cam="gate", n=1, v=[1, 0, 0])
    await pad.ask(op="move", cam="gate", n=2, v=[0.5, 0, 0])
    await pad.ask(op="move", cam="gate", n=3, v=[0, 0, 0])
    assert [one[3] for one in box.parts.ptz.log] == [1.0, 0.0]
    assert [one[3] for one in await settled(box)] == [1.0, 0.0]


async def test_a_refusal_of_the_head_is_told_with_its_context(box, pad):
    box.parts.ptz.refuse = Rejected("ptz.held", "张工 has it", holder="张工", until_us=5)
    answer = await pad.ask(op="move", cam="gate", n=1, v=[1, 0, 0])
    assert (answer["op"], answer["code"]) == ("error", "ptz.held")
    assert answer["context"] == {"holder": "张工", "until_us": 5}
    await pad.send(op="move", cam="gate", n=2, v=[1, 0, 0])
    error = await pad.get("error")
    assert (error["cam"], error["id"]) == ("gate", None)


async def test_who_may_only_look_may_stop_and_nothing_else(box):
    await box.user("viewer", "viewer", {"gate": ["live", "ptz", "relay"]})
    async with box.client() as client:
        await client.log_in("viewer")
        async with client.socket("/ws/control") as socket:
            pad = Pad(socket)
            state = await pad.get("state")
            assert [one["name"] for one in state["cameras"]] == ["gate"]
            refused = [
                {"op": "move", "n": 1, "v": [1, 0, 0]},
                {"op": "lens", "focus": 1},
                {"op": "aim", "x": 0.5, "y": 0.5},
                {"op": "take"},
                {"op": "release"},
                {"op": "lock", "lasts_s": 60, "reason": "x"},
                {"op": "unlock"},
                {"op": "function", "function": "menu"},
                {"op": "run", "what": "home"},
                {"op": "guard", "on": False},
                {"op": "pattern", "act": "keep"},
                {"op": "preset", "do": "call", "number": 1},
                {"op": "preset", "do": "set", "number": 1},
                {"op": "preset", "do": "clear", "number": 1},
                {"op": "output", "name": "lamp", "on": True},
            ]
            for message in refused:
                for camera, code in (
                    ("gate", "auth.denied"),
                    ("yard", "camera.unknown"),
                    ("no-such", "camera.unknown"),
                ):
                    answer = await pad.ask(cam=camera, **message)
                    assert (answer["op"], answer["code"]) == ("error", code), message
            answers = [await pad.ask(op="stop", cam=camera) for camera in ("yard", "no-such")]
            for answer in answers:
                del answer["cam"]
            assert answers[0] == answers[1]
            assert (await pad.ask(op="stop", cam="gate"))["op"] == "ok"
            assert (await pad.ask(op="stop_all"))["op"] == "ok"
    assert await settled(box) == [("stop", "gate", "viewer"), ("stop_all", "viewer")]
    keys = {f"control {one['op']}" + (f" {one['do']}" if "do" in one else "") for one in refused}
    assert keys | {"control stop", "control stop_all", "control ping"} == set(ACTIONS)


async def test_heads_of_cameras_one_must_not_know_stay_unseen(box):
    await box.user("other", "operator", {"yard": ["live", "ptz"]})
    async with box.client() as client, box.client() as owner:
        await client.log_in("other")
        await owner.log_in("owner")
        async with client.socket("/ws/control") as theirs, owner.socket("/ws/control") as ours:
            await Pad(ours).ask(op="move", cam="gate", n=1, v=[1, 0, 0])
            await Pad(ours).ask(op="stop", cam="gate")
            await Pad(theirs).send(op="stop_all")
            seen = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.5):
                    while True:
                        seen.append(msgpack.unpackb(await theirs.receive_bytes()))
            assert {one["op"] for one in seen} == {"state"}
            assert {one["name"] for told in seen for one in told["cameras"]} == {"yard"}
    assert ("stop_all", "other") not in box.parts.ptz.log


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x01\x02",
        msgpack.packb({"op": "fly"}),
        msgpack.packb({"op": "move", "cam": "gate", "n": 1, "v": [2, 0, 0]}),
        msgpack.packb({"op": "move", "cam": "gate", "n": 1, "v": [float("nan"), 0, 0]}),
        msgpack.packb({"op": "move", "cam": "gate", "n": 1, "v": [0, 0]}),
        msgpack.packb({"op": "preset", "cam": "gate", "do": "call", "number": 999}),
        msgpack.packb({"op": "output", "cam": "gate", "name": "wiper", "on": "yes"}),
        msgpack.packb({"op": "move", "cam": "g" * 99, "n": 1, "v": [0, 0, 0]}),
    ],
)
async def test_garbage_is_refused_and_the_channel_lives_on(box, pad, data):
    await pad.socket.send_bytes(data)
    assert (await pad.get("error"))["code"] == "body.invalid"
    assert (await pad.ask(op="stop", cam="gate"))["op"] == "ok"
    assert [one for one in box.parts.ptz.log if one[0] == "move"] == []


async def test_a_session_that_ends_stops_the_head_and_closes_the_channel(box):
    await box.user("op", "operator", {"*": ["live", "ptz"]})
    async with box.client() as client:
        await client.log_in("op")
        async with client.socket("/ws/control") as socket:
            pad = Pad(socket)
            assert (await pad.ask(op="move", cam="gate", n=1, v=[1, 0, 0]))["op"] == "ok"
            await box.parts.users.remove("op")
            answer = await pad.ask(op="move", cam="gate", n=2, v=[1, 0, 0])
            assert answer["code"] == "auth.needed"
            async with asyncio.timeout(3):
                while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                    pass
            assert message.data == 4401
            assert ("gone", "op") in box.parts.ptz.log
            assert not box.parts.ptz.status("gate").moving


async def test_refused_control_is_in_the_log(box):
    await box.user("viewer", "viewer", {"gate": ["live"]})
    async with box.client() as client, box.client() as owner:
        await client.log_in("viewer")
        async with client.socket("/ws/control") as socket:
            await Pad(socket).ask(op="move", cam="gate", n=1, v=[1, 0, 0])
        await owner.log_in("owner")
        _, told, _ = await owner.ask("GET", "/api/audit")
        row = next(row for row in told["rows"] if row["action"] == "control move")
        assert (row["who"], row["outcome"], row["reason"]) == ("viewer", "refused", "auth.denied")
        assert json.dumps(row)


async def test_two_tabs_of_one_person_are_two_hands(box):
    async with box.client() as client:
        await client.log_in("owner")
        async with client.socket("/ws/control") as one, client.socket("/ws/control") as two:
            await Pad(one).ask(op="take", cam="gate")
            async with asyncio.timeout(3):
                while not (head := await Pad(two).get("ptz"))["holder"]:
                    pass
            assert head["holder"]["mine"] is False
            assert boxes.PASSWORD
