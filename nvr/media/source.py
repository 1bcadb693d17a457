"""Streams and their runs, as the ingest thread serves them.

Each method says by its section which thread it belongs to: the event loop's methods only queue
commands, the ingest thread's do the work. A run owns one native session and its socket; a stream
outlives its runs and keeps what goes on over them: time line, relays, viewers.
"""

import asyncio
import collections
import logging
import math
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from nvr._native import Engine, Relay, Session
from nvr.base.errors import Damaged, NvrError, Rejected, Unavailable
from nvr.media.counts import run_stats
from nvr.media.datagram import Datagrams, native
from nvr.media.fragment import samples
from nvr.media.live import Deliver, DeliverPortions, Mailbox, Watcher
from nvr.media.part import PORTION_90K, Fragment, Part, Portion
from nvr.media.ports import NO_DATAGRAMS, NOTHING_YET, RunStats
from nvr.media.replay import Replay
from nvr.media.told import config_of, setup, taken
from nvr.media.track import RtpTrack, StreamConfig

_log = logging.getLogger(__name__)

_RELAYS = 4
_FED_BYTES = 8 << 20
"""Most that may wait between `Run.feed` and the tick: two seconds of the fastest camera."""
_MESSAGES = 64
_GOP_BYTES = 8 << 20
"""Most of a group of pictures kept for new viewers; of a longer one they see the next."""


class Thread(Protocol):
    """What a stream needs of the ingest thread."""

    engine: Engine
    mailbox: Mailbox
    now_s: float

    @property
    def prompt(self) -> bool:
        """Bytes are taken at once, not at the next tick."""
        ...

    @property
    def now_90k(self) -> int:
        """Monotonic time of the current tick."""
        ...

    def command(self, call: Callable[[], None]) -> None:
        """Run `call` in the ingest thread. From any thread."""
        ...

    def collect(self) -> None:
        """Take what sessions have completed without reading any socket."""
        ...

    def placed(self, replay: Replay) -> tuple[int, int]:
        """A time by the clock of a replay, and its tick."""
        ...

    def opened(self, run: "IngestRun") -> None:
        """Take `run` into the ticks."""
        ...

    def forget(self, run: "IngestRun") -> None:
        """Take `run`, which has ended, out of the ticks."""
        ...

    def end_soon(self, run: "IngestRun") -> None:
        """End `run` when what it has completed so far is taken."""
        ...


