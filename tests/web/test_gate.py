import asyncio
import json
import re
import secrets

import aiohttp
import pytest

from nvr.auth.table import TABLE
from nvr.auth.user import RIGHTS
from nvr.base.errors import Misconfigured, Unavailable
from nvr.media.head import OwnOutput
from nvr.record.remembered import Damage, Remembered, Round
from nvr.web.assets import load_assets
from nvr.web.gate import Gate, host_of
from nvr.web.lines import ACTIONS as OUTPUT_ACTIONS
from nvr.web.operation import ACTIONS
from nvr.web.parts import Route
from tests.web import box as boxes

NOW = "from_us=0&to_us=1000"
QUERY = {"ranges": NOW, "gop": "t_us=1", "export": NOW, "init": "run=1", "monitor": "after=0"}


def concrete(route, camera):
    path = route.path.replace("{hash}", "x").replace("{path}", "x.js")
    if route.camera:
        path = path.replace("{" + route.camera + "}", camera)
    path = path.replace("{name}", "some-one").replace("{number}", "7").replace("{file}", "x")
    path = path.replace("{input}", "fence").replace("{output}", "relay-1")
    path = path.replace("{line}", "ptz").replace("{link}", "x.y").replace("{kind}", "mqtt")
    query = QUERY.get(path.rsplit("/", 1)[-1])
    return path + (f"?{query}" if query else "")


async def outcome(client, route, camera):
    """What a caller sees, without what the box says differently each time."""
    if route.key.startswith("ws "):
        try:
            async with client.socket(concrete(route, camera)) as socket:
                await socket.close()
        except aiohttp.WSServerHandshakeError as err:
            return err.status, ""
        return 101, ""
    body = {} if route.method in {"POST", "PUT", "PATCH"} else None
    status, told, response = await client.ask(route.method, concrete(route, camera), body)
    headers = {k: v for k, v in response.headers.items() if k not in {"Date", "Set-Cookie"}}
    return status, (json.dumps(told, default=repr), sorted(headers.items()))


async def test_every_handler_of_the_running_page_has_a_rule(box):
    keys = set()
    for resource in box.page._app.router.routes():
        path = resource.resource.canonical
        kind = "ws" if path.startswith("/ws/") else "http"
        keys.add(f"ws {path}" if kind == "ws" else f"http {resource.method} {path}")
    assert keys <= TABLE.keys()
    assert set(ACTIONS) <= TABLE.keys()
    served = keys | set(ACTIONS) | set(OUTPUT_ACTIONS)
    assert {
        key for key in TABLE if not key.startswith(("rtsp ", "onvif ", "mqtt ", "gb "))
    } == served
    for route in box.page.routes():
        assert bool(route.camera) == (TABLE[route.key].right is not None), route.key


async def test_a_handler_without_a_rule_keeps_the_page_from_starting(box):
    gate = Gate(box.parts)
    with pytest.raises(Misconfigured) as refused:
        gate.add(box.page._app, [Route("http GET /api/backdoor", None)])
    assert refused.value.code == "policy.missing"


async def test_nobody_reaches_anything_behind_the_door(box):
    async with box.client() as client:
        for route in box.page.routes():
            status, _ = await outcome(client, route, "gate")
            if TABLE[route.key].kinds >= {"nobody"}:
                assert status in {200, 400, 404}, route.key
            else:
                assert status == 401, route.key
        client.cookie = secrets.token_urlsafe(32)
        assert (await client.ask("GET", "/api/camera"))[0] == 401


