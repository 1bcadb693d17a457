"""What a platform says, into one camera's loudspeaker: broadcast and talk.

A platform that talks (``s=Talk``) invites us; for a broadcast it asks, and we invite it. Either way
its G.711 goes to the camera's back channel, which one person at a time has. What the camera hears
goes with its pictures.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final

from nvr.media.talk import MOST_SAMPLES, Voice
from nvr.serve.gb28181.ports import Refused
from nvr.serve.gb28181.sending import Call, Sending
from nvr.wire import mansrtsp
from nvr.wire.gb_sdp import PCMA, Answer, Offer
from nvr.wire.gb_voice import Ear, Said

LOOK_S: Final = 1.0
SILENT_S: Final = 15.0
"""A platform that sends nothing for so long has forgotten the camera."""
MOST_S: Final = 600.0
"""Nobody is spoken to for longer at one time."""
_WAITING: Final = 50
"""Packets that may wait for the camera; what is more is dropped."""


class Hearing(Sending):
    """Hears a platform.

    Args:
        call: What was asked for.
        gone: Told once when its place is free again.
        speak: Opens the camera's back channel.
    """

    def __init__(
        self,
        call: Call,
        gone: Callable[[], None],
        speak: Callable[[], AbstractAsyncContextManager[Voice]],
    ) -> None:
        super().__init__(call, gone)
        self._speak = speak
        self._ear = Ear(framed=call.offer.transport == "tcp")
        self._said: asyncio.Queue[Said] = asyncio.Queue(_WAITING)

    def described(self) -> Answer:
        """See `Sending.described`."""
        voice = replace(super().described(), kind="audio", encoding="PCMA/8000", format="")
        return replace(voice, direction="recvonly")

    def invitation(self, device: str) -> str:
        """Our offer for a broadcast, to be sent to who speaks.

        Args:
            device: Our identifier, for ``o=``.
        """
        return replace(self.described(), device=device, format="v/////a/1/8/1").text()

    def meet(self, answer: Offer) -> None:
        """Take the answer to the invitation, before it begins.

        Raises:
            Refused: 488: it is not voice, or by another way.
        """
        if answer.kind != "audio" or answer.transport != self.call.offer.transport:
            raise Refused(488, "the answer is not the voice that was asked for")
        if not answer.port:
            raise Refused(488, "there is no port to hear")
        self.call.leg.meet(answer)

    def steer(self, command: mansrtsp.Command) -> str:  # noqa: ARG002 - see Sending
        """See `Sending.steer`: voice cannot be steered."""
        raise Refused(400, "voice cannot be steered")

    def heard(self, data: bytes) -> None:
        """See `Sending.heard`."""
        for said in self._ear.feed(data):
            with contextlib.suppress(asyncio.QueueFull):
                self._said.put_nowait(said)

    async def send(self, sock: socket.socket) -> str:  # noqa: ARG002 - what comes goes to `heard`
        """See `Sending.send`."""
        async with self._speak() as voice:
            lasting = asyncio.ensure_future(voice.lasts())
            try:
                return await self._carry(voice, lasting)
            finally:
                lasting.cancel()
                await asyncio.gather(lasting, return_exceptions=True)

    async def _carry(self, voice: Voice, lasting: "asyncio.Future[None]") -> str:
        """Pass on what is said until either end goes."""
        clock = self.call.clock
        heard_s = looked_s = clock.monotonic_s()
        end_s = heard_s + MOST_S
        while (now_s := clock.monotonic_s()) < end_s:
            if now_s - looked_s >= LOOK_S:
                looked_s = now_s
                if not self.call.allowed(None):
                    return "denied"
            if lasting.done():
                return "camera"
            if now_s - heard_s > SILENT_S:
                return "lost"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    said = await self._said.get()
                    heard_s = clock.monotonic_s()
                    samples = said.of(voice.codec)
                    for at in range(0, len(samples), MOST_SAMPLES):
                        await voice.say(samples[at : at + MOST_SAMPLES])
        return "teardown"

    def release(self) -> None:
        """See `Sending.release`: the back channel goes with the task."""


def invited(transport: str, host: str) -> Offer:
    """What stands for a platform's offer until it has answered our invitation."""
    return Offer(
        "Play",
        host=host,
        port=1,
        transport="tcp" if transport == "tcp" else "udp",
        setup="passive",
        kind="audio",
        payload_types=(PCMA,),
        maps=((PCMA, "PCMA/8000"),),
        direction="sendonly",
    )
