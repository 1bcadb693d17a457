"""A second, smaller stream of a local camera: one capture, two encodes, one may fail alone."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import av
import numpy as np
import pytest
from msgspec import structs

from nvr.base.clock import SystemClock
from nvr.base.errors import Unavailable
from nvr.capture.film import Film, FilmSource
from nvr.capture.film_sub import SubFilm, SubSource
from nvr.media.device import Capture
from nvr.media.film import Wish
from nvr.media.ingest import Ingest
from nvr.media.mask import Mask
from nvr.media.part import Part
from nvr.media.picture import within
from nvr.wire import fmp4, h264
from tests.capture.test_film import CAPTION

MAIN, SUB = "east/main", "east/sub"
MASK = Mask(((500, 0), (1000, 0), (1000, 400), (500, 400)), "solid")


class Pair:
    """Both streams of a camera, and what came of them."""

    def __init__(self, **film: object) -> None:
        self.parts: list[Part] = []
        self.states: dict[str, list[tuple[str, str]]] = {MAIN: [], SUB: []}
        self.wish = Wish("x264", 200_000, 0.4, fps=10)
        self.refusal: Unavailable | None = None
        self.box = (320, 180)
        self.errors: list[str] = []
        clock = SystemClock()
        self.ingest = Ingest(self.parts.extend, clock)

        async def main_wish(_ended: object) -> Wish:
            return Wish("x264", 400_000, 0.4)

        async def sub_wish(ended: Unavailable | None) -> Wish:
            if ended is not None:
                self.errors.append(ended.code)
            if self.refusal is not None:
                raise self.refusal
            return self.wish

        self.main = FilmSource(
            "east",
            Film("test:640x360@25", main_wish, lambda: CAPTION, masks=lambda: (MASK,), **film),
            self.ingest.stream(MAIN),
            clock=clock,
            changed=lambda seen: self.states[MAIN].append((seen.state, seen.code)),
        )
        self.sub = SubSource(
            SUB,
            SubFilm(lambda: self.main, sub_wish, lambda: self.box),
            self.ingest.stream(SUB),
            clock=clock,
            changed=lambda seen: self.states[SUB].append((seen.state, seen.code)),
        )

    def of(self, stream: str) -> list[Part]:
        return [part for part in self.parts if part.stream == stream]

    async def until(self, holds, timeout_s=30.0):
        async with asyncio.timeout(timeout_s):
            while not (found := holds()):
                await asyncio.sleep(0.02)
        return found

    async def more(self, stream: str, count: int = 3) -> list[Part]:
        had = len(self.of(stream))
        await self.until(lambda: len(self.of(stream)) >= had + count)
        return self.of(stream)[had:]


@asynccontextmanager
async def pair(**film: object) -> AsyncIterator[Pair]:
    it = Pair(**film)
    bodies = (it.ingest.run(), it.main.run(), it.sub.run())
    running = [asyncio.ensure_future(body) for body in bodies]
    try:
        yield it
    finally:
        for task in reversed(running):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def luma(parts: list[Part]) -> np.ndarray:
    """The last picture of parts of one configuration, as a player shows it."""
    parts = parts[next(i for i, part in enumerate(parts) if part.key) :]
    data = fmp4.init_segment(parts[0].config)
    data += b"".join(bytes(part.moof) + bytes(part.mdat) for part in parts)
    with av.open(io.BytesIO(data), format="mov") as container:
        last = list(container.decode(video=0))[-1].to_ndarray(format="gray")
    return last.astype(int)


async def test_the_same_pictures_are_encoded_twice_each_with_its_own_burns() -> None:
    async with pair() as it:
        await it.more(SUB, 4)
        assert it.states == {MAIN: [("live", "")], SUB: [("live", "")]}
        [main], [sub] = it.of(MAIN)[-1].config, it.of(SUB)[-1].config
        assert [(one.width_px, one.height_px) for one in (main, sub)] == [(640, 360), (320, 180)]
        large, small = luma(it.of(MAIN)[-6:]), luma(it.of(SUB)[-6:])
        assert small[30:68, 164:].max() < 40, "what is hidden is hidden here too"
        # The box of the caption is as large for its picture as the other one's.
        corner = small[6:20, 8:60], large[12:40, 16:120]
        assert all(one.max() > 200 and one.min() < 60 for one in corner), "white on a dark ground"
        halved = large.reshape(180, 2, 320, 2).mean(axis=(1, 3))
        assert np.abs(halved[80:130, :150] - small[80:130, :150]).mean() < 8
        # Ten a second of 25, by the pictures' own clock.
        parts = it.of(SUB)[1:]
        seconds = sum(part.duration_90k for part in parts) / 90_000
        assert 8 < sum(part.samples for part in parts) / seconds < 12
        assert it.sub.tally.stats().lost == 0
        await it.until(lambda: it.sub.work and it.sub.work.pictures > 5)
        assert it.sub.work.cpu_s > 0


async def test_it_follows_captions_rates_and_another_size() -> None:
    async with pair() as it:
        await it.more(SUB)
        before = luma(it.of(SUB)[-5:])
        await it.main.caption(
            replace(CAPTION, lines=("西门西门西门西门",), position_permille=(20, 750))
        )
        await it.more(SUB, 5)
        after = luma(it.of(SUB)[-4:])
        assert np.abs(after - before)[6:20, 8:60].mean() > 20, "the old one is gone"
        it.main.end_sub(999)  # of one that is gone
        it.main.retarget_sub(999, structs.replace(it.wish, fps=1))
        config = it.of(SUB)[-1].config
        it.sub.retarget(structs.replace(it.wish, bitrate_bps=900_000))
        await it.more(SUB, 4)
        assert it.of(SUB)[-1].config == config, "a rate makes no new stream"
        assert it.states[SUB] == [("live", "")]
        runs = {part.run for part in it.of(MAIN)}
        it.box = (160, 160)
        it.sub.again()
        await it.until(lambda: it.of(SUB)[-1].config[0].width_px == 160)
        assert it.of(SUB)[-1].config[0].height_px == 90
        assert {part.run for part in it.of(MAIN)} == runs, "the main stream never noticed"


async def test_one_that_cannot_be_encoded_leaves_the_main_stream_alone() -> None:
    async with pair() as it:
        it.refusal = Unavailable("encoder.busy", "no room")
        await it.until(lambda: it.states[SUB])
        await it.more(MAIN)
        assert it.states[SUB] == [("lost", "encoder.busy")]
        it.refusal, it.wish = None, structs.replace(it.wish, encoder="nvenc")
        await it.until(lambda: it.states[SUB][-1:] == [("lost", "encoder.refused")])
        await it.until(lambda: it.errors[-1:] == ["encoder.refused"])
        it.wish = structs.replace(it.wish, encoder="x264")
        await it.until(lambda: it.states[SUB][-1:] == [("live", "")])
        assert it.states[MAIN] == [("live", "")]
        assert len({part.run for part in it.of(MAIN)}) == 1


async def test_it_goes_and_comes_with_the_main_stream() -> None:
    async with pair() as it:
        await it.more(SUB)
        os.kill(it.main.pid, signal.SIGKILL)
        await it.until(lambda: it.states[SUB][1:2] == [("lost", "film.died")])
        await it.until(lambda: it.states[SUB][-1:] == [("live", "")])
        assert it.errors == ["film.died"], "whoever shares encoders is told what the last one did"
        assert it.sub.tally.connections == 2


async def test_the_shape_of_a_pixel_goes_into_both_streams_and_their_files() -> None:
    async with pair(capture=lambda: Capture(aspect="4:3")) as it:
        await it.more(SUB)
        for stream in (MAIN, SUB):
            [track] = it.of(stream)[-1].config
            assert h264.pixel_aspect(track.config) == (3, 4)
            assert b"pasp\0\0\0\3\0\0\0\4" in fmp4.init_segment((track,))


PASSED = {"module": "tests.capture.passed_film"}


async def test_what_a_camera_encodes_itself_is_made_small_and_passes_untouched() -> None:
    async with pair(**PASSED) as it:
        await it.until(lambda: len(it.of(SUB)) >= 4, 120.0)
        assert it.states == {MAIN: [("live", "")], SUB: [("live", "")]}
        [main], [sub] = it.of(MAIN)[-1].config, it.of(SUB)[-1].config
        assert [(one.width_px, one.height_px) for one in (main, sub)] == [(640, 360), (320, 180)]
        assert it.main.began.encoder == "camera"
        assert it.sub.began.encoder == "x264"
        large, small = luma(it.of(MAIN)[-6:]), luma(it.of(SUB)[-6:])
        halved = large.reshape(180, 2, 320, 2).mean(axis=(1, 3))
        # But for its number and what moves, a test picture is the same from one to the next.
        assert np.median(np.abs(halved - small)) < 8
        corner = np.s_[6:20, 8:60]
        assert small[corner].max() > 200, "the caption, white"
        assert small[corner].min() < 60, "on its dark box"
        assert np.abs(small[corner] - halved[corner]).mean() > 20, "and only here"
        assert await it.main.caption(replace(CAPTION, lines=())) == ()
        await it.until(lambda: np.abs(luma(it.of(SUB)[-6:])[corner] - halved[corner]).mean() < 10)
        assert small[30:68, 164:].max() < 40, "what is hidden is hidden here"
        assert halved[30:68, 164:].max() > 100, "and not where the camera's own picture passes"
        it.main.hide(())
        await it.until(lambda: luma(it.of(SUB)[-6:])[30:68, 164:].max() > 100)
        it.main.hide((MASK,))
        await it.until(lambda: luma(it.of(SUB)[-6:])[30:68, 164:].max() < 40)
        parts = it.of(SUB)[1:]
        seconds = sum(part.duration_90k for part in parts) / 90_000
        assert 8 < sum(part.samples for part in parts) / seconds < 14
        await it.until(lambda: it.sub.work and it.sub.work.pictures > 5)
        await it.until(lambda: it.sub.work.cpu_s > 0)
        runs = {part.run for part in it.of(MAIN)}
        it.box = (160, 160)
        it.sub.again()
        await it.until(lambda: it.of(SUB)[-1].config[0].width_px == 160, 120.0)
        assert {part.run for part in it.of(MAIN)} == runs, "the main stream never noticed"


async def test_one_that_cannot_be_decoded_says_why_and_the_main_stream_goes_on() -> None:
    async with pair(**PASSED) as it:
        it.main._film = replace(it.main._film, url="test:bare")
        await it.until(lambda: ("lost", "camera.no_parameter_sets") in it.states[SUB], 120.0)
        assert all(state != "lost" for state, _ in it.states[MAIN])


@pytest.mark.parametrize(
    ("size", "box", "fits"),
    [
        ((1920, 1080), (640, 360), (640, 360)),
        ((720, 576), (640, 360), (450, 360)),
        ((704, 576), (640, 360), (440, 360)),
        ((1440, 1080), (640, 360), (480, 360)),
        ((320, 240), (640, 360), (320, 240)),
        ((1080, 1920), (640, 360), (202, 360)),
        ((4096, 64), (128, 128), (128, 2)),
    ],
)
def test_a_small_picture_keeps_its_shape(size, box, fits) -> None:
    assert within(size, box) == fits
