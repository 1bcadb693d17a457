"""What is known of exports, kept over restarts: a directory each, with ``job.json`` in it."""

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path

from nvr.base.log import event
from nvr.export.order import Job, Wanted
from nvr.export.out import File

_log = logging.getLogger(__name__)


class Shelf:
    """Where they are.

    Args:
        directory: Need not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def place(self, number: int) -> Path:
        """Return the directory of a job."""
        return self._directory / f"{number:06d}"

    def put(self, job: Job) -> None:
        """Keep how a job stands.

        Raises:
            OSError: The disk does not take it.
        """
        path = self.place(job.number) / "job.json"
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(asdict(job), ensure_ascii=False), encoding="utf-8")
        unfinished.replace(path)

    def load(self) -> dict[int, Job]:
        """Return all jobs; what was not finished has failed, and its pieces are gone."""
        jobs: dict[int, Job] = {}
        for path in sorted(self._directory.glob("[0-9]*/job.json")):
            try:
                tree = json.loads(path.read_text(encoding="utf-8"))
                wanted = Wanted(**{**tree["wanted"], "cameras": tuple(tree["wanted"]["cameras"])})
                files = tuple(File(**each) for each in tree["files"])
                job = Job(**{**tree, "wanted": wanted, "files": files})
                for left in path.parent.glob("*.part"):
                    left.unlink()
            except (OSError, ValueError, TypeError, KeyError) as err:
                event(_log, logging.WARNING, "export.lost", file=str(path), error=str(err))
                continue
            if job.state not in {"done", "failed"}:
                why = "the recorder was stopped before it was finished"
                job = replace(job, state="failed", code="export.interrupted", detail=why)
            jobs[job.number] = job
        return jobs
