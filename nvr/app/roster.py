"""The cameras' settings, as the file says and as they are in force; streams follow them at once."""

import asyncio
from collections.abc import Callable

from nvr.app import edit
from nvr.app.data import DataDirectory, has
from nvr.app.films import Films
from nvr.app.intake import Intake, Way
from nvr.app.reach import Reach
from nvr.app.settings import addresses_of, main_of, sub_of
from nvr.base.clock import Clock
from nvr.base.errors import Rejected
from nvr.base.permit import Permit
from nvr.capture.rtsp import Account
from nvr.config import camera as written
from nvr.config import load
from nvr.config.model import Config
from nvr.hal.board import Board
from nvr.media.name import camera_of, stream_of, which_of

Follow = Callable[[str, written.Camera | None], None]
"""Told a camera's name and its settings, None when it is gone."""


class Roster:
    """The cameras there are, and their streams.

    Args:
        config: As loaded.
        data: Where changes are kept.
        board: What changes are checked against.
        clock: Time source.
        permit: Where network cameras may be.
        intake: Their streams.

    Attributes:
        config: As it is now.
        noted: Told the configuration at the start and after each change; blocks.
        films: Local cameras.
        reach: Network cameras.
        follow: Who else follows the settings.
    """

    def __init__(
        self,
        config: Config,
        data: DataDirectory,
        board: Board,
        clock: Clock,
        permit: Permit,
        intake: Intake,
    ) -> None:
        self.config = config
        self.noted: Callable[[Config], None] = lambda _: None
        self.follow: Follow = lambda _name, _camera: None
        self._data = data
        self._board = has(board, data.path)
        self._intake = intake
        self.films = Films(board, data.path, clock, intake.filmed, self.must)
        self.reach = Reach(permit, data.path, self._account, clock)
        self._cameras: dict[str, written.Camera] = {}

    def all(self) -> list[written.Camera]:
        """Return the settings of all."""
        return list(self._cameras.values())

    def get(self, name: str) -> written.Camera | None:
        """Return the settings of one, None if there is none of that name."""
        return self._cameras.get(name)

    def must(self, name: str) -> written.Camera:
        """Return the settings of one.

        Raises:
            Rejected: ``camera.unknown``.
        """
        camera = self._cameras.get(name)
        if camera is None:
            raise Rejected("camera.unknown", "there is no such camera", camera=name)
        return camera

    def start(self) -> None:
        """Connect every camera; the intake runs."""
        self.noted(self.config)
        self._data.secrets()  # at the start a file that is wrong is said at once
        for camera in self.config.camera:
            self.open(camera)

    async def write(self, change: edit.Change) -> None:
        """Change the file, for good; what is in force stays as it is.

        Raises:
            Rejected: ``config.refused``.
        """
        self.config = await asyncio.to_thread(
            load.edit, self._data.config_path, change, board=self._board
        )
        await asyncio.to_thread(self.noted, self.config)

    async def write_password(self, name: str, password: str | None) -> None:
        """Change a camera's password, None for none."""
        await asyncio.to_thread(load.edit_secrets, self._data.secrets_path, name, password)

    def on_file(self, name: str) -> written.Camera:
        """Return what the file says of a camera."""
        return next(camera for camera in self.config.camera if camera.name == name)

    def open(self, camera: written.Camera) -> None:
        """Have a camera, and its streams connected."""
        self._cameras[camera.name] = camera
        stream = stream_of(camera.name)
        self._intake.open(stream, self.way(stream, camera.url), main_of(camera))
        self._follow_sub(camera)
        self.follow(camera.name, camera)

    def refresh(self, name: str, by: str = "") -> written.Camera:
        """Put in force what the file says of a camera, as `by` wants; returns it."""
        fresh = self._cameras[name] = self.on_file(name)
        self._intake.set(stream_of(name), main_of(fresh))
        self._follow_sub(fresh, by)
        self.follow(name, fresh)
        return fresh

    def close(self, name: str, by: str) -> None:
        """Have a camera no more."""
        camera = self._cameras.pop(name)
        self.follow(name, None)
        for stream in addresses_of(camera):
            self.reach.forget(stream)
            self._intake.close(stream, by)
            self.films.forget(stream)

    async def retry(self, name: str) -> None:
        """Try now what would wait."""
        for stream, url in addresses_of(self.must(name)).items():
            await self._intake.retry(stream, self.way(stream, url))

    async def reconnect(self, name: str) -> None:
        """Give up all connections of a camera for others."""
        for stream, url in addresses_of(self.must(name)).items():
            if self._intake.settings(stream) is not None:
                await self._intake.reconnect(stream, self.way(stream, url))

    async def elsewhere(self, stream: str, url: str) -> None:
        """A stream is at another address."""
        self.reach.forget(stream)
        await self._intake.reconnect(stream, self.way(stream, url))

    def way(self, stream: str, url: str) -> Way:
        """How a stream is come by."""
        camera = self.must(camera_of(stream))
        if camera.url.startswith(written.LOCAL):
            if which_of(stream) == "sub":
                return self.films.sub_film(camera.name)
            return self.films.film(camera.name, url)
        return self.reach.caller(stream, camera, url)

    def _follow_sub(self, camera: written.Camera, by: str = "") -> None:
        """Open, change or close its sub stream, as the settings say now."""
        stream, sub = stream_of(camera.name, "sub"), camera.sub
        opened = self._intake.settings(stream) is not None
        if sub is None:
            if opened:
                self._intake.close(stream, by)
                self.films.forget(stream)
        elif opened:
            self._intake.set(stream, sub_of(camera, sub), by)
            self.films.follow(stream)
        else:
            self._intake.open(stream, self.way(stream, sub.url), sub_of(camera, sub))

    def _account(self, name: str) -> Account | None:
        """Who we are on a camera, as the files say now: passwords change while we run."""
        user = self._cameras[name].user
        if not user:
            return None
        secret = self._data.secrets().camera.get(name)
        return Account(user, secret.password if secret else "")
