"""Writes exports into files, with a manifest of what is in them.

A file appears under its name only when it is whole. Gaps are left out of the picture and listed in
the manifest; a change of codecs begins another file.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nvr import __version__
from nvr.base.errors import Rejected, Unavailable
from nvr.export.burned import worth_of
from nvr.export.form import Copying, copied
from nvr.export.whole import Whole, whole_file
from nvr.media.name import camera_of, which_of
from nvr.playback.joined import Recordings

Progress = Callable[[int, float], None]
"""Told of the bytes written so far and the fraction done."""


@dataclass(frozen=True, slots=True)
class Exported:
    """One file of an export.

    Attributes:
        path: Where it is.
        size_bytes: Its size.
        sha256: Hexadecimal SHA-256 of it.
        from_us: UTC microseconds of its first picture.
        to_us: UTC microseconds of its end.
    """

    path: Path
    size_bytes: int
    sha256: str
    from_us: int
    to_us: int


def held(archive: Recordings, streams: Sequence[str], from_us: int, to_us: int) -> list[str]:
    """Return those of the streams of which anything is recorded in a span.

    Raises:
        Rejected: ``export.nothing``: of some camera, nothing is.
    """
    found = [name for name in streams if archive.configs(name, from_us, to_us)]
    cameras = set(map(camera_of, found))
    for name in streams:
        if camera_of(name) not in cameras:
            raise Rejected("export.nothing", "nothing is recorded in this time", stream=name)
    return found


def stem_of(stem: str, stream: str, streams: Sequence[str]) -> str:
    """Return `stem` with what tells a stream from the others that are exported with it."""
    more = [stem]
    if len(set(map(camera_of, streams))) > 1:
        more.append(camera_of(stream))
    if which_of(stream) != "main" and len(set(map(which_of, streams))) > 1:
        more.append(which_of(stream))
    return "-".join(more)


def export(
    archive: Recordings,
    stream: str,
    from_us: int,
    to_us: int,
    path: Path,
    progress: Progress | None = None,
    how: Copying = Copying(),  # noqa: B008 - frozen
) -> list[Exported]:
    """Write the span to `path`, and its manifest beside it as ``<name>.json``.

    Further files, after a change of codecs, get ``-2``, ``-3`` before the ending.

    Args:
        archive: What is recorded.
        stream: Name of the stream.
        from_us: UTC microseconds of the first picture.
        to_us: UTC microseconds after the last.
        path: File to write.
        progress: Told how far it is.
        how: In which form.

    Raises:
        Rejected: ``export.nothing``, ``export.exists``, ``export.ps_unsupported``.
        Damaged: ``export.undecodable``.
        Unavailable: ``export.unwritable``, ``export.overwritten``, ``sandbox.failed``.
    """
    pieces = archive.configs(stream, from_us, to_us)
    if not pieces:
        raise Rejected("export.nothing", "nothing is recorded in this time", stream=stream)
    paths = [
        path if n == 1 else path.with_name(f"{path.stem}-{n}{path.suffix}")
        for n in range(1, len(pieces) + 1)
    ]
    manifest = path.with_name(path.name + ".json")
    for each in (*paths, manifest):
        if each.exists():
            raise Rejected("export.exists", "the file is already there", file=str(each))
    done: list[Exported] = []
    span_us = sum(end - begin for begin, end in pieces)
    before_us = 0
    for each, (begin_us, end_us) in zip(paths, pieces, strict=True):
        found = archive.gop(stream, begin_us)
        first_us = found.from_us if found else begin_us
        made = write(
            each,
            (
                (piece, (before_us + share * (end_us - begin_us)) / span_us)
                for piece, share in copied(archive, stream, begin_us, end_us, how)
            ),
            progress,
        )
        done.append(Exported(each, made.size_bytes, made.sha256, first_us, end_us))
        before_us += end_us - begin_us
    _write(manifest, _manifest(archive, stream, from_us, to_us, done, how))
    return done


def write(
    path: Path, pieces: Iterable[tuple[bytes, float]], progress: Progress | None = None
) -> Whole:
    """Write pieces into a file that appears only when it is whole.

    Raises:
        Rejected: ``export.exists``.
        Unavailable: ``export.unwritable``.
    """
    if path.exists():
        raise Rejected("export.exists", "the file is already there", file=str(path))
    steps = whole_file(path, _told(pieces, progress) if progress else pieces)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        whole: Whole = done.value
        return whole
    except OSError as err:
        raise Unavailable("export.unwritable", f"the file cannot be written: {err}") from err
    finally:
        steps.close()


def _told(
    pieces: Iterable[tuple[bytes, float]], progress: Progress
) -> Iterator[tuple[bytes, float]]:
    size = 0
    for piece, share in pieces:
        yield piece, share
        size += len(piece)
        progress(size, share)


def _manifest(
    archive: Recordings, stream: str, from_us: int, to_us: int, done: list[Exported], how: Copying
) -> bytes:
    ranges = archive.ranges(stream, from_us, to_us)
    tree = {
        "software": f"nvr {__version__}",
        "volume": str(archive.volume().ring_id),
        "stream": stream,
        "form": how.form,
        "note": worth_of(captions=how.caption is not None, masks=bool(how.masks)),
        "asked": {"from_us": from_us, "to_us": to_us},
        "files": [
            {
                "name": each.path.name,
                "size_bytes": each.size_bytes,
                "sha256": each.sha256,
                "from_us": each.from_us,
                "to_us": each.to_us,
            }
            for each in done
        ],
        "recorded": [
            {"run": run.run, "from_us": run.from_us, "to_us": run.to_us} for run in ranges.runs
        ],
        "gaps": [
            {"from_us": gap.from_us, "to_us": gap.to_us, "cause": gap.cause} for gap in ranges.gaps
        ],
    }
    return json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        raise Unavailable("export.unwritable", f"the file cannot be written: {err}") from err
