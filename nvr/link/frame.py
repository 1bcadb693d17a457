"""What the recorder and the worker for ONVIF say to each other: a length in four bytes, msgpack."""

import asyncio
import dataclasses
from typing import Any, Final

import msgspec

from nvr.base.errors import Damaged, Misconfigured, NvrError, Rejected, Unavailable
from nvr.media.onvif import Target
from nvr.media.onvif_wish import WISHES, Wish

MOST_BYTES: Final = 4 << 20
Simple = str | int | float | bool | None
_KINDS: Final = {one.__name__: one for one in (Unavailable, Rejected, Damaged, Misconfigured)}


class Question(msgspec.Struct, frozen=True, array_like=True):
    """From the recorder.

    Attributes:
        number: By which its answer is known.
        target: Whom to ask.
        wish: Name of the question; empty: let the camera go.
        fields: What it says.
    """

    number: int
    target: Target
    wish: str = ""
    fields: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """From the worker.

    Attributes:
        number: Of the question.
        answer: If it went well.
        kind: Of error, if not.
        code: Of the error.
        detail: The same.
        context: The same.
    """

    number: int
    answer: msgspec.Raw = msgspec.Raw(b"\xc0")
    kind: str = ""
    code: str = ""
    detail: str = ""
    context: dict[str, Simple] = {}


def asked(number: int, target: Target, wish: Wish[Any]) -> Question:
    """Return a question as it is sent."""
    name = type(wish).__name__
    assert WISHES[name] is type(wish)
    shape: Any = wish
    fields = {each.name: getattr(wish, each.name) for each in dataclasses.fields(shape)}
    return Question(number, target, name, fields)


def wished(question: Question) -> Wish[Any]:
    """Return what was asked.

    Raises:
        msgspec.ValidationError: It is no question.
    """
    wish: Wish[Any] = msgspec.convert(question.fields, WISHES[question.wish])
    return wish


def failed(number: int, err: NvrError) -> Reply:
    """Return an error as it is sent."""
    kind = next((name for name, one in _KINDS.items() if isinstance(err, one)), "Unavailable")
    context: dict[str, Simple] = {
        key: value if isinstance(value, (str, int, float, bool)) else str(value)
        for key, value in err.context.items()
    }
    return Reply(number, kind=kind, code=err.code, detail=err.detail, context=context)


def error(reply: Reply) -> NvrError:
    """Return the error that a reply tells of."""
    return _KINDS[reply.kind](reply.code, reply.detail, **reply.context)


def packed(message: object) -> bytes:
    """Return a message with its length."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(4, "big") + data


async def read(stream: asyncio.StreamReader) -> bytes | None:
    """Return the next message, None at the end, or if it is longer than any."""
    try:
        size = int.from_bytes(await stream.readexactly(4), "big")
        return None if size > MOST_BYTES else await stream.readexactly(size)
    except (asyncio.IncompleteReadError, OSError):
        return None
