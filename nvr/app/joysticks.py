"""The joysticks at the box: found, opened, understood; once gone, what they moved stands still."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.base.log import event
from nvr.hal import joystick as device
from nvr.hal import linux_joystick, virtual_joystick
from nvr.hal.uevent import HEARD_LOOK_S, SETTLE_S, changes, look_again
from nvr.media.joystick import JoystickProfile, JoystickState, unknown_joystick
from nvr.media.ports import Ptz
from nvr.ptz.hand import renew
from nvr.ptz.joystick import Joystick
from nvr.ptz.stick import guessed
from nvr.ptz.stick_book import StickBook

_log = logging.getLogger(__name__)

SIMULATED = "joystick"


@dataclass(slots=True)
class _Plugged:
    device: device.Joystick
    stick: Joystick


class BoxJoysticks:
    """See `nvr.media.joystick.Joysticks`.

    Args:
        data: The data directory: profiles.
        sim: Directory of the simulated devices.
        ptz: Heads.
        clock: Time source.
        room: Raises if nothing more could be written down.
        take: Whether any are taken; else only profiles for pages are kept.
        input_directory: Where the kernel's devices are.
    """

    def __init__(
        self,
        data: Path,
        sim: Path,
        ptz: Ptz,
        clock: Clock,
        room: Callable[[], None],
        *,
        take: bool = True,
        input_directory: Path = linux_joystick.INPUT,
    ) -> None:
        self._book = StickBook(data)
        self._sim = sim / SIMULATED
        self._input = input_directory
        self._take = take
        self._ptz, self._clock, self._room = ptz, clock, room
        self._plugged: dict[Path, _Plugged] = {}
        self._others: set[Path] = set()
        """Input devices that are no joysticks; each is asked once."""
        self._moving = asyncio.Event()
        self._writing = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Take what is plugged in, renew what is moved, read files again. Runs until cancelled."""
        if not self._take:
            while True:
                await self._reread()
                await asyncio.sleep(HEARD_LOOK_S)
        async with asyncio.TaskGroup() as group:
            sticks = lambda: [it.stick for it in self._plugged.values()]  # noqa: E731 - local shorthand
            group.create_task(renew(self._moving, sticks))
            group.create_task(self._watch())

    def close(self) -> None:
        """Let everything go."""
        for path in list(self._plugged):
            self._pulled(path)

    def joysticks(self) -> tuple[JoystickState, ...]:  # noqa: D102 - see Joysticks
        found = (it.stick.state() for it in self._plugged.values())
        return tuple(sorted(found, key=lambda it: it.number))

    def learn(self, number: int) -> JoystickState:  # noqa: D102 - see Joysticks
        stick = self._find(number)
        stick.learn()
        return stick.state()

    def aim(self, number: int, camera: str) -> None:  # noqa: D102 - see Joysticks
        self._find(number).aim(camera)

    def profiles(self) -> Mapping[str, JoystickProfile]:  # noqa: D102 - see Joysticks
        return self._book.profiles

    def damaged(self) -> Mapping[str, str]:  # noqa: D102 - see Joysticks
        return self._book.damaged

    async def write_profile(self, profile: JoystickProfile) -> None:  # noqa: D102 - see Joysticks
        async with self._writing:
            await asyncio.to_thread(self._book.write, profile)
        self._teach(profile.device)

    async def drop_profile(self, device: str) -> None:  # noqa: D102 - see Joysticks
        async with self._writing:
            await asyncio.to_thread(self._book.drop, device)
        self._teach(device)

    async def _reread(self) -> None:
        async with self._writing:
            changed = await asyncio.to_thread(self._book.look)
        for key in changed:
            event(_log, logging.INFO, "joystick.profile_read", key=key)
            self._teach(key)

    def _find(self, number: int) -> Joystick:
        for it in self._plugged.values():
            if it.stick.number == number:
                return it.stick
        raise unknown_joystick(number)

    def _teach(self, key: str) -> None:
        for it in self._plugged.values():
            if it.stick.key == key:
                profile, learned = self._profile(it.device.layout)
                it.stick.teach(profile, learned=learned)

    def _profile(self, layout: device.Layout) -> tuple[JoystickProfile, bool]:
        learned = self._book.profiles.get(layout.key)
        return (learned, True) if learned else (guessed(layout), False)

    async def _watch(self) -> None:
        with changes(linux_joystick.SUBSYSTEM) as (changed, heard):
            try:
                while True:
                    await self._reread()
                    self._look()
                    rare = heard and not self._sim.exists()
                    if await look_again(changed, rare=rare):
                        await asyncio.sleep(SETTLE_S)
            finally:
                self.close()

    def _look(self) -> None:
        """Open what was not there before; a joystick that is gone says so itself."""
        found = set(linux_joystick.nodes(self._input))
        self._others &= found
        for path in sorted(found - self._others - self._plugged.keys()):
            with contextlib.suppress(NvrError):  # gone again, or its rights are not set yet
                self._open(path, linux_joystick.open_joystick(path))
        for path in virtual_joystick.nodes(self._sim):
            if path not in self._plugged:
                with contextlib.suppress(NvrError):
                    self._open(path, virtual_joystick.open_joystick(path))

    def _open(self, path: Path, opened: device.Joystick | None) -> None:
        if opened is None:
            self._others.add(path)
            return
        taken = {it.stick.number for it in self._plugged.values()}
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        layout = opened.layout
        stick = Joystick(
            number, layout, opened.standing, self._profile(layout),
            ptz=self._ptz, clock=self._clock, room=self._room,
        )  # fmt: skip
        self._plugged[path] = _Plugged(opened, stick)
        self._loop.add_reader(opened.fileno(), self._heard, path)
        event(
            _log, logging.INFO, "joystick.plugged",
            joystick=number, key=layout.key, path=str(path),
        )  # fmt: skip

    def _heard(self, path: Path) -> None:
        it = self._plugged[path]
        try:
            standings = it.device.read()
        except NvrError as err:
            self._pulled(path)
            event(
                _log, logging.WARNING, "joystick.gone",
                joystick=it.stick.number, key=it.stick.key, error=err.detail,
            )  # fmt: skip
            return
        it.stick.heard(standings)
        if it.stick.moving:
            self._moving.set()

    def _pulled(self, path: Path) -> None:
        it = self._plugged.pop(path)
        it.stick.lost()
        self._loop.remove_reader(it.device.fileno())
        it.device.close()
