"""Speaking into one camera: an RTSP session of its own, in which we send."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.capture.line import Line
from nvr.capture.rtsp import Caller, failure
from nvr.media.talk import MOST_SAMPLES
from nvr.wire.rtsp_client import Failed, Track
from nvr.wire.rtsp_talk import Packets, TalkClient

SEND_S = 1.0
"""A camera that takes nothing for so long is gone: what was said would come late anyway."""
AHEAD_S = 1.0
"""So much more than time has passed may be said at once."""
_WAKE_S = 1.0
_UNSUPPORTED = frozenset({451, 461, 501, 551})


class Mouth:
    """What is said into one camera. See `nvr.media.talk.Voice`."""

    def __init__(self, line: Line, client: TalkClient, track: Track, clock: Clock) -> None:
        self._line, self._client, self._clock = line, client, clock
        self._packets = Packets(
            track.channel,
            track.media.payload_type,
            secrets.randbits(32),
            secrets.randbits(16),
            secrets.randbits(32),
        )
        self.codec: Literal["pcma", "pcmu"] = "pcmu" if track.media.codec == "pcmu" else "pcma"
        self._hz = track.media.clock_hz
        self._writing = asyncio.Lock()
        self._next_s = clock.monotonic_s()

    async def say(self, samples: bytes) -> None:  # noqa: D102 - see Voice
        if not 0 < len(samples) <= MOST_SAMPLES:
            raise Rejected("talk.too_much", f"a packet is 1 to {MOST_SAMPLES} samples")
        now_s = self._clock.monotonic_s()
        if self._next_s - now_s > AHEAD_S:
            return  # faster than it can be heard: a page that lies about time
        late = max(0, round((now_s - self._next_s - 0.2) * self._hz))
        self._next_s = max(self._next_s, now_s - 0.2) + len(samples) / self._hz
        await self._send(self._packets.frame(samples, late))

    async def lasts(self) -> None:  # noqa: D102 - see Voice
        while True:
            data = b""
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAKE_S):
                    data = await self._line.read()
                    if not data:
                        raise Unavailable("camera.lost", "the camera closed the connection")
            now_s = self._clock.monotonic_s()
            self._client.receive(data, now_s)
            self._client.wake(now_s)
            while found := self._client.next_event():
                if isinstance(found, Failed):
                    raise failure(found)
            await self._send(self._client.to_send())

    async def bye(self) -> None:
        """Tell the camera that it is over, if it still listens."""
        self._client.close()
        with suppress(NvrError):
            await self._send(self._client.to_send())

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        try:
            async with asyncio.timeout(SEND_S), self._writing:
                await self._line.write(data)
        except (OSError, TimeoutError) as err:
            raise Unavailable("camera.lost", "the camera takes nothing any more") from err


@asynccontextmanager
async def mouth(caller: Caller, clock: Clock) -> AsyncIterator[Mouth]:
    """Set up a camera's back channel.

    Raises:
        Rejected: ``talk.unsupported``: it has none, or none for G.711; ``camera.refused``.
        NvrError: As `Caller.call`.
    """
    async with caller.speak() as (line, client, found):
        if isinstance(found, Failed):
            if found.code == "camera.unsupported" or found.status in _UNSUPPORTED:
                detail = found.detail or "the camera has no back channel"
                raise Rejected("talk.unsupported", detail)
            raise failure(found)
        speaking = Mouth(line, client, found, clock)
        try:
            yield speaking
        finally:
            await speaking.bye()
