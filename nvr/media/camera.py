"""Cameras and the box as the page sees them; `app` implements the two ports.

Beside `nvr.media.ports`: streams and control are there, conditions and settings are here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from nvr.base.errors import NvrError
from nvr.media.analyse import AnalyseSettings
from nvr.media.backfill import BackfillSettings
from nvr.media.caption import CaptionAt as CaptionAt  # noqa: PLC0414 - known by this name
from nvr.media.caption import CaptionText as CaptionText  # noqa: PLC0414 - the same
from nvr.media.device import Capture
from nvr.media.drawn import Burn, Drawn
from nvr.media.happening import Happening
from nvr.media.head import HeadKind, HeadSettings
from nvr.media.health import StreamHealth, StreamReport
from nvr.media.mask import Masks
from nvr.media.name import Which
from nvr.media.transport import NOT_CARRIED, Carried, Reached, ReachSettings

_UNKNOWN = StreamHealth("connecting", 0)

CameraCondition = Literal["connecting", "live", "frozen", "lost", "refused", "unsupported"]


SUB_BOX = (640, 360)
"""Most ``(width, height)`` in pixels of a sub stream that is made here, unless it is said."""
SUB_FPS = 10
"""Most pictures a second of such a stream."""


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
class StreamState:
    """One stream of a camera as the box sees it now.

    Attributes:
        stream: Its name, ``gate/main``.
        state: Condition of its connection.
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
        not_recorded: Why and since when it is not recorded, None if it is.
        recorded: It is to be recorded; if not, it is only watched.
        health: What there is to see to. See `nvr.media.health`.
        carried: How its packets come, while they do.
    """

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
    not_recorded: NotRecorded | None = None
    recorded: bool = True
    health: StreamHealth = _UNKNOWN
    carried: Carried = NOT_CARRIED


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraState(StreamState):
    """A camera as the box sees it now: its main stream, and what is the camera's own.

    Attributes:
        name: Its name.
        title: What people call it.
        record_behind: The disk does not keep up with it.
        retain_h: Hours its recordings are to be kept; fewer if the disk is too small.
        caption: Its caption, None if it cannot have one.
        masks: What is not to be seen of its pictures by whom has no right to.
        masks_burned: Its pictures carry the masks, and nothing is under them.
        caption_burned: Its pictures carry the caption; if not, who shows them draws it.
        guaranteed_h: Hours of these that no other camera's promise may cost.
        limit_h: Hours after which they are erased though there is room, 0 for never.
        limit_gb: Most gigabytes (10^9 bytes) it may have, 0 if there is no such limit.
        sub: Its sub stream, None if it has none.
        sub_captioned: That carries the caption, whether or not the main stream does.
        happening: What goes on in its picture.
        looked_at: Somebody looks for that.
        caption_burn: Whether a camera that encodes its own picture is to write its caption.
        caption_drawn: What became of that; None if it is not to, or we encode its picture.
        mask_burn: The same of masks.
        masks_drawn: The same.
    """

    name: str
    title: str
    record_behind: bool
    retain_h: int
    caption: CaptionText | None
    guaranteed_h: int = 0
    limit_h: int = 0
    limit_gb: float = 0.0
    sub: StreamState | None = None
    sub_captioned: bool = False
    happening: tuple[Happening, ...] = ()
    looked_at: bool = False
    caption_burned: bool = True
    masks: Masks = ()
    masks_burned: bool = False
    caption_burn: Burn = "auto"
    caption_drawn: Drawn | None = None
    mask_burn: Burn = "auto"
    masks_drawn: Drawn | None = None


@dataclass(frozen=True, slots=True)
class SubSettings:
    """A camera's sub stream. See ``[camera.sub]`` of the configuration.

    Attributes:
        url: Its address; empty of a local camera, whose pictures are encoded a second time here.
        record: Whether it is to be recorded.
        retain_h: Hours it is to be kept, 0 for as many as the camera's.
        guaranteed_h: Hours of these that no other stream's promise may cost.
        limit_h: Hours after which it is erased, 0 for the camera's limit.
        limit_gb: Most gigabytes (10^9 bytes) of this stream alone, 0 for no such limit.
        size: Made here: most ``(width, height)`` in pixels, None for `SUB_BOX`.
        fps: Made here: at most so many pictures a second, 0 for `SUB_FPS`.
        kbit_s: Made here: target, 0 for what is usual for size and rate.
        codec: Made here: ``h264`` or ``h265``, empty for H.264.
    """

    url: str
    record: bool = True
    retain_h: int = 0
    guaranteed_h: int = 0
    limit_h: int = 0
    limit_gb: float = 0.0
    size: tuple[int, int] | None = None
    fps: int = 0
    kbit_s: int = 0
    codec: str = ""


@dataclass(frozen=True, slots=True)
class OnvifSettings:
    """A camera's own services. See ``[camera.onvif]`` of the configuration.

    Attributes:
        address: ``192.0.2.10:80``, or ``https://192.0.2.10:443``.
        pin: SHA-256 of the certificate to be taken, empty for any.
        profile: Token of the profile that is steered, empty to choose.
        events: Its events are listened to.
    """

    address: str
    pin: str = ""
    profile: str = ""
    events: bool = True


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """When a camera is recorded. See ``[camera.plan]`` of the configuration.

    Attributes:
        mode: ``continuous``, ``event`` or ``off``, outside of all segments.
        pre_s: Seconds before an event that are recorded with it.
        post_s: Seconds after it.
        week: Segments of Monday to Sunday, such as ``08:00-18:00 continuous``.
    """

    mode: str = "continuous"
    pre_s: float = 5.0
    post_s: float = 30.0
    week: tuple[tuple[str, ...], ...] = ((),) * 7


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a head can hang on.

    Attributes:
        buses: Serial lines of the board.
        outputs: Outputs of the board.
        kinds: Kinds of heads on a serial line.
    """

    buses: tuple[str, ...]
    outputs: tuple[str, ...]
    kinds: tuple[HeadKind, ...] = ()


