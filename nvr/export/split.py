"""Which stretches of a span become a file each: one set of codecs, no more than fits into one."""

from collections.abc import Callable, Iterator

from nvr.export.evidence import size_bytes
from nvr.export.form import burned_bytes
from nvr.playback.joined import Recordings

_TABLES = 0.97
"""Of the biggest file; the rest is for its tables."""


def stretches(
    archive: Recordings,
    stream: str,
    from_us: int,
    to_us: int,
    most_bytes: int = 0,
    *,
    burned: bool = False,
) -> list[tuple[int, int]]:
    """Return begin and end of each file.

    A file that would be too big is cut at a key frame, so that nothing is lost or there twice.

    Args:
        archive: What is recorded.
        stream: Name of the stream.
        from_us: UTC microseconds of the first picture.
        to_us: UTC microseconds after the last.
        most_bytes: The biggest file; 0: there is no limit.
        burned: They are encoded anew, with captions.
    """
    found = archive.configs(stream, from_us, to_us)
    if not most_bytes:
        return found

    def size(begin_us: int, end_us: int) -> int:
        if burned:
            return burned_bytes(archive, stream, begin_us, end_us)
        return size_bytes(archive, [stream], begin_us, end_us) // 2  # they are twice in evidence

    return [part for span in found for part in _halved(archive, stream, *span, most_bytes, size)]


def _halved(
    archive: Recordings,
    stream: str,
    from_us: int,
    to_us: int,
    most_bytes: int,
    size: Callable[[int, int], int],
) -> Iterator[tuple[int, int]]:
    if size(from_us, to_us) > most_bytes * _TABLES:
        cut_us = archive.key_us(stream, (from_us + to_us) // 2)
        if cut_us is not None and from_us < cut_us < to_us:
            yield from _halved(archive, stream, from_us, cut_us, most_bytes, size)
            yield from _halved(archive, stream, cut_us, to_us, most_bytes, size)
            return
    yield from_us, to_us
