"""Looking at pictures over HTTP: settings, what is seen, what happened, pictures, rights."""

import base64
import dataclasses

import av

from nvr.codec.still import jpeg
from nvr.media.analyse import DetectorState, LookNow, ZoneNow
from nvr.media.happening import Happening
from nvr.media.mask import Mask
from tests.media import film
from tests.web.box import Box

BASE = "/api/camera/gate"
T = 1_700_000_000_000_000
RIGHT = Mask(((500, 0), (1000, 0), (1000, 1000), (500, 1000)))
SPAN = f"from_us={T - 1}&to_us={T + 60_000_000}"


async def test_what_happened_is_listed_by_time_and_kind_with_pictures(box: Box) -> None:
    box.parts.happenings.all += [
        Happening(1, "gate", "motion", "门", T, T + 5_000_000, 30, True),
        Happening(2, "gate", "covered", "", T + 9_000_000, None),
        Happening(3, "yard", "motion", "", T, T + 1, 9, True),
    ]
    await box.user("op", "operator", {"gate": ["live"], "yard": ["live", "playback"]})
    async with box.client() as client:
        await client.log_in("owner")
        found = (await client.ask("GET", f"{BASE}/event?{SPAN}"))[1]
        assert found["happenings"][0] == {
            "number": 1, "kind": "motion", "zone": "门", "from_us": T, "to_us": T + 5_000_000,
            "strength": 30, "picture": True, "source": "",
        }  # fmt: skip
        assert [one["number"] for one in found["happenings"]] == [1, 2]
        assert not found["more"]
        found = (await client.ask("GET", f"{BASE}/event?{SPAN}&most=1"))[1]
        assert ([one["number"] for one in found["happenings"]], found["more"]) == ([2], True)
        found = (await client.ask("GET", f"{BASE}/event?{SPAN}&kind=motion"))[1]
        assert [one["number"] for one in found["happenings"]] == [1]
        status, told, _ = await client.ask("GET", f"{BASE}/event?{SPAN}&kind=motion,fire")
        assert (status, told["context"]["field"]) == (400, "kind")
        assert (await client.ask("GET", f"{BASE}/event"))[0] == 400
        status, _, reply = await client.ask("GET", f"{BASE}/event/1/picture.jpg")
        assert (status, reply.content_type) == (200, "image/jpeg")
        for number in ("2", "3", "99999999999999999999", "x", "-1"):
            status, told, _ = await client.ask("GET", f"{BASE}/event/{number}/picture.jpg")
            assert (status, told["code"]) == (404, "event.no_picture")
        await client.log_in("op")
        assert (await client.ask("GET", f"{BASE}/event?{SPAN}"))[0] == 403
        assert (await client.ask("GET", f"{BASE}/event/1/picture.jpg"))[0] == 403
        assert (await client.ask("GET", f"/api/camera/yard/event?{SPAN}"))[0] == 200


async def test_how_it_is_looked_is_set_and_shown(box: Box) -> None:
    zone = {"name": "门", "points_permille": [[0, 0], [500, 0], [500, 900]]}
    body = {"purpose": "看门", "sensitivity": 7, "zones": [zone], "health": ["covered"]}
    await box.user("op", "operator", {"gate": ["live"]})
    async with box.client() as client:
        await client.log_in("owner")
        path = f"{BASE}/analyse"
        none = {
            "code": "objects.no_model", "detail": "", "layout": "", "labels": [], "per_s": 0.0,
            "cpu_percent": 0,
        }  # fmt: skip
        assert (await client.ask("GET", path))[1] == {"analyse": None, "detector": none}
        made = (await client.ask("PUT", path, body))[1]["analyse"]
        assert made == {
            **body, "on": True, "motion": True, "record_on": ["motion"], "keep_h": 0,
            "zones": [{**zone, "sensitivity": 0, "ignore": False}], "objects": None,
        }  # fmt: skip
        assert (await client.ask("GET", path))[1]["analyse"] == made
        for wrong in (
            {"sensitivity": 11},
            {"zones": [{**zone, "points_permille": [[0, 0], [1, 1]]}]},
            {"zones": [{**zone, "points_permille": [[0, 0], [1, 1], [2, 1001]]}]},
            {"zones": [zone] * 13},
            {"health": ["hungry"]},
        ):
            assert (await client.ask("PUT", path, {**body, **wrong}))[0] == 400
        cells = bytes([1, 0, 0, 0, 0, 0, 0, 1] * 450)
        box.parts.looks.look = LookNow(
            "looking", stream="gate/sub", cells=cells, zones=(ZoneNow("门", 12, 6),), on=("motion",)
        )
        now = (await client.ask("GET", f"{path}/now"))[1]
        assert base64.b64decode(now["cells"]) == b"\x81" * 450
        assert now["zones"] == [{"name": "门", "cells": 12, "least": 6}]
        assert now["grid"] == [80, 45]
        assert (await client.ask("POST", f"{path}/accept", {}))[0] == 200
        assert box.parts.looks.accepted == ["gate"]
        await client.log_in("op")
        assert (await client.ask("GET", f"{path}/now"))[0] == 200
        for method, at in (("GET", path), ("PUT", path), ("POST", f"{path}/accept")):
            assert (await client.ask(method, at, body if method == "PUT" else None))[0] == 403
        await client.log_in("owner")
        assert (await client.ask("DELETE", path))[1]["analyse"] is None


