"""A GB/T 28181 platform for tests: registers devices with digest, asks, and keeps what it hears."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from nvr.wire import sip
from nvr.wire.digest import parameters
from nvr.wire.manscdp import TYPE, Body, parse
from nvr.wire.sip import MAGIC, Request, Response, Splitter

SERVER = "34020000002000000001"
DEVICE = "34020000001180000001"
REALM = "3402000000"
PASSWORD = "12345678"


@dataclass
class Platform:
    """What it is, and what came.

    Attributes:
        status: What a REGISTER with the right password is answered, 0 for not at all.
        keepalive: What a sign of life is answered, 0 for not at all.
        contact: Of a 302.
        version: Its ``X-GB-Ver``, empty to say none.
        proxy: It challenges with 407 and not with 401.
        algorithm: Of its challenge.
        date: Makes its ``Date``, empty to say none.
        speak: What an INVITE is answered with, empty to refuse it.
    """

    status: int = 200
    keepalive: int = 200
    contact: str = ""
    version: str = "3.0"
    proxy: bool = False
    algorithm: str = "MD5"
    speak: Callable[[Request], str] = lambda _: ""
    expires: str = ""
    date: Callable[[], str] = str
    registered: list[Request] = field(default_factory=list)
    left: int = 0
    bodies: list[Body] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """``Call-ID`` of each of `bodies`."""
    others: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    send: Callable[[bytes], None] = lambda _: None
    port: int = 0
    number: int = 0
    _nonces: set[str] = field(default_factory=set)

    def take(self, data: bytes, send: Callable[[bytes], None]) -> None:
        """Take one message; `send` leads back."""
        self.send = send
        message = sip.parse(data)
        assert sip.fault(message) == "", data
        if isinstance(message, Response):
            self.answers.append(message)
        elif message.method == "REGISTER":
            self._register(message)
        elif message.method == "MESSAGE":
            self._message(message)
        else:
            self.others.append(message)
            if message.method == "INVITE":
                self._invite(message)
            elif message.method != "ACK":
                self.reply(message, 200, "OK")
        self.heard.set()

    def _invite(self, request: Request) -> None:
        self.reply(request, 100, "Trying")
        if not (text := self.speak(request)):
            self.reply(request, 486, "Busy Here")
            return
        more = [("Contact", f"<sip:{SERVER}@127.0.0.1:{self.port}>")]
        more.append(("Content-Type", "application/sdp"))
        granted = sip.reply(request, 200, "OK", tag="p1", headers=more, body=text.encode())
        self.send(granted.encode())

    def reply(self, request: Request, status: int, reason: str, *more: tuple[str, str]) -> None:
        """Answer a request."""
        self.send(sip.reply(request, status, reason, tag="p1", headers=more).encode())

    def ask(
        self,
        method: str,
        body: str | bytes = b"",
        content: str = TYPE,
        *more: tuple[str, str],
        to: str = DEVICE,
        call_id: str = "",
        tag: str = "",
        branch: str = "",
        own: str = "p",
    ) -> str:
        """Ask the device; returns the Call-ID. `own` is our tag, ``p1`` where it invited us."""
        self.number += 1
        call_id = call_id or secrets.token_hex(8)
        data = body.encode("gb18030") if isinstance(body, str) else body
        kept = f";tag={tag}" if tag else ""
        branch = branch or MAGIC + secrets.token_hex(8)
        request = Request(
            (
                ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.port};rport;branch={branch}"),
                ("From", f"<sip:{SERVER}@{REALM}>;tag={own}"),
                ("To", f"<sip:{to}@{REALM}>{kept}"),
                ("Call-ID", call_id),
                ("CSeq", f"{self.number if method != 'ACK' else self.number - 1} {method}"),
                ("Contact", f"<sip:{SERVER}@127.0.0.1:{self.port}>"),
                *more,
                *((("Content-Type", content),) if data else ()),
            ),
            data, method, f"sip:{to}@{REALM}",
        )  # fmt: skip
        self.send(request.encode())
        return call_id

    async def until(self, done: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait for something to be so."""
        async with asyncio.timeout(seconds):
            while not done():
                self.heard.clear()
                if not done():
                    await self.heard.wait()

    async def answer(self, call_id: str) -> Response:
        """Wait for the final answer to what was asked."""

        def found() -> list[Response]:
            return [one for one in self.answers if one.call_id == call_id and one.status >= 200]

        await self.until(found)
        return found()[0]

    async def told(self, command: str, number: str = "", most: int = 1) -> list[Body]:
        """Wait for bodies with a command (and a number)."""

        def found() -> list[Body]:
            return [
                one for one in self.bodies
                if one.command == command and number in {"", one.number} and one.kind != "Query"
            ]  # fmt: skip

        await self.until(lambda: len(found()) >= most)
        return found()

    def query(self, command: str, number: int, device: str = DEVICE, inner: str = "") -> str:
        """Ask something in a MESSAGE."""
        return self._body("Query", command, number, device, inner)

    def control(self, number: int, device: str, inner: str, command: str = "DeviceControl") -> str:
        """Command something in a MESSAGE."""
        return self._body("Control", command, number, device, inner)

    async def configure(self, device: str, number: int, inner: str) -> str:
        """Set something of a device; returns what came of it."""
        self.control(number, device, inner, "DeviceConfig")
        (answer,) = await self.told("DeviceConfig", str(number))
        assert (answer.kind, answer.device) == ("Response", device)
        return answer.said("Result")

    async def settings(self, device: str, number: int, types: str) -> dict[str, Body]:
        """Read settings: each answer under what it holds, those of errors under their places."""
        self.query("ConfigDownload", number, device, f"<ConfigType>{types}</ConfigType>")
        wanted, named = types.split("/"), dict[str, Body]()
        for n, body in enumerate(await self.told("ConfigDownload", str(number), len(wanted))):
            held = next(
                (one.name for one in body.root.children if one.name in wanted), f"error {n}"
            )
            assert body.said("Result") == ("ERROR" if held.startswith("error") else "OK")
            named[held] = body
        return named

    def _body(self, kind: str, command: str, number: int, device: str, inner: str) -> str:
        return self.ask(
            "MESSAGE",
            f'<?xml version="1.0" encoding="GB2312"?><{kind}><CmdType>{command}</CmdType>'
            f"<SN>{number}</SN><DeviceID>{device}</DeviceID>{inner}</{kind}>",
        )

    def _register(self, request: Request) -> None:
        if self.status == 0:
            return
        name = "Proxy-Authorization" if self.proxy else "Authorization"
        if not self._proved(parameters(request.get(name).partition(" ")[2]), request.uri):
            nonce = hashlib.sha256(secrets.token_bytes(8)).hexdigest()
            self._nonces.add(nonce)
            challenge = f'Digest realm="{REALM}", nonce="{nonce}", qop="auth"'
            challenge += f", algorithm={self.algorithm}"
            status, header = (407, "Proxy") if self.proxy else (401, "WWW")
            self.reply(request, status, "Unauthorized", (f"{header}-Authenticate", challenge))
            return
        if request.get("Expires") == "0":
            self.left += 1
            self.reply(request, 200, "OK", ("Expires", "0"))
            return
        more = [("Expires", self.expires or request.get("Expires"))]
        more += [("X-GB-Ver", self.version)] if self.version else []
        more += [("Date", said)] if (said := self.date()) else []
        if self.contact:
            self.reply(request, 302, "Moved Temporarily", ("Contact", self.contact))
            return
        self.reply(request, self.status, "OK" if self.status == 200 else "No", *more)
        if self.status == 200:
            self.registered.append(request)

    def _proved(self, said: Mapping[str, str], uri: str) -> bool:
        """Whether it knows the password, reckoned here."""
        if said.get("nonce") not in self._nonces:
            return False

        def hashed(*words: str) -> str:
            name = self.algorithm.lower().replace("-", "")
            return hashlib.new(name, ":".join(words).encode()).hexdigest()

        ha1, ha2 = hashed(DEVICE, REALM, PASSWORD), hashed("REGISTER", uri)
        middle = [said.get(name, "") for name in ("nonce", "nc", "cnonce", "qop")]
        known = (said.get("username"), said.get("realm"), said.get("uri")) == (DEVICE, REALM, uri)
        return known and said.get("response") == hashed(ha1, *middle, ha2)

    def _message(self, request: Request) -> None:
        body = parse(request.body)
        self.bodies.append(body)
        self.calls.append(request.call_id)
        status = self.keepalive if body.command == "Keepalive" else 200
        if status:
            self.reply(request, status, "OK")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.platform.take(data, lambda out: self.transport.sendto(out, address))


async def serve_udp(platform: Platform) -> asyncio.DatagramTransport:
    """Have it on a port of 127.0.0.1."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(platform), local_addr=("127.0.0.1", 0)
    )
    platform.port = transport.get_extra_info("sockname")[1]
    return transport


async def serve_tcp(platform: Platform) -> asyncio.Server:
    """The same over TCP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = Splitter()
        try:
            while data := await reader.read(65536):
                for one in splitter.feed(data):
                    platform.take(one, writer.write)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    platform.port = server.sockets[0].getsockname()[1]
    return server


def items(bodies: Sequence[Body], which: str = "DeviceID") -> list[str]:
    """What each item of some bodies says under a name."""
    return [
        next((leaf.text for leaf in item.children if leaf.name == which), "")
        for body in bodies
        for item in body.root.all("Item")
    ]