async def test_the_whole_matrix_of_roles_cameras_and_paths(box):
    rights = {"gate": list(RIGHTS), "yard": ["playback"]}
    routes = box.page.routes()
    leaks = []
    for role in ("viewer", "operator", "auditor"):
        await box.user(role, role, rights)
        async with box.client() as client:
            assert await client.log_in(role) == 200
            subject = box.parts.users.find(role).subject()
            for route in routes:
                rule = TABLE[route.key]
                if route.key in {"http POST /api/logout", "http POST /api/login"} or route.link:
                    continue
                for camera in ("gate", "yard", "dock", "no-such") if route.camera else ("",):
                    status, seen = await outcome(client, route, camera)
                    allowed = not rule.roles or role in rule.roles
                    if rule.right:
                        allowed = rule.right in subject.may(camera)
                    if not allowed and status not in {403, 404}:
                        leaks.append((role, route.key, camera, status))
                    if allowed and status in {401, 403}:
                        leaks.append((role, route.key, camera, status, "refused"))
                    if camera == "dock":
                        hidden = status, seen
                    if camera == "no-such":
                        assert (status, seen) == hidden, (role, route.key)
                        assert status == 404
            _, cameras, _ = await client.ask("GET", "/api/camera")
            assert [one["name"] for one in cameras] == ["gate", "yard"]
            _, info, _ = await client.ask("GET", "/api/box")
            assert set(info["user"]["rights"]) == {"gate", "yard"}
    assert leaks == []


async def test_what_is_wrong_with_the_disks_is_told_to_who_is_signed_in(fresh):
    wrong = Unavailable("volume.failing", "the disk refused to read or write 3 times")
    fresh.parts.box.wrong.append(wrong)
    async with fresh.client() as client:
        assert (await client.ask("GET", "/api/box"))[1]["warnings"] == []
        code = fresh.parts.claim.code()
        who = {"code": code, "name": "owner", "password": boxes.PASSWORD}
        _, _, response = await client.ask("POST", "/api/claim", who)
        client.cookie = response.cookies["__Host-nvr"].value
        _, info, _ = await client.ask("GET", "/api/box")
        assert info["warnings"] == [{"code": wrong.code, "detail": wrong.detail}]
        assert info["fault"] is None


async def test_an_unclaimed_box_shows_only_its_page_and_its_claim(fresh):
    async with fresh.client() as client:
        for route in fresh.page.routes():
            status, _ = await outcome(client, route, "gate")
            if TABLE[route.key].unclaimed:
                assert status in {200, 400, 404}, route.key
            else:
                assert status == 401, route.key
        _, info, _ = await client.ask("GET", "/api/box")
        assert info["claimed"] is False
        assert info["user"] is None
        code = fresh.parts.claim.code()
        wrong = {"code": "0000-0000-0000", "name": "owner", "password": boxes.PASSWORD}
        status, told, _ = await client.ask("POST", "/api/claim", wrong)
        assert (status, told["code"]) == (403, "claim.wrong")
        status, told, response = await client.ask("POST", "/api/claim", {**wrong, "code": code})
        assert status == 200
        assert told["user"]["role"] == "admin"
        cookie = response.headers["Set-Cookie"]
        for word in ("__Host-nvr=", "HttpOnly", "Secure", "SameSite=Strict", "Path=/"):
            assert word in cookie
        assert "Domain" not in cookie
        client.cookie = response.cookies["__Host-nvr"].value
        assert (await client.ask("GET", "/api/camera"))[0] == 200
        status, told, _ = await client.ask("POST", "/api/claim", {**wrong, "code": code})
        assert (status, told["code"]) == (409, "claim.done")


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "https://127.0.0.1.evil.example"},
    {"Origin": ""},
    {"X-NVR": None},
    {"X-NVR": "0"},
    {"Origin": None, "Sec-Fetch-Site": "cross-site"},
    {"Origin": None, "Sec-Fetch-Site": "same-site"},
    {"Origin": None, "X-NVR": None},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_site_changes_nothing(box, headers):
    async with box.client() as client:
        await client.log_in("owner")
        for route in box.page.routes():
            if route.method == "GET" or route.key.endswith(("/login", "/claim")):
                continue
            body = {} if route.method != "DELETE" else None
            status, told, _ = await client.ask(route.method, concrete(route, "gate"), body, headers)
            assert (status, told["code"]) == (403, "origin.foreign"), route.key
        if "X-NVR" not in headers:
            for path in ("/ws/control", "/ws/live/gate"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await client.socket(path, headers)
                assert refused.value.status == 403
    assert box.parts.cameras.find("gate")


async def test_a_form_of_another_site_is_no_json(box):
    async with box.client() as client:
        await client.log_in("owner")
        async with client.session.post(
            f"{box.url}/api/camera",
            data='{"name":"x","url":"rtsp://h/"}',
            headers=client._headers({"Content-Type": "text/plain"}),
        ) as response:
            assert response.status == 400


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:8443", True),
        ("192.0.2.7", True),
        ("[2001:db8::1]:8443", True),
        ("localhost", True),
        ("LOCALHOST:8443", True),
        ("nvr-1.local", True),
        ("nvr.example:8443", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("local", False),
        ("evil-local", False),
        ("", False),
        ("a b", False),
        ("user@evil.example", False),
    ],
)
async def test_a_name_that_was_pointed_at_us_is_refused(box, host, good):
    async with box.client() as client:
        status, told, _ = await client.ask("GET", "/api/box", headers={"Host": host})
        assert status == (200 if good else 421) or (status == 400 and not good)
        if status == 421:
            assert told["code"] == "host.unknown"


