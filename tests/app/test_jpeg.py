"""A camera that sends nothing but JPEG on the shipped recorder, GStreamer's server being it."""

import asyncio
import io
from pathlib import Path

import av
import pytest

from tests.app.box import running_box
from tests.app.test_analyse import ALL, LOOKED, size, some
from tests.capture.test_source import gst_camera


@pytest.mark.needs("gst-rtsp-server")
async def test_a_camera_of_jpegs_is_recorded_looked_at_shown_and_exported(tmp_path: Path) -> None:
    async with gst_camera("jpeg-pcma") as port:
        camera = f'[[camera]]\nname = "gate"\nurl = "rtsp://127.0.0.1:{port}/camera"\n'
        async with running_box(tmp_path, camera + LOOKED) as box:
            one = await some(box, "motion", lambda one: one["picture"])
            await box.until("gate", "recorded_until_us", lambda us: us > one["from_us"])
            seen = await box.camera("gate")
            assert (seen["state"], seen["code"], seen["codec"]) == ("live", "", "jpeg")
            _, jpeg = await box.take("/api/camera/gate/snapshot.jpg")
            assert size(jpeg) == (320, 176)

            # As a browser asks once it sees that it has no such decoder.
            live = f"{box.url}/ws/live/gate?video=h264"
            async with asyncio.timeout(60), box.session.ws_connect(live, origin=box.url) as socket:
                while (told := await socket.receive_json())["type"] != "config":
                    assert told["type"] == "state"
                found = await socket.receive_bytes()
                found += (await socket.receive_bytes())[12:]
            assert (told["codec"], told["width_px"], told["height_px"]) == ("h264", 320, 176)
            with av.open(io.BytesIO(found), format="mp4") as file:
                assert [stream.codec_context.name for stream in file.streams] == ["h264", "flac"]
                assert next(file.decode(video=0)).width == 320

            (run, *_) = (await box.call("GET", f"/api/camera/gate/ranges?{ALL}"))["runs"]
            span = f"from_us={run['from_us']}&to_us={run['from_us'] + 2_000_000}"
            _, data = await box.take(f"/api/camera/gate/export?{span}")
            with av.open(io.BytesIO(data), format="mp4") as file:
                assert [s.codec_context.name for s in file.streams] == ["mjpeg", "pcm_alaw"]
                assert len(list(file.decode(video=0))) >= 45
