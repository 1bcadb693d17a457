"""A span of the archive as one progressive MP4 with a caption burned in: to be shown, no evidence.

The pictures go through a sandbox (`nvr.export.burner`), half a second at a time; sound stays as it
is. What comes out waits in a file without a name until the tables are known, which stand first.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import msgspec

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Damaged, Unavailable
from nvr.codec.sandbox import Sandbox
from nvr.export.mp4 import portion
from nvr.export.picture import Begin, Begun, Look, Pictures, Request, Units, answered
from nvr.media.camera import CaptionAt, CaptionText
from nvr.media.caption import FIELD
from nvr.media.fragment import Sample, runs, samples
from nvr.media.mask import Masks
from nvr.media.track import StreamConfig, TrackConfig
from nvr.playback.splice import Piece
from nvr.wire import h264, mp4
from nvr.wire.mp4 import Provenance, Table

NOT_EVIDENCE = "captions burned in, re-encoded: not evidence"
NOTHING = CaptionText((), (0, 0), 42, "plain")
_ENCODING = 0.95
"""Share of the work; the rest is copying."""
_COPY_BYTES = 1 << 20
_BITS_PER_PIXEL = 0.1
_LEAST_BPS, _MOST_BPS = 500_000, 16_000_000
_MOST_FPS = 60


def bitrate_bps(track: TrackConfig, fps: int = 25) -> int:
    """Return what the pictures of a burned copy may take."""
    wanted = round(track.width_px * track.height_px * fps * _BITS_PER_PIXEL)
    return min(_MOST_BPS, max(_LEAST_BPS, wanted))


def lacking(looks: Iterable[CaptionAt], from_us: int, to_us: int) -> str:
    """Return the characters of captions, at two wall times, that the font does not have."""
    said = (look(at_us).lines for look in looks for at_us in (from_us, to_us))
    text = "".join(FIELD.sub("", line) for lines in said for line in lines)
    if not text:
        return ""
    # It brings NumPy and FreeType, which a recorder does without until somebody burns captions.
    from nvr.overlay.font import Font  # noqa: PLC0415

    return Font().missing(text)


def burnable(config: StreamConfig) -> bool:
    """Whether there are pictures to burn something into."""
    return any(track.kind == "video" for track in config)


@dataclass(slots=True)
class Counts:
    """What became of the pictures.

    Attributes:
        taken: Recorded.
        made: In the copy.
        missing: Characters of the caption that the font does not have.
    """

    taken: int = 0
    made: int = 0
    missing: str = ""


class Burned:
    """A copy that is about to be made.

    Args:
        config: Codecs of the recording, pictures among them.
        pieces: Of the recording. See `nvr.playback.query.Archive.export_pieces`.
        caption: What is burned in, as it stood then; None for nothing.
        masks: What is hidden.
        spool: Directory for what waits, as large as the copy.
        program: What runs in the sandbox.
        answer_cpu_s: See `Sandbox`.
    """

    def __init__(
        self,
        config: StreamConfig,
        pieces: Iterator[Piece],
        caption: CaptionAt | None,
        spool: Path,
        *,
        masks: Masks = (),
        program: str = "nvr.export.burner",
        answer_cpu_s: float = 60.0,
    ) -> None:
        self._config = config
        self._video = next(n for n, track in enumerate(config) if track.kind == "video")
        self._pieces = pieces
        self._caption = caption
        self._masks = masks
        self._spool = spool
        self._program = program
        self._answer_cpu_s = answer_cpu_s
        self._made: list[TrackConfig] = list(config)
        self._tables = [Table() for _ in config]
        self._media_bytes = 0
        self._frame_90k = 0
        self._look: Look | None = None
        self._last_90k = self._most_90k = -1
        self.counts = Counts()

    def write(
        self, origin: Callable[[int], Provenance], from_us: int, to_us: int
    ) -> Iterator[tuple[bytes, float]]:
        """Yield the file with the share of the work that is done.

        Args:
            origin: Says where it comes from, of one that begins at some UTC microseconds.
            from_us: UTC microseconds of its begin.
            to_us: UTC microseconds of its end.

        Raises:
            Damaged: ``export.undecodable``: the decoder crashed or hung, or there was no picture.
            Unavailable: ``export.unwritable``, ``sandbox.failed``.
        """
        start_us = next(self._pieces, Piece(b"", from_us, from_us)).from_us
        try:
            with tempfile.TemporaryFile(dir=self._spool) as media:
                share = 0.0
                for at_us in self._encode(media):
                    # The clock may have been set back.
                    share = max(share, portion(from_us, at_us, to_us))
                    yield b"", share * _ENCODING
                said = self._said(origin(start_us))
                yield mp4.head(self._made, self._tables, self._media_bytes, said), _ENCODING
                media.seek(0)
                done = 0
                while piece := media.read(_COPY_BYTES):
                    done += len(piece)
                    yield piece, _ENCODING + (1 - _ENCODING) * done / self._media_bytes
        except OSError as err:
            raise Unavailable("export.unwritable", f"it cannot be written: {err}") from err

    def _said(self, origin: Provenance) -> Provenance:
        worth = worth_of(captions=self._caption is not None, masks=bool(self._masks))
        counts, notes = self.counts, [worth]
        if counts.made < counts.taken:
            lost = counts.taken - counts.made
            notes.append(f"{lost} of {counts.taken} pictures could not be decoded")
        if counts.missing:
            notes.append(f"the font lacks {counts.missing}")
        source = f"{origin.source} ({worth})"
        return replace(origin, source=source, comment="; ".join(notes))

    def _encode(self, media: IO[bytes]) -> Iterator[int]:
        """Have everything decoded, burned and encoded; yields the time up to which it is."""
        try:
            with Sandbox(self._program, answer_cpu_s=self._answer_cpu_s) as box:
                for piece in self._pieces:
                    every = samples(piece.data, self._config)
                    pictures = [one for one in every if one.track == self._video]
                    if pictures:
                        if not self._frame_90k:
                            self._begin(box, pictures)
                        units = self._units(pictures, piece.from_us)
                        self._add(media, _asked(box, units))
                    self._copy_sound(media, piece.data)
                    yield piece.to_us
                if self._frame_90k:
                    self._add(media, _asked(box, Units([], last=True)))
        except Damaged as err:
            if err.code != "sandbox.died":
                raise
            raise Damaged("export.undecodable", err.detail, **err.context) from err
        if not self.counts.made:
            raise Damaged("export.undecodable", "none of its pictures could be decoded")
        table = self._tables[self._video]
        table.durations[-1] += self._frame_90k - 1
        table.next_dts += self._frame_90k - 1

    def _begin(self, box: Sandbox, pictures: Sequence[Sample]) -> None:
        track = self._config[self._video]
        ticks = sum(one.duration_90k for one in pictures)
        fps = round(len(pictures) * TICKS_PER_S / ticks) if ticks else 25
        fps = min(_MOST_FPS, max(1, fps))
        self._frame_90k = TICKS_PER_S // fps
        size = (track.width_px // 2 * 2, track.height_px // 2 * 2)
        rate = bitrate_bps(track, fps)
        begun = _asked(box, Begin(track.codec, track.config, size, fps, rate, self._masks))
        if not isinstance(begun, Begun):
            raise _nonsense()
        try:
            record = h264.avcc([begun.sps, begun.pps])
        except ValueError as err:
            raise _nonsense() from err
        self._made[self._video] = TrackConfig("video", "h264", TICKS_PER_S, record, *size)

    def _units(self, pictures: Sequence[Sample], from_us: int) -> Units:
        """Return pictures with the wall time at which each is shown, and the caption if it is new.

        One that the decoder still holds back from before gets the new caption too.
        """
        caption = self._caption(from_us) if self._caption else NOTHING
        look = Look(caption.lines, caption.position_permille, caption.size_permille, caption.mode)
        fresh, self._look = (None if look == self._look else look), look
        first_90k = pictures[0].dts_90k
        units = [
            (one.data, one.pts_90k, from_us + (one.pts_90k - first_90k) * 100 // 9)
            for one in pictures
        ]
        self._most_90k = max(self._most_90k, *(at for _, at, _ in units))
        return Units(units, fresh)

    def _add(self, media: IO[bytes], answer: Begun | Pictures) -> None:
        if not isinstance(answer, Pictures):
            raise _nonsense()
        table, pictures = self._tables[self._video], answer.pictures
        if pictures:
            table.begin_chunk(self._media_bytes, pictures[0][1])
        for n, (data, pts_90k, key) in enumerate(pictures):
            if not self._last_90k < pts_90k <= self._most_90k or not data:
                raise _nonsense()
            # How long the last one lasts is known when the next one comes.
            after_90k = pictures[n + 1][1] if n + 1 < len(pictures) else pts_90k + 1
            table.add(len(data), max(0, after_90k - pts_90k), 0, key=key)
            self._last_90k = pts_90k
            media.write(data)
            self._media_bytes += len(data)
        self.counts.made += len(pictures)
        self.counts.missing += answer.missing

    def _copy_sound(self, media: IO[bytes], piece: bytes) -> None:
        for number, dts, at, entries in runs(memoryview(piece)):
            if number - 1 == self._video:
                self.counts.taken += len(entries)
                continue
            table = self._tables[number - 1]
            table.begin_chunk(self._media_bytes, dts)
            for size, duration, shift, key in entries:
                table.add(size, duration, shift, key=key)
            size = sum(one for one, _, _, _ in entries)
            media.write(piece[at : at + size])
            self._media_bytes += size


def worth_of(*, captions: bool, masks: bool) -> str:
    """Say what a copy is worth with these burned in; empty of one that is as it was recorded."""
    both = (("captions burned in", captions), ("masked", masks))
    what = ", ".join(word for word, is_so in both if is_so)
    return f"{what}, re-encoded: not evidence" if what else ""


def _asked(box: Sandbox, request: Request) -> Begun | Pictures:
    return answered(box.ask(msgspec.msgpack.encode(request)))


def _nonsense() -> Damaged:
    return Damaged("sandbox.died", "the decoder could not bear it: it answered nonsense")
