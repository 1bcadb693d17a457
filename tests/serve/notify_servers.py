"""Real servers that are told what happens: Mosquitto, rsyslog, and a receiver of webhooks."""

import asyncio
import contextlib
import datetime
import ipaddress
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ports import free_port

WAIT_S = 60


@dataclass
class Certificate:
    """Of a server at 127.0.0.1 that is called ``localhost``, signed by itself."""

    directory: Path
    name: str = "server"

    def __post_init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=10))
            .add_extension(
                x509.SubjectAlternativeName(
                    [
                        x509.DNSName("localhost"),
                        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                    ]
                ),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.pin = made.fingerprint(hashes.SHA256()).hex()
        self.cert, self.key = (self.directory / f"{self.name}.{end}" for end in ("pem", "key"))
        self.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.key.chmod(0o600)


class Mosquitto:
    """The broker of the distribution, with and without TLS; people and boxes log in."""

    USER, PASSWORD = "nvr", "not a secret"

    def __init__(self, directory: Path) -> None:
        self.certificate = Certificate(directory)
        self.port, self.tls_port = free_port(), free_port()
        self._conf = directory / "mosquitto.conf"
        self._passwords = directory / "passwords"
        self._conf.write_text(
            f"user root\nallow_anonymous false\npersistence false\n"
            f"password_file {self._passwords}\n"
            f"log_dest stderr\nlistener {self.port} 127.0.0.1\n"
            f"listener {self.tls_port} 127.0.0.1\n"
            f"certfile {self.certificate.cert}\nkeyfile {self.certificate.key}\n"
        )
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        if not self._passwords.exists():
            made = await asyncio.create_subprocess_exec(
                "mosquitto_passwd", "-b", "-c", self._passwords, self.USER, self.PASSWORD
            )
            assert await made.wait() == 0
        self.process = await asyncio.create_subprocess_exec(
            shutil.which("mosquitto", path="/usr/sbin:/usr/bin") or "mosquitto",
            *("-c", self._conf),
            stderr=asyncio.subprocess.DEVNULL,
        )
        await answers(self.port)

    async def end(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @contextlib.asynccontextmanager
    async def client(self, name: str = "person") -> AsyncIterator[aiomqtt.Client]:
        async with aiomqtt.Client(
            "127.0.0.1", self.port, username=self.USER, password=self.PASSWORD, identifier=name
        ) as client:
            yield client


@contextlib.asynccontextmanager
async def mosquitto(directory: Path) -> AsyncIterator[Mosquitto]:
    broker = Mosquitto(directory)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.end()


class Heard:
    """Everything below a topic, as one client hears it."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.all: list[tuple[str, bytes, bool]] = []

    async def until(self, holds: Callable[["Heard"], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds(self):
                await asyncio.sleep(0.02)

    def of(self, topic: str) -> list[bytes]:
        return [payload for where, payload, _ in self.all if where == topic]


@contextlib.asynccontextmanager
async def hearing(broker: Mosquitto, topic: str, name: str = "ear") -> AsyncIterator[Heard]:
    heard = Heard()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            where = message.topic.value
            heard.all.append((where, message.payload, bool(message.retain)))
            heard.kept[where] = message.payload

    async with broker.client(name) as client:
        await client.subscribe(topic, qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass
class Receiver:
    """Takes webhooks, or refuses them."""

    port: int
    answer: Callable[[int], web.Response] = lambda _n: web.Response(status=204)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.came) < count:
                await asyncio.sleep(0.02)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.came.append(({k.lower(): v for k, v in request.headers.items()}, body))
        return self.answer(len(self.came))


@contextlib.asynccontextmanager
async def receiver(port: int, certificate: Certificate | None = None) -> AsyncIterator[Receiver]:
    made = Receiver(port)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.cert, certificate.key)
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield made
    finally:
        await runner.cleanup()


class Rsyslog:
    """The distribution's daemon, listening over TLS, TCP and UDP."""

    def __init__(self, directory: Path) -> None:
        self.certificate = Certificate(directory, "log")
        self.tls_port, self.tcp_port, self.udp_port = free_port(), free_port(), free_port()
        self.file = directory / "log.json"
        self._conf = directory / "rsyslog.conf"
        self._pid = directory / "rsyslog.pid"
        cert, key = self.certificate.cert, self.certificate.key
        self._conf.write_text(f"""
global(defaultNetstreamDriverCAFile="{cert}" defaultNetstreamDriverCertFile="{cert}"
  defaultNetstreamDriverKeyFile="{key}" workDirectory="{directory}" net.enableDNS="off")
module(load="mmpstrucdata")
template(name="j" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="via" name="inputname" format="jsonf")
}}
ruleset(name="all") {{ action(type="omfile" file="{self.file}" template="j") }}
module(load="imptcp")
module(load="imudp")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port="{self.tls_port}" address="127.0.0.1" ruleset="all" name="tls")
input(type="imptcp" port="{self.tcp_port}" address="127.0.0.1" ruleset="all" name="tcp")
input(type="imudp" port="{self.udp_port}" address="127.0.0.1" ruleset="all" name="udp")
""")
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            shutil.which("rsyslogd", path="/usr/sbin:/usr/bin") or "rsyslogd",
            *("-n", "-i", self._pid, "-f", self._conf),
        )
        await answers(self.tls_port)
        await answers(self.tcp_port)

    async def end(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def until(self, holds: Callable[[list[str]], object]) -> list[str]:
        async with asyncio.timeout(WAIT_S):
            while not holds(lines := self.lines()):
                await asyncio.sleep(0.05)
        return lines

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []


@contextlib.asynccontextmanager
async def rsyslog(directory: Path) -> AsyncIterator[Rsyslog]:
    server = Rsyslog(directory)
    try:
        await server.start()
        yield server
    finally:
        await server.end()


async def answers(port: int) -> None:
    """Wait until somebody listens."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return


async def until(holds: Callable[[], object | Awaitable[object]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = holds()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)
