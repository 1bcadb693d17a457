"""Cameras' own services, by the camera's name: where each is and who we are there, as files say."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from nvr.app.data import DataDirectory
from nvr.base.errors import Misconfigured
from nvr.config import camera as written
from nvr.config.model import Config
from nvr.hal.board import Board
from nvr.link.address import target_of
from nvr.link.link import Link
from nvr.media.find import Login
from nvr.media.onvif import Target
from nvr.media.onvif_wish import Wish

_KNOWN_S: Final = 5.0
"""So long a log-in is used before it is read again: a held stick asks seven times a second."""


def exceptions(config: Config, board: Board) -> list[str]:
    """Addresses on this box at which there are cameras all the same: the board's dome, and more."""
    dome = [f"127.0.0.1:{board.dome.rtsp_port}"] if board.dome else []
    return [*config.local_cameras, *dome]


class Services:
    """Asks a camera by its name.

    Args:
        link: Through which.
        data: Where passwords are.
        find: Settings of a camera, None if there is none of that name.
    """

    def __init__(
        self, link: Link, data: DataDirectory, find: Callable[[str], written.Camera | None]
    ) -> None:
        self.link = link
        self._data = data
        self.find = find
        self._targets: dict[str, tuple[float, Target]] = {}

    async def ask(self, camera: str, wish: Wish[Any]) -> Any:  # noqa: ANN401 - as the wish says
        """Put a question to a camera. See `nvr.media.onvif_wish.OnvifClient.ask`.

        Raises:
            Misconfigured: ``onvif.unsupported``: it has no ``[camera.onvif]``.
            NvrError: As the client's.
        """
        return await self.link.ask(await self._target(camera), wish)

    async def let_go(self, camera: str) -> None:
        """Stop what moves there, and close connections; never raises."""
        known = self._targets.pop(camera, None)
        if known is not None:
            await self.link.let_go(known[1])

    async def _target(self, name: str) -> Target:
        known = self._targets.get(name)
        if known is not None and time.monotonic() - known[0] < _KNOWN_S:
            return known[1]
        camera = self.find(name)
        if camera is None or camera.onvif is None:
            raise Misconfigured("onvif.unsupported", "this camera has no [camera.onvif]")
        secrets = await asyncio.to_thread(self._data.secrets)
        secret = secrets.camera.get(name)
        password = secret.password if secret and camera.user else ""
        onvif = camera.onvif
        target = target_of(Login(onvif.address, camera.user, password, onvif.pin or ""))
        self._targets[name] = (time.monotonic(), target)
        return target
