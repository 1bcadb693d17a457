"""What was masked of each camera, and since when: what was hidden once stays hidden in recordings.

``masks.jsonl`` in the data directory has a row for each change. Rows of a camera whose pictures we
encode say so: those masks are in the pictures, and nothing is under them.
"""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from nvr.app import edit
from nvr.app.films import Films
from nvr.app.settings import masks_of
from nvr.auth.machine import Machines
from nvr.base.errors import Rejected
from nvr.base.log import event
from nvr.config import camera as written
from nvr.media.camera import CameraState
from nvr.media.mask import MASK_KINDS, Mask, Masks, fault_of

FILE = "masks.jsonl"
_log = logging.getLogger(__name__)


Hider = Callable[[Masks], None]
"""Lays masks over pictures that we encode. Blocks."""


class Readers(Protocol):
    """A server that machines watch. See `nvr.serve.rtsp.RtspServer`."""

    def readers(self) -> tuple[tuple[str, str], ...]:
        """User and address of everybody connected."""
        ...

    def revoke(self, user: str) -> None:
        """End what a user has open."""
        ...


@dataclass(frozen=True, slots=True)
class _Row:
    from_us: int
    camera: str
    masks: Masks
    burned: bool


class MaskLog:
    """The masks of a box over time. From any thread, but one writes at a time.

    Args:
        path: Its file; read when it is first needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[_Row] | None = None

    def note(self, cameras: Iterable[tuple[written.Camera, bool]], now_us: int) -> None:
        """Add what has changed, of cameras and whether we encode their pictures.

        What cannot be kept is logged.
        """
        known = {row.camera: (row.masks, row.burned) for row in self._read()}
        fresh = [
            _Row(now_us, camera.name, masks, burned)
            for camera, burned in cameras
            if known.get(camera.name, ((), burned)) != ((masks := masks_of(camera)), burned)
        ]
        if not fresh:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + "".join(map(_line, fresh)))
        except OSError as err:
            event(_log, logging.WARNING, "mask.unnoted", error=str(err))
        self._rows = [*self._read(), *fresh]

    def over(self, camera: str, from_us: int, to_us: int) -> Masks:
        """What was masked, at any time of a span, of pictures that do not carry it themselves."""
        rows = [row for row in self._read() if row.camera == camera]
        found: dict[Mask, None] = {}
        ends = [*(row.from_us for row in rows[1:]), to_us + 1]
        for row, until_us in zip(rows, ends, strict=False):
            if not row.burned and row.from_us <= to_us and until_us > from_us:
                found |= dict.fromkeys(row.masks)
        return tuple(found)

    def _read(self) -> list[_Row]:
        if self._rows is None:
            try:
                lines = self._path.read_text(encoding="utf-8").splitlines()
            except OSError:
                lines = []
            self._rows = [row for line in lines if (row := _row(line)) is not None]
        return self._rows


class Hiding:
    """What is hidden of which pictures, and who hides it.

    Args:
        directory: Where the log is.
        films: Local cameras, whose pictures we encode.
        hiders: By camera name: who lays masks over other pictures that we encode.
    """

    def __init__(self, directory: Path, films: Films, hiders: Mapping[str, Hider]) -> None:
        self._log = MaskLog(directory / FILE)
        self._films = films
        self._hiders = hiders

    def hider(self, camera: written.Camera) -> Hider | None:
        """Who lays masks over a camera's pictures, None if they come as they are."""
        if self._films.burns(camera):
            return partial(self._films.hide, camera.name)
        return self._hiders.get(camera.name)

    def hide(self, camera: written.Camera) -> None:
        """Have the masks of a camera laid over pictures that we encode; blocks."""
        if hider := self.hider(camera):
            hider(masks_of(camera))

    def over(self, camera: written.Camera | None, name: str, span: tuple[int, int] | None) -> Masks:
        """What is to be hidden of pictures that come as they are.

        Args:
            camera: Its settings, None if it has none any more.
            name: Its name.
            span: Of recordings, UTC microseconds; None for live pictures.
        """
        now = () if camera is None or self.hider(camera) else masks_of(camera)
        then = self._log.over(name, *span) if span else ()
        return tuple(dict.fromkeys((*now, *then)))

    def note(self, cameras: Iterable[written.Camera], now_us: int) -> None:
        """Keep what has changed."""
        self._log.note([(one, self.hider(one) is not None) for one in cameras], now_us)


class MaskTable(ABC):
    """What a table of cameras does about masks. See `nvr.media.camera.Cameras`."""

    hiding: Hiding

    @abstractmethod
    def settings(self, name: str) -> written.Camera | None:
        """Return the settings of one, None if there is none of that name."""

    @abstractmethod
    async def rewrite(self, name: str, change: edit.Change) -> written.Camera:
        """Change the settings of one, at once and for good; returns what they are then."""

    async def write_masks(self, name: str, masks: Masks) -> None:
        """Hide other areas. See `Cameras`."""
        if fault := fault_of(masks):
            raise Rejected("mask.invalid", fault, field="masks")
        camera = await self.rewrite(name, edit.masked(name, masks))
        await asyncio.to_thread(self.hiding.hide, camera)

    def masked(self, name: str, span: tuple[int, int] | None) -> bool:
        """Whether something is hidden. See `Cameras`."""
        return bool(self.masks_over(name, span))

    def masks_over(self, name: str, span: tuple[int, int] | None) -> Masks:
        """What is hidden of recordings of a span: what is now, and what was then; any thread."""
        return self.hiding.over(self.settings(name), name, span)


def unmasked_out(
    server: Readers, machines: Machines, known: dict[str, Masks], state: CameraState
) -> None:
    """End the connections of machines that may not see what was hidden just now.

    What they may still watch they fetch anew.

    Args:
        server: Who serves them.
        machines: What they may.
        known: The masks of each camera as last seen; kept up here.
        state: Of the camera that changed.
    """
    before, known[state.name] = known.get(state.name, ()), state.masks
    if state.masks_burned or not set(state.masks) - set(before):
        return
    for user in {user for user, _ in server.readers()}:
        subject = machines.subject(user)
        if subject is None or "unmasked" not in subject.may(state.name):
            server.revoke(user)


def _line(row: _Row) -> str:
    masks = [{"points_permille": one.points_permille, "kind": one.kind} for one in row.masks]
    tree = {"from_us": row.from_us, "camera": row.camera, "masks": masks, "burned": row.burned}
    return json.dumps(tree, ensure_ascii=False) + "\n"


def _row(line: str) -> _Row | None:
    """Read a row, None if it is not whole."""
    try:
        tree = json.loads(line)
        masks = tuple(
            Mask(
                tuple((int(x), int(y)) for x, y in one["points_permille"]),
                next(kind for kind in MASK_KINDS if kind == one["kind"]),
            )
            for one in tree["masks"]
        )
        if fault_of(masks):
            return None
        return _Row(int(tree["from_us"]), str(tree["camera"]), masks, bool(tree["burned"]))
    except (ValueError, TypeError, KeyError, StopIteration):
        return None
