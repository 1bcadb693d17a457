"""A test picture that costs next to nothing to paint: so anybody can try what a local camera does.

Colour bars of 75 % after ITU-R BT.471 in BT.709 colours, a grey ramp below them, a white block that
crosses the ramp every four seconds, a field of grain beside it that gives the encoder work, and
binary cells that count the pictures.
"""

import re
import time
from collections.abc import Callable
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import Misconfigured
from nvr.codec.encode import picture_of
from nvr.media.picture import Picture

URL: Final = re.compile(r"test:(?:([0-9]{2,4})x([0-9]{2,4}))?(?:@([0-9]{1,2}))?")
_BARS: Final = (
    (180, 128, 128), (168, 44, 136), (145, 147, 44), (133, 63, 52),
    (63, 193, 204), (51, 109, 212), (28, 212, 120),
)  # fmt: skip
"""White, yellow, cyan, green, magenta, red, blue: Y, Cb, Cr."""
CELLS: Final = 16
"""Binary digits of the count, the highest one left."""
_CROSS_S: Final = 4.0
_GRAINS: Final = 8


class Pattern:
    """The picture. See `nvr.media.picture.PictureSource`.

    Args:
        url: ``test:``, ``test:1280x720``, ``test:1920x1080@25``: the usual is 1280x720 at 25.
        now_s: Monotonic seconds.
        wait: Waits so many seconds.

    Raises:
        Misconfigured: ``config.invalid``: it is another address, or of an odd size.
    """

    def __init__(
        self,
        url: str,
        now_s: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        found = URL.fullmatch(url)
        width, height, rate = found.groups() if found else (None, None, None)
        self.size = (int(width or 1280), int(height or 720))
        self.fps = int(rate or 25)
        self.aspect = (1, 1)
        if not found or self.size[0] % 2 or self.size[1] % 2 or not 64 <= self.size[1] <= 2160:
            raise Misconfigured(
                "config.invalid", "a test picture is test:WIDTHxHEIGHT@RATE, even numbers", url=url
            )
        if not 64 <= self.size[0] <= 4096 or not 1 <= self.fps <= 60:
            raise Misconfigured("config.invalid", "that is too large, small or fast", url=url)
        self._now_s, self._wait = now_s, wait
        self._frame = av.VideoFrame(*self.size, "yuv420p")
        self._rows: tuple[NDArray[np.uint8], ...] = tuple(
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            for plane in self._frame.planes
        )
        self._ground = self._painted()
        noise = np.random.default_rng(709)
        width, height = self.size
        field = (_GRAINS, height - height * 3 // 4, width - width * 3 // 4)
        self._grain = noise.integers(64, 192, field, np.uint8)
        self._began_s: float | None = None
        self._due_s = 0.0
        self.late = 0
        self.lack = ""

    def read(self) -> Picture:
        """Wait until the next picture is due and paint it; those missed meanwhile are left out."""
        now_s = self._now_s()
        if self._began_s is None:
            self._began_s = self._due_s = now_s
        if now_s < self._due_s:
            self._wait(self._due_s - now_s)
        else:
            late = int((now_s - self._due_s) * self.fps)
            self._due_s += late / self.fps
            self.late += late
        at_s = self._due_s
        self._due_s += 1 / self.fps
        self.paint(at_s - self._began_s)
        return picture_of(self._frame, round(at_s * TICKS_PER_S))

    def paint(self, at_s: float) -> av.VideoFrame:
        """Paint the picture of `at_s` seconds after the first; valid until the next."""
        width, height = self.size
        for rows, ground in zip(self._rows, self._ground, strict=True):
            rows[: ground.shape[0], : ground.shape[1]] = ground
        luma = self._rows[0]
        low = height * 3 // 4
        number = round(at_s * self.fps)
        luma[low:height, width * 3 // 4 : width] = self._grain[number % _GRAINS]
        side = height // 8
        x = int(at_s % _CROSS_S / _CROSS_S * (width * 3 // 4 - side))
        luma[low + side // 2 : low + side // 2 + side, x : x + side] = 235
        cell = max(2, width // 2 // CELLS)
        for digit in range(CELLS):
            on = number >> (CELLS - 1 - digit) & 1
            left = digit * cell
            luma[height - cell // 2 : height, left : left + cell] = 235 if on else 16
        return self._frame

    def close(self) -> None:
        """Nothing to let go of."""

    def _painted(self) -> tuple[NDArray[np.uint8], ...]:
        width, height = self.size
        planes = []
        for part, (wide, high) in enumerate(
            ((width, height), (width // 2, height // 2), (width // 2, height // 2))
        ):
            bars = np.array([bar[part] for bar in _BARS], np.uint8)
            row = bars[np.arange(wide) * len(bars) // wide]
            plane = np.repeat(row[None], high, axis=0)
            ramp = np.linspace(16, 235, wide).astype(np.uint8) if part == 0 else np.uint8(128)
            plane[high * 3 // 4 :] = ramp
            planes.append(plane)
        return tuple(planes)
