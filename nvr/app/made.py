"""What we made in cameras, over restarts: only that is ever changed or removed there.

``drawn.json`` in the data directory has, for each camera, the tokens of the texts and masks that it
gave us, the serial number of the device that gave them, and when its masks were seen in force last.
What is being made is written down before it is asked for: an answer that is lost leaves nothing in
a camera that we would not know again.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nvr.base.file import replace_file
from nvr.base.log import event

_log = logging.getLogger(__name__)

FILE: Final = "drawn.json"
MOST_TOKENS: Final = 256


@dataclass(slots=True)
class Kept:
    """Things of one kind that we made in one camera.

    Attributes:
        tokens: Of each, in the order in which they were made.
        making: One is being made; these were there before. None: nothing is.
    """

    tokens: list[str] = field(default_factory=list)
    making: list[str] | None = None

    @property
    def some(self) -> bool:
        """Whether there is, or may be, one."""
        return bool(self.tokens) or self.making is not None


@dataclass(slots=True)
class Made:
    """What we made in one camera.

    Attributes:
        serial: Serial number of the device, empty if it has none.
        texts: Its texts.
        masks: Its masks.
        masked_us: UTC microseconds when all masks were seen in force last, 0 if never.
    """

    serial: str = ""
    texts: Kept = field(default_factory=Kept)
    masks: Kept = field(default_factory=Kept)
    masked_us: int = 0

    @property
    def any(self) -> bool:
        """Whether there is something to be seen to."""
        return self.texts.some or self.masks.some


class Book:
    """What we made in all cameras. Calls block on the disk, but for `of`.

    Args:
        path: Its file; one that cannot be read is as none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = _read(path)

    def of(self, camera: str) -> Made:
        """Return what we made in a camera; to be changed, and then saved."""
        return self._made.setdefault(camera, Made())

    def forget(self, camera: str) -> None:
        """A camera is gone."""
        if self._made.pop(camera, None) is not None:
            self.save()

    def save(self) -> None:
        """Keep it, over a power cut too; what cannot be kept is logged."""
        tree = {name: _tree(made) for name, made in list(self._made.items()) if made != Made()}
        try:
            replace_file(self._path, json.dumps(tree).encode())
        except OSError as err:
            event(_log, logging.WARNING, "drawn.unnoted", error=str(err))


def _tree(made: Made) -> dict[str, Any]:
    return {
        "serial": made.serial,
        "masked_us": made.masked_us,
        "texts": {"tokens": made.texts.tokens, "making": made.texts.making},
        "masks": {"tokens": made.masks.tokens, "making": made.masks.making},
    }


def _read(path: Path) -> dict[str, Made]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(name): Made(
                str(one["serial"]), _kept(one["texts"]), _kept(one["masks"]), int(one["masked_us"])
            )
            for name, one in tree.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        event(_log, logging.WARNING, "drawn.unnoted", error=str(err))
        return {}


def _kept(tree: Any) -> Kept:  # noqa: ANN401 - JSON
    making = tree["making"]
    return Kept(_tokens(tree["tokens"]), None if making is None else _tokens(making))


def _tokens(words: Iterable[Any]) -> list[str]:
    return [str(word) for word in words][:MOST_TOKENS]
