"""What each camera's caption was, and since when: exports burn in, and playback draws, that one.

``captions.jsonl`` in the data directory has a row for each change, ``from_us`` and what the page
knows of a caption; the newest counts that is not later than the picture. A camera without a caption
has a row too, with ``set`` false: its title and the time, which exports burn in and nobody draws.
With ``burned`` the camera wrote it into its picture itself, and nothing is to be put over that.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from nvr.app.rows import Rows
from nvr.app.settings import caption_to_burn, has_caption
from nvr.base.errors import Rejected
from nvr.base.log import event
from nvr.config import camera as written
from nvr.export.burned import lacking
from nvr.media.camera import CaptionAt, CaptionText
from nvr.media.caption import MODES, TIME
from nvr.overlay.caption import Caption

FILE = "captions.jsonl"
MOST_CHANGES = 500
"""Of one answer; the newest count."""
_log = logging.getLogger(__name__)
_NOTHING = CaptionText((), (0, 0), 15, "plain")


class _Row(NamedTuple):
    from_us: int
    camera: str
    caption: CaptionText
    shown: bool
    burned: bool = False


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
        self._rows = Rows(path, _row, _line)

    def note(
        self,
        cameras: Iterable[written.Camera],
        now_us: int,
        burned: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Add the captions that have changed; what cannot be kept is logged.

        Args:
            cameras: All of them.
            now_us: UTC microseconds.
            burned: Whether a camera writes its caption into its picture itself.
        """
        known = {row.camera: row[2:] for row in self._rows.all()}
        rows = [
            _Row(
                now_us, one.name, caption_to_burn(one, one.name), has_caption(one), burned(one.name)
            )
            for one in cameras
        ]
        fresh = [row for row in rows if known.get(row.camera) != row[2:]]
        if not fresh:
            return
        try:
            self._rows.write(fresh)
        except OSError as err:
            event(_log, logging.WARNING, "caption.unnoted", error=str(err))
            return
        self._rows.know(fresh)

    def of(self, camera: str, config: written.Camera | None = None) -> CaptionAt:
        """Return what says a camera's caption at a time, the settings' if nothing is known.

        Before the first row it is that one's.
        """

        def at(wall_us: int) -> CaptionText:
            rows = [row for row in self._rows.all() if row.camera == camera]
            if not rows:
                return caption_to_burn(config, camera)
            row = next((one for one in reversed(rows) if one.from_us <= wall_us), rows[0])
            return replace(row.caption, lines=()) if row.burned else row.caption

        return at

    def between(self, camera: str, from_us: int, to_us: int) -> list[tuple[int, CaptionText]]:
        """Return what was drawn over a camera's pictures in a span: since when, and what.

        In order; the first one may have begun before the span. Without lines where nothing was.
        """
        rows = [row for row in self._rows.all() if row.camera == camera and row.from_us < to_us]
        # What was so before anything is known is what was known first.
        begun = max((n for n, row in enumerate(rows) if row.from_us <= from_us), default=0)
        kept = rows[begun:][-MOST_CHANGES:]
        return [
            (row.from_us, row.caption if row.shown and not row.burned else _NOTHING) for row in kept
        ]


def _line(row: _Row) -> str:
    tree = {"from_us": row.from_us, "camera": row.camera, **asdict(row.caption), "set": row.shown}
    if row.burned:
        tree["burned"] = True
    return json.dumps(tree, ensure_ascii=False) + "\n"


def _row(line: str) -> _Row | None:
    """Read a row, None if it is not whole."""
    try:
        tree = json.loads(line)
        x, y = tree["position_permille"]
        caption = CaptionText(
            tuple(map(str, tree["lines"])), (int(x), int(y)), int(tree["size_permille"]),
            str(tree["mode"]),
        )  # fmt: skip
        # Rows of before the key was: what a camera without a caption has is known by its form.
        shown = bool(tree.get("set", len(caption.lines) != 2 or caption.lines[1] != TIME))
        burned = bool(tree.get("burned", False))
        return _Row(int(tree["from_us"]), str(tree["camera"]), caption, shown, burned)
    except (ValueError, TypeError, KeyError):
        return None
