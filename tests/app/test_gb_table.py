"""The table of GB/T 28181 platforms ends whatever it does just then."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nvr.app import platforms
from nvr.app.walltime import WallTime
from nvr.base.clock import SystemClock
from nvr.media.gb28181 import PlatformSettings

CITY = PlatformSettings("city", True, "192.0.2.2", 5060, "3" * 20, "4" * 20)


async def test_the_box_ends_while_a_platform_is_being_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs, leaves = asyncio.Event(), asyncio.Event()

    class Slow:
        def __init__(self, *_: object) -> None:
            self.settings = CITY

        async def run(self) -> None:
            try:
                runs.set()
                await asyncio.Event().wait()
            finally:
                leaves.set()
                await asyncio.sleep(0.05)

    async def nothing(_: object) -> None: ...

    def password(_path: object, _name: str, _password: object) -> None: ...

    monkeypatch.setattr(platforms, "Platform", Slow)
    monkeypatch.setattr(platforms.load, "edit_platform_secret", password)
    data = SimpleNamespace(secrets_path="", secrets=lambda: SimpleNamespace(gb28181={}))
    parts = cast(Any, SimpleNamespace(clock=SystemClock(), time=WallTime(SystemClock())))
    table = platforms.PlatformTable(parts, [CITY], cast(Any, data), nothing)
    running = asyncio.create_task(table.run())
    await runs.wait()
    await table.remove("city")
    await leaves.wait()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=20)
    assert done, "it took its own end for the platform's"
