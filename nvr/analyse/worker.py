"""The thread that has pictures looked at: takes what comes, asks the sandbox, tells what was found.

One sandbox serves all cameras. A camera whose bytes end it is left alone for a while, longer each
time; the others go on with what they had learned. The sandbox runs at the lowest priority, and
while the box is busy only key frames are looked at. Recording knows nothing of all that.
"""

import contextlib
import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from nvr.analyse.budget import Budget
from nvr.analyse.gaze import Aim, Found, Gaze, Now
from nvr.analyse.load import Load
from nvr.analyse.talk import (
    UNUSABLE,
    About,
    Answer,
    Forget,
    Knows,
    Made,
    Request,
    Still,
    answered,
)
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Unavailable
from nvr.base.log import event
from nvr.base.supervise import Backoff
from nvr.codec.sandbox import Sandbox
from nvr.media.part import Part

_log = logging.getLogger(__name__)

PROGRAM = "nvr.analyse.eye"
EVERY_S, SHOWN_S = 1.0, 0.5
"""Between two looks at what came; the second while somebody watches the cells."""
ANSWER_S, ANSWER_CPU_S = 60.0, 10.0
IDLE_S = 30.0
"""So long after the last question a sandbox that nobody needs is ended."""
MOST_STILLS = 8
_PATIENCE_S = 3.0
_START_S = 10.0
_AFTER_DEATH = Backoff(first_s=10.0, cap_s=3600.0)
_RESTART = Backoff(first_s=1.0, cap_s=60.0)
_AFTER_SEARCH = Backoff(first_s=60.0, cap_s=3600.0)
"""A search that ended the sandbox: the model's fault, or of a picture that no other eye minds."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What finds objects.

    Attributes:
        path: An ONNX file.
        labels: Names of its classes, one a line; None for those in it.
        per_s: Most searches a second, of all cameras together.
        share: Most processor time they may take, of one processor.
    """

    path: Path
    labels: Path | None = None
    per_s: float = 2.0
    share: float = 0.25


@dataclass(frozen=True, slots=True)
class Health:
    """How looking goes.

    Attributes:
        cameras: How many are looked at.
        pictures: Looked at since the start.
        cpu_s: Processor time they took.
        deaths: How often the sandbox ended.
        slow: Only key frames are looked at, for the box is busy.
        since_s: Monotonic seconds since when that is so, or not.
        failed: Why nothing is looked at, None if it is.
        searches: How often a picture was searched for objects.
        put_off: How often one was due and had to be left, for the budget was spent.
        search_cpu_s: Processor time the searches took.
    """

    cameras: int
    pictures: int
    cpu_s: float
    deaths: int
    slow: bool
    since_s: float
    failed: NvrError | None
    searches: int = 0
    put_off: int = 0
    search_cpu_s: float = 0.0


@dataclass(slots=True)
class _Blame:
    times: int = 0
    until_s: float = 0.0
    error: NvrError | None = None