def test_a_host_is_read_as_browsers_do():
    assert host_of("[::1]:80") == "::1"
    assert host_of("Nvr.Local.") == "nvr.local"
    assert host_of("[::1") == ""


async def test_safety_headers_are_on_every_answer(box):
    async with box.client() as client:
        for path in ("/", "/api/box", "/api/camera", "/no-such", "/ui/x/y"):
            _, _, response = await client.ask("GET", path)
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert not [name for name in response.headers if name.startswith("Access-Control")]


def traversals():
    steps = [
        "..",
        "%2e%2e",
        "..%2f",
        "%2e%2e%2f",
        "..\\",
        "%5c..",
        ".%00.",
        "....//",
        "%c0%ae%c0%ae",
    ]
    files = ["etc/passwd", "server.py", "state.db", "tls.key", "page/index.html", "%2fetc%2fpasswd"]
    for step in steps:
        for depth in (1, 2, 3, 8):
            for file in files:
                yield "/".join([step] * depth) + "/" + file


async def test_no_path_leads_out_of_the_table(box):
    digest = load_assets().digest
    tried = 0
    async with box.client() as client:
        for path in traversals():
            for top in (f"/ui/{digest}/", "/ui/", "/"):
                status, told, _ = await client.ask("GET", top + path)
                assert status in {400, 404}, path
                assert told["code"] in {"path.unknown", "body.invalid"}
                tried += 1
    assert tried > 500


async def test_assets_are_what_the_package_holds_and_kept_for_ever(box):
    assets = load_assets()
    async with box.client() as client:
        _, index, response = await client.ask("GET", "/")
        assert b"{{ui}}" not in index
        assert response.headers["Cache-Control"] == "no-cache"
        for path in re.findall(rb'(?:src|href)="(/ui/[^"]+)"', index):
            status, data, response = await client.ask("GET", path.decode())
            assert status == 200
            assert data == assets.table[path.decode().split("/", 3)[3]].data
            assert "immutable" in response.headers["Cache-Control"]
        name = next(path for path, one in assets.table.items() if one.zipped)
        async with client.session.get(
            f"{box.url}/ui/{assets.digest}/{name}", headers={"Accept-Encoding": "gzip"}
        ) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert await response.read() == assets.table[name].data


