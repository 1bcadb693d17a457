"""Cameras that are looked at: by their settings, with what is found written down and acted upon."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future
from pathlib import Path

from nvr.analyse.gaze import CODECS, Aim, Found, Now
from nvr.analyse.grid import MOST_ZONES, Zone
from nvr.analyse.judge import LEARNED
from nvr.analyse.store import FILE, Store
from nvr.analyse.talk import Still, grey_of
from nvr.analyse.tap import units
from nvr.analyse.worker import Analyst, Health, ModelFile
from nvr.app.detector import Detector, sought, why
from nvr.app.settings import analyse_settings
from nvr.auth.audit import Audit, Entry
from nvr.base.clock import Clock
from nvr.base.errors import Damaged, NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.config import camera as written
from nvr.media.aim import Grey
from nvr.media.analyse import DetectorState, LookNow, ZoneNow, looked
from nvr.media.fragment import samples
from nvr.media.gpio import STROKE
from nvr.media.happening import OBJECT, TROUBLES, Kind, is_object
from nvr.media.name import stream_of
from nvr.media.part import Fragment, Part
from nvr.media.ports import Hub, Operator, PartSink, Ptz, PtzStatus
from nvr.media.track import StreamConfig

_log = logging.getLogger(__name__)

MEMORIES = "analyse"
_STEPS = frozenset(("ptz.preset_call", "ptz.move", "ptz.stop", "ptz.release", "ptz.refused"))
_SHOW_S = 5.0
_AGAIN_S = 2.0
_WIPER = "wiper"
_TRAVEL_S = 10.0
"""A head may need so long to a preset."""
_LUMA_PX = 320
_STILL_S = 8.0
"""A camera may have so long between two key frames; then there is no picture of it."""
_TRIM_S = 3600.0


class Told:
    """Passes on what heads are told: to the audit log, and to who looks at their pictures."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self.also: Callable[[str, str], None] = lambda _action, _camera: None

    def control(self, action: str, who: Operator, camera: str, detail: str) -> None:
        """See `Audit.control`."""
        # Of a tour and of a wiper's program the begin and the end have a row, not each of the
        # ten thousand steps a day.
        step = who.role in {"tour", "schedule"} and action in _STEPS
        if not step and not who.source.startswith(STROKE):
            self._audit.control(action, who, camera, detail)
        self.also(action, camera)


