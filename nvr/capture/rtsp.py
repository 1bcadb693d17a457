"""One RTSP connection to a camera: opened, negotiated and handed to the ingest thread."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from nvr.base.clock import Clock
from nvr.base.errors import Damaged, Misconfigured, NvrError, Rejected, Unavailable
from nvr.capture.choice import Memory, deliveries
from nvr.capture.datagram import Sockets
from nvr.capture.dial import HANDSHAKE_S, Dialer, untrusting_tls
from nvr.capture.line import Line
from nvr.capture.permit import host_and_port
from nvr.capture.tunnel import tunnel
from nvr.media.datagram import Datagrams
from nvr.media.track import AudioCodec, PictureCodec, RtpTrack
from nvr.media.transport import Carried, Proof, Way, Wish
from nvr.wire.digest import Login
from nvr.wire.rtsp_client import Client, Failed, Moved, Playing, Track
from nvr.wire.rtsp_replay import ReplayClient
from nvr.wire.rtsp_talk import TalkClient

__all__ = ["Account", "Call", "Caller", "failure", "nobody", "rtp_track", "untrusting_tls"]

REDIRECTS = 2
CLOSED: Final = "connection refused"
"""What a host says that is there, of a port that is not."""

_CODECS: dict[str, PictureCodec | AudioCodec] = {
    "h264": "h264",
    "h265": "h265",
    "jpeg": "jpeg",
    "aac": "aac",
    "pcma": "pcma",
    "pcmu": "pcmu",
    "opus": "opus",
    "g726": "g726",
    "l16": "l16",
}


@dataclass(frozen=True, slots=True)
class Account:
    """A user on a camera; the password shows in no representation."""

    user: str
    password: str = field(repr=False)


def nobody() -> None:
    """No account: a camera that asks for none."""


def _anywhere(_address: str, _port: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Call:
    """A connection on which packets flow.

    Attributes:
        line: The connection itself.
        client: Our end of the conversation on it.
        playing: What was set up.
        carried: How packets come.
        datagrams: Sockets by channel of their track, empty if packets come on `line`; whoever
            takes the call closes them.
    """

    line: Line
    client: Client
    playing: Playing
    carried: Carried
    datagrams: Mapping[int, Datagrams]


@dataclass(frozen=True, slots=True)
class Caller:
    """Opens connections to one camera.

    Attributes:
        url: ``rtsp://`` or ``rtsps://`` without credentials.
        account: Who we are there, None if nobody. Asked for each connection, in a thread: it may
            read a file, and raise an `NvrError` if that is not as it should be.
        clock: Time source.
        permit: Whether an IP address and port may be connected to at all.
        tls: Context for ``rtsps://``, which says whose certificate is taken.
        pin: SHA-256 of the one certificate that is taken, empty for any that `tls` takes.
        transport: How packets are to come.
        sound: Sound is taken; if not, it is not set up.
        memory: What was learned of its server.
    """

    url: str
    account: Callable[[], Account | None]
    clock: Clock
    permit: Callable[[str, int], bool] = _anywhere
    tls: ssl.SSLContext | None = None
    pin: str = ""
    transport: Wish = "auto"
    sound: bool = True
    memory: Memory = field(default_factory=Memory)

    @property
    def secure(self) -> bool:
        """Everything goes through TLS."""
        return self.url.startswith("rtsps:")

    @property
    def proof(self) -> Proof:
        """Whom we talk to, as far as TLS says."""
        if not self.secure:
            return ""
        if self.pin:
            return "pinned"
        signed = self.tls is not None and self.tls.verify_mode is ssl.CERT_REQUIRED
        return "signed" if signed else "unverified"

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Call]:
        """Connect and negotiate, up to the moment when packets flow.

        The socket is closed on the way out unless its new owner detached it.

        Raises:
            Unavailable: The camera does not answer: ``camera.unreachable``, ``camera.silent``,
                ``camera.lost``, ``camera.tls``; ``camera.no_ports``.
            Rejected: ``camera.refused``, ``camera.forbidden``, ``camera.redirected``,
                ``camera.certificate``.
            Damaged: ``camera.garbage``, ``camera.protocol``.
            Misconfigured: ``camera.unsupported``, ``camera.not_found``, ``camera.no_tcp``,
                ``camera.no_transport``, ``camera.no_tunnel``.
            NvrError: What `account` raises.
        """
        account = await asyncio.to_thread(self.account)
        url, known = self.url, True
        if self.memory.moved_to:
            url, self.memory.moved_to = self.memory.moved_to, ""
            known = urlsplit(url).hostname == urlsplit(self.url).hostname
        ways = self.memory.ways(self.transport, secure=self.secure)
        for _ in range(REDIRECTS + 1):
            who = account if known else None
            try:
                async with self._begun(url, who, ways) as (line, client, found, sockets):
                    if isinstance(found, Playing):
                        way = "http" if ways[0] == "http" else found.tracks[0].delivery
                        carried = self.memory.carried(
                            way, found.refused, self.transport, self.proof
                        )
                        yield Call(line, client, found, carried, sockets.take(found.tracks))
                        return
                    url, known = found.url, known and not found.foreign
            except NvrError as err:
                judged = self._judged(err, ways, withheld=account is not None and not known)
                if judged is err:
                    raise
                raise judged from err
        raise Damaged("camera.protocol", "the camera sends us in circles")

    @asynccontextmanager
    async def _begun(
        self, url: str, account: Account | None, ways: tuple[Way, ...]
    ) -> AsyncIterator[tuple[Line, Client, Playing | Moved, Sockets]]:
        """Connect once and talk until it plays or sends us elsewhere."""

        def login() -> Login | None:
            return Login(account.user, account.password) if account else None

        async with self._open(url, ways, login()) as line, _closing(self._sockets(line)) as sockets:
            client = Client(
                url,
                login(),
                cnonce=lambda: secrets.token_hex(8),
                deliveries=deliveries(ways),
                ports=sockets.open_pair,
                unborne=frozenset(self.memory.unborne),
                sound=self.sound,
            )
            try:
                found = await self._negotiate(line, client)
            except Unavailable as err:
                if err.code == "camera.lost" and client.unanswered == "OPTIONS":
                    self.memory.hung_up("OPTIONS")
                raise
            yield line, client, found, sockets

    @asynccontextmanager
    async def speak(self) -> AsyncIterator[tuple[Line, TalkClient, Track | Failed]]:
        """Connect once more, to send: the back channel is set up, or what came instead.

        Raises:
            NvrError: As `call`; what the camera itself says comes as `Failed`.
        """
        account = await asyncio.to_thread(self.account)
        login = Login(account.user, account.password) if account else None
        ways: tuple[Way, ...] = self.memory.ways(self.transport, secure=self.secure)[:1]
        async with self._open(self.url, ways if ways == ("http",) else ("tcp",), login) as line:
            client = TalkClient(self.url, login, cnonce=lambda: secrets.token_hex(8))
            found = await self._answer(line, client)
            if isinstance(found, Moved):
                found = Failed("camera.redirected", "the camera wants to be spoken to elsewhere")
            yield line, client, found.tracks[0] if isinstance(found, Playing) else found

    @asynccontextmanager
    async def replay(
        self, url: str, span: tuple[int, int]
    ) -> AsyncIterator[tuple[Line, Client, Playing]]:
        """Connect once more, for a stretch of what the camera recorded by itself.

        Args:
            url: Where it said that recording can be had.
            span: UTC microseconds of begin and end, by its clock.

        Raises:
            Rejected: ``camera.redirected``: it is reached by TLS, and would send this without.
            NvrError: As `call`.
        """
        if self.secure and not url.startswith("rtsps:"):
            detail = "the camera would send its recordings without TLS, which we refuse"
            raise Rejected("camera.redirected", detail)
        account = await asyncio.to_thread(self.account)
        login = Login(account.user, account.password) if account else None
        ways: tuple[Way, ...] = self.memory.ways(self.transport, secure=self.secure)[:1]
        async with self._open(url, ways if ways == ("http",) else ("tcp",), login) as line:
            client = ReplayClient(
                url, login, span, cnonce=lambda: secrets.token_hex(8), sound=self.sound
            )
            found = await self._negotiate(line, client)
            if isinstance(found, Moved):
                raise Rejected("camera.redirected", "the camera keeps its recordings elsewhere")
            yield line, client, found

    def _judged(self, error: NvrError, ways: tuple[Way, ...], *, withheld: bool) -> NvrError:
        """Learn from a call that came to nothing, and say what it means."""
        memory, way = self.memory, ways[0]
        if error.code == "camera.refused" and withheld:
            # Following with our password would hand it to whoever answers there.
            detail = "the camera points to another host, and that asks for a password"
            return Rejected("camera.redirected", detail)
        if self.transport != "auto":
            return error
        if way == "http" and error.code in {"camera.no_tunnel", "camera.unreachable"}:
            closed = memory.closed
            memory.failed(way, "unreachable", secure=self.secure, sure=True)
            return Unavailable("camera.unreachable", CLOSED) if closed else error
        if error.code in {"camera.no_transport", "camera.no_tcp"}:
            memory.failed(way, "refused", secure=self.secure, sure=True)
        elif error.code == "camera.unreachable" and error.detail == CLOSED and not memory.proven:
            memory.failed(way, "unreachable", secure=self.secure, sure=True)
        return error

    def _sockets(self, line: Line) -> Sockets:
        ours, theirs = line.ends()
        return Sockets(ours, theirs, self.permit)

    def _dialer(self) -> Dialer:
        return Dialer(self.permit, self.tls, self.pin, self.memory.presented)

    @asynccontextmanager
    async def _open(
        self, url: str, ways: tuple[Way, ...], login: Login | None
    ) -> AsyncIterator[Line]:
        dialer = self._dialer()
        host, port = host_and_port(url)
        name = host if url.startswith("rtsps:") else ""
        async with AsyncExitStack() as opened:
            if ways[0] == "http":
                yield await opened.enter_async_context(tunnel(dialer, url, login))
                return
            yield await opened.enter_async_context(dialer.open(host, port, name=name))

    async def _negotiate(self, line: Line, client: Client) -> Playing | Moved:
        found = await self._answer(line, client)
        if isinstance(found, Failed):
            raise failure(found)
        return found

    async def _answer(self, line: Line, client: Client) -> Playing | Moved | Failed:
        client.start()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                while True:
                    await line.write(client.to_send())
                    data = await line.read()
                    if not data:
                        raise Unavailable("camera.lost", "the camera closed the connection")
                    client.receive(data, self.clock.monotonic_s())
                    found = client.next_event()
                    if found:
                        return found
        except TimeoutError as err:
            raise Unavailable("camera.silent", "the camera does not answer") from err


@asynccontextmanager
async def _closing(sockets: Sockets) -> AsyncIterator[Sockets]:
    try:
        yield sockets
    finally:
        sockets.close()


def failure(failed: Failed) -> NvrError:  # noqa: PLR0911 - a table of codes and kinds
    """The error kind of what the conversation ended with."""
    match failed.code:
        case "camera.refused":
            return Rejected("camera.refused", failed.detail)
        case "camera.redirected":
            return Rejected("camera.redirected", failed.detail)
        case "camera.unsupported":
            return Misconfigured("camera.unsupported", failed.detail)
        case "camera.not_found":
            return Misconfigured("camera.not_found", failed.detail)
        case "camera.no_tcp":
            return Misconfigured("camera.no_tcp", failed.detail)
        case "camera.no_transport":
            return Misconfigured("camera.no_transport", failed.detail)
        case "camera.garbage":
            return Damaged("camera.garbage", failed.detail)
        case "camera.lost":
            return Unavailable("camera.lost", failed.detail)
    return Damaged("camera.protocol", failed.detail)


def rtp_track(track: Track) -> RtpTrack:
    """What the ingest thread needs to know of a track that was set up."""
    media = track.media
    return RtpTrack(
        "video" if media.kind == "video" else "audio",
        _CODECS[media.codec],
        media.clock_hz,
        media.payload_type,
        track.channel,
        media.channels,
        media.parameter_sets,
        media.config,
        media.latm,
        media.mux,
        media.au,
        media.don or media.low_first,
        media.encoding,
    )
