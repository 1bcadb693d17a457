"""What the configuration says of GB/T 28181 platforms that the box is a device of."""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from nvr.base.shape import Fault
from nvr.config.value import Name, Port, Title

Id = Annotated[str, Meta(pattern=r"^[0-9]{20}$")]
Number = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}$")]
Right = Literal["live", "playback", "export", "ptz", "relay", "config", "unmasked"]
MOST_CHANNELS, MOST_BOXES = 256, 64


class Channel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A camera as a platform knows it."""

    id: Id
    camera: Name
    # ``export`` is downloading, ``relay`` switches wiper and lamp, begins recordings and speaks.
    # ``config`` sets caption and, with ``unmasked``, masks.
    rights: Annotated[tuple[Right, ...], Meta(max_length=7)] = ("live",)
    # ID of its loudspeaker, type 137: shown in the catalogue, for platforms that speak to such.
    speaker: Id | None = None
    # ID of the recorder that it belongs to, one of `box`. None: to this one.
    box: Id | None = None


class Box(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another recorder, some of whose cameras are ours too, as a platform knows it."""

    id: Id
    title: Title


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alarm input of the board as a platform knows it."""

    id: Id
    input: Name


class Platform(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One platform; the password of our log-in there is in ``secrets.toml``."""

    name: Name
    on: bool = True
    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
    port: Port = 5060
    # Its ID, and ours.
    server: Id
    device: Id
    # None: the first ten digits of `server`.
    domain: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,64}$")] | None = None
    # Name of our log-in. None: `device`.
    user: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    # Of the signalling. Over ``tcp`` everything comes down the one connection that we open.
    transport: Literal["udp", "tcp"] = "udp"
    # Ours, of datagrams. None: any.
    local_port: Port | None = None
    # The newest edition that is spoken: what the platform says of itself may make it the older.
    edition: Literal["2016", "2022"] = "2022"
    expires_s: Annotated[int, Meta(ge=60, le=864_000)] = 86_400
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 60
    # So many signs of life in a row without an answer, and it is registered with anew.
    misses: Annotated[int, Meta(ge=1, le=100)] = 3
    # What it says of the time sets our clock, where NTP does not.
    sets_clock: bool = False
    # After a failure it is tried again so much later, and up to a quarter more.
    retry_s: Annotated[int, Meta(ge=5, le=3600)] = 60
    channel: Annotated[list[Channel], Meta(max_length=MOST_CHANNELS)] = []
    input: Annotated[list[Input], Meta(max_length=MOST_CHANNELS)] = []
    # Devices below us that channels belong to: then we are a lower platform rather than a recorder.
    box: Annotated[list[Box], Meta(max_length=MOST_BOXES)] = []
    # What auxiliary switches of heads are. The standard says 1 is the wiper, and nothing of a lamp.
    aux: dict[Number, Literal["wiper", "lamp", "washer"]] = field(
        default_factory=lambda: {"1": "wiper", "2": "lamp"}
    )


def unfit(platforms: Sequence[Platform], inputs: AbstractSet[str] | None) -> list[Fault]:
    """Faults between platforms and what they name.

    Cameras may come and go on the page: one that is not there is shown as off to the platform, and
    no reason to refuse the file.

    Args:
        platforms: Right in shape.
        inputs: Inputs of the board; None skips the check.
    """
    found = []
    setting = [i for i, one in enumerate(platforms) if one.sets_clock]
    found += [
        Fault(f"$.gb28181[{i}].sets_clock", "another platform sets the clock already")
        for i in setting[1:]
    ]
    names = Counter(one.name for one in platforms)
    for i, one in enumerate(platforms):
        at = f"$.gb28181[{i}]"
        if names[one.name] > 1:
            found.append(Fault(f"{at}.name", f"{one.name} is used twice"))
        speakers = [(n, it.speaker) for n, it in enumerate(one.channel) if it.speaker]
        said = [(f"{at}.channel[{n}].speaker", id_) for n, id_ in speakers]
        said += [(f"{at}.channel[{n}].id", it.id) for n, it in enumerate(one.channel)]
        said += [(f"{at}.input[{n}].id", it.id) for n, it in enumerate(one.input)]
        said += [(f"{at}.box[{n}].id", it.id) for n, it in enumerate(one.box)]
        ids = Counter([one.device, *(id_ for _, id_ in said)])
        found += [Fault(where, f"{id_} is used twice") for where, id_ in said if ids[id_] > 1]
        boxes = {it.id for it in one.box}
        found += [
            Fault(f"{at}.channel[{n}].box", f"{it.box} is none of its boxes")
            for n, it in enumerate(one.channel)
            if it.box is not None and it.box not in boxes
        ]
        cameras = Counter(it.camera for it in one.channel)
        found += [
            Fault(f"{at}.channel[{n}].camera", f"{it.camera} is a channel of it already")
            for n, it in enumerate(one.channel)
            if cameras[it.camera] > 1
        ]
        found += [
            Fault(f"{at}.input[{n}].input", f"the board has no input {it.input}")
            for n, it in enumerate(one.input)
            if inputs is not None and it.input not in inputs
        ]
        found += [
            Fault(f"{at}.aux.{number}", "numbers are 1 to 255")
            for number in one.aux
            if int(number) > 255
        ]
    return found
