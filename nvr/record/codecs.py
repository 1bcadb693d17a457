"""The codec configuration of a stream as the head of a block has it: see ``FORMAT.md``."""

import struct

from nvr.media.track import StreamConfig, TrackConfig

_TRACK = struct.Struct(">BBBxIHHH")
_CODECS = ("", "h264", "h265", "aac", "pcma", "pcmu", "opus", "g726", "l16", "jpeg")


def encode_config(config: StreamConfig) -> bytes:
    """Return the number of tracks and the tracks."""
    tracks = bytearray([len(config)])
    for track in config:
        tracks += _TRACK.pack(
            1 if track.kind == "video" else 2,
            _CODECS.index(track.codec),
            track.channels,
            track.clock_hz,
            track.width_px,
            track.height_px,
            len(track.config),
        )
        tracks += track.config
    return bytes(tracks)


def decode_config(data: memoryview) -> StreamConfig:
    """Read what `encode_config` returned."""
    tracks, at = [], 1
    for _ in range(data[0]):
        kind, codec, channels, clock_hz, width, height, size = _TRACK.unpack_from(data, at)
        at += _TRACK.size
        tracks.append(
            TrackConfig(
                kind="video" if kind == 1 else "audio",
                codec=_CODECS[codec],  # type: ignore[arg-type] # the table holds only their names
                clock_hz=clock_hz,
                config=bytes(data[at : at + size]),
                width_px=width,
                height_px=height,
                channels=channels,
            )
        )
        at += size
    return tuple(tracks)
