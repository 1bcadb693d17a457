"""From a camera on the network to one that is recorded. See `nvr.media.find.Finder`."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from nvr.app import edit
from nvr.app.cameras import CameraTable
from nvr.app.diagnosis import findings, suggested
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.permit import Permit
from nvr.capture.permit import check
from nvr.capture.rtsp import Account, Caller
from nvr.capture.trial import try_stream
from nvr.link import discover
from nvr.link.address import target_of, written
from nvr.media import onvif_wish as wish
from nvr.media.camera import CameraState, OnvifSettings, SubSettings
from nvr.media.find import Cure, Examined, Login, Seen, Trial
from nvr.media.head import HeadSettings
from nvr.media.onvif import Device, Profile, Sighting, Target
from nvr.media.onvif_wish import OnvifAsk
from nvr.media.part import Part

GOP_S: Final = 2.0
PICTURE_PX: Final = 224
_AT_ONCE: Final = 4
"""Cameras that are examined at the same time; each costs two streams."""

Draw = Callable[[Part, int], Awaitable[bytes]]
"""A key frame and its width in pixels."""


class Examiner:
    """Looks for cameras and into them; changes nothing of the box.

    Args:
        link: Asks them.
        permit: Whether an address and port may be connected to.
        clock: Time source.
        known: Names and hosts of the cameras of the box.
        draw: Makes a small JPEG of a key frame, empty if it cannot; None for no pictures.
    """

    def __init__(
        self,
        link: OnvifAsk,
        permit: Callable[[str, int], bool],
        clock: Clock,
        known: Callable[[], dict[str, str]],
        draw: Draw | None = None,
    ) -> None:
        self._draw = draw
        self._link = link
        self._permit = permit
        self._clock = clock
        self._known = known
        self._searching = asyncio.Lock()
        self._looking = 0

    async def find(self, where: str = "") -> tuple[Seen, ...]:  # noqa: D102 - see Finder
        if self._searching.locked():
            raise Rejected("camera.busy", "somebody looks for cameras already")
        async with self._searching:
            if where:
                found = await discover.ask_addresses(where, self._permit)
            else:
                found = await discover.search(self._permit)
        return tuple(self._seen(one) for one in found)

    async def examine(self, login: Login, *, watch_s: float | None = None) -> Examined:  # noqa: D102 - see Finder
        target = target_of(login)
        async with self._slot():
            device, profiles, err = await self._asked(target)
            main = sub = None
            if err is None:
                first, second = suggested(profiles, login.main, login.sub)
                main, sub = await asyncio.gather(
                    self._tried(target, first, watch_s), self._tried(target, second, watch_s)
                )
        known = self._name_of(target.host)
        said = findings(device, main, sub, err, login, known)
        name, title = self._named(target, device)
        return Examined(login.address, device, profiles, main, sub, said, name, title, known)

    async def cure(self, login: Login, what: Cure) -> None:  # noqa: D102 - see Finder
        target = target_of(login)
        if what == "clock":
            await self._link.ask(target, wish.SetClock(self._clock.wall_us()))
        elif what == "gop":
            await self._set_gop(target, login)
        else:
            raise Rejected("body.invalid", "the box can set clock or gop", field="what")

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._looking >= _AT_ONCE:
            raise Rejected("camera.busy", "enough cameras are being looked into already")
        self._looking += 1
        try:
            yield
        finally:
            self._looking -= 1

    async def _asked(
        self, target: Target
    ) -> tuple[Device | None, tuple[Profile, ...], NvrError | None]:
        try:
            device = await self._link.ask(target, wish.GetDevice())
        except NvrError as err:
            return None, (), err
        try:
            return device, await self._link.ask(target, wish.GetProfiles()), None
        except NvrError as err:
            return device, (), err

    async def _tried(
        self, target: Target, profile: Profile | None, watch_s: float | None
    ) -> Trial | None:
        if profile is None:
            return None
        try:
            url = await self._link.ask(target, wish.GetStreamUri(profile.token, profile.media2))
        except NvrError as err:
            return Trial(profile, "", err.code, err.detail)
        account = Account(target.user, target.password) if target.user else None
        caller = Caller(url, lambda: account, self._clock, permit=self._permit)
        more = {} if watch_s is None else {"watch_s": watch_s}
        seen = await try_stream(caller, self._clock, **more)
        picture = b""
        if self._draw is not None and seen.key is not None:
            with contextlib.suppress(NvrError):  # it is only to be looked at
                picture = await self._draw(seen.key, PICTURE_PX)
        return Trial(
            profile,
            url,
            seen.code,
            seen.detail,
            seen.codec,
            seen.width_px,
            seen.height_px,
            seen.fps,
            seen.gop_s,
            seen.kbit_s,
            seen.audio,
            seen.transport,
            picture,
        )

    async def _set_gop(self, target: Target, login: Login) -> None:
        profiles = await self._link.ask(target, wish.GetProfiles())
        done: set[str] = set()
        for profile in suggested(profiles, login.main, login.sub):
            if profile is None or not profile.encoder or profile.encoder in done:
                continue
            done.add(profile.encoder)
            frames = max(1, round((profile.fps or 25.0) * GOP_S))
            if profile.gop_frames == 0 or profile.gop_frames > frames:
                await self._link.ask(target, wish.SetGop(profile.encoder, frames, profile.media2))

    def _seen(self, one: Sighting) -> Seen:
        address = written(one.host, one.port, tls=one.tls, path=one.path)
        return Seen(one, address, self._name_of(one.host))

    def _name_of(self, host: str) -> str:
        return next((name for name, its in self._known().items() if its == host), "")

    def _named(self, target: Target, device: Device | None) -> tuple[str, str]:
        """A name that is free, by the last number of its address; and what it calls itself."""
        taken = self._known()
        tail = re.search(r"(\d+)$", target.host)
        base = f"cam-{tail.group(1) if tail else '1'}"[:28]
        name, count = base, 2
        while name in taken:
            name, count = f"{base}-{count}", count + 1
        title = " ".join(filter(None, (device.maker, device.model)))[:64] if device else ""
        return name, title or name


class Onboard(Examiner):
    """The same, and makes them cameras of the box. See `nvr.media.find.Finder`.

    Args:
        link: Asks them.
        permit: Whether an address and port may be connected to.
        clock: Time source.
        cameras: Those of the box.
        draw: See `Examiner`.
    """

    def __init__(
        self,
        link: OnvifAsk,
        permit: Permit,
        clock: Clock,
        cameras: CameraTable,
        draw: Draw | None = None,
    ) -> None:
        super().__init__(link, permit, clock, self._hosts, draw)
        self._places = permit
        self._cameras = cameras

    async def adopt(self, login: Login, name: str, title: str) -> CameraState:  # noqa: D102 - see Finder
        if name in self._hosts():
            raise Rejected("camera.name_taken", "there is a camera of that name", camera=name)
        target = target_of(login)
        main, sub = suggested(
            await self._link.ask(target, wish.GetProfiles()), login.main, login.sub
        )
        if main is None:
            raise Rejected("onvif.no_stream", "the camera offers no stream that can be recorded")
        url = await self._link.ask(target, wish.GetStreamUri(main.token, main.media2))
        second = None
        if sub is not None:
            at = await self._link.ask(target, wish.GetStreamUri(sub.token, sub.media2))
            second = SubSettings(at)
        kept = OnvifSettings(login.address.strip(), login.pin, main.token)
        added = await self._cameras.add(name, title, url, login.user, login.password, second, kept)
        if main.ptz:
            await self._cameras.write_head(name, HeadSettings("", protocol="onvif"))
        return added

    def place(self, name: str) -> tuple[OnvifSettings | None, str]:  # noqa: D102 - see Finder
        camera = next(one for one in self._cameras.configured() if one.name == name)
        host, at = urlsplit(camera.url).hostname or "", camera.onvif
        suggested_at = written(host, 80) if host else ""
        if at is None:
            return None, suggested_at
        return OnvifSettings(at.address, at.pin or "", at.profile or "", at.events), suggested_at

    async def move(self, name: str, onvif: OnvifSettings | None) -> None:  # noqa: D102 - see Finder
        if onvif is not None:
            at = target_of(Login(onvif.address))
            await check(f"rtsp://{written(at.host, at.port)}", self._places)
        await self._cameras.rewrite(name, edit.onvifed(name, onvif))
        head = self._cameras.head(name)
        if head is not None and head.protocol == "onvif":
            await self._cameras.write_head(name, head)  # it is reached elsewhere now

    def _hosts(self) -> dict[str, str]:
        return {c.name: urlsplit(c.url).hostname or "" for c in self._cameras.configured()}
