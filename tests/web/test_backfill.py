"""Fetching what was missed, over the page's API."""

from nvr.media.backfill import BackfillSettings
from tests.web.box import Box


async def test_what_was_missed_is_fetched_or_not_as_it_is_told(box: Box) -> None:
    path = "/api/camera/gate/backfill"
    async with box.client() as client:
        await client.log_in("owner")
        _, told, _ = await client.ask("GET", path)
        assert told == {"on": False, "mbit_s": 8, "back_h": 24, "least_s": 5, "recording": ""}
        _, told, _ = await client.ask("PUT", path, {"on": True, "mbit_s": 2.5, "back_h": 48})
        assert (told["on"], told["mbit_s"], told["back_h"]) == (True, 2.5, 48)
        assert box.parts.cameras.backfills["gate"] == BackfillSettings(True, 2.5, 48)
        for bad in ({}, {"on": True, "mbit_s": 0}, {"on": True, "back_h": 721}, {"off": True}):
            status, told, _ = await client.ask("PUT", path, bad)
            assert (status, told["code"]) == (400, "body.invalid"), bad
        status, _, _ = await client.ask("PUT", path.replace("gate", "none"), {"on": True})
        assert status == 404
