"""Films whose motion is known, because it was put there: a street, people, light, rain, faults.

What is painted is coded and decoded again as a camera's sub stream would be, and looked at by the
same code as in the sandbox.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import av
import numpy as np
from numpy.typing import NDArray

from nvr._native import Scene, blur
from nvr.analyse.eye import Eye
from nvr.analyse.grid import WHOLE, Zone, masks
from nvr.analyse.judge import Change, Judge, Seen
from nvr.analyse.talk import Feed, Watch
from nvr.codec.encode import Encoder, picture_of
from nvr.media.encoder import Settings
from nvr.sim.camera import Camera
from nvr.wire import h264

SIZE = (640, 360)
FPS = 10
Luma = NDArray[np.float32]
Label = tuple[float, float, str]
"""From, to, what."""


@functools.cache
def street(size: tuple[int, int] = SIZE, now_s: float = 7.0) -> Luma:
    """The simulated street at some moment, whose traffic stands still."""
    frame = av.VideoFrame(*size, "yuv420p")
    camera = Camera(size, 0.0)
    camera.paint(frame, now_s, 1_700_000_000_000_000)
    return luma_of(frame).astype(np.float32)


def luma_of(frame: av.VideoFrame) -> NDArray[np.uint8]:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * frame.height]
    return rows.reshape(frame.height, plane.line_size)[:, : frame.width].copy()


@functools.cache
def noises(shape: tuple[int, int]) -> list[Luma]:
    """Noise of a sensor, which costs less to roll than to draw."""
    rng = np.random.default_rng(5)
    most = max(4, 24 * SIZE[0] * SIZE[1] // (shape[0] * shape[1]))
    return [rng.standard_normal(shape, np.float32) for _ in range(min(24, most))]


@dataclass(frozen=True)
class Walker:
    """Somebody, or a car, who goes from one place to another.

    Attributes:
        from_s: When.
        to_s: Until when; then gone, unless it `stays`.
        start: Middle, in permille of the picture.
        end: The same.
        size: Width and height, permille.
        grey: Of the body.
        stays: It stands there for the rest.
    """

    from_s: float
    to_s: float
    start: tuple[float, float]
    end: tuple[float, float]
    size: tuple[float, float] = (25, 120)
    grey: float = 50
    stays: bool = False

    def paint(self, picture: Luma, at_s: float) -> None:
        if at_s < self.from_s or (at_s > self.to_s and not self.stays):
            return
        share = min(1.0, (at_s - self.from_s) / (self.to_s - self.from_s))
        tall, wide = picture.shape
        x = (self.start[0] + share * (self.end[0] - self.start[0])) * wide / 1000
        y = (self.start[1] + share * (self.end[1] - self.start[1])) * tall / 1000
        w, h = self.size[0] * wide / 1000, self.size[1] * tall / 1000
        swing = np.sin(at_s * 7) * 0.25 * w  # legs and arms
        for dx, dy, rx, ry, grey in (
            (0, 0, 0.5, 0.32, self.grey),
            (0, -0.42, 0.28, 0.1, self.grey + 70),
            (swing / w, 0.3, 0.2, 0.22, self.grey * 0.7),
            (-swing / w, 0.3, 0.2, 0.22, self.grey * 0.8),
        ):
            _ellipse(picture, x + dx * w, y + dy * h, rx * w, ry * h, grey)


def _ellipse(picture: Luma, x: float, y: float, rx: float, ry: float, grey: float) -> None:
    tall, wide = picture.shape
    x0, x1 = max(0, int(x - rx)), min(wide, int(x + rx) + 2)
    y0, y1 = max(0, int(y - ry)), min(tall, int(y + ry) + 2)
    if x0 >= x1 or y0 >= y1:
        return
    v, u = np.mgrid[y0:y1, x0:x1]
    inside = ((u - x) / max(rx, 0.5)) ** 2 + ((v - y) / max(ry, 0.5)) ** 2 <= 1
    picture[y0:y1, x0:x1][inside] = grey


Effect = Callable[[Luma, float, np.random.Generator], Luma]


@dataclass(frozen=True)
class Film:
    """A film.

    Attributes:
        name: Of the scene.
        seconds: How long.
        background: What stands still.
        walkers: Who moves.
        effects: What is done to each picture, in order.
        labels: What should be found.
        noise: Grey levels, standard deviation.
        zones: Where motion is looked for.
    """

    name: str
    seconds: float
    background: Callable[[], Luma] = street
    walkers: tuple[Walker, ...] = ()
    effects: tuple[Effect, ...] = ()
    labels: tuple[Label, ...] = ()
    noise: float = 2.0
    zones: tuple[Zone, ...] = (Zone("", WHOLE),)
    bitrate_bps: int = 400_000
    seed: int = 1
    extra: dict[str, float] = field(default_factory=dict)

    def pictures(self, fps: float = FPS) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yield each picture's time and luma."""
        rng = np.random.default_rng(self.seed)
        for n in range(int(self.seconds * fps)):
            at_s = n / fps
            picture = self.background().copy()
            for walker in self.walkers:
                walker.paint(picture, at_s)
            for effect in self.effects:
                picture = effect(picture, at_s, rng)
            if self.noise:
                fields = noises(picture.shape)
                grain = fields[rng.integers(len(fields))]
                grain = np.roll(grain, rng.integers(picture.shape[0]), 0)
                picture += grain * np.float32(self.noise)
            yield at_s, np.clip(picture, 16, 235).astype(np.uint8)


