"""What a kind of head speaks: one TOML file a kind, which a technician can copy and change.

Shipped ones lie under ``board/ptz``; a file of the same name in ``ptz`` of the data directory takes
its place. An own file with a fault is as good as none, but for its name: a camera that uses it is
recorded, and not steered.

Without a `proof`, a bench report, nobody ran a profile on a head of its kind, and it says so.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from nvr.base.errors import Misconfigured
from nvr.base.shape import Fault, faults
from nvr.base.shipped import shipped
from nvr.media.ports import HeadFunction
from nvr.ptz.line import Dialect, Said
from nvr.ptz.pelco import Act, Pelco
from nvr.ptz.sight import fits
from nvr.ptz.visca import Visca, ViscaAct
from nvr.wire import pelco_p, visca

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Title = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=1000)]
Protocol: TypeAlias = Literal["pelco-d", "pelco-p", "visca"]
Speed = Annotated[int, Meta(ge=1, le=63)]
Number = Annotated[int, Meta(ge=1, le=255)]

_PRESET_DOS = ("call", "set", "clear")


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[dialect]``: what differs between makers that say they speak the same."""

    # Pan value for full deflection, if the manual names one: 0x40 or 0xFF. Some heads take harm.
    turbo: Literal[0, 0x40, 0xFF] = 0
    # Tilt below the horizon in answers: counts down from 360 degrees, or up from 0.
    tilt_reply: Literal["falls", "rises"] = "falls"
    # Pelco-P only. ``d_style``: focus bits as in Pelco-D.
    lens_bits: Literal["pelco", "d_style"] = "pelco"
    # Pelco-P only: number on the wire of the head whose switch says 1.
    address_base: Literal[0, 1] = 0
    # VISCA only: number on the wire of preset 1.
    preset_base: Literal[0, 1] = 0
    # Pelco-P only: over all seven bytes, or those between start and end.
    checksum: Literal["all", "body"] = "all"


class Speeds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[speed]``: the slowest and the fastest that is sent; turbo is apart."""

    pan: tuple[Speed, Speed] = (1, 63)
    tilt: tuple[Speed, Speed] = (1, 63)


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[limits]``: the highest address and preset that such a head knows."""

    address: Annotated[int, Meta(ge=1, le=255)] = 254
    preset: Number = 255


class Replies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[replies]``: what it answers, where its return pair is wired."""

    # It says where it points. One that does not answer is found out and left in peace.
    position: bool = True


class Sees(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[view]``: what it sees, so that it can be aimed by a click in its picture."""

    # Zoom position 0 to 1, as it answers, and horizontal angle in degrees there; wide end first.
    angles: Annotated[list[tuple[float, float]], Meta(max_length=32)] = []
    # It goes to a position that it is told. Some answer queries and do not.
    absolute: bool = True


