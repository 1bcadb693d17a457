"""The media desk: what platforms of GB/T 28181 are sent, and by which way.

Live pictures are one program stream a camera, shared by all platforms that watch it; recordings are
one a session. Who may not see what a camera shows is refused before anything is opened, and is
asked about again while it goes on.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.media.name import stream_of
from nvr.media.ports import RelaySource
from nvr.media.talk import Talks
from nvr.serve.gb28181.hearing import Hearing, invited
from nvr.serve.gb28181.leg import Leg, PortRange
from nvr.serve.gb28181.live import Live
from nvr.serve.gb28181.ports import Allowed, Refused
from nvr.serve.gb28181.program import Programs
from nvr.serve.gb28181.replay import Archive, Replay
from nvr.serve.gb28181.sending import Call, Sending
from nvr.wire.gb_sdp import PCMA, Offer, Transport
from nvr.wire.mpegps import muxer

SizeOf = Callable[[str, int, int], int]
"""About how many bytes are recorded of a stream between two times in UTC microseconds; blocks."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What media may take.

    Attributes:
        first_port: Lowest local port for media; even ones are used.
        last_port: Highest.
        sessions: Most at once, of all platforms.
        peak_mbps: Peak rate of one session over UDP, Mbit/s.
    """

    first_port: int = 30_000
    last_port: int = 30_199
    sessions: int = 64
    peak_mbps: float = 32.0


class MediaDesk:
    """Opens sessions. See `nvr.serve.gb28181.ports.MediaDesk`.

    Args:
        find: What feeds the relays of a camera's main or sub stream, None if there is none.
        archive: What is recorded.
        clock: Time source.
        limits: See `Limits`.
        size_of: For the size that a download announces; None to announce none.
        talks: The loudspeakers of cameras; None where nothing can be spoken through.
    """

    def __init__(
        self,
        find: Callable[[str, bool], RelaySource | None],
        archive: Archive,
        clock: Clock,
        limits: Limits | None = None,
        *,
        size_of: SizeOf | None = None,
        talks: Talks | None = None,
    ) -> None:
        self._find, self._archive, self._clock = find, archive, clock
        self._limits = limits or Limits()
        self._size_of, self._talks = size_of, talks
        self._ports = PortRange(self._limits.first_port, self._limits.last_port)
        self._peak_bytes_s = self._limits.peak_mbps * 125_000
        self._programs = Programs(self._peak_bytes_s)
        self._open = 0

    @property
    def sessions(self) -> int:
        """How many are open."""
        return self._open

    async def open(
        self,
        channel: str,
        sub: bool,
        offer: Offer,
        remote_host: str,
        local_host: str,
        allowed: Allowed,
    ) -> Sending:
        """See `nvr.serve.gb28181.ports.MediaDesk.open`.

        Raises:
            Refused: 403, 480, 486, 488.
            Rejected: ``camera.unknown``.
        """
        if offer.session == "Talk" and offer.kind == "audio":
            return await self._hear(channel, offer, remote_host, local_host, allowed)
        payload_type = offer.program_stream
        if offer.kind != "video" or payload_type is None or offer.session == "Talk":
            raise Refused(488, "only program streams are sent")
        recorded = offer.session in {"Playback", "Download"}
        span = (offer.from_s * 1_000_000, offer.to_s * 1_000_000) if recorded else None
        if not allowed(span):
            raise Refused(403, "this camera may not be seen")
        self._enter()
        try:
            source = None if recorded else self._source(channel, sub)
            size_bytes = await self._recorded(channel, sub, offer) if recorded else 0
            leg = Leg(self._ports, offer, remote_host, local_host, self._clock)
        except BaseException:
            self._leave()
            raise
        call = Call(channel, offer, payload_type, leg, local_host, allowed, self._clock)
        if source is not None:
            return Live(call, self._leave, source, self._programs)
        return Replay(
            call,
            self._leave,
            self._archive,
            _stream(channel, sub),
            size_bytes=size_bytes,
            peak_bytes_s=self._peak_bytes_s,
        )

    async def invite(
        self,
        channel: str,
        transport: Transport,
        remote_host: str,
        local_host: str,
        allowed: Allowed,
    ) -> Hearing:
        """See `nvr.serve.gb28181.ports.MediaDesk.invite`."""
        offer = invited(transport, remote_host)
        return await self._hear(channel, offer, remote_host, local_host, allowed)

    async def _hear(
        self, channel: str, offer: Offer, remote_host: str, local_host: str, allowed: Allowed
    ) -> Hearing:
        talks = self._talks
        if talks is None or PCMA not in offer.payload_types:
            raise Refused(488, "only G.711 A-law is heard, and where cameras can speak")
        if not allowed(None):
            raise Refused(403, "this camera may not be spoken through")
        if talks.talker(channel) is not None:
            raise Refused(486, "somebody speaks through this camera now")
        if not await talks.takes(channel):
            raise Refused(488, "this camera has no loudspeaker that answers")
        self._enter()
        try:
            leg = Leg(self._ports, offer, remote_host, local_host, self._clock)
        except BaseException:
            self._leave()
            raise
        call = Call(channel, offer, PCMA, leg, local_host, allowed, self._clock)
        return Hearing(call, self._leave, lambda: talks.speak(channel, remote_host, remote_host))

    def _enter(self) -> None:
        if self._open >= self._limits.sessions:
            raise Refused(486, "as many streams are sent as there may be")
        self._open += 1

    def _leave(self) -> None:
        self._open -= 1

    def _source(self, channel: str, sub: bool) -> RelaySource:
        source = self._find(channel, sub)
        if source is None or source.config is None:
            raise Refused(480, "the camera sends nothing now")
        try:
            muxer(source.config, leave_out=True)
        except ValueError as err:
            raise Refused(488, "the camera's pictures have no place in a program stream") from err
        return source

    async def _recorded(self, channel: str, sub: bool, offer: Offer) -> int:
        """About how much is recorded there."""
        stream = _stream(channel, sub)
        from_us, to_us = offer.from_s * 1_000_000, offer.to_s * 1_000_000
        try:
            found = await asyncio.to_thread(self._archive.ranges, stream, from_us, to_us)
            if not found.runs:
                raise Refused(480, "nothing is recorded there")
            if self._size_of is None or offer.session != "Download":
                return 0
            return await asyncio.to_thread(self._size_of, stream, from_us, to_us)
        except NvrError as err:
            raise Refused(480, "what is recorded cannot be read now") from err


def _stream(channel: str, sub: bool) -> str:
    return stream_of(channel, "sub" if sub else "main")
