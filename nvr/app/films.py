"""Local cameras: what each is filmed and encoded with, and who tells the process that does it."""

import asyncio
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from nvr import __version__
from nvr.app.settings import caption_of, masks_of
from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.capture.film import Film, FilmSource
from nvr.capture.film_sub import SubFilm, SubSource
from nvr.capture.filming import Filming
from nvr.capture.plugged import until_there
from nvr.config import camera as written
from nvr.config.camera import LOCAL, Camera, Encode
from nvr.encode.desk import FILE, Desk, Offer
from nvr.encode.share import MOST_PRIORITY, Ask, Grant
from nvr.hal.block_device import PROC, boot
from nvr.hal.board import Board
from nvr.media.camera import SUB_BOX, SUB_FPS, CaptionText
from nvr.media.caption import MODES
from nvr.media.device import Capture
from nvr.media.encoding import EncodedStream, EncodingReport
from nvr.media.film import Began, Wish
from nvr.media.mask import Masks
from nvr.media.name import camera_of, stream_of, which_of
from nvr.overlay.caption import Caption

_BURN_S: Final = 10.0
_DECODE_SHARE: Final = 0.2
"""Of a picture, against encoding it: 2 ms and 10 ms at 1080p (x264, superfast)."""
_SIZE: Final = re.compile(r"([0-9]+)x([0-9]+)")
_RATE: Final = re.compile(r"@([0-9]+)")


def desk_of(
    board: Board, keep: Path | None, clock: Clock, moved: Callable[[str, Grant, Grant], None]
) -> Desk:
    """Return the desk of a board."""
    offers = [
        Offer(one.name, one.codecs, one.sessions, one.mpixel_s or float("inf"))
        for one in board.encoder
    ]
    cores = board.encode_cores or (os.cpu_count() or 1) / 2
    key = f"{boot(PROC)} nvr {__version__} av {version('av')}"
    return Desk(offers, cores, keep, key, clock, moved, proven=board.proof is not None)