async def test_log_in_changes_the_cookie_and_a_change_of_role_ends_it(box):
    await box.user("op", "operator", {"*": ["live"]})
    async with box.client() as client:
        assert await client.log_in("op") == 200
        first = client.cookie
        assert await client.log_in("op") == 200
        assert client.cookie != first
        second, client.cookie = client.cookie, first
        assert (await client.ask("GET", "/api/camera"))[0] == 401
        client.cookie = second
        assert (await client.ask("GET", "/api/camera"))[0] == 200
        await box.parts.users.change("op", role="viewer")
        assert (await client.ask("GET", "/api/camera"))[0] == 401


async def test_wrong_and_unknown_sound_the_same_and_are_slowed(still):
    async with still.client() as client:
        answers = []
        for name in ("owner", "nobody", "owner", "nobody", "owner"):
            status, told, _ = await client.ask(
                "POST", "/api/login", {"name": name, "password": "wrong password"}
            )
            answers.append((status, told))
        assert all(one == answers[0] for one in answers)
        assert answers[0][0] == 401
        status, told, response = await client.ask(
            "POST", "/api/login", {"name": "owner", "password": boxes.PASSWORD}
        )
        assert (status, told["code"]) == (429, "auth.throttled")
        assert response.headers["Retry-After"] == "2"
        still.parts.clock.advance(1)
        assert await client.log_in("owner") == 200


async def test_a_session_ends_when_idle(still):
    async with still.client() as client:
        await client.log_in("owner")
        still.parts.clock.advance(29 * 60)
        assert (await client.ask("GET", "/api/camera"))[0] == 200
        still.parts.clock.advance(30 * 60)
        assert (await client.ask("GET", "/api/camera"))[0] == 401


async def test_what_is_too_large_or_has_another_shape_is_refused(box):
    async with box.client() as client:
        await client.log_in("owner")
        bad = [
            {"name": "x"},
            {"name": 1, "url": "rtsp://h/"},
            {"name": "x", "url": "rtsp://h/", "surprise": 1},
            {"name": "../x", "url": "rtsp://h/"},
            {"name": "x", "url": "file:///etc/passwd"},
            {"name": "x", "url": "rtsp://user:secret@h/"},
            [],
            "text",
        ]
        for body in bad:
            status, told, _ = await client.ask("POST", "/api/camera", body)
            assert (status, told["code"]) == (400, "body.invalid"), body
        status, told, _ = await client.ask("POST", "/api/camera", {"name": "x" * 70_000})
        assert (status, told["code"]) == (413, "body.too_large")
        for query in ("t_us=-1", "t_us=x", "t_us=1e9", "t_us=" + "9" * 30, ""):
            status, told, _ = await client.ask("GET", f"/api/camera/gate/gop?{query}")
            assert (status, told["code"]) == (400, "body.invalid"), query


async def test_a_connection_that_says_nothing_is_cut_and_many_of_one_address_refused(tmp_path):
    async with boxes.running(tmp_path, tls=False) as box:
        box.page._gate.door._first_request_s = 0.3
        box.page._gate.door._most_of_one = 5
        silent = [await asyncio.open_connection("127.0.0.1", box.page.port) for _ in range(5)]
        silent[0][1].write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        sixth, writer = await asyncio.open_connection("127.0.0.1", box.page.port)
        assert await asyncio.wait_for(sixth.read(), 0.25) == b""
        writer.close()
        for reader, _ in silent:
            try:
                rest = await asyncio.wait_for(reader.read(), 3)
            except ConnectionResetError:
                rest = b""
            assert rest == b""
        async with box.client() as client:
            assert (await client.ask("GET", "/api/box"))[0] == 200
        for _, writer in silent:
            writer.close()


async def test_handshakes_that_never_end_count_as_connections(tmp_path):
    async with boxes.running(tmp_path) as box:
        box.page._gate.door._most_of_one = 5
        silent = [await asyncio.open_connection("127.0.0.1", box.page.port) for _ in range(5)]
        await asyncio.sleep(0.05)
        sixth, writer = await asyncio.open_connection("127.0.0.1", box.page.port)
        assert await asyncio.wait_for(sixth.read(), 1) == b""
        writer.close()
        for _, writer in silent:
            writer.close()
        await asyncio.sleep(0.05)
        async with box.client() as client:
            assert (await client.ask("GET", "/api/box"))[0] == 200