class Analyst:
    """Looks at cameras, in a thread of its own.

    Args:
        clock: Time source.
        found: Told what begins and ends, in that thread.
        hushed: Whether a camera's head moves or its wiper does; asked in that thread.
        remember: Told what was learned of a camera.
        recall: Returns it, at the next start too.
        model: What finds objects, loaded while somebody looks for some; None if nothing does.
        program: What runs in the sandbox.
    """

    def __init__(
        self,
        clock: Clock,
        found: Callable[[Found], None],
        *,
        hushed: Callable[[str], bool] = lambda _: False,
        remember: Callable[[str, bytes], None] = lambda _camera, _memory: None,
        recall: Callable[[str], bytes] = lambda _: b"",
        model: ModelFile | None = None,
        program: str = PROGRAM,
    ) -> None:
        self._clock = clock
        self._found = found
        self._hushed = hushed
        self._remember = remember
        self._recall = recall
        self._model, self._program = model, program
        self._knows: Knows | None = None
        self._budget = Budget(model.per_s, model.share) if model else Budget(1.0, 0.1)
        self._search_deaths, self._search_s, self._told = 0, 0.0, ""
        self._gazes: dict[str, Gaze] = {}
        self._by_stream: dict[str, Gaze] = {}
        self._numbers = 0
        self._orders: deque[Callable[[], None]] = deque()
        self._stills: deque[tuple[Still, Future[bytes]]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._sandbox: Sandbox | None = None
        self._used_s = self._started_s = 0.0
        self._load = Load()
        self._blames: dict[str, _Blame] = {}
        self._pictures = self._deaths = self._failures = 0
        self._cpu_s = 0.0
        self._retry_s = 0.0
        self._failed: NvrError | None = None
        self._thread: threading.Thread | None = None

    # Any thread.

    def start(self) -> None:
        """Begin; end it with `stop`."""
        self._thread = threading.Thread(target=self._run, name="analyse")
        self._thread.start()

    def stop(self) -> None:
        """End what goes on, and the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread is None:
            return
        self._thread.join(_PATIENCE_S)
        sandbox = self._sandbox
        if self._thread.is_alive() and sandbox is not None:
            with contextlib.suppress(ProcessLookupError):  # it hangs in what a camera sent
                os.kill(sandbox.pid, signal.SIGKILL)
        self._thread.join()

    def tap(self, parts: list[Part]) -> None:
        """Take parts on their way to the disk. See `nvr.media.ports.PartSink`."""
        gazes = self._by_stream
        if not gazes:
            return
        for part in parts:
            gaze = gazes.get(part.stream)
            if gaze is not None and not gaze.closed:
                gaze.taps[part.stream].push(part)

    def aim(self, camera: str, aim: Aim | None) -> None:
        """Look at a camera, otherwise than before, or no more."""
        gaze = self._gazes.get(camera)
        if gaze is not None and aim is None:
            gaze.closed = True  # its thread may wait for an answer yet
        self._order(lambda: self._aim(camera, aim))

    def accept(self, camera: str) -> None:
        """How a camera's picture is now is right."""
        self._order(lambda: self._accept(camera))

    def show(self, camera: str, for_s: float) -> Now | None:
        """Return what was seen last of a camera; for a while the cells that move come with it."""
        gaze = self._gazes.get(camera)
        if gaze is None:
            return None
        gaze.shown_until_s = self._clock.monotonic_s() + for_s
        return gaze.now

    def thresholds(self, camera: str) -> list[tuple[str, int]]:
        """Name of each zone of a camera, and how many of its cells must move."""
        gaze = self._gazes.get(camera)
        return gaze.judge.thresholds() if gaze else []

    def blamed(self, camera: str) -> NvrError | None:
        """Why a camera is left alone for now."""
        blame = self._blames.get(camera)
        if blame is None or self._clock.monotonic_s() >= blame.until_s:
            return None
        return blame.error

    def still(self, wanted: Still) -> Future[bytes]:
        """Have a JPEG made of a key frame; empty if it cannot be decoded.

        Raises:
            Unavailable: ``snapshot.busy``.
        """
        if len(self._stills) >= MOST_STILLS or self._stopping:
            raise Unavailable("snapshot.busy", "too many pictures are being made")
        made: Future[bytes] = Future()
        self._stills.append((wanted, made))
        self._wake.set()
        return made

    def health(self) -> Health:
        """How it goes."""
        return Health(
            len(self._gazes), self._pictures, self._cpu_s, self._deaths, self._load.slow,
            self._load.since_s, self._failed, self._budget.searches, self._budget.put_off,
            self._budget.cpu_s,
        )  # fmt: skip

    def knows(self) -> Knows | None:
        """What finds objects, or why nothing does; None while nobody looks for any."""
        return self._knows

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        self._wake.set()

    # Its thread.

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.wait(self._every_s())
                self._wake.clear()
                self._once()
            for gaze in self._gazes.values():
                self._tell(gaze.end())
                self._store(gaze)
        finally:
            self._close()
            while self._stills:
                self._stills.popleft()[1].cancel()

    def _every_s(self) -> float | None:
        if not self._gazes and self._sandbox is None:
            return None
        now_s = self._clock.monotonic_s()
        shown = any(now_s < gaze.shown_until_s for gaze in self._gazes.values())
        return SHOWN_S if shown else EVERY_S

    def _once(self) -> None:
        while self._orders:
            self._attempt(self._orders.popleft(), "")
        now_s = self._clock.monotonic_s()
        self._make_stills(now_s)
        if now_s < self._retry_s:
            return
        looked = [one for one in self._gazes.values() if now_s >= self._blame(one).until_s]
        for gaze in looked:
            if not gaze.closed:
                self._attempt(partial(self._look, gaze), gaze.aim.camera)
        if self._sought():
            self._search(looked)
        # What came while a sandbox started says nothing of how busy the box is.
        started = self._clock.monotonic_s() - self._started_s < _START_S
        waiting = 0 if started else max((gaze.waiting() for gaze in looked), default=0)
        if self._load.look(now_s, waiting):
            what = "analyse.slowed" if self._load.slow else "analyse.full"
            event(_log, logging.WARNING, what, waiting=waiting, cameras=len(self._gazes))
        if self._sandbox is not None and not self._gazes and now_s - self._used_s > IDLE_S:
            self._close()

    def _look(self, gaze: Gaze) -> None:
        self._ready()  # before it is asked what it knows already
        slow, hush = self._load.slow, self._hushed(gaze.aim.camera)
        before = gaze.now.pictures, gaze.now.cpu_us, gaze.memory
        self._tell(gaze.look(self._ask, self._clock.monotonic_s(), slow=slow, hush=hush))
        cpu_s = (gaze.now.cpu_us - before[1]) / 1e6
        self._pictures += gaze.now.pictures - before[0]
        self._cpu_s += cpu_s
        self._load.spent(cpu_s)
        if gaze.memory is not before[2]:
            self._remember(gaze.aim.camera, gaze.memory)

    def _sought(self) -> bool:
        return self._model is not None and any(one.search for one in self._gazes.values())

    def _search(self, looked: list[Gaze]) -> None:
        """Search the pictures that are due, the one first that waited longest, as far as may be."""
        knows, now_s = self._knows, self._clock.monotonic_s()
        if knows is None or knows.code or self._load.slow or now_s < self._search_s:
            return
        due = [(one.search.asked_s, one) for one in looked if one.search and one.search.due]
        for _, gaze in sorted(due, key=lambda one: one[0]):
            if gaze.closed or not self._budget.may(self._clock.monotonic_s()):
                continue
            try:
                found, cpu_s = gaze.find(self._ask, knows.labels, self._clock.monotonic_s())
            except NvrError as err:
                self._search_died(err, gaze.aim.camera)
                return
            self._budget.spent(cpu_s)
            self._tell(found)

    def _search_died(self, err: NvrError, camera: str) -> None:
        """Take that a search ended the sandbox: motion goes on without it, at once."""
        self._search_deaths += 1
        wait_s = _AFTER_SEARCH.wait_s(self._search_deaths)
        self._search_s = self._clock.monotonic_s() + wait_s
        self._died(err, "")
        event(_log, logging.WARNING, "objects.died", camera=camera, error=str(err), wait_s=wait_s)

    def _aim(self, camera: str, aim: Aim | None) -> None:
        gaze = self._gazes.get(camera)
        if gaze is not None:
            self._tell(gaze.end())
            self._store(gaze)
            if self._sandbox is not None:
                self._ask(Forget(gaze.number, altogether=True))
        gazes = {name: one for name, one in self._gazes.items() if name != camera}
        if aim is not None:
            self._numbers += 1
            gazes[camera] = Gaze(self._numbers, aim, self._recall(camera))
        self._gazes = gazes
        self._by_stream = {name: one for one in gazes.values() for name in one.aim.streams}
        self._blames.pop(camera, None)
        if self._sandbox is not None and self._sought() != (self._knows is not None):
            # A model is loaded before the sandbox closes its doors, and kept no longer than needed.
            for one in gazes.values():
                self._store(one)
            self._close()

    def _store(self, gaze: Gaze) -> None:
        """Keep what was learned, if it can be had."""
        if self._sandbox is not None and gaze.now.pictures and gaze.judge.learn:
            try:
                gaze.keep(self._ask, self._clock.monotonic_s())
            except NvrError:
                return
            self._remember(gaze.aim.camera, gaze.memory)

    def _accept(self, camera: str) -> None:
        gaze = self._gazes.get(camera)
        if gaze is not None:
            self._tell(gaze.accept(self._ask))
            self._remember(camera, b"")

    def _make_stills(self, now_s: float) -> None:
        while self._stills:
            wanted, made = self._stills.popleft()
            if not made.set_running_or_notify_cancel():
                continue
            try:
                if now_s < self._retry_s:
                    raise self._failed or Unavailable("sandbox.failed", "it waits to be tried")
                answer = self._ask(wanted)
            except NvrError as err:
                self._died(err, "")
                made.set_exception(err)
            else:
                made.set_result(answer.data if isinstance(answer, Made) else b"")

    def _attempt(self, what: Callable[[], None], camera: str) -> None:
        try:
            what()
        except NvrError as err:
            self._died(err, camera)

    def _ask(self, request: Request) -> Answer:
        sandbox = self._ready()
        self._used_s = self._clock.monotonic_s()
        return answered(sandbox.ask(msgspec.msgpack.encode(request)))

    def _ready(self) -> Sandbox:
        """Return the sandbox, a new one if there is none; it knows nothing of any camera then."""
        if self._sandbox is None:
            self._sandbox, self._knows = self._started()
            for gaze in self._gazes.values():
                gaze.restarted()
            self._failed = None
            self._started_s = self._clock.monotonic_s()
        return self._sandbox

    def _started(self) -> tuple[Sandbox, Knows | None]:
        """Start a sandbox, and what finds objects in it where that is wanted."""
        begin = partial(Sandbox, self._program, answer_s=ANSWER_S, answer_cpu_s=ANSWER_CPU_S)
        model = self._model if self._sought() else None
        if model is None:
            return begin(), None
        sandbox: Sandbox | None = None
        try:
            words = (str(model.path), str(model.labels or ""))
            sandbox = begin(words=words)
            # No foreign bytes have come yet.
            answer = answered(sandbox.ask(msgspec.msgpack.encode(About())))
            knows = answer if isinstance(answer, Knows) else Knows(UNUSABLE)
        except NvrError as err:  # a model that ends the process that loads it must not end motion
            if sandbox is not None:
                sandbox.close()
            sandbox, knows = begin(), Knows(UNUSABLE, str(err))
        if knows.code and self._told != knows.code:
            event(_log, logging.WARNING, "objects.failed", code=knows.code, detail=knows.detail)
        self._told = knows.code
        return sandbox, knows

    def _died(self, err: NvrError, camera: str) -> None:
        """Take a failure: of the sandbox, which is another one then, or of what a camera sent."""
        now_s = self._clock.monotonic_s()
        if err.code == "sandbox.failed":
            self._failures += 1
            self._retry_s = now_s + _RESTART.wait_s(self._failures)
            if self._failed is None:
                event(_log, logging.ERROR, "analyse.no_sandbox", error=str(err))
            self._failed = err
            return
        if err.code == "sandbox.died":
            self._deaths += 1
            self._close()
        wait_s = 0.0
        if camera:
            blame = self._blames.setdefault(camera, _Blame())
            blame.times += 1
            wait_s = _AFTER_DEATH.wait_s(blame.times)
            blame.until_s, blame.error = now_s + wait_s, err
        event(_log, logging.WARNING, "analyse.died", camera=camera, error=str(err), wait_s=wait_s)

    def _blame(self, gaze: Gaze) -> _Blame:
        return self._blames.setdefault(gaze.aim.camera, _Blame())

    def _close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = self._knows = None

    def _tell(self, found: list[Found]) -> None:
        for one in found:
            self._found(one)
