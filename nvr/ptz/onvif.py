"""A head that is steered over ONVIF: one conversation, in the event loop.

Leases are kept three times: by the arbiter, here, and by the client's worker, which also ends a
motion when this process dies or freezes (`nvr.link.head`). The camera's own time-out is the fourth.
What is wanted is state and the newest is sent: while a motion is under way to the camera, what
comes meanwhile replaces what waits. A stop waits for nothing and drops what waits.

Presets are the camera's own. Where its token is a number from 1 to 255 that is the preset's number;
others get the lowest that is free, in the order in which the camera lists them.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.media import onvif_wish as wish
from nvr.media.onvif import CameraPreset, Profile
from nvr.media.ports import HeadFunction, Position
from nvr.ptz.bus import BusEvent
from nvr.ptz.line import Aux, Chain, Deed, Glide, Said
from nvr.ptz.onvif_output import OnvifAux, OnvifOutputs
from nvr.ptz.position import Asked
from nvr.ptz.schedule import Auxiliary, Motion

_log = logging.getLogger(__name__)

LOOK_S: Final = 20.0
"""The camera is asked so often whether it is there; also keeps the client's worker."""
AGAIN_S: Final = 5.0
MOST_PRESETS: Final = 255
_STILL: Final = (0.0, 0.0, 0.0)