async def test_what_people_do_is_in_the_log_and_holds_together(box):
    await box.user("op", "operator", {"gate": ["live"]})
    async with box.client() as client, box.client() as owner:
        await client.ask("POST", "/api/login", {"name": "op", "password": "wrong password"})
        await client.log_in("op")
        await client.ask("DELETE", "/api/camera/gate")
        async with client.socket("/ws/live/gate"):
            pass
        await owner.log_in("owner")
        await owner.ask("PATCH", "/api/camera/yard", {"title": "后院"})
        secret = {"user": "root", "password": "pa55 of the yard"}
        assert (await owner.ask("PATCH", "/api/camera/yard", secret))[0] == 200
        assert (await owner.ask("PATCH", "/api/camera/yard", {}))[0] == 400
        assert box.parts.cameras.logins["yard"] == ("root", "pa55 of the yard")
        status, told, _ = await owner.ask("GET", "/api/audit")
        assert status == 200
        assert told["chain"] == {"ok": True, "seq": None, "why": ""}
        rows = [
            (row["who"], row["action"], row["target"], row["outcome"], row["reason"])
            for row in reversed(told["rows"])
        ]
        assert rows == [
            ("op", "box.login", "", "refused", "auth.wrong"),
            ("op", "box.login", "", "ok", ""),
            ("op", "http DELETE /api/camera/{name}", "gate", "refused", "auth.denied"),
            ("op", "ws /ws/live/{camera}", "gate", "ok", ""),
            ("owner", "box.login", "", "ok", ""),
            ("owner", "http PATCH /api/camera/{name}", "yard", "ok", "title 后院"),
            ("owner", "http PATCH /api/camera/{name}", "yard", "ok", "log-in"),
            ("owner", "http PATCH /api/camera/{name}", "yard", "refused", "body.invalid"),
        ]
        assert "pa55" not in str(told)
        assert {row["hardware_no"] for row in told["rows"]} == {
            "box-1",
            "camera:gate",
            "camera:yard",
        }


async def test_how_long_a_camera_is_kept(box):
    await box.user("op", "operator", {"yard": ["playback"]})
    async with box.client() as client, box.client() as owner:
        await owner.log_in("owner")
        status, told, _ = await owner.ask("PATCH", "/api/camera/gate", {"retain_h": 24})
        assert (status, told["retain_h"]) == (200, 24)
        status, told, _ = await owner.ask("PATCH", "/api/camera/gate", {"retain_h": 0})
        assert (status, told["code"]) == (400, "body.invalid")
        _, told, _ = await owner.ask("GET", "/api/audit")
        assert told["rows"][1]["reason"] == "retain_h 24"
        _, ring, _ = await owner.ask("GET", "/api/ring")
        [held] = ring["streams"]
        assert held == {
            "camera": "gate",
            "stream": "main",
            "used_bytes": 3 << 30,
            "from_us": 1_700_000_000_000_000,
            "to_us": 1_700_007_200_000_000,
            "bits_per_s": 4_000_000,
            "promised_h": 166.7,
            "holds_h": 138.9,
            "short": True,
            "guaranteed_h": 48.0,
            "broken": False,
            "limit_h": 0.0,
            "limit_gb": 500.0,
            "own_gb": 0.0,
            "locked_bytes": 1 << 30,
        }
        assert ring["readback"]["last"] == {
            "from_us": 0, "to_us": 0, "blocks": 0, "read_bytes": 0,
        }  # fmt: skip
        damage = Damage(3, 9, "gate/main", 5, 6, 1, (8192,), True, "Input/output error", 7)
        box.parts.archive.read_back = Remembered("", last=Round(1, 2, 3, 4), damages=(damage,))
        _, ring, _ = await owner.ask("GET", "/api/ring")
        assert ring["readback"]["last"]["blocks"] == 3
        assert ring["readback"]["damages"] == [
            {
                "camera": "gate",
                "stream": "main",
                "block": 3,
                "from_us": 5,
                "to_us": 6,
                "parts": 1,
                "refused": True,
                "detail": "Input/output error",
                "found_us": 7,
            }
        ]
        more = {"guaranteed_h": 12, "limit_h": 48, "limit_gb": 0.5}
        status, told, _ = await owner.ask("PATCH", "/api/camera/gate", more)
        assert status == 200
        assert more.items() <= told.items()
        status, told, _ = await owner.ask("PATCH", "/api/camera/gate", {"limit_h": 24})
        assert (status, told["code"]) == (409, "config.refused")
        status, told, _ = await owner.ask("PATCH", "/api/camera/gate", {"limit_h": 0})
        assert (status, told["limit_h"], told["limit_gb"]) == (200, 0, 0.5)
        _, told, _ = await owner.ask("GET", "/api/audit")
        assert [row["reason"] for row in told["rows"][:3]] == [
            "limit_h 0",
            "config.refused",
            "guaranteed_h 12, limit_h 48, limit_gb 0.5",
        ]
        await client.log_in("op")
        _, ring, _ = await client.ask("GET", "/api/ring")
        assert ring["streams"] == [], "a camera that the account may not know"
        assert ring["readback"]["damages"] == []


