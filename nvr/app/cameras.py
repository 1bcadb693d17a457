"""The cameras of the box: their settings in the file, their streams, their state."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial

from msgspec.structs import asdict

from nvr.app import edit
from nvr.app.captions import FILE, CaptionLog, noted
from nvr.app.data import DataDirectory, has
from nvr.app.films import makes_sub
from nvr.app.head import kinds, settings_of
from nvr.app.intake import Intake
from nvr.app.masks import Hider, Hiding, MaskTable
from nvr.app.painter import Painter
from nvr.app.reach import keys
from nvr.app.reach import settings as reach_settings
from nvr.app.roster import Roster
from nvr.app.services import exceptions
from nvr.app.settings import (
    addresses_of,
    analyse_settings,
    caption_in,
    encode_settings,
    masks_of,
    plan_settings,
    streams_of,
    sub_in,
    sub_settings,
)
from nvr.app.trouble import Trouble
from nvr.base.clock import Clock
from nvr.base.errors import Rejected
from nvr.base.permit import Permit
from nvr.capture.permit import check
from nvr.capture.rtsp import Caller
from nvr.config import camera as written
from nvr.config.model import Config
from nvr.hal.board import Board
from nvr.media.analyse import AnalyseSettings
from nvr.media.backfill import BackfillSettings
from nvr.media.camera import (
    CameraState,
    CaptionAt,
    CaptionText,
    OnvifSettings,
    PlanSettings,
    Sockets,
    SubSettings,
)
from nvr.media.device import Capture
from nvr.media.drawn import Burn
from nvr.media.encoding import EncodeSettings, EncodingReport
from nvr.media.happening import Happening
from nvr.media.head import HeadSettings
from nvr.media.health import StreamReport
from nvr.media.name import WHICH, Which, camera_of, stream_of, which_of
from nvr.media.transport import Reached, ReachSettings

Burner = Callable[[CaptionText], tuple[str, ...]]
"""Writes a caption into a picture that we encode; returns what the font lacks. Blocks."""


class CameraTable(MaskTable):
    """All cameras of the box. See `nvr.media.camera.Cameras`.

    Args:
        config: As loaded.
        data: Where changes are kept.
        board: What changes are checked against.
        burners: By camera name: who burns its caption.
        clock: Time source.
        hiders: By camera name: who lays masks over its pictures.
        mount: Gives a camera that has these settings its head; None takes it away.

    Attributes:
        intake: Their streams.
        permit: Where they may be.
    """

    def __init__(
        self,
        config: Config,
        data: DataDirectory,
        board: Board,
        burners: Mapping[str, Burner],
        clock: Clock,
        mount: Callable[[str, written.Ptz | None], None],
        hiders: Mapping[str, Hider] | None = None,
    ) -> None:
        self._board = has(board, data.path)
        self._kinds = kinds(data.path)
        self.permit = Permit(exceptions(config, board))
        self._burners = burners
        self._captions = CaptionLog(data.path / FILE)
        self._mount = mount
        self._clock = clock
        self._trouble = Trouble(data.path, clock)
        self.intake = Intake(clock, self._tell, self._trouble.past)
        self.roster = Roster(config, data, board, clock, self.permit, self.intake)
        self.hiding = Hiding(data.path, self.roster.films, hiders or {})
        self.roster.noted = self._note
        self._listeners: dict[object, Callable[[CameraState], None]] = {}
        self._painter: Painter | None = None
        self._note_lock = threading.Lock()
        self._noting: set[asyncio.Future[None]] = set()
        self._open_now: Callable[[str], tuple[Happening, ...]] = lambda _: ()

    def looked_at(
        self,
        follow: Callable[[str, written.Camera | None], None],
        happening: Callable[[str], tuple[Happening, ...]],
    ) -> None:
        """Say who looks at their pictures, and what goes on; once, before `start`."""
        self.roster.follow, self._open_now = follow, happening

    def painted(self, painter: Painter) -> Painter:
        """Say who has cameras draw captions and masks themselves; once, before `start`."""
        self._painter = self.hiding.cameras = painter
        painter.told = self._redrawn
        self.subscribe(painter.seen)
        return painter

    def encoded_here(self, name: str) -> bool:
        """Whether we encode its pictures, and draw into them."""
        return self._burner(name) is not None

    def streams(self) -> tuple[str, ...]:
        """Return the streams to be recorded."""
        return tuple(name for name, it in streams_of(self.roster.config).items() if it.recorded)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Connect every camera; tasks are `group`'s."""
        self.intake.start(group)
        group.create_task(self._trouble.run(self.intake.spells))
        group.create_task(self.roster.films.run())
        self.roster.start()

    def all(self) -> tuple[CameraState, ...]:  # noqa: D102 - see Cameras
        return tuple(map(self._state, self.roster.all()))

    def find(self, name: str) -> CameraState | None:  # noqa: D102 - see Cameras
        camera = self.roster.get(name)
        return self._state(camera) if camera else None

    def has(self, name: str) -> bool:  # noqa: D102 - see Cameras
        return self.roster.get(name) is not None

    def report(self, name: str) -> Mapping[Which, StreamReport]:  # noqa: D102 - see Cameras
        streams = addresses_of(self.roster.must(name))
        return {
            which: self.intake.report(stream_of(name, which))
            for which in WHICH
            if stream_of(name, which) in streams
        }

    async def tolerate(self, name: str, codes: Sequence[str]) -> None:  # noqa: D102 - see Cameras
        self.roster.must(name)
        await self.roster.write(edit.changed(name, {"tolerate": sorted(set(codes))}))
        self.roster.refresh(name)
        for which in WHICH:
            self.intake.look_at(stream_of(name, which))
        self._tell(name)

    async def reconnect(self, name: str) -> None:  # noqa: D102 - see Cameras
        await self.roster.reconnect(name)

    def configured(self) -> list[written.Camera]:
        """Return the settings of all, as they are now."""
        return self.roster.all()

    def settings(self, name: str) -> written.Camera | None:  # noqa: D102 - see MaskTable
        return self.roster.get(name)

    def subscribe(  # noqa: D102 - see Cameras
        self, changed: Callable[[CameraState], None]
    ) -> Callable[[], None]:
        key = object()
        self._listeners[key] = changed

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    async def add(  # noqa: D102 - see Cameras
        self,
        name: str,
        title: str,
        url: str,
        user: str,
        password: str,
        sub: SubSettings | None = None,
        onvif: OnvifSettings | None = None,
        *,
        capture: Capture | None = None,
    ) -> CameraState:
        if self.roster.get(name):
            raise Rejected("config.refused", f"$.camera.name: {name} is used already")
        if not url.startswith(written.LOCAL):
            await check(url, self.permit)
        if sub is not None and sub.url:
            await check(sub.url, self.permit)
        await self.roster.write(edit.added(name, title, url, user, sub, onvif, capture))
        if password:
            await self.roster.write_password(name, password)
        camera = self.roster.on_file(name)
        self.roster.open(camera)
        return self._state(camera)

    async def change(  # noqa: D102 - see Cameras
        self,
        name: str,
        *,
        title: str | None = None,
        user: str | None = None,
        password: str | None = None,
        retain_h: int | None = None,
        guaranteed_h: int | None = None,
        limit_h: int | None = None,
        limit_gb: float | None = None,
    ) -> CameraState:
        self.roster.must(name)
        given = {
            "title": title,
            "user": user,
            "retain_h": retain_h,
            "guaranteed_h": guaranteed_h,
            "limit_h": limit_h,
            "limit_gb": limit_gb,
        }
        wanted = {key: v for key, v in given.items() if v is not None}
        if wanted:
            await self.roster.write(edit.changed(name, wanted))
            self.roster.refresh(name)
        if password is not None:
            await self.roster.write_password(name, password or None)
        if (user, password) != (None, None):
            await self.roster.retry(name)
        self._tell(name)
        return self._state(self.roster.must(name))

    async def remove(self, name: str, by: str = "") -> int:  # noqa: D102 - see Cameras
        self.roster.must(name)
        left = await self._painter.clear(name) if self._painter else 0
        try:
            await self.roster.write(edit.removed(name))
        finally:
            if self._painter:
                self._painter.stays(name)
        await self.roster.write_password(name, None)
        self._mount(name, None)
        self.roster.close(name, by)
        return left

    def head(self, name: str) -> HeadSettings | None:  # noqa: D102 - see Cameras
        ptz = self.roster.must(name).ptz
        return None if ptz is None else settings_of(ptz, self._kinds)

    def sub(self, name: str) -> SubSettings | None:  # noqa: D102 - see Cameras
        sub = self.roster.must(name).sub
        return None if sub is None else sub_settings(sub)

    async def write_sub(  # noqa: D102 - see Cameras
        self, name: str, sub: SubSettings | None, by: str = ""
    ) -> None:
        self.roster.must(name)
        if sub is not None and sub.url:
            await check(sub.url, self.permit)
        await self.roster.write(edit.subbed(name, sub))
        before = self.roster.must(name).sub
        now = self.roster.refresh(name, by).sub
        if before and now and before.url != now.url:
            await self.roster.elsewhere(stream_of(name, "sub"), now.url)
        self.intake.look_at(stream_of(name, "sub"))
        self._tell(name)

    def reach(self, name: str) -> tuple[ReachSettings, Mapping[Which, Reached]]:  # noqa: D102 - see Cameras
        camera = self.roster.must(name)
        found: dict[Which, Reached] = {}
        for which in WHICH:
            stream = stream_of(name, which)
            if stream in addresses_of(camera):
                carried, shown = self.intake.carried(stream), self.roster.reach.fingerprint(stream)
                found[which] = Reached(carried, shown)
        return reach_settings(camera), found

    async def write_reach(self, name: str, wanted: ReachSettings) -> None:  # noqa: D102 - see Cameras
        before = reach_settings(self.roster.must(name))
        if wanted == before:
            return
        await self.roster.write(edit.changed(name, keys(wanted)))
        self.roster.refresh(name)
        for stream, url in addresses_of(self.roster.must(name)).items():
            await self.roster.elsewhere(stream, url)
        self._tell(name)

    def backfill(self, name: str) -> BackfillSettings:  # noqa: D102 - see Cameras
        found = self.roster.must(name).backfill
        return BackfillSettings() if found is None else BackfillSettings(**asdict(found))

    async def write_backfill(self, name: str, wanted: BackfillSettings) -> None:  # noqa: D102 - see Cameras
        if wanted != self.backfill(name):
            await self.roster.write(edit.backfilled(name, wanted))
            self.roster.refresh(name)
            self._tell(name)

    def encoding(self) -> EncodingReport:  # noqa: D102 - see Encoding
        return self.roster.films.report()

    def encode(self, name: str) -> EncodeSettings | None:  # noqa: D102 - see Encoding
        camera = self.roster.must(name)
        return encode_settings(camera.encode) if camera.url.startswith(written.LOCAL) else None

    async def write_encode(self, name: str, settings: EncodeSettings) -> None:  # noqa: D102 - see Encoding
        if self.encode(name) is None:
            raise Rejected("encode.unsupported", "this camera encodes its own picture", camera=name)
        await self.rewrite(name, edit.encoded(name, settings))
        self.roster.films.follow(stream_of(name))
        if self.roster.must(name).sub is not None:
            self.roster.films.follow(stream_of(name, "sub"))

    def plan(self, name: str, which: Which = "main") -> PlanSettings:  # noqa: D102 - see Cameras
        camera = self.roster.must(name)
        return plan_settings(camera.plan if which == "main" else sub_in(camera).plan)

    async def write_plan(  # noqa: D102 - see Cameras
        self, name: str, plan: PlanSettings, which: Which = "main"
    ) -> None:
        self.plan(name, which)
        await self.roster.write(edit.planned(name, which, plan))
        self.roster.refresh(name)
        self.intake.look_at(stream_of(name, which))

    def event(self, name: str, post_s: float | None = None) -> int:  # noqa: D102 - see Cameras
        self.roster.must(name)
        return self.intake.event(name, post_s)

    def analyse(self, name: str) -> AnalyseSettings | None:  # noqa: D102 - see Cameras
        return analyse_settings(self.roster.must(name))

    async def write_analyse(  # noqa: D102 - see Cameras
        self, name: str, wanted: AnalyseSettings | None
    ) -> None:
        await self.rewrite(name, edit.analysed(name, wanted))

    def tell(self, name: str) -> None:
        """Tell of a camera that something changed at it."""
        self._tell(name)

    def sockets(self) -> Sockets:  # noqa: D102 - see Cameras
        buses, outputs = sorted(self._board.buses), sorted(self._board.outputs)
        return Sockets(tuple(buses), tuple(outputs), self._kinds)

    async def write_head(self, name: str, head: HeadSettings | None) -> None:  # noqa: D102 - see Cameras
        camera = await self.rewrite(name, edit.headed(name, head))
        self._mount(name, camera.ptz)

    async def write_caption(  # noqa: D102 - see Cameras
        self, name: str, caption: CaptionText, burn: Burn | None = None
    ) -> tuple[str, ...]:
        self.roster.must(name)
        missing = await asyncio.to_thread(self._burner(name) or partial(self._noted, name), caption)
        await self.rewrite(name, edit.captioned(name, caption, burn))
        return missing

    def caller(self, name: str) -> Caller | None:
        """Who opens one more connection to its main stream, None if it is not on the network.

        Raises:
            Rejected: ``camera.unknown``.
        """
        way = self.roster.way(stream_of(name), self.roster.must(name).url)
        return way if isinstance(way, Caller) else None

    async def rewrite(self, name: str, change: edit.Change) -> written.Camera:  # noqa: D102 - see MaskTable
        self.roster.must(name)
        await self.roster.write(change)
        fresh = self.roster.refresh(name)
        self._tell(name)
        return fresh

    def _note(self, config: Config) -> None:
        with self._note_lock:
            now_us = self._clock.wall_us()
            self._captions.note(config.camera, now_us, self._written)
            self.hiding.note(config.camera, now_us)

    def _written(self, name: str) -> bool:
        """Whether the camera itself writes the caption into its picture."""
        return self._painter is not None and self._painter.writes(name)

    def _redrawn(self, name: str) -> None:
        """What a camera draws has changed: tell of it, and note since when."""
        self._tell(name)
        noting = asyncio.ensure_future(asyncio.to_thread(self._note, self.roster.config))
        self._noting.add(noting)
        noting.add_done_callback(self._noting.discard)

    def _noted(self, name: str, caption: CaptionText) -> tuple[str, ...]:
        missing = noted(caption)
        self.roster.films.burn(name, caption)  # into a sub stream that is made here
        return missing

    def caption_to_burn(self, stream: str) -> CaptionAt | None:
        """What an export burns into pictures, None if they carry it already; any thread."""
        name = camera_of(stream)
        camera = self.roster.get(name)
        made = camera is not None and which_of(stream) == "sub" and makes_sub(camera)
        return None if made or self._burner(name) else self._captions.of(name)

    def captions_over(  # noqa: D102 - see Cameras
        self, name: str, span: tuple[int, int]
    ) -> list[tuple[int, CaptionText]]:
        return [] if self._burner(name) else self._captions.between(name, *span)

    def _burner(self, name: str) -> Burner | None:
        """Who burns a camera's caption, None if its pictures come as they are."""
        camera = self.roster.get(name)
        if camera is not None and self.roster.films.burns(camera):
            return partial(self.roster.films.burn, name)
        return self._burners.get(name)

    def _tell(self, name: str) -> None:
        camera = self.roster.get(name)
        if camera is None:
            return
        state = self._state(camera)
        for changed in list(self._listeners.values()):
            changed(state)

    def _state(self, config: written.Camera) -> CameraState:
        main = self.intake.state(stream_of(config.name))
        return CameraState(
            **{each.name: getattr(main, each.name) for each in fields(main)},
            name=config.name,
            title=config.title or config.name,
            record_behind=self.intake.behind(),
            retain_h=config.retain_h,
            guaranteed_h=config.guaranteed_h,
            limit_h=config.limit_h or 0,
            limit_gb=config.limit_gb or 0.0,
            caption=caption_in(config),
            caption_burned=self.encoded_here(config.name) or self._written(config.name),
            caption_burn=config.caption.burn if config.caption else "auto",
            caption_drawn=self._painter.caption(config.name) if self._painter else None,
            masks=masks_of(config),
            masks_burned=self.hiding.carried(config),
            mask_burn=config.mask_burn,
            masks_drawn=self._painter.masks(config.name) if self._painter else None,
            sub=self.intake.state(stream_of(config.name, "sub")) if config.sub else None,
            sub_captioned=makes_sub(config),
            happening=self._open_now(config.name),
            looked_at=bool(config.analyse and config.analyse.on),
        )
