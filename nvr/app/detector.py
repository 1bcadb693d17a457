"""The owner's model as page and analysis want it: what its file says, without loading it."""

import importlib.util
import mmap
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

from nvr.analyse.grid import Zone
from nvr.analyse.layout import guess, labels_of
from nvr.analyse.search import Sought
from nvr.analyse.talk import Knows
from nvr.analyse.worker import ModelFile
from nvr.config.analyse import Analyse, Objects
from nvr.config.model import Config
from nvr.media.analyse import DetectorState
from nvr.wire.onnx import read

RUNTIME = "onnxruntime"
_TOO_MUCH_BYTES = 1 << 20


def model_of(config: Config, data: Path) -> ModelFile | None:
    """Return what the configuration says finds objects, None if nothing does."""
    said = config.objects
    if said is None:
        return None
    labels = data / said.labels if said.labels else None
    return ModelFile(data / said.model, labels, said.per_s, said.cpu_percent / 100)


class Detector:
    """Says what the owner's model is. Blocks on the disk.

    Args:
        model: Its file; None if there is none.
        knows: What the sandbox says of it, None while it is not loaded.
        runtime: Whether the extra is installed.
    """

    def __init__(
        self,
        model: ModelFile | None,
        knows: Callable[[], Knows | None],
        runtime: Callable[[], bool] = lambda: importlib.util.find_spec(RUNTIME) is not None,
    ) -> None:
        self._model, self._knows, self._runtime = model, knows, runtime

    def state(self) -> DetectorState:
        """What it is, or why nothing can find objects."""
        model, knows = self._model, self._knows()
        if model is None:
            return DetectorState("objects.no_model")
        limits = model.per_s, round(model.share * 100)
        if knows is not None:
            return DetectorState(
                knows.code, knows.detail, knows.layout, tuple(knows.labels), *limits
            )
        if not self._runtime():
            return DetectorState("objects.no_runtime", "", "", (), *limits)
        try:
            layout, labels = _described(model)
        except (OSError, ValueError) as err:
            return DetectorState("objects.model", str(err)[:300], "", (), *limits)
        return DetectorState("", "", layout, labels, *limits)


def _described(model: ModelFile) -> tuple[str, tuple[str, ...]]:
    """Layout, empty if only a run says, and labels of a model by its files.

    Raises:
        OSError: They cannot be read.
        ValueError: They are not understood.
    """
    text = None
    if model.labels is not None:
        with model.labels.open(encoding="utf-8") as lines:
            text = lines.read(_TOO_MUCH_BYTES)
    with model.path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    said = read(memoryview(mapped))
    labels = labels_of(said.notes, text)
    layout = guess(said, len(labels))
    if layout is not None and not labels:
        labels = tuple(f"class-{n}" for n in range(layout.classes))
    return (layout.name if layout else ""), labels


def until_us(day: str) -> int:
    """When the last day ends by the clock of the place, UTC microseconds; 0 if it is no day."""
    try:
        after = date.fromisoformat(day) + timedelta(days=1)
        return round(datetime.combine(after, time()).astimezone().timestamp() * 1e6)
    except (ValueError, OverflowError, OSError):
        return 0


def sought(analyse: Analyse, zones: Sequence[Zone], now_us: int) -> Sought | None:
    """Return what is looked for now; None: nothing is, or its last day is over."""
    said = analyse.objects
    if said is None or not said.on or now_us >= until_us(said.until):
        return None
    return Sought(tuple(said.classes), said.sure_permille, tuple(zones), said.every_keys)


def why(objects: Objects) -> str:
    """Say for the log what is looked for, what for, for whom, and until when."""
    classes = ", ".join(objects.classes)
    return f"{classes}: {objects.purpose}; {objects.who}; {objects.until}"[:300]