async def test_the_disks_are_shown_to_whoever_is_signed_in(box):
    await box.user("op", "operator", {"yard": ["playback"]})
    async with box.client() as client:
        status, _, _ = await client.ask("GET", "/api/disk")
        assert status == 401
        await client.log_in("op")
        status, [disk], _ = await client.ask("GET", "/api/disk")
        assert (status, disk["name"], disk["uses"]) == (200, "mmcblk0", ["volume", "system"])
        assert (disk["pre_eol"], disk["celsius"], disk["days_left"]) == ("warning", None, 550.0)


async def test_a_head_through_the_api(box):
    async with box.client() as client:
        await client.log_in("owner")
        path = "/api/camera/gate/ptz"
        kinds = [
            {
                "name": f"generic-{protocol}",
                "protocol": protocol,
                "title": protocol,
                "title_zh": f"{protocol}（通用）",
                "about": "As the manual has it.",
                "about_zh": "按手册。",
                "proven": False,
                "own": False,
            }
            for protocol in ("pelco-d", "pelco-p")
        ]
        sockets = {"buses": ["ptz", "yard"], "outputs": ["relay-1"], "kinds": kinds}
        none = {"ptz": None, **sockets}
        assert (await client.ask("GET", path))[1] == none
        body = {"bus": "yard", "address": 7, "wiper": "relay-1", "lamp": {"aux": 2}}
        status, told, _ = await client.ask("PUT", path, body)
        assert status == 200
        assert told["ptz"] == {
            **body,
            "protocol": "pelco-d",
            "turbo": None,
            "tilt_reply": None,
            "profile": "",
            "washer": None,
        }
        kept = box.parts.cameras.heads["gate"]
        assert (kept.wiper, kept.lamp) == ("relay-1", OwnOutput(2))
        await client.ask("PUT", path, {**body, "profile": "hikvision", "turbo": 64})
        kept = box.parts.cameras.heads["gate"]
        assert (kept.profile, kept.turbo) == ("hikvision", 64)
        for wrong in ({}, {"bus": 1}, {**body, "horn": "relay-1"}, {**body, "lamp": {"aux": [2]}}):
            assert (await client.ask("PUT", path, wrong))[0] == 400
        assert (await client.ask("DELETE", path))[1] == none
        told = (await client.ask("GET", "/api/audit"))[1]["rows"]
        assert ("pelco-d 7 on yard", "ok") in {(row["reason"], row["outcome"]) for row in told}


