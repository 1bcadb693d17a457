"""From a stream's configuration to what a reader is told and sent.

Each set of tracks and channels is one `Relay`, shared by all readers that asked for the same, and
removed with its last reader.
"""

import asyncio
import os
import secrets
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nvr._native import Relay, RelayReader
from nvr.media.ports import RelaySource
from nvr.media.track import RtpTrack, StreamConfig, TrackConfig
from nvr.wire import h264, h265, sdp

_STATIC = {"pcmu": (0, 8000, 1), "pcma": (8, 8000, 1), "jpeg": (26, 90_000, 0)}
_JPEG_PX = 2040
PEAK_BYTES_S = 4e6
"""Datagrams leave no faster: a key frame at once would overrun the buffers of who receives it."""
NO_ROUTES: Mapping[int, int] = {}
_ENCODING = {
    "h264": "H264",
    "h265": "H265",
    "jpeg": "JPEG",
    "aac": "MPEG4-GENERIC",
    "pcma": "PCMA",
    "pcmu": "PCMU",
    "opus": "OPUS",
    "l16": "L16",
}


def payload_type(track: TrackConfig, index: int) -> int:
    """RTP payload type of a track by its place in the description."""
    number, *usual = _STATIC.get(track.codec, (0,))
    return number if usual == [track.clock_hz, track.channels] else 96 + index


def _media(track: TrackConfig, index: int, sent: RtpTrack) -> sdp.Media:
    sets: tuple[bytes, ...] = ()
    if track.codec == "jpeg":
        # Packets have room for 2040 pixels; readers take the size from elsewhere only if they must.
        wide = max(track.width_px, track.height_px) > _JPEG_PX
        sets = (struct.pack(">HH", track.width_px, track.height_px),) if wide else ()
    elif track.config and track.kind == "video":
        read = h264.parameter_sets if track.codec == "h264" else h265.parameter_sets
        sets = read(track.config)
    return sdp.Media(
        track.kind,
        payload_type(track, index),
        sent.encoding or _ENCODING[track.codec],
        track.clock_hz,
        track.channels,
        f"track={index}",
        sets,
        track.config if track.codec == "aac" else b"",
        sent.mux,
        sent.au,
        don=sent.order and track.kind == "video",
    )


def _usual(track: TrackConfig) -> RtpTrack:
    return RtpTrack(track.kind, track.codec, track.clock_hz, 0, 0)


def describe(name: str, config: StreamConfig, address: str, sent: Sequence[RtpTrack] = ()) -> bytes:
    """Return the SDP of a stream; the number of track ``track=N`` is its place in `config`.

    Args:
        name: Session name.
        config: Its tracks.
        address: Our own as the reader knows it.
        sent: How their packets are made, if not as usual.
    """
    if len(sent) != len(config):
        sent = [_usual(track) for track in config]
    media = [
        _media(track, index, how)
        for index, (track, how) in enumerate(zip(config, sent, strict=True))
    ]
    return sdp.build(name, media, session=secrets.randbits(31), address=address)


@dataclass(eq=False, slots=True)
class Variant:
    """One relay and who reads it."""

    relay: Relay
    source: RelaySource
    wake_fd: int
    readers: set[RelayReader] = field(default_factory=set)
    pulled: dict[RelayReader, Callable[[], None]] = field(default_factory=dict)


class Variants:
    """The relays of one server."""

    def __init__(self, *, backlog_s: float, backlog_bytes: int, stuck_s: float) -> None:
        self._backlog_s = backlog_s
        self._backlog_bytes = backlog_bytes
        self._stuck_s = stuck_s
        self._of: dict[tuple[str, StreamConfig, tuple[int, ...], bool], Variant] = {}

    def attach(
        self,
        name: str,
        source: RelaySource,
        config: StreamConfig,
        channels: Mapping[int, int],
        fd: int,
        text: bytes,
        pull: Callable[[], None] | None = None,
        routes: Mapping[int, int] = NO_ROUTES,
    ) -> tuple[Variant, RelayReader]:
        """Add a reader, paused.

        Args:
            name: Stream name.
            source: What feeds the relay.
            config: Configuration that the reader was told.
            channels: Interleaved channel of each track that the reader set up.
            fd: Socket to send to, -1 to be pulled.
            text: What goes out first.
            pull: Called when a reader without a socket has something to pull.
            routes: Datagram sockets of the channels, of which `fd` is one; empty where all goes
                there.

        Raises:
            Rejected: ``relay.too_many``.
            OSError: No descriptor is left.
        """
        wanted = tuple(channels.get(index, -1) for index in range(len(config)))
        key = (name, config, wanted, bool(routes))
        variant = self._of.get(key)
        if variant is None:
            variant = self._make(source, config, wanted, paced=bool(routes))
            self._of[key] = variant
        try:
            reader = variant.relay.add(fd, text)
            for channel, to in routes.items():
                reader.route(channel, to)
        except OSError:
            self._drop_if_unused(variant)
            raise
        variant.readers.add(reader)
        if pull:
            variant.pulled[reader] = pull
        return variant, reader

    def detach(self, variant: Variant, reader: RelayReader) -> None:
        """Take a reader away; the relay goes with the last one."""
        reader.close()
        variant.readers.discard(reader)
        variant.pulled.pop(reader, None)
        self._drop_if_unused(variant)

    def pump(self) -> None:
        """Send what is left over where no new packets come."""
        for variant in self._of.values():
            variant.relay.pump()

    def _make(
        self, source: RelaySource, config: StreamConfig, wanted: tuple[int, ...], *, paced: bool
    ) -> Variant:
        wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        tracks = [
            (
                track.clock_hz,
                payload_type(track, index),
                channel,
                secrets.randbits(32),
                secrets.randbits(16),
                secrets.randbits(32),
                track.kind == "video",
            )
            for index, (track, channel) in enumerate(zip(config, wanted, strict=True))
        ]
        relay = Relay(
            tracks,
            backlog_bytes=self._backlog_bytes,
            backlog_s=self._backlog_s,
            stuck_s=self._stuck_s,
            notify_fd=wake_fd,
            peak_bytes_s=PEAK_BYTES_S if paced else 0.0,
        )
        variant = Variant(relay, source, wake_fd)
        try:
            source.add_relay(relay)
        except BaseException:
            os.close(wake_fd)
            raise
        asyncio.get_running_loop().add_reader(wake_fd, self._woken, variant)
        return variant

    def _woken(self, variant: Variant) -> None:
        os.eventfd_read(variant.wake_fd)
        for pull in list(variant.pulled.values()):
            pull()

    def _drop_if_unused(self, variant: Variant) -> None:
        if variant.readers:
            return
        self._of = {key: other for key, other in self._of.items() if other is not variant}
        variant.source.remove_relay(variant.relay)
        asyncio.get_running_loop().remove_reader(variant.wake_fd)
        os.close(variant.wake_fd)
