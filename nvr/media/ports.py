"""How packages that never import each other meet: `app` passes these in.

Source side: `capture` and `sim` bring bytes in. Reader side: `serve` and `web` take streams
out. Action side: control, for whoever may command it.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nvr.media.part import Fragment, Part
from nvr.media.track import RtpTrack, StreamConfig


@dataclass(frozen=True, slots=True)
class RunStats:
    """Counters of one run, since it began.

    Attributes:
        bytes_in: Bytes read from the camera.
        packets: RTP packets taken.
        lost: RTP packets missing by sequence number.
        damaged: Access units with missing packets.
        frames: Access units of the video track.
        keys: Key frames.
        last_packet_s: Monotonic seconds of the last RTP packet, 0 if none yet.
        last_key_s: Monotonic seconds of the last key frame, 0 if none yet.
        gop_90k: Ticks between the last two key frames, 0 if unknown.
    """

    bytes_in: int
    packets: int
    lost: int
    damaged: int
    frames: int
    keys: int
    last_packet_s: float
    last_key_s: float
    gop_90k: int


class Run(Protocol):
    """One uninterrupted connection of a source to its stream."""

    async def message(self) -> bytes:
        """Wait for the next RTSP message (head and body) the peer sent between packets.

        Raises:
            Unavailable: ``camera.lost``: the peer closed, or the socket failed.
            Damaged: ``camera.garbage``: what came is neither RTSP nor interleaved RTP.
        """
        ...

    def send(self, data: bytes) -> None:
        """Queue a whole RTSP message for the peer; never splits an interleaved frame."""
        ...

    def feed(self, data: bytes) -> None:
        """Take interleaved bytes that did not come from a socket of ours (TLS, encoders)."""
        ...

    def stats(self) -> RunStats:
        """Counters up to the last tick."""
        ...

    async def close(self) -> None:
        """End the run: the open part is cut and delivered, the socket is closed."""
        ...


class Reader(Protocol):
    """One RTSP peer that receives the relay."""

    def send(self, data: bytes) -> None:
        """Queue an RTSP message between interleaved frames."""
        ...

    def close(self) -> None:
        """Stop sending; the socket itself is closed by whoever opened it."""
        ...


class Stream(Protocol):
    """A named stream: exists as long as it is configured, whether or not its camera is there."""

    name: str

    @property
    def config(self) -> StreamConfig | None:
        """Codec configuration of the current or last run; None until one is known."""
        ...

    def open_run(
        self, tracks: Sequence[RtpTrack], sock: socket.socket | None = None, first: bytes = b""
    ) -> Run:
        """Begin a run. `sock` (non-blocking) is read and written by the ingest thread alone from
        here on; None means `Run.feed` brings the bytes. `first` was read before the hand-over.
        """  # noqa: D205 - one thought
        ...

    def watch(self, deliver: Callable[[StreamConfig, list[Fragment]], None]) -> Callable[[], None]:
        """Deliver every access unit of the stream from now on, in the event loop's thread.

        The first delivery begins with a key frame: the current group of pictures as far as it
        has come. A change of configuration shows as a different `StreamConfig`.

        Returns:
            A function that ends the delivery.
        """
        ...


class Hub(Protocol):
    """All streams of the box."""

    def stream(self, name: str) -> Stream:
        """Return the stream called `name`, made on first use."""
        ...

    def names(self) -> tuple[str, ...]:
        """Names of all streams."""
        ...


class PartSink(Protocol):
    """Takes parts as they close; called in the ingest thread, must not block."""

    def __call__(self, parts: list[Part]) -> None:
        """Queue `parts`; what cannot be queued is dropped and counted by the sink."""
        ...


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A part that a power cut can no longer take.

    Attributes:
        stream: Stream name.
        until_us: UTC microseconds of the end of the part.
        at_s: Monotonic seconds when the flush returned.
    """

    stream: str
    until_us: int
    at_s: float
