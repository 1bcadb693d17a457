"""What all sessions of the media desk share: their socket, their end, and who hears of it."""

import asyncio
import logging
import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.serve.gb28181.leg import Leg
from nvr.serve.gb28181.ports import FINISHED, Allowed, Refused
from nvr.serve.gb28181.program import STUCK_S
from nvr.wire import mansrtsp
from nvr.wire.gb_sdp import Answer, Offer, other

_log = logging.getLogger(__name__)

MOST_SSRC = 1_999_999_999
"""Ten digits of which the first is 0 or 1, as ``y=`` has them."""


REFUSED_S = 2.0
"""Refusals by UDP further apart than this have nothing to do with each other."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a platform asked for, and how it is reached.

    Attributes:
        camera: The camera's name.
        offer: Its offer.
        payload_type: Of the program stream, or of voice.
        leg: Where media leaves.
        local_host: Our address in the answer.
        allowed: Whether it may still see what is shown.
        clock: Time source.
    """

    camera: str
    offer: Offer
    payload_type: int
    leg: Leg
    local_host: str
    allowed: Allowed
    clock: Clock


class Sending(ABC):
    """One stream to one platform. See `nvr.serve.gb28181.ports.Session`.

    Args:
        call: What was asked for.
        gone: Told once when its place is free again.
    """

    def __init__(self, call: Call, gone: Callable[[], None]) -> None:
        self.call = call
        self.on_end: Callable[[str], None] | None = None
        self._gone: Callable[[], None] | None = gone
        self._task: asyncio.Task[None] | None = None
        self._watched: socket.socket | None = None
        self._over = False
        self._refused_from_s = self._refused_last_s = -STUCK_S
        offered = call.offer.ssrc
        self.ssrc = secrets.randbelow(MOST_SSRC) + 1 if offered is None else offered

    @property
    def size_bytes(self) -> int:
        """About how much will be sent, 0 if that is not said."""
        return 0

    def answer(self) -> str:
        """See `Session.answer`."""
        return self.described().text()

    def described(self) -> Answer:
        """What the answer says."""
        call = self.call
        return Answer(
            device=call.offer.device,
            session=call.offer.session,
            host=call.local_host,
            port=call.leg.port,
            transport=call.offer.transport,
            setup=other(call.offer.setup),
            ssrc=self.ssrc,
            payload_type=call.payload_type,
            from_s=call.offer.from_s,
            to_s=call.offer.to_s,
            size_bytes=self.size_bytes,
            format=call.offer.format,
        )

    def start(self) -> None:
        """See `Session.start`."""
        if self._task is None and not self._over:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def control(self, text: str) -> str:
        """See `Session.control`."""
        try:
            command = mansrtsp.parse(text)
        except mansrtsp.Malformed as err:
            raise Refused(400, str(err)) from err
        if self._over:
            raise Refused(400, "the session is over")
        if command.method == "TEARDOWN":
            asyncio.get_running_loop().call_soon(self.finish, "teardown")
            return mansrtsp.respond(command)
        return self.steer(command)

    def close(self) -> None:
        """See `Session.close`."""
        self._over = True
        self._stop()
        self._free()

    def finish(self, why: str) -> None:
        """End by itself. What was sent to its end keeps its socket until it is closed."""
        if self._over:
            return
        self._over = True
        self._stop()
        if why != FINISHED:
            self._free()
        event(_log, logging.INFO, "gb.media_ended", camera=self.call.camera, why=why)
        if self.on_end is not None:
            self.on_end(why)

    @abstractmethod
    def steer(self, command: mansrtsp.Command) -> str:
        """Do what PLAY or PAUSE says.

        Raises:
            Refused: It cannot be done.
        """

    @abstractmethod
    async def send(self, sock: socket.socket) -> str:
        """Send until it is over; return why.

        Raises:
            NvrError: As what is sent is read.
            OSError: The platform is gone.
        """

    @abstractmethod
    def release(self) -> None:
        """Let go of what `send` holds; may be called again."""

    def heard(self, data: bytes) -> None:  # noqa: B027 - most have nothing to do with it
        """Something came: mostly reports of receivers, which nobody reads."""

    async def _run(self) -> None:
        why = "lost"
        try:
            sock = await self.call.leg.ready()
            self._watch(sock)
            event(_log, logging.INFO, "gb.media_began", camera=self.call.camera)
            why = await self.send(sock)
        except NvrError as err:
            event(_log, logging.WARNING, "gb.media_failed", camera=self.call.camera, error=str(err))
            why = "camera"
        except OSError as err:  # TimeoutError is one
            event(_log, logging.INFO, "gb.media_lost", camera=self.call.camera, error=str(err))
        except Exception as err:  # noqa: BLE001 - a bug in one session must not end the others
            _log.error("gb.media_bug", exc_info=err)
        self._task = None
        self.finish(why)

    def _watch(self, sock: socket.socket) -> None:
        """Take what the platform sends, and see it leave."""
        self._watched = sock
        asyncio.get_running_loop().add_reader(sock, self._readable, sock)

    def _readable(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(65_536)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._refused()
            return
        except OSError:
            data = b""
        if data:
            self.heard(data)
        elif sock.type == socket.SOCK_STREAM:
            self._unwatch()
            self.finish("lost")

    def _refused(self) -> None:
        """Nobody listens there: a peer about to begin, or for long one that has gone."""
        now_s = self.call.clock.monotonic_s()
        if now_s - self._refused_last_s > REFUSED_S:
            self._refused_from_s = now_s
        self._refused_last_s = now_s
        if now_s - self._refused_from_s > STUCK_S:
            self.finish("lost")

    def _unwatch(self) -> None:
        sock, self._watched = self._watched, None
        if sock is not None and sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(sock)

    def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self.release()

    def _free(self) -> None:
        self._unwatch()
        self.call.leg.close()
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()
