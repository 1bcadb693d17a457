"""Plans and events over the page's API."""

from tests.web.box import Box

PLAN = {
    "mode": "event",
    "pre_s": 3.0,
    "post_s": 20.0,
    "week": [["08:00-18:00 continuous"]] * 5 + [[], []],
}


async def test_a_plan_is_written_and_read_by_who_may_configure(box: Box) -> None:
    await box.user("op", "operator", {"gate": ["live", "relay"]})
    async with box.client() as client:
        await client.log_in("owner")
        path = "/api/camera/gate/plan"
        assert (await client.ask("GET", path))[1]["mode"] == "continuous"
        assert (await client.ask("PUT", path, PLAN))[:2] == (200, PLAN)
        assert (await client.ask("GET", path))[1] == PLAN
        status, told, _ = await client.ask("PUT", path, {**PLAN, "mode": "sometimes"})
        assert (status, told["code"]) == (409, "config.refused")
        status, told, _ = await client.ask("PUT", path, {**PLAN, "week": [[]] * 6})
        assert (status, told["code"]) == (400, "body.invalid")
        assert (await client.ask("GET", "/api/camera/attic/plan"))[0] == 404
        _, log, _ = await client.ask("GET", "/api/audit")
        assert "event, 5 segments" in [row["reason"] for row in log["rows"]]
        await client.log_in("op")
        assert (await client.ask("GET", path))[0] == 403
        assert (await client.ask("PUT", path, PLAN))[0] == 403


async def test_an_event_is_reported_by_who_may_switch_relays(box: Box) -> None:
    await box.user("op", "operator", {"gate": ["live", "relay"], "yard": ["live"]})
    async with box.client() as client:
        await client.log_in("op")
        path = "/api/camera/gate/event"
        status, told, _ = await client.ask("POST", path, {"what": "门禁报警", "post_s": 60})
        assert status == 200
        assert told["until_us"] > box.parts.clock.wall_us() + 55_000_000
        assert (await client.ask("POST", path, {}))[0] == 200
        assert box.parts.cameras.events == [("gate", 60.0), ("gate", None)]
        assert (await client.ask("POST", "/api/camera/yard/event", {}))[0] == 403
        status, told, _ = await client.ask("POST", path, {"post_s": 4000})
        assert (status, told["code"]) == (400, "body.invalid")
        await client.log_in("owner")
        await client.ask("PUT", "/api/camera/gate/plan", {"mode": "off"})
        status, told, _ = await client.ask("POST", path, {})
        assert (status, told["code"]) == (409, "plan.off")
        _, log, _ = await client.ask("GET", "/api/audit")
        said = [(row["who"], row["reason"]) for row in log["rows"] if "event" in row["action"]]
        assert ("op", "门禁报警") in said
