"""What a camera's head needs of board and profiles, and every fault there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nvr.base.shape import Fault
from nvr.config.camera import Aux, Camera, Ptz, hung


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of head, as its profile says.

    Attributes:
        protocol: What it speaks.
        address_max: The highest address it knows.
    """

    protocol: str
    address_max: int = 254


@dataclass(frozen=True, slots=True)
class Has:
    """What the board has, by name.

    Attributes:
        buses: Its serial lines with decoders.
        outputs: Its switching outputs that may be a wiper, washer or lamp.
        inputs: Its alarm inputs.
        heads: Kinds of heads: profiles that are there; None of one that cannot be read, which is no
            fault of who uses it.
        keyboards: Its serial lines that are listened to.
    """

    buses: frozenset[str]
    outputs: frozenset[str]
    inputs: frozenset[str] = frozenset()
    heads: Mapping[str, Kind | None] = field(default_factory=dict)
    keyboards: frozenset[str] = frozenset()


def unfit_bus(at: str, ptz: Ptz, users: int, board: Has | None) -> list[Fault]:
    """Faults of a head on a serial line, which `users` heads name with the same address."""
    if not ptz.bus:
        return [Fault(f"{at}.bus", 'a serial line is needed, or protocol = "onvif"')]
    found = []
    if users > 1:
        found.append(Fault(f"{at}.address", f"{ptz.address} on {ptz.bus} is used twice"))
    if board is not None and ptz.bus not in board.buses:
        has = ", ".join(sorted(board.buses)) or "none"
        said = f"the board has no serial line {ptz.bus} (it has {has})"
        found.append(Fault(f"{at}.bus", said))
    return found


def unfit_profile(at: str, ptz: Ptz, heads: Mapping[str, Kind | None] | None) -> list[Fault]:
    """Faults of a head's kind; None: nothing is known of kinds."""
    if heads is None or not ptz.profile or ptz.protocol == "onvif":
        return []
    if ptz.profile not in heads:
        said = f"there is no profile {ptz.profile}; nvr ptz profiles lists them"
        return [Fault(f"{at}.profile", said)]
    kind = heads[ptz.profile]
    if kind is None:
        return []
    found = []
    if ptz.protocol not in {None, kind.protocol}:
        said = f"{ptz.profile} speaks {kind.protocol}, not {ptz.protocol}"
        found.append(Fault(f"{at}.protocol", said))
    if ptz.address > kind.address_max:
        said = f"{ptz.profile} knows addresses up to {kind.address_max}"
        found.append(Fault(f"{at}.address", said))
    if kind.protocol == "pelco-p" and ptz.protocol is None and ptz.turbo == 0xFF:
        found.append(Fault(f"{at}.turbo", "Pelco-P knows no turbo but 0x40"))
    return found


def unfit_onvif_head(at: str, ptz: Ptz, camera: Camera) -> list[Fault]:
    """Faults of a head that is steered over ONVIF."""
    found = []
    if camera.onvif is None:
        found.append(Fault(f"{at}.protocol", "onvif needs [camera.onvif] with its address"))
    if ptz.bus:
        found.append(Fault(f"{at}.bus", "a head that is steered over ONVIF is on no serial line"))
    if ptz.profile:
        found.append(Fault(f"{at}.profile", "is of heads on a serial line only"))
    for name, place in hung(ptz):
        if isinstance(place, Aux) and isinstance(place.aux, int):
            found.append(Fault(f"{at}.{name}.aux", 'over ONVIF a command, such as "tt:Wiper"'))
    return found


def _unfit_visca(at: str, ptz: Ptz) -> list[Fault]:
    found = []
    if ptz.address > 7:
        found.append(Fault(f"{at}.address", "a VISCA chain has 1 to 7"))
    for name, place in hung(ptz):
        if isinstance(place, Aux):
            found.append(Fault(f"{at}.{name}", "with VISCA only an output of the board"))
    return found


def unfit_head(at: str, ptz: Ptz, board: Has | None) -> list[Fault]:
    """Faults of what any head has."""
    found = []
    if ptz.protocol == "visca":
        found += _unfit_visca(at, ptz)
    if ptz.protocol == "pelco-p" and ptz.turbo == 0xFF:
        found.append(Fault(f"{at}.turbo", "Pelco-P knows no turbo but 0x40"))
    taken: dict[int | str, str] = {}
    for name, place in hung(ptz):
        if isinstance(place, Aux):
            before = taken.setdefault(place.aux, name)
            if before != name:
                found.append(Fault(f"{at}.{name}.aux", f"{place.aux} is already the {before}'s"))
            if isinstance(place.aux, str) and ptz.protocol != "onvif":
                found.append(Fault(f"{at}.{name}.aux", "on a serial line it is a number, 1 to 8"))
        elif place is not None and board is not None and place not in board.outputs:
            has = ", ".join(sorted(board.outputs)) or "none"
            found.append(Fault(f"{at}.{name}", f"the board has no output {place} (it has {has})"))
    return found
