"""Recorded groups converted for a viewer, in the sandbox."""

import asyncio
import functools
import io
import itertools
import os
import time

import av
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.base.errors import Damaged, Unavailable
from nvr.codec.encode import Encoder
from nvr.codec.sandbox import Sandbox
from nvr.media.encoder import Settings
from nvr.media.fragment import pieces, samples
from nvr.media.mask import Mask
from nvr.serve.recode_talk import Head, Recoded
from nvr.serve.regroup import Regroup
from nvr.wire import fmp4
from tests.capture.test_film import gone
from tests.export.test_mp4 import fragments
from tests.media import clip, film

LEFT = (Mask(((0, 0), (500, 0), (500, 1000), (0, 1000))),)


def well() -> bool:
    return False


@pytest.fixture
def converter():
    made = Regroup(lambda: Sandbox("nvr.serve.recoder", answer_s=20.0), well)
    yield made
    made.end()


@functools.cache
def group_of(codec: str, b_frames: int = 0):
    """A group of a second, in two pieces, with its config."""
    made = clip.video(codec, frames=25, gop=25, b_frames=b_frames, width=320, height=180)
    _, *found = (data for data, _ in fragments([made], [0]))
    return (made.config,), b"".join(found)


def pictures(config, data):
    return [one for piece in pieces(data) for one in samples(piece, config)]


def shown(made):
    with av.open(io.BytesIO(fmp4.init_segment(made.config) + made.data), format="mp4") as file:
        return [(frame.pts, frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


@pytest.mark.parametrize(
    ("codec", "b_frames"), [("h265", 0), ("h265", 3), ("h264", 2), ("jpeg", 0)]
)
async def test_every_picture_is_there_at_its_own_time(converter, codec, b_frames) -> None:
    config, data = group_of(codec, b_frames)
    made = await asyncio.to_thread(converter.convert, config, data, ())
    assert [track.codec for track in made.config] == ["h264"]
    wanted = sorted(one.pts_90k for one in pictures(config, data))
    assert len(wanted) == 25
    assert [at_90k for at_90k, _ in shown(made)] == wanted
    assert abs(made.span_s - len(wanted) / 25) < 0.1
    key = await asyncio.to_thread(converter.convert, config, data, (), key_only=True)
    assert [at_90k for at_90k, _ in shown(key)] == wanted[:1]


async def test_what_is_masked_is_in_no_picture(converter) -> None:
    config, data = group_of("h264")
    made = await asyncio.to_thread(converter.convert, config, data, LEFT)
    found = shown(made)
    assert found
    for _, luma in found:
        assert luma[:, :156].max() < 30
        assert luma[:, 164:].max() > 60


async def test_recording_goes_first_and_what_is_dropped_is_left() -> None:
    config, data = group_of("h264")
    lags = True
    converter = Regroup(lambda: Sandbox("nvr.serve.recoder"), lambda: lags)
    with pytest.raises(Unavailable, match=r"recode\.behind"):
        await asyncio.to_thread(converter.convert, config, data, ())
    lags = False
    assert (
        await asyncio.to_thread(converter.convert, config, data, (), dropped=lambda: True) is None
    )
    assert await asyncio.to_thread(converter.convert, config, data, ())
    pid = converter._box.pid
    converter.end()
    assert gone(pid)


async def test_who_leaves_ends_what_goes_on_at_once() -> None:
    config, data = group_of("h264")
    boxes_: list[Sandbox] = []

    class Slow:
        """A sandbox that hangs."""

        def __init__(self) -> None:
            self.box = Sandbox("nvr.serve.recoder")
            self.pid = self.box.pid
            boxes_.append(self)

        def ask(self, message):
            os.kill(self.pid, 19)
            return self.box.ask(message)

        def kill(self):
            self.box.kill()

        def close(self):
            self.box.close()

    converter = Regroup(Slow, well)
    running = asyncio.create_task(asyncio.to_thread(converter.convert, config, data, ()))
    while not boxes_:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    begun_s = time.monotonic()
    converter.end()
    with pytest.raises(Damaged, match=r"sandbox\.died"):
        await running
    assert time.monotonic() - begun_s < 5
    assert gone(boxes_[0].pid)


async def test_pictures_that_are_none_are_said(converter) -> None:
    config, data = group_of("h265")
    noise = bytearray(data)
    for one in pictures(config, data):
        at = data.find(one.data)
        noise[at + 4 : at + len(one.data)] = os.urandom(len(one.data) - 4)
    with pytest.raises(Damaged, match=r"recode\.undecodable|sandbox\.died"):
        await asyncio.to_thread(converter.convert, config, bytes(noise), ())
    assert await asyncio.to_thread(converter.convert, config, data, ())
    with pytest.raises(Damaged, match=r"recode\.undecodable"):
        converter.convert((), b"", ())
    with pytest.raises(Damaged, match=r"fragment\.damaged"):
        converter.convert(config, data[:-1] + b"", ())


PARTS = list(film.recorded("gate/main", "h264", 1, 1_800_000_000_000_000))
DATA = b"".join(one.moof + bytes(one.mdat) for one in PARTS)
SPS, PPS = Encoder(Settings((64, 64), 25, 100_000)).parameter_sets


class Liar:
    """A sandbox that was taken over: its first pictures have the times of a test."""

    def __init__(self, head: Head | None, times: list[int]) -> None:
        self._head, self._times = head, times
        self._asked = 0

    def ask(self, _message: bytes) -> bytes:
        self._asked += 1
        times = self._times if self._asked == 2 else []
        return msgspec.msgpack.encode(Recoded(self._head, [(b"x", at, True) for at in times]))

    def kill(self) -> None: ...

    def close(self) -> None: ...


@given(st.lists(st.integers(-9000, 99_000), max_size=30), st.booleans(), st.booleans())
def test_a_sandbox_that_says_other_times_is_not_believed(
    times: list[int], head: bool, in_order: bool
) -> None:
    times = sorted(set(times)) if in_order else times
    liar = Liar(Head(SPS, PPS, (64, 64)) if head else None, times)
    honest = bool(times) and all(a < b for a, b in itertools.pairwise([-1, *times, 90_000]))
    try:
        Regroup(lambda: liar, well).convert(PARTS[0].config, DATA, ())
    except Damaged:
        assert not (honest and head)
    else:
        assert honest
        assert head
