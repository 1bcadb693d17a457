"""Copies a span of the archive into MP4 files, with a manifest of what is in them.

A file appears under its name only when it is whole. Gaps are left out of the picture and listed in
the manifest; a change of codecs begins another file.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nvr import __version__
from nvr.base.errors import Rejected, Unavailable
from nvr.playback.query import Archive

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


def export(
    archive: Archive,
    stream: str,
    from_us: int,
    to_us: int,
    path: Path,
    progress: Progress | None = None,
) -> list[Exported]:
    """Write the span to `path`, and its manifest beside it as ``<name>.json``.

    Further files, after a change of codecs, get ``-2``, ``-3`` before the ending.

    Raises:
        Rejected: ``export.nothing``, ``export.exists``.
        Unavailable: ``export.unwritable``.
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
        first_us, copied = _copy(
            archive, stream, (begin_us, end_us), each, progress, (before_us, span_us)
        )
        done.append(Exported(each, *copied, first_us, end_us))
        before_us += end_us - begin_us
    _write(manifest, _manifest(archive, stream, from_us, to_us, done))
    return done


def _copy(
    archive: Archive,
    stream: str,
    span: tuple[int, int],
    path: Path,
    progress: Progress | None,
    share: tuple[int, int],
) -> tuple[int, tuple[int, str]]:
    """Copy one file; returns when it really begins, its size and its hash."""
    first = archive.gop(stream, span[0])
    begin_us = first.from_us if first else span[0]
    digest, size = hashlib.sha256(), 0
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as file:
            for piece, at_us in archive.export_timed(stream, *span):
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                if progress is not None:
                    done_us = share[0] + max(0, at_us - span[0])
                    progress(size, min(1.0, done_us / share[1]))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as err:
        unfinished.unlink(missing_ok=True)
        raise Unavailable("export.unwritable", f"the file cannot be written: {err}") from err
    return begin_us, (size, digest.hexdigest())


def _manifest(
    archive: Archive, stream: str, from_us: int, to_us: int, done: list[Exported]
) -> bytes:
    ranges = archive.ranges(stream, from_us, to_us)
    tree = {
        "software": f"nvr {__version__}",
        "volume": str(archive.volume().ring_id),
        "stream": stream,
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
