"""Checks the signatures that a camera put into its own video, clip by clip.

What is covered, and what not, is told by `nvr.export.cover`; whose key it was by
`nvr.export.certificate`; what a person reads by `nvr.export.camera`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nvr.base.errors import NvrError
from nvr.export import certificate
from nvr.export.camera import ABSENT, INVALID, PARTIAL, UNKNOWN, VALID
from nvr.export.certificate import Certificate
from nvr.export.cover import ALTERED, OPEN, Cover, Settled
from nvr.export.mp4 import Movie
from nvr.wire.media_signing import Sei
from nvr.wire.nal import nals

_SINCE_1601_100NS = 116_444_736_000_000_000
_SINCE_2000_US = 946_684_800_000_000
"""A clock that says less was never set."""
_MOST_STRETCHES = 100
_MOST_TIMES = 1000
_STEP_US = 1_000_000
"""Longer from one picture to the next is a gap, which a copy does not have."""
_HOUR_US = 3_600_000_000
"""So often its time is noted anyway: clocks drift."""

Timed = tuple[bytes, int]
"""A sample as MP4 has it, and the UTC microseconds at which it is decoded."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The video of a clip.

    Attributes:
        codec: ``h264`` or ``h265``.
        record: Its ``avcC`` or ``hvcC``.
        read: Reads its samples; may be called twice.
        end_us: When the last one ends, told after they were read.
    """

    codec: str
    record: bytes
    read: Callable[[], Iterable[Timed]]
    end_us: Callable[[], int]


def movie_clip(movie: Movie) -> Clip | None:
    """Return the video of a span of the archive, None if it has none that a camera could sign."""
    video = movie.video
    if video is None or video.codec == "jpeg":
        return None
    return Clip(video.codec, video.config, movie.timed, lambda: movie.end_us)


def at_its_times(clip: Clip, times: Any) -> Clip:  # noqa: ANN401 - any JSON
    """Return a clip without gaps with the times that its pictures were recorded at.

    Args:
        clip: A copy, in which what follows a gap goes on at once.
        times: ``times`` of its fields: number of a picture, from 1, and its UTC microseconds.
    """
    known = dict[int, int]()
    for one in times if isinstance(times, list) else ():
        if isinstance(one, list) and list(map(type, one)) == [int, int] and abs(one[1]) < 1 << 60:
            known[one[0]] = one[1]
    late_us = 0

    def read() -> Iterator[Timed]:
        nonlocal late_us
        late_us = 0
        for n, (sample, at_us) in enumerate(clip.read(), 1):
            late_us = known[n] - at_us if n in known else late_us
            yield sample, at_us + late_us

    return Clip(clip.codec, clip.record, read, lambda: clip.end_us() + late_us)


def absent(file: str) -> dict[str, Any]:
    """Return the fields of a clip without any such signature."""
    return {"file": file, "verdict": ABSENT}


def unknown(file: str, err: NvrError) -> dict[str, Any]:
    """Return the fields of a clip that could not be read."""
    return {"file": file, "verdict": UNKNOWN, "note": err.code}


class Check:
    """The check of one clip.

    Args:
        file: Its name.
        clip: Read once, twice if the camera uses another hash than SHA-256.
        cas: CAs that the person trusts.

    Attributes:
        found: The fields, once all steps are done.
    """

    def __init__(self, file: str, clip: Clip, cas: Sequence[Certificate] = ()) -> None:
        self._file, self._clip, self._cas = file, clip, cas
        self.found = absent(file)

    def steps(self) -> Iterator[None]:
        """Do it, step by step.

        Raises:
            NvrError: The clip cannot be read.
        """
        algorithm, clip = "sha256", self._clip
        while True:
            cover, times = Cover(clip.codec, algorithm), list[list[int]]()
            last_us: int | None = None
            length_bytes = _length_bytes(clip)
            for n, (sample, at_us) in enumerate(clip.read()):
                cover.sample(nals(sample, length_bytes), at_us)
                if (
                    last_us is None
                    or abs(at_us - last_us) >= _STEP_US
                    or at_us - times[-1][1] >= _HOUR_US
                ):
                    times.append([n + 1, at_us])
                last_us = at_us
                if n % 500 == 0:
                    yield
            others = cover.algorithms & {"sha256", "sha384", "sha512"}
            if algorithm in others or not others:
                break
            algorithm = min(others)
        if cover.seis:
            found = _judged(self._file, cover, algorithm, clip.end_us(), self._cas)
            self.found = found | {"times": times[:_MOST_TIMES]}


def _length_bytes(clip: Clip) -> int:
    at = 4 if clip.codec == "h264" else 21
    return (clip.record[at] & 3) + 1 if len(clip.record) > at else 4


def _judged(
    file: str, cover: Cover, algorithm: str, end_us: int, cas: Sequence[Certificate]
) -> dict[str, Any]:
    def signs(one: Certificate, sei: Sei) -> bool:
        digest = hashlib.new(algorithm, sei.message).digest()
        return certificate.right(one, digest, sei.signature, algorithm)

    chain = _chain(cover.seis, signs)

    def right(sei: Sei) -> bool:
        own = certificate.read(sei.certificates) if sei.certificates else chain
        return bool(own and certificate.same_key(own[0], chain[0]) and signs(own[0], sei))

    settled = cover.settle(lambda sei: bool(chain) and right(sei), end_us)
    first_us = _camera_us(settled.claims[0].from_100ns) if settled.claims else None
    last_us = _camera_us(settled.claims[-1].to_100ns) if settled.claims else None
    known_us = next((at for at in (cover.from_us, first_us) if at and at > _SINCE_2000_US), None)
    stretches = [one._asdict() for one in settled.stretches]
    return {
        "file": file,
        "verdict": _verdict(settled, known_key=bool(chain)),
        "pictures": settled.pictures,
        "covered": settled.covered,
        "hash": algorithm,
        "certificate": asdict(certificate.holder(chain[0])) if chain else None,
        "chain": certificate.trust(chain, cas, known_us) if chain else certificate.UNCHECKED,
        "camera_from_us": first_us,
        "camera_to_us": last_us,
        "note": "" if settled.covered else "too_short" if chain else "no_certificate",
        "stretches": stretches[:_MOST_STRETCHES],
        "more": max(0, len(stretches) - _MOST_STRETCHES),
    }


def _chain(seis: Sequence[Sei], signs: Callable[[Certificate, Sei], bool]) -> list[Certificate]:
    """Return the certificates of the first SEI that they bear out, or just the first there are."""
    first: list[Certificate] = []
    for sei in seis:
        found = certificate.read(sei.certificates) if sei.certificates else []
        if found and sei.signature and signs(found[0], sei):
            return found
        first = first or found
    return first


def _verdict(settled: Settled, *, known_key: bool) -> str:
    kinds = {one.kind for one in settled.stretches}
    if settled.covered:
        return PARTIAL if kinds - {OPEN} else VALID
    return INVALID if known_key and (settled.wrong or ALTERED in kinds) else PARTIAL


def _camera_us(at_100ns: int) -> int:
    return (at_100ns - _SINCE_1601_100NS) // 10