async def test_objects_need_a_purpose_somebody_and_a_last_day(box: Box) -> None:
    box.parts.looks.has = DetectorState("", layout="yolo8", labels=("person", "traffic_light"))
    objects = {
        "purpose": "数车", "who": "门卫", "until": "2030-01-31", "sure_permille": 600,
        "classes": ["person", "traffic light"],
    }  # fmt: skip
    body = {"motion": False, "record_on": ["object"], "objects": objects}
    path = f"{BASE}/analyse"
    async with box.client() as client:
        await client.log_in("owner")
        answer = (await client.ask("PUT", path, body))[1]
        assert answer["analyse"]["objects"] == {
            **objects, "classes": ["person", "traffic_light"], "on": True, "every_keys": 0,
        }  # fmt: skip
        assert answer["analyse"]["record_on"] == ["object"]
        assert answer["detector"]["labels"] == ["person", "traffic_light"]
        for left_out in ("purpose", "who", "until", "classes"):
            less = {key: value for key, value in objects.items() if key != left_out}
            assert (await client.ask("PUT", path, {**body, "objects": less}))[0] == 400
        for wrong in ({"purpose": ""}, {"sure_permille": 99}, {"classes": []}):
            less = {**body, "objects": {**objects, **wrong}}
            assert (await client.ask("PUT", path, less))[0] == 400
        strange = {**body, "objects": {**objects, "classes": ["person", "ghost"]}}
        status, told, _ = await client.ask("PUT", path, strange)
        assert (status, told["code"], told["context"]) == (
            409, "objects.no_class", {"classes": "ghost"},
        )  # fmt: skip
        rows = (await client.ask("GET", "/api/audit"))[1]["rows"]
        said = [row["reason"] for row in rows if row["action"].endswith("/analyse")]
        assert any("person, traffic light: 数车; 门卫; 2030-01-31" in one for one in said)
        box.parts.happenings.all += [
            Happening(1, "gate", "motion", "", T, T + 5_000_000, 30, True),
            Happening(2, "gate", "object.person", "", T, T + 5_000_000, 870, True),
        ]
        for kind, numbers in (("object.person", [2]), ("motion,object.person", [1, 2])):
            found = (await client.ask("GET", f"{BASE}/event?{SPAN}&kind={kind}"))[1]
            assert [one["number"] for one in found["happenings"]] == numbers
        assert (await client.ask("GET", f"{BASE}/event?{SPAN}&kind=object"))[0] == 200


async def test_a_snapshot_is_a_picture_of_the_stream_asked_for(box: Box) -> None:
    async with box.client() as client:
        await client.log_in("owner")
        status, _, reply = await client.ask("GET", f"{BASE}/snapshot.jpg?width=320")
        assert (status, reply.content_type) == (200, "image/jpeg")
        assert reply.headers["X-NVR-At-Us"] == str(T)
        assert reply.headers["Cache-Control"] == "private, no-store"
        assert (await client.ask("GET", f"{BASE}/snapshot.jpg?width=-1"))[0] == 400
        status, told, _ = await client.ask("GET", f"{BASE}/snapshot.jpg?stream=sub")
        assert (status, told["code"]) == (404, "camera.no_sub")


async def test_what_is_reported_is_noted_beside_what_is_seen(box: Box) -> None:
    async with box.client() as client:
        await client.log_in("owner")
        assert (await client.ask("POST", f"{BASE}/event", {}))[0] == 200
        assert box.parts.looks.reports == ["gate"]


async def test_of_a_masked_camera_pictures_are_masked_without_the_right_to_see_all(
    box: Box,
) -> None:
    cameras = box.parts.cameras
    state = cameras.states["gate"]
    cameras.set(dataclasses.replace(state, masks=(RIGHT,)))
    box.parts.looks.jpeg = box.parts.happenings.jpeg = jpeg(film.picture(60), 0)
    box.parts.happenings.all.append(Happening(7, "gate", "motion", "", T, T + 1, 9, True))
    await box.user("op", "operator", {"gate": ["live", "playback"]})
    await box.user("boss", "operator", {"gate": ["live", "playback", "unmasked"]})
    async with box.client() as client:
        for name, masked in (("op", True), ("boss", False)):
            await client.log_in(name)
            for path in ("event/7/picture.jpg", "snapshot.jpg", "snapshot.jpg?width=160"):
                status, found, _ = await client.ask("GET", f"{BASE}/{path}")
                assert status == 200
                (frame,) = av.CodecContext.create("mjpeg", "r").decode(av.Packet(found))
                luma = frame.to_ndarray(format="gray")
                small = masked and "width" in path  # else it is who makes them that makes them so
                assert luma.shape[1] == (160 if small else 320)
                right = luma[: luma.shape[0] // 4, luma.shape[1] * 3 // 4 :]
                assert (right.max() < 30) == masked, (name, path)
                assert luma[luma.shape[0] * 3 // 4 :, : luma.shape[1] // 4].min() > 100