class Films:
    """All local cameras of the box. Made in the event loop's thread.

    Args:
        board: What there is to encode with.
        data: Data directory.
        clock: Time source.
        filmed: Who makes a stream of a local camera, None if nobody does.
        camera: Settings of a camera, as the file says now.
    """

    def __init__(
        self,
        board: Board,
        data: Path,
        clock: Clock,
        filmed: Callable[[str], Filming | None],
        camera: Callable[[str], Camera],
    ) -> None:
        self._filmed, self._camera = filmed, camera
        self._desk = desk_of(board, data / FILE, clock, self._moved)
        self._sizes: dict[str, float] = {}

    async def run(self) -> None:
        """Try the encoders."""
        await self._desk.run()

    def film(self, name: str, url: str) -> Film:
        """Return what is filmed for a camera."""
        stream = stream_of(name)

        async def wish(ended: NvrError | None) -> Wish:
            camera = self._camera(name)
            asked = self._asked(stream)
            if not self.burns(camera):  # it encodes its own pictures, which pass
                return self._wish(asked, Grant("x264"))
            only = "" if asked.encoder == "auto" else asked.encoder
            size = self._sizes.get(stream) or guessed(url, asked.fps)
            ask = Ask(stream, asked.codec, size, camera.priority, only)
            return self._wish(asked, await self._desk.grant(ask, ended))

        def began(now: Began) -> None:
            self._began(stream, now)

        def capture() -> Capture:
            return capture_of(self._camera(name))

        there = None
        if url.startswith("v4l2:"):
            there = partial(until_there, url.removeprefix("v4l2:"))
        caption = partial(self._caption, name)
        masks = partial(self._masks, name)
        return Film(url, wish, caption, capture=capture, there=there, began=began, masks=masks)

    def sub_film(self, name: str) -> SubFilm:
        """Return what is made beside a camera's main stream."""
        stream = stream_of(name, "sub")

        async def wish(ended: NvrError | None) -> Wish:
            asked, box, camera = self._asked(stream), self._box(name), self._camera(name)
            size = self._sizes.get(stream) or box[0] * box[1] * (asked.fps or SUB_FPS) / 1e6
            # Behind all main streams: none falls back, or is refused, for a second one.
            priority = camera.priority - MOST_PRIORITY - 1
            only = ""
            if not self.burns(camera):
                # Made in the sandbox, where no driver is; what it is made of is decoded first.
                only, size = "x264", size + self._decoded(camera)
            ask = Ask(stream, asked.codec, size, priority, only)
            return self._wish(asked, await self._desk.grant(ask, ended))

        def main() -> FilmSource | None:
            found = self._filmed(stream_of(name))
            return found if isinstance(found, FilmSource) else None

        def began(now: Began) -> None:
            self._began(stream, now)

        return SubFilm(main, wish, partial(self._box, name), began)

    def _began(self, stream: str, now: Began) -> None:
        size = now.size[0] * now.size[1] * now.fps / 1e6
        self._sizes[stream] = size
        camera = self._camera(camera_of(stream))
        if which_of(stream) == "sub" and not self.burns(camera):
            size += self._decoded(camera)
        self._desk.resize(stream, size)

    def _decoded(self, camera: Camera) -> float:
        """What decoding a camera's own pictures costs, in million pixels a second encoded."""
        size = self._sizes.get(stream_of(camera.name)) or guessed(camera.url, None)
        return size * _DECODE_SHARE

    def _box(self, name: str) -> tuple[int, int]:
        sub = self._camera(name).sub
        return (sub.size if sub else None) or SUB_BOX

    def _asked(self, stream: str) -> Encode:
        """How a stream is to be encoded, as the settings say now."""
        camera = self._camera(camera_of(stream))
        main = camera.encode or Encode()
        if which_of(stream) == "main":
            return main
        sub = camera.sub or written.Sub()
        return Encode(
            codec=sub.codec or "h264", kbit_s=sub.kbit_s, gop_s=main.gop_s, fps=sub.fps or SUB_FPS
        )

    def _masks(self, name: str) -> Masks:
        return masks_of(self._camera(name))

    def _caption(self, name: str) -> CaptionText | None:
        return caption_of(self._camera(name))

    def burns(self, camera: Camera) -> bool:
        """Whether a camera's pictures are encoded here, so that captions can be burned in."""
        passed = camera.capture is not None and camera.capture.format == "h264"
        return camera.url.startswith(LOCAL) and not passed

    def follow(self, stream: str) -> None:
        """Encode as the settings say now; another encoder, codec or size begins anew."""
        source, grant = self._filmed(stream), self._desk.granted(stream)
        if source is None or source.wish is None or grant is None:
            return
        asked = self._asked(stream)
        wanted = self._wish(asked, grant)
        other = asked.encoder not in {"auto", grant.encoder}
        if isinstance(source, SubSource):
            other = other or source.box != self._box(camera_of(stream))
        if other or (wanted.codec, wanted.latency) != (source.wish.codec, source.wish.latency):
            source.again()
        elif wanted != source.wish:
            source.retarget(wanted)

    def recapture(self, name: str, before: Capture) -> None:
        """Use its device as the settings say now: controls at once, anything else begins anew."""
        source, now = self._filmed(stream_of(name)), capture_of(self._camera(name))
        if not isinstance(source, FilmSource) or now == before:
            return
        if replace(now, controls=before.controls) == before:
            source.turn(now.controls)
        else:
            source.again()

    def forget(self, stream: str) -> None:
        """It is made no more."""
        self._sizes.pop(stream, None)
        self._desk.leave(stream)

    def burn(self, name: str, text: CaptionText) -> tuple[str, ...]:
        """Burn another caption; returns what the font lacks. Blocks, outside of the event loop.

        Raises:
            Rejected: ``caption.invalid``.
            Unavailable: ``film.silent``.
        """
        mode = next((mode for mode in MODES if mode == text.mode), MODES[0])
        Caption(text.lines, text.position_permille, text.size_permille, mode)
        source = self._filmed(stream_of(name))
        if not isinstance(source, FilmSource) or source.loop is None:
            return ()
        return asyncio.run_coroutine_threadsafe(source.caption(text), source.loop).result(_BURN_S)

    def hide(self, name: str, masks: Masks) -> None:
        """Hide other areas from the next picture on, if it is filmed now. From any thread."""
        source = self._filmed(stream_of(name))
        if isinstance(source, FilmSource) and source.loop is not None:
            source.loop.call_soon_threadsafe(source.hide, masks)

    def report(self) -> EncodingReport:
        """Return how the encoders do, and what each stream has cost."""
        found = self._desk.report()
        return replace(found, streams=tuple(self._with_work(found.streams)))

    def _with_work(self, streams: Iterable[EncodedStream]) -> Iterable[EncodedStream]:
        for one in streams:
            source = self._filmed(one.stream)
            work = source.work if source else None
            yield (
                one
                if work is None
                else replace(
                    one, pictures=work.pictures, late=work.late, cpu_s=round(work.cpu_s, 2)
                )
            )

    def _moved(self, stream: str, was: Grant, now: Grant) -> None:
        source = self._filmed(stream)
        if source is None:
            return
        if was.encoder != now.encoder:
            source.again()
        elif was.preset != now.preset and source.wish is not None:
            source.retarget(self._wish(self._asked(stream), now))

    def _wish(self, asked: Encode, grant: Grant) -> Wish:
        return Wish(
            grant.encoder,
            (asked.kbit_s or 0) * 1000,
            asked.gop_s,
            asked.fps or 0,
            asked.codec,
            asked.profile,
            asked.latency,
            grant.preset,
        )


def capture_of(camera: Camera) -> Capture:
    """Return how a device is to be used."""
    asked = camera.capture or written.Capture()
    return Capture(
        asked.format, asked.size, asked.rate_fps or 0.0, asked.input, asked.standard,
        asked.deinterlace, asked.no_signal, asked.alsa, asked.aspect,
        tuple(asked.controls.items()),
    )  # fmt: skip


def makes_sub(camera: Camera) -> bool:
    """Whether a camera's sub stream, if it has one, is encoded here, with captions burned in."""
    return camera.url.startswith(LOCAL)


def guessed(url: str, fps: int | None) -> float:
    """Million pixels a second of a source that was never opened yet."""
    size, rate = _SIZE.search(url), _RATE.search(url)
    width, height = map(int, size.groups()) if size else (1280, 720)
    source_fps = int(rate[1]) if rate else 25
    return width * height * min(source_fps, fps or source_fps) / 1e6
