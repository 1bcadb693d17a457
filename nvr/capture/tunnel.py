"""RTSP through HTTP: two connections to the camera's web port, for networks that pass nothing else.

::

    GET  path HTTP/1.0   x-sessioncookie: C   the camera's side of the conversation, as on TCP
    POST path HTTP/1.0   x-sessioncookie: C   ours, each request in Base64

Both go to the same address. In TLS both are; then it is RTSP over HTTPS.

Source: Apple, "Tunneling RTSP and RTP through HTTP" (2001); ONVIF Streaming Specification 5.1.4.
"""

import asyncio
import base64
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from nvr.base.errors import Misconfigured, NvrError, Rejected, Unavailable
from nvr.capture.dial import HANDSHAKE_S, Dialer
from nvr.capture.line import Line, Socket
from nvr.wire.digest import Login
from nvr.wire.rtsp import AGENT

_HEAD_BYTES: Final = 16 * 1024
_KIND: Final = "application/x-rtsp-tunnelled"
# So much is announced for the way there, which has no end; what Apple's player said.
_ANNOUNCED: Final = 32767
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")


class TunnelLine:
    """Both connections as one. See `Line`."""

    writes = False

    def __init__(self, down: Line, up: Line, first: bytes) -> None:
        self.sock: socket.socket | None = None if first else down.sock
        self._down = down
        self._up = up
        self._first = first

    def ends(self) -> tuple[Socket, str]:  # noqa: D102 - see Line
        return self._down.ends()

    async def read(self) -> bytes:  # noqa: D102 - see Line
        if self._first:
            first, self._first = self._first, b""
            self.sock = self._down.sock
            return first
        return await self._down.read()

    async def write(self, data: bytes) -> None:  # noqa: D102 - see Line
        if data:
            await self._up.write(base64.b64encode(data))


def ports(url: str) -> tuple[int, ...]:
    """Where the tunnel may begin: at the address's own port, and where cameras have their page.

    Raises:
        ValueError: Its port is no port.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "rtsps"
    usual = (443, 322) if secure else (80, 554)
    return tuple(dict.fromkeys((parts.port, usual[0]) if parts.port else usual))


@asynccontextmanager
async def tunnel(dialer: Dialer, url: str, login: Login | None) -> AsyncIterator[Line]:
    """Open it at the first port where a camera takes it.

    Raises:
        Misconfigured: ``camera.no_tunnel``: none does.
        Rejected: ``camera.refused``, ``camera.forbidden``, ``camera.certificate``.
        Unavailable: ``camera.unreachable`` and its like, at the only port there is.
    """
    why: list[str] = []
    async with AsyncExitStack() as opened:
        for port in ports(url):
            try:
                line = await _begin(opened, dialer, url, port, login)
            except NvrError as err:
                if isinstance(err, Rejected) and not (why and err.code == "camera.forbidden"):
                    raise
                why.append(f"port {port}: {err.detail}")
                await opened.aclose()
            else:
                break
        else:
            raise Misconfigured("camera.no_tunnel", f"no RTSP over HTTP; {'; '.join(why)}")
        yield line


async def _begin(
    opened: AsyncExitStack, dialer: Dialer, url: str, port: int, login: Login | None
) -> TunnelLine:
    parts = urlsplit(url)
    host, name = parts.hostname or "", parts.hostname if parts.scheme == "rtsps" else ""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    cookie = secrets.token_hex(11)
    common = (f"Host: {host}:{port}", f"User-Agent: {AGENT}", f"x-sessioncookie: {cookie}")
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            while True:
                down = await opened.enter_async_context(dialer.open(host, port, name=name or ""))
                get = [
                    f"GET {path} HTTP/1.0",
                    *common,
                    f"Accept: {_KIND}",
                    *_proof("GET", path, login),
                ]
                await down.write(_head([*get, "Pragma: no-cache", "Cache-Control: no-cache"]))
                status, head, rest = await _answer(down)
                if status != 401:
                    break
                await opened.aclose()
                if login is None or not login.challenged(_challenges(head)):
                    what = "refused the user name or password" if login else "asks for a password"
                    raise Rejected("camera.refused", f"the camera {what}")
            if status != 200:
                raise Unavailable("camera.lost", f"it answers {status}")
            up = await opened.enter_async_context(
                dialer.open(down.ends()[1], port, name=name or "")
            )
            post = [f"POST {path} HTTP/1.0", *common, f"Content-Type: {_KIND}"]
            post += [*_proof("POST", path, login), f"Content-Length: {_ANNOUNCED}"]
            past = "Expires: Sun, 9 Jan 1972 00:00:00 GMT"
            await up.write(_head([*post, "Pragma: no-cache", "Cache-Control: no-cache", past]))
    except TimeoutError as err:
        raise Unavailable("camera.silent", "it does not answer") from err
    except OSError as err:
        raise Unavailable("camera.lost", str(err)) from err
    return TunnelLine(down, up, rest)


def _head(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _proof(method: str, path: str, login: Login | None) -> list[str]:
    proof = login.authorization(method, path, secrets.token_hex(8)) if login else None
    return [f"Authorization: {proof}"] if proof else []


async def _answer(line: Line) -> tuple[int, bytes, bytes]:
    """Status and head of an answer, and what follows it already."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await line.read()
        if not more:
            raise Unavailable("camera.lost", "it closed the connection")
        data += more
        if len(data) > _HEAD_BYTES:
            raise Unavailable("camera.lost", "it answers something else")
    head, _, rest = data.partition(b"\r\n\r\n")
    status = _STATUS.match(head + b"\r")
    if not status:
        raise Unavailable("camera.lost", "it answers something else")
    return int(status.group(1)), head, rest


def _challenges(head: bytes) -> list[str]:
    found = []
    for line in head.decode("utf-8", "replace").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.strip().lower() == "www-authenticate":
            found.append(value.strip())
    return found