async def test_functions_of_a_head_through_the_api(box):
    async with box.client() as client:
        await client.log_in("owner")
        path = "/api/camera/gate/function"
        told = (await client.ask("GET", path))[1]["functions"]
        assert {one["name"]: one["risk"] for one in told}.items() >= {
            ("menu", False),
            ("reboot", True),
        }
        assert (await client.ask("POST", path, {"function": "reboot"}))[0] == 200
        assert ("perform", "gate", "owner", "reboot") in box.parts.ptz.log
        status, told, _ = await client.ask("POST", path, {"function": "coffee"})
        assert (status, told["code"]) == (403, "ptz.unknown_function")
        assert (await client.ask("POST", path, {"do": "reboot"}))[0] == 400


async def test_what_is_risky_needs_more_than_the_stick(box):
    async with box.client() as client:
        await client.log_in("owner")
        body = {"name": "bo", "role": "operator", "password": "correct horse"}
        await client.ask("POST", "/api/user", {**body, "rights": {"gate": ["live", "ptz"]}})
    async with box.client() as client:
        await client.log_in("bo", "correct horse")
        path = "/api/camera/gate/function"
        assert (await client.ask("POST", path, {"function": "menu"}))[0] == 200
        status, told, _ = await client.ask("POST", path, {"function": "reboot"})
        assert (status, told["code"]) == (403, "auth.denied")
    assert [entry[3] for entry in box.parts.ptz.log if entry[0] == "perform"] == ["menu"]


async def test_accounts_and_credentials_through_the_api(box):
    async with box.client() as client:
        await client.log_in("owner")
        body = {
            "name": "李工",
            "role": "operator",
            "password": "correct horse",
            "rights": {"gate": ["live"]},
        }
        assert (await client.ask("POST", "/api/user", body))[0] == 201
        assert (await client.ask("POST", "/api/user", body))[0] == 409
        _, users, _ = await client.ask("GET", "/api/user")
        assert [one["name"] for one in users] == ["owner", "李工"]
        assert "password" not in json.dumps(users)
        path = "/api/user/%E6%9D%8E%E5%B7%A5"
        assert (await client.ask("PATCH", path, {"rights": {"*": ["live", "ptz"]}}))[0] == 200
        assert (await client.ask("DELETE", path))[0] == 200
        assert (await client.ask("DELETE", "/api/user/owner"))[1]["code"] == "user.last_admin"
        _, made, _ = await client.ask(
            "POST", "/api/machine", {"name": "upstream", "rights": {"gate": ["live"]}}
        )
        assert len(made["secret"]) == 32
        _, listed, _ = await client.ask("GET", "/api/machine")
        assert [one["name"] for one in listed] == ["upstream"]
        assert "secret" not in listed[0]
        assert (await client.ask("DELETE", "/api/machine/upstream"))[0] == 200
        status, _, response = await client.ask(
            "POST", "/api/password", {"old": boxes.PASSWORD, "new": "another horse"}
        )
        assert status == 200
        assert (await client.ask("GET", "/api/user"))[0] == 401
        client.cookie = response.cookies["__Host-nvr"].value
        assert (await client.ask("GET", "/api/user"))[0] == 200


async def test_captions_through_the_api(box):
    async with box.client() as client:
        await client.log_in("owner")
        body = {
            "lines": ["临江路", "🙂"],
            "position_permille": [10, 20],
            "size_permille": 50,
            "mode": "box",
        }
        status, told, _ = await client.ask("PUT", "/api/camera/gate/caption", body)
        assert (status, told) == (200, {**body, "burn": "auto", "missing": ["🙂"]})
        _, told, _ = await client.ask("GET", "/api/camera/gate/caption")
        assert told["lines"] == body["lines"]