def blurred(from_s: float, to_s: float, radius: int) -> Effect:
    def effect(picture: Luma, at_s: float, rng: np.random.Generator) -> Luma:
        if not from_s <= at_s < to_s:
            return picture
        tall, wide = picture.shape
        plane = bytearray(np.clip(picture, 0, 255).astype(np.uint8).tobytes())
        blur(plane, wide, (wide, tall), radius)
        return np.frombuffer(plane, np.uint8).reshape(tall, wide).astype(np.float32)

    return effect


def light(gain: Callable[[float], float]) -> Effect:
    return lambda picture, at_s, _: (picture - 16) * np.float32(gain(at_s)) + 16


def covered(from_s: float, to_s: float, share: float, grey: float) -> Effect:
    """A hand or a bag over a share of the lens, so near that it has no edges."""

    def effect(picture: Luma, at_s: float, rng: np.random.Generator) -> Luma:
        if from_s <= at_s < to_s:
            tall, wide = picture.shape
            soft = np.clip((np.arange(wide) / wide - (1 - share)) * 12, 0, 1).astype(np.float32)
            shade = grey + 25 * np.linspace(0, 1, tall, dtype=np.float32)[:, None]
            picture = picture * (1 - soft) + shade * soft
        return picture

    return effect


def shifted(from_s: float, to_s: float, dx: int, dy: int) -> Effect:
    def effect(picture: Luma, at_s: float, rng: np.random.Generator) -> Luma:
        return np.roll(picture, (dy, dx), (0, 1)) if from_s <= at_s < to_s else picture

    return effect


def replaced(from_s: float, to_s: float, other: Callable[[], Luma]) -> Effect:
    return lambda picture, at_s, _: other().copy() if from_s <= at_s < to_s else picture


def rain(drops: int, length: int = 14) -> Effect:
    def effect(picture: Luma, at_s: float, rng: np.random.Generator) -> Luma:
        tall, wide = picture.shape
        across, down = rng.integers(0, wide - 3, drops), rng.integers(0, tall - length, drops)
        for x, y in zip(across, down, strict=True):
            picture[y : y + length, x : x + 1] = picture[y : y + length, x : x + 1] * 0.6 + 90
        return picture

    return effect


def sway(region: tuple[int, int, int, int], px: float, period_s: float) -> Effect:
    """A tree in the wind: a region moves to and fro."""
    x0, y0, x1, y1 = region

    def effect(picture: Luma, at_s: float, rng: np.random.Generator) -> Luma:
        by = round(px * np.sin(2 * np.pi * at_s / period_s) + 0.5 * px * np.sin(at_s * 3.3))
        picture[y0:y1, x0:x1] = np.roll(picture[y0:y1, x0:x1], by, 1)
        return picture

    return effect


