"""How network cameras are reached: where to, as whom, by which transport, in whose TLS."""

import logging
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nvr.base.clock import Clock
from nvr.base.log import event
from nvr.capture.choice import Memory
from nvr.capture.rtsp import Account, Caller, untrusting_tls
from nvr.config import camera as written
from nvr.media.transport import ReachSettings

_log = logging.getLogger(__name__)


class Reach:
    """Makes the callers of all network cameras, and remembers what they learn.

    Args:
        permit: Whether an IP address and port may be connected to at all.
        home: Where names of files in the configuration begin.
        account: Who we are on a camera; asked in a thread.
        clock: Time source.
    """

    def __init__(
        self,
        permit: Callable[[str, int], bool],
        home: Path,
        account: Callable[[str], Account | None],
        clock: Clock,
    ) -> None:
        self._permit = permit
        self._home = home
        self._account = account
        self._clock = clock
        self._memories: dict[str, Memory] = {}
        self._tls = untrusting_tls()

    def caller(self, stream: str, camera: written.Camera, url: str) -> Caller:
        """Who connects a stream."""
        return Caller(
            url,
            partial(self._account, camera.name),
            self._clock,
            permit=self._permit,
            tls=self._context(camera),
            pin=camera.tls_pin.replace(":", "").lower(),
            transport=camera.transport,
            sound=camera.audio,
            memory=self._memories.setdefault(stream, Memory()),
        )

    def forget(self, stream: str) -> None:
        """What was learned of a server does not hold any more: it is another one."""
        self._memories.pop(stream, None)

    def fingerprint(self, stream: str) -> str:
        """SHA-256 of the certificate that a stream's camera showed last, empty if none."""
        memory = self._memories.get(stream)
        return memory.fingerprint if memory else ""

    def _context(self, camera: written.Camera) -> ssl.SSLContext:
        if not camera.tls_ca:
            return self._tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self._home / camera.tls_ca)
        except (OSError, ssl.SSLError) as err:
            # Without the CA nobody is vouched for: the camera is refused, not taken on trust.
            event(
                _log,
                logging.WARNING,
                "camera.ca_unreadable",
                camera=camera.name,
                file=camera.tls_ca,
                error=str(err),
            )
        return context


def settings(camera: written.Camera) -> ReachSettings:
    """What the configuration says of how a camera is reached."""
    return ReachSettings(camera.transport, camera.tls_pin, camera.tls_ca, camera.audio)


def keys(wanted: ReachSettings) -> dict[str, object]:
    """The keys that say so in the configuration; what is as usual is not written."""
    return {
        "transport": "" if wanted.transport == "auto" else wanted.transport,
        "tls_pin": wanted.tls_pin,
        "tls_ca": wanted.tls_ca,
        "audio": None if wanted.audio else False,
    }
