"""A span of the archive as one MPEG program stream of GB/T 28181, in one pass.

What platforms of that standard take, and older players. Pictures and sound are those of the camera;
sound that has no place in it (Opus, G.726, L16, odd kinds of AAC) is left out beside pictures. The
camera's name and the wall time have none either and stand in the manifest only.
"""

from collections.abc import Iterator

from nvr.base.errors import Rejected
from nvr.export.mp4 import config_of
from nvr.media.fragment import samples
from nvr.media.track import StreamConfig
from nvr.playback.joined import Recordings
from nvr.wire.mpegps import muxer

LEAD_90K = 45_000
"""Half a second from when a picture lies in the file to when it is shown, as players want it."""


def ps(archive: Recordings, stream: str, from_us: int, to_us: int) -> Iterator[tuple[bytes, int]]:
    """Yield one of the pieces that `Archive.configs` names, with the time up to which it leads.

    Raises:
        Rejected: ``export.nothing``, ``export.ps_unsupported``, both before the first byte.
        Damaged: ``fragment.damaged``.
    """
    config = config_of(archive, stream, from_us)
    pieces = archive.export_timed(stream, from_us, to_us)
    next(pieces, None)  # ftyp and moov
    return packed(config, pieces)


def packed(
    config: StreamConfig, pieces: Iterator[tuple[bytes, int]]
) -> Iterator[tuple[bytes, int]]:
    """Turn fragments into packs, of the same times.

    Raises:
        Rejected: ``export.ps_unsupported``.
        Damaged: ``fragment.damaged``.
    """
    video = any(track.kind == "video" for track in config)
    try:
        made = muxer(config, lead_90k=LEAD_90K, leave_out=True)
    except ValueError as err:
        raise Rejected("export.ps_unsupported", f"it cannot be a program stream: {err}") from err

    def packs(piece: bytes) -> Iterator[bytes]:
        for n, one in enumerate(samples(piece, config)):
            starts = one.key and config[one.track].kind == "video" if video else n == 0
            times = one.dts_90k + LEAD_90K, one.pts_90k + LEAD_90K
            yield made.pack(one.track, one.data, *times, starts)

    return ((b"".join(packs(piece)), at_us) for piece, at_us in pieces)