@dataclass
class Watched:
    """What was made of a film."""

    changes: list[Change]
    seen: list[tuple[float, Seen]]
    cpu_s: float = 0.0

    def intervals(self, end_s: float) -> list[Label]:
        """From, to and kind of all that happened."""
        found: list[Label] = []
        open_: dict[tuple[str, str], float] = {}
        for change in self.changes:
            key = (change.kind, change.zone)
            if change.what == "begin":
                open_[key] = change.at_s
            else:
                found.append((open_.pop(key), change.at_s, change.kind))
        return sorted(found + [(from_s, end_s, kind) for (kind, _), from_s in open_.items()])


def coded(
    film: Film, fps: float = FPS, size: tuple[int, int] = SIZE, gop_s: float = 2.0
) -> tuple[bytes, list[tuple[bytes, int, bool]]]:
    """Encode a film as a camera would."""
    encoder = Encoder(Settings(size, round(fps), film.bitrate_bps, gop_s))
    frame = av.VideoFrame(*size, "yuv420p")
    for plane in frame.planes[1:]:
        plane.update(bytes([128]) * plane.buffer_size)
    units: list[tuple[bytes, int, bool]] = []
    sets = list(encoder.parameter_sets)
    for at_s, luma in film.pictures(fps):
        plane = frame.planes[0]
        padded = np.zeros((size[1], plane.line_size), np.uint8)
        padded[:, : size[0]] = luma
        plane.update(padded.tobytes())
        for unit in encoder.encode(picture_of(frame, round(at_s * 90_000))):
            nals = [nal for nal in unit.nals if h264.nal_type(nal) not in {h264.SPS, h264.PPS}]
            data = b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)
            units.append((data, unit.pts_90k, unit.key))
    return h264.avcc(sets), units


def watch(
    config: bytes,
    units: Sequence[tuple[bytes, int, bool]],
    zones: Sequence[Zone] = (Zone("", WHOLE),),
    *,
    keys_only: bool = False,
    apart_s: float = 0.2,
    hush: Callable[[float], bool] = lambda _: False,
    memory: bytes = b"",
) -> Watched:
    """Look at coded pictures as the recorder does, half a second at a time."""
    eye = Eye(Watch(0, "h264", config, *masks(zones), memory))
    judge = Judge(zones)
    result = Watched([], [])
    taken = [unit for unit in units if unit[2] or not keys_only]
    batch = 1 if keys_only else 5
    for n in range(0, len(taken), batch):
        some = taken[n : n + batch]
        quiet = hush(some[0][1] / 90_000)
        flags = (1 if judge.learn else 0) | (2 if quiet else 0)
        saw = eye.feed(
            Feed(0, [(data, at) for data, at, _ in some], round(apart_s * 90_000), keys_only, flags)
        )
        result.cpu_s += saw.cpu_us / 1e6
        for at_90k, row in saw.pictures:
            seen = Seen(*row)
            result.seen.append((at_90k / 90_000, seen))
            result.changes += judge.see(seen, at_90k / 90_000, hush=quiet)
    return result


def of(film: Film, *, keys_only: bool = False) -> Watched:
    """Encode a film and look at it."""
    return watch(*coded(film), film.zones, keys_only=keys_only)


def plain(film: Film, fps: float = 5) -> Watched:
    """Look at a film as it was painted, without a codec in between: quicker."""
    scene, judge = Scene(), Judge(film.zones)
    scene.mask(*masks(film.zones))
    result = Watched([], [])
    for at_s, luma in film.pictures(fps):
        tall, wide = luma.shape
        flags = 1 if judge.learn else 0
        seen = Seen(*scene.look(luma.tobytes(), wide, (wide, tall), 1 / fps, flags))
        result.seen.append((at_s, seen))
        result.changes += judge.see(seen, at_s)
    return result
