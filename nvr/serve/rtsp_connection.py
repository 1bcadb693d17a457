"""One reader's connection: from its first request to its last packet.

Until PLAY everything goes through asyncio. From PLAY on a plain connection is written by the
relay alone (our answers go through `RelayReader.send`, between frames); a TLS connection is
pulled: whatever the relay has for it is encrypted here.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from nvr._native import RelayReader
from nvr.base.errors import Rejected, Unavailable
from nvr.base.log import event
from nvr.base.transport import cut
from nvr.media.name import stream_of
from nvr.media.ports import RelaySource
from nvr.media.track import StreamConfig
from nvr.serve.rtsp_datagram import Datagrams
from nvr.serve.rtsp_house import House, Input, Watch
from nvr.serve.rtsp_login import Denied, refused
from nvr.serve.rtsp_multicast import Cast
from nvr.serve.rtsp_place import Place, parse_place
from nvr.serve.rtsp_relay import Variant, describe
from nvr.serve.rtsp_replay import Replay
from nvr.serve.rtsp_wish import wish_of
from nvr.wire.digest import Counter
from nvr.wire.rtsp import Headers, Pair, Request
from nvr.wire.rtsp_replay import FEATURE
from nvr.wire.rtsp_session import METHODS, Ended, Server

_log = logging.getLogger(__name__)

PULL_BYTES = 64 * 1024
DATAGRAMS_S = 75.0
"""A reader of datagrams that neither reports nor asks for so long has gone: its session is over."""
RECORDED = "rec/"
"""Path before the name of what is recorded."""


class Connection:
    """Serves one peer until it leaves or breaks the rules.

    Args:
        house: Shared parts.
        streams: The two ends of the connection.
        address: IP address of the peer.
        tls: Whether asyncio encrypts.
        session: Unguessable session identifier.
        tunnel: It came through HTTP, because nothing else comes through: all stays inside.
    """

    def __init__(
        self,
        house: House,
        streams: tuple[Input, asyncio.StreamWriter],
        address: str,
        *,
        tls: bool,
        session: str,
        tunnel: bool = False,
    ) -> None:
        self._house = house
        self._input, self._output = streams
        self._tls = tls
        self._beside = house.datagram_bytes > 0 and not (tls or tunnel)
        self._groups = None if tls or tunnel else house.groups
        self._cast: Cast | None = None
        features = frozenset((FEATURE,)) if house.archive else frozenset()
        self._server = Server(session, features, house.refusals)
        self._replay: Replay | None = None
        self._counter = Counter()
        self._place: Place | None = None
        self._source: RelaySource | None = None
        self._found = ""
        self._config: StreamConfig | None = None
        self._variant: Variant | None = None
        self._reader: RelayReader | None = None
        self._datagrams: dict[int, Datagrams] = {}
        self._leaving_s: float | None = None
        self.address = address
        self.user = ""
        self.began_s = self.heard_s = house.clock.monotonic_s()
        self._partial_s: float | None = None

    @property
    def proven(self) -> bool:
        """Whether the peer may be here at all."""
        return self._house.door is None or bool(self.user)

    async def run(self) -> None:
        """Answer requests until the peer leaves. Never raises for what a peer does."""
        try:
            while data := await self._input.read(16_384):
                self.heard_s = self._house.clock.monotonic_s()
                self._server.receive(data)
                if await self._answer_all():
                    break
            if self._reader is None:
                await self._output.drain()
        except OSError:
            pass  # the peer is gone
        finally:
            self._leave()
            self._stop_watching()
            for one in self._datagrams.values():
                one.close()
            await self._end_replay()

    async def _answer_all(self) -> bool:
        while found := self._server.next_event():
            if isinstance(found, Ended):
                self._flush()
                return True
            await self._answer(found)
            self._flush()
        self._flush()
        partial = self._server.partial()
        self._partial_s = (self._partial_s or self.heard_s) if partial else None
        return False

    def _flush(self) -> None:
        if data := self._server.to_send():
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self._reader is None or self._datagrams:
            self._output.write(data)
        else:
            self._reader.send(data)
            self.pull()

    async def _answer(self, request: Request) -> None:
        place = parse_place(request.uri, self._house.prefix)
        if place is None and self._house.archive is not None:
            place = parse_place(request.uri, RECORDED)
            place = place and replace(place, recorded=True)
        try:
            self._admit(request, place)
            await self._dispatch(request, place)
        except Denied as err:
            self._server.respond(request, err.status, err.headers)
        except Rejected as err:
            denied = refused(err)
            self._server.respond(request, denied.status, denied.headers)

    def _admit(self, request: Request, place: Place | None) -> None:
        """Let the request pass, or raise what it gets instead. OPTIONS tells nothing."""
        door = self._house.door
        if request.method == "OPTIONS":
            return
        if door:
            user = door.identify(request, self._counter, self.address, self.user)
            if self.user not in {"", user}:
                raise Denied(454, ())  # the session is another user's
            self.user = user
        if place is None:
            raise Denied(404, ())
        if self._place is not None and (place.path, place.recorded) != (
            self._place.path,
            self._place.recorded,
        ):
            raise Denied(404, ())
        if door and place.recorded:
            span = wish_of(request).span if request.method == "PLAY" else None
            door.allow(self.user, request.method, place.name, "rec", span)
        elif door:
            door.allow(self.user, request.method, place.name)

    async def _dispatch(self, request: Request, place: Place | None) -> None:
        method = request.method
        if method == "OPTIONS" or place is None:
            self._server.respond(request, 200, (("Public", ", ".join(METHODS)),))
        elif place.recorded and method in {"DESCRIBE", "SETUP", "PLAY", "PAUSE"}:
            await self._recorded(request, place)
        elif method == "DESCRIBE":
            await self._describe(request, place)
        elif method == "SETUP":
            await self._set_up(request, place)
        elif method == "PLAY":
            self._play(request)
        elif method == "PAUSE":
            self._leave()
            if self._reader:
                self._reader.pause()
            self._server.respond(request, 200)
        elif method == "TEARDOWN":
            self._tear_down(request)
        else:
            self._server.respond(request, 200 if not request.body else 451)

    async def _find(self, place: Place) -> StreamConfig:
        """The configuration of the stream, waiting a little for one to become known."""
        source = self._house.find(place.path)
        if source is None:
            raise Denied(404, (("X-NVR-Code", "rtsp.no_stream"),))
        until_s = self._house.clock.monotonic_s() + self._house.config_wait_s
        while not source.config:
            if self._house.clock.monotonic_s() >= until_s:
                raise Denied(503, (("X-NVR-Code", "rtsp.no_picture"), ("Retry-After", "5")))
            await self._house.clock.sleep(0.1)
        self._source, self._found = source, place.path
        return source.config

    async def _describe(self, request: Request, place: Place) -> None:
        config = await self._find(place)
        if not self._server.channels:
            self._config = config
        own = str(self._output.get_extra_info("sockname", ("0.0.0.0",))[0])  # noqa: S104 - text
        headers: Headers = (
            ("Content-Base", request.uri.rstrip("/") + "/"),
            ("Content-Type", "application/sdp"),
        )
        sent = self._source.tracks if self._source else ()
        described = describe(place.path, config, own, sent)
        self._server.respond(request, 200, headers, described)

    async def _set_up(self, request: Request, place: Place) -> None:
        if self._reader:
            raise Denied(455, ())
        if self._found != place.path:
            self._config = None  # it was another stream that was described
        config = self._config or await self._find(place)
        track = place.track if place.track >= 0 or len(config) > 1 else 0
        if track < 0:
            raise Denied(459, ())
        if track >= len(config):
            raise Denied(404, ())
        self._config = config
        self._place = place
        own = self._output.get_extra_info("sockname")[0]
        group = self._groups.place(place.path, own, track) if self._groups else None
        self._server.set_up(request, track, self._open(track) if self._beside else None, group)

    def _open(self, track: int) -> Callable[[Pair], Pair | None]:
        """What opens our two ports of a track."""

        def opened(theirs: Pair) -> Pair | None:
            own = self._output.get_extra_info("sockname")[0]
            before = self._datagrams.pop(track, None)
            if before:
                before.close()
            try:
                made = Datagrams(
                    own, self.address, theirs, self._house.datagram_bytes, self._listened
                )
            except OSError as err:
                event(_log, logging.WARNING, "rtsp.no_datagrams", error=str(err))
                return None
            self._datagrams[track] = made
            return made.ports

        return opened

    def _listened(self) -> None:
        """The reader reported."""
        self.heard_s = self._house.clock.monotonic_s()

    def _play(self, request: Request) -> None:
        # No RTP-Info (RFC 2326, 12.33): `seq` is the first packet this reader gets, `rtptime` the
        # time of the Range, and both are those of the next key access unit, which has not come
        # from the camera yet. A guess would have clients drop packets or shift sound against
        # picture; waiting for it would hold the answer up for a whole group of pictures.
        headers: Headers = (("Range", "npt=now-"),)
        if self._server.multicast:
            self._join()
            self._server.respond(request, 200, headers)
        elif self._reader is None:
            self._begin(self._server.answer(request, 200, headers))
        else:
            self._server.respond(request, 200, headers)
            self._flush()
        if self._reader:
            self._reader.play()

    def _begin(self, answer: bytes) -> None:
        source, config, place = self._source, self._config, self._place
        if source is None or config is None or place is None:
            raise Denied(455, ())
        transport = self._output.transport
        self._house.room.take(self.address)
        try:
            self._attach(answer, transport, source, config, place)
        except BaseException:
            self._house.room.give(self.address)
            raise
        self.pull()
        self._tell(began=True)

    def _join(self) -> None:
        """Have the stream sent to its group as long as this session is there."""
        source, config, place = self._source, self._config, self._place
        if self._groups is None or source is None or config is None or place is None:
            raise Denied(455, ())
        if self._cast is not None:
            return
        own = self._output.get_extra_info("sockname")[0]
        self._house.room.take(self.address)
        try:
            self._cast = self._groups.join(place.path, own, source, config)
        except OSError as err:
            event(_log, logging.WARNING, "rtsp.no_datagrams", error=str(err))
            raise Denied(503, ()) from err
        except Rejected as err:
            raise Denied(453, (("X-NVR-Code", err.code),)) from err
        finally:
            if self._cast is None:
                self._house.room.give(self.address)
        self._tell(began=True)

    def _leave(self) -> None:
        """The session needs its group no more."""
        cast, self._cast = self._cast, None
        if cast is not None and self._groups is not None:
            self._tell(began=False)
            self._house.room.give(self.address)
            self._groups.leave(cast)

    def _attach(
        self,
        answer: bytes,
        transport: asyncio.WriteTransport,
        source: RelaySource,
        config: StreamConfig,
        place: Place,
    ) -> None:
        fd, routes = -1, dict[int, int]()
        if self._datagrams:
            for track, one in self._datagrams.items():
                routes |= {2 * track: one.rtp.fileno(), 2 * track + 1: one.rtcp.fileno()}
            fd = next(iter(routes.values()))
        elif not self._tls:
            if transport.get_write_buffer_size():
                raise Denied(503, ())  # it does not even read our answers
            fd = transport.get_extra_info("socket").fileno()
        try:
            self._variant, self._reader = self._house.variants.attach(
                place.path,
                source,
                config,
                self._server.channels,
                fd,
                b"" if routes else answer,
                self.pull if self._tls else None,
                routes,
            )
        except OSError as err:
            raise Denied(503, ()) from err
        except Rejected as err:
            raise Denied(453, (("X-NVR-Code", err.code),)) from err
        if routes:
            transport.write(answer)

    def pull(self) -> None:
        """Encrypt what the relay has, unless the peer is still busy with the last lot."""
        if not self._tls or self._reader is None:
            return
        transport = self._output.transport
        # What waits here cannot be dropped by the relay: keep it to one piece.
        while not transport.is_closing() and transport.get_write_buffer_size() == 0:
            data = self._reader.pull(PULL_BYTES)
            if not data:
                return
            transport.write(data)

    async def _recorded(self, request: Request, place: Place) -> None:
        """Answer what is asked of a recording."""
        archive = self._house.archive
        assert archive is not None
        if self._replay is None:
            stream = stream_of(place.name, place.which)
            self._place = place
            self._replay = Replay(
                archive, stream, self._server, self._output, self._house.clock, self._may_see
            )
        replay = self._replay
        try:
            if request.method == "DESCRIBE":
                own = str(self._output.get_extra_info("sockname", ("0.0.0.0",))[0])  # noqa: S104 - text
                headers: Headers = (
                    ("Content-Base", request.uri.rstrip("/") + "/"),
                    ("Content-Type", "application/sdp"),
                )
                described = await replay.describe(place.path, own)
                self._server.respond(request, 200, headers, described)
            elif request.method == "SETUP":
                await replay.set_up(request, place.track)
            elif request.method == "PLAY":
                if not replay.sent_bytes:
                    self._tell(began=True)
                await replay.play(request, wish_of(request))
            else:
                await replay.close()
                self._server.respond(request, 200)
        except Unavailable as err:
            raise Denied(503, (("X-NVR-Code", err.code),)) from err

    def _may_see(self, span: tuple[int, int]) -> None:
        """Let a span of the recording be seen, or raise `Rejected`."""
        if self._house.door and self._place:
            self._house.door.allow(self.user, "PLAY", self._place.name, "rec", span)

    async def _end_replay(self) -> None:
        if self._replay is not None:
            await self._replay.close()
            if self._replay.sent_bytes:
                self._tell(began=False)

    def _tear_down(self, request: Request) -> None:
        self._leave()
        if self._reader:
            self._reader.pause()
        self._server.respond(request, 200)
        self._leaving_s = self._house.clock.monotonic_s()

    def _tell(self, *, began: bool) -> None:
        place, sent = self._place, 0
        if self._reader:
            sent = self._reader.stats()[2]
        elif self._replay:
            sent = self._replay.sent_bytes
        if self._house.watched and place:
            recorded = place.recorded
            watch = Watch(self.user, place.name, place.which, self.address, began, sent, recorded)
            self._house.watched(watch)

    def _stop_watching(self) -> None:
        if self._variant and self._reader:
            _, end, sent, dropped, drops, _ = self._reader.stats()
            event(
                _log,
                logging.INFO,
                "rtsp.reader_left",
                camera=self._place.path if self._place else "",
                address=self.address,
                end=end,
                sent_bytes=sent,
                dropped_bytes=dropped,
                drops=drops,
            )
            self._tell(began=False)
            self._house.room.give(self.address)
            self._house.variants.detach(self._variant, self._reader)
            self._variant = self._reader = None

    def overdue(self, now_s: float, head_s: float, idle_s: float) -> str:
        """Why the connection must end now, empty if it may stay."""
        if self._partial_s is not None and now_s - self._partial_s > head_s:
            return "a request took too long"
        if not self.proven and now_s - self.began_s > head_s:
            return "nobody logged in"
        if self._cast:
            closed = self._cast.reader.stats()[0] == "closed"
            return "its group cannot be reached" if closed else self._gone(now_s)
        if self._reader:
            return self._watching_overdue(self._reader, now_s)
        if self._replay and self._replay.playing and self._leaving_s is None:
            return "stuck" if self._replay.stuck() else ""
        return "idle" if now_s - self.heard_s > idle_s or self._leaving_s is not None else ""

    def _watching_overdue(self, reader: RelayReader, now_s: float) -> str:
        self.pull()
        state, end, *_, backlog = reader.stats()
        if state == "closed":
            return end
        if self._leaving_s is not None and (not backlog or now_s - self._leaving_s > 2.0):
            return "left"
        return self._gone(now_s)

    def _gone(self, now_s: float) -> str:
        """Why a reader whose pictures leave is none any more."""
        if (self._datagrams or self._cast) and now_s - self.heard_s > DATAGRAMS_S:
            return "it does not report"
        if self._source and self._source.config not in {None, self._config}:
            return "the camera's format changed"
        return ""

    def end(self) -> None:
        """Close the connection; `run` returns."""
        cut(self._output.transport)
