"""What a camera answers over ONVIF; what it can be asked is in `nvr.media.onvif_wish`.

Everything here came from the camera: bounded in length and number, printable, and no more to be
trusted than that.

Source: ONVIF Core, Media, Media2, PTZ, Imaging, Device IO, Recording Search and Replay Control
specifications, 23.06.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """Where a device's service is, and who we are there.

    Attributes:
        host: Name or address.
        port: Of HTTP or HTTPS.
        user: Account, empty for none.
        password: Its password.
        tls: Speak HTTPS. The certificate is not verified, unless `pin` says which it is.
        pin: SHA-256 of the only certificate to be taken, 64 hexadecimal digits; empty for any.
        path: Of the device service.
    """

    host: str
    port: int = 80
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    pin: str = ""
    path: str = "/onvif/device_service"


@dataclass(frozen=True, slots=True)
class Device:
    """What a camera says of itself.

    Attributes:
        maker: Manufacturer.
        model: Model.
        firmware: Version of it.
        serial: Serial number.
        clock_offset_s: Its clock minus ours, None if it does not say.
        services: Short names of what it offers: ``media``, ``media2``, ``ptz``, ``events``,
            ``imaging``, ``deviceio``, ``recording``, ``search``, ``replay``.
    """

    maker: str
    model: str
    firmware: str
    serial: str
    clock_offset_s: float | None
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """One of a camera's streams, as it says it is.

    Attributes:
        token: Its key.
        name: What its owner called it.
        source: Token of the video source, by which streams of one picture are told.
        codec: ``h264``, ``h265``, ``jpeg``, ``mpeg4``, or what it says in lower case.
        width_px: Of its picture.
        height_px: The same.
        fps: Limit of its frame rate, 0 if not said.
        kbit_s: Limit of its bit rate, 0 if not said.
        gop_frames: Pictures from key frame to key frame, 0 if not said.
        audio: Its sound's codec, empty if it has none.
        encoder: Token of its video encoder configuration.
        ptz: Token of its PTZ configuration, empty if it cannot be steered.
        media2: It is one of Media2's.
        video: Token of its video source configuration, on which texts and masks hang.
    """

    token: str
    name: str
    source: str
    codec: str
    width_px: int
    height_px: int
    fps: float
    kbit_s: int
    gop_frames: int
    audio: str
    encoder: str
    ptz: str
    media2: bool = False
    video: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """What a head can do.

    Attributes:
        continuous: It moves with a speed.
        zoom: It zooms with a speed.
        absolute: It goes to a position.
        relative: It goes by a distance.
        presets: How many it keeps, 0 for none.
        home: It has a home position.
        auxiliary: Commands it lists, such as ``tt:Wiper|On``.
        timeout_s: Shortest and longest time-out of a motion it takes, None if it does not say.
        fov: It goes by shares of what it sees.
    """

    continuous: bool
    zoom: bool
    absolute: bool
    relative: bool
    presets: int
    home: bool
    auxiliary: tuple[str, ...]
    timeout_s: tuple[float, float] | None
    fov: bool = False


@dataclass(frozen=True, slots=True)
class HeadStatus:
    """Where a head is and whether it moves.

    Attributes:
        pan: -1 to 1 of its range, None if it does not say.
        tilt: The same.
        zoom: 0 to 1, the same.
        moving: Whether it says that it moves, None if it does not say.
    """

    pan: float | None
    tilt: float | None
    zoom: float | None
    moving: bool | None


@dataclass(frozen=True, slots=True)
class CameraPreset:
    """A preset that the camera itself keeps."""

    token: str
    name: str


@dataclass(frozen=True, slots=True)
class Relay:
    """A switching output of the camera.

    Attributes:
        token: Its key.
        monostable: It goes back by itself.
        delay_s: After so long.
        idle_open: Its idle state.
    """

    token: str
    monostable: bool
    delay_s: float
    idle_open: bool


@dataclass(frozen=True, slots=True)
class Imaging:
    """Settings of a picture, each None where the camera has none; ranges are the camera's own."""

    brightness: float | None
    contrast: float | None
    saturation: float | None
    sharpness: float | None
    infrared: str


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """Something the camera noticed.

    Attributes:
        topic: ``RuleEngine/CellMotionDetector/Motion``, without prefixes.
        operation: ``Initialized`` tells a state that was so already, ``Changed``, ``Deleted``;
            empty for what has no state.
        source: By name, such as ``VideoSourceConfigurationToken``.
        data: By name, such as ``IsMotion``.
        at_us: UTC microseconds by the camera's clock, 0 if it does not say.
    """

    topic: str
    operation: str
    source: dict[str, str]
    data: dict[str, str]
    at_us: int


