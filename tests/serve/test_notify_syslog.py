"""Syslog to the distribution's rsyslog: TLS, TCP and UDP, and a server that goes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from nvr.base.clock import SystemClock
from nvr.base.errors import NvrError
from nvr.base.permit import Permit
from nvr.media.news import AUDIT, News
from nvr.media.notify import NotifySettings
from nvr.serve.notify.syslog import SyslogNotifier
from tests.serve.notify_servers import Certificate, Rsyslog, answers, rsyslog, until

pytestmark = [
    pytest.mark.needs("rsyslog-gnutls"),
    pytest.mark.asyncio(loop_scope="module"),
]
HERE = Permit(["127.0.0.1:*"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rsyslog]:
    async with rsyslog(tmp_path_factory.mktemp("log")) as server:
        yield server


def notifier(
    url: str, home: Path, permit: Permit = HERE, *, audit: bool = True, **settings: object
) -> SyslogNotifier:
    wanted = NotifySettings(kind="syslog", name="log", on=True, url=url, audit=audit, **settings)
    return SyslogNotifier(wanted, permit, home, "盒子 1", SystemClock())


@contextlib.asynccontextmanager
async def running(made: SyslogNotifier) -> AsyncIterator[SyslogNotifier]:
    task = asyncio.create_task(made.session())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def news(ident: str, event: str = "tamper", **more: object) -> News:
    at_us = 1_800_000_000_000_000
    return News(ident, at_us, event, "begin", camera="gate", severity="warning", **more)


@pytest.mark.parametrize("scheme", ["tls", "tcp", "udp"])
async def test_the_daemon_reads_events_and_rows_of_the_audit_log(log: Rsyslog, scheme: str) -> None:
    port = {"tls": log.tls_port, "tcp": log.tcp_port, "udp": log.udp_port}[scheme]
    secure = {"ca": str(log.certificate.cert)} if scheme == "tls" else {}
    home = log.certificate.directory
    async with running(notifier(f"{scheme}://localhost:{port}", home, **secure)) as it:
        it.offer(news(f"{scheme}-1", name='东门 "a]"', detail="line\ncut"))
        row = {"action": "output.on", "who": "张三"}
        it.offer(news(f"{scheme}-2", AUDIT, detail="output.on ok", more=row))
        lines = await log.until(lambda all_: sum(f"{scheme}-" in one for one in all_) >= 2)
    first, second = (json.loads(one) for one in lines if f'id=\\"{scheme}-' in one)
    assert (first["host"], first["app"], first["msgid"]) == ("___1", "nvr", "camera")
    assert first["pri"] == "132"
    assert first["time"].startswith("2027-01-15T08:00:00")
    assert first["data"].endswith(f'id="{scheme}-1" event="tamper" what="begin" camera="gate" '
                                  'name="东门 \\"a\\]\\""]')  # fmt: skip
    assert "line cut" in first["text"]
    assert (second["msgid"], 'who="张三"' in second["data"]) == ("audit", True)
    assert it.tally.sent == 2


async def test_only_what_is_wanted_is_sent(log: Rsyslog) -> None:
    url = f"tcp://127.0.0.1:{log.tcp_port}"
    made = notifier(url, log.certificate.directory, audit=False, events=("input",))
    for number, event in enumerate([AUDIT, "motion", "input"]):
        made.offer(news(f"only-{number}", event))
    assert len(made.outbox) == 1


async def test_certificates_are_judged_before_a_word_is_said(log: Rsyslog, tmp_path: Path) -> None:
    url, other = f"tls://localhost:{log.tls_port}", Certificate(tmp_path)
    for how, code in (
        ({}, "notify.certificate"),
        ({"ca": "server.pem"}, "notify.certificate"),
        ({"pin": other.pin}, "notify.certificate"),
    ):
        with pytest.raises(NvrError) as caught:
            await notifier(url, tmp_path, **how).session()
        assert caught.value.code == code
    async with running(notifier(url, tmp_path, pin=log.certificate.pin)) as it:
        await it.test(news("pinned"))
    with pytest.raises(NvrError, match=r"notify\.forbidden"):
        await notifier(url, tmp_path, Permit()).session()


async def test_a_server_that_goes_is_noticed_and_what_waited_is_told_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with rsyslog(tmp_path) as server:
        made = notifier(f"tcp://127.0.0.1:{server.tcp_port}", tmp_path)
        task = asyncio.create_task(made.session())
        await until(lambda: made.tally.standing == "connected")
        await server.end()
        with pytest.raises(NvrError) as caught:
            await task
        assert caught.value.code in {"notify.lost", "notify.unreachable"}
        for number in range(1003):
            made.offer(news(f"late-{number}"))
        assert (len(made.outbox), made.outbox.dropped) == (1000, 3)
        await server.start()
        await answers(server.tcp_port)
        async with running(made):
            lines = await server.until(lambda all_: any("late-1002" in one for one in all_))
        told = [one for one in lines if "late-" in one]
        assert "3 older messages are lost" in told[0]
        assert sum('event=\\"tamper' in one for one in told) == 1000