class Auxes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[aux]``: which auxiliary output switches what."""

    wiper: Annotated[int, Meta(ge=1, le=8)] | None = None
    lamp: Annotated[int, Meta(ge=1, le=8)] | None = None


class Function(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[function]]``: something it does when told so by a preset's number, or a command.

    A preset that is one is reserved: it can neither be stored nor called as a preset.
    """

    name: Name
    title: Title
    title_zh: Title
    # ``call``, ``set`` and ``clear`` are of the preset `number`; for others see `nvr ptz profile`.
    do: str
    number: Annotated[int, Meta(ge=0, le=65535)] = 0
    # Of lens and picture adjustments: the number is a change.
    delta: bool = False
    # A person is asked first, and needs the right to change settings.
    risk: bool = False
    # It goes on until it is stopped.
    runs: bool = False

    @property
    def preset(self) -> int:
        """The preset number that it takes, 0 if none."""
        return self.number if self.do in _PRESET_DOS else 0


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file."""

    schema: Literal[1]
    id: Name
    title: Title
    title_zh: Title
    about: Text = ""
    about_zh: Text = ""
    proof: str | None = None
    protocol: Protocol
    dialect: Options = Options()
    speed: Speeds = Speeds()
    limits: Limits = Limits()
    replies: Replies = Replies()
    view: Sees = Sees()
    aux: Auxes = Auxes()
    # Presets that it gives another meaning, which no function here names: "72", or "65-99".
    reserved: list[Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}(-[1-9][0-9]{0,2})?$")]] = []
    # Name of the function that ends those that run, if a STOP does not.
    ends: str = ""
    function: Annotated[list[Function], Meta(max_length=64)] = []

    def head(
        self,
        address: int,
        *,
        turbo: Literal[0, 0x40, 0xFF] | None = None,
        tilt_reply: Literal["falls", "rises"] | None = None,
        reports: bool = False,
    ) -> Dialect:
        """Return the dialect of one head.

        Args:
            address: Its address.
            turbo: In place of the profile's.
            tilt_reply: In place of the profile's.
            reports: The line can hear its answers.
        """
        said = self.dialect
        if self.protocol == "visca":
            return Visca(
                address,
                self.speed.pan,
                self.speed.tilt,
                said.preset_base,
                self.limits.preset,
                reports and self.replies.position,
                reserved=self.reserved_presets(),
                acts=tuple(map(_visca_act, self.function)),
                ends=self.ends,
            )
        return Pelco(
            self.protocol,
            address,
            turbo=said.turbo if turbo is None else turbo,
            dialect=pelco_p.Dialect(said.lens_bits, said.address_base, said.checksum),
            reserved=self.reserved_presets(),
            reports=reports and self.replies.position,
            tilt_reply=tilt_reply or said.tilt_reply,
            pan_speeds=self.speed.pan,
            tilt_speeds=self.speed.tilt,
            presets_max=self.limits.preset,
            acts=tuple(map(_act, self.function)),
            ends=self.ends,
            goes=self.view.absolute,
        )

    def reserved_presets(self) -> Mapping[int, Said]:
        """Return the preset numbers that are none, and what they are."""
        found: dict[int, Said] = {}
        for span in self.reserved:
            first, last = _ends(span)
            found |= dict.fromkeys(range(first, last + 1), _MAKERS_OWN)
        for one in self.function:
            if one.preset:
                before, said = found.get(one.preset), (one.title, one.title_zh)
                if before is not None and before not in {_MAKERS_OWN, said}:
                    said = (f"{before[0]}; {said[0]}", f"{before[1]}；{said[1]}")
                found[one.preset] = said
        return found


_MAKERS_OWN: Said = ("the maker gave it a meaning of its own", "厂家另有含义")


def _ends(span: str) -> tuple[int, int]:
    """First and last number of ``65-99`` or ``72``."""
    first, _, last = span.partition("-")
    return int(first), int(last or first)


def _act(it: Function) -> Act:
    said = HeadFunction(it.name, it.title, it.title_zh, it.risk, it.runs, it.preset)
    return Act(said, it.do, it.number, it.delta)


def _visca_act(it: Function) -> ViscaAct:
    return ViscaAct(_act(it).said, it.do, it.number)


@dataclass(frozen=True, slots=True)
class Library:
    """The profiles that there are.

    Attributes:
        profiles: By name.
        own: Names of those that lie in the data directory.
        damaged: Faults of own files, by name.
    """

    profiles: Mapping[str, Profile]
    own: frozenset[str] = frozenset()
    damaged: Mapping[str, list[Fault]] = field(default_factory=dict)

    def find(self, name: str, protocol: str | None) -> Profile:
        """Return a profile; with an empty name the plain one of the protocol.

        Raises:
            Misconfigured: ``ptz.profile_unknown``; ``ptz.profile_damaged`` with every fault.
        """
        wanted = name or generic(protocol)
        if wanted in self.damaged:
            said = "; ".join(map(str, self.damaged[wanted]))
            raise Misconfigured("ptz.profile_damaged", said, profile=wanted)
        found = self.profiles.get(wanted)
        if found is None:
            raise Misconfigured(
                "ptz.profile_unknown", f"there is no profile {wanted}", profile=wanted
            )
        return found

    def protocols(self) -> dict[str, str]:
        """Return what each profile speaks; empty of one that cannot be read."""
        found: dict[str, str] = {name: it.protocol for name, it in self.profiles.items()}
        return found | dict.fromkeys(self.damaged, "")


def generic(protocol: str | None) -> str:
    """Return the name of the profile that is meant where none is named."""
    return f"generic-{protocol or 'pelco-d'}"


def library(data: Path | None = None) -> Library:
    """Read what was shipped and what the data directory has."""
    profiles: dict[str, Profile] = {}
    damaged: dict[str, list[Fault]] = {}
    own = sorted((data / "ptz").glob("*.toml")) if data else []
    for path in (*sorted(shipped("board/ptz").glob("*.toml")), *own):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            found = [Fault("$", str(err))]
            text = ""
        else:
            found = check(text, path.stem)
        profiles.pop(path.stem, None)
        if found:
            damaged[path.stem] = found
        else:
            profiles[path.stem] = msgspec.convert(tomllib.loads(text), Profile)
    return Library(profiles, frozenset(path.stem for path in own), damaged)


def check(text: str, name: str | None = None) -> list[Fault]:
    """Every fault of a profile.

    Args:
        text: The TOML text.
        name: What the file is called, without its ending.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        return [Fault("$", f"not TOML: {err}")]
    return faults(tree, Profile) or _unfit(msgspec.convert(tree, Profile), name)