class Cameras(Protocol):
    """The cameras of the box and their settings. Rights are the caller's business."""

    def all(self) -> tuple[CameraState, ...]:
        """Every camera, in the order of the configuration."""
        ...

    def find(self, name: str) -> CameraState | None:
        """Return the camera called `name`."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a camera called `name`; costs far less than asking how it is."""
        ...

    def report(self, name: str) -> Mapping[Which, StreamReport]:
        """Return all there is to say of each stream of a camera. Raises ``camera.unknown``."""
        ...

    async def tolerate(self, name: str, codes: Sequence[str]) -> None:
        """Put up with what is known of a camera: `codes` do not make it degraded any more.

        Raises as `add`, and ``camera.unknown``.
        """
        ...

    async def reconnect(self, name: str) -> None:
        """Connect each stream of a camera anew, at once, however it does now.

        Raises:
            Rejected: ``camera.unknown``.
        """
        ...

    def subscribe(self, changed: Callable[[CameraState], None]) -> Callable[[], None]:
        """Tell `changed`, in the event loop's thread, of each change of condition.

        Returns:
            A function that ends it.
        """
        ...

    async def add(
        self,
        name: str,
        title: str,
        url: str,
        user: str,
        password: str,
        sub: SubSettings | None = None,
        *,
        capture: Capture | None = None,
    ) -> CameraState:
        """Add a camera; it is kept over restarts once this returns.

        Args:
            name: Its short name.
            title: What people call it.
            url: Its address.
            user: Its log-in.
            password: The same.
            sub: A second stream.
            capture: How a device of this box is used; None for what is usual.

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
        guaranteed_h: int | None = None,
        limit_h: int | None = None,
        limit_gb: float | None = None,
    ) -> CameraState:
        """Change its title, its log-in or how long it is kept; None leaves it, empty and 0 go.

        A limit that is new or lower takes effect within seconds: what is beyond it is erased.

        A new log-in is for the next connection: one that stands is not given up for it, one that
        waits to be tried again is tried at once. Raises as `add`, and ``camera.unknown``.
        """
        ...

    async def remove(self, name: str, by: str = "") -> int:
        """Stop recording it and forget its settings, as `by` wants; what is recorded stays.

        Returns:
            How many texts and masks of ours may be left in its own picture, which did not answer.
        """
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

    def sub(self, name: str) -> SubSettings | None:
        """Return the settings of its sub stream. Raises ``camera.unknown``."""
        ...

    async def write_sub(self, name: str, sub: SubSettings | None, by: str = "") -> None:
        """Give a camera a sub stream, another one, or none, as `by` wants; at once and for good.

        The plan of one that was there stays. Raises as `add`, and ``camera.unknown``.
        """
        ...

    def reach(self, name: str) -> tuple[ReachSettings, Mapping[Which, Reached]]:
        """Return how it is to be reached, and how each stream is. Raises ``camera.unknown``."""
        ...

    async def write_reach(self, name: str, wanted: ReachSettings) -> None:
        """Reach it another way, at once and for good: each stream is connected anew.

        Raises as `add`, and ``camera.unknown``.
        """
        ...

    def backfill(self, name: str) -> BackfillSettings:
        """Return how what was missed is fetched. Raises ``camera.unknown``."""
        ...

    async def write_backfill(self, name: str, wanted: BackfillSettings) -> None:
        """Fetch what was missed otherwise, or not, at once and for good.

        Raises ``camera.unknown``, ``config.refused``: nobody knows where its services are.
        """
        ...

    def plan(self, name: str, which: Which = "main") -> PlanSettings:
        """Return when a stream is recorded. Raises ``camera.unknown``, ``camera.no_sub``."""
        ...

    async def write_plan(self, name: str, plan: PlanSettings, which: Which = "main") -> None:
        """Change when a stream is recorded, at once and for good.

        Raises as `add`, and ``camera.no_sub``.
        """
        ...

    def analyse(self, name: str) -> AnalyseSettings | None:
        """Return how its pictures are looked at. Raises ``camera.unknown``."""
        ...

    async def write_analyse(self, name: str, wanted: AnalyseSettings | None) -> None:
        """Look at its pictures, otherwise than before, or not at all; at once and for good.

        Raises as `add`, and ``camera.unknown``.
        """
        ...

    def event(self, name: str, post_s: float | None = None) -> int:
        """Something happens there: record what was just before it, and what comes, of each stream.

        Args:
            name: The camera.
            post_s: Seconds to go on for, None for what its plan says.

        Returns:
            UTC microseconds until which it is recorded, if nothing else happens.

        Raises:
            Rejected: ``camera.unknown``; ``plan.off`` if that is so of every stream.
        """
        ...

    async def write_masks(self, name: str, masks: Masks, burn: Burn | None = None) -> None:
        """Hide other areas of a camera's pictures, at once and for good.

        A camera that encodes its pictures itself is told to hide them too, if `burn` says so; None
        leaves that as it is.

        Raises:
            Rejected: ``mask.invalid``, ``camera.unknown``.
            Unavailable: ``config.unwritable``.
        """
        ...

    def masked(self, name: str, span: tuple[int, int] | None) -> bool:
        """Whether something is hidden under masks: of its pictures now, or also of those of a span.

        False of pictures that carry their masks. Of a camera that is not there any more, or not
        yet, what is known of its recordings counts.
        """
        ...

    def masks_over(self, name: str, span: tuple[int, int] | None) -> Masks:
        """Return what is hidden, as `masked` says whether anything is; from any thread."""
        ...

    def captions_over(self, name: str, span: tuple[int, int]) -> list[tuple[int, CaptionText]]:
        """What is to be drawn over a camera's recordings of a span, as it was then.

        Returns:
            Since when, UTC microseconds, and what, in order; the first may have begun before the
            span. Without lines where there was no caption. Nothing of pictures that carry theirs.
            From any thread.
        """
        ...

    async def write_caption(
        self, name: str, caption: CaptionText, burn: Burn | None = None
    ) -> tuple[str, ...]:
        """Change a caption, at once and for good.

        A camera that encodes its pictures itself is told to write it, if `burn` says so and it
        can; else the caption is drawn over them by who shows them, and burned in by an export.

        Returns:
            Characters the font does not have.

        Raises:
            Rejected: ``caption.invalid``; ``caption.unsupported``: this camera has none.
            Unavailable: ``config.unwritable``.
        """
        ...


ClockWord = Literal["ntp", "gb28181", "rtc", "unsynced"]


@dataclass(frozen=True, slots=True)
class ClockState:
    """How far the box's wall clock can be trusted.

    Attributes:
        state: Set from the network, by a GB/T 28181 platform, from a battery-backed clock, or not
            at all.
        uncertainty_ms: How far it may be off; 0xFFFFFFFF if it was never set.
    """

    state: ClockWord
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

    def warnings(self) -> Sequence[NvrError]:
        """What a person should see to although the box records, the worst first."""
        ...

    def behind_s(self) -> float:
        """Seconds by which recording lags behind the cameras, 0 if it keeps up."""
        ...
