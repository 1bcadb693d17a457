"""Who may move one head: one owner, and nobody moves it again without having let go first.

Pure decisions; time is an argument. The rules:

* Whoever commands a free head owns it, until idle for `IDLE_S`; after an explicit take, until
  released or idle for `TAKEN_S`. A higher priority takes it away at once. Others are refused.
* A motion lives as long as its lease. When that lapses the head stops, and its owner must send a
  neutral command (stick centred) before it moves again: silence is no proof that it let go.
* After a STOP by anybody, or after losing the head to another, whoever was moving it must let go
  too: by a neutral command, or by having sent no motion for `LET_GO_S` (a held stick renews every
  150 ms).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nvr.base.errors import Rejected
from nvr.media.ports import Operator

IDLE_S = 5.0
TAKEN_S = 60.0
LET_GO_S = 0.4
LEASE_MAX_S = 10.0


@dataclass(slots=True)
class _Disarmed:
    """Somebody who must let go first.

    Attributes:
        axes: Axes that were in motion and of which no neutral command came since.
        by_neutral: Only neutral commands count.
        tried_s: When it last sent a motion, or was stopped.
    """

    axes: set[str]
    by_neutral: bool
    tried_s: float


class Arbiter:
    """The ownership of one head.

    Args:
        camera: Its name, for refusals.
        priority: Higher wins.
        wall_us: UTC microseconds of a monotonic time, for refusals.
    """

    def __init__(
        self,
        camera: str,
        priority: Callable[[Operator], int],
        wall_us: Callable[[float], int] = lambda at_s: round(at_s * 1e6),
    ) -> None:
        self._camera = camera
        self._priority = priority
        self._wall_us = wall_us
        self._disarmed: dict[Operator, _Disarmed] = {}
        self.holder: Operator | None = None
        self.since_s = 0.0
        self.taken = False
        self._last_s = 0.0
        self._lease_s: dict[str, float] = {}  # axes in motion: when their lease ends
        self.began_s = 0.0

    @property
    def moving(self) -> bool:
        """A motion is commanded."""
        return bool(self._lease_s)

    @property
    def until_s(self) -> float:
        """When the present ownership ends unless the owner commands again."""
        idle_s = self._last_s + (TAKEN_S if self.taken else IDLE_S)
        return max(idle_s, *self._lease_s.values()) if self._lease_s else idle_s

    def must_let_go(self, who: Operator) -> bool:
        """Whether `who` was stopped and has not let go yet, as far as is known."""
        return who in self._disarmed

    def lease_until_s(self) -> float:
        """When the motion ends unless renewed; only while `moving`."""
        return min(self._lease_s.values())

    def move(
        self,
        who: Operator,
        axes: Literal["drive", "lens"],
        lease_s: float,
        now_s: float,
    ) -> Operator | None:
        """Let `who` move some axes until `lease_s` from now, or raise.

        Returns:
            The owner it took the head from, if that was moving it.

        Raises:
            Rejected: ``ptz.held``, ``ptz.locked``, ``ptz.rearm``, ``ptz.range``.
        """
        if not 0 < lease_s <= LEASE_MAX_S:  # also refuses NaN
            raise Rejected(
                "ptz.range", f"a lease lasts up to {LEASE_MAX_S:g} s", camera=self._camera
            )
        self.expire(now_s)
        self._rearm(who, now_s)
        before = self._own(who, now_s)
        if not self._lease_s:
            self.began_s = now_s
        self._lease_s[axes] = now_s + lease_s
        return before

    def neutral(self, who: Operator, axes: Literal["drive", "lens"], now_s: float) -> bool:
        """Take a neutral command: `who` let go. True if it ends a motion of its own."""
        self.expire(now_s)
        disarmed = self._disarmed.get(who)
        if disarmed is not None:
            disarmed.axes.discard(axes)
            if not disarmed.axes:
                del self._disarmed[who]
        if who != self.holder:
            return False
        self._last_s = now_s
        return self._lease_s.pop(axes, None) is not None

    def act(self, who: Operator, now_s: float) -> Operator | None:
        """Let `who` do something without a lease: go to a preset. As `move`.

        Raises:
            Rejected: ``ptz.held``, ``ptz.locked``, ``ptz.rearm``.
        """
        self.expire(now_s)
        self._rearm(who, now_s)
        before = self._own(who, now_s)
        self._lease_s.clear()
        return before

    def stopped(self, now_s: float, *, by_neutral: bool = False) -> Operator | None:
        """Note that the head was stopped; whoever moved it must let go. Returns that one."""
        mover = self.holder if self._lease_s else None
        if mover is not None:
            by_neutral = by_neutral or now_s >= self.lease_until_s()  # it had lapsed before
            known = self._disarmed.get(mover, _Disarmed(set(), by_neutral, now_s))
            self._disarmed[mover] = _Disarmed(
                known.axes | self._lease_s.keys(), by_neutral or known.by_neutral, now_s
            )
        self._lease_s.clear()
        return mover

    def expire(self, now_s: float) -> Operator | None:
        """End what time has ended; the owner whose lease lapsed while moving, if any."""
        if self._lease_s and now_s >= self.lease_until_s():
            return self.stopped(now_s, by_neutral=True)
        if self.holder is not None and not self._lease_s and now_s >= self.until_s:
            self._free()
        return None

    def take(self, who: Operator, now_s: float) -> Operator | None:
        """Make `who` owner who stays it while idle; returns whom it was taken from.

        Allowed from an owner of lower priority, and from an equal one that is not moving and did
        not take it.

        Raises:
            Rejected: ``ptz.held``, ``ptz.locked``.
        """
        self.expire(now_s)
        before = self.holder
        if before is not None and before != who:
            equal = self._priority(before) == self._priority(who)
            if not equal or self._lease_s or self.taken:
                self._refuse_lower(who)
            self._lose(now_s)
        if before != who:
            self.holder, self.since_s = who, now_s
        self.taken, self._last_s = True, now_s
        return before if before != who else None

    def release(self, who: Operator, now_s: float) -> bool:
        """Give the head up; True if `who` was moving it."""
        self.expire(now_s)
        if who != self.holder:
            return False
        moving = self.moving
        self.stopped(now_s)
        self._free()
        return moving

    def gone(self, who: Operator, now_s: float) -> bool:
        """Forget `who` for good; True if it was moving the head."""
        moving = self.release(who, now_s)
        self._disarmed.pop(who, None)
        return moving

    def allow_switch(self, who: Operator, now_s: float) -> None:
        """Let `who` switch an output: anybody may, unless another took the camera.

        Raises:
            Rejected: ``ptz.locked``.
        """
        self.expire(now_s)
        if self.taken and who != self.holder:
            self._refuse_lower(who)

    def _own(self, who: Operator, now_s: float) -> Operator | None:
        before = None
        if who != self.holder:
            if self.holder is not None:
                self._refuse_lower(who)
                before = self._lose(now_s)
            self.holder, self.since_s, self.taken = who, now_s, False
        self._last_s = now_s
        return before

    def _lose(self, now_s: float) -> Operator | None:
        mover = self.stopped(now_s)
        self._free()
        return mover

    def _free(self) -> None:
        self.holder, self.taken = None, False

    def _refuse_lower(self, who: Operator) -> None:
        holder = self.holder
        if holder is None or self._priority(who) > self._priority(holder):
            return
        context = {
            "camera": self._camera,
            "holder": holder.name,
            "source": holder.source,
            "until_us": self._wall_us(self.until_s),
        }
        if self.taken:
            raise Rejected("ptz.locked", f"{holder.name} has taken this camera", **context)
        raise Rejected("ptz.held", f"{holder.name} is using this camera", **context)

    def _rearm(self, who: Operator, now_s: float) -> None:
        disarmed = self._disarmed.get(who)
        if disarmed is None:
            return
        if disarmed.by_neutral or now_s - disarmed.tried_s < LET_GO_S:
            disarmed.tried_s = now_s
            raise Rejected(
                "ptz.rearm", "it was stopped: let go before moving it again", camera=self._camera
            )
        del self._disarmed[who]
