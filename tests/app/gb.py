"""A running box, and a platform of GB/T 28181 that it is a device of."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.app.box import RunningBox
from tests.serve.gb_platform import DEVICE, PASSWORD, SERVER, Platform, serve_tcp, serve_udp

PATH = "/api/upstream/gb28181"


def wanted(platform: Platform, **other: Any) -> dict[str, Any]:
    """Settings for a platform, called ``city``."""
    return {
        "host": "127.0.0.1", "port": platform.port, "server": SERVER, "device": DEVICE,
        "password": PASSWORD, "retry_s": 5, "keepalive_s": 5, "inputs": [],
    } | other  # fmt: skip


def channel(device: str, camera: str, *rights: str, speaker: str = "") -> dict[str, Any]:
    """A camera as the platform knows it."""
    return {"id": device, "camera": camera, "rights": list(rights), "speaker": speaker}


async def state(box: RunningBox, name: str = "city") -> Any:
    """How the box is with a platform."""
    said = await box.call("GET", PATH)
    return next(one for one in said["platforms"] if one["name"] == name)


async def until(box: RunningBox, **expected: Any) -> Any:
    """Wait until it is so."""
    async with asyncio.timeout(60):
        while True:
            now = await state(box)
            if all(now[key] == value for key, value in expected.items()):
                return now
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def registered(
    box: RunningBox, how: str = "udp", platform: Platform | None = None, **other: Any
) -> AsyncIterator[Platform]:
    """Have the box registered with a platform."""
    platform = platform or Platform()
    server = await (serve_tcp if how == "tcp" else serve_udp)(platform)
    try:
        body = wanted(platform, transport=how, **other)
        await box.call("PUT", f"{PATH}/city", body)
        await platform.until(lambda: platform.registered)
        await until(box, state="registered")
        yield platform
    finally:
        with contextlib.suppress(AssertionError):
            await box.call("DELETE", f"{PATH}/city")
        server.close()
