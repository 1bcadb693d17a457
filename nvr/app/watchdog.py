"""The hardware watchdog is fed for as long as the recorder does its work, and says why if not.

Fed only while every condition holds, or was broken for less than the board's patience: pictures
are taken in, the disk answers, outputs and guard are alive; that this task runs shows that the
event loop does. What starved it is written down before, and told at the next start. A box that
restarted three times within six hours for that is fed whatever happens: what a restart does not
cure is not worth a box that can do nothing else any more.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from nvr.app.volumes import Volumes
from nvr.auth.audit import Audit, Entry
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.file import replace_file
from nvr.base.log import event
from nvr.gpio.output import Outputs
from nvr.hal.board_gpio import Watchdog
from nvr.hal.linux_watchdog import LinuxWatchdog, VirtualWatchdog
from nvr.hal.ports import WatchdogDevice
from nvr.media.ingest import Ingest
from nvr.ptz.guard_link import GuardLink

_log = logging.getLogger(__name__)

FILE = "watchdog.json"
MOST_RESTARTS = 3
WITHIN_US = 6 * 3_600_000_000
SHOWN_S = 24 * 3600.0
_LEAST_S, _MOST_S = 0.5, 5.0
_STUCK_S = 10.0
"""A thread that had no turn for so long is stuck; each is woken as often as it is asked."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def conditions(
    clock: Clock, ingest: Ingest, volumes: Volumes, outputs: Outputs, guard: GuardLink
) -> dict[str, Callable[[], bool]]:
    """What must hold for the watchdog to be fed, by the name under which it is told.

    A disk that never was well since the start is somebody's to see to, and no restart's.
    """
    was_well = False

    def disk() -> bool:
        nonlocal was_well
        vault = volumes.vault
        was_well = was_well or vault.healthy
        return not vault.hangs and (vault.healthy or not was_well)

    def control() -> bool:
        return clock.monotonic_s() - outputs.nudge() < _STUCK_S and guard.ready()

    return {
        "recording": lambda: clock.monotonic_s() - ingest.now_s < _STUCK_S,
        "control": control,
        "disk": disk,
    }


class Memory(msgspec.Struct, frozen=True):
    """What is kept over a restart.

    Attributes:
        armed: The watchdog is fed now, or was when the box ended without a word.
        boot: Of the kernel, when that was written.
        starved: UTC microseconds and condition of each time it was starved, the newest last.
        untold: The newest of them is to be told at the next start.
    """

    armed: bool = False
    boot: str = ""
    starved: tuple[tuple[int, str], ...] = ()
    untold: bool = False


