"""What was masked of each camera, and since when: what was hidden once stays hidden in recordings.

``masks.jsonl`` in the data directory has a row for each change. Rows of a camera whose pictures
carry the masks, for we encode them or the camera hides them itself, say so: nothing is under those.
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
from nvr.app.rows import Rows
from nvr.app.settings import masks_of
from nvr.auth.machine import Machines
from nvr.base.errors import Rejected
from nvr.base.log import event
from nvr.config import camera as written
from nvr.media.camera import CameraState
from nvr.media.drawn import Burn
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
        self._rows = Rows(path, _row, _line)

    def note(
        self,
        cameras: Iterable[tuple[written.Camera, bool]],
        now_us: int,
        sure_us: Callable[[str], int] = lambda _: 0,
    ) -> None:
        """Add what has changed, of cameras and whether their pictures carry the masks.

        What cannot be kept is logged.

        Args:
            cameras: All of them.
            now_us: UTC microseconds.
            sure_us: When a camera's masks were seen in its own pictures last, 0 for never: if they
                are not in them any more, they may have gone just after that.
        """
        known = {row.camera: row for row in self._rows.all()}
        fresh = []
        for camera, burned in cameras:
            before, masks = known.get(camera.name), masks_of(camera)
            if ((before.masks, before.burned) if before else ((), burned)) != (masks, burned):
                from_us = _since(before, burned, now_us, sure_us(camera.name))
                fresh.append(_Row(from_us, camera.name, masks, burned))
        if not fresh:
            return
        try:
            self._rows.write(fresh)
        except OSError as err:
            event(_log, logging.WARNING, "mask.unnoted", error=str(err))
        self._rows.know(fresh)

    def over(self, camera: str, from_us: int, to_us: int) -> Masks:
        """What was masked, at any time of a span, of pictures that do not carry it themselves."""
        rows = [row for row in self._rows.all() if row.camera == camera]
        found: dict[Mask, None] = {}
        ends = [*(row.from_us for row in rows[1:]), to_us + 1]
        for row, until_us in zip(rows, ends, strict=False):
            if not row.burned and row.from_us <= to_us and until_us > from_us:
                found |= dict.fromkeys(row.masks)
        return tuple(found)

    def hidden(self, camera: written.Camera | None, name: str, span: tuple[int, int]) -> Masks:
        """What is hidden of recordings as a console sees it, where no box runs: now, and then.

        Args:
            camera: Its settings, None if it has none any more.
            name: Its name.
            span: UTC microseconds.
        """
        rows = [row for row in self._rows.all() if row.camera == name]
        now = () if camera is None or (rows and rows[-1].burned) else masks_of(camera)
        return tuple(dict.fromkeys((*now, *self.over(name, *span))))


class Carries(Protocol):
    """Cameras that hide masks in their own pictures. See `nvr.app.painter.Painter`."""

    def hides(self, camera: written.Camera) -> bool:
        """Whether its pictures carry exactly the masks of these settings, for sure."""
        ...

    def hid_until_us(self, camera: str) -> int:
        """UTC microseconds when its masks were seen in force last, 0 if never."""
        ...


class Nobody:
    """No camera hides anything itself. See `Carries`."""

    def hides(self, _camera: written.Camera) -> bool:  # noqa: D102 - see Carries
        return False

    def hid_until_us(self, _camera: str) -> int:  # noqa: D102 - see Carries
        return 0


class Hiding:
    """What is hidden of which pictures, and who hides it.

    Args:
        directory: Where the log is.
        films: Local cameras, whose pictures we encode.
        hiders: By camera name: who lays masks over other pictures that we encode.

    Attributes:
        cameras: Cameras that hide masks themselves.
    """

    def __init__(self, directory: Path, films: Films, hiders: Mapping[str, Hider]) -> None:
        self.cameras: Carries = Nobody()
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
        # Of one that passes as it is, the sub stream may be made here.
        hider = self.hider(camera) or partial(self._films.hide, camera.name)
        hider(masks_of(camera))

    def carried(self, camera: written.Camera) -> bool:
        """Whether a camera's pictures carry its masks, and nothing is under them."""
        return self.hider(camera) is not None or self.cameras.hides(camera)

    def over(self, camera: written.Camera | None, name: str, span: tuple[int, int] | None) -> Masks:
        """What is to be hidden of pictures that come as they are.

        Args:
            camera: Its settings, None if it has none any more.
            name: Its name.
            span: Of recordings, UTC microseconds; None for live pictures.
        """
        now = () if camera is None or self.carried(camera) else masks_of(camera)
        then = self._log.over(name, *span) if span else ()
        return tuple(dict.fromkeys((*now, *then)))

    def note(self, cameras: Iterable[written.Camera], now_us: int) -> None:
        """Keep what has changed."""
        states = [(one, self.carried(one)) for one in cameras]
        self._log.note(states, now_us, self.cameras.hid_until_us)


class MaskTable(ABC):
    """What a table of cameras does about masks. See `nvr.media.camera.Cameras`."""

    hiding: Hiding

    @abstractmethod
    def settings(self, name: str) -> written.Camera | None:
        """Return the settings of one, None if there is none of that name."""

    @abstractmethod
    async def rewrite(self, name: str, change: edit.Change) -> written.Camera:
        """Change the settings of one, at once and for good; returns what they are then."""

    async def write_masks(self, name: str, masks: Masks, burn: Burn | None = None) -> None:
        """Hide other areas. See `Cameras`."""
        if fault := fault_of(masks):
            raise Rejected("mask.invalid", fault, field="masks")
        camera = await self.rewrite(name, edit.masked(name, masks, burn))
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
        known: What was under no masks of each camera as last seen; kept up here.
        state: Of the camera that changed.
    """
    hidden = () if state.masks_burned else state.masks
    before, known[state.name] = known.get(state.name, ()), hidden
    if not set(hidden) - set(before):
        return
    for user in {user for user, _ in server.readers()}:
        subject = machines.subject(user)
        if subject is None or "unmasked" not in subject.may(state.name):
            server.revoke(user)


def _since(before: _Row | None, burned: bool, now_us: int, sure_us: int) -> int:
    """From when on a row holds: what is in the pictures no more may be so since it was seen."""
    if before is None or burned or not before.burned:
        return now_us
    return max(before.from_us, min(now_us, sure_us or now_us))


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
