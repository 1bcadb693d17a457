"""Sound of a microphone as AAC, on the clock of the pictures.

A sound card's clock is not the box's: a ten-thousandth off is usual, which is a tenth of a second
after a quarter of an hour. So the samples are stretched or squeezed, unheard, to where their times
say they belong (``aresample=async``); what was lost becomes silence of its length.

Source: FFmpeg filter aresample and libswresample's compensation; ISO/IEC 14496-3 (AAC-LC).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.filter import Graph

RATE_HZ: Final = 48_000
CHANNELS: Final = 1
_BIT_S: Final = 64_000
FRAME: Final = 1024
_LAYOUTS: Final = {1: "mono", 2: "stereo"}


@dataclass(frozen=True, slots=True)
class SoundUnit:
    """One frame of AAC: 1,024 samples.

    Attributes:
        data: Raw, without ADTS.
        at: Time of its first sample, in samples of monotonic time.
    """

    data: bytes
    at: int


class SoundEncoder:
    """A running encoder. Used by one thread.

    Args:
        rate_hz: Of what comes.
        channels: Of what comes; of more than two the first is taken.
        sample: ``s16`` or ``s32``.

    Attributes:
        config: AudioSpecificConfig.
    """

    def __init__(self, rate_hz: int, channels: int, sample: str) -> None:
        self._rate_hz, self._channels, self._sample = rate_hz, channels, sample
        self._layout = _LAYOUTS.get(channels, "mono")
        graph = Graph()
        graph.threads = 1
        self._source = graph.add(
            "abuffer",
            f"sample_rate={rate_hz}:sample_fmt={sample}:channel_layout={self._layout}"
            f":time_base=1/{rate_hz}",
        )
        stretch = graph.add("aresample", f"{RATE_HZ}:async=1000:min_hard_comp=0.1:first_pts=0")
        form = graph.add("aformat", f"sample_fmts=fltp:channel_layouts=mono:sample_rates={RATE_HZ}")
        size = graph.add("asetnsamples", f"{FRAME}:p=0")
        self._sink = graph.add("abuffersink")
        for one, next_ in (
            (self._source, stretch), (stretch, form), (form, size), (size, self._sink),
        ):  # fmt: skip
            one.link_to(next_)
        graph.configure()
        self._graph = graph
        self._first: int | None = None
        coder = av.CodecContext.create("aac", "w")
        assert isinstance(coder, av.AudioCodecContext)
        coder.sample_rate = RATE_HZ
        coder.layout = "mono"
        coder.format = "fltp"
        coder.bit_rate = _BIT_S
        coder.time_base = Fraction(1, RATE_HZ)
        coder.flags |= av.codec.context.Flags.global_header
        coder.open()
        self._coder = coder
        self.config = bytes(coder.extradata or b"")

    def encode(self, samples: bytes, at_s: float) -> list[SoundUnit]:
        """Take samples, of which the first was heard at that monotonic time.

        Args:
            samples: Interleaved, whole ones.
            at_s: Seconds.
        """
        kind = np.int16 if self._sample == "s16" else np.int32
        heard = np.frombuffer(samples, kind).reshape(-1, self._channels)
        if self._channels > 2:
            heard = heard[:, :1]
        if not len(heard):
            return []
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(heard).reshape(1, -1), format=self._sample, layout=self._layout
        )
        frame.sample_rate = self._rate_hz
        if self._first is None:
            self._first = round(at_s * RATE_HZ)
        since_s = at_s - self._first / RATE_HZ
        frame.pts = round(since_s * self._rate_hz)
        frame.time_base = Fraction(1, self._rate_hz)
        self._source.push(frame)
        made: list[SoundUnit] = []
        while True:
            try:
                out = self._sink.pull()
            except (BlockingIOError, EOFError):
                return made
            assert isinstance(out, av.AudioFrame)
            made += [
                SoundUnit(bytes(packet), self._first + (packet.pts or 0))
                for packet in self._coder.encode(out)
            ]
