"""From what a detector puts out to boxes in the picture. See `nvr.analyse.layout`.

Numbers of a model are foreign as pictures are: what is not finite or outside is left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nvr.analyse.layout import BINS, STRIDES, Layout, cells

Floats = NDArray[np.float32]

MOST_LOOKED = 300
MOST_FOUND = 64
SAME = 0.5
"""Two boxes of a class that share so much of what they cover are one."""
GREY = 114
"""What lies beside a picture that has another shape; the models were trained with it."""
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)


def order(layout: Layout) -> str:
    """Which order of colours goes in: ``rgb24`` or ``bgr24``."""
    return "bgr24" if layout.name in {"yolox", "nanodet"} else "rgb24"


def inner(layout: Layout, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height that a picture has inside of what goes in, even, its shape kept."""
    scale = min(layout.size[0] / size[0], layout.size[1] / size[1])
    width, height = (max(2, round(one * scale) // 2 * 2) for one in size)
    return min(width, layout.size[0]), min(height, layout.size[1])


def fed(layout: Layout, pixels: NDArray[Any], kind: Any) -> NDArray[Any]:  # noqa: ANN401 - a type of numpy's
    """Return what goes in: ``[1, 3, height, width]``.

    Args:
        layout: Of the model.
        pixels: Bytes ``[height, width, 3]`` of `inner` size in its `order`, for the top left.
        kind: Of the elements.
    """
    width, height = layout.size
    whole = np.full((height, width, 3), GREY, np.uint8)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    values = whole.astype(np.float32)
    if layout.name == "nanodet":
        values = (values - _MEAN) / _DEVIATION
    elif layout.name != "yolox":
        values /= 255
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None], dtype=kind)


def found(
    layout: Layout, output: NDArray[Any], least: float, wanted: Sequence[int] | None = None
) -> list[tuple[int, float, tuple[float, float, float, float]]]:
    """Return class, score and corners (left, top, right, bottom; pixels of what went in).

    The best first, at most `MOST_FOUND`, of the classes that are wanted; None for all.
    """
    rows = np.asarray(output, np.float32)[0]
    corners, scores, classes = _READERS[layout.name](layout, rows)
    good = (scores >= least) & np.isfinite(corners).all(axis=1) & (scores <= 1.0001)
    if wanted is not None:
        good &= np.isin(classes, wanted)
    corners, scores, classes = corners[good], scores[good], classes[good]
    best = np.argsort(-scores, kind="stable")[:MOST_LOOKED]
    corners, scores, classes = corners[best], scores[best], classes[best]
    kept = range(len(scores)) if layout.name == "end" else _apart(corners, classes)
    return [
        (int(classes[n]), min(1.0, float(scores[n])), tuple(map(float, corners[n])))  # type: ignore[misc]  # four of them
        for n in list(kept)[:MOST_FOUND]
    ]


def _apart(corners: Floats, classes: NDArray[np.int64]) -> list[int]:
    """Of boxes that cover the same thing the first one; the best stand first."""
    # Boxes of other classes are far away from each other.
    moved = corners + classes[:, None].astype(np.float32) * np.float32(1e5)
    areas = (moved[:, 2] - moved[:, 0]).clip(0) * (moved[:, 3] - moved[:, 1]).clip(0)
    kept: list[int] = []
    for n in range(len(moved)):
        if kept:
            others = moved[kept]
            wide = np.minimum(moved[n, 2], others[:, 2]) - np.maximum(moved[n, 0], others[:, 0])
            tall = np.minimum(moved[n, 3], others[:, 3]) - np.maximum(moved[n, 1], others[:, 1])
            shared = wide.clip(0) * tall.clip(0)
            if (shared > SAME * (areas[n] + areas[kept] - shared)).any():
                continue
        kept.append(n)
    return kept


def _cornered(middle: Floats) -> Floats:
    half = middle[:, 2:4] / 2
    return np.concatenate([middle[:, :2] - half, middle[:, :2] + half], axis=1)


def _best(scores: Floats) -> tuple[Floats, NDArray[np.int64]]:
    classes = scores.argmax(axis=1)
    return scores[np.arange(len(scores)), classes], classes


def _grid(layout: Layout, rows: int) -> tuple[Floats, Floats]:
    """Column and row of each place, and the pixels of its step."""
    width, height = layout.size
    strides = STRIDES if rows == cells(layout.size, STRIDES) else STRIDES[:3]
    places, steps = [], []
    for step in strides:
        wide, tall = -(-width // step), -(-height // step)
        y, x = np.mgrid[0:tall, 0:wide]
        places.append(np.stack([x.ravel(), y.ravel()], axis=1))
        steps.append(np.full(wide * tall, step))
    return np.concatenate(places).astype(np.float32), np.concatenate(steps).astype(np.float32)


Read = tuple[Floats, Floats, NDArray[np.int64]]


def _yolo8(_layout: Layout, rows: Floats) -> Read:
    rows = rows.T
    scores, classes = _best(rows[:, 4:])
    return _cornered(rows[:, :4]), scores, classes


def _yolo5(_layout: Layout, rows: Floats) -> Read:
    scores, classes = _best(rows[:, 5:])
    return _cornered(rows[:, :4]), scores * rows[:, 4], classes


def _yolox(layout: Layout, rows: Floats) -> Read:
    places, steps = _grid(layout, len(rows))
    middle = (rows[:, :2] + places) * steps[:, None]
    size = np.exp(rows[:, 2:4].clip(-20, 20)) * steps[:, None]
    scores, classes = _best(rows[:, 5:])
    return _cornered(np.concatenate([middle, size], axis=1)), scores * rows[:, 4], classes


def _nanodet(layout: Layout, rows: Floats) -> Read:
    places, steps = _grid(layout, len(rows))
    scores, classes = _best(rows[:, : layout.classes])
    bins = rows[:, layout.classes :].reshape(len(rows), 4, BINS)
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    far = weights @ np.arange(BINS, dtype=np.float32)
    if len(rows) != cells(layout.size, STRIDES):
        places = places + np.float32(0.5)  # the older kind, without the fourth grid
    near, off = far[:, :2], far[:, 2:]
    corners = np.concatenate([places - near, places + off], axis=1) * steps[:, None]
    return corners, scores, classes


def _end(_layout: Layout, rows: Floats) -> Read:
    # A row that stands for nothing has the class -1, or no score.
    classes = np.nan_to_num(rows[:, 5], nan=-1.0, posinf=-1.0, neginf=-1.0).astype(np.int64)
    return rows[:, :4], np.where(classes >= 0, rows[:, 4], 0), classes


_READERS = {
    "yolo8": _yolo8,
    "yolo5": _yolo5,
    "yolox": _yolox,
    "nanodet": _nanodet,
    "end": _end,
}
