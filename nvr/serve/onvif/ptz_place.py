"""Absolute and relative moves for heads that say where they point, and the home position.

Places are generic: pan -1 to 1 is the whole circle, tilt -1 to 1 straight down to straight up, zoom
0 to 1; a way of 1 is half a circle, a right angle, the whole zoom. Home is preset 1, where that is
stored; it is stored as a preset and not over this.

Source: ONVIF PTZ Service Specification 23.06, sections 5.3.1, 5.3.2 and 5.5.
"""

from collections.abc import Callable

from nvr.media.ports import Position
from nvr.serve.onvif.parts import Call, Operation, Parts
from nvr.serve.onvif.ptz_words import PAN_TILT_PLACE, PAN_TILT_WAY, ZOOM_PLACE, ZOOM_WAY
from nvr.wire.soap import Fault, child
from nvr.wire.xml import Element

HOME = 1


class Places:
    """Handlers of these operations.

    Args:
        parts: What we are built from.
        steered: Finds the camera of a request. See `Operation`.
        moved: Told what is moved otherwise from now on.
    """

    def __init__(
        self, parts: Parts, steered: Callable[[Call], str], moved: Callable[[Call, str], object]
    ) -> None:
        self._parts, self._steered, self._moved = parts, steered, moved

    def operations(self) -> dict[str, Operation]:
        """What there is of them."""
        about = self._steered
        return {
            "AbsoluteMove": Operation(self.absolute, about),
            "RelativeMove": Operation(self.relative, about),
            "GotoHomePosition": Operation(self.go_home, about),
            "SetHomePosition": Operation(_fixed, about),
        }

    def absolute(self, call: Call) -> str:
        """``AbsoluteMove``: what is left out stays where it is."""
        camera, now = self._now(call)
        pan, tilt, zoom = now.pan_deg, now.tilt_deg, now.zoom
        for one in _vectors(call, "Position"):
            if one.name == "PanTilt":
                _of_space(one, PAN_TILT_PLACE)
                pan = _share(one, "x") * 180.0 % 360.0
                tilt = _share(one, "y") * 90.0
            elif one.name == "Zoom":
                _of_space(one, ZOOM_PLACE)
                zoom = _share(one, "x", 0.0)
        return self._go(call, camera, Position(pan, tilt, zoom))

    def relative(self, call: Call) -> str:
        """``RelativeMove``: from where the head says that it is; a range has an end."""
        camera, now = self._now(call)
        pan, tilt, zoom = now.pan_deg, now.tilt_deg, now.zoom
        for one in _vectors(call, "Translation"):
            if one.name == "PanTilt":
                _of_space(one, PAN_TILT_WAY)
                pan = (pan + _share(one, "x") * 180.0) % 360.0
                tilt = max(-90.0, min(90.0, tilt + _share(one, "y") * 90.0))
            elif one.name == "Zoom":
                _of_space(one, ZOOM_WAY)
                zoom = max(0.0, min(1.0, zoom + _share(one, "x")))
        return self._go(call, camera, Position(pan, tilt, zoom))

    def go_home(self, call: Call) -> str:
        """``GotoHomePosition``."""
        camera = self._steered(call)
        if not self.has_home(camera):
            raise Fault("preset 1 is not stored", "ter:Action", "ter:NoHomePosition", receiver=True)
        self._parts.ptz.preset(camera, call.operator, "call", HOME)
        self._moved(call, camera)
        return ""

    def has_home(self, camera: str) -> bool:
        """Whether there is a home position."""
        return any(one.number == HOME for one in self._parts.ptz.status(camera).presets)

    def _now(self, call: Call) -> tuple[str, Position]:
        camera = self._steered(call)
        now = self._parts.ptz.status(camera).position if self._parts.points(camera) else None
        if now is None:
            raise Fault(
                "this head does not say where it points", "ter:InvalidArgVal",
                "ter:SpaceNotSupported",
            )  # fmt: skip
        return camera, now

    def _go(self, call: Call, camera: str, to: Position) -> str:
        self._parts.point(camera, call.operator, to)
        self._moved(call, camera)
        return ""


def _fixed(_call: Call) -> str:
    raise Fault("home is preset 1: store that", "ter:Action", "ter:CannotOverwriteHome",
                receiver=True)  # fmt: skip


def _vectors(call: Call, name: str) -> tuple[Element, ...]:
    found = child(call.body, name)
    return tuple(found.children) if found is not None else ()


def _of_space(one: Element, expected: str) -> None:
    if one.attributes.get("space", expected) != expected:
        raise Fault("places are generic", "ter:InvalidArgVal", "ter:SpaceNotSupported")


def _share(one: Element, axis: str, least: float = -1.0) -> float:
    try:
        found = float(one.attributes.get(axis, ""))
    except ValueError:
        found = float("nan")
    if not least <= found <= 1.0:
        said = f"a place is from {least:g} to 1"
        raise Fault(said, "ter:InvalidArgVal", "ter:InvalidPosition")
    return found
