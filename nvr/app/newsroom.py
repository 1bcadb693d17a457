"""Gathers what happens on the box into news, and hands them to whoever tells upstream systems."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from nvr.auth.audit import Entry
from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.media.camera import BoxState, Cameras, CameraState
from nvr.media.happening import BOX, LINES, TROUBLES, Happening
from nvr.media.news import AUDIT, News, Severity, What
from nvr.serve.notify.mqtt_state import VolumeSeen
from nvr.web.parts import VolumeLook

LOOK_S: Final = 2.0
VOLUMES_S: Final = 10.0
_AWAY = frozenset(("lost", "refused", "unsupported", "frozen"))
_STATE: dict[str, Severity] = {"ok": "info", "refused": "warning", "failed": "warning"}


class Newsroom:
    """Turns what others know into news.

    Args:
        cameras: Told when one is lost, or not recorded.
        box: Asked what is the matter with it.
        volumes: Asked how they do; blocks.
        clock: Time source.

    Attributes:
        offer: Takes news, in the event loop's thread.
    """

    def __init__(
        self,
        cameras: Cameras,
        box: BoxState,
        volumes: Callable[[], Sequence[VolumeLook]],
        clock: Clock,
    ) -> None:
        self._box, self._clock = box, clock
        self._cameras, self._ask_volumes = cameras, volumes
        self._loop = asyncio.get_running_loop()
        self._start = secrets.token_hex(6)
        self._number = 0
        self._open: dict[tuple[str, str, str], News] = {}
        self._volumes: tuple[VolumeSeen, ...] = ()
        self.offer: Callable[[News], None] = lambda _news: None

    def volumes(self) -> Sequence[VolumeSeen]:
        """The volumes, as last looked at."""
        return self._volumes

    async def run(self) -> None:
        """Look at what tells nobody by itself, for as long as the box runs."""
        self._tell(self.news("box.started", severity="notice"))
        end = self._cameras.subscribe(self._camera)
        volumes_s = -VOLUMES_S
        try:
            while True:
                if self._clock.monotonic_s() - volumes_s >= VOLUMES_S:
                    volumes_s = self._clock.monotonic_s()
                    found = await asyncio.to_thread(self._ask_volumes)
                    self._volumes = tuple(map(_seen, found))
                self._look_at_box()
                for camera in self._cameras.all():
                    self._camera(camera)
                await self._clock.sleep(LOOK_S)
        finally:
            end()

    def happened(self, one: Happening) -> None:
        """Take what began or ended; from any thread."""
        if one.camera != BOX and one.kind in LINES:
            return  # the box itself tells of its lines
        at_us = one.from_us if one.to_us is None else one.to_us
        severity: Severity = "warning" if one.kind in {*TROUBLES, "tamper"} else "notice"
        more: dict[str, str] = {"source": one.source} if one.source else {}
        self._from_thread(
            self.news(
                one.kind, "begin" if one.to_us is None else "end", camera=one.camera,
                name=one.zone, severity=severity, at_us=at_us, more=more,
            )
        )  # fmt: skip

    def noted(self, at_us: int, entry: Entry) -> None:
        """Take a row of the audit log; from any thread."""
        more = {
            "category": entry.category, "action": entry.action, "state": entry.state,
            "who": entry.who, "from": entry.source, "device": entry.hardware_no,
        }  # fmt: skip
        said = f"{entry.action} {entry.state} {entry.reason}".strip()
        self._from_thread(
            self.news(
                AUDIT, camera=entry.camera, severity=_STATE[entry.state], at_us=at_us,
                detail=said, more=more,
            )
        )  # fmt: skip

    def news(
        self,
        event: str,
        what: What = "once",
        *,
        camera: str = BOX,
        name: str = "",
        severity: Severity = "notice",
        code: str = "",
        detail: str = "",
        at_us: int | None = None,
        more: dict[str, str] | None = None,
    ) -> News:
        """Make news of now; the number is given when they are told."""
        at_us = self._clock.wall_us() if at_us is None else at_us
        return News("", at_us, event, what, camera, name, severity, code, detail, more or {})

    def numbered(self, news: News) -> News:
        """Return the same with a number of its own."""
        self._number += 1
        return replace(news, id=f"{self._start}-{self._number}")

    def _from_thread(self, news: News) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._tell, news)

    def _tell(self, news: News) -> None:
        self.offer(self.numbered(news))

    def _camera(self, camera: CameraState) -> None:
        lost = camera.state in _AWAY
        self._follow(
            ("camera.lost", camera.name, ""), lost, camera.code, camera.detail, "warning",
            sure=camera.state != "connecting",
        )  # fmt: skip
        missing = camera.not_recorded
        code = "" if missing is None else missing.code
        cause = "" if missing is None else missing.cause
        why = ("record.stopped", camera.name, "")
        self._follow(why, missing is not None, code, cause, "error")

    def _look_at_box(self) -> None:
        fault = self._box.fault()
        wrong: list[tuple[str, NvrError]] = [("box.warning", one) for one in self._box.warnings()]
        if fault is not None:
            wrong.append(("box.fault", fault))
        now = {(event, BOX, err.code): err for event, err in wrong}
        for key, err in now.items():
            severity: Severity = "alert" if key[0] == "box.fault" else "warning"
            self._follow(key, True, err.code, err.detail, severity)
        for key in [key for key in self._open if key[0].startswith("box.") and key not in now]:
            self._follow(key, False, "", "", "notice")

    def _follow(
        self, key: tuple[str, str, str], is_so: bool, code: str, detail: str,
        severity: Severity, *, sure: bool = True,
    ) -> None:  # fmt: skip
        """Tell when something begins, and when it is over."""
        event, camera, name = key
        was = self._open.get(key)
        if is_so and was is None:
            news = self.news(
                event, "begin", camera=camera, name=name, severity=severity, code=code,
                detail=detail,
            )  # fmt: skip
            self._open[key] = news
            self._tell(news)
        elif not is_so and was is not None and sure:
            del self._open[key]
            self._tell(self.news(event, "end", camera=camera, name=name, code=was.code))


def _seen(look: VolumeLook) -> VolumeSeen:
    code = "" if look.fault is None else look.fault.code
    return VolumeSeen(look.name, look.role, code, look.state.size_bytes if look.state else 0)
