"""`nvr export --usb` and `--store`: the same files, sent somewhere."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from nvr.app.target import targets as all_targets
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured, Rejected, Unavailable
from nvr.config import load
from nvr.config.model import Config
from nvr.export.evidence import Asked, Maker, evidence
from nvr.export.form import Copying, copied
from nvr.export.job import held, stem_of
from nvr.export.out import Away, Steps, Target
from nvr.export.split import stretches
from nvr.playback.joined import Recordings

_Named = Iterator[tuple[str, Iterator[tuple[bytes, float]]]]


def send(
    chosen: argparse.Namespace,
    archive: Recordings,
    asked: Asked,
    maker: Maker,
    how: Callable[[str], Copying],
    size_bytes: int,
    progress: Callable[[int, float], None],
) -> None:
    """Export into the store, onto the stick named by ``--stick``, or the only one.

    Raises:
        NvrError: ``usb.none``, ``s3.none`` and others: nothing of it is left there then.
    """
    path = chosen.data / "nvr.toml"
    config = load.read(path) if path.exists() else Config()
    targets = all_targets(chosen.data, config, SystemClock().wall_us)
    found = [one for one in targets.all() if one.kind == ("s3" if chosen.store else "usb")]
    target = _store(found) if chosen.store else _stick(found, chosen.stick)
    if chosen.form == "evidence" and 0 < target.most_file_bytes < size_bytes:
        raise Rejected("export.too_big", f"{target.title} takes no file so big: export less")
    made = (
        iter([(chosen.file.name, evidence(archive, asked, maker))])
        if chosen.form == "evidence"
        else _videos(chosen, archive, asked, how, target.most_file_bytes)
    )
    out = targets.open(target.name, chosen.data, SystemClock().wall_us(), size_bytes)
    try:
        for name, pieces in made:
            _follow(out.write(name, pieces), size_bytes, progress)
        _follow(out.finish(lambda: True), size_bytes, progress)
    finally:
        out.give_up()
    for file in out.files:
        print(f"{out.place}/{file.name}  {file.size_bytes} bytes  sha256 {file.sha256}")
    if out.safe is not None:
        print(
            "read back and right; safe to pull out"
            if out.safe
            else "read back and right, but it could not be unmounted from here: eject it first"
        )


def _follow(steps: Steps, size_bytes: int, progress: Callable[[int, float], None]) -> None:
    for step in steps:
        if isinstance(step, Away):
            print(f"{step.why}; again in {step.wait_s:.0f} s", file=sys.stderr)
            time.sleep(step.wait_s)
        else:
            progress(round(step * size_bytes), step)


def _store(found: list[Target]) -> Target:
    if not found:
        raise Misconfigured("s3.none", "nvr.toml names no store: add [export.s3]")
    return found[0]


def _stick(found: list[Target], name: str | None) -> Target:
    fitting = [
        one for one in found if name is None or one.name == f"usb:{name.removeprefix('usb:')}"
    ]
    if not fitting:
        raise Unavailable("usb.none", "no such stick may be written to: see `nvr target`")
    if len(fitting) > 1:
        has = ", ".join(one.name for one in fitting)
        raise Misconfigured(
            "usb.which", "several sticks are plugged in: name one with --stick", has=has
        )
    return fitting[0]


def _videos(
    chosen: argparse.Namespace,
    archive: Recordings,
    asked: Asked,
    how: Callable[[str], Copying],
    most_bytes: int,
) -> _Named:
    found = []
    for stream in held(archive, asked.streams, asked.from_us, asked.to_us):
        wanted = how(stream)
        burned = wanted.caption is not None or bool(wanted.masks)
        spans = stretches(archive, stream, asked.from_us, asked.to_us, most_bytes, burned=burned)
        stem = stem_of(chosen.file.stem, stream, asked.streams)
        found += [
            (stem if n == 1 else f"{stem}-{n}", stream, *span) for n, span in enumerate(spans, 1)
        ]
    for n, (stem, stream, from_us, to_us) in enumerate(found):
        pieces = copied(archive, stream, from_us, to_us, how(stream))
        yield (
            f"{stem}{chosen.file.suffix}",
            ((piece, (n + share) / len(found)) for piece, share in pieces),
        )
