"""What the box itself sees and hears with: capture devices as people and settings know them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from nvr.base.errors import Rejected

Signal = Literal["present", "none", "unpowered", "unknown"]
ControlKind = Literal["number", "switch", "menu"]
Controls = tuple[tuple[str, int], ...]
"""Names and values of controls. See `VideoControl`."""


@dataclass(frozen=True, slots=True)
class VideoSize:
    """A picture size a device offers, and how often.

    Attributes:
        width_px: Width.
        height_px: Height.
        rates_fps: Pictures a second, highest first; empty if the device does not say.
    """

    width_px: int
    height_px: int
    rates_fps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """One way in which a device hands out pictures.

    Attributes:
        fourcc: Four letters, as ``YUYV``, ``NV12``, ``MJPG``, ``H264``.
        title: What its driver calls it.
        compressed: The device compresses itself.
        sizes: What it offers, largest first; of a device that scales freely its largest and the
            usual ones below.
    """

    fourcc: str
    title: str
    compressed: bool
    sizes: tuple[VideoSize, ...]


@dataclass(frozen=True, slots=True)
class VideoInput:
    """A socket of a device, or the sensor of a camera.

    Attributes:
        number: As the device counts, from 0.
        title: What its driver calls it.
        standards: ``PAL``, ``NTSC``, ``SECAM``, those it takes; empty if it is not analogue.
        signal: Whether anything comes in; known of the input in use only.
        black_white: What comes in has no colour.
    """

    number: int
    title: str
    standards: tuple[str, ...] = ()
    signal: Signal = "unknown"
    black_white: bool = False


@dataclass(frozen=True, slots=True)
class VideoControl:
    """Something of a device that can be set: brightness, exposure.

    Attributes:
        title: What its driver calls it.
        least: Smallest value.
        most: Largest value.
        usual: Value it starts with.
        name: What settings call it: ``white_balance_automatic``.
        kind: ``number``, ``switch`` (0 or 1) or ``menu``.
        step: Between values of a number.
        value: What it is set to now.
        choices: Of a menu: each value that it takes, and what the driver calls it.
        held: Another control holds it now, as automatic exposure the exposure.
    """

    title: str
    least: int
    most: int
    usual: int
    name: str = ""
    kind: ControlKind = "number"
    step: int = 1
    value: int = 0
    choices: tuple[tuple[int, str], ...] = ()
    held: bool = False


@dataclass(frozen=True, slots=True)
class VideoDevice:
    """A camera or grabber of this box.

    Attributes:
        path: Name that survives another order of plugging in, as ``/dev/v4l/by-id/...``.
        node: What the kernel calls it today: ``/dev/video0``.
        title: What its maker calls it.
        driver: The kernel's driver.
        stable: `path` is such a name; without udev there is none.
        inputs: Its inputs.
        input: The number of the input in use.
        standard: The standard it is set to, empty if none.
        formats: What it offers at the input in use.
        controls: What can be set.
        fault: Code why it could not be asked (``device.denied``), empty if it could.
    """

    path: str
    node: str
    title: str
    driver: str
    stable: bool
    inputs: tuple[VideoInput, ...] = ()
    input: int = 0
    standard: str = ""
    formats: tuple[VideoFormat, ...] = ()
    controls: tuple[VideoControl, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """A microphone or line input of this box.

    Attributes:
        name: As ``[camera.capture] alsa`` takes it: ``CARD=Camera,DEV=0``, by name of the card.
        title: What its maker calls it.
    """

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Capture:
    """How pictures are taken from a device; what is not said is chosen.

    Attributes:
        format: ``auto``, ``yuyv``, ``uyvy``, ``nv12``, ``mjpeg`` or ``h264``.
        size: ``(width, height)`` in pixels, None for the device's best up to 1080p.
        rate_fps: Pictures a second, 0 for the device's best up to 30.
        input: Number or title of the input, empty for the one in use.
        standard: ``auto``, ``pal``, ``ntsc`` or ``secam``.
        deinterlace: ``auto``, ``off``, ``frames`` (25 or 30 a second) or ``fields`` (50 or 60).
        no_signal: ``picture``: a dark picture that says so is recorded; ``gap``: nothing is.
        alsa: A `SoundDevice.name`, empty for none.
        aspect: Shape of the whole picture, ``4:3`` or ``16:9``, or ``square``: of its pixels;
            ``auto``: 4:3 of an analogue picture, else square.
        controls: What is set of its picture; what is not named stays as the device has it.
    """

    format: str = "auto"
    size: tuple[int, int] | None = None
    rate_fps: float = 0.0
    input: str = ""
    standard: str = "auto"
    deinterlace: str = "auto"
    no_signal: str = "picture"
    alsa: str = ""
    aspect: str = "auto"
    controls: Controls = ()


class Captures(Protocol):
    """How devices of the box are used. Rights are the caller's business."""

    def capture(self, name: str) -> "Capture | None":
        """Return how a camera's device is used, None if it is none of this box.

        Raises:
            Rejected: ``camera.unknown``.
        """
        ...

    async def offered(self, name: str) -> "tuple[VideoDevice | None, Sequence[SoundDevice]]":
        """Ask a camera's device what it offers, None while it is not plugged in.

        Returns:
            The device, and the microphones of the box.

        Raises:
            Rejected: As `capture`.
        """
        ...

    async def write_capture(self, name: str, wanted: Capture) -> None:
        """Use a camera's device otherwise, at once and for good.

        Controls are turned while it streams; anything else begins the stream anew, which costs a
        second or two.

        Raises:
            Rejected: As `capture`; ``capture.refused``: the device does not offer it, as far as it
                is there to be asked; ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...


class NoCaptures:
    """Of a box without devices. See `Captures`."""

    def capture(self, name: str) -> Capture | None:  # noqa: ARG002, D102 - see Captures
        return None

    async def offered(  # noqa: D102 - see Captures
        self,
        name: str,  # noqa: ARG002
    ) -> tuple[VideoDevice | None, Sequence[SoundDevice]]:
        return None, ()

    async def write_capture(self, name: str, wanted: Capture) -> None:  # noqa: ARG002, D102 - see Captures
        raise Rejected("capture.refused", "it is no device of this box", camera=name)


def pixel_aspect(size: tuple[int, int], aspect: str, *, analogue: bool) -> tuple[int, int]:
    """Return width and height of a pixel, of a whole picture that is shown as `aspect`.

    An analogue line is sampled 13.5 million times a second, whatever its picture shows: 704 of the
    720 samples are the picture, so that a pixel of PAL at 4:3 is 12:11 and not 16:15.

    Args:
        size: ``(width, height)`` in pixels.
        aspect: As of `Capture`.
        analogue: What comes in is PAL, NTSC or SECAM.

    Source:
        ITU-R BT.601-7; ITU-T H.264 table E-1, the sizes beside each shape.
    """
    if aspect == "square" or (aspect == "auto" and not analogue):
        return 1, 1
    wide, high = (16, 9) if aspect == "16:9" else (4, 3)
    columns, rows = size
    sampled = {720: 704, 704: 704, 360: 352, 352: 352}.get(columns)
    if sampled is not None and rows in {576, 480, 288, 240}:
        columns = sampled
    shape = Fraction(wide * rows, high * columns)
    return shape.numerator, shape.denominator
