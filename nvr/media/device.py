"""What the box itself sees and hears with: capture devices as people and settings know them."""

from dataclasses import dataclass
from typing import Literal

Signal = Literal["present", "none", "unpowered", "unknown"]


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
    """

    title: str
    least: int
    most: int
    usual: int


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
    """

    format: str = "auto"
    size: tuple[int, int] | None = None
    rate_fps: float = 0.0
    input: str = ""
    standard: str = "auto"
    deinterlace: str = "auto"
    no_signal: str = "picture"
    alsa: str = ""
