"""Strangers at every port of the box: each refused and counted, and nobody else disturbed.

The shipped `nvr run` with one camera, the page, RTSP, RTSPS and ONVIF; meanwhile a reader plays and
asks for nothing twice. Replayed: an RTSP request on another connection, an ONVIF token. Stolen: a
session, on a second connection. Too large: heads, bodies and descriptions, ours to read as a server
and as a client. Entities that stand for each other. Then, from an address of their own, as many as
get in at each of the four ports that send a byte a second and never end a request; while they do a
guest from elsewhere must be served at every port, again and again. GB/T 28181 has no port here: we
call platforms, and what they send is `tests.app.test_gb28181`'s.
"""

import asyncio
import base64
import contextlib
import hashlib
import secrets
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from nvr.wire.rtsp import Request
from tests.bench.camera import cameras
from tests.bench.figures import Figure, arguments, at_least, at_most, progress, report
from tests.bench.recorder import Page, Recorder, recorder, scratch
from tests.bench.stuck import Live, playing
from tests.ports import free_port
from tests.serve.replayer import Replayer

STRANGER = "127.0.0.66"
AT_EACH_PORT = 80
ONVIF = '[onvif]\non = true\nhost = "127.0.0.1"\nport = {}\ndiscovery = false\n'
BOMB = b'<!DOCTYPE l [<!ENTITY a "ha">%b]><Envelope><Body>&j;</Body></Envelope>' % b"".join(
    b'<!ENTITY %c "%b">' % (name, b"&%c;" % (name - 1) * 10) for name in b"bcdefghij"
)
LIMITS = {
    "not_refused": at_most(0, "each of them is refused"),
    "not_counted": at_most(0, "and stands in the figures of the box"),
    "guest_failed": at_most(0, "who comes from elsewhere is served meanwhile"),
    "guest_worst_s": at_most(2, "and soon"),
    "slow_left": at_most(0, "whoever never ends a request is cut"),
    "slow_cut_s": at_most(25, "within ten seconds and what it takes to accept them"),
    "gaps": at_most(0, "who plays loses nothing"),
    "live": at_least(1, "the camera is still recorded"),
}
_TDS = "http://www.onvif.org/ver10/device/wsdl"


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def told(port: int, *said: bytes, tls: bool = False, own: str = "127.0.0.1") -> bytes:
    """First line of what a connection is answered, empty if it is just closed."""
    context = unverified() if tls else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, local_addr=(own, 0)
    )
    try:
        with contextlib.suppress(ConnectionError):
            for one in said:
                writer.write(one)
                await writer.drain()
            async with asyncio.timeout(30):
                return await reader.readline()
    finally:
        writer.close()
    return b""


def post(body: bytes) -> bytes:
    return b"POST /onvif/device_service HTTP/1.1\r\nHost: box\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body), body,
    )  # fmt: skip


def token(name: str, secret: str) -> bytes:
    """A request that only who has a token may make."""
    nonce, created = secrets.token_bytes(16), datetime.now(UTC).isoformat()
    made = hashlib.sha1(nonce + created.encode() + secret.encode()).digest()
    return (
        f"<Envelope><Header><Security><UsernameToken><Username>{name}</Username>"
        f"<Password Type='#PasswordDigest'>{base64.b64encode(made).decode()}</Password>"
        f"<Nonce>{base64.b64encode(nonce).decode()}</Nonce><Created>{created}</Created>"
        f"</UsernameToken></Security></Header><Body><GetScopes xmlns='{_TDS}'/></Body></Envelope>"
    ).encode()


class Box:
    """The recorder, and where its ports are."""

    def __init__(self, ours: Recorder, page: Page, onvif_port: int) -> None:
        self.ours, self.page, self.onvif_port = ours, page, onvif_port
        body = {"name": "bench", "rights": {"*": ["live"]}, "tokens": True}
        self.secret = str(page.call("POST", "/api/machine", body)["secret"])

    def counted(self) -> dict[str, float]:
        """What the box says that it refused."""
        _, text = self.page.fetch("GET", "/metrics")
        found = {}
        for line in text.decode().splitlines():
            if line.startswith("nvr_rtsp_refused_total{"):
                why, _, count = line.partition('why="')[2].partition('"} ')
                found[why] = float(count)
        return found

    async def guest(self) -> bool:
        """Whether somebody from elsewhere is served at every port."""
        options = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        time_of_day = f"<Envelope><Body><GetSystemDateAndTime xmlns='{_TDS}'/></Body></Envelope>"
        page = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answers = await asyncio.gather(
            told(self.ours.rtsp_port, options),
            told(self.ours.rtsps_port, options, tls=True),
            told(self.onvif_port, post(time_of_day.encode())),
            told(self.ours.page_port, page, tls=True),
        )
        return all(b" 200 " in answer for answer in answers)