class Analysis:
    """Looks at the cameras of the box. See `nvr.media.analyse.Looks`.

    Args:
        data: Directory for what is found and learned.
        clock: Time source.
        audit: Told of what is wrong with pictures.
        ptz: Knows which heads move.
        happened: Called in the event loop with the camera of which something began or ended.
        record: Has a camera recorded now, as its plan says.
        model: What finds objects, None if nothing does.

    Attributes:
        store: What happened.
        began: Told the camera, the sort and the zone of what begins; in the event loop.
    """

    def __init__(
        self,
        data: Path,
        clock: Clock,
        audit: Audit,
        ptz: Ptz,
        happened: Callable[[str], None],
        record: Callable[[str], object],
        model: ModelFile | None = None,
    ) -> None:
        self._clock, self._audit = clock, audit
        self._tell, self._record = happened, record
        self._loop = asyncio.get_running_loop()
        self._memories = data / MEMORIES
        self._settings: dict[str, written.Camera] = {}
        self._restless: dict[str, bool] = {}
        self._turning_s: dict[str, float] = {}
        self.store = Store(data / FILE, self._keep_us)
        self._analyst = Analyst(
            clock,
            self._found,
            hushed=self._hushed,
            remember=self._remember,
            recall=self._recall,
            model=model,
        )
        self._detector = Detector(model, self._analyst.knows)
        self._aims: dict[str, Aim | None] = {}
        self._found_objects: Counter[tuple[str, str]] = Counter()
        self._end_ptz = ptz.subscribe(self._head)
        self.began: Callable[[str, str, str], None] = lambda _camera, _sort, _zone: None
        self._hub: Hub | None = None
        self._stopped = False

    def start(self, hub: Hub) -> None:
        """Begin; end it with `close`."""
        self._hub = hub
        self._analyst.start()

    def close(self) -> None:
        """End what goes on."""
        self._stopped = True
        self._end_ptz()
        self._analyst.stop()
        self.store.close()

    def after(self, sink: PartSink) -> PartSink:
        """Return a sink for parts that hands them to `sink` first, and then to who looks."""
        tap = self._analyst.tap

        def both(parts: list[Part]) -> None:
            sink(parts)
            tap(parts)

        return both

    def health(self) -> Health:
        """How looking goes."""
        return self._analyst.health()

    def going_on(self) -> list[tuple[str, str]]:
        """Camera and kind of what goes on."""
        found = ((name, one.kind) for name in self._settings for one in self.store.open(name))
        return sorted(set(found))

    def follow(self, name: str, camera: written.Camera | None) -> None:
        """Look at a camera as its settings say now; None if it is no more."""
        if camera is None:
            self._settings.pop(name, None)
            self._aims.pop(name, None)
            self._analyst.aim(name, None)
            self._path(name).unlink(missing_ok=True)
            self.store.forget(name)
            return
        self._settings[name] = camera
        self._take_aim(name, camera)

    def _take_aim(self, name: str, camera: written.Camera) -> None:
        """Look as the settings say at this time, if that is otherwise than before."""
        aim, before = _aim(camera, self._clock.wall_us()), self._aims.get(name)
        if aim == before:
            return
        self._aims[name] = aim
        self._analyst.aim(name, aim)
        is_so, was_so = (one.sought if one else None for one in (aim, before))
        if bool(is_so) != bool(was_so):
            self._note_objects(name, camera, begun=is_so is not None)

    def _note_objects(self, name: str, camera: written.Camera, *, begun: bool) -> None:
        """Have the log say that objects are looked for, what for, for whom; or that it is over."""
        said = camera.analyse.objects if camera.analyse else None
        what = "objects.begun" if begun else "objects.ended"
        entry = Entry(
            "event", what, "ok", why(said) if said else "", who="analyse", camera=name,
            hardware_no=f"camera:{name}",
        )  # fmt: skip
        with contextlib.suppress(NvrError):  # a log that is full says so itself
            self._audit.record(entry)

    async def run(self) -> None:
        """Have what goes on recorded, and what is too old erased, for as long as the box runs."""
        trimmed_s = 0.0
        while True:
            for name, camera in list(self._settings.items()):
                self._take_aim(name, camera)  # the last day of something may be over
                if camera.analyse is not None and camera.analyse.on:
                    on = {one.kind for one in self.store.open(name)}
                    if _wanted(on, camera.analyse.record_on):
                        self._report(name)
            if self._clock.monotonic_s() - trimmed_s > _TRIM_S:
                trimmed_s = self._clock.monotonic_s()
                await asyncio.to_thread(self.store.trim, self._clock.wall_us())
            await self._clock.sleep(_AGAIN_S)

    def reported(self, camera: str, until_us: int) -> None:  # noqa: D102 - see Looks
        at_us = self._clock.wall_us()
        made = self.store.begin(camera, "reported", "", at_us)
        if made is not None:
            self.store.end(camera, "reported", "", max(at_us, until_us))
        self.began(camera, "reported", "")

    def now(self, camera: str) -> LookNow:  # noqa: D102 - see Looks
        settings = self._settings.get(camera)
        if settings is None or self._aims.get(camera) is None:
            return LookNow("off")
        health, now = self._analyst.health(), self._analyst.show(camera, _SHOW_S)
        if health.failed is not None:
            return LookNow("failed", health.failed.code)
        if (blamed := self._analyst.blamed(camera)) is not None:
            return LookNow("failed", blamed.code)
        if now is None or now.seen is None:
            return LookNow("waiting")
        return self._look(camera, now, slow=health.slow)

    def _look(self, camera: str, now: Now, *, slow: bool) -> LookNow:
        seen = now.seen
        assert seen is not None
        zones = zip(self._analyst.thresholds(camera), seen.zones, strict=False)
        return LookNow(
            "looking" if seen.learned >= LEARNED else "learning",
            stream=now.stream,
            keys_only=now.keys_only,
            slow=slow,
            at_us=now.at_us,
            cells=now.map,
            zones=tuple(ZoneNow(name, cells, least) for (name, least), cells in zones),
            on=tuple(one.kind for one in self.store.open(camera)),
            luma=max(0, min(255, seen.mean // 16)),
            sharp_permille=seen.sharp,
            like_permille=seen.like,
            cpu_permille=now.cost_permille,
        )

    def detector(self) -> DetectorState:  # noqa: D102 - see Looks
        return self._detector.state()

    def objects(self) -> dict[tuple[str, str], int]:
        """How often each object was found at a camera, by its kind."""
        return dict(self._found_objects)

    def accept(self, camera: str) -> None:  # noqa: D102 - see Looks
        self._analyst.accept(camera)

    async def luma(self, camera: str) -> tuple[Grey, int]:
        """Return the newest key frame of a camera, small, and its UTC microseconds.

        Raises:
            NvrError: As `snapshot`.
        """
        data, at_us = await self._newest(camera, stream_of(camera), _LUMA_PX, grey=True)
        return grey_of(data), at_us

    async def snapshot(self, camera: str, stream: str, width: int) -> tuple[bytes, int]:  # noqa: D102 - see Looks
        return await self._newest(camera, stream, width)

    async def _newest(
        self, camera: str, stream: str, width: int, *, grey: bool = False
    ) -> tuple[bytes, int]:
        assert self._hub is not None
        came: asyncio.Future[tuple[StreamConfig, Fragment]] = self._loop.create_future()

        def deliver(config: StreamConfig, fragments: list[Fragment]) -> None:
            key = next((one for one in reversed(fragments) if one.key and one.track <= 0), None)
            if key is not None and not came.done():
                came.set_result((config, key))

        none = Unavailable("snapshot.none", "no picture came of it", camera=camera)
        end = self._hub.stream(stream).watch(deliver)
        try:
            async with asyncio.timeout(_STILL_S):
                config, fragment = await came
        except TimeoutError as err:
            raise none from err
        finally:
            end()
        wanted = _still(config, fragment, width, grey=grey)
        if wanted is None:
            raise none
        age_us = round((self._clock.monotonic_s() - fragment.arrived_s) * 1e6)
        made: Future[bytes] = self._analyst.still(wanted)
        jpeg = await asyncio.wrap_future(made)
        if not jpeg:
            raise none
        return jpeg, self._clock.wall_us() - max(0, age_us)

    async def draw(self, part: Part, width: int) -> bytes:
        """Return a JPEG of a part's key frame, empty if there is none or it cannot be decoded.

        Raises:
            Unavailable: ``snapshot.busy``.
            Damaged: ``fragment.damaged``.
        """
        video = next((one for one in part.config if one.kind == "video"), None)
        first = units(part, key_only=True)
        if video is None or video.codec not in CODECS or not first:
            return b""
        made = self._analyst.still(Still(video.codec, video.config, first[0][0], width))
        return await asyncio.wrap_future(made)

    def told(self, action: str, camera: str) -> None:
        """Note that a head was told something; a preset is reached when nobody says so."""
        if action in {"ptz.preset_call", "ptz.call_up", "ptz.aim"}:
            self._turning_s[camera] = self._clock.monotonic_s() + _TRAVEL_S

    def _hushed(self, camera: str) -> bool:
        turning = self._clock.monotonic_s() < self._turning_s.get(camera, 0.0)
        return turning or self._restless.get(camera, False)

    def _head(self, status: PtzStatus) -> None:
        wiping = any(on for name, on in status.outputs if name == _WIPER)
        self._restless[status.camera] = status.moving or wiping

    def _keep_us(self, camera: str) -> int:
        found = self._settings.get(camera)
        hours = 168
        if found is not None:
            hours = (found.analyse and found.analyse.keep_h) or found.retain_h
        return hours * 3_600_000_000

    # The analyst's thread.

    def _found(self, one: Found) -> None:
        change = one.change
        at = (one.camera, change.kind, change.zone)
        if one.better:
            self.store.better(*at, change.strength, one.jpeg)
            return
        if change.what == "begin":
            self.store.begin(*at, one.at_us, change.strength, one.jpeg)
        else:
            self.store.end(*at, one.at_us, change.strength)
        if self._stopped:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._happened, one)

    def _happened(self, one: Found) -> None:
        camera, change = self._settings.get(one.camera), one.change
        if camera is None:
            return
        if change.kind in TROUBLES:
            self._note(one)
        if is_object(change.kind) and change.what == "begin":
            self._found_objects[one.camera, change.kind] += 1
        wanted = camera.analyse.record_on if camera.analyse else ()
        if change.what == "begin" and _wanted({change.kind}, wanted):
            self._report(one.camera)
        if change.what == "begin":
            self.began(one.camera, change.kind, change.zone)
        self._tell(one.camera)

    def _note(self, one: Found) -> None:
        entry = Entry(
            "event",
            f"picture.{one.change.kind}",
            "failed" if one.change.what == "begin" else "ok",
            who="analyse",
            camera=one.camera,
            hardware_no=f"camera:{one.camera}",
        )
        with contextlib.suppress(NvrError):  # a log that is full says so itself
            self._audit.record(entry)

    def _report(self, camera: str) -> None:
        with contextlib.suppress(Rejected):  # by its plan it is not recorded, whatever happens
            self._record(camera)

    def _path(self, camera: str) -> Path:
        return self._memories / f"{camera}.scene"

    def _remember(self, camera: str, memory: bytes) -> None:
        path = self._path(camera)
        try:
            self._memories.mkdir(exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(memory)
            fresh.replace(path)
        except OSError as err:
            event(_log, logging.DEBUG, "analyse.not_remembered", camera=camera, error=str(err))

    def _recall(self, camera: str) -> bytes:
        try:
            return self._path(camera).read_bytes()
        except OSError:
            return b""


def _wanted(kinds: Collection[Kind], chosen: Collection[Kind]) -> bool:
    """Whether one of these is among those that are events for the plan."""
    return any(kind in chosen or (OBJECT in chosen and is_object(kind)) for kind in kinds)


def _aim(camera: written.Camera, now_us: int) -> Aim | None:
    """What is to be looked at; None if nobody set anything on, and no picture is read then."""
    if camera.analyse is None or not camera.analyse.on:
        return None
    wanted = analyse_settings(camera)
    assert wanted is not None
    zones = tuple(Zone(*one) for one in looked(wanted.zones, wanted.sensitivity))[: MOST_ZONES + 4]
    objects = sought(camera.analyse, zones, now_us)
    if not (wanted.motion or wanted.health or objects):
        return None
    streams = [stream_of(camera.name, "sub")] if camera.sub else []
    return Aim(
        camera.name,
        (*streams, stream_of(camera.name)),
        zones if wanted.motion else (),
        wanted.health,
        turns=camera.ptz is not None,
        sought=objects,
    )


def _still(
    config: StreamConfig, fragment: Fragment, width: int, *, grey: bool = False
) -> Still | None:
    """Return what is to be asked for; None if there is nothing that can be."""
    track = next((n for n, one in enumerate(config) if one.kind == "video"), None)
    if track is None or config[track].codec not in CODECS:
        return None
    with contextlib.suppress(Damaged):
        for one in samples(fragment.data, config):
            if one.track == track and one.key:
                return Still(config[track].codec, config[track].config, one.data, width, grey)
    return None
