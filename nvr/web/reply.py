"""JSON in and out, and errors as the API words them."""

import asyncio
import json
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.media.name import WHICH, Which

T = TypeVar("T")


class FaultView(Struct, frozen=True, omit_defaults=True):
    """What keeps the box from something, or a person should see to, as JSON."""

    code: str
    detail: str
    camera: str = ""


MOST_BODY_BYTES = 64 * 1024
BODY_S = 10.0

STATUS: Mapping[str, int] = {
    "archive.nothing": 404,
    "archive.no_run": 404,
    "auth.masked": 403,
    "auth.needed": 401,
    "auth.throttled": 429,
    "auth.wrong": 401,
    "body.invalid": 400,
    "body.too_large": 413,
    "camera.busy": 409,
    "camera.name_taken": 409,
    "camera.no_sub": 404,
    "camera.search": 400,
    "camera.unknown": 404,
    "caption.invalid": 400,
    "caption.unsupported": 409,
    "capture.refused": 409,
    "claim.done": 409,
    "claim.needed": 401,
    "claim.paused": 429,
    "config.refused": 409,
    "event.no_picture": 404,
    "encode.unsupported": 409,
    "export.nothing": 404,
    "export.config_changed": 409,
    "export.too_many": 409,
    "export.unknown": 404,
    "gpio.interlocked": 409,
    "gpio.no_washer": 409,
    "gpio.not_wiper": 409,
    "gpio.range": 400,
    "gpio.resting": 409,
    "gpio.unknown_input": 404,
    "gpio.unknown_output": 404,
    "hls.ahead": 400,
    "hls.codec": 409,
    "hls.gone": 404,
    "hls.span": 400,
    "host.unknown": 421,
    "joystick.profile": 400,
    "joystick.unknown": 404,
    "key.destroyed": 410,
    "key.held": 409,
    "key.invalid": 400,
    "key.mistyped": 400,
    "key.nothing": 404,
    "key.passphrase": 400,
    "key.wrong": 409,
    "link.invalid": 401,
    "lock.invalid": 400,
    "mask.invalid": 400,
    "lock.nothing": 404,
    "lock.too_many": 409,
    "lock.too_much": 409,
    "lock.unknown": 404,
    "machine.exists": 409,
    "machine.invalid": 400,
    "machine.too_many": 409,
    "machine.unknown": 404,
    "objects.no_class": 409,
    "notify.unknown": 404,
    "notify.off": 409,
    "onvif.fault": 409,
    "onvif.forbidden": 409,
    "onvif.locked": 409,
    "onvif.no_stream": 409,
    "onvif.redirected": 409,
    "onvif.refused": 409,
    "password.weak": 400,
    "path.unknown": 404,
    "plan.off": 409,
    "ptz.busy": 409,
    "ptz.held": 409,
    "ptz.lock_invalid": 400,
    "ptz.locked": 409,
    "ptz.no_picture": 404,
    "ptz.program_invalid": 400,
    "ptz.range": 400,
    "ptz.rearm": 409,
    "ptz.reserved": 409,
    "ptz.taken": 409,
    "ptz.unknown_camera": 404,
    "ptz.unknown_output": 404,
    "ptz.unknown_preset": 404,
    "ptz.unknown_program": 404,
    "serial.unknown": 404,
    "size.guaranteed": 409,
    "size.locked": 409,
    "size.no_room": 409,
    "size.too_small": 409,
    "size.unconfirmed": 409,
    "size.unread": 409,
    "tpm.pcr": 400,
    "tpm.unmeasured": 409,
    "user.exists": 409,
    "user.invalid": 400,
    "user.last_admin": 409,
    "user.too_many": 409,
    "user.unknown": 404,
    "volume.unknown": 404,
}
"""Where the error's kind alone would give a status that browsers misread."""


def status_of(err: NvrError) -> int:
    """HTTP status of an error."""
    return STATUS.get(err.code, err.http_status)


def answer(value: object, status: int = 200) -> web.Response:
    """Return `value` as JSON."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def refusal(err: NvrError) -> web.Response:
    """Return an error as JSON."""
    body = {"code": err.code, "detail": err.detail, "context": err.context}
    response = web.Response(
        text=json.dumps(body, ensure_ascii=False, default=str),
        status=status_of(err),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
    retry_after_s = err.context.get("retry_after_s")
    if isinstance(retry_after_s, int | float):
        response.headers["Retry-After"] = str(int(retry_after_s) + 1)
    return response


async def read_json(request: web.Request, kind: type[T]) -> T:
    """Read the body as a `kind`.

    Raises:
        Rejected: ``body.invalid``, ``body.too_large``.
        Unavailable: ``body.slow``.
    """
    if request.content_type != "application/json":
        raise Rejected("body.invalid", "the body must be application/json")
    try:
        async with asyncio.timeout(BODY_S):
            data = await request.read()
    except TimeoutError as err:
        raise Unavailable("body.slow", "the request took too long to arrive") from err
    except web.HTTPRequestEntityTooLarge as err:
        raise Rejected("body.too_large", "the request is too large") from err
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise Rejected("body.invalid", str(err)) from err


def which(request: web.Request) -> Which:
    """Read which stream of a camera is meant, ``stream=sub``; the main one if nothing is said.

    Raises:
        Rejected: ``body.invalid``.
    """
    text = request.query.get("stream", "main")
    found = next((one for one in WHICH if one == text), None)
    if found is None:
        raise Rejected("body.invalid", f"stream is {' or '.join(WHICH)}", field="stream")
    return found


def number(request: web.Request, key: str) -> int:
    """Read a non-negative integer from the query.

    Raises:
        Rejected: ``body.invalid``.
    """
    text = request.query.get(key, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Rejected("body.invalid", f"{key} must be a number", field=key)
    return int(text)
