"""Masks as runs: what the blend kernel walks over, without the clear stretches in between.

Runs are whole tiles of 16 columns, so that the kernel never has a rest to do byte by byte; the
bytes that fill a tile up are clear and change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nvr._native import blend

_TILE = 16


@dataclass(frozen=True, slots=True)
class Strip:
    """A mask for one plane.

    Attributes:
        runs: Row, first column and length of each run, shape ``(runs, 3)``.
        cover: Coverage of all of them, one after the other, 0 clear to 255 opaque.
        grey: Level of each byte of `cover`, or one for all.
    """

    runs: NDArray[np.int32]
    cover: NDArray[np.uint8]
    grey: NDArray[np.uint8]

    def moved(self, x: int, y: int) -> "Strip":
        """Return the same further right and down."""
        return Strip(self.runs + np.array((y, x, 0), np.int32), self.cover, self.grey)

    def blend(
        self, plane: memoryview, stride: int, size: tuple[int, int], at: tuple[int, int]
    ) -> None:
        """Blend into a plane, in place. See `nvr._native.blend`."""
        blend(plane, stride, size, *self.parts(), at)

    def parts(self) -> tuple[memoryview, memoryview, memoryview]:
        """The three as the kernel takes them."""
        return self.cover.data, self.grey.data, self.runs.data


def pack(cover: NDArray[np.uint8], grey: NDArray[np.uint8] | int) -> Strip:
    """Make a strip of a mask.

    Args:
        cover: Coverage, shape ``(rows, columns)``.
        grey: Levels of the same shape, or one for all.
    """
    rows, columns = cover.shape
    tiles = -(-columns // _TILE)

    def tiled(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if columns % _TILE:
            padded = np.zeros((rows, tiles * _TILE), np.uint8)
            padded[:, :columns] = mask
            mask = padded
        return np.ascontiguousarray(mask).reshape(rows, tiles, _TILE)

    cut = tiled(cover)
    some = np.zeros((rows, tiles + 2), np.bool_)
    words = cut.view(np.uint64)
    some[:, 1:-1] = (words[..., 0] | words[..., 1]) != 0
    # One row's runs come in order, and so do their ends.
    first = np.argwhere(some[:, 1:] & ~some[:, :-1])
    last = np.argwhere(some[:, :-1] & ~some[:, 1:])
    runs = np.empty((len(first), 3), np.int32)
    runs[:, :2] = first * (1, _TILE)
    runs[:, 2] = (last[:, 1] - first[:, 1]) * _TILE
    kept = some[:, 1:-1]
    levels = np.array([grey], np.uint8) if isinstance(grey, int) else tiled(grey)[kept].reshape(-1)
    return Strip(runs, np.ascontiguousarray(cut[kept].reshape(-1)), levels)


def whole(size: tuple[int, int], grey: int | None = None) -> Strip:
    """Make a strip, clear as yet, that is written into later: nothing of it is left out.

    Args:
        size: ``(width, height)``. Rows of `cover` are as wide as the next whole tile.
        grey: Level of all of it, None to have one for each byte.
    """
    width, rows = size
    wide = -(-width // _TILE) * _TILE
    runs = np.empty((rows, 3), np.int32)
    runs[:, 0], runs[:, 1], runs[:, 2] = np.arange(rows), 0, wide
    levels = np.zeros(rows * wide, np.uint8) if grey is None else np.array([grey], np.uint8)
    return Strip(runs, np.zeros(rows * wide, np.uint8), levels)


def stacked(strips: Sequence[tuple[Strip, int]]) -> Strip:
    """Return strips one below the other as one, each with the row it begins at.

    Their greys are all of one kind: a level for each byte, or the same one for all.
    """
    if not strips:
        return Strip(np.empty((0, 3), np.int32), np.empty(0, np.uint8), np.zeros(1, np.uint8))
    if len(strips) == 1 and not strips[0][1]:
        return strips[0][0]
    single = all(len(one.grey) == 1 for one, _ in strips)
    return Strip(
        np.concatenate([one.moved(0, y).runs for one, y in strips]),
        np.concatenate([one.cover for one, _ in strips]),
        strips[0][0].grey if single else np.concatenate([one.grey for one, _ in strips]),
    )
