"""What each camera's caption was, and since when: an export burns in what stood there then.

``captions.jsonl`` in the data directory has a row for each change, ``from_us`` and what the page
knows of a caption; the newest counts that is not later than the picture.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from nvr.app.settings import caption_to_burn
from nvr.base.errors import Rejected
from nvr.base.log import event
from nvr.config import camera as written
from nvr.export.burned import lacking
from nvr.media.camera import CaptionAt, CaptionText
from nvr.media.caption import MODES
from nvr.overlay.caption import Caption

FILE = "captions.jsonl"
_log = logging.getLogger(__name__)


def noted(caption: CaptionText) -> tuple[str, ...]:
    """Check the caption of a camera that encodes its pictures itself.

    Returns:
        Characters that an export will not be able to burn in, for no font has them.

    Raises:
        Rejected: ``caption.invalid``.
    """
    mode = next((mode for mode in MODES if mode == caption.mode), None)
    if mode is None:
        raise Rejected("caption.invalid", f"the mode is one of {', '.join(MODES)}", field="mode")
    Caption(caption.lines, caption.position_permille, caption.size_permille, mode)
    return tuple(lacking([lambda _: caption], 0, 0))


class CaptionLog:
    """The captions of a box over time. From any thread, but one writes at a time.

    Args:
        path: Its file; read when it is first needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[int, str, CaptionText]] | None = None

    def note(self, cameras: Iterable[written.Camera], now_us: int) -> None:
        """Add the captions that have changed; what cannot be kept is logged."""
        known = {camera: caption for _, camera, caption in self._read()}
        captions = {one.name: caption_to_burn(one, one.name) for one in cameras}
        fresh = [
            (now_us, name, caption)
            for name, caption in captions.items()
            if known.get(name) != caption
        ]
        if not fresh:
            return
        # A row that was cut off by a loss of power ends where the next one begins.
        text = "\n" + "".join(_line(*row) for row in fresh)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as err:
            event(_log, logging.WARNING, "caption.unnoted", error=str(err))
            return
        self._rows = [*self._read(), *fresh]

    def of(self, camera: str, config: written.Camera | None = None) -> CaptionAt:
        """Return what says a camera's caption at a time, the settings' if nothing is known.

        Before the first row it is that one's.
        """

        def at(wall_us: int) -> CaptionText:
            rows = [row for row in self._read() if row[1] == camera]
            then = (caption for from_us, _, caption in reversed(rows) if from_us <= wall_us)
            first = rows[0][2] if rows else caption_to_burn(config, camera)
            return next(then, first)

        return at

    def _read(self) -> list[tuple[int, str, CaptionText]]:
        if self._rows is None:
            try:
                lines = self._path.read_text(encoding="utf-8").splitlines()
            except OSError:
                lines = []
            self._rows = [row for line in lines if (row := _row(line)) is not None]
        return self._rows


def _line(from_us: int, camera: str, caption: CaptionText) -> str:
    tree = {"from_us": from_us, "camera": camera, **asdict(caption)}
    return json.dumps(tree, ensure_ascii=False) + "\n"


def _row(line: str) -> tuple[int, str, CaptionText] | None:
    """Read a row, None if it is not whole."""
    try:
        tree = json.loads(line)
        x, y = tree["position_permille"]
        caption = CaptionText(
            tuple(map(str, tree["lines"])), (int(x), int(y)), int(tree["size_permille"]),
            str(tree["mode"]),
        )  # fmt: skip
        return int(tree["from_us"]), str(tree["camera"]), caption
    except (ValueError, TypeError, KeyError):
        return None
