"""How a camera's head is set up, and what kinds of heads there are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OwnOutput:
    """An auxiliary output of a head.

    Attributes:
        aux: Its number, 1-8; over ONVIF the name of its command, ``tt:Wiper``.
        max_on_s: Longest time on, None for what is usual.
    """

    aux: int | str
    max_on_s: float | None = None


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """How a camera's head is reached. See ``[camera.ptz]`` of the configuration.

    Attributes:
        bus: Serial line of the board, empty over ONVIF.
        address: Number on the head's switch.
        protocol: What it speaks, such as ``pelco-d``, or ``onvif``.
        turbo: Pan value for full deflection, 0 if it knows none; None: as its profile says.
        tilt_reply: ``falls`` or ``rises``; None: as its profile says.
        wiper: Name of an output of the board, or the head's own; None if there is none but what its
            profile says.
        lamp: The same.
        profile: What kind of head it is, empty for the plain one of its protocol.
        washer: As `wiper`; None if there is none but what the board says.
    """

    bus: str
    address: int = 1
    protocol: str = "pelco-d"
    turbo: int | None = None
    tilt_reply: str | None = None
    wiper: str | OwnOutput | None = None
    lamp: str | OwnOutput | None = None
    profile: str = ""
    washer: str | OwnOutput | None = None


@dataclass(frozen=True, slots=True)
class HeadKind:
    """A kind of head that can be chosen: a profile.

    Attributes:
        name: Its name.
        protocol: What it speaks.
        title: For people, in English.
        title_zh: For people, in Chinese.
        about: What is to be known of it, in English.
        about_zh: The same in Chinese.
        proven: It was run on a head of its kind.
        own: It lies in the data directory.
    """

    name: str
    protocol: str
    title: str
    title_zh: str
    about: str
    about_zh: str
    proven: bool
    own: bool
