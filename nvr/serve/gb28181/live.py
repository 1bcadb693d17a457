"""What a camera shows now, to one platform: a reader of the camera's program stream.

Nothing here runs for a picture: the ingest thread packs and sends. Once a second it is asked
whether the platform may still see the camera, and looked whether it takes what is sent.
"""

import socket
from collections.abc import Callable
from typing import Final

from nvr._native import RelayReader
from nvr.base.errors import Rejected
from nvr.media.ports import RelaySource
from nvr.media.track import StreamConfig
from nvr.serve.gb28181.ports import Refused
from nvr.serve.gb28181.program import Program, Programs
from nvr.serve.gb28181.sending import Call, Sending
from nvr.wire import mansrtsp

LOOK_S: Final = 1.0


class Live(Sending):
    """Sends a camera.

    Args:
        call: What was asked for.
        gone: Told once when its place is free again.
        source: What feeds the camera's relays.
        programs: Where its program stream is shared.
    """

    def __init__(
        self, call: Call, gone: Callable[[], None], source: RelaySource, programs: Programs
    ) -> None:
        super().__init__(call, gone)
        self._source, self._programs = source, programs
        self._joined: tuple[Program, RelayReader] | None = None

    def steer(self, command: mansrtsp.Command) -> str:  # noqa: ARG002 - see Sending
        """See `Sending.steer`: what is live cannot be steered."""
        raise Refused(400, "a live stream cannot be steered")

    async def send(self, sock: socket.socket) -> str:
        """See `Sending.send`."""
        while True:
            if not self.call.allowed(None):
                return "denied"
            # A camera that is away for a while keeps its place; it goes on with its next picture.
            config = self._source.config
            if config is not None and (self._joined is None or self._joined[0].config != config):
                self.release()
                if not self._join(config, sock.fileno()):
                    return "camera"
            if self._joined is not None:
                program, reader = self._joined
                state, end = reader.stats()[:2]
                if state == "closed":
                    return "stuck" if end == "stuck" else "lost"
                program.relay.pump()
            await self.call.clock.sleep(LOOK_S)

    def _join(self, config: StreamConfig, fd: int) -> bool:
        try:
            self._joined = self._programs.join(
                self._source, config, self.call.payload_type, fd, self.ssrc
            )
        except (ValueError, Rejected):
            return False
        return True

    def release(self) -> None:
        """See `Sending.release`."""
        joined, self._joined = self._joined, None
        if joined is not None:
            self._programs.leave(*joined)