async def refused(box: Box, owner: Replayer) -> list[str]:
    """What was not refused as it should be."""
    rtsp, onvif, wrong = box.ours.rtsp_port, box.onvif_port, list[str]()

    async def expect(name: str, status: int, port: int, *said: bytes) -> None:
        answer = await told(port, *said)
        if f" {status} ".encode() not in answer:
            wrong.append(f"{name}: {answer!r}")

    signed = owner.login.authorization("DESCRIBE", owner.url, "c")
    headers = (("CSeq", "9"), ("Authorization", signed or ""))
    replayed = Request("DESCRIBE", owner.url, headers).encode()
    await expect("a request on another connection", 401, rtsp, replayed)
    once = post(token("bench", box.secret))
    await expect("the first use of a token", 200, onvif, once)
    for _ in range(3):
        await expect("a token used before", 401, onvif, once)
    for _ in range(3):
        await expect("entities", 400, onvif, post(BOMB))
    await expect("a head without end", 413, rtsp, b"OPTIONS * RTSP/1.0\r\nX: " + b"y" * 40_000)
    body = b"ANNOUNCE %b RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 9000000\r\n\r\n" % (
        owner.url.encode()
    )
    await expect("a description without end", 413, rtsp, body)
    await expect("a page of ONVIF without end", 400, onvif, post(b"<a>" * 40_000))
    async with playing(box.ours, box.secret) as thief:
        thief.session = owner.session
        if (await thief.ask("TEARDOWN"))[0] != 454:
            wrong.append("a session of another connection")
    return wrong


@contextlib.asynccontextmanager
async def endless_camera() -> AsyncIterator[int]:
    """A camera whose description never ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                cseq = next(one for one in head.split(b"\r\n") if one.startswith(b"CSeq"))
                writer.write(b"RTSP/1.0 200 OK\r\n%b\r\n" % cseq)
                if head.startswith(b"DESCRIBE"):
                    writer.write(b"Content-Type: application/sdp\r\nContent-Length: 999999999\r\n")
                writer.write(b"\r\n")
                while head.startswith(b"DESCRIBE"):
                    writer.write(b"a=x:y\r\n" * 1000)
                    await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])


async def slow(port: int, begin: bytes, *, tls: bool) -> bool:
    """One that never ends a request; whether it was cut."""
    context = unverified() if tls else None
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, local_addr=(STRANGER, 0)
            )
            try:
                writer.write(begin)
                while not reader.at_eof():
                    writer.write(b"x")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await reader.read(1000)
            finally:
                writer.transport.abort()
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


async def slowly(box: Box) -> dict[str, Figure]:
    """All four ports held by strangers, and a guest meanwhile."""
    ports = (
        (box.ours.rtsp_port, b"DESCRIBE rtsp://x", False),
        (box.ours.rtsps_port, b"DESCRIBE rtsp://x", True),
        (box.onvif_port, b"POST /onvif/device_service HTTP/1.1\r\nX: ", False),
        (box.ours.page_port, b"GET / HTTP/1.1\r\nX: ", True),
    )
    began_s, worst_s, failed = time.monotonic(), 0.0, 0
    strangers = [
        asyncio.create_task(slow(port, begin, tls=tls))
        for port, begin, tls in ports
        for _ in range(AT_EACH_PORT)
    ]
    while not all(one.done() for one in strangers):
        await asyncio.sleep(0.5)
        asked_s = time.monotonic()
        failed += not await box.guest()
        worst_s = max(worst_s, time.monotonic() - asked_s)
    return {
        "slow": len(strangers),
        "slow_left": sum(not one.result() for one in strangers),
        "slow_cut_s": round(time.monotonic() - began_s, 1),
        "guest_failed": failed,
        "guest_worst_s": round(worst_s, 2),
    }


async def measured(box: Box) -> tuple[dict[str, Figure], list[str]]:
    """All of it, beside somebody who plays."""
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        owner = await stack.enter_async_context(playing(box.ours, box.secret))
        live = Live(await stack.enter_async_context(playing(box.ours, box.secret)))
        reading = group.create_task(live.read())
        progress("replayed, stolen, too large")
        notes = await refused(box, owner)
        port = await stack.enter_async_context(endless_camera())
        call: Callable[..., Any] = box.page.call
        url = f"rtsp://127.0.0.1:{port}/camera"
        await asyncio.to_thread(call, "POST", "/api/camera", {"name": "endless", "url": url})
        progress("slowly")
        figures = await slowly(box)
        states = await asyncio.to_thread(call, "GET", "/api/camera")
        reading.cancel()
    state = {one["name"]: (one["state"], one["code"]) for one in states}
    counted = await asyncio.to_thread(box.counted)
    wanted = ("401", "413", "454", "no room", "a request took too long")
    missing = [why for why in wanted if not counted.get(why)]
    if state["endless"][1] not in {"camera.protocol", "camera.garbage"}:
        notes.append(f"the camera whose description never ends is {state['endless']}")
    notes += [f"not counted: {why}" for why in missing]
    return {
        "not_refused": len(notes) - len(missing),
        "not_counted": len(missing),
        **figures,
        "gaps": live.gaps,
        "live": int(state["c0"][0] == "live"),
    }, [*notes, f"counted: {counted}"]


def main(words: list[str] | None = None) -> int:
    """Run the harness."""
    chosen = arguments(__doc__ or "").parse_args(words)
    port = free_port()
    with cameras(1) as running, scratch() as directory:
        urls = [running.url(0)]
        with recorder(urls, directory, camera_tables=ONVIF.format(port)) as ours:
            page = Page(ours.page_port, ours.claim)
            running.wait_for(1)
            figures, notes = asyncio.run(measured(Box(ours, page, port)))
            page.close()
    return report("attack", figures, LIMITS, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
