"""What happens at cameras sends heads to presets, as ``[[camera.on_event]]`` says."""

import logging
from collections.abc import Callable

from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.config import camera as written
from nvr.media.ports import Ptz

_log = logging.getLogger(__name__)


class Callups:
    """Sends heads where they are wanted.

    Args:
        ptz: The heads.
        find: Returns the settings of a camera as they are now, None if there is none.
    """

    def __init__(self, ptz: Ptz, find: Callable[[str], written.Camera | None]) -> None:
        self._ptz, self._find = ptz, find

    def happened(self, camera: str, sort: str, zone: str = "") -> None:
        """Something begins at a camera; what keeps a head from going there is logged."""
        settings = self._find(camera)
        for rule in settings.on_event if settings else ():
            any_object = rule.sort == "object" and sort.startswith("object.")
            if not (any_object or rule.sort == sort) or rule.zone not in {"", zone}:
                continue
            head = rule.camera or camera
            try:
                self._ptz.call_up(head, rule.preset, rule.priority, rule.hold_s, f"{sort} {camera}")
            except NvrError as err:
                event(
                    _log, logging.WARNING, "ptz.not_called_up",
                    camera=head, preset=rule.preset, cause=sort, error=str(err),
                )  # fmt: skip
