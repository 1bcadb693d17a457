"""The owner's model in the sandbox: loaded before its doors close, run on one picture at a time.

Needs the extra ``objects`` (ONNX Runtime). One thread, no memory that is made executable; what it
would load later it loads when it is warmed up.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from nvr.analyse.boxes import fed, found, inner, order
from nvr.analyse.layout import Layout, labels_of, layout_of, size_of
from nvr.analyse.talk import MOST_SAID, UNUSABLE, Knows, Thing
from nvr.wire.onnx import FLOAT16, Model, Port, read

_KINDS = {"tensor(float)": 1, "tensor(float16)": 10}
_QUIET = 4


class Detector:
    """Finds things in pictures.

    Args:
        model: An ONNX file.
        labels: Its classes' names, one a line; None for those in the file.

    Raises:
        ImportError: Without the extra.
        ValueError: What it takes or puts out is not understood.
        Exception: Whatever the runtime raises for a file it cannot use.
    """

    def __init__(self, model: Path, labels: Path | None) -> None:
        import onnxruntime  # noqa: PLC0415 - an extra, and 60 MB

        text = labels.read_text(encoding="utf-8") if labels else None
        data = model.read_bytes()
        notes = read(memoryview(data)).notes
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        ports = tuple(_port(one) for one in session.get_inputs())
        size = size_of(Model(ports, (), notes))
        self._session, self._input = session, ports[0].name
        self._kind: Any = np.float16 if ports[0].kind == FLOAT16 else np.float32
        self.labels = labels_of(notes, text)
        empty = np.zeros((1, 3, size[1], size[0]), self._kind)
        shapes = [one.shape for one in session.run(None, {self._input: empty})]
        self.layout: Layout = layout_of(size, shapes, len(self.labels))
        self.labels = self.labels or tuple(f"class-{n}" for n in range(self.layout.classes))
        # Everything is used once, of another size than the model's too.
        for wide, tall in ((640, 360), (352, 288)):
            self.find(av.VideoFrame(wide, tall, "yuv420p"), 100, range(1000))

    def find(
        self, frame: av.VideoFrame, least_permille: int, classes: Sequence[int]
    ) -> list[Thing]:
        """Return what is in a picture, the surest first; how much of it moves is not said yet."""
        layout = self.layout
        width, height = inner(layout, (frame.width, frame.height))
        scaled = frame.reformat(width, height, order(layout), threads=1)
        given = fed(layout, scaled.to_ndarray(), self._kind)
        (output, *_) = self._session.run(None, {self._input: given})
        made: list[Thing] = []
        for label, score, corners in found(layout, output, least_permille / 1000, classes):
            left, top, right, bottom = corners
            box = (
                _share(left, width), _share(top, height),
                _share(right, width), _share(bottom, height),
            )  # fmt: skip
            if box[0] < box[2] and box[1] < box[3]:
                made.append(Thing(label, round(score * 1000), 0, box))
        return made

    def about(self) -> Knows:
        """What it is."""
        return Knows("", "", self.layout.name, self.layout.size, list(self.labels))


def loaded(model: Path, labels: Path | None) -> tuple[Detector | None, Knows]:
    """Load a model; without one, why there is none."""
    try:
        detector = Detector(model, labels)
    except ImportError as err:
        return None, Knows("objects.no_runtime", str(err)[:MOST_SAID])
    except Exception as err:  # noqa: BLE001 - the runtime's own errors have no common base
        return None, Knows(UNUSABLE, f"{type(err).__name__}: {err}"[:MOST_SAID])
    return detector, detector.about()


def _port(one: Any) -> Port:  # noqa: ANN401 - the runtime's
    shape = tuple(n if isinstance(n, int) else 0 for n in one.shape)
    return Port(one.name, _KINDS.get(one.type, 0), shape)


def _share(at: float, whole: int) -> int:
    return max(0, min(1000, round(at * 1000 / whole)))
