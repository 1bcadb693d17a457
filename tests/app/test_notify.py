"""`nvr run` and the systems it tells: a broker, a webhook and a syslog server, by its API."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.app.box import NAME, PASSWORD, RunningBox, running_box
from tests.ports import free_port
from tests.serve.notify_servers import (
    Mosquitto,
    Receiver,
    Rsyslog,
    hearing,
    mosquitto,
    receiver,
    rsyslog,
    until,
)

pytestmark = [
    pytest.mark.needs("mosquitto"),
    pytest.mark.needs("rsyslog-gnutls"),
    pytest.mark.asyncio(loop_scope="module"),
]
PATH = "/api/upstream/notify"
BOARD = """
[gpio.brief]
driver = "virtual"
kind = "relay"
title = "短"
title_en = "Brief"
max_on_s = 1
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningBox]:
    async with running_box(tmp_path_factory.mktemp("box"), "", *VOLUME, BOARD) as it:
        await it.until("dome", "state", "live", 60)
        yield it


VOLUME = ('path = "ring"\nsize_mib = 256',)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path_factory.mktemp("broker")) as it:
        yield it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rsyslog]:
    async with rsyslog(tmp_path_factory.mktemp("log")) as it:
        yield it


async def state(box: RunningBox, kind: str) -> Any:
    found = [one for one in await box.call("GET", PATH) if one["settings"]["kind"] == kind]
    return found[0] if found else None


async def connected(box: RunningBox, kind: str) -> None:
    async def holds() -> bool:
        return (await state(box, kind))["standing"] == "connected"

    await until(holds)


async def test_a_relay_switched_by_mqtt_keeps_its_longest_time_on_and_everybody_is_told(
    box: RunningBox, broker: Mosquitto, log: Rsyslog, tmp_path: Path
) -> None:
    hook: Receiver
    async with receiver(free_port()) as hook:
        rights = {"*": ["live", "ptz", "relay", "config"]}
        await box.call("POST", "/api/machine", {"name": "plant", "rights": rights}, 201)
        url = f"mqtt://127.0.0.1:{broker.port}"
        body = {
            "url": url, "user": broker.USER, "secret": broker.PASSWORD, "topic": "nvr/hut",
            "credential": "plant", "commands": True,
        }  # fmt: skip
        await box.call("PUT", f"{PATH}/mqtt/plant", body)
        secret = "whsec_" + "A" * 32
        body = {"url": f"http://127.0.0.1:{hook.port}/", "events": ["output"], "secret": secret}
        await box.call("PUT", f"{PATH}/webhook/hook", body)
        (box.data / "log.pem").write_bytes(log.certificate.cert.read_bytes())
        body = {"url": f"tls://localhost:{log.tls_port}", "ca": "log.pem"}
        await box.call("PUT", f"{PATH}/syslog/log", body)
        await connected(box, "mqtt")
        await connected(box, "syslog")
        assert (await state(box, "mqtt"))["has_secret"] is True
        for place in ("mqtt/plant", "webhook/hook", "syslog/log"):
            assert (await box.call("POST", f"{PATH}/{place}/test", {}))["took_s"] < 30
        async with hearing(broker, "nvr/hut/#") as heard, broker.client() as person:

            def levels() -> list[str]:
                return [json.loads(one)["state"] for one in heard.of("nvr/hut/output/brief")]

            await heard.until(lambda _: levels() == ["OFF"])
            assert json.loads(heard.kept["nvr/hut/camera/dome"])["state"] == "live"
            await person.publish("nvr/hut/output/brief/set", "ON", qos=1)
            await heard.until(lambda _: levels() == ["OFF", "ON", "OFF"])  # cut, nobody said OFF

            def told_of_it() -> list[tuple[str, str]]:
                events = [json.loads(one) for one in heard.of("nvr/hut/event")]
                return [(e["what"], e["name"]) for e in events if e["event"] == "output"]

            await heard.until(lambda _: told_of_it() == [("begin", "brief"), ("end", "brief")])
            await hook.until(3)  # the test, and these two
            told = [json.loads(body) for _, body in hook.came]
            assert [one["type"] for one in told] == ["test", "output.begin", "output.end"]
            assert told[1]["data"]["box_id"]
            text = "\n".join(await log.until(lambda all_: any("output.limit" in a for a in all_)))
            assert 'who=\\"plant\\"' in text
            rows = (await box.call("GET", "/api/audit"))["rows"]
            on = next(row for row in rows if row["action"] == "output.on")
            assert (on["who"], on["source"]) == ("plant", "mqtt/plant")
            # A text, a preset, a stop and a recording, by the real box.
            orders = {
                "camera/dome/caption/set": "第一行", "camera/dome/preset/set": "1",
                "camera/dome/stop/set": "", "camera/dome/record/set": "5",
            }  # fmt: skip
            for topic, payload in orders.items():
                await person.publish(f"nvr/hut/{topic}", payload, qos=1)
            await heard.until(lambda h: len(h.of("nvr/hut/answer")) == 1 + len(orders))
            answers = [json.loads(one) for one in heard.of("nvr/hut/answer")]
            assert [one for one in answers if not one["ok"]] == []
            caption = (await box.camera("dome"))["caption"]
            assert caption["lines"] == ["第一行"]
            # Who is revoked is obeyed no more.
            await box.call("DELETE", "/api/machine/plant")
            await heard.until(lambda h: h.kept["nvr/hut/status"] == b"offline")

            async def said_why() -> bool:
                error = (await state(box, "mqtt"))["error"]
                return error is not None and error["code"] == "mqtt.credential"

            await until(said_why)
        for place in ("webhook/hook", "syslog/log", "mqtt/plant"):
            await box.call("DELETE", f"{PATH}/{place}")
        assert await box.call("GET", PATH) == []
        text = (box.data / "nvr.toml").read_text(encoding="utf-8")
        assert "[[mqtt]]" not in text
        assert broker.PASSWORD not in (box.data / "secrets.toml").read_text(encoding="utf-8")


