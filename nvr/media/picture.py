"""A raw picture on its way from whoever captures or paints it to whoever encodes it.

Eight bits a sample, 4:2:0, limited range: one plane of luma, then either two planes of chroma
(yuv420p) or one of interleaved pairs (NV12). Captions and masks are written into the memory itself.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

Layout = Literal["yuv420p", "nv12"]


@dataclass(frozen=True, slots=True)
class Planes:
    """A yuv420p or NV12 picture's memory.

    Attributes:
        size: ``(width, height)`` in luma pixels, both even.
        y: Writable luma rows, `y_stride` bytes apart.
        y_stride: Bytes from one luma row to the next.
        chroma: The two chroma planes, or NV12's one of interleaved pairs.
        chroma_stride: Bytes from one chroma row to the next.
    """

    size: tuple[int, int]
    y: memoryview
    y_stride: int
    chroma: tuple[memoryview, ...]
    chroma_stride: int

    @property
    def layout(self) -> Layout:
        """How the chroma lies."""
        return "nv12" if len(self.chroma) == 1 else "yuv420p"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its time.

    Attributes:
        planes: Its memory, which whoever encodes it has done with when the call returns.
        pts_90k: When it was taken, monotonic 90 kHz ticks; greater than the one before.
        owner: What the memory belongs to, such as a frame of PyAV: an encoder that knows the kind
            takes it without copying, another one reads `planes`.
    """

    planes: Planes
    pts_90k: int
    owner: object = None


def within(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a picture scaled down to fit in a box: of its shape, even, never larger.

    Args:
        size: ``(width, height)`` in pixels.
        box: The same.
    """
    scale = min(1.0, box[0] / size[0], box[1] / size[1])
    width, height = (max(2, round(side * scale / 2) * 2) for side in size)
    return min(width, size[0]), min(height, size[1])


class PictureSource(Protocol):
    """Where the pictures of a local camera come from. Used by one thread.

    Attributes:
        size: ``(width, height)`` of its pictures in pixels, both even.
        fps: Pictures a second, rounded up to whole ones.
        aspect: ``(width, height)`` of a pixel.
    """

    size: tuple[int, int]
    fps: int
    aspect: tuple[int, int]

    @property
    def late(self) -> int:
        """Pictures so far that nobody was there in time to read, or that came broken."""
        ...

    @property
    def lack(self) -> str:
        """Code of what is missing although the source is there: ``camera.no_signal``; or empty."""
        ...

    def read(self) -> Picture | None:
        """Wait for the next picture; its memory is the caller's until the next call.

        Returns:
            The picture; None for a while with none, because of what `lack` says.

        Raises:
            Unavailable: ``camera.lost``, ``camera.frozen`` or another code that says what is wrong:
                no picture came for seconds, or the device went away.
        """
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...
