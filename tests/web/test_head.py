"""Control of heads over HTTP: what a terminal, a script and the page's editors use."""

import pytest


@pytest.fixture
async def owner(box):
    async with box.client() as client:
        await client.log_in("owner")
        yield client


async def told(client, method, path, body=None):
    return (await client.ask(method, path, body))[:2]


async def test_a_head_is_shown_locked_and_let_go(owner, box):
    status, now = await told(owner, "GET", "/api/camera/gate/control")
    assert status == 200
    assert now["holder"] is None
    assert now["lock"] is None
    assert now["presets"] == [{"number": 1, "name": "大门", "pictured_us": 0, "device": 0}]
    body = {"do": "lock", "lasts_s": 7200, "reason": "检修，勿动"}
    status, now = await told(owner, "POST", "/api/camera/gate/control", body)
    assert status == 200
    assert (now["lock"]["name"], now["lock"]["reason"], now["lock"]["mine"]) == (
        "owner", "检修，勿动", True,
    )  # fmt: skip
    status, now = await told(owner, "POST", "/api/camera/gate/control", {"do": "unlock"})
    assert now["lock"] is None


@pytest.mark.parametrize(
    ("body", "entry"),
    [
        ({"do": "stop"}, ("stop", "gate", "owner")),
        ({"do": "take"}, ("take", "gate", "owner")),
        ({"do": "preset", "preset": 1}, ("preset", "gate", "owner", "call", 1, "")),
        ({"do": "call_up", "preset": 1, "lasts_s": 9}, ("call_up", "gate", "owner", 1, 9.0)),
        ({"do": "run", "what": ""}, ("end", "gate", "owner")),
        (
            {"do": "aim", "x": 0.25, "y": 0.5, "aspect": 1.25},
            ("aim", "gate", "owner", 0.25, 0.5, 0.0, 0.0, 1.25),
        ),
        ({"do": "output", "what": "lamp"}, ("output", "gate", "owner", "lamp", True)),
    ],
)
async def test_what_a_page_says_can_be_said_over_http(owner, box, body, entry):
    status, _ = await told(owner, "POST", "/api/camera/gate/control", body)
    assert status == 200
    assert box.parts.ptz.log[-1] == entry


async def test_a_program_is_written_read_and_refused_in_words(owner, box):
    program = {
        "guard": {"preset": 1, "idle_s": 120, "on": True},
        "tours": [{"name": "夜巡", "steps": [{"preset": 1, "dwell_s": 8}], "order": "shuffle"}],
        "scans": [{"name": "围墙", "left": 1, "right": 2, "speed": 0.2, "span_s": 0}],
        "patterns": [],
        "week": [["20:00-24:00 tour 夜巡"]] * 7,
        "resume_s": 60,
    }
    path = "/api/camera/gate/program"
    status, shown = await told(owner, "PUT", path, program)
    assert status == 200, shown
    assert (await told(owner, "GET", path))[1] == program == shown
    status, _ = await told(
        owner, "POST", "/api/camera/gate/control", {"do": "run", "what": "tour 夜巡"}
    )
    assert status == 200
    assert ("start", "gate", "tour 夜巡", "owner") in box.parts.ptz.log
    program["week"] = [["20:00-24:00 tour gone"]] * 7
    status, refusal = await told(owner, "PUT", path, program)
    assert (status, refusal["code"]) == (400, "ptz.program_invalid")
    assert (await told(owner, "PUT", path, {"tours": [5]}))[0] == 400


async def test_presets_are_renamed_and_put_in_order(owner, box):
    wanted = [{"number": 1, "name": "东门", "device": 201}]
    status, now = await told(owner, "PUT", "/api/camera/gate/preset", wanted)
    assert status == 200
    assert now["presets"] == [{"number": 1, "name": "东门", "pictured_us": 0, "device": 201}]
    for number in ("1", "999", "x"):
        path = f"/api/camera/gate/preset/{number}/picture.jpg"
        assert (await told(owner, "GET", path))[1]["code"] == "ptz.no_picture"


async def test_who_may_only_look_sees_who_has_it_and_changes_nothing(box):
    await box.user("viewer", "viewer", {"gate": ["live"]})
    async with box.client() as client:
        await client.log_in("viewer")
        assert (await told(client, "GET", "/api/camera/gate/control"))[0] == 200
        for method, path, body in (
            ("POST", "control", {"do": "take"}),
            ("PUT", "program", {}),
            ("PUT", "preset", []),
        ):
            status, refusal = await told(client, method, f"/api/camera/gate/{path}", body)
            assert (status, refusal["code"]) == (403, "auth.denied")