Ask = Callable[[wish.Wish[Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class OnvifHead:
    """Its dialect: presets as ``do number``; motions need none. See `Dialect`."""

    reserved: Mapping[int, Said] = field(default_factory=dict)
    presets_max: int = MOST_PRESETS
    functions: tuple[HeadFunction, ...] = ()

    @property
    def chain(self) -> None:  # noqa: D102 - see Dialect
        return None

    @property
    def asked(self) -> Asked | None:  # noqa: D102 - see Dialect
        return None

    def encode(self, motion: Motion) -> bytes:  # noqa: ARG002, D102 - see Dialect
        return b""

    def preset(self, do: Literal["call", "set", "clear"], number: int) -> bytes:  # noqa: D102 - see Dialect
        return f"{do} {number}".encode()

    def point(self, to: Position | Glide) -> tuple[bytes, ...]:  # noqa: D102 - see Dialect
        # Positions are shares of ranges that no camera puts in degrees; what it sees it does know.
        return (f"glide {to.x:.4f} {to.y:.4f}".encode(),) if isinstance(to, Glide) else ()

    def perform(self, function: str) -> Deed | None:  # noqa: ARG002, D102 - see Dialect
        return None

    def end(self) -> Deed | None:  # noqa: D102 - see Dialect
        return None

    def auxiliary(self, aux: Aux) -> Auxiliary | None:  # noqa: ARG002, D102 - see Dialect
        return None


def numbered(presets: tuple[CameraPreset, ...]) -> dict[int, CameraPreset]:
    """Give each preset of a camera its number."""
    found: dict[int, CameraPreset] = {}
    left = []
    for one in presets:
        number = int(one.token) if one.token.isascii() and one.token.isdigit() else 0
        if 1 <= number <= MOST_PRESETS and number not in found:
            found[number] = one
        else:
            left.append(one)
    free = (number for number in range(1, MOST_PRESETS + 1) if number not in found)
    found |= dict(zip(list(free), left, strict=False))
    return dict(sorted(found.items()))


class OnvifLine:
    """The way to one camera's head. See `Line`.

    Args:
        camera: Its name.
        ask: Asks the camera, over the client that is its own.
        profile: Token of the profile that is steered, empty for the first that can be.
        clock: Time source.
        tell: Told of what happens by itself, in the event loop.
        presets: Told which presets the camera keeps, by number.
        outputs: Outputs of the camera itself, by what they are here.
        unstopped: Told that a stop did not arrive and the head may move, and when that is over.
    """

    def __init__(
        self,
        camera: str,
        ask: Ask,
        *,
        profile: str,
        clock: Clock,
        tell: Callable[[BusEvent], None],
        presets: Callable[[dict[int, str]], None] = lambda _: None,
        outputs: Mapping[str, OnvifAux] = MappingProxyType({}),
        unstopped: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._outputs = OnvifOutputs(camera, ask, outputs)
        self._say_unstopped = unstopped
        self._unstopped = False
        self._insister: asyncio.Task[None] | None = None
        self._camera = camera
        self._ask = ask
        self._wanted_profile = profile
        self._clock = clock
        self._tell = tell
        self._say_presets = presets
        self._profile: Profile | None = None
        self._presets: dict[int, CameraPreset] = {}
        self._online = False
        self._motion: Motion | None = None
        self._until_s = 0.0
        self._barred = False
        self._sender: asyncio.Task[None] | None = None
        self._lapse: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._focus = 0
        self._glides = False

    @property
    def glides(self) -> bool:  # noqa: D102 - see Line
        return self._glides

    @property
    def online(self) -> bool:  # noqa: D102 - see Line
        return self._online

    def add(  # noqa: D102 - see Line
        self,
        head: str,  # noqa: ARG002 - there is but one
        encode: Callable[[Motion], bytes],  # noqa: ARG002 - speeds go as they are
        asked: Asked | None = None,  # noqa: ARG002 - it is asked over ONVIF
        chain: Chain | None = None,  # noqa: ARG002 - it has an address of its own
    ) -> None:
        self._keeper = self._start(self._keep())

    def add_auxiliary(self, head: str, name: str, auxiliary: Auxiliary) -> None:  # noqa: ARG002, D102 - see Line
        raise Rejected("ptz.unknown_output", "what hangs on a head over ONVIF it is told when made")

    def leave(self, head: str) -> None:  # noqa: ARG002, D102 - see Line
        if self._keeper is not None:
            self._keeper.cancel()
        if self._insister is not None:
            self._insister.cancel()
        moving = self._motion is not None
        self._drop()
        if moving or self._unstopped:
            self._start(self._halt(self._clock.monotonic_s()))
        self._start(self._outputs.close())
        self._online = False

    async def close(self) -> None:
        """Stop it if it moves, switch off what is on, and wait for that."""
        self.leave(self._camera)
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def move(self, head: str, motion: Motion, until_s: float) -> None:  # noqa: ARG002, D102 - see Line
        if not self._online:
            raise Unavailable("ptz.bus_down", "the camera cannot be reached", camera=self._camera)
        if self._barred:
            return
        if motion.focus != self._focus:
            self._focus = motion.focus
            self._start(self._drive_focus(motion.focus))
        self._motion, self._until_s = motion, until_s
        if self._lapse is not None:
            self._lapse.cancel()
        left_s = max(0.0, until_s - self._clock.monotonic_s())
        self._lapse = asyncio.get_running_loop().call_later(left_s, self._lapsed)
        if self._sender is None or self._sender.done():
            self._sender = self._start(self._send())

    def stop(self, head: str) -> None:  # noqa: ARG002, D102 - see Line
        self._drop()
        self._start(self._halt(self._clock.monotonic_s()))

    def switch(self, head: str, name: str, on: bool) -> None:  # noqa: ARG002, D102 - see Line
        self._outputs.switch(name, on)

    def lit(self, head: str, name: str) -> bool:  # noqa: ARG002, D102 - see Line
        return self._outputs.lit(name)

    def unbar(self, head: str) -> None:  # noqa: ARG002, D102 - see Line
        self._barred = False

    def command(self, head: str, data: bytes, *, moves: bool) -> None:  # noqa: ARG002, D102 - see Line
        if not self._online:
            raise Unavailable("ptz.bus_down", "the camera cannot be reached", camera=self._camera)
        if len(self._tasks) > 16:
            raise Rejected("ptz.busy", "too many commands wait for the camera", camera=self._camera)
        do, *values = data.decode().split()
        if do == "glide":
            self._start(self._glide(*map(float, values)))
        else:
            self._start(self._preset(do, int(values[0])))

    # From here on: the conversation.

    def _start(self, body: Any) -> asyncio.Task[None]:  # noqa: ANN401 - a coroutine
        task: asyncio.Task[None] = asyncio.ensure_future(body)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _drop(self) -> None:
        """What waits is not sent any more."""
        self._motion = None
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None
        if self._focus:
            self._focus = 0
            self._start(self._drive_focus(0))

    def _lapsed(self) -> None:
        """The dead-man. The worker does the same, by its own clock."""
        self._drop()
        self._barred = True
        now_s = self._clock.monotonic_s()
        self._start(self._halt(now_s))
        self._tell(BusEvent("lapsed", self._camera, now_s, now_s))

    async def _send(self) -> None:
        """Send the newest motion until none is wanted, or it was sent with its lease."""
        sent: tuple[Motion, float] | None = None
        while (motion := self._motion) is not None and self._profile is not None:
            if sent == (motion, self._until_s):
                return
            sent = (motion, self._until_s)
            lease_s = self._until_s - self._clock.monotonic_s()
            if lease_s <= 0 or (motion.pan, motion.tilt, motion.zoom) == _STILL:
                return
            try:
                await self._ask(
                    wish.Move(self._profile.token, motion.pan, motion.tilt, motion.zoom, lease_s)
                )
            except NvrError as err:
                self._lose(err)
                return

    def _lose(self, err: NvrError) -> None:
        event(_log, logging.WARNING, "ptz.onvif_lost", camera=self._camera, error=str(err))
        was = self._motion is not None
        self._drop()
        self._online = False
        now_s = self._clock.monotonic_s()
        if was:
            self._barred = True
            self._start(self._halt(now_s))
            self._tell(BusEvent("cut", self._camera, now_s, now_s))
        self._tell(BusEvent("down", "", now_s, now_s))

    async def _halt(self, asked_s: float) -> None:
        if self._profile is None:
            return
        try:
            await self._ask(wish.Halt(self._profile.token))
        except NvrError as err:
            event(_log, logging.WARNING, "ptz.onvif_unstopped", camera=self._camera, error=str(err))
            self._mark(unstopped=True)
            return
        self._mark(unstopped=False)
        self._tell(BusEvent("stopped", self._camera, asked_s, self._clock.monotonic_s()))

    def _mark(self, *, unstopped: bool) -> None:
        if unstopped != self._unstopped:
            self._unstopped = unstopped
            self._say_unstopped(unstopped)
            if unstopped:
                self._insister = self._start(self._insist())

    async def _insist(self) -> None:
        """Tell it to stop until it has taken that: it may move to this moment."""
        while self._unstopped:
            await self._clock.sleep(AGAIN_S)
            await self._halt(self._clock.monotonic_s())

    async def _drive_focus(self, way: int) -> None:
        if self._profile is not None:
            with contextlib.suppress(NvrError):  # many have a fixed focus
                await self._ask(wish.Focus(self._profile.source, 0.5 * way))

    async def _glide(self, x: float, y: float) -> None:
        assert self._profile is not None
        try:
            await self._ask(wish.GoTo(self._profile.token, x, y, relative=True, fov=True))
        except NvrError as err:
            event(_log, logging.WARNING, "ptz.onvif_refused", camera=self._camera, error=str(err))

    async def _preset(self, do: str, number: int) -> None:
        assert self._profile is not None
        known = self._presets.get(number)
        token = known.token if known else (str(number) if do != "set" else "")
        try:
            if do == "set":
                name = known.name if known else f"Preset {number}"
                made = await self._ask(wish.DoPreset(self._profile.token, "set", token, name))
                self._presets[number] = CameraPreset(made, name)
            elif do == "clear":
                await self._ask(wish.DoPreset(self._profile.token, "clear", token))
                self._presets.pop(number, None)
            else:
                await self._ask(wish.DoPreset(self._profile.token, "call", token))
        except NvrError as err:
            event(_log, logging.WARNING, "ptz.onvif_refused", camera=self._camera, error=str(err))

    async def _keep(self) -> None:
        """Know the camera, and whether it is there."""
        reported = False
        while True:
            try:
                if self._profile is None:
                    await self._know()
                else:
                    await self._ask(wish.GetHeadStatus(self._profile.token))
            except NvrError as err:
                if err.code == "onvif.unsupported" and self._profile is not None:
                    self._up()  # it does not say where it points, and is there
                else:
                    level = logging.DEBUG if reported else logging.WARNING
                    event(_log, level, "ptz.onvif_missing", camera=self._camera, error=str(err))
                    reported = True
                    if self._online:
                        self._lose(err)
                    await self._clock.sleep(AGAIN_S)
                    continue
            else:
                reported = False
                self._up()
            await self._clock.sleep(LOOK_S)

    async def _know(self) -> None:
        profiles = await self._ask(wish.GetProfiles())
        steered = [p for p in profiles if p.ptz] or list(profiles)
        named = [p for p in profiles if p.token == self._wanted_profile]
        chosen = (named or steered or [None])[0]
        if chosen is None:
            raise Rejected("onvif.no_stream", "the camera offers no stream")
        self._glides = (await self._ask(wish.GetNode(chosen.token))).fov
        with contextlib.suppress(NvrError):
            found = await self._ask(wish.GetPresets(chosen.token))
            self._presets = numbered(found)
        self._profile = chosen
        # Whatever it was told before, by us or by a recorder that died, ends here.
        await self._ask(wish.Halt(chosen.token))
        self._mark(unstopped=False)
        self._say_presets({n: one.name or one.token for n, one in self._presets.items()})

    def _up(self) -> None:
        if not self._online:
            self._online = True
            self._outputs.back(self._profile.token if self._profile else "")
            now_s = self._clock.monotonic_s()
            event(_log, logging.INFO, "ptz.onvif_ready", camera=self._camera)
            self._tell(BusEvent("up", "", now_s, now_s))