async def test_what_waits_for_a_webhook_survives_the_box(box: RunningBox) -> None:
    port = free_port()
    body = {"url": f"http://127.0.0.1:{port}/", "events": ["output", "box.*"]}
    await box.call("PUT", f"{PATH}/webhook/hook", body)
    await box.call("POST", "/api/output/lamp", {"do": "on"})

    async def waits() -> bool:
        return (await state(box, "webhook"))["error"] is not None

    await until(waits)
    await box.end(9)  # type: ignore[arg-type]
    await box.start()
    await box.log_in()
    async with receiver(port) as there:
        async with asyncio.timeout(120):  # the next attempt may be 15 s away
            while len(there.came) < 2:
                await asyncio.sleep(0.1)
        told = [json.loads(body) for _, body in there.came]
        assert told[0]["type"] == "output.begin"  # of before it was killed
        assert "box.started" in [one["type"] for one in told]


async def test_who_is_no_administrator_sees_and_changes_nothing_and_nonsense_is_refused(
    box: RunningBox,
) -> None:
    async with box.person("viewer", "operator") as session:
        for method, path in (
            ("GET", PATH),
            ("PUT", f"{PATH}/mqtt/x"),
            ("DELETE", f"{PATH}/mqtt/x"),
        ):
            headers = {"X-NVR": "1", "Origin": box.url}
            async with session.request(method, box.url + path, json={}, headers=headers) as reply:
                assert reply.status == 403
    good = {"url": "mqtts://broker.example", "credential": "x", "on": False}
    for kind, body, status in (
        ("mqtt", {**good, "url": "http://a"}, 409),
        ("mqtt", {**good, "url": "mqtts://user:secret@a"}, 409),
        ("mqtt", {**good, "topic": "a/#"}, 409),
        ("mqtt", {**good, "pin": "ab"}, 409),
        ("mqtt", {**good, "url": "mqtt://a", "ca": "x.pem"}, 409),
        ("mqtt", {**good, "credential": ""}, 409),
        ("webhook", {"url": "ftp://a"}, 409),
        ("webhook", {"url": "http://["}, 409),
        ("webhook", {"url": "https://a:99999/"}, 409),
        ("syslog", {"url": "tls://a/path"}, 409),
        ("elsewhere", {"url": "tls://a"}, 404),
        ("mqtt", {"url": "mqtts://a", "more": 1}, 400),
    ):
        await box.call("PUT", f"{PATH}/{kind}/bad", body, status)
    await box.call("PUT", f"{PATH}/mqtt/BAD", good, 409)
    for place, url in (("webhook/bad", "https://a/"), ("syslog/bad", "tcp://a")):
        await box.call("PUT", f"{PATH}/{place}", {"url": url, "secret": "short"}, 403)
    await box.call("PUT", f"{PATH}/mqtt/bad", {**good, "secret": "x" * 257}, 400)
    await box.call("POST", f"{PATH}/mqtt/none/test", {}, 404)
    await box.call("PUT", f"{PATH}/mqtt/later", good)
    await box.call("POST", f"{PATH}/mqtt/later/test", {}, 409)
    await box.call("DELETE", f"{PATH}/mqtt/later")


async def console(box: RunningBox, *words: str, told: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nvr", "upstream", "--data", box.data, *words),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate(f"{told}\n".encode())
    return process.returncode, out.decode()


async def test_the_console_says_how_they_do_sends_a_test_and_keeps_a_secret(
    box: RunningBox,
) -> None:
    who = ("--user", NAME)
    async with receiver(free_port()) as there:
        await box.call("PUT", f"{PATH}/webhook/desk", {"url": f"http://127.0.0.1:{there.port}/"})
        code, said = await console(box, *who, "--test", "webhook/desk", told=PASSWORD)
        assert (code, "webhook/desk took it after" in said) == (0, True), said
        assert len(there.came) >= 1
        await box.call("POST", "/api/output/siren", {"do": "off"})
        await box.call("POST", "/api/camera/dome/event", {})
        await connected(box, "webhook")
        code, said = await console(box, *who, told=PASSWORD)
        assert (code, "connected since" in said) == (0, True), said
        await box.call("PUT", f"{PATH}/webhook/desk", {"url": "http://127.0.0.1:1/"})
        code, said = await console(box, *who, "--json", told=PASSWORD)
        assert (code, "desk" in {one["settings"]["name"] for one in json.loads(said)}) == (1, True)
    await box.call("DELETE", f"{PATH}/webhook/desk")
    assert (await console(box, "--secret", "mqtt/plant", told="quiet"))[0] == 0
    text = (box.data / "secrets.toml").read_text(encoding="utf-8")
    assert 'secret = "quiet"' in text
    assert (await console(box, "--secret", "syslog/x", told="quiet"))[0] == 2
    code, said = await console(box, "--secret", "mqtt/plant", told="x" * 257)
    assert (code, "notify.secret" in said) == (1, True)
    assert (box.data / "secrets.toml").read_text(encoding="utf-8") == text
