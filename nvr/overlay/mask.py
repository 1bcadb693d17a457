"""Lays privacy masks over the planes of a picture, in place.

Every pixel that a polygon touches is covered in full, and a chroma sample if any of its four pixels
is: at the edge too much is hidden rather than too little.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nvr import _native as native
from nvr.media.mask import Mask, Masks
from nvr.media.picture import Planes
from nvr.overlay.layout import BLACK, NEUTRAL
from nvr.overlay.strip import Strip, pack

_BLOCKS = 24
"""To the height of a picture: a face that fills a sixth of it is four blocks high."""
_LEAST_BLOCK_PX = 8


class Masker:
    """The masks of one camera, for pictures of one size. One thread lays, another may set.

    Args:
        size: ``(width, height)`` of the pictures, pixels, both even.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._strips: dict[bool, tuple[list[_Both], list[_Both]]] = {}
        self.masks: Masks = ()

    def set(self, masks: Masks) -> None:
        """Hide other areas from the next picture on."""
        if masks != self.masks:
            solid = _covered([mask for mask in masks if mask.kind == "solid"], self._size)
            mosaic = _covered([mask for mask in masks if mask.kind == "mosaic"], self._size)
            self._strips = {
                paired: (_strips(solid, paired=paired), _strips(mosaic, paired=paired))
                for paired in (False, True)
            }
            self.masks = masks

    def lay(self, planes: Planes) -> None:
        """Hide what is masked, in place."""
        if not self.masks:
            return
        paired = planes.layout == "nv12"
        solid, mosaic = self._strips[paired]
        for luma, colour in mosaic:
            block = max(_LEAST_BLOCK_PX, self._size[1] // _BLOCKS) // 2 * 2
            width, height = planes.size
            native.mosaic(planes.y, planes.y_stride, planes.size, *luma.parts(), 1, (block, block))
            half = (width if paired else width // 2, height // 2)
            channels, small = (2 if paired else 1), (block // 2, block // 2)
            for plane in planes.chroma:
                native.mosaic(plane, planes.chroma_stride, half, *colour.parts(), channels, small)
        for luma, colour in solid:
            native.burn(
                planes.y, planes.y_stride, planes.size, planes.chroma, planes.chroma_stride,
                (luma.parts(),), (colour.parts(),), (0, 0),
            )  # fmt: skip


_Both = tuple[Strip, Strip]


def _strips(cover: NDArray[np.uint8] | None, *, paired: bool) -> list[_Both]:
    """What covers the luma plane and each chroma plane; nothing if there is nothing."""
    if cover is None:
        return []
    height, width = cover.shape
    half = cover.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))
    return [(pack(cover, BLACK), pack(np.repeat(half, 2, axis=1) if paired else half, NEUTRAL))]


def _covered(masks: Sequence[Mask], size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Coverage of areas, shape ``(height, width)``, 0 or 255; None of none."""
    if not masks:
        return None
    width, height = size
    inside = np.zeros((height, width), np.bool_)
    for mask in masks:
        points = np.array(mask.points_permille, np.float64) * (width / 1000, height / 1000)
        inside |= _inside(points, width, height)
    # What lies under an edge, and beside it, too.
    grown = inside.copy()
    grown[1:] |= inside[:-1]
    grown[:-1] |= inside[1:]
    wide = grown.copy()
    wide[:, 1:] |= grown[:, :-1]
    wide[:, :-1] |= grown[:, 1:]
    return wide.astype(np.uint8) * np.uint8(255)


def _inside(points: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    """Whether the centre of each pixel has a winding number other than 0."""
    rows = np.arange(height) + 0.5
    winding = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crossed = np.nonzero((rows >= min(y0, y1)) & (rows < max(y0, y1)))[0]
        at = x0 + (rows[crossed] - y0) * (x1 - x0) / (y1 - y0)
        # From the first pixel on whose centre lies to the right of the edge.
        columns = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)
        winding[crossed, columns] += 1 if y1 > y0 else -1
    inside: NDArray[np.bool_] = np.cumsum(winding, axis=1)[:, :width] != 0
    return inside
