"""Webhooks: delivered, tried again over a restart, bounded, and to nowhere they must not go."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from nvr.base.clock import SystemClock
from nvr.base.errors import NvrError
from nvr.base.permit import Permit
from nvr.media.news import News
from nvr.media.notify import NotifySettings
from nvr.serve.notify import hook_queue, webhook
from nvr.serve.notify.hook_queue import FILE, HookQueue
from nvr.serve.notify.webhook import WebhookNotifier
from nvr.wire.webhook import secret_text
from tests.ports import free_port
from tests.serve.notify_servers import Certificate, receiver, until

SECRET = secret_text(bytes(range(32)))
HERE = Permit(["127.0.0.1:*"])


def news(number: int, event: str = "motion", **more: str) -> News:
    return News(
        f"t-{number}", SystemClock().wall_us(), event, "begin", **{"camera": "gate", **more}
    )


@contextlib.asynccontextmanager
async def notifier(
    home: Path, url: str, permit: Permit = HERE, secret: str = SECRET, *, runs: bool = True,
    **settings: object,
) -> AsyncIterator[WebhookNotifier]:  # fmt: skip
    queue, disk = HookQueue(home / FILE), ThreadPoolExecutor(1)
    made = WebhookNotifier(
        NotifySettings(kind="webhook", name="hook", on=True, url=url, **settings),
        lambda: secret, queue, disk, lambda: {"box": "盒子"}, permit, home, SystemClock(),
    )  # fmt: skip
    task = asyncio.create_task(made.session()) if runs else None
    try:
        yield made
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        disk.shutdown()
        queue.close()


async def test_news_come_signed_in_order_and_only_what_the_filter_lets_through(tmp_path: Path):
    port = free_port()
    async with (
        receiver(port) as there,
        notifier(tmp_path, f"http://127.0.0.1:{port}/in?x=1", events=("motion", "object.*")) as it,
    ):
        for number, event in enumerate(["motion", "output", "object.person", "audit", "motion"]):
            it.offer(news(number, event))
        await there.until(3)
        await until(lambda: it.tally.sent == 3)
        judge = Webhook(SECRET)
        told = [judge.verify(body, said) for said, body in there.came]
        assert [one["data"]["id"] for one in told] == ["t-0", "t-2", "t-4"]
        assert told[1]["type"] == "object.person.begin"
        assert told[1]["data"]["box"] == "盒子"
        assert it.tally.standing == "connected"
        await until(lambda: it.waiting == 0)


async def test_what_was_not_taken_is_tried_again_also_after_a_restart(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(webhook, "_AGAIN", webhook.Backoff(first_s=0.1, cap_s=0.4))
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with notifier(tmp_path, url) as it:  # nobody is there
        it.offer(news(1))
        it.offer(news(2))
        await until(lambda: it.tally.error is not None)
        assert it.tally.error.code == "notify.unreachable"
        assert it.tally.standing == "waiting"
    statuses = iter([500, 302, 429])

    def answer(_count: int) -> web.Response:
        status = next(statuses, 200)
        headers = {"Location": "http://127.0.0.1:1/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    async with receiver(port) as there, notifier(tmp_path, url) as it:
        there.answer = answer
        await until(lambda: it.tally.sent == 2)
        ids = [said["webhook-id"] for said, _ in there.came]
        assert ids == ["t-1"] * 4 + ["t-2"]  # the same one until it is taken, then the next
        assert it.tally.error.detail == "it answers HTTP 429"


async def test_a_message_that_will_never_be_taken_does_not_hold_up_the_next(tmp_path: Path):
    port = free_port()
    async with receiver(port) as there, notifier(tmp_path, f"http://127.0.0.1:{port}/") as it:
        there.answer = lambda n: web.Response(status=422 if n == 1 else 200)
        it.offer(news(1))
        it.offer(news(2))
        await until(lambda: it.tally.sent == 1)
        assert it.tally.failed == 1
        assert it.tally.error.code == "notify.not_taken"


async def test_too_much_that_waits_drops_the_oldest_and_is_counted(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(hook_queue, "MOST", 5)
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with notifier(tmp_path, url, runs=False) as it:
        for number in range(8):
            it.offer(news(number))
        await until(lambda: it.dropped == 3)
    async with receiver(port) as there, notifier(tmp_path, url) as it:
        await there.until(5)
        assert [s["webhook-id"] for s, _ in there.came] == [f"t-{n}" for n in range(3, 8)]


async def test_a_certificate_must_be_trusted_signed_by_the_ca_or_the_pinned_one(tmp_path: Path):
    own = Certificate(tmp_path)
    other = Certificate(tmp_path, "other")
    port = free_port()
    url = f"https://localhost:{port}/"
    async with receiver(port, own) as there:
        for how, fails in (
            ({}, "notify.certificate"),
            ({"ca": "other.pem"}, "notify.certificate"),
            ({"ca": "none.pem"}, "notify.ca"),
            ({"pin": other.pin}, "notify.certificate"),
            ({"ca": "server.pem"}, ""),
            ({"pin": own.pin.upper()}, ""),
        ):
            async with notifier(tmp_path, url, runs=False, **how) as it:
                if not fails:
                    assert await it.test(news(1)) < 60
                    continue
                with pytest.raises(NvrError) as caught:
                    await it.test(news(1))
                assert caught.value.code == fails, how
        assert len(there.came) == 2


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0x7f.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0",
     "169.254.169.254", "[fe80::1]", "100.100.100.200", "[fd00:ec2::254]", "224.0.0.1"],
)  # fmt: skip
async def test_nothing_is_sent_to_the_box_itself_or_to_a_metadata_service(
    tmp_path: Path, host: str
):
    port = free_port()
    async with (
        receiver(port) as there,
        notifier(tmp_path, f"http://{host}:{port}/", Permit(), runs=False) as it,
    ):
        with pytest.raises(NvrError) as caught:
            await it.test(news(1))
        assert caught.value.code == "notify.forbidden"
        assert there.came == []


async def test_a_name_that_changes_its_mind_gains_nothing(tmp_path: Path, monkeypatch):
    """Judged where it led first, connected to where it leads then: the socket is judged as well."""
    port = free_port()

    async def harmless(*_: object) -> str:
        return "192.0.2.1"

    monkeypatch.setattr(webhook, "resolve", harmless)
    async with (
        receiver(port) as there,
        notifier(tmp_path, f"http://localhost:{port}/", Permit(), runs=False) as it,
    ):
        with pytest.raises(NvrError) as caught:
            await it.test(news(1))
        assert caught.value.code == "notify.forbidden"
        assert there.came == []


async def test_a_secret_that_is_none_is_said_and_nothing_goes_unsigned(tmp_path: Path):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with receiver(port) as there:
        async with notifier(tmp_path, url, secret="too short", runs=False) as it:
            with pytest.raises(NvrError, match=r"notify\.secret"):
                await it.test(news(1))
        async with notifier(tmp_path, url, secret="", runs=False) as it:
            await it.test(news(1))
        ((said, body),) = there.came
        assert "webhook-signature" not in said
        assert json.loads(body)["type"] == "motion.begin"


def test_a_queue_that_is_no_database_is_begun_anew(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"nonsense" * 1000)
    queue = HookQueue(tmp_path / FILE)
    queue.put("hook", "a", b"{}", 1)
    assert queue.first("hook").id == "a"
    queue.close()
