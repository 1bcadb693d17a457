"""A serial keyboard as an operator: what it says is done to heads, whatever those are reached over.

A keyboard says a motion once, or again and again, and STOP when the key is let go; the STOP may be
lost, and the keyboard may be unplugged. So a motion is renewed here under a lease of half a second
like a stick's on the page, and only while

* the keyboard was heard within its hold: what its profile or the configuration says, or, once it
  was seen to repeat itself, three times as long as it lets pass between two commands;
* its port is there;
* the head still moves for it: after anybody's STOP, or when somebody else took the head, it must
  be let go (a STOP of its own) before it moves that head again;
* it was heard to let go since the line is understood: a key that is held while we start, or while
  the adapter comes back, may be what a dead-man stop ended.

A frame that may be made of noise moves nothing until the same one follows, see `nvr.ptz.ear`.
Everything runs in the event loop's thread.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.media.desk import KeyboardSettings, KeyboardState, Pressed
from nvr.media.ports import Operator, Ptz
from nvr.ptz.ear import Said
from nvr.ptz.hand import LEASE_S, let_go, still_moves
from nvr.ptz.words import words_of
from nvr.wire.pelco_d import SPEED_MAX, Cmd, Frame, Op

_log = logging.getLogger(__name__)

LATCHED_S: Final = 15.0
"""What a Pelco decoder itself waits: a keyboard for such repeats its command sooner."""
REPEATS_S: Final = 1.0
LATE_S: Final = 0.5
"""A motion that waited for so long is no longer meant; a STOP is."""
ONCE_S: Final = 1.0
"""The same preset or auxiliary within this is the same key: keyboards say it two or three times."""

_STEADY_S: Final = 1.0
_LEARN_S: Final = 2.0
_LEAST_HOLD_S: Final = 0.6
_LENS: Final = Cmd.FOCUS_FAR | Cmd.FOCUS_NEAR | Cmd.IRIS_OPEN | Cmd.IRIS_CLOSE
_AXES: Final = Cmd.LEFT | Cmd.RIGHT | Cmd.UP | Cmd.DOWN | Cmd.TELE | Cmd.WIDE | _LENS
_PRESETS: Final = {Op.SET_PRESET: "set", Op.CLEAR_PRESET: "clear", Op.CALL_PRESET: "call"}


@dataclass(slots=True)
class _Hand:
    """What the keyboard does to one address.

    Attributes:
        camera: Whose head.
        frame: The motion that is under way, None while there is none.
        heard_s: When it was last said.
        began_s: Since when it has been said without a pause.
        must_let_go: It was stopped, and the key not let go since.
        lens: Focus or iris are driven.
        zoom: Share of full speed, as the keyboard set it.
    """

    camera: str = ""
    frame: Frame | None = None
    heard_s: float = 0.0
    began_s: float = 0.0
    longest_s: float = 0.0
    must_let_go: bool = False
    silent: bool = False
    lens: bool = False
    zoom: float = 1.0


@dataclass(slots=True)
class _Learned:
    """Whether it repeats itself, and after how long at most; 0 while that is not known."""

    repeat_s: float = 0.0
    never: bool = False
    once: dict[bytes, float] = field(default_factory=dict)


class Keyboard:
    """One keyboard.

    Args:
        port: Name of its line: it is the operator ``keyboard <port>``.
        settings: What is done with what it says.
        ptz: Heads.
        clock: Time source.
        cameras: By address: the camera, as it is now.
        room: Raises if what it does could not be written down.
        passive: It is another controller's line: what names none of our cameras is no fault.
    """

    def __init__(
        self,
        port: str,
        settings: KeyboardSettings,
        *,
        ptz: Ptz,
        clock: Clock,
        cameras: Callable[[], Mapping[int, str]],
        room: Callable[[], None] = lambda: None,
        passive: bool = False,
    ) -> None:
        self.port = port
        self.settings = settings
        self.who = Operator(f"keyboard {port}", "local", f"keyboard/{port}")
        self._ptz = ptz
        self._clock = clock
        self._cameras = cameras
        self._room = room
        self._passive = passive
        self._hands: dict[int, _Hand] = {}
        self._learned = _Learned()
        self._rested = False
        self._last: Pressed | None = None
        self._refused: Pressed | None = None

    @property
    def hold_s(self) -> float:
        """After so long without a command a motion is over."""
        if self.repeats:
            return max(_LEAST_HOLD_S, 3 * self._learned.repeat_s)
        if self.settings.hold_s:
            return self.settings.hold_s
        return REPEATS_S if self.settings.profile == "repeats" else LATCHED_S

    @property
    def repeats(self) -> bool:
        """It was seen to repeat its command while a key is held."""
        return self.settings.profile == "auto" and self._learned.repeat_s > 0

    @property
    def moving(self) -> bool:
        """It moves something: `tick` is wanted every `RENEW_S`."""
        return any(hand.frame for hand in self._hands.values())

    def state(self, *, protocol: str = "", frames: int = 0, noise_bytes: int = 0) -> KeyboardState:
        """Return what is known of it."""
        return KeyboardState(
            self.settings,
            dict(self._cameras()),
            protocol,
            frames,
            noise_bytes,
            self.repeats,
            self.hold_s,
            tuple(sorted({hand.camera for hand in self._hands.values() if hand.frame})),
            self._last,
            self._refused,
        )

    def heard(self, said: Said) -> None:
        """Do what it said."""
        now_s = self._clock.monotonic_s()
        address = said.frame.address
        camera = self._cameras().get(address, "")
        if not camera and self._passive:
            self._note(said, "")
            return
        try:
            if not camera:
                raise Rejected("keyboard.unmapped", "no camera has this number", address=address)
            self._obey(said, camera, now_s)
        except NvrError as err:
            self._note(said, camera, err)
        else:
            self._note(said, camera)

    def tick(self) -> None:
        """Renew what is moved, and let go what was not heard of for too long."""
        now_s = self._clock.monotonic_s()
        for address, hand in self._hands.items():
            if hand.frame is None:
                continue
            if now_s - hand.heard_s >= self.hold_s:
                silent_s = round(now_s - hand.heard_s, 1)
                event(_log, logging.WARNING, "keyboard.silent", port=self.port, address=address,
                      camera=hand.camera, silent_s=silent_s)  # fmt: skip
                hand.silent = True
                self._let_go(hand)
                hand.must_let_go = True
            elif not still_moves(self._ptz, hand.camera, self.who):
                hand.frame, hand.must_let_go = None, True
            else:
                self._renew(hand)

    def lost(self) -> None:
        """Its port is gone, or what comes is not understood: let everything go."""
        self._rested = False
        self.let_go()

    def let_go(self) -> None:
        """End what it moves."""
        self._ptz.gone(self.who)
        self._learned.once.clear()
        for hand in self._hands.values():
            hand.must_let_go = hand.must_let_go or hand.frame is not None
            hand.frame, hand.lens = None, False

    def _renew(self, hand: _Hand) -> None:
        try:
            self._drive(hand)
        except NvrError as err:
            event(_log, logging.INFO, "keyboard.ended", port=self.port, camera=hand.camera,
                  code=err.code)  # fmt: skip
            self._let_go(hand)
            hand.must_let_go = True

    def _obey(self, said: Said, camera: str, now_s: float) -> None:
        frame = said.frame
        hand = self._hands.setdefault(frame.address, _Hand())
        if hand.camera != camera:
            self._let_go(hand)
            hand = self._hands[frame.address] = _Hand(camera)
        if frame.op is None and not frame.command & _AXES:
            self._rested = True
            self._neutral(hand, now_s)
            if frame.command:
                raise Rejected("keyboard.ignored", "this is not passed on")
            return
        if not said.sure:
            raise Rejected("keyboard.doubtful", "noise came with it: it is waited for once more")
        if now_s - said.at_s > LATE_S:
            raise Rejected("keyboard.late", "it waited for too long")
        if frame.op is None:
            self._move(hand, frame, now_s)
        elif self._is_new(said.data, now_s):
            self._room()
            self._key(hand, frame)

    def _neutral(self, hand: _Hand, now_s: float) -> None:
        """The key was let go."""
        if hand.silent and now_s - hand.heard_s < LATCHED_S:
            self._unlearn()
        self._let_go(hand)
        hand.must_let_go = hand.silent = False

    def _move(self, hand: _Hand, frame: Frame, now_s: float) -> None:
        if hand.frame and not still_moves(self._ptz, hand.camera, self.who):
            hand.frame, hand.must_let_go = None, True
        if hand.must_let_go or not self._rested:
            if hand.silent and now_s - hand.heard_s < LATCHED_S:
                self._unlearn()
            raise Rejected("ptz.rearm", "it was stopped: let go before moving it again",
                           camera=hand.camera)  # fmt: skip
        if not self.settings.shared:
            for other in self._hands.values():
                if other is not hand and other.frame:
                    self._let_go(other)
        self._learn(hand, frame, now_s)
        if hand.frame is None:
            self._room()
        before = hand.frame
        hand.frame, hand.heard_s = frame, now_s
        if frame == before:
            return  # `tick` renews it
        try:
            self._drive(hand)
        except NvrError as err:
            self._let_go(hand)
            hand.must_let_go = err.code == "ptz.rearm"
            raise

    def _drive(self, hand: _Hand) -> None:
        frame, who = hand.frame, self.who
        assert frame is not None
        pan, tilt, zoom, focus, iris = _speeds(frame, hand.zoom)
        lens = bool(focus or iris)
        if pan or tilt or zoom or not lens:
            self._ptz.move(hand.camera, who, pan, tilt, zoom, LEASE_S)
        else:
            self._ptz.move(hand.camera, who, 0.0, 0.0, 0.0)
        if lens or hand.lens:
            self._ptz.lens(hand.camera, who, focus, iris, LEASE_S)
        hand.lens = lens

    def _let_go(self, hand: _Hand) -> None:
        """Say that the key is not held any more, which ends what it moves."""
        hand.frame, hand.lens = None, False
        if not hand.camera:
            return
        try:
            let_go(self._ptz, hand.camera, self.who)
        except NvrError as err:  # it has no head any more
            event(_log, logging.DEBUG, "keyboard.ended", port=self.port, camera=hand.camera,
                  code=err.code)  # fmt: skip

    def _key(self, hand: _Hand, frame: Frame) -> None:
        """Carry out a command that is no motion."""
        camera, number = hand.camera, frame.data2
        match frame.op:
            case Op.SET_PRESET | Op.CLEAR_PRESET | Op.CALL_PRESET as op:
                hand.frame = None  # it ends a motion
                self._ptz.preset(camera, self.who, _PRESETS[op], number)  # type: ignore[arg-type]
            case Op.SET_AUX | Op.CLEAR_AUX as op:
                output = self.settings.aux.get(number)
                if output is None:
                    raise Rejected("keyboard.ignored", f"nothing is switched by auxiliary {number}")
                self._ptz.output(camera, self.who, output, op is Op.SET_AUX)
            case Op.ZOOM_SPEED:
                hand.zoom = (min(number, 3) + 1) / 4
            case _:
                raise Rejected("keyboard.ignored", "this is not passed on")

    def _is_new(self, data: bytes, now_s: float) -> bool:
        once = self._learned.once
        new = now_s - once.get(data, -ONCE_S) >= ONCE_S
        self._learned.once = {key: at_s for key, at_s in once.items() if now_s - at_s < ONCE_S}
        self._learned.once[data] = now_s
        return new

    def _learn(self, hand: _Hand, frame: Frame, now_s: float) -> None:
        """See whether it repeats itself: only a key that is held for long shows that."""
        gap_s = now_s - hand.heard_s
        if frame != hand.frame or gap_s > _STEADY_S:
            hand.began_s, hand.longest_s = now_s, 0.0
            return
        hand.longest_s = max(hand.longest_s, gap_s)
        if now_s - hand.began_s >= _LEARN_S and not self._learned.never:
            self._learned.repeat_s = max(self._learned.repeat_s, hand.longest_s)

    def _unlearn(self) -> None:
        """It went on after it was taken to be silent: it does not repeat itself reliably."""
        if self.repeats:
            self._learned.repeat_s, self._learned.never = 0.0, True

    def _note(self, said: Said, camera: str, err: NvrError | None = None) -> None:
        at_us = self._clock.wall_us() + round((said.at_s - self._clock.monotonic_s()) * 1e6)
        code, detail = (err.code, err.detail) if err else ("", "")
        self._last = Pressed(
            at_us, said.frame.address, words_of(said.frame), said.data, camera, code, detail
        )
        if err:
            self._refused = self._last


def _speeds(frame: Frame, zoom: float) -> tuple[float, float, float, int, int]:
    """Pan, tilt, zoom from -1 to 1; focus and iris -1, 0 or 1. A speed of 0 still moves."""
    command = frame.command
    pan, tilt = (max(1, min(data, SPEED_MAX)) / SPEED_MAX for data in (frame.data1, frame.data2))
    return (
        pan * _way(command, Cmd.LEFT, Cmd.RIGHT),
        tilt * _way(command, Cmd.DOWN, Cmd.UP),
        zoom * _way(command, Cmd.WIDE, Cmd.TELE),
        _way(command, Cmd.FOCUS_NEAR, Cmd.FOCUS_FAR),
        _way(command, Cmd.IRIS_CLOSE, Cmd.IRIS_OPEN),
    )


def _way(command: int, negative: Cmd, positive: Cmd) -> int:
    return bool(command & positive) - bool(command & negative)
