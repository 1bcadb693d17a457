"""Pictures for who may not see under a camera's masks, and for browsers that lack their codec."""

from functools import partial

from msgspec import Struct

from nvr.auth.user import Subject
from nvr.base.errors import NvrError
from nvr.media.camera import Cameras
from nvr.media.mask import Masks
from nvr.serve.recodes import Place, Use
from nvr.web.parts import Caller, Parts

_JUST_NOW_US = 10_000_000
"""What is still on its way to the screen was taken since then."""


class Refused(Struct, frozen=True, tag_field="type", tag="refused"):
    """Why a picture is not converted. `context` says of ``recode.busy`` which is, and for whom."""

    code: str
    detail: str
    context: dict[str, str]


def hidden_from(parts: Parts, subject: Subject, camera: str, span: tuple[int, int]) -> Masks:
    """What must not be seen of a camera in a span, UTC microseconds; also now, from any thread."""
    may = "unmasked" in subject.may(camera)
    return () if may else parts.cameras.masks_over(camera, span)


def hidden_now(parts: Parts, camera: str) -> Masks:
    """What is hidden of a live picture from who may not see it; from any thread."""
    now_us = parts.clock.wall_us()
    return parts.cameras.masks_over(camera, (now_us - _JUST_NOW_US, now_us))


async def take(parts: Parts, caller: Caller, camera: str, *, first: bool) -> Place:
    """Have the converter for a picture. See `Recodes.take`.

    Args:
        parts: What the page is built from.
        caller: Who looks at it.
        camera: Whose it is.
        first: What the same session has converted now is given up for it.

    Raises:
        Unavailable: ``recode.busy``, ``recode.behind``.
    """
    number = caller.session.number if caller.session else 0
    use = Use(camera, caller.subject.name, number)
    knows = partial(_knows, caller.subject)
    return await parts.recodes.take(use, first=first, knows=knows)


def refusal(err: NvrError, cameras: Cameras) -> Refused:
    """Word an error for the page, a camera by its title."""
    context = {key: str(value) for key, value in err.context.items()}
    if found := cameras.find(context.get("camera", "")):
        context["camera"] = found.title or found.name
    return Refused(err.code, err.detail, context)


def _knows(subject: Subject, camera: str) -> bool:
    return bool(subject.may(camera))
