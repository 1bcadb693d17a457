"""Who may move one head: one owner, and nobody moves it again without having let go first.

Pure decisions; time is an argument. The rules:

* Whoever commands a free head owns it, until idle for `IDLE_S`; after an explicit take, until
  released or idle for `TAKEN_S`; after an alarm sent it somewhere, for as long as that asked for. A
  higher priority takes it away at once. Others are refused, and told who has it and until when.
* An equal takes it from one that rests: at once where it was merely used, after `HANDOVER_S` where
  it was taken. An attempt before that is told to the owner, who can give it up.
* A lock keeps everybody else off, whatever their priority: somebody is on the mast. It ends with
  its time, or on purpose: by who set it, by somebody of a higher priority or by an administrator.
  What runs by itself never passes it, not even under the name of who set it.
* A motion lives as long as its lease. When that lapses the head stops, and its owner must send a
  neutral command (stick centred) before it moves again: silence is no proof that it let go.
* After a STOP by anybody, or after losing the head to another, whoever was moving it must let go
  too: by a neutral command, or by having sent no motion for `LET_GO_S` (a held stick renews every
  150 ms, but a busy box or a radio link may keep some back).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nvr.base.errors import Rejected
from nvr.media.owner import PtzLock
from nvr.media.ports import Operator
from nvr.media.program import AUTOMATIC

IDLE_S = 5.0
TAKEN_S = 60.0
HANDOVER_S = 10.0
ASKED_S = 30.0
"""So long the owner is shown that somebody asked for the head."""
LET_GO_S = 1.5
PRESSED_S = 0.4
"""After so long a preset is no longer the press that came before the STOP."""
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
        self._lease_s: dict[str, float] = {}  # axes in motion: when their lease ends
        self.began_s = 0.0
        self.last_s = -1e9
        self.lock: PtzLock | None = None
        self._lock_level = 0
        self._lock_until_s = 0.0
        self._held_until_s = 0.0
        self._asked: tuple[Operator, float] | None = None

    @property
    def moving(self) -> bool:
        """A motion is commanded."""
        return bool(self._lease_s)

    @property
    def until_s(self) -> float:
        """When the present ownership ends unless the owner commands again."""
        idle_s = self.last_s + (TAKEN_S if self.taken else IDLE_S)
        idle_s = max(idle_s, self._held_until_s)
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
            Rejected: ``ptz.held``, ``ptz.locked``, ``ptz.taken``, ``ptz.rearm``, ``ptz.range``.
        """
        if not 0 < lease_s <= LEASE_MAX_S:  # also refuses NaN
            raise Rejected(
                "ptz.range", f"a lease lasts up to {LEASE_MAX_S:g} s", camera=self._camera
            )
        self.expire(now_s)
        self._refuse_locked(who, now_s)
        self._rearm(who, now_s)
        before = self._own(who, now_s)
        self._held_until_s = 0.0
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
        self.last_s = now_s
        return self._lease_s.pop(axes, None) is not None

    def act(self, who: Operator, now_s: float, hold_s: float = 0.0) -> Operator | None:
        """Let `who` do something without a lease: go to a preset. As `move`.

        Args:
            who: The operator.
            now_s: Now.
            hold_s: It stays owner for so long at least, unless it commands again.

        Raises:
            Rejected: ``ptz.held``, ``ptz.locked``, ``ptz.taken``, ``ptz.rearm``.
        """
        self.expire(now_s)
        self._refuse_locked(who, now_s)
        self._rearm(who, now_s, PRESSED_S)
        before = self._own(who, now_s)
        self._held_until_s = now_s + hold_s if hold_s else 0.0
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

        Allowed from an owner of lower priority, and from an equal one that is not moving and, where
        that took it, did nothing for `HANDOVER_S`. One who is refused has asked: the owner is told.

        Raises:
            Rejected: ``ptz.held``, ``ptz.locked``, ``ptz.taken``.
        """
        self.expire(now_s)
        self._refuse_locked(who, now_s)
        before = self.holder
        if before is not None and before != who:
            self._unseat(who, now_s)
        if before != who:
            self.holder, self.since_s = who, now_s
        self.taken, self.last_s = True, now_s
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
            Rejected: ``ptz.locked``, ``ptz.taken``.
        """
        self.expire(now_s)
        self._refuse_locked(who, now_s)
        if self.taken and who != self.holder:
            self._refuse_lower(who)

    def asked(self, now_s: float) -> str:
        """Name of who asked for the head a short while ago, empty if nobody did."""
        if self._asked is None or self.holder is None or now_s - self._asked[1] >= ASKED_S:
            return ""
        return self._asked[0].name

    def set_lock(self, who: Operator, reason: str, lasts_s: float, now_s: float) -> Operator | None:
        """Lock the head for `who`, or set its lock anew; returns who lost the head by that.

        Raises:
            Rejected: ``ptz.held``, ``ptz.locked``, ``ptz.taken``.
        """
        self.expire(now_s)
        self._refuse_locked(who, now_s)
        before = self.holder
        if before is not None and (before.name, before.role) != (who.name, who.role):
            self._unseat(who, now_s)
        else:
            before = None
        self.restore_lock(
            PtzLock(
                who.name,
                who.role,
                self._wall_us(now_s),
                self._wall_us(now_s + lasts_s),
                reason,
            ),
            self._priority(who),
            now_s + lasts_s,
        )
        return before

    def restore_lock(self, lock: PtzLock, level: int, until_s: float) -> None:
        """Put a lock in force that was set before a restart."""
        self.lock, self._lock_level, self._lock_until_s = lock, level, until_s

    def unlock(self, who: Operator, now_s: float) -> PtzLock | None:
        """End the lock; returns it, None if there was none.

        Raises:
            Rejected: ``ptz.locked``: it is another's, of the same or a higher priority.
        """
        lock = self._lock_at(now_s)
        above = who.role == "admin" or self._priority(who) > self._lock_level
        if not above or who.role in AUTOMATIC:
            self._refuse_locked(who, now_s)
        self.lock = None
        return lock

    def lock_lapsed(self, now_s: float) -> PtzLock | None:
        """End a lock whose time is over; returns it once."""
        lock = self.lock
        if lock is None or now_s < self._lock_until_s:
            return None
        self.lock = None
        return lock

    def _lock_at(self, now_s: float) -> PtzLock | None:
        return self.lock if self.lock is not None and now_s < self._lock_until_s else None

    def _passes(self, who: Operator, lock: PtzLock) -> bool:
        return who.role not in AUTOMATIC and (who.name, who.role) == (lock.name, lock.role)

    def _refuse_locked(self, who: Operator, now_s: float) -> None:
        lock = self._lock_at(now_s)
        if lock is None or self._passes(who, lock):
            return
        raise Rejected(
            "ptz.locked",
            f"{lock.name} locked this camera: {lock.reason}",
            camera=self._camera,
            holder=lock.name,
            until_us=lock.until_us,
            reason=lock.reason,
        )

    def _unseat(self, who: Operator, now_s: float) -> None:
        """Take the head from its owner, or raise; the owner is told either way."""
        assert self.holder is not None
        rests_s = now_s - self.last_s
        equal = self._priority(self.holder) == self._priority(who)
        busy = self._lease_s or now_s < self._held_until_s
        if not equal or busy or (self.taken and rests_s < HANDOVER_S):
            try:
                self._refuse_lower(who)
            except Rejected:
                self._asked = (who, now_s)
                raise
        self._lose(now_s)

    def _own(self, who: Operator, now_s: float) -> Operator | None:
        before = None
        if who != self.holder:
            if self.holder is not None:
                self._refuse_lower(who)
                before = self._lose(now_s)
            self.holder, self.since_s, self.taken = who, now_s, False
        self.last_s = now_s
        return before

    def _lose(self, now_s: float) -> Operator | None:
        mover = self.stopped(now_s)
        self._free()
        return mover

    def _free(self) -> None:
        self.holder, self.taken = None, False
        self._asked, self._held_until_s = None, 0.0

    def _refuse_lower(self, who: Operator) -> None:
        holder = self.holder
        if holder is None or self._priority(who) > self._priority(holder):
            return
        context = {
            "camera": self._camera,
            "holder": holder.name,
            "source": holder.source,
            "outranks": self._priority(who) < self._priority(holder),
            "until_us": self._wall_us(self.until_s),
        }
        if self.taken:
            raise Rejected("ptz.taken", f"{holder.name} has taken this camera", **context)
        raise Rejected("ptz.held", f"{holder.name} is using this camera", **context)

    def _rearm(self, who: Operator, now_s: float, silent_s: float = LET_GO_S) -> None:
        """Refuse `who` if it has to let go first; a stick is armed again by `LET_GO_S` only."""
        disarmed = self._disarmed.get(who)
        if disarmed is None:
            return
        silence_s = now_s - disarmed.tried_s
        if disarmed.by_neutral or silence_s < silent_s:
            disarmed.tried_s = now_s
            raise Rejected(
                "ptz.rearm", "it was stopped: let go before moving it again", camera=self._camera
            )
        if silence_s >= LET_GO_S:
            del self._disarmed[who]