class Feeder:
    """Feeds the watchdog of a box.

    Args:
        settings: From the board file.
        data: Data directory.
        conditions: Each by its name, True while it holds; asked in the event loop.
        clock: Time source.
        audit: Told when it starves, and of it after the restart.
        sim: Directory of simulated devices.
    """

    def __init__(
        self,
        settings: Watchdog,
        data: Path,
        conditions: Mapping[str, Callable[[], bool]],
        clock: Clock,
        audit: Audit,
        sim: Path,
    ) -> None:
        self._settings = settings
        self._path = data / FILE
        self._conditions = conditions
        self._clock = clock
        self._audit = audit
        self._sim = sim
        self._memory = _load(self._path)
        self._broken_s: dict[str, float] = {}
        self._device: WatchdogDevice | None = None
        self._begun_s = clock.monotonic_s()
        self._last: tuple[int, str] | None = None
        self._fault: NvrError | None = None
        self._gave_up = False
        self.starving = ""
        """Condition that it is starved for, empty while it is fed."""

    def open(self) -> None:
        """Arm it and tell what it did; a box without one goes on, and says so."""
        settings = self._settings
        try:
            if settings.driver == "virtual":
                device = str(self._sim / settings.device)
                self._device = VirtualWatchdog(device, settings.timeout_s)
            else:
                self._device = LinuxWatchdog(settings.device, settings.timeout_s)
        except Unavailable as err:
            self._fault = err
            event(_log, logging.WARNING, "watchdog.gone", error=str(err))
            return
        self._tell_of_last(was_reset=self._device.was_reset)
        self._save(Memory(True, _boot(), self._memory.starved))
        event(_log, logging.INFO, "watchdog.armed", timeout_s=self._device.timeout_s)

    def close(self, *, clean: bool) -> None:
        """Disarm it after an orderly end, unless it starves; else it restarts the box in time.

        Args:
            clean: The end was orderly. A recorder that is started again in time feeds it again.
        """
        if self._device is not None:
            disarm = clean and not self.starving
            self._device.close(disarm=disarm)
            self._device = None
            if disarm:
                self._save(Memory(False, _boot(), self._memory.starved))

    async def run(self) -> None:
        """Feed until cancelled."""
        while self._device is not None:
            self.turn(self._clock.monotonic_s())
            await self._clock.sleep(max(_LEAST_S, min(_MOST_S, self._device.timeout_s / 4)))

    def turn(self, now_s: float) -> None:
        """Look at every condition, and feed if none was broken for too long."""
        why = self._broken(now_s)
        if why and not self._gave_up and not self.starving:
            self._starve(why)
        if self.starving:
            return
        device = self._device
        assert device is not None
        try:
            device.feed()
        except OSError as err:
            level = logging.DEBUG if self._fault else logging.WARNING
            event(_log, level, "watchdog.gone", error=str(err))
            self._fault = Unavailable("watchdog.gone", str(err))

    def warnings(self) -> list[NvrError]:
        """What a person should know of it."""
        found: list[NvrError] = []
        if self._fault is not None:
            found.append(self._fault)
        if self._last and self._clock.monotonic_s() - self._begun_s < SHOWN_S:
            at_us, why = self._last
            detail = f"the watchdog restarted the box: {why}"
            found.append(Unavailable("watchdog.restarted", detail, why=why, at_us=at_us))
        if self._gave_up:
            detail = f"{MOST_RESTARTS} restarts did not help, so the box is not restarted for that"
            found.append(Unavailable("watchdog.gave_up", detail))
        return found

    def _broken(self, now_s: float) -> str:
        for name, holds in self._conditions.items():
            if holds():
                self._broken_s.pop(name, None)
            else:
                self._broken_s.setdefault(name, now_s)
        return next(
            (
                name
                for name, since_s in self._broken_s.items()
                if now_s - since_s >= self._settings.patience_s
            ),
            "",
        )

    def _starve(self, why: str) -> None:
        now_us = self._clock.wall_us()
        recent = [one for one in self._memory.starved if 0 <= now_us - one[0] < WITHIN_US]
        if len(recent) >= MOST_RESTARTS:
            self._gave_up = True
            event(_log, logging.ERROR, "watchdog.gave_up", why=why)
            return
        starved = (*self._memory.starved, (now_us, why))[-2 * MOST_RESTARTS :]
        self._save(Memory(True, _boot(), starved, untold=True))
        event(_log, logging.ERROR, "watchdog.starved", why=why)
        self._audit.record(Entry("run", "watchdog.starved", "failed", why, who="box"), stop=True)
        self.starving = why

    def _tell_of_last(self, *, was_reset: bool) -> None:
        """Say why the box was restarted: what starved it, or else that nothing was said any more.

        The hardware's own word lasts until power goes, so it counts once for each start of the box.
        """
        before = self._memory
        if before.untold:
            self._last = before.starved[-1]
        elif was_reset and before.armed and before.boot != _boot():
            self._last = (0, "frozen")
        if self._last is not None:
            why = self._last[1]
            event(_log, logging.WARNING, "watchdog.restarted", why=why)
            self._audit.record(Entry("startup", "watchdog.restarted", reason=why, who="box"))

    def _save(self, memory: Memory) -> None:
        """Keep it durably: in seconds there may be no more power."""
        self._memory = memory
        try:
            replace_file(self._path, msgspec.json.encode(memory))
        except OSError as err:
            event(_log, logging.WARNING, "watchdog.unwritten", error=str(err))


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _load(path: Path) -> Memory:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Memory()