class IngestRun:
    """One connection of a camera. See `Run`."""

    def __init__(
        self,
        ingest: Thread,
        stream: "IngestStream",
        number: int,
        tracks: list[RtpTrack],
        sock: socket.socket | None,
        datagrams: Mapping[int, Datagrams] = NO_DATAGRAMS,
        *,
        writes: bool = True,
    ) -> None:
        self._ingest = ingest
        self.stream = stream
        self.number = number
        self.tracks = tracks
        self.sock = sock
        self.datagrams = datagrams
        self.hasty = any(one.hasty for one in datagrams.values())
        self._writes = writes
        self.replay: Replay | None = None
        self.session: Session | None = None
        self.config: StreamConfig | None = None
        self._messages: collections.deque[bytes] = collections.deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._error: NvrError | None = None
        self.ended = False
        self.doubted_parts = 0
        """For so many parts the camera's clock is not believed: it was too far from the box's."""
        self._fed: collections.deque[bytes] = collections.deque()
        self._fed_bytes = 0
        self._fed_lock = threading.Lock()

    # Any thread, mostly the event loop.

    async def message(self) -> bytes:  # noqa: D102 - see Run
        while not self._messages:
            if self._error:
                raise self._error
            await self._wait()
        return self._messages.popleft()

    def send(self, data: bytes) -> None:  # noqa: D102 - see Run
        self._ingest.command(lambda: self._send(data))

    def feed(self, data: bytes) -> None:  # noqa: D102 - see Run
        with self._fed_lock:
            if self._fed_bytes + len(data) <= _FED_BYTES:
                self._fed.append(data)
                self._fed_bytes += len(data)
                data = b""
        if data:
            late = Unavailable("ingest.behind", "bytes came faster than they were taken")
            self._ingest.command(lambda: self.fail(late))
        elif self._ingest.prompt:
            self._ingest.command(self._take_at_once)

    def stats(self) -> RunStats:  # noqa: D102 - see Run
        if self.session is None:
            return NOTHING_YET
        return run_stats(self.session.stats())

    async def close(self) -> None:  # noqa: D102 - see Run
        self._ingest.command(self.end)
        while not self.ended:
            await self._wait()

    def drain(self) -> None:
        """Wake who waits for a message or for the end. See `Receiver`."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        # What came between the caller's check and the line above has its drain still to run in
        # this thread, so it can't be missed.
        await waiter

    # The ingest thread.

    def start(self, engine: Engine, first: bytes) -> None:
        """Make the session and let the engine drain it."""
        floors, reorder = self.stream.floors, self.stream.reorder
        tracks = tuple(
            setup(
                track, math.ceil(floors * track.clock_hz), reorder if track.kind == "video" else 0
            )
            for track in self.tracks
        )
        sets = self.tracks[0].parameter_sets if self.tracks else ()
        fd = self.sock.fileno() if self.sock else -1
        try:
            self.session = Session(engine, self, tracks, sets, fd)
            if self.replay is not None:
                self.session.set_replay(*self._ingest.placed(self.replay))
            if ports := native(self.tracks, self.datagrams):
                self.session.set_datagrams(ports)
            else:
                self.session.set_reports(self._writes)
        except ValueError as err:
            self.fail(Damaged("camera.unsupported", str(err), stream=self.stream.name))
            return
        engine.add(self.session)
        if first:
            self.session.feed(first, self._ingest.now_90k)

    def take_fed(self) -> None:
        """Give the session what `feed` has queued."""
        with self._fed_lock:
            if not self._fed_bytes:
                return
            data = b"".join(self._fed)
            self._fed.clear()
            self._fed_bytes = 0
        if self.session and not self.ended:
            self.session.feed(data, self._ingest.now_90k)

    def _take_at_once(self) -> None:
        self.take_fed()
        self._ingest.collect()

    def _send(self, data: bytes) -> None:
        if self.ended or self.session is None:
            return
        if not self.session.send(data):
            self.fail(Unavailable("camera.lost", "it takes no requests", stream=self.stream.name))
        self._ingest.collect()

    def take_message(self, data: bytes) -> None:
        """Queue a message of the peer; a peer that floods is let go."""
        if len(self._messages) >= _MESSAGES:
            self.fail(Damaged("camera.garbage", "messages nobody asked for"))
            return
        self._messages.append(data)
        self._ingest.mailbox.mark(self)

    def fail(self, error: NvrError) -> None:
        """End the run with what `message` is to raise."""
        self._error = self._error or error
        self._ingest.end_soon(self)

    def end(self) -> None:
        """Deliver the rest and let go of the socket."""
        if self.ended:
            return
        if self.session is not None:
            self.take_fed()
            self.session.end()
            self._ingest.collect()
        if not self.ended:
            self.finish()

    def finish(self) -> None:
        """Forget the session; its last part is out."""
        self.ended = True
        if self.session is not None:
            places, self.stream.reorder = self.session.floors()
            ends_s = [
                place / track.clock_hz for place, track in zip(places, self.tracks, strict=True)
            ]
            self.stream.floors = max(self.stream.floors, *ends_s)
        self._ingest.forget(self)
        if self.sock is not None:
            self.sock.close()
        for sockets in self.datagrams.values():
            sockets.close()
        if self._error is None:
            self._error = Unavailable("camera.lost", "the run is closed", stream=self.stream.name)
        self.stream.run_ended(self)
        self._ingest.mailbox.mark(self)


class IngestStream:
    """A named stream. See `Stream`."""

    def __init__(self, ingest: Thread, name: str) -> None:
        self._ingest = ingest
        self.name = name
        self._numbers = 0
        self._relays: tuple[Relay, ...] = ()
        self._run: IngestRun | None = None
        self._config: StreamConfig | None = None
        self._tracks: tuple[RtpTrack, ...] = ()
        self._gop: list[Part] = []
        self._gop_bytes = 0
        self._live: list[Fragment] = []
        self.watchers: list[Watcher[Fragment]] = []
        self.takers: list[Watcher[Portion]] = []
        """Who is given portions."""
        self.relays: tuple[Relay, ...] = ()
        self.floors = 0.0
        """Seconds on the time line up to which samples lie; later runs go on from there."""
        self.reorder = 0

    # The event loop.

    @property
    def config(self) -> StreamConfig | None:  # noqa: D102 - see Stream
        return self._config

    @property
    def tracks(self) -> Sequence[RtpTrack]:
        """How the packets of relays are made. See `RelaySource`."""
        return self._tracks

    def open_run(
        self,
        tracks: Sequence[RtpTrack],
        sock: socket.socket | None = None,
        first: bytes = b"",
        datagrams: Mapping[int, Datagrams] = NO_DATAGRAMS,
        *,
        writes: bool = True,
        replay: Replay | None = None,
    ) -> IngestRun:
        """Begin a run, ending the one before. See `Stream`.

        Raises:
            Damaged: ``camera.unsupported``: no track can be taken.
        """
        usable = taken(tracks, self.name)
        if not usable:
            raise Damaged("camera.unsupported", "no track can be taken", stream=self.name)
        self._numbers += 1
        run = IngestRun(self._ingest, self, self._numbers, usable, sock, datagrams, writes=writes)
        run.replay = replay
        self._ingest.command(lambda: self._open(run, first))
        return run

    def watch(self, deliver: Deliver) -> Callable[[], None]:  # noqa: D102 - see Stream
        watcher = Watcher(self._ingest.mailbox, deliver)
        self._ingest.command(lambda: self._watch(watcher))

        def stop() -> None:
            watcher.close()
            self._ingest.command(lambda: self._unwatch(watcher))

        return stop

    def portions(self, deliver: DeliverPortions) -> Callable[[], None]:  # noqa: D102 - see Stream
        taker = Watcher(self._ingest.mailbox, deliver)
        self._ingest.command(lambda: self._give(taker))

        def stop() -> None:
            taker.close()
            self._ingest.command(lambda: self._give_no_more(taker))

        return stop

    def add_relay(self, relay: Relay) -> None:
        """Give `relay` each RTP packet. See `Stream`.

        Raises:
            Rejected: ``relay.too_many``.
        """
        if len(self._relays) >= _RELAYS:
            raise Rejected("relay.too_many", "four variants are in use", stream=self.name)
        self._relays = (*self._relays, relay)
        relays = self._relays
        self._ingest.command(lambda: self._set_relays(relays))

    def remove_relay(self, relay: Relay) -> None:  # noqa: D102 - see Stream
        self._relays = tuple(kept for kept in self._relays if kept is not relay)
        relays = self._relays
        self._ingest.command(lambda: self._set_relays(relays))

    # The ingest thread.

    def _open(self, run: IngestRun, first: bytes) -> None:
        if self._run is not None:
            self._run.end()
        self._run = run
        run.start(self._ingest.engine, first)
        if run.session is not None and self._run is run:
            run.session.set_relays(self.relays, True)
            if self.watchers:
                run.session.watch(True)
            if self.takers:
                run.session.portions(PORTION_90K)
            self._ingest.opened(run)

    def _set_relays(self, relays: tuple[Relay, ...]) -> None:
        for relay in relays:
            if relay not in self.relays and relay.carries_program():
                self._catch_up(relay)
        self.relays = relays
        if self._run and self._run.session:
            self._run.session.set_relays(relays, False)

    def _give(self, taker: Watcher[Portion]) -> None:
        self._ingest.collect()  # a part that is complete but not taken would be in neither
        self.takers.append(taker)
        run = self._run
        if run is None or run.session is None or self.takers[1:]:
            return
        run.session.portions(PORTION_90K)  # begins where the last part has ended
        if run.config is not None and self._gop:
            taker.push(run.config, list(map(_portion, self._gop)))

    def _give_no_more(self, taker: Watcher[Portion]) -> None:
        if taker in self.takers:
            self.takers.remove(taker)
        if not self.takers and self._run and self._run.session:
            self._run.session.portions(0)

    def _watch(self, watcher: Watcher[Fragment]) -> None:
        self.watchers.append(watcher)
        fragments = self._group_so_far()
        if self._run and self._run.config is not None:
            watcher.push(self._run.config, fragments)

    def _catch_up(self, relay: Relay) -> None:
        """Give a new relay of access units those of the current group of pictures."""
        fragments = self._group_so_far()
        run = self._run
        if run is None or run.config is None:
            return
        if not self.watchers and run.session is not None:
            run.session.watch(False)
        for fragment in fragments:
            for one in samples(fragment.data, run.config):
                key = one.key and run.config[one.track].kind == "video"
                relay.unit(one.track, one.data, one.dts_90k, one.pts_90k, key)
        relay.flush()

    def _group_so_far(self) -> list[Fragment]:
        """What came since the last key frame; live fragments are on from here."""
        run = self._run
        if run is None or run.session is None:
            return []
        so_far = run.session.watch(True)
        now_s = self._ingest.now_s
        fragments = [
            Fragment(part.moof + part.mdat, part.key, part.start_90k, now_s, -1)
            for part in self._gop
        ]
        if so_far is not None:
            data, key, start_90k = so_far
            if key:
                fragments.clear()
            fragments.append(Fragment(data, key, start_90k, now_s, -1))
        return fragments

    def _unwatch(self, watcher: Watcher[Fragment]) -> None:
        if watcher in self.watchers:
            self.watchers.remove(watcher)
        if not self.watchers and self._run and self._run.session:
            self._run.session.watch(False)

    def take_config(self, run: IngestRun, blob: bytes) -> None:
        """Samples from here on need the configuration in `blob`."""
        self.deliver(run)
        try:
            run.config = config_of(run.tracks, blob)
        except ValueError as err:
            run.fail(Damaged("camera.unsupported", str(err), stream=self.name))
            return
        self._tracks = tuple(run.tracks)
        self._config = run.config
        self._forget_gop()
        for watcher in self.watchers:
            watcher.restart()
        for taker in self.takers:
            taker.restart()

    def take_part(self, part: Part, ends_gop: bool) -> None:
        """Keep `part` for new viewers as long as its group of pictures is the current one."""
        if part.key:
            self._forget_gop()
        if ends_gop:
            self._forget_gop()
        elif part.key or self._gop:
            self._gop.append(part)
            self._gop_bytes += len(part.mdat)
            if self._gop_bytes > _GOP_BYTES:
                self._forget_gop()

    def take_live(self, fragment: Fragment) -> None:
        """Gather for `deliver`."""
        self._live.append(fragment)

    def take_portion(self, run: IngestRun, portion: Portion) -> None:
        """Hand `portion` to those who are given them."""
        if run.config is not None:
            for taker in self.takers:
                taker.push(run.config, [portion])

    def deliver(self, run: IngestRun) -> None:
        """Hand what was gathered in this tick to the watchers."""
        if self._live and run.config is not None:
            for watcher in self.watchers:
                watcher.push(run.config, self._live)
        self._live = []

    def run_ended(self, run: IngestRun) -> None:
        """Let `run` go."""
        if self._run is run:
            self._run = None
            self._forget_gop()

    def _forget_gop(self) -> None:
        self._gop = []
        self._gop_bytes = 0


def _portion(part: Part) -> Portion:
    data = b"".join((part.moof, part.mdat))
    return Portion(part.run, data, part.start_90k, part.duration_90k, part.wall_us, part.key)
