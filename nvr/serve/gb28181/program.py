"""Program streams of live cameras: one for all platforms that watch the same.

Each stream, configuration and payload type is one `Relay`, removed with its last reader. What
differs between readers, their SSRC, the relay puts in as it sends.
"""

import secrets
from dataclasses import dataclass, field

from nvr._native import Relay, RelayReader
from nvr.media.ports import RelaySource
from nvr.media.track import StreamConfig
from nvr.wire.mpegps import muxer

BACKLOG_BYTES = 8 << 20
"""Of this half is room for the group of pictures that a reader begins with."""
BACKLOG_S = 3.0
STUCK_S = 10.0


def program_relay(
    config: StreamConfig, payload_type: int, peak_bytes_s: float, *, backlog_bytes: int
) -> Relay:
    """Return a relay for the program stream of `config`; sound that has no place is left out.

    Raises:
        ValueError: Its pictures cannot be carried.
    """
    video = any(track.kind == "video" for track in config)
    numbers = secrets.randbits(32), secrets.randbits(16), secrets.randbits(32)
    return Relay(
        [(90_000, payload_type, 0, *numbers, video)],
        backlog_bytes=backlog_bytes,
        backlog_s=BACKLOG_S,
        stuck_s=STUCK_S,
        peak_bytes_s=peak_bytes_s,
        program=muxer(config, leave_out=True),
    )


@dataclass(eq=False, slots=True)
class Program:
    """One relay and who reads it."""

    relay: Relay
    source: RelaySource
    config: StreamConfig
    readers: set[RelayReader] = field(default_factory=set)


class Programs:
    """The program streams of one desk.

    Args:
        peak_bytes_s: Peak rate to a platform over UDP.
    """

    def __init__(self, peak_bytes_s: float) -> None:
        self._peak_bytes_s = peak_bytes_s
        self._of: dict[tuple[RelaySource, StreamConfig, int], Program] = {}

    def join(
        self, source: RelaySource, config: StreamConfig, payload_type: int, fd: int, ssrc: int
    ) -> tuple[Program, RelayReader]:
        """Begin to send to the connected socket `fd`, from the newest key frame on.

        Raises:
            ValueError: The pictures cannot be carried.
            Rejected: ``relay.too_many``.
            OSError: No descriptor is left.
        """
        key = source, config, payload_type
        program = self._of.get(key)
        if program is None:
            relay = program_relay(
                config, payload_type, self._peak_bytes_s, backlog_bytes=BACKLOG_BYTES
            )
            source.add_relay(relay)
            self._of[key] = program = Program(relay, source, config)
        try:
            reader = program.relay.add(fd, b"", ssrc)
        except OSError:
            self._drop_if_unused(program)
            raise
        reader.play()
        program.readers.add(reader)
        return program, reader

    def leave(self, program: Program, reader: RelayReader) -> None:
        """Send no more; the relay goes with its last reader."""
        reader.close()
        program.readers.discard(reader)
        self._drop_if_unused(program)

    def _drop_if_unused(self, program: Program) -> None:
        if program.readers:
            return
        self._of = {key: other for key, other in self._of.items() if other is not program}
        program.source.remove_relay(program.relay)
