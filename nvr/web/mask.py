"""Privacy masks over HTTP, and how they look as JSON."""

from aiohttp import web
from msgspec import Struct

from nvr.auth.policy import unknown_camera
from nvr.media.drawn import Burn
from nvr.media.mask import Mask, MaskKind, Masks
from nvr.web.gate import REASON
from nvr.web.parts import Caller, Parts, Route
from nvr.web.reply import answer, read_json


class MaskBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An area as JSON. See `nvr.media.mask.Mask`."""

    points_permille: tuple[tuple[int, int], ...]
    kind: MaskKind = "solid"


class MasksBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``PUT /api/camera/{name}/mask``."""

    masks: tuple[MaskBody, ...]
    burn: Burn | None = None


def bodies(masks: Masks) -> tuple[MaskBody, ...]:
    """Return masks as JSON."""
    return tuple(MaskBody(one.points_permille, one.kind) for one in masks)


class MaskPages:
    """Handlers of this module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Every route of this module."""
        key = "http PUT /api/camera/{name}/mask"
        return [Route(key, self.write, "name", "admin-setting")]

    async def write(self, request: web.Request, caller: Caller) -> web.Response:  # noqa: ARG002 - a handler's shape
        """``PUT /api/camera/{name}/mask``."""
        name = request.match_info["name"]
        if self._parts.cameras.find(name) is None:
            raise unknown_camera()
        body = await read_json(request, MasksBody)
        masks = tuple(Mask(one.points_permille, one.kind) for one in body.masks)
        kinds = [one.kind for one in masks]
        said = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
        request[REASON] = ", ".join(said) or "none"
        await self._parts.cameras.write_masks(name, masks, body.burn)
        return answer(MasksBody(bodies(masks), body.burn))
