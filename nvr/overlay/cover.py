"""Privacy masks as a camera can have them, and whether what it has hides all that is to be hidden.

Nothing here trusts a camera: a mask counts as laid only if the polygon read back covers the one
that was wanted, is in force, and hides by colour, pixels or blur. What a camera cannot have as it
is, is made larger, never smaller: a rectangle around it.
"""

from collections.abc import Iterable, Sequence

from nvr.media.mask import Mask, Masks
from nvr.media.onvif import Mask as Told
from nvr.media.onvif import MaskOptions

Point = tuple[float, float]

HIDES = frozenset(("Color", "Pixelated", "Blurred"))
YCBCR = "http://www.onvif.org/ver10/colorspace/YCbCr"
_DARK = (16.0, 128.0, 128.0, YCBCR)
_GROWN = 0.03
"""A rectangle that a camera rounds must still cover: 1.5 % of the picture on each side."""
_SLACK = 0.003
"""Three pixels of 1920: as numbers are written, not as pictures are cut."""
_STEPS = 24


def told_of(mask: Mask, source: str, options: MaskOptions, *, boxed: bool = False) -> Told:
    """Return a mask as a camera is told it.

    Args:
        mask: What is to be hidden.
        source: Token of the video source configuration.
        options: What the camera can.
        boxed: It did not take the polygon as it is: a rectangle around it, somewhat larger.
    """
    points = wanted_of(mask)
    if boxed or options.rectangles or len(points) > options.corners or crosses(points):
        points = _box(points, _GROWN if boxed else 0.0)
    pixels = mask.kind == "mosaic" and "Pixelated" in options.kinds
    kind = "Pixelated" if pixels else "Color"
    if kind not in options.kinds and options.kinds:
        kind = next((one for one in options.kinds if one in HIDES), options.kinds[0])
    dark = min(options.colours, key=lambda one: one[0], default=_DARK)
    return Told("", source, points, kind, colour=dark if kind == "Color" else None)


def wanted_of(mask: Mask) -> tuple[Point, ...]:
    """Return a mask's corners in a camera's coordinates, -1 to 1 and y up."""
    return tuple((round(x / 500 - 1, 4), round(1 - y / 500, 4)) for x, y in mask.points_permille)


def hides(wanted: Sequence[Point], got: Told | None, source: str) -> bool:
    """Whether what was read back hides all of a polygon."""
    if got is None or not got.on or got.kind not in HIDES or got.source != source:
        return False
    if len(got.points) < 3 or crosses(got.points):
        return False
    # All of the edge inside of something without holes: then what is within the edge is, too.
    return all(_within(point, got.points) for point in _edge(wanted))


def same(wanted: Told, got: Told) -> bool:
    """Whether a camera has a mask as it was told, but for the rounding of numbers."""
    if (wanted.source, wanted.kind, got.on) != (got.source, got.kind, True):
        return False
    if len(wanted.points) != len(got.points):
        return False
    pairs = zip(wanted.points, got.points, strict=True)
    return all(abs(a - c) <= _SLACK and abs(b - d) <= _SLACK for (a, b), (c, d) in pairs)


def all_hidden(masks: Masks, got: Iterable[tuple[int, str, Told | None]], sources: int) -> bool:
    """Whether each mask is hidden in each source; of which is told number, source and polygon."""
    sure = {
        (number, source)
        for number, source, one in got
        if hides(wanted_of(masks[number]), one, source)
    }
    return bool(masks) and len(sure) == len(masks) * sources


def crosses(points: Sequence[Point]) -> bool:
    """Whether a polygon crosses itself: what is inside of it then, nobody agrees on."""
    edges = list(zip(points, (*points[1:], points[0]), strict=True))
    last = len(edges) - 1
    return any(
        _cut(*edges[i], *edges[j])
        for i in range(len(edges))
        for j in range(i + 2, len(edges))
        if (i, j) != (0, last)
    )


def _cut(a: Point, b: Point, c: Point, d: Point) -> bool:
    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _box(points: Sequence[Point], grown: float) -> tuple[Point, ...]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, right = max(-1.0, min(xs) - grown), min(1.0, max(xs) + grown)
    low, high = max(-1.0, min(ys) - grown), min(1.0, max(ys) + grown)
    return ((left, high), (right, high), (right, low), (left, low))


def _edge(points: Sequence[Point]) -> Iterable[Point]:
    for (x0, y0), (x1, y1) in zip(points, (*points[1:], points[0]), strict=True):
        for step in range(_STEPS):
            share = step / _STEPS
            yield x0 + (x1 - x0) * share, y0 + (y1 - y0) * share


def _within(point: Point, polygon: Sequence[Point]) -> bool:
    """Whether a point is inside of a polygon, or on its edge."""
    x, y = point
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if _distance(point, (x0, y0), (x1, y1)) <= _SLACK:
            return True
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def _distance(point: Point, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = dx * dx + dy * dy
    share = ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length if length else 0.0
    share = min(max(share, 0.0), 1.0)
    nx, ny = a[0] + share * dx - point[0], a[1] + share * dy - point[1]
    return float((nx * nx + ny * ny) ** 0.5)
