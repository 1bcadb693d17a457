"""The serial lines of the box as people see them, and the keyboards that are listened to."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tomlkit

from nvr.app.cameras import CameraTable
from nvr.app.control import Control, open_serial
from nvr.app.edit import Change
from nvr.base.clock import Clock
from nvr.config.keyboard import Keyboard as Written
from nvr.config.keyboard import numbered
from nvr.hal.board import Board, Serial
from nvr.media.desk import (
    HeadOnLine,
    KeyboardSettings,
    LineState,
    Overheard,
    unknown_line,
)
from nvr.media.ports import PtzStatus
from nvr.ptz.answer import answer_to
from nvr.ptz.hand import renew
from nvr.ptz.journal import Journal
from nvr.ptz.keyboard import Keyboard
from nvr.ptz.keyboard_line import KeyboardLine, LineNews


@dataclass(slots=True)
class _Listened:
    """A line that is listened to."""

    line: KeyboardLine
    keyboard: Keyboard
    journal: Journal
    role: str
    news: LineNews
    since_us: int


class Desk:
    """Keyboards and lines. See `nvr.media.desk.SerialLines`.

    Args:
        board: What the box has.
        control: Its lines with decoders.
        cameras: Which camera has which number.
        sim: Directory of the simulated devices.
        clock: Time source.
        room: Raises if nothing more could be written down.
    """

    def __init__(
        self,
        board: Board,
        control: Control,
        cameras: CameraTable,
        sim: Path,
        clock: Clock,
        room: Callable[[], None],
    ) -> None:
        self._board = board
        self._control = control
        self._cameras = cameras
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._moving = asyncio.Event()
        self._listened: dict[str, _Listened] = {}
        for name, line in board.serial.items():
            if line.role != "decoder":
                self._listened[name] = self._listen(name, line, sim, room)
        for each in self._listened.values():
            each.line.start()

    def _listen(self, name: str, line: Serial, sim: Path, room: Callable[[], None]) -> _Listened:
        written = {one.port: one for one in self._cameras.roster.config.keyboard}
        settings = settings_of(written[name]) if name in written else KeyboardSettings()
        journal = Journal(self._clock)
        keyboard = Keyboard(
            name,
            settings,
            ptz=self._control.ptz,
            clock=self._clock,
            cameras=lambda: self._numbers(name),
            room=room,
            passive=line.role == "tap",
        )
        listener = KeyboardLine(
            name,
            partial(open_serial, line, sim),
            line.bauds,
            clock=self._clock,
            tell=partial(self._post, name),
            overheard=journal.add,
        )
        news = LineNews("searching", listener.baud)
        return _Listened(listener, keyboard, journal, line.role, news, self._clock.wall_us())

    def _post(self, name: str, news: LineNews) -> None:  # in the thread of the line
        with contextlib.suppress(RuntimeError):  # the loop has ended before the thread did
            self._loop.call_soon_threadsafe(self._heard, name, news)

    def _numbers(self, name: str) -> Mapping[int, str]:
        it = self._listened[name]
        cameras = it.keyboard.settings.cameras
        if cameras is None:
            return {} if it.role == "tap" else numbered(self._cameras.configured())
        return cameras

    def _heard(self, name: str, news: LineNews) -> None:
        it = self._listened[name]
        if news.kind != "heard":
            if news.kind != it.news.kind:
                it.since_us = self._clock.wall_us()
            it.news = news
            if news.kind in {"lost", "searching"}:
                it.keyboard.lost()
            return
        for said in news.said:
            it.keyboard.heard(said)
            self._answer(it, said.data)
        if it.keyboard.moving:
            self._moving.set()

    def _answer(self, it: _Listened, command: bytes) -> None:
        if not it.keyboard.settings.answer or it.role == "tap":
            return
        data = answer_to(command, self._status_of(it))
        if data:
            it.line.answer(data)

    def _status_of(self, it: _Listened) -> Callable[[int], PtzStatus | None]:
        def status(address: int) -> PtzStatus | None:
            camera = self._numbers(it.line.name).get(address)
            heads = self._control.ptz.cameras()
            return self._control.ptz.status(camera) if camera in heads else None

        return status

    async def run(self) -> None:
        """Renew what keyboards move, and let go what they no longer speak of."""
        keyboards = [it.keyboard for it in self._listened.values()]
        await renew(self._moving, lambda: keyboards)

    def close(self) -> None:
        """Let everything go, and end the threads; blocks."""
        for it in self._listened.values():
            it.line.close()
            it.keyboard.lost()

    def lines(self) -> tuple[LineState, ...]:  # noqa: D102 - see SerialLines
        return tuple(
            self._listening(name, line) if name in self._listened else self._steering(name, line)
            for name, line in self._board.serial.items()
        )

    def overheard(self, name: str, after: int) -> tuple[Overheard, ...]:  # noqa: D102 - see SerialLines
        journals = self._control.journals | {
            name: it.journal for name, it in self._listened.items()
        }
        if name not in journals:
            raise unknown_line(name)
        return journals[name].after(after)

    async def write_keyboard(self, name: str, settings: KeyboardSettings) -> None:  # noqa: D102 - see SerialLines
        it = self._listened.get(name)
        if it is None:
            raise unknown_line(name)
        await self._cameras.roster.write(keyboard_written(name, settings))
        it.keyboard.let_go()
        it.keyboard.settings = settings

    def _listening(self, name: str, line: Serial) -> LineState:
        it = self._listened[name]
        ear = it.line.ear
        state = it.news.kind if it.news.kind in {"lost", "searching"} else "open"
        keyboard = it.keyboard.state(
            protocol=ear.protocol, frames=ear.frames, noise_bytes=ear.noise_bytes
        )
        return LineState(
            name, line.role, line.path, it.line.baud, state, it.since_us, it.news.detail,
            keyboard=keyboard,
        )  # fmt: skip

    def _steering(self, name: str, line: Serial) -> LineState:
        bus = self._control.buses[name]
        since_us = self._clock.wall_us() - round((self._clock.monotonic_s() - bus.since_s) * 1e6)
        heads = tuple(
            HeadOnLine(camera.name, camera.ptz.address, self._control.protocol(camera.ptz))
            for camera in self._cameras.configured()
            if camera.ptz is not None and camera.ptz.bus == name
        )
        return LineState(
            name,
            line.role,
            line.path,
            line.bauds[0],
            "open" if bus.online else "lost",
            since_us,
            bus.fault,
            heads,
        )


def settings_of(written: Written) -> KeyboardSettings:
    """Return what the file says."""
    cameras, aux = None, KeyboardSettings().aux
    if written.map is not None:
        cameras = {int(number): camera for number, camera in written.map.items()}
    if written.aux is not None:
        aux = {int(number): output for number, output in written.aux.items()}
    return KeyboardSettings(
        cameras,
        aux,
        written.profile,
        written.hold_s or 0.0,
        written.shared,
        written.answer,
    )


def keyboard_written(port: str, settings: KeyboardSettings) -> Change:
    """Return the change of a keyboard; what is usual is left out."""
    usual = KeyboardSettings()

    def change(document: tomlkit.TOMLDocument) -> None:
        entries = document.setdefault("keyboard", tomlkit.aot())
        entry = next((one for one in entries if one.get("port") == port), None)
        if entry is None:
            entry = tomlkit.table()
            entry["port"] = port
            entries.append(entry)
            entry = entries[-1]
        said: dict[str, Any] = {
            "profile": settings.profile if settings.profile != usual.profile else None,
            "hold_s": settings.hold_s or None,
            "shared": settings.shared or None,
            "answer": settings.answer or None,
        }
        for key, value in said.items():
            if value is None:
                entry.pop(key, None)
            else:
                entry[key] = value
        for key, table, left_out in (
            ("aux", settings.aux, settings.aux == usual.aux),
            ("map", settings.cameras, settings.cameras is None),
        ):
            entry.pop(key, None)
            if not left_out:
                inline = tomlkit.inline_table()
                inline.update({str(number): name for number, name in (table or {}).items()})
                entry[key] = inline

    return change
