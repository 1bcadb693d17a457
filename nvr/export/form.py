"""The forms that a camera's recording is copied in, each file made piece by piece while it is read.

``mp4`` any player opens and seeks in; ``fragmented`` is the same made in one pass; ``ps`` is what
platforms of GB/T 28181 take. `nvr.export.evidence` is another matter: it copies nothing, it proves.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nvr.export.burned import Burned, bitrate_bps, burnable
from nvr.export.mp4 import config_of, movie_of, portion
from nvr.export.ps import ps
from nvr.media.camera import CaptionAt, CaptionText
from nvr.media.caption import CLOCK, clock_text
from nvr.media.mask import Masks
from nvr.playback.joined import Recordings
from nvr.playback.query import Recorded
from nvr.wire.mp4 import Provenance

CopyForm = Literal["mp4", "fragmented", "ps"]
SUFFIXES: dict[CopyForm, str] = {"mp4": ".mp4", "fragmented": ".mp4", "ps": ".mpg"}
Origin = Callable[[int], Provenance]
"""Says where an MP4 comes from, of one that begins at some UTC microseconds."""


@dataclass(frozen=True, slots=True)
class Copying:
    """How a recording is copied.

    Attributes:
        form: Into what.
        origin: Where it says it comes from; needed for ``mp4``, the others cannot say.
        caption: What is burned into the pictures of an ``mp4``, which makes it no evidence.
        spool: Directory for what waits meanwhile, as large as the file.
        masks: What is hidden in the pictures of an ``mp4``, which makes it no evidence either.
    """

    form: CopyForm = "fragmented"
    origin: Origin | None = None
    caption: CaptionAt | None = None
    spool: Path = Path()
    masks: Masks = ()


def copied(
    archive: Recordings, stream: str, from_us: int, to_us: int, how: Copying
) -> Iterator[tuple[bytes, float]]:
    """Yield one file of one of the pieces that `Archive.configs` names, and the share done.

    Args:
        archive: What is recorded.
        stream: Name of the stream.
        from_us: UTC microseconds of its begin.
        to_us: UTC microseconds of its end.
        how: In which form.

    Raises:
        Rejected: ``export.ps_unsupported``, before the first byte.
        Damaged: ``export.undecodable``: captions were wanted, and the pictures are not ones.
        Unavailable: ``export.overwritten``, ``export.unwritable``, ``sandbox.failed``.
    """
    span = stream, from_us, to_us
    if how.form == "mp4" and how.origin is not None:
        config = config_of(archive, stream, from_us)
        if (how.caption is not None or how.masks) and burnable(config):
            pieces = archive.export_pieces(*span)
            caption = how.caption and _clocked(how.caption, archive.ranges(*span).runs)
            film = Burned(config, pieces, caption, how.spool, masks=how.masks)
            yield from film.write(how.origin, from_us, to_us)
        else:
            yield from _progressive(archive, *span, how.origin)
        return
    found = ps(archive, *span) if how.form == "ps" else archive.export_timed(*span)
    for piece, at_us in found:
        yield piece, portion(from_us, at_us, to_us)


def _clocked(caption: CaptionAt, runs: Sequence[Recorded]) -> CaptionAt:
    """Return a caption that says how far the clock could be trusted then, where it says so."""

    def at(wall_us: int) -> CaptionText:
        then = caption(wall_us)
        if not any(CLOCK in line for line in then.lines):
            return then
        run = next((one for one in runs if one.from_us <= wall_us < one.to_us), None)
        text = clock_text(run.trust.clock, run.trust.uncertainty_ms) if run else ""
        return replace(then, lines=tuple(line.replace(CLOCK, text) for line in then.lines))

    return at


def _progressive(
    archive: Recordings, stream: str, from_us: int, to_us: int, origin: Origin
) -> Iterator[tuple[bytes, float]]:
    movie = movie_of(archive, stream, from_us, to_us)
    for at_us in movie.scan():
        yield b"", portion(from_us, at_us, to_us) / 2
    yield movie.head(origin(movie.start_us)), 0.5
    for piece, at_us in movie.media():
        yield piece, 0.5 + portion(from_us, at_us, to_us) / 2


def burned_bytes(archive: Recordings, stream: str, from_us: int, to_us: int) -> int:
    """Return about how big a copy with captions will be."""
    size = 0
    for begin_us, end_us in archive.configs(stream, from_us, to_us):
        runs = archive.ranges(stream, begin_us, end_us).runs
        long_us = sum(min(run.to_us, end_us) - max(run.from_us, begin_us) for run in runs)
        rates = (
            bitrate_bps(track) if track.kind == "video" else 64_000
            for track in config_of(archive, stream, begin_us)
        )
        size += sum(rates) * long_us // 8_000_000
    return size + size // 8  # a rate is met on average, over some seconds
