"""Background exports over HTTP: asked for, watched, paused, removed and fetched.

A job shows to who asked for it and to administrators, as long as they may export all of its cameras
in its time: rights that were taken away take away what was made with them.
"""

import asyncio
from typing import Annotated
from urllib.parse import quote

from aiohttp import web
from msgspec import Meta, Struct

from nvr.auth.audit import Entry
from nvr.auth.policy import authorise, unknown_camera
from nvr.base.errors import Rejected
from nvr.export.order import Form, Job, Streams, Wanted
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json

_EXPORT = "http GET /api/camera/{name}/export"
_ADD = "http POST /api/export"
_FETCH = "http GET /api/export/{number}/{file}"
_TYPES = {".mp4": "video/mp4", ".mpg": "video/mp2p", ".zip": "application/zip"}
MOST_CAMERAS = 64
MOST_LENGTH_US = 31 * 86_400_000_000


class NewExport(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /api/export``."""

    cameras: list[str]
    from_us: int
    to_us: int
    form: Form = "mp4"
    streams: Streams = "main"
    captions: bool = False
    target: Annotated[str, Meta(max_length=128)] = ""
    masks: bool = True


class TargetView(Struct, frozen=True):
    """Where an export may go, as JSON."""

    name: str
    kind: str
    title: str
    file_system: str
    size_bytes: int
    free_bytes: int
    most_file_bytes: int
    code: str = ""


class FileView(Struct, frozen=True):
    """A file of an export, as JSON."""

    name: str
    size_bytes: int
    sha256: str


class ExportView(Struct, frozen=True):
    """An export as JSON."""

    number: int
    form: str
    cameras: tuple[str, ...]
    streams: str
    from_us: int
    to_us: int
    by: str
    state: str
    share: float
    left_s: float | None
    written_bytes: int
    size_bytes: int
    made_us: int
    code: str
    detail: str
    files: list[FileView]
    target: str
    place: str
    safe: bool | None
    captions: bool
    missing: str


class ExportPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        one = "/api/export/{number}"
        return [
            Route("http GET /api/export", self.all),
            Route("http GET /api/export/target", self.targets),
            Route(_ADD, self.add, log="event"),
            Route(f"http POST {one}/pause", self.pause),
            Route(f"http POST {one}/resume", self.resume),
            Route(f"http DELETE {one}", self.remove, log="event"),
            Route(_FETCH, self.fetch),
        ]

    async def all(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - nothing to read
        """``GET /api/export``."""
        return answer([_view(job) for job in self._parts.exports.all() if self._may(caller, job)])

    async def targets(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - nothing to read
        """``GET /api/export/target``."""
        cameras = self._parts.cameras.all()
        if not any("export" in caller.subject.may(camera.name) for camera in cameras):
            return answer([])
        targets = self._parts.exports.targets
        found = await asyncio.to_thread(targets.all)
        unusable = await asyncio.to_thread(targets.unusable)
        return answer(
            [
                TargetView(
                    one.name, one.kind, one.title, one.file_system,
                    one.size_bytes, one.free_bytes, one.most_file_bytes,
                )
                for one in found
            ]
            + [TargetView("", "usb", one.title, "", 0, 0, 0, one.code) for one in unusable]
        )  # fmt: skip

    async def add(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/export``."""
        body = await read_json(request, NewExport)
        cameras = tuple(dict.fromkeys(body.cameras))
        where = f" to {body.target}" if body.target else ""
        # A picture that carries its caption gets no other one.
        found = map(self._parts.cameras.find, cameras)
        captions = body.captions and any(
            one is not None and not one.caption_burned for one in found
        )
        what = f"{body.form} with captions" if captions else body.form
        request[REASON] = f"{what} {', '.join(cameras)}: {body.from_us} to {body.to_us}{where}"
        if not 1 <= len(cameras) <= MOST_CAMERAS:
            raise Rejected("body.invalid", "name at least one camera", field="cameras")
        if not 0 <= body.from_us < body.to_us <= body.from_us + MOST_LENGTH_US:
            raise Rejected("body.invalid", "it must end after it begins, in 31 days", field="to_us")
        if body.captions and body.form != "mp4":
            raise Rejected("body.invalid", "captions are burned into MP4 only", field="captions")
        known = self._parts.cameras
        masks = body.masks and body.form == "mp4"
        for camera in cameras:
            authorise(
                caller.subject, _EXPORT, camera, (body.from_us, body.to_us),
                masked=known.masked, shown="masked" if masks else "as it is",
            )  # fmt: skip
            if self._parts.cameras.find(camera) is None:
                raise unknown_camera()
        subject = caller.subject
        everything = subject.role in {"admin", "auditor"}
        wanted = Wanted(
            body.form, cameras, body.from_us, body.to_us, subject.name, everything, body.target,
            streams=body.streams, captions=captions, masks=masks,
        )  # fmt: skip
        job = await asyncio.to_thread(self._parts.exports.add, wanted)
        what = what if body.streams == "main" else f"{what}, {body.streams},"
        for camera in cameras:
            reason = f"{what} {job.number}: {body.from_us} to {body.to_us}{where}"
            self._record(caller, _EXPORT, camera, reason)
        return answer(_view(job), 201)

    async def pause(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/export/{number}/pause``."""
        job = self._job(request, caller)
        return answer(_view(await asyncio.to_thread(self._parts.exports.pause, job.number)))

    async def resume(self, request: web.Request, caller: Caller) -> web.Response:
        """``POST /api/export/{number}/resume``."""
        job = self._job(request, caller)
        return answer(_view(await asyncio.to_thread(self._parts.exports.resume, job.number)))

    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """``DELETE /api/export/{number}``."""
        job = self._job(request, caller)
        await asyncio.to_thread(self._parts.exports.remove, job.number)
        request[REASON] = f"{job.number}: {', '.join(job.wanted.cameras)}"
        return answer({})

    async def fetch(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """``GET /api/export/{number}/{file}``: a file, or a range of it."""
        job, name = self._job(request, caller), request.match_info["file"]
        path = self._parts.exports.path(job.number, name)
        if request.headers.get("Range", "bytes=0-").startswith("bytes=0-"):
            for camera in job.wanted.cameras:  # before the first byte goes out
                self._record(caller, _FETCH, camera, f"{job.number}: {name}")
        return web.FileResponse(
            path,
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
                "Content-Type": _TYPES.get(path.suffix, "application/octet-stream"),
                "Cache-Control": "private, no-store",
            },
        )

    def _job(self, request: web.Request, caller: Caller) -> Job:
        text = request.match_info["number"]
        if text.isascii() and text.isdigit() and len(text) <= 9:
            job = self._parts.exports.get(int(text))
            if self._may(caller, job):
                return job
        raise Rejected("export.unknown", "there is no such export, or it was removed")

    def _may(self, caller: Caller, job: Job) -> bool:
        wanted, subject = job.wanted, caller.subject
        if subject.name != wanted.by and subject.role != "admin":
            return False
        try:
            for camera in wanted.cameras:
                authorise(
                    subject, _EXPORT, camera, (wanted.from_us, wanted.to_us),
                    masked=self._parts.cameras.masked,
                    shown="masked" if wanted.masks else "as it is",
                )  # fmt: skip
        except Rejected:
            return False
        return True

    def _record(self, caller: Caller, key: str, camera: str, reason: str) -> None:
        self._parts.audit.record(
            Entry(
                "event", key, "ok", reason, caller.subject.name, caller.address, camera,
                f"camera:{camera}",
            )
        )  # fmt: skip


def _view(job: Job) -> ExportView:
    wanted = job.wanted
    left_s = job.worked_s * (1 - job.share) / job.share if job.share > 0.02 else None
    return ExportView(
        job.number,
        wanted.form,
        wanted.cameras,
        wanted.streams,
        wanted.from_us,
        wanted.to_us,
        wanted.by,
        job.state,
        round(job.share, 4),
        left_s if left_s is None else round(left_s, 1),
        job.written_bytes,
        job.size_bytes,
        job.made_us,
        job.code,
        job.detail,
        [FileView(file.name, file.size_bytes, file.sha256) for file in job.files],
        wanted.target,
        job.place,
        job.safe,
        wanted.captions,
        job.missing,
    )
