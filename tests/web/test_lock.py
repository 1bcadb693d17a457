"""Locks over the page's API: who may, what is refused, and what the audit log says of it."""

import pytest

from tests.web.box import PASSWORD, Box

DAY_US = 86_400_000_000


@pytest.fixture
async def people(box: Box) -> Box:
    await box.user("op", "operator", {"gate": ["live", "playback", "export"]})
    await box.user("guard", "operator", {"gate": ["live", "playback"], "dock": ["live"]})
    await box.parts.users.add(
        "then", "operator", PASSWORD, {"gate": frozenset({"playback", "export"})}, (100, 200)
    )
    return box


BODY = {"kind": "evidence", "from_us": 110, "to_us": 190, "why": "撞杆", "until_us": DAY_US}


async def test_who_may_export_may_lock_and_only_who_configures_may_unlock(people: Box) -> None:
    async with people.client() as client:
        await client.log_in("op")
        status, made, _ = await client.ask("POST", "/api/camera/gate/lock", BODY)
        assert status == 201
        assert made == {
            **BODY, "number": 1, "camera": "gate", "by": "op", "used_bytes": 64 << 20,
            "copy": "none", "made_us": 1_700_000_000_000_000,
        }  # fmt: skip
        hold = {"kind": "legal", "from_us": 1, "to_us": 2, "why": "court"}
        status, made, _ = await client.ask("POST", "/api/camera/gate/lock", hold)
        assert made["until_us"] is None
        assert (await client.ask("POST", "/api/camera/yard/lock", BODY))[0] == 404
        assert (await client.ask("DELETE", "/api/camera/gate/lock/1"))[0] == 403
        await client.log_in("owner")
        assert (await client.ask("DELETE", "/api/camera/yard/lock/1"))[0] == 404
        assert (await client.ask("DELETE", "/api/camera/gate/lock/x"))[0] == 404
        assert (await client.ask("DELETE", "/api/camera/gate/lock/1"))[0] == 200
        status, told, _ = await client.ask("DELETE", "/api/camera/gate/lock/1")
        assert (status, told["code"]) == (404, "lock.unknown")
        _, log, _ = await client.ask("GET", "/api/audit")
    said = [
        (row["who"], row["action"], row["outcome"], row["reason"])
        for row in reversed(log["rows"])
        if "/lock" in row["action"]
    ]
    add, remove = (
        "http POST /api/camera/{name}/lock",
        "http DELETE /api/camera/{name}/lock/{number}",
    )
    assert said == [
        ("op", add, "ok", "evidence 1: 110 to 190: 撞杆"),
        ("op", add, "ok", "legal 2: 1 to 2: court"),
        ("op", add, "refused", "camera.unknown"),
        ("op", remove, "refused", "auth.denied"),
        ("owner", remove, "refused", "lock.unknown"),
        ("owner", remove, "refused", "lock.unknown"),
        ("owner", remove, "ok", "evidence 1: 110 to 190: 撞杆"),
        ("owner", remove, "refused", "lock.unknown"),
    ]


async def test_a_lock_is_shown_to_who_may_play_its_camera_back(people: Box) -> None:
    async with people.client() as client:
        await client.log_in("owner")
        await client.ask("POST", "/api/camera/dock/lock", BODY)
        await client.ask("POST", "/api/camera/gate/lock", BODY)
        assert [one["camera"] for one in (await client.ask("GET", "/api/lock"))[1]] == [
            "gate",
            "dock",
        ]
        await client.log_in("guard")
        assert [one["camera"] for one in (await client.ask("GET", "/api/lock"))[1]] == ["gate"]
        assert (await client.ask("POST", "/api/camera/gate/lock", BODY))[0] == 403


async def test_only_ones_own_time_can_be_locked(people: Box) -> None:
    async with people.client() as client:
        await client.log_in("then")
        assert (await client.ask("POST", "/api/camera/gate/lock", BODY))[0] == 201
        wider = {**BODY, "to_us": 201}
        status, told, _ = await client.ask("POST", "/api/camera/gate/lock", wider)
        assert (status, told["code"]) == (403, "auth.denied")


async def test_a_lock_that_says_too_little_is_refused(box: Box) -> None:
    async with box.client() as client:
        await client.log_in("owner")
        for body in ({}, {**BODY, "until": 5}, {**BODY, "from_us": "x"}):
            status, told, _ = await client.ask("POST", "/api/camera/gate/lock", body)
            assert (status, told["code"]) == (400, "body.invalid")
        status, told, _ = await client.ask("POST", "/api/camera/gate/lock", {**BODY, "why": ""})
        assert (status, told["code"]) == (400, "lock.invalid")
