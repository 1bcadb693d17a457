"""A whole virtual dome camera without a process around it: bytes in, pictures out.

The event loop feeds it commands, one thread paints; a lock holds the two together for the
microseconds it takes to read where the head points.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

import av
import msgspec

from nvr.base.errors import Rejected
from nvr.base.log import event
from nvr.media.mask import Masks
from nvr.overlay.burn import Burner, planes_of
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font
from nvr.sim.decoder import Outputs, Receiver
from nvr.sim.head import ZOOM_MAX, Head
from nvr.sim.scene import Optics, Scene
from nvr.sim.view import View

_log = logging.getLogger(__name__)

HOME = View(180.0, -9.0, 1.0)

PRESETS = {
    1: HOME,
    2: View(180.0, -19.0, 1.7),
    3: View(149.0, -10.0, 4.0),
    4: View(246.0, -21.0, 1.5),
    5: View(18.0, -5.0, 1.3),
    6: View(163.0, 3.0, 4.0),
    9: HOME,
}
"""路口全景, 斑马线, 公交站, 车牌道口, 河堤, 钟楼, 守望位."""

DEFAULT_CAPTION = Caption(
    ("临江路与东门街路口", "01 号机 · 东门站", "{time}"),
    position_permille=(24, 800),
    size_permille=40,
)

MOST_RELAYS = 32
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class State:
    """What the dome tells about itself on its relay socket.

    Attributes:
        wiper: The wiper runs.
        lamp: The lamp is on.
        pan_deg: Clockwise from north.
        tilt_deg: Upwards from the horizon.
        zoom: Magnification, 1 widest.
        moving: An axis moves or is told to.
    """

    wiper: bool
    lamp: bool
    pan_deg: float
    tilt_deg: float
    zoom: float
    moving: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """What survives the loss of power.

    Attributes:
        presets: Stored positions by number.
        caption: The caption.
        masks: What is hidden.
    """

    presets: dict[int, View]
    caption: Caption
    masks: Masks = ()


class Camera:
    """The dome.

    Args:
        size: ``(width, height)`` of its pictures, pixels, both even.
        now_s: Monotonic seconds.
        address: Its address on the line.
        zone: Time zone of caption and clock tower; None is the box's own.
        slack_deg: See `nvr.sim.head.Head`.

    Attributes:
        relays: Relays with nothing on them that shows, as last switched.
    """

    def __init__(
        self,
        size: tuple[int, int],
        now_s: float,
        address: int = 1,
        zone: tzinfo | None = None,
        slack_deg: float = 0.0,
    ) -> None:
        font = Font()
        self._lock = threading.Lock()
        self._zone = zone
        self._head = Head(now_s, HOME, PRESETS)
        self._head.slack_deg = slack_deg
        self._auxiliary, self._relay = Outputs(), Outputs()
        self.relays: dict[str, bool] = {}
        self._receiver = Receiver(self._head, self._auxiliary, address, ZOOM_MAX)
        self._scene = Scene(size, font)
        self._burner = Burner(font, size, zone)
        self._burner.set(DEFAULT_CAPTION)

    def receive(self, data: bytes, now_s: float) -> bytes:
        """Obey bytes from the line; returns what to answer."""
        with self._lock:
            return self._receiver.receive(data, now_s)

    def switch(self, output: str, *, on: bool) -> None:
        """Drive a relay: ``wiper`` or ``lamp``, or one with nothing on it that shows.

        Raises:
            Rejected: ``dome.no_output``: there are no more relays.
        """
        with self._lock:
            if output in {"wiper", "lamp"}:
                setattr(self._relay, output, on)
                return
            if output not in self.relays and len(self.relays) >= MOST_RELAYS:
                raise Rejected("dome.no_output", "the dome has no more relays", output=output)
            self.relays[output] = on

    def caption(self, caption: Caption) -> tuple[str, ...]:
        """Burn another caption from the next picture on; returns missing characters."""
        # Without the lock: drawing it takes longer than a picture may wait.
        return self._burner.set(caption)

    def mask(self, masks: Masks) -> None:
        """Hide other areas from the next picture on."""
        self._burner.mask(masks)

    @property
    def presets(self) -> dict[int, View]:
        """Stored positions by number."""
        with self._lock:
            return self._head.presets

    def memory(self) -> bytes:
        """What a dome keeps without power: presets and caption, as JSON."""
        with self._lock:
            return msgspec.json.encode(
                Memory(self._head.presets, self._burner.caption, self._burner.masks)
            )

    def recall(self, memory: bytes) -> None:
        """Take back what `memory` gave; what cannot be read is left as it is."""
        try:
            kept = msgspec.json.decode(memory, type=Memory)
        except (msgspec.DecodeError, Rejected) as err:
            event(_log, logging.WARNING, "dome.memory_lost", error=str(err))
            return
        with self._lock:
            self._head.restore(kept.presets)
        self._burner.set(kept.caption)
        self._burner.mask(kept.masks)

    def state(self, now_s: float) -> State:
        """Where it points and what is on."""
        with self._lock:
            self._head.advance(now_s)
            view = self._head.view
            return State(
                self._auxiliary.wiper or self._relay.wiper,
                self._auxiliary.lamp or self._relay.lamp,
                round(view.pan_deg, 3),
                round(view.tilt_deg, 3),
                round(view.zoom, 3),
                self._head.moving,
            )

    def paint(self, frame: av.VideoFrame, now_s: float, wall_us: int) -> View:
        """Paint what it sees at `now_s` over a yuv420p frame; returns the direction."""
        with self._lock:
            self._head.advance(now_s)
            view = self._head.view
            optics = Optics(
                wiping=self._auxiliary.wiper or self._relay.wiper,
                lamp=self._auxiliary.lamp or self._relay.lamp,
                blur_px=self._head.blur_px,
                exposure=self._head.exposure,
            )
        planes = planes_of(frame)
        local = (_EPOCH + timedelta(microseconds=wall_us)).astimezone(self._zone)
        self._scene.paint(planes, view, optics, now_s, local)
        self._burner.burn(planes, wall_us)
        return view
