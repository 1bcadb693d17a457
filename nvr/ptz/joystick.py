"""A joystick at the box as an operator: what a hand does on it is done to one head at a time.

A hand that holds still tells nothing, so a motion is renewed here every `RENEW_S` under a lease of
half a second like the page's, for as long as the joystick is there: one that is pulled says so at
once. After anybody's STOP, after losing the head to somebody, and if it was not at rest when it
came, it has to be let go before it moves anything. Everything runs in the event loop's thread.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.base.log import event
from nvr.hal.joystick import Layout, Standing
from nvr.media.joystick import JoystickProfile, JoystickState
from nvr.media.ports import Operator, Ptz
from nvr.ptz.hand import LEASE_S, let_go, still_moves
from nvr.ptz.stick import Speeds, lens_of, speeds_of

_log = logging.getLogger(__name__)

LEARN_S: Final = 2.0
"""Whoever teaches a joystick asks again sooner."""
_REST: Final[Speeds] = (0.0, 0.0, 0.0)


class Joystick:
    """One joystick.

    Args:
        number: Of the box's: it is the operator ``joystick NUMBER``.
        layout: What it is.
        standing: How it stands.
        profile: How it is understood, and whether somebody taught it.
        ptz: Heads.
        clock: Time source.
        room: Raises if what it does could not be written down.
    """

    def __init__(
        self,
        number: int,
        layout: Layout,
        standing: Standing,
        profile: tuple[JoystickProfile, bool],
        *,
        ptz: Ptz,
        clock: Clock,
        room: Callable[[], None],
    ) -> None:
        self.number = number
        self.key = layout.key
        self.who = Operator(f"joystick {number}", "joystick", f"joystick/{number}")
        self._layout = layout
        self._standing = standing
        self._profile, self._learned = profile
        self._ptz = ptz
        self._clock = clock
        self._room = room
        self._camera = self._profile.camera
        self._speeds = _REST
        self._lens = (0, 0)
        self._moving = False
        self._must_centre = self._asks()
        self._learning_s = -LEARN_S
        self._refused: NvrError | None = None

    @property
    def moving(self) -> bool:
        """It moves something: `tick` is wanted every `RENEW_S`."""
        return self._moving

    def state(self) -> JoystickState:
        """Return how it is."""
        code, detail = (self._refused.code, self._refused.detail) if self._refused else ("", "")
        return JoystickState(
            self.number, self._layout.name, self.key, self._learned, self._profile,
            self._aimed(), self._standing.axes, self._standing.buttons, self._wanted()[0],
            self._moving, self._must_centre, self._taught(), code, detail,
        )  # fmt: skip

    def heard(self, standings: Sequence[Standing]) -> None:
        """Do what a hand did on it; of several positions only the last counts."""
        for standing in standings:
            before, self._standing = self._standing, standing
            for number, held in enumerate(standing.buttons):
                if held and not before.buttons[number] and not self._taught():
                    self._press(self._profile.buttons.get(str(number), ""))
        self._steer()

    def tick(self) -> None:
        """Renew what is moved; see whether it is still moved for this hand."""
        if not self._moving:
            return
        if not still_moves(self._ptz, self._camera, self.who):
            self._forget()
            self._must_centre = True
            return
        self._drive(*self._wanted())

    def lost(self) -> None:
        """It was pulled: let everything go."""
        self._ptz.gone(self.who)
        self._forget()
        self._must_centre = True

    def learn(self) -> None:
        """It is being taught: let go, and move nothing for a while."""
        if self._moving:
            self._let_go()
        self._must_centre = True
        self._learning_s = self._clock.monotonic_s()

    def teach(self, profile: JoystickProfile, *, learned: bool) -> None:
        """Understand it otherwise from now on."""
        if self._moving:
            self._let_go()
        self._profile, self._learned = profile, learned
        self._must_centre = self._asks()
        if profile.camera and profile.camera in self._ptz.cameras():
            self.aim(profile.camera)

    def aim(self, camera: str) -> None:
        """Steer another camera from now on.

        Raises:
            Rejected: ``ptz.unknown_camera``.
        """
        if camera not in self._ptz.cameras():
            raise Rejected("ptz.unknown_camera", "this camera has no head", camera=camera)
        if camera == self._camera:
            return
        if self._moving:
            self._let_go()
        if self._camera in self._ptz.cameras():
            self._ptz.release(self._camera, self.who)
        self._camera = camera
        self._must_centre = self._asks()

    def _aimed(self) -> str:
        """Whom it steers: the one it was aimed at, else the first with a head."""
        cameras = self._ptz.cameras()
        if self._camera not in cameras and cameras:
            if self._camera:  # its head has left; a hand meant that one
                self._must_centre = self._must_centre or self._asks()
            self._camera = cameras[0]
        return self._camera if cameras else ""

    def _taught(self) -> bool:
        return self._clock.monotonic_s() - self._learning_s < LEARN_S

    def _asks(self) -> bool:
        speeds = speeds_of(self._standing, self._profile)
        return any(speeds) or any(lens_of(self._standing, self._profile))

    def _wanted(self) -> tuple[Speeds, tuple[int, int]]:
        zoom = 0.0
        if self._profile.slow_at_tele and self._camera in self._ptz.cameras():
            position = self._ptz.status(self._camera).position
            zoom = position.zoom if position else 0.0
        return (
            speeds_of(self._standing, self._profile, zoom),
            lens_of(self._standing, self._profile),
        )

    def _steer(self) -> None:
        if self._taught() or not self._aimed():
            return
        if self._must_centre:
            if not self._asks():
                self._must_centre = False
                self._let_go()  # neutral, said aloud: the arbiter may wait for it
            return
        speeds, lens = self._wanted()
        if (speeds, lens) == (self._speeds, self._lens):
            return
        if not self._moving:
            try:
                self._room()
            except NvrError as err:
                self._refuse(err)
                return
        self._drive(speeds, lens)

    def _drive(self, speeds: Speeds, lens: tuple[int, int]) -> None:
        try:
            if any(speeds) or any(self._speeds):
                self._ptz.move(self._camera, self.who, *speeds, LEASE_S)
            if any(lens) or any(self._lens):
                self._ptz.lens(self._camera, self.who, *lens, LEASE_S)
        except NvrError as err:
            self._refuse(err)
            return
        self._speeds, self._lens, self._refused = speeds, lens, None
        self._moving = any(speeds) or any(lens)

    def _refuse(self, err: NvrError) -> None:
        """It may not, or nobody can: it has to be let go before it is asked again."""
        event(_log, logging.INFO, "joystick.refused", joystick=self.number, camera=self._camera,
              code=err.code)  # fmt: skip
        self._let_go()
        self._must_centre = True
        self._refused = err

    def _let_go(self) -> None:
        self._forget()
        try:
            let_go(self._ptz, self._camera, self.who)
        except NvrError as err:  # it has no head any more
            event(_log, logging.DEBUG, "joystick.refused", joystick=self.number,
                  camera=self._camera, code=err.code)  # fmt: skip

    def _forget(self) -> None:
        self._speeds, self._lens, self._moving = _REST, (0, 0), False

    def _press(self, action: str) -> None:
        camera = self._aimed()
        if not action or not camera:
            return
        try:
            self._perform(action, camera)
        except NvrError as err:
            event(_log, logging.INFO, "joystick.refused", joystick=self.number, camera=camera,
                  code=err.code)  # fmt: skip
            self._refused = err

    def _perform(self, action: str, camera: str) -> None:
        verb, _, what = action.partition(" ")
        if verb == "stop":
            self._ptz.stop(camera, self.who)
            self._forget()
            self._must_centre = self._asks()
            return
        if verb in {"zoom", "focus", "iris", "snapshot", "replay", "full"}:
            return  # as long as it is held, or nothing for a box
        self._refused = None
        if verb == "release":
            self._let_go()
            self._must_centre = self._asks()
            self._ptz.release(camera, self.who)
            return
        self._room()
        if verb == "preset":
            self._ptz.preset(camera, self.who, "call", int(what))
            self._forget()  # it ended what moved
            self._must_centre = self._asks()
        elif verb == "take":
            self._ptz.take(camera, self.who)
        elif verb == "camera":
            self.aim(what)
        elif verb in {"prev", "next"}:
            cameras = self._ptz.cameras()
            self.aim(
                cameras[(cameras.index(camera) + (1 if verb == "next" else -1)) % len(cameras)]
            )
        else:
            on = dict(self._ptz.status(camera).outputs).get(verb, False)
            self._ptz.output(camera, self.who, verb, not on)
