"""Sub streams over the page's API: settings, rights, live pictures, recordings, exports."""

import asyncio

import aiohttp
import pytest

from nvr.media.camera import PlanSettings
from tests.web.box import Box, fragments_of

SUB = {
    "url": "rtsp://192.0.2.10/stream2",
    "record": True,
    "retain_h": 300,
    "guaranteed_h": 0,
    "limit_h": 0,
    "limit_gb": 2.5,
    "size": None,
    "fps": 0,
    "kbit_s": 0,
    "codec": "",
}


async def test_a_sub_stream_is_given_changed_and_taken_away(box: Box) -> None:
    await box.user("op", "operator", {"gate": ["live", "playback"]})
    async with box.client() as client:
        await client.log_in("owner")
        path = "/api/camera/gate/sub"
        assert (await client.ask("GET", path))[1] == {"sub": None}
        assert (await client.ask("GET", "/api/camera/gate"))[1]["sub"] is None
        assert (await client.ask("PUT", path, SUB))[:2] == (200, {"sub": SUB})
        seen = (await client.ask("GET", "/api/camera/gate"))[1]["sub"]
        assert (seen["state"], seen["width_px"], seen["recorded"]) == ("live", 320, True)
        only = {"url": "rtsp://192.0.2.10/stream3", "record": False}
        assert (await client.ask("PUT", path, only))[1]["sub"]["retain_h"] == 0
        assert (await client.ask("GET", "/api/camera/gate"))[1]["sub"]["recorded"] is False
        for bad in (
            {"url": "rtsp://192.0.2.10/", "fps": 61},
            {"url": "http://192.0.2.10/"},
            {"url": "rtsp://u:p@192.0.2.10/"},
            {**SUB, "user": "x"},
        ):
            status, told, _ = await client.ask("PUT", path, bad)
            assert (status, told["code"]) == (400, "body.invalid"), bad
        status, told, _ = await client.ask("PUT", path, {**SUB, "guaranteed_h": 301})
        assert (status, told["code"]) == (409, "config.refused")
        assert (await client.ask("DELETE", path))[:2] == (200, {"sub": None})
        body = {"name": "hall", "url": "rtsp://192.0.2.11/1", "sub": SUB}
        assert (await client.ask("POST", "/api/camera", body))[0] == 201
        assert (await client.ask("GET", "/api/camera/hall/sub"))[1] == {"sub": SUB}
        _, log, _ = await client.ask("GET", "/api/audit")
        done = [row["action"] for row in log["rows"] if row["action"].endswith("/sub")]
        assert len([one for one in done if " PUT " in one]) == 7
        await client.log_in("op")
        for method in ("GET", "PUT", "DELETE"):
            body = SUB if method == "PUT" else None
            assert (await client.ask(method, path, body))[0] == 403, "no address for a viewer"


async def test_each_stream_has_its_plan(box: Box) -> None:
    async with box.client() as client:
        await client.log_in("owner")
        path = "/api/camera/gate/plan"
        status, told, _ = await client.ask("GET", f"{path}?stream=sub")
        assert (status, told["code"]) == (404, "camera.no_sub")
        assert (await client.ask("GET", f"{path}?stream=third"))[0] == 400
        await client.ask("PUT", "/api/camera/gate/sub", SUB)
        assert (await client.ask("PUT", path, {"mode": "event"}))[0] == 200
        assert (await client.ask("GET", f"{path}?stream=sub"))[1]["mode"] == "continuous"
        assert (await client.ask("PUT", f"{path}?stream=sub", {"mode": "off"}))[0] == 200
        plans = box.parts.cameras.plans
        assert plans["gate", "main"] == PlanSettings("event")
        assert plans["gate", "sub"] == PlanSettings("off")


async def test_the_sub_stream_is_watched_with_the_rights_of_the_camera(
    box: Box, video: object
) -> None:
    config, fragments, _ = await fragments_of(video)
    await box.user("op", "operator", {"yard": ["live"]})
    async with box.client() as client:
        await client.log_in("owner")
        with pytest.raises(aiohttp.WSServerHandshakeError) as none:
            await client.socket("/ws/live/gate?stream=sub")
        assert none.value.status == 404
        await client.ask("PUT", "/api/camera/gate/sub", SUB)
        sockets = []
        for place in ("gate", "gate?stream=sub"):
            sockets.append(await client.socket(f"/ws/live/{place}"))
            assert (await sockets[-1].receive_json(timeout=5))["type"] == "state"
        main, sub = sockets
        box.parts.hub.stream("gate/sub").push(config, fragments[:1])
        assert (await sub.receive_json(timeout=5))["type"] == "config"
        await sub.receive_bytes(timeout=5)
        await sub.receive_bytes(timeout=5)
        with pytest.raises(TimeoutError):
            await main.receive(timeout=0.2)
        cameras = box.parts.cameras
        gone = cameras.states["gate"]
        await cameras.write_sub("gate", None)
        cameras.set(gone)
        told = await sub.receive_json(timeout=5)
        assert (told["type"], told["state"]) == ("state", "live")
        await asyncio.gather(main.close(), sub.close())
        await client.log_in("op")
        with pytest.raises(aiohttp.WSServerHandshakeError) as foreign:
            await client.socket("/ws/live/gate?stream=sub")
        assert foreign.value.status == 404


async def test_an_export_takes_the_stream_that_is_asked_for(box: Box) -> None:
    async with box.client() as client:
        await client.log_in("owner")
        body = {"cameras": ["gate"], "from_us": 100, "to_us": 200, "form": "evidence"}
        status, made, _ = await client.ask("POST", "/api/export", {**body, "streams": "both"})
        assert (status, made["streams"]) == (201, "both")
        assert (await client.ask("POST", "/api/export", body))[1]["streams"] == "main"
        assert (await client.ask("POST", "/api/export", {**body, "streams": "all"}))[0] == 400
