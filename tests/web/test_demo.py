import asyncio

import pytest

from tests.ports import free_port
from tests.web import box as boxes
from tests.web import demo


async def test_the_demo_shows_moving_pictures_and_a_lost_camera(tmp_path):
    port = free_port()
    task = asyncio.create_task(demo.serve("127.0.0.1", port, tmp_path, claimed=True))
    async with boxes.Client(f"https://127.0.0.1:{port}") as client:
        for _ in range(100):
            await asyncio.sleep(0.1)
            try:
                if await client.log_in("op") == 200:
                    break
            except OSError:
                continue
        status, cameras, _ = await client.ask("GET", "/api/camera")
        assert status == 200
        assert [(one["name"], one["state"]) for one in cameras] == [
            ("gate", "live"),
            ("yard", "live"),
            ("bridge", "lost"),
        ]
        async with client.socket("/ws/live/gate") as socket:
            assert (await socket.receive_json(timeout=5))["type"] == "state"
            assert (await socket.receive_json(timeout=5))["mime"].startswith("video/mp4; codecs=")
            assert (await socket.receive_bytes(timeout=5))[4:8] == b"ftyp"
            first = await socket.receive_bytes(timeout=5)
            assert first[0] == 1
            assert first[16:20] == b"moof"
    task.cancel()
    with pytest.raises((asyncio.CancelledError, BaseExceptionGroup)):
        await task
