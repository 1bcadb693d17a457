"""Exports that are made in the background, one after the other, and where they have gone.

Each job has a directory with ``job.json`` and, where it is to be fetched, its files; a file under
its own name is whole. One thread makes them, piece by piece: between two pieces a job can be
paused, which lets the next one go on, or cancelled, and gives way while the disk lags behind what
is recorded. So does one whose target is away for a while. After a restart, what was not finished
says so, and its pieces are gone.
"""

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.base.log import event
from nvr.export.order import UNFINISHED, Job, Make, State, Wanted
from nvr.export.out import Away, Target
from nvr.export.shelf import Shelf
from nvr.export.target import AllTargets, Targets
from nvr.export.work import Work

_log = logging.getLogger(__name__)

MOST_JOBS = 32
_WAIT_S = 0.2
_LOOK_S = 60.0


class Jobs:
    """The background exports of a box; methods may be called from any thread.

    Args:
        directory: Where they are kept.
        make: Makes them.
        clock: Time source.
        keep_s: A finished export is removed after so long.
        targets: Where they can go.
        busy: Whether the disk lags behind what is recorded.
        ended: Told of each that has ended.
    """

    def __init__(
        self,
        directory: Path,
        make: Make,
        clock: Clock,
        *,
        keep_s: float,
        targets: Targets | None = None,
        busy: Callable[[], bool] = lambda: False,
        ended: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._make = make
        self._clock = clock
        self._keep_us = round(keep_s * 1e6)
        self.targets = targets or AllTargets()
        self._busy = busy
        self._ended = ended
        self._due_s: dict[int, float] = {}
        self._shelf = Shelf(directory)
        self._jobs = self._shelf.load()
        self._work: dict[int, Work] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)
        self._thread.start()

    def add(self, wanted: Wanted) -> Job:
        """Ask for an export.

        Raises:
            Rejected: ``export.nothing``, ``export.too_many``, ``export.no_target``,
                ``export.too_big``.
            Unavailable: ``export.no_room``, ``export.unwritable``, or there is no volume.
        """
        target = self.targets.find(wanted.target)
        wanted = replace(wanted, most_file_bytes=target.most_file_bytes)
        size = self._make.size_bytes(wanted)
        if not size:
            raise Rejected("export.nothing", "nothing is recorded there")
        if wanted.form == "evidence" and 0 < wanted.most_file_bytes < size:
            raise Rejected(
                "export.too_big",
                f"the evidence would be one file of {size / 1e9:.1f} GB, and "
                f"{target.file_system or 'the store'} takes at most "
                f"{wanted.most_file_bytes / 1e9:.1f} GB: choose a shorter stretch"
                f"{', or a stick with exFAT' if target.kind == 'usb' else ''}",
            )
        missing = self._make.missing(wanted)
        with self._changed:
            if len(self._jobs) >= MOST_JOBS:
                raise Rejected("export.too_many", "remove exports that are no longer needed")
            waiting = sum(
                max(0, job.size_bytes - job.written_bytes)
                for job in self._jobs.values()
                if job.state in UNFINISHED and job.wanted.target == wanted.target
            )
            self._look_for_room(target, size + waiting)
            number = max((*self._jobs, *self._work), default=0) + 1
            made_us = self._clock.wall_us()
            job = Job(number, wanted, "queued", 0.0, 0, size, 0.0, made_us, missing=missing)
            try:
                self._shelf.place(number).mkdir(parents=True)
                self._shelf.put(job)
            except OSError as err:
                raise Unavailable("export.unwritable", f"it cannot be kept: {err}") from err
            self._jobs[number] = job
            self._changed.notify_all()
        return job

    def all(self) -> list[Job]:
        """Return all jobs, the newest first."""
        with self._changed:
            return [self._jobs[number] for number in sorted(self._jobs, reverse=True)]

    def get(self, number: int) -> Job:
        """Return a job.

        Raises:
            Rejected: ``export.unknown``.
        """
        with self._changed:
            job = self._jobs.get(number)
        if job is None:
            raise Rejected("export.unknown", "there is no such export, or it was removed")
        return job

    def pause(self, number: int) -> Job:
        """Let a job rest; the next one goes on.

        Raises:
            Rejected: ``export.unknown``.
        """
        return self._turn(number, {"queued", "running", "waiting"}, "paused")

    def resume(self, number: int) -> Job:
        """Let a job that rests go on.

        Raises:
            Rejected: ``export.unknown``.
        """
        return self._turn(number, {"paused"}, "queued")

    def remove(self, number: int) -> None:
        """Cancel a job, or remove one that has ended, with its files.

        Raises:
            Rejected: ``export.unknown``.
        """
        self.get(number)
        with self._changed:
            self._jobs.pop(number, None)
            if number in self._work:
                self._work[number].out.hurry()
            else:
                shutil.rmtree(self._shelf.place(number), ignore_errors=True)
            self._changed.notify_all()

    def path(self, number: int, name: str) -> Path:
        """Return where a file of a job is.

        Raises:
            Rejected: ``export.unknown``, ``export.elsewhere``.
        """
        job = self.get(number)
        if name not in {file.name for file in job.files}:
            raise Rejected("export.unknown", "there is no such file in the export")
        if job.wanted.target:
            raise Rejected("export.elsewhere", "the export is not on this box", place=job.place)
        return self._shelf.place(number) / name

    def close(self) -> None:
        """Stop working; what is not finished is given up."""
        with self._changed:
            self._ending = True
            for work in self._work.values():
                work.out.hurry()
            self._changed.notify_all()
        self._thread.join()
        for work in self._work.values():
            work.close()

    def _look_for_room(self, target: Target, size: int) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise Unavailable("export.unwritable", f"it cannot be kept: {err}") from err
        self.targets.check_room(target, self._directory, size)

    def _turn(self, number: int, since: set[State], state: State) -> Job:
        with self._changed:
            job = self._jobs.get(number)
            if job is not None and job.state in since:
                self._due_s.pop(number, None)
                job = self._keep(replace(job, state=state, code="", detail=""))
                self._changed.notify_all()
        return job or self.get(number)

    def _keep(self, job: Job) -> Job:
        """Remember a job, on the disk if it takes it."""
        self._jobs[job.number] = job
        with contextlib.suppress(OSError):
            self._shelf.put(job)
        return job

    def _run(self) -> None:
        while True:
            self._expire()
            self._drop_cancelled()
            self.targets.tidy()
            with self._changed:
                job = self._next()
                if job is None and not self._ending:
                    now_s = time.monotonic()
                    due_s = min(self._due_s.values(), default=now_s + _LOOK_S)
                    self._changed.wait(min(_LOOK_S, max(_WAIT_S, due_s - now_s)))
                if self._ending:
                    return
            if job is not None:
                self._step(job)

    def _next(self) -> Job | None:
        """Return the job to work on."""
        now_s = time.monotonic()
        waits = [
            job
            for job in self._jobs.values()
            if job.state in {"queued", "running"}
            or (job.state == "waiting" and self._due_s.get(job.number, 0.0) <= now_s)
        ]
        if not waits:
            return None
        job = min(waits, key=lambda one: (one.state != "running", one.number))
        self._due_s.pop(job.number, None)
        if job.state == "running":
            return job
        return self._keep(replace(job, state="running", code="", detail=""))

    def _drop_cancelled(self) -> None:
        """Give up the work of those that were cancelled; a target may take its time over that."""
        with self._changed:
            cancelled = [number for number in self._work if number not in self._jobs]
        for number in cancelled:
            self._give_up(number, self._work.pop(number))

    def _give_up(self, number: int, work: Work) -> None:
        work.close()
        self._due_s.pop(number, None)
        shutil.rmtree(self._shelf.place(number), ignore_errors=True)

    def _expire(self) -> None:
        before_us = self._clock.wall_us() - self._keep_us
        for job in self.all():
            if job.state in {"done", "failed"} and job.made_us < before_us:
                self.remove(job.number)

    def _step(self, job: Job) -> None:
        """Work on a job until it ends, or is no longer to be worked on."""
        begun_s, shown_s = time.monotonic(), 0.0
        try:
            work = self._begun(job)
            for step in work.go_on():
                now_s = time.monotonic()
                spent_s = job.worked_s + now_s - begun_s
                if isinstance(step, Away):
                    self._rest(job.number, work, step, spent_s)
                    return
                if now_s - shown_s >= _WAIT_S or not self._goes_on(job.number):
                    shown_s = now_s
                    self._expire()
                    if not self._show(job.number, work, step, spent_s):
                        return
            self._end(job.number, job.worked_s + time.monotonic() - begun_s, None)
        except NvrError as err:
            self._end(job.number, job.worked_s, err)
        except OSError as err:
            failure = Unavailable("export.unwritable", f"it cannot be written: {err}")
            self._end(job.number, job.worked_s, failure)

    def _begun(self, job: Job) -> Work:
        """Return the work of a job, begun if it was not."""
        work = self._work.get(job.number)
        if work is None:
            directory, wanted = self._shelf.place(job.number), job.wanted
            out = self.targets.open(wanted.target, directory, job.made_us, job.size_bytes)
            self._work[job.number] = work = Work(
                out, self._make.files(wanted), lambda: not self._others(job.number, wanted.target)
            )
        return work

    def _others(
        self, number: int, target: str, states: Collection[State] = UNFINISHED
    ) -> list[Job]:
        """Return other jobs with the same target."""
        with self._changed:
            return [
                job
                for job in self._jobs.values()
                if job.number != number and job.wanted.target == target and job.state in states
            ]

    def _rest(self, number: int, work: Work, away: Away, spent_s: float) -> None:
        """Let a job wait for its target, and the next one go on."""
        with self._changed:
            job = self._jobs.get(number)
            if job is None or job.state != "running":
                return
            self._due_s[number] = time.monotonic() + away.wait_s
            self._jobs[number] = replace(
                job, state="waiting", code=away.why.code, detail=away.why.detail,
                written_bytes=work.written_bytes, worked_s=spent_s,
            )  # fmt: skip

    def _goes_on(self, number: int) -> bool:
        with self._changed:
            job = self._jobs.get(number)
            return job is not None and job.state == "running" and not self._ending

    def _show(self, number: int, work: Work, share: float, spent_s: float) -> bool:
        """Tell how far a job is; returns whether it is to be worked on."""
        with self._changed:
            job = self._jobs.get(number)
            if job is not None:
                self._jobs[number] = job = replace(
                    job, share=share, written_bytes=work.written_bytes, worked_s=spent_s
                )
            while job is not None and job.state == "running" and self._busy():
                self._changed.wait(_WAIT_S)
                job = None if self._ending else self._jobs.get(number)
            return job is not None and job.state == "running" and not self._ending

    def _end(self, number: int, spent_s: float, err: NvrError | None) -> None:
        work = self._work.get(number)
        if work is not None and err is not None:
            work.close()
        with self._changed:
            job = self._jobs.get(number)
            if job is None:  # cancelled at the last moment
                return
            self._work.pop(number, None)
            ended = replace(job, worked_s=spent_s)
            if work is not None:
                ended = replace(
                    ended, written_bytes=work.written_bytes, files=tuple(work.out.files),
                    place=work.out.place, safe=work.out.safe,
                )  # fmt: skip
            if err is None:
                ended = replace(ended, state="done", share=1.0)
            else:
                ended = replace(ended, state="failed", code=err.code, detail=err.detail, files=())
                with contextlib.suppress(OSError):
                    for file in self._shelf.place(number).iterdir():
                        file.unlink()
            self._keep(ended)
            if ended.safe:  # so are those that were done before it and left it in
                for other in self._others(number, job.wanted.target, {"done"}):
                    self._keep(replace(other, safe=True))
        level = logging.WARNING if err else logging.INFO
        target = job.wanted.target or "download"
        event(_log, level, "export.ended", number=number, target=target, error=str(err or ""))
        self._ended(ended)