def _unfit(it: Profile, name: str | None) -> list[Fault]:
    found = []
    if name is not None and it.id != name:
        found.append(Fault("$.id", f"{it.id} lies in a file that is called {name}"))
    found += _unfit_dialect(it)
    spans = [("$.speed.pan", it.speed.pan), ("$.speed.tilt", it.speed.tilt)]
    spans += [(f"$.reserved[{i}]", _ends(one)) for i, one in enumerate(it.reserved)]
    found += [Fault(at, f"{low} is more than {high}") for at, (low, high) in spans if low > high]
    if any(_ends(one)[1] > 255 for one in it.reserved):
        found.append(Fault("$.reserved", "there is no preset above 255"))
    if it.aux.wiper is not None and it.aux.wiper == it.aux.lamp:
        found.append(Fault("$.aux.lamp", f"{it.aux.lamp} is already the wiper's"))
    if it.view.angles and not fits(it.view.angles):
        found.append(Fault("$.view.angles", "zoom positions rise from 0 to 1, and angles fall"))
    names = [one.name for one in it.function]
    found += [
        Fault(f"$.function[{i}].name", f"{name} is used twice")
        for i, name in enumerate(names)
        if names.index(name) != i
    ]
    if it.ends and it.ends not in names:
        found.append(Fault("$.ends", f"there is no function {it.ends}"))
    return found or _unsayable(it)


def _unfit_visca(it: Profile) -> list[Fault]:
    speeds = (
        ("pan", it.speed.pan, visca.PAN_SPEED_MAX),
        ("tilt", it.speed.tilt, visca.TILT_SPEED_MAX),
    )
    found = [
        Fault(f"$.speed.{axis}", f"VISCA knows speeds up to {most}")
        for axis, (_, fastest), most in speeds
        if fastest > most
    ]
    if it.limits.address not in visca.ADDRESSES:
        found.append(Fault("$.limits.address", "a VISCA chain has 1 to 7"))
    if it.limits.preset - 1 + it.dialect.preset_base not in visca.PRESETS:
        found.append(Fault("$.limits.preset", "VISCA knows positions up to 127"))
    for name, number in (("wiper", it.aux.wiper), ("lamp", it.aux.lamp)):
        if number is not None:
            found.append(Fault(f"$.aux.{name}", "VISCA has no auxiliaries"))
    usual = Options()
    return found + [
        Fault(f"$.dialect.{key}", "is of Pelco only")
        for key in ("turbo", "tilt_reply", "lens_bits", "address_base", "checksum")
        if getattr(it.dialect, key) != getattr(usual, key)
    ]


def _unfit_dialect(it: Profile) -> list[Fault]:
    if it.protocol == "visca":
        return _unfit_visca(it)
    if it.protocol == "pelco-p":
        turbo = it.dialect.turbo == 0xFF
        return [Fault("$.dialect.turbo", "Pelco-P knows no turbo but 0x40")] if turbo else []
    usual = Options()
    return [
        Fault(f"$.dialect.{key}", "is of Pelco-P only")
        for key in ("lens_bits", "address_base", "checksum")
        if getattr(it.dialect, key) != getattr(usual, key)
    ]


def _unsayable(it: Profile) -> list[Fault]:
    """Functions that the protocol has no frame for."""
    head, found = it.head(1), []
    for i, function in enumerate(it.function):
        try:
            head.perform(function.name)
        except ValueError as err:
            found.append(Fault(f"$.function[{i}]", str(err)))
    return found
