"""What the configuration says of serial keyboards, and how it must fit cameras and board."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from nvr.base.shape import Fault
from nvr.config.camera import Camera
from nvr.config.value import Name

Number = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}$")]


class Keyboard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A serial CCTV keyboard, or a matrix controller, that steers cameras through us."""

    # A serial line of the board with ``role = "keyboard"`` or ``"tap"``.
    port: Name
    # Camera number on the keyboard to the camera's name. None: by ``number`` of each camera, else
    # by the address of its head; of a tap: none.
    map: dict[Number, Name] | None = None
    # What its auxiliaries switch. None: 1 the wiper, 2 the lamp.
    aux: dict[Number, Literal["wiper", "lamp"]] | None = None
    # ``latched``: it says a motion once and STOP when the key is let go; ``repeats``: again and
    # again while it is held; ``auto``: as latched, until it was seen to repeat.
    profile: Literal["auto", "repeats", "latched"] = "auto"
    # A motion ends after so long without a command. None: 15 s, 1 s of one that repeats.
    hold_s: Annotated[float, Meta(ge=0.3, le=60)] | None = None
    # Several people's keyboards come over this line: a command for one camera stops no other.
    shared: bool = False
    # Answer its commands, for keyboards that wait for that.
    answer: bool = False


def unfit(
    keyboards: Sequence[Keyboard], cameras: Sequence[Camera], ports: Iterable[str] | None
) -> list[Fault]:
    """Faults between keyboards, cameras and the board's lines; None skips the latter."""
    found = []
    names = {camera.name for camera in cameras}
    has = None if ports is None else sorted(ports)
    for i, one in enumerate(keyboards):
        at = f"$.keyboard[{i}]"
        if one.port in {other.port for other in keyboards[:i]}:
            found.append(Fault(f"{at}.port", f"{one.port} is used twice"))
        if has is not None and one.port not in has:
            said = f"the board has no serial line {one.port} for a keyboard"
            found.append(Fault(f"{at}.port", f"{said} (it has {', '.join(has) or 'none'})"))
        for number, camera in (one.map or {}).items():
            if int(number) > 254:
                found.append(Fault(f"{at}.map.{number}", "numbers are 1 to 254"))
            if camera not in names:
                found.append(Fault(f"{at}.map.{number}", f"there is no camera {camera}"))
    taken: dict[int, str] = {}
    for i, camera_ in enumerate(cameras):
        if camera_.number is None:
            continue
        before = taken.setdefault(camera_.number, camera_.name)
        if before != camera_.name:
            said = f"{camera_.number} is already {before}'s"
            found.append(Fault(f"$.camera[{i}].number", said))
    return found


def numbered(cameras: Sequence[Camera]) -> dict[int, str]:
    """Cameras by the number they have on a keyboard.

    That is the one their owner gave them; of one without, the address of its head where no other
    camera has it as a number or on another line.
    """
    found = {camera.number: camera.name for camera in cameras if camera.number is not None}
    addressed: dict[int, list[str]] = {}
    for camera in cameras:
        if camera.number is None and camera.ptz is not None and camera.ptz.bus:
            addressed.setdefault(camera.ptz.address, []).append(camera.name)
    for address, names in addressed.items():
        if len(names) == 1:
            found.setdefault(address, names[0])
    return dict(sorted(found.items()))
