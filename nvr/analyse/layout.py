"""Which of the usual detectors a model is, told by the shapes of what goes in and comes out.

A model has one input ``[1, 3, height, width]`` of floats and one output. `cells` are the places of
a grid of 8, 16 and 32 pixels (with a fourth of 64 for the larger kinds), 8400 of 640 x 640:

=========== =========================== ============================= ==============================
layout      output                      a row is                      pixels go in as
=========== =========================== ============================= ==============================
``yolo8``   ``[1, 4 + C, cells]``       x, y, width, height, C scores RGB, 0 to 1
``yolo5``   ``[1, 3 cells, 5 + C]``     x, y, width, height, object,  RGB, 0 to 1
                                        C scores
``yolox``   ``[1, cells, 5 + C]``       the same, of its place in     BGR, 0 to 255
                                        the grid
``nanodet`` ``[1, cells, C + 4 bins]``  C scores, four distributions  BGR, less the mean, by the
                                        of a distance                 deviation of ImageNet
``end``     ``[1, rows, 6]``            left, top, right, bottom,     RGB, 0 to 1
                                        score, class
=========== =========================== ============================= ==============================

``yolo8`` is what Ultralytics' YOLOv8 to 12 export, ``end`` YOLOv10 and what was exported with its
own suppression. Pure: numbers in, a name out; see `nvr.analyse.boxes` for what is done with it.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nvr.media.happening import word
from nvr.wire.onnx import FLOAT, FLOAT16, Model

Name = Literal["yolo8", "yolo5", "yolox", "nanodet", "end"]
Shape = tuple[int, ...]
STRIDES = (8, 16, 32, 64)
MOST_LABELS = 1000
BINS = 8
"""Of NanoDet's distances: 0 to 7 strides."""
USUAL_SIDE = 640
_LEAST_SIDE, _MOST_SIDE = 32, 2048
_MOST_END = 1000
_COCO = 80


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model is fed and read.

    Attributes:
        name: Which.
        size: ``(width, height)`` of what goes in, pixels.
        classes: How many it knows; 0 if only its labels say.
    """

    name: Name
    size: tuple[int, int]
    classes: int


def cells(size: tuple[int, int], strides: Sequence[int]) -> int:
    """How many places grids of these steps have together."""
    width, height = size
    return sum(-(-width // one) * -(-height // one) for one in strides)


def size_of(model: Model) -> tuple[int, int]:
    """Return width and height of what goes in; the usual ones where the file leaves them open.

    Raises:
        ValueError: It takes something else than a picture.
    """
    if len(model.inputs) != 1:
        raise ValueError(f"it has {len(model.inputs)} inputs, not one")
    (port,) = model.inputs
    if port.kind not in {FLOAT, FLOAT16}:
        raise ValueError("its input is not of floats")
    if len(port.shape) != 4 or port.shape[0] > 1 or port.shape[1] not in {0, 3}:
        raise ValueError(f"its input is {_said(port.shape)}, not [1, 3, height, width]")
    said = _numbers(model.notes.get("imgsz", ""))
    height, width = port.shape[2:]
    usual = said if len(said) == 2 else (USUAL_SIDE, USUAL_SIDE)
    size = (width or usual[1], height or usual[0])
    if not all(_LEAST_SIDE <= one <= _MOST_SIDE for one in size):
        raise ValueError(f"its input is {_said(port.shape)}: too small or too large")
    return size


def layout_of(size: tuple[int, int], outputs: Sequence[Shape], labels: int = 0) -> Layout:
    """Tell the layout from the shapes of what comes out.

    Args:
        size: Of what goes in.
        outputs: Shapes, all known.
        labels: How many classes it is known to have, 0 if nobody says.

    Raises:
        ValueError: It is none that is understood here.
    """
    if len(outputs) != 1 or len(outputs[0]) != 3 or outputs[0][0] != 1:
        raise ValueError(f"its outputs are {', '.join(map(_said, outputs))}")
    _, rows, columns = outputs[0]
    grids = {cells(size, STRIDES[:3]), cells(size, STRIDES)}
    found: Layout | None = None
    if columns in grids and rows > 4:
        found = Layout("yolo8", size, rows - 4)
    elif rows in {3 * one for one in grids} and columns > 5:
        found = Layout("yolo5", size, columns - 5)
    elif rows in grids:
        found = _by_grid(size, columns, labels)
    elif columns == 6 and rows <= _MOST_END:
        return Layout("end", size, 0)
    if found is None:
        raise ValueError(f"its output is {_said(outputs[0])}")
    if labels and labels != found.classes:
        raise ValueError(f"it knows {found.classes} classes, and there are {labels} labels")
    return found


def _by_grid(size: tuple[int, int], columns: int, labels: int) -> Layout | None:
    """One row a place: which of the two it is, the number of classes says."""
    for classes in (labels, _COCO):
        if classes and columns == classes + 4 * BINS:
            return Layout("nanodet", size, classes)
        if classes and columns == classes + 5:
            return Layout("yolox", size, classes)
    return None


def guess(model: Model, labels: int) -> Layout | None:
    """The same by the file alone; None if that is only known when it runs.

    Raises:
        ValueError: It is none that is understood here.
    """
    size = size_of(model)
    if model.notes.get("task", "detect") != "detect":
        raise ValueError(f"it is made to {model.notes['task']}, not to detect")
    outputs = [one.shape for one in model.outputs]
    if not all(map(all, outputs)):
        return None
    return layout_of(size, outputs, labels)


def labels_of(notes: dict[str, str], text: str | None) -> tuple[str, ...]:
    """Return the names of the classes: of a text with one a line, else of the model's notes.

    Raises:
        ValueError: They are unusable.
    """
    found: list[str] = []
    if text is not None:
        found = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
        while found and not found[-1]:
            found.pop()
    elif "names" in notes:
        found = _names(notes["names"])
    if len(found) > MOST_LABELS:
        raise ValueError(f"more than {MOST_LABELS} labels")
    return tuple(word(one) or f"class-{n}" for n, one in enumerate(found))


def _names(text: str) -> list[str]:
    """``{0: 'person', 1: 'car'}``, as Ultralytics writes it, or a list."""
    try:
        tree = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as err:
        raise ValueError("its notes do not say the names of its classes") from err
    if isinstance(tree, dict):
        numbers = [n for n in tree if isinstance(n, int) and 0 <= n < MOST_LABELS]
        return [str(tree.get(n, "")) for n in range(max(numbers, default=-1) + 1)]
    return [str(one) for one in tree] if isinstance(tree, list | tuple) else []


def _numbers(text: str) -> tuple[int, ...]:
    try:
        tree = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if not isinstance(tree, list | tuple):
        return ()
    return tuple(one for one in tree if isinstance(one, int))


def _said(shape: Shape) -> str:
    return "[" + ", ".join(str(one or "?") for one in shape) + "]"
