"""Cameras and the box as the page sees them; `app` implements the two ports.

Beside `nvr.media.ports`: streams and control are there, conditions and settings are here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from nvr.base.errors import NvrError

CameraCondition = Literal["connecting", "live", "frozen", "lost", "refused", "unsupported"]


@dataclass(frozen=True, slots=True)
class CaptionText:
    """What is written into, or over, a camera's picture.

    Attributes:
        lines: Up to 8 lines of up to 32 characters; ``{time}`` stands for the wall time.
        position_permille: Left and top, thousandths of the picture's width and height.
        size_permille: Height of an em, thousandths of the picture's height.
        mode: ``plain``, ``outline``, ``box``, ``blink``, ``inverse`` or ``scroll``.
    """

    lines: tuple[str, ...]
    position_permille: tuple[int, int]
    size_permille: int
    mode: str


@dataclass(frozen=True, slots=True)
class NotRecorded:
    """A camera that should be recorded, and is not.

    Attributes:
        since_us: UTC microseconds since when.
        cause: As of a `Gap`: ``camera``, ``behind``, ``disk``, ``volume`` or ``unknown``.
        code: Error code to go with it, empty if there is none.
    """

    since_us: int
    cause: str
    code: str


@dataclass(frozen=True, slots=True)
class CameraState:
    """A camera as the box sees it now.

    Attributes:
        name: Its name.
        title: What people call it.
        stream: Name of the stream that is watched and recorded, ``gate/main``.
        state: Its condition.
        since_us: UTC microseconds since when.
        code: Stable error code while it is not live, else empty.
        detail: A sentence for a person to go with `code`.
        codec: Short name of the video codec, empty if not known.
        width_px: Picture width, 0 if not known.
        height_px: Picture height, 0 if not known.
        fps: Frames per second, measured.
        bitrate_bps: Bits per second, measured.
        recorded_until_us: UTC microseconds up to which its recording survives a power cut, 0 if
            nothing is recorded.
        record_behind: The disk does not keep up with it.
        retain_h: Hours its recordings are to be kept at least.
        caption: Its caption, None if it cannot have one.
        not_recorded: Why and since when it is not recorded, None if it is.
    """

    name: str
    title: str
    stream: str
    state: CameraCondition
    since_us: int
    code: str
    detail: str
    codec: str
    width_px: int
    height_px: int
    fps: float
    bitrate_bps: int
    recorded_until_us: int
    record_behind: bool
    retain_h: int
    caption: CaptionText | None
    not_recorded: NotRecorded | None = None


@dataclass(frozen=True, slots=True)
class OwnOutput:
    """An auxiliary output of a head.

    Attributes:
        aux: Its number, 1-8.
        max_on_s: Longest time on, None for what is usual.
    """

    aux: int
    max_on_s: float | None = None


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """How a camera's head is reached. See ``[camera.ptz]`` of the configuration.

    Attributes:
        bus: Serial line of the board.
        address: Number on the head's switch.
        protocol: ``pelco-d`` or ``pelco-p``.
        turbo: Pan value for full deflection, 0 if it knows none.
        tilt_reply: ``falls`` or ``rises``.
        wiper: Name of an output of the board, or the head's own; None if there is none.
        lamp: The same.
    """

    bus: str
    address: int = 1
    protocol: str = "pelco-d"
    turbo: int = 0
    tilt_reply: str = "falls"
    wiper: str | OwnOutput | None = None
    lamp: str | OwnOutput | None = None


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a head can hang on.

    Attributes:
        buses: Serial lines of the board.
        outputs: Outputs of the board.
    """

    buses: tuple[str, ...]
    outputs: tuple[str, ...]


class Cameras(Protocol):
    """The cameras of the box and their settings. Rights are the caller's business."""

    def all(self) -> tuple[CameraState, ...]:
        """Every camera, in the order of the configuration."""
        ...

    def find(self, name: str) -> CameraState | None:
        """Return the camera called `name`."""
        ...

    def subscribe(self, changed: Callable[[CameraState], None]) -> Callable[[], None]:
        """Tell `changed`, in the event loop's thread, of each change of condition.

        Returns:
            A function that ends it.
        """
        ...

    async def add(self, name: str, title: str, url: str, user: str, password: str) -> CameraState:
        """Add a camera; it is kept over restarts once this returns.

        Raises:
            Rejected: ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...

    async def change(
        self,
        name: str,
        *,
        title: str | None = None,
        user: str | None = None,
        password: str | None = None,
        retain_h: int | None = None,
    ) -> CameraState:
        """Change its title, log-in or hours to be kept; None leaves it, an empty log-in goes.

        A new log-in is for the next connection: one that stands is not given up for it, one that
        waits to be tried again is tried at once. Raises as `add`, and ``camera.unknown``.
        """
        ...

    async def remove(self, name: str, by: str = "") -> None:
        """Stop recording it and forget its settings, as `by` wants; what is recorded stays."""
        ...

    def head(self, name: str) -> HeadSettings | None:
        """Return how the camera's head is reached. Raises ``camera.unknown``."""
        ...

    def sockets(self) -> Sockets:
        """What a head can hang on."""
        ...

    async def write_head(self, name: str, head: HeadSettings | None) -> None:
        """Give a camera a head, another one, or none; at once and for good.

        The one it had is stopped first, and whoever held it has to begin anew. Raises as `add`,
        and ``camera.unknown``.
        """
        ...

    async def write_caption(self, name: str, caption: CaptionText) -> tuple[str, ...]:
        """Change a caption, in the picture at once and for good.

        Returns:
            Characters the font does not have.

        Raises:
            Rejected: ``caption.invalid``; ``caption.unsupported``: this camera has none.
            Unavailable: ``config.unwritable``.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClockState:
    """How far the box's wall clock can be trusted.

    Attributes:
        state: Set from the network, from a battery-backed clock, or not at all.
        uncertainty_ms: How far it may be off; 0xFFFFFFFF if it was never set.
    """

    state: Literal["ntp", "rtc", "unsynced"]
    uncertainty_ms: int


class BoxState(Protocol):
    """What the page shows of the box itself."""

    @property
    def name(self) -> str:
        """What people call the box."""
        ...

    def clock_state(self) -> ClockState:
        """How good the wall clock is now."""
        ...

    def fault(self) -> NvrError | None:
        """What keeps the box from recording at all, None if nothing does."""
        ...

    def behind_s(self) -> float:
        """Seconds by which recording lags behind the cameras, 0 if it keeps up."""
        ...
