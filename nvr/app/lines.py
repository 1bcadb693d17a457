"""The outputs and inputs of the box for people: switched, wiped, listened to, written down.

What an input says is kept as what happened, at the box and at each camera that records it. A camera
is told again while it lasts: the time that its plan records after an event would run out.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from nvr.analyse.store import Store
from nvr.app.edit import Change as Edit
from nvr.app.edit import followed
from nvr.auth.audit import Audit, Entry
from nvr.base.clock import Clock
from nvr.base.errors import Misconfigured, NvrError, Rejected
from nvr.base.log import event
from nvr.config.model import Call, Config, InputAction
from nvr.gpio.input import Change, Inputs, Sensor
from nvr.gpio.output import Outputs
from nvr.gpio.wiper import Blade, Wipers, check
from nvr.hal.board import Board
from nvr.hal.board_gpio import Gpio, Input
from nvr.hal.linux_contact import IioContact, LinuxContact
from nvr.hal.ports import Contact
from nvr.hal.virtual_contact import VirtualContact
from nvr.media.gpio import (
    STROKE,
    TAMPERED,
    InputCall,
    InputState,
    InputView,
    OutputView,
    WipeWish,
    unknown_input,
    unknown_output,
)
from nvr.media.happening import BOX, Kind
from nvr.media.ports import Operator, Ptz

_log = logging.getLogger(__name__)

CALL_UP_S = 60.0
"""So long an alarm keeps the head from what runs by itself, and from equals."""
PULSE_S = 1.0
"""A pulse of an output that says nothing of it."""
_AGAIN_S = 2.0

CallUp = Callable[[str, int, str], None]
"""``call_up(camera, preset, input)``: an alarm wants that head to look there."""


@dataclass(slots=True)
class _Input:
    settings: Input
    action: InputAction
    since_us: int = 0
    kind: Kind | None = None
    """What goes on there, as it was written down,"""
    noted: tuple[str, ...] = ()
    """and at which cameras."""


@dataclass(slots=True)
class _Output:
    settings: Gpio
    since_us: int = 0


class BoardLines:
    """See `nvr.media.gpio.Lines`.

    Args:
        board: What this box has.
        config: What follows an input.
        sim: Directory of the simulated devices.
        outputs: Switches.
        ptz: Heads, for call-ups and for wipers that hang on them.
        clock: Time source.
        audit: Told of every action and every change of an input.
        store: Keeps what happened.
        record: Has a camera record an event.
        tell: Told the camera at which something began or ended.
        known: Settings of a camera, None if there is none.
        write: Changes the configuration, for good.

    Attributes:
        began: Told each camera that records it, the kind and the input, of what begins.
        call_up: Sends a head to a preset; by default as an alarm, whose rank the file says.
    """

    def __init__(
        self,
        board: Board,
        config: Config,
        sim: Path,
        outputs: Outputs,
        ptz: Ptz,
        clock: Clock,
        audit: Audit,
        store: Store,
        record: Callable[[str], object],
        tell: Callable[[str], None],
        known: Callable[[str], object],
        write: Callable[[Edit], Awaitable[None]],
    ) -> None:
        self._clock, self._audit, self._store = clock, audit, store
        self._record, self._tell, self._known, self._write = record, tell, known, write
        self._ptz = ptz
        self._switches = outputs
        self._outputs = {name: _Output(gpio) for name, gpio in board.gpio.items()}
        self._inputs = {
            name: _Input(one, config.input.get(name, InputAction()))
            for name, one in board.input.items()
        }
        self._loop = asyncio.get_running_loop()
        self._disk = ThreadPoolExecutor(1, "lines")
        self.wipers = Wipers(clock, self._wiped)
        self.call_up: CallUp = self._call
        self.began: Callable[[str, str, str], None] = lambda _camera, _kind, _name: None
        sensors = [_sensor(name, it, sim) for name, it in board.input.items()]
        self._reader = Inputs(sensors, clock=clock, tell=self._heard)
        self._reader.start()

    def close(self) -> None:
        """End the thread; what goes on is over with that. The outputs are somebody else's."""
        self._reader.close()
        self._disk.shutdown()

    async def run(self) -> None:
        """Carry wiper programs out, and have cameras record for as long as an alarm lasts."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.wipers.run())
            while True:
                for it in self._inputs.values():
                    if it.kind is not None:
                        self._have_recorded(it.action.record)
                await self._clock.sleep(_AGAIN_S)

    def warnings(self) -> list[NvrError]:
        """Cameras and heads that an input names, and that are not there."""
        found: list[NvrError] = []
        for name, it in self._inputs.items():
            missing = [one for one in it.action.record if self._known(one) is None]
            heads = self._ptz.cameras()
            missing += [one.camera for one in it.action.call if one.camera not in heads]
            for camera in dict.fromkeys(missing):
                detail = f"input {name} is to reach {camera}, which is not there or has no head"
                found.append(Misconfigured("gpio.no_camera", detail, input=name, camera=camera))
        return found

    def outputs(self) -> list[OutputView]:  # noqa: D102 - see Lines
        return [self._output_view(name, it) for name, it in self._outputs.items()]

    def inputs(self) -> list[InputView]:  # noqa: D102 - see Lines
        return [self._input_view(name, it) for name, it in self._inputs.items()]

    async def follow(  # noqa: D102 - see Lines
        self, name: str, cameras: tuple[str, ...], call: tuple[InputCall, ...]
    ) -> None:
        it = self._inputs.get(name)
        if it is None:
            raise unknown_input(name)
        action = InputAction(
            record=tuple(dict.fromkeys(cameras)),
            call=tuple(Call(camera=one.camera, preset=one.preset) for one in call),
        )
        await self._write(followed(name, action))
        it.action = action

    def switch(self, name: str, do: Literal["on", "off", "pulse"], who: str, source: str) -> None:  # noqa: D102 - see Lines
        self.wipers.stop(name)
        if do == "off":
            self._switches.set(name, False)
        else:
            self._audit.check_room()
            for_s = None
            if do == "pulse" and name in self._outputs:
                length_ms = self._outputs[name].settings.pulse_ms
                for_s = PULSE_S if length_ms is None else length_ms / 1000
            self._switches.set(name, True, for_s)
        self._note(f"output.{do}", name, who=who, source=source, stop=do == "off")

    def wipe(self, name: str, wish: WipeWish, who: str, source: str) -> None:  # noqa: D102 - see Lines
        found = self._outputs.get(name)
        if found is None:
            raise unknown_output(name)
        if found.settings.kind != "wiper":
            raise Rejected("gpio.not_wiper", "this output is no wiper", output=name)
        blade = self._blade(name, found.settings)
        check(wish, blade)
        self._audit.check_room()
        self.wipers.begin(name, wish, blade)
        self._note("output.wipe", name, wish.program, who, source)

    def wipe_camera(self, camera: str, wish: WipeWish, who: Operator) -> None:
        """See `Lines`; it may be the head's own, or one of the board's."""
        outputs = dict(self._ptz.status(camera).outputs)
        if "wiper" not in outputs:
            raise Rejected("ptz.unknown_output", "there is no wiper", camera=camera)
        stroke = Operator(who.name, who.role, f"{STROKE}{who.source}")
        switch = partial(self._ptz.output, camera, stroke)
        blade = Blade(
            partial(switch, "wiper"), partial(switch, "washer") if "washer" in outputs else None
        )
        check(wish, blade)
        self._audit.check_room()
        self.wipers.begin(f"camera/{camera}", wish, blade)
        self._audit.control("ptz.wipe", who, camera, wish.program)

    def rest_camera(self, camera: str, who: Operator) -> None:
        """See `Lines`."""
        if self.wipers.stop(f"camera/{camera}"):
            self._audit.control("ptz.wipe", who, camera, "off")

    def switched(self, name: str, on: bool, why: str) -> None:
        """Take what an output did; called in the event loop."""
        it = self._outputs.get(name)
        if it is None:
            return
        now_us = self._clock.wall_us()
        it.since_us = now_us
        rests = it.settings.safe == "on"
        if why != "asked":
            with contextlib.suppress(NvrError):  # a log that is full says so itself
                self._note(f"output.{why}", name, "on" if on else "off", who="box")
        if self.wipers.going(name):
            return  # one stroke of many
        keep = self._store.begin if on != rests else self._store.end
        self._keep(keep, BOX, "output", name, now_us)

    # What inputs say.

    def _heard(self, change: Change) -> None:
        """In the inputs' thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._changed, change)

    def _changed(self, change: Change) -> None:
        it = self._inputs[change.name]
        at_us = self._clock.wall_us() - round((self._clock.monotonic_s() - change.at_s) * 1e6)
        if change.what != "begin" or change.state != "normal":
            said: str = change.state or ""
            if change.what in {"storm", "calm"}:
                said = f"{change.edges} edges"
            name = f"input.{change.what}"
            with contextlib.suppress(NvrError):  # a log that is full says so itself
                self._note(name, change.name, said, who="box", kind="input")
        if change.what in {"storm", "calm"}:
            return
        it.since_us = at_us
        kind = _kind(change.state)
        if kind == it.kind:
            return
        if it.kind is not None:
            for camera in it.noted:
                self._keep(self._store.end, camera, it.kind, change.name, at_us)
        it.kind = kind
        if kind is not None:
            self._begin(it, kind, change.name, at_us)

    def _begin(self, it: _Input, kind: Kind, name: str, at_us: int) -> None:
        it.noted = (BOX, *it.action.record)
        for camera in it.noted:
            self._keep(self._store.begin, camera, kind, name, at_us)
        self._have_recorded(it.action.record)
        for camera in it.action.record:
            self.began(camera, kind, name)
        for call in it.action.call:
            self._try_call(call.camera, call.preset, name)

    def _keep(self, keep: Callable[..., object], camera: str, *words: object) -> None:
        def done() -> None:
            keep(camera, *words)
            if camera:
                with contextlib.suppress(RuntimeError):  # the loop is closed already
                    self._loop.call_soon_threadsafe(self._tell, camera)

        with contextlib.suppress(RuntimeError):  # the box ends
            self._disk.submit(done)

    def _have_recorded(self, cameras: Iterable[str]) -> None:
        for camera in cameras:
            with contextlib.suppress(Rejected):  # by its plan it is not, or it is no more
                self._record(camera)

    def _try_call(self, camera: str, preset: int, name: str) -> None:
        try:
            self.call_up(camera, preset, name)
        except NvrError as err:
            event(_log, logging.WARNING, "gpio.not_called", camera=camera, error=str(err))

    def _call(self, camera: str, preset: int, name: str) -> None:
        self._ptz.call_up(camera, preset, None, CALL_UP_S, f"input {name}")

    # Views and small things.

    def _wiped(self, key: str, why: str) -> None:
        if why:
            event(_log, logging.WARNING, "gpio.wipe_ended", wiper=key, code=why)

    def _blade(self, name: str, gpio: Gpio) -> Blade:
        washer = self._outputs[gpio.washer].settings if gpio.washer else None
        return Blade(
            partial(self._switches.set, name),
            partial(self._switches.set, gpio.washer) if gpio.washer else None,
            gpio.stroke_s,
            _limit_s(gpio),
            float("inf") if washer is None else _limit_s(washer),
            gpio.min_off_s,
        )

    def _note(
        self, action: str, name: str, said: str = "", who: str = "", source: str = "",
        *, kind: str = "output", stop: bool = False,
    ) -> None:  # fmt: skip
        entry = Entry(
            "event", action, reason=said, who=who, source=source, hardware_no=f"{kind}:{name}"
        )
        self._audit.record(entry, stop=stop)

    def _output_view(self, name: str, it: _Output) -> OutputView:
        gpio, now = it.settings, self._switches.standing(name)
        return OutputView(
            name, gpio.kind, gpio.title, gpio.title_en, now.on, now.online, gpio.safe == "on",
            it.since_us, now.left_s, now.wait_s, now.blocked_by, gpio.pulse_ms, gpio.max_on_s,
            self.wipers.going(name), gpio.washer is not None,
        )  # fmt: skip

    def _input_view(self, name: str, it: _Input) -> InputView:
        one, now = it.settings, self._reader.reading(name)
        return InputView(
            name, one.contact, one.title, one.title_en, now.state, now.storm, it.since_us,
            now.edges, now.changes, now.storms, it.action.record,
            tuple(InputCall(call.camera, call.preset) for call in it.action.call),
        )  # fmt: skip


def _kind(state: InputState | None) -> Kind | None:
    if state is None or state == "normal":
        return None
    return "tamper" if state in TAMPERED else "input"


def _limit_s(gpio: Gpio) -> float:
    limits = [gpio.max_on_s, None if gpio.pulse_ms is None else gpio.pulse_ms / 1000]
    return min((one for one in limits if one is not None), default=float("inf"))


def _sensor(name: str, it: Input, sim: Path) -> Sensor:
    def opened() -> Contact:
        if it.driver == "virtual":
            return VirtualContact(sim / "input" / name, it.meanings.index("normal"))
        if it.driver == "iio":
            return IioContact(it.adc, it.channel, it.thresholds)
        return LinuxContact(it.chip, it.lines, active_low=it.active_low, bias=it.bias)

    return Sensor(
        name, opened, it.meanings, it.debounce_ms / 1000, it.most_per_min, it.most_edges_per_s
    )
