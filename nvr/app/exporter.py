"""What exports are made of: the archive, the box's name, clock and key, and its log."""

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from nvr.auth.audit import Audit, Entry, about
from nvr.base.clock import Clock
from nvr.base.errors import Unavailable
from nvr.export.burned import lacking
from nvr.export.evidence import Asked, Maker, evidence, size_bytes
from nvr.export.form import SUFFIXES, Copying, burned_bytes, copied
from nvr.export.order import Job, Wanted
from nvr.export.split import stretches
from nvr.media.camera import BoxState, Cameras, CaptionAt
from nvr.media.mask import Masks
from nvr.media.name import WHICH, Which, camera_of, stream_of, which_of
from nvr.playback.joined import Recordings
from nvr.seal.sign import Signer

_UNSAFE = re.compile(r"[\\/:*?\"<>|\x00-\x1f\s]+")


def _streams(wanted: Wanted) -> tuple[str, ...]:
    of: tuple[Which, ...] = WHICH if wanted.streams == "both" else (wanted.streams,)
    return tuple(stream_of(camera, which) for camera in wanted.cameras for which in of)


class Exporter:
    """Makes the exports that people ask for on the page. See `nvr.export.jobs.Make`.

    Args:
        archive: What is recorded; raises what is wrong with the volume.
        box: Name and clock.
        cameras: Titles.
        signer: The box's signing key.
        state: ``state.db``.
        clock: Time source.
        captions: What is burned into a stream's pictures, None if it is there already.
        spool: Directory for what waits while captions are burned in.
        masks: What is hidden of a camera's recordings of a span.
    """

    def __init__(
        self,
        archive: Callable[[], Recordings],
        box: BoxState,
        cameras: Cameras,
        signer: Signer,
        state: Path,
        clock: Clock,
        captions: Callable[[str], CaptionAt | None],
        spool: Path,
        masks: Callable[[str, tuple[int, int]], Masks] = lambda _camera, _span: (),
    ) -> None:
        self._archive = archive
        self._box = box
        self._cameras = cameras
        self._signer = signer
        self._state = state
        self._clock = clock
        self._captions = captions
        self._spool = spool
        self._masks = masks

    def size_bytes(self, wanted: Wanted) -> int:
        """Return about how big it will be; 0 if nothing is recorded."""
        archive, span = self._archive(), (wanted.from_us, wanted.to_us)
        streams = _streams(wanted)
        burned = [one for one in streams if self._burned(one, wanted)]
        copied = [one for one in streams if one not in burned]
        size = size_bytes(archive, copied, *span)
        size = size if wanted.form == "evidence" else size // 2
        # What is burned waits here in full before it is written.
        return size + 2 * sum(burned_bytes(archive, one, *span) for one in burned)

    def missing(self, wanted: Wanted) -> str:
        """Return the characters of captions that the font does not have."""
        looks = [found for one in _streams(wanted) if (found := self._caption(one, wanted))]
        return lacking(looks, wanted.from_us, wanted.to_us)

    def files(self, wanted: Wanted) -> Iterator[tuple[str, Iterator[tuple[bytes, float]]]]:
        """Yield the files with their pieces."""
        archive, maker = self._archive(), self._maker(wanted)
        stamp = f"{datetime.fromtimestamp(wanted.from_us / 1e6).astimezone():%Y%m%d-%H%M%S}"
        streams = _streams(wanted)
        asked = Asked(streams, wanted.from_us, wanted.to_us, wanted.by)
        if wanted.form == "evidence":
            yield f"evidence-{stamp}.zip", evidence(archive, asked, maker)
            return
        spans = [
            (stream, *span)
            for stream in streams
            for span in stretches(
                archive, stream, wanted.from_us, wanted.to_us, wanted.most_file_bytes,
                burned=self._burned(stream, wanted),
            )
        ]  # fmt: skip
        for n, (stream, from_us, to_us) in enumerate(spans):
            at = datetime.fromtimestamp(from_us / 1e6).astimezone()
            caption = self._caption(stream, wanted)
            origin = partial(maker.provenance, stream, asked)
            masks = self._hidden(camera_of(stream), wanted)
            how = Copying(wanted.form, origin, caption, self._spool, masks)
            more = ("-captions" if caption else "") + ("-masked" if masks else "")
            ending = f"{more}{SUFFIXES[wanted.form]}"
            pieces = copied(archive, stream, from_us, to_us, how)
            yield (
                f"{self._file_name(stream, wanted)}-{at:%Y%m%d-%H%M%S}{ending}",
                ((piece, (n + share) / len(spans)) for piece, share in pieces),
            )

    def _caption(self, stream: str, wanted: Wanted) -> CaptionAt | None:
        return self._captions(stream) if wanted.captions else None

    def _hidden(self, camera: str, wanted: Wanted) -> Masks:
        return self._masks(camera, (wanted.from_us, wanted.to_us)) if wanted.masks else ()

    def _burned(self, stream: str, wanted: Wanted) -> bool:
        hidden = self._hidden(camera_of(stream), wanted)
        return self._caption(stream, wanted) is not None or bool(hidden)

    def _file_name(self, stream: str, wanted: Wanted) -> str:
        """Return what people call a camera, safe in every file system; its name where two agree."""
        titles = {name: self._title(name) for name in wanted.cameras}
        camera = camera_of(stream)
        title = titles[camera]
        base = title if list(titles.values()).count(title) == 1 else f"{title}-{camera}"
        return base if which_of(stream) == "main" else f"{base}-{which_of(stream)}"

    def _title(self, camera: str) -> str:
        found = self._cameras.find(camera)
        return _UNSAFE.sub("_", (found.title if found else "") or camera)[:80]

    def _maker(self, wanted: Wanted) -> Maker:
        clock = self._box.clock_state()
        titles = {
            name: found.title for name in wanted.cameras if (found := self._cameras.find(name))
        }
        return Maker(
            self._box.name,
            self._clock.wall_us(),
            clock.state,
            clock.uncertainty_ms,
            self._signer,
            self._signer.public,
            titles,
            partial(
                about, self._state, wanted.cameras, wanted.from_us, wanted.to_us,
                motion=not wanted.everything,
            ),
            "all" if wanted.everything else "motion",
        )  # fmt: skip


def arrived(audit: Audit, job: Job) -> None:
    """Have the log say what became of an export that was sent somewhere."""
    if not job.wanted.target:
        return  # whoever fetches it is logged then
    done = job.state == "done"
    names = ", ".join(file.name for file in job.files)
    reason = f"{job.number}: {names} to {job.place}" if done else job.code
    for camera in job.wanted.cameras:
        with contextlib.suppress(Unavailable):  # the log is full, which is an alarm by itself
            audit.record(
                Entry(
                    "event", "export.ended", "ok" if done else "failed", reason, job.wanted.by,
                    job.wanted.target, camera, f"camera:{camera}",
                )
            )  # fmt: skip
