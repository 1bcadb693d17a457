"""JSON in and out, and errors as the API words them."""

import asyncio
import json
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from aiohttp import web

from nvr.base.errors import NvrError, Rejected, Unavailable

T = TypeVar("T")

MOST_BODY_BYTES = 64 * 1024
BODY_S = 10.0

STATUS: Mapping[str, int] = {
    "archive.nothing": 404,
    "archive.no_run": 404,
    "auth.needed": 401,
    "auth.throttled": 429,
    "auth.wrong": 401,
    "body.invalid": 400,
    "body.too_large": 413,
    "camera.unknown": 404,
    "caption.invalid": 400,
    "caption.unsupported": 409,
    "claim.done": 409,
    "claim.needed": 401,
    "claim.paused": 429,
    "config.refused": 409,
    "export.nothing": 404,
    "export.config_changed": 409,
    "host.unknown": 421,
    "machine.exists": 409,
    "machine.invalid": 400,
    "machine.too_many": 409,
    "machine.unknown": 404,
    "password.weak": 400,
    "path.unknown": 404,
    "user.exists": 409,
    "user.invalid": 400,
    "user.last_admin": 409,
    "user.too_many": 409,
    "user.unknown": 404,
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


def number(request: web.Request, key: str) -> int:
    """Read a non-negative integer from the query.

    Raises:
        Rejected: ``body.invalid``.
    """
    text = request.query.get(key, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Rejected("body.invalid", f"{key} must be a number", field=key)
    return int(text)
