"""A detector made here that really detects: what is bright is a lamp, what is black is a hole."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (160, 96)
STEP = 8
LABELS = ("lamp", "black hole")


def made(names: str = "{0: 'lamp', 1: 'black hole'}", rows: int | None = None) -> bytes:
    """Return the file: YOLOv8's layout, whose finest grid is of 8 pixels.

    Args:
        names: What its notes say of its classes; empty for nothing.
        rows: Of the output instead of what is right.
    """
    width, height = SIZE
    wide, tall = width // STEP, height // STEP
    fine, rest = wide * tall, (wide // 2) * (tall // 2) + (wide // 4) * (tall // 4)
    y, x = np.mgrid[0:tall, 0:wide]
    middle = np.stack([x.ravel() * STEP + STEP / 2, y.ravel() * STEP + STEP / 2])
    boxes = np.zeros((1, 4, fine + rest), np.float32)
    boxes[0, :2, :fine] = middle
    boxes[0, 2:] = 32
    constants = {
        "boxes": boxes,
        "none": np.zeros((1, 1, rest), np.float32),
        "flat": np.array([1, 1, -1], np.int64),
        "bright": np.array(-0.6, np.float32),
        "steep": np.array(2.5, np.float32),
        "dark": np.array(0.08, np.float32),
        "steeper": np.array(12.5, np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "axes": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["images", "axes"], ["grey"], keepdims=1),
        node("AveragePool", ["grey"], ["cells"], kernel_shape=[STEP, STEP], strides=[STEP, STEP]),
        node("Reshape", ["cells", "flat"], ["row"]),
        node("Add", ["row", "bright"], ["over"]),
        node("Mul", ["over", "steep"], ["lamps"]),
        node("Sub", ["dark", "row"], ["under"]),
        node("Mul", ["under", "steeper"], ["holes"]),
        node("Clip", ["lamps", "zero", "one"], ["lamp"]),
        node("Clip", ["holes", "zero", "one"], ["hole"]),
        node("Concat", ["lamp", "none"], ["all lamps"], axis=2),
        node("Concat", ["hole", "none"], ["all holes"], axis=2),
        node("Concat", ["boxes", "all lamps", "all holes"], ["output0"], axis=1),
    ]
    shape = [1, 4 + len(LABELS), rows or fine + rest]
    graph = helper.make_graph(
        nodes,
        "lamps",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if names:
        helper.set_model_props(model, {"names": names, "task": "detect", "stride": "32"})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def written(path: Path, **options: object) -> Path:
    path.write_bytes(made(**options))
    return path
