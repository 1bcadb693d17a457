"""Video that a camera signed (``vectors/``), as samples, and what is said of it."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nvr.export import certificate
from nvr.export.witness import Check, Clip
from nvr.wire import media_signing
from tests.media.clip import split

VECTORS = Path(__file__).parent / "vectors"
NAMES = sorted(path.name for path in VECTORS.glob("*.h26?"))
W, STEP = 1_800_000_000_000_000, 40_000
GOP = 8

Unit = tuple[bytes, ...]


def codec(name: str) -> str:
    return name.rpartition(".")[2]


@functools.cache
def units(name: str) -> tuple[Unit, ...]:
    """The access units of a vector; what comes after the last picture is part of it."""
    found: list[list[bytes]] = [[]]
    for nal in split((VECTORS / name).read_bytes()):
        if any(media_signing.kind(codec(name), one) for one in found[-1]):
            found.append([])
        found[-1].append(nal)
    if not any(media_signing.kind(codec(name), one) for one in found[-1]):
        tail = found.pop()
        found[-1] += tail
    return tuple(map(tuple, found))


def sample(unit: Unit) -> bytes:
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in unit)


def check(kind: str, samples: Sequence[bytes], *, ca: bool = True) -> dict[str, Any]:
    timed = [(one, W + n * STEP) for n, one in enumerate(samples)]
    clip = Clip(kind, b"", lambda: timed, lambda: W + len(timed) * STEP)
    checking = Check("clip.mp4", clip, certificate.anchors(VECTORS / "ca.pem") if ca else ())
    for _ in checking.steps():
        pass
    return checking.found


def of(name: str, changed: Sequence[Unit] | None = None, **more: bool) -> dict[str, Any]:
    return check(codec(name), [sample(unit) for unit in changed or units(name)], **more)


def not_covered(tree: dict[str, Any]) -> set[int]:
    """Numbers, from 0, of pictures that are in some stretch."""
    return {
        n
        for one in tree["stretches"]
        if one["kind"] != "missing"
        for n in range(one["first_sample"] - 1, one["last_sample"])
    }


def kinds(tree: dict[str, Any]) -> list[str]:
    return [one["kind"] for one in tree["stretches"]]
