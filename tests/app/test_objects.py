"""The shipped recorder finds objects by a model: told, pictured, recorded, counted, ended."""

import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from nvr.analyse.worker import ModelFile
from nvr.app.detector import Detector, until_us
from tests.analyse.lamp_model import written
from tests.app.box import running_box
from tests.app.test_analyse import camera, size, some
from tests.capture.test_source import gst_camera

MODEL = '[objects]\nmodel = "lamp.onnx"\nper_s = 20\ncpu_percent = 100\n'
PLAN = '[camera.plan]\nmode = "event"\npost_s = 5\n'
BODY = {
    "motion": False, "health": [], "record_on": ["object"],
    "objects": {
        "purpose": "看灯", "who": "门卫", "until": f"{date.today() + timedelta(days=9)}",
        "classes": ["lamp"],
    },
}  # fmt: skip


@pytest.mark.needs("gst-rtsp-server")
async def test_a_ball_is_found_shown_recorded_counted_and_later_not_any_more(
    tmp_path: Path,
) -> None:
    async with gst_camera("h264") as port:
        sub = f'[camera.sub]\nurl = "rtsp://127.0.0.1:{port}/sub"\nrecord = false\n'
        async with running_box(tmp_path, MODEL + camera(port, PLAN + sub)) as box:
            base = "/api/camera/gate/analyse"
            told = await box.call("GET", base)
            assert told["detector"]["code"] == "objects.model", "there is no file yet"
            written(box.data / "lamp.onnx")
            told = await box.call("GET", base)
            assert (told["detector"]["code"], told["detector"]["layout"]) == ("", "yolo8")
            assert told["detector"]["labels"] == ["lamp", "black_hole"]
            await box.call("PUT", base, BODY)
            text = (box.data / "nvr.toml").read_text()
            assert "[camera.analyse.objects]" in text
            assert 'purpose = "看灯"' in text
            one = await some(box, "object.lamp", lambda one: one["picture"])
            assert one["strength"] >= 500
            _, jpeg = await box.take(f"/api/camera/gate/event/{one['number']}/picture.jpg")
            assert size(jpeg) == (160, 90)
            await box.until("gate", "recorded_until_us", lambda us: us > one["from_us"])
            seen = await box.until("gate", "happening", bool)
            assert seen["happening"][0]["kind"] == "object.lamp"
            _, metrics = await box.take("/metrics")
            assert b'nvr_object_found_total{camera="gate",kind="object.lamp"}' in metrics
            assert b"nvr_object_searches_total 0\n" not in metrics

            over = {**BODY["objects"], "until": f"{date.today() - timedelta(days=1)}"}
            await box.call("PUT", base, {**BODY, "objects": over})
            ended = await some(box, "object.lamp", lambda one: one["to_us"] is not None)
            assert ended["to_us"] >= ended["from_us"]
            assert (await box.call("GET", f"{base}/now"))["state"] == "off", "nothing else is on"
            rows = (await box.call("GET", "/api/audit"))["rows"]
            said = [(row["action"], row["reason"]) for row in rows]
            until = BODY["objects"]["until"]
            assert ("objects.begun", f"lamp: 看灯; 门卫; {until}") in said
            assert any(action == "objects.ended" for action, _ in said)


def test_what_is_missing_is_said_without_loading_anything(tmp_path: Path) -> None:
    path = written(tmp_path / "lamp.onnx")
    model = ModelFile(path)
    assert Detector(None, lambda: None).state().code == "objects.no_model"
    assert Detector(model, lambda: None, lambda: False).state().code == "objects.no_runtime"
    found = Detector(model, lambda: None, lambda: True).state()
    assert (found.code, found.layout, found.labels) == ("", "yolo8", ("lamp", "black_hole"))
    path.write_bytes(b"")
    assert Detector(model, lambda: None, lambda: True).state().code == "objects.model"
    path.write_bytes(b"\xff" * 99)
    assert Detector(model, lambda: None, lambda: True).state().code == "objects.model"
    labels = ModelFile(written(tmp_path / "b.onnx"), tmp_path / "none.txt")
    assert Detector(labels, lambda: None, lambda: True).state().code == "objects.model"


def test_the_last_day_ends_at_midnight_of_the_place() -> None:
    end_us = until_us("2030-01-31")
    assert time.localtime(end_us / 1e6)[:5] == (2030, 2, 1, 0, 0)
    assert until_us("9999-12-31") == until_us("2030-02-31") == until_us("") == 0