@dataclass(frozen=True, slots=True)
class EdgeRecording:
    """What the camera recorded by itself.

    Attributes:
        token: Its key.
        source: What it is of.
        from_us: UTC microseconds by the camera's clock, 0 if not said.
        to_us: The same.
        tracks: Tokens of its tracks, with ``video:`` or ``audio:`` before each.
    """

    token: str
    source: str
    from_us: int
    to_us: int
    tracks: tuple[str, ...]


CORNERS = ("UpperLeft", "UpperRight", "LowerLeft", "LowerRight")


@dataclass(frozen=True, slots=True)
class Osd:
    """A text that the camera writes into its picture.

    Attributes:
        token: Its key, empty for one to be made.
        source: Token of the video source configuration.
        text: What it says, if it is ``Plain``.
        x: -1 left to 1 right.
        y: -1 bottom to 1 top.
        kind: ``Plain``, ``Date``, ``Time`` or ``DateAndTime``.
        place: ``Custom``, which is where `x` and `y` say, or one of `CORNERS`.
        size: Of its font, in the camera's own unit; 0 for what is usual there.
        date: How a date is written, such as ``yyyy-MM-dd``; empty for what is usual there.
        time: The same of a time, such as ``HH:mm:ss``.
    """

    token: str
    source: str
    text: str
    x: float = -1.0
    y: float = 1.0
    kind: str = "Plain"
    place: str = "Custom"
    size: int = 0
    date: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class OsdOptions:
    """Which texts a camera writes into its picture.

    Attributes:
        most: How many in all, None if it does not say.
        most_of: How many of a kind, by `Osd.kind`; what is missing is not limited.
        kinds: Which kinds.
        places: ``Custom`` and `CORNERS`, as far as it knows them.
        sizes: Smallest and largest font size, None if it does not say.
        dates: How dates can be written.
        times: How times can be written.
    """

    most: int | None = None
    most_of: dict[str, int] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("Plain", "Date", "Time", "DateAndTime")
    places: tuple[str, ...] = ("Custom", *CORNERS)
    sizes: tuple[int, int] | None = None
    dates: tuple[str, ...] = ()
    times: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mask:
    """A polygon that the camera hides.

    Attributes:
        token: Its key, empty for one to be made.
        source: Token of the video source configuration.
        points: Corners, -1 left to 1 right and -1 bottom to 1 top.
        kind: ``Color``, ``Pixelated`` or ``Blurred``.
        on: It is in force.
        colour: As ``Color`` hides: three numbers and the colour space, empty for what is usual.
    """

    token: str
    source: str
    points: tuple[tuple[float, float], ...]
    kind: str = "Color"
    on: bool = True
    colour: tuple[float, float, float, str] | None = None


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """Which masks a camera can have.

    Attributes:
        most: How many.
        corners: Most corners of one.
        rectangles: They can only be rectangles.
        kinds: As of `Mask.kind`.
        colours: Those it has, empty if it takes any or does not say.
    """

    most: int
    corners: int = 4
    rectangles: bool = False
    kinds: tuple[str, ...] = ("Color",)
    colours: tuple[tuple[float, float, float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A camera that was found on the network.

    Attributes:
        host: Where its answer came from, whatever it says of itself.
        port: Of its service.
        tls: It names an ``https://`` address only.
        name: What it calls itself, empty if it does not.
        hardware: The same of its hardware.
        location: The same of its place.
        endpoint: Its lasting name, empty if it has none.
        via: Interface on which it was found, empty if it was asked by its address.
        path: Of its device service.
    """

    host: str
    port: int
    tls: bool = False
    name: str = ""
    hardware: str = ""
    location: str = ""
    endpoint: str = ""
    via: str = ""
    path: str = "/onvif/device_service"
