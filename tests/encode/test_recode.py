"""H.265 for browsers that do not know it, decoded in the sandbox."""

import asyncio
import io
import itertools
import os
import signal

import av
import pytest

from nvr.base.errors import Unavailable
from nvr.codec.sandbox import Sandbox
from nvr.encode import recode
from nvr.encode.recode import Recodes
from nvr.media.film import Wish
from nvr.media.part import Fragment
from nvr.wire import fmp4
from tests.capture.test_film import filmed

H265 = Wish("x265", 600_000, 0.4, codec="h265")


class Watching:
    """Watches, and keeps what comes."""

    def __init__(self) -> None:
        self.configs: list[object] = []
        self.fragments: list[Fragment] = []

    def __call__(self, config, fragments) -> None:
        self.configs.append(config)
        self.fragments += fragments

    def pictures(self):
        data = fmp4.init_segment(self.configs[-1]) + b"".join(one.data for one in self.fragments)
        with av.open(io.BytesIO(data), format="mp4") as container:
            return [(frame.pts, frame) for frame in container.decode(video=0)]


async def test_a_small_h264_picture_comes_of_h265_one_stream_at_a_time() -> None:
    async with filmed("test:1280x720@25", wish=H265) as it:
        await it.until(lambda: it.states, 60)
        recodes, watching = Recodes(), Watching()
        stream = it.source._stream
        end = recodes.open(stream).watch(watching)
        with pytest.raises(Unavailable, match=r"recode\.busy"):
            recodes.open(stream)
        await it.until(lambda: len(watching.fragments) >= 15, 60)
        end()
        [track] = watching.configs[0]
        assert (track.codec, track.width_px, track.height_px) == ("h264", 854, 480)
        assert watching.fragments[0].key
        shown = watching.pictures()
        assert len(shown) == len(watching.fragments)
        times = [pts for pts, _ in shown]
        assert times == [one.start_90k for one in watching.fragments]
        assert min(b - a for a, b in itertools.pairwise(times)) > 90_000 // 25 * 1.5
        luma = shown[-1][1].to_ndarray()  # yuv420p as coded: "gray" would stretch its range
        assert abs(int(luma[200, 60]) - 180) < 12, "the first bar is 75 % white"
        assert abs(int(luma[200, 800]) - 28) < 12, "the last one is blue"
        recodes.open(stream)


async def test_a_sandbox_that_dies_is_started_again(caplog) -> None:
    boxes: list[Sandbox] = []

    def started() -> Sandbox:
        boxes.append(Sandbox("nvr.encode.recoder"))
        return boxes[-1]

    async with filmed("test:320x180@25", wish=H265) as it:
        await it.until(lambda: it.states, 60)
        watching = Watching()
        end = Recodes(sandbox=started).open(it.source._stream).watch(watching)
        await it.until(lambda: len(watching.fragments) >= 3, 60)
        os.kill(boxes[0].pid, signal.SIGKILL)
        before = len(watching.fragments)
        await it.until(lambda: len(watching.fragments) >= before + 8, 60)
        end()
    assert "recode.failed" in caplog.text
    assert len(boxes) == 2


async def test_what_waits_is_bounded_and_goes_on_with_a_key_frame(monkeypatch) -> None:
    monkeypatch.setattr(recode, "_MOST_BYTES", 20_000)

    class Slow:
        """Nothing is ever answered until it is closed."""

        def watch(self, _deliver):
            return lambda: None

        name, config = "gate/main", None

    made = recode.Recode(Slow(), lambda: None, lambda: None)
    track = recode.TrackConfig("video", "h265", 90_000, b"", 64, 64)
    for n in range(100):
        made._take((track,), [Fragment(bytes(3000), n % 10 == 0, n, 0.0)])
        assert made._bytes <= 23_000
        assert not made._waiting or made._waiting[0].key
    assert made.dropped > 50


async def test_recording_goes_first() -> None:
    with pytest.raises(Unavailable, match=r"recode\.behind"):
        Recodes(lambda: True).open(None)
    await asyncio.sleep(0)
