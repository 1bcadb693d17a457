"""Shapes of what moves: cars as low solids, people and boats as flat cut-outs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nvr.sim import palette as p
from nvr.sim.mesh import ONE_SIDED, Mesh, Model, Paint, Plane, mixed

_Point = tuple[float, float, float]

UPRIGHT = Plane((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
"""Sheet of a cut-out; turned to the lens when it is placed."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A kind of car.

    Attributes:
        model: Its shape; forward is +y, the middle of its shadow is the origin.
        length_m: Bumper to bumper.
    """

    model: Model
    length_m: float


def fleet() -> tuple[Vehicle, ...]:
    """The kinds of car there are; common ones several times."""
    cars = [_saloon(body) for body in p.CAR_BODIES]
    taxi = _saloon(p.TAXI, taxi=True)
    return (*cars, *cars, taxi, taxi, _van(p.CAR_BODIES[3]), _bus())


def crowd() -> tuple[tuple[Model, ...], ...]:
    """Dresses of people, each in four poses of a step."""
    dresses = []
    for i, coat in enumerate(p.COATS):
        shade = p.UMBRELLAS[i % 4] if i % 3 != 1 else None
        dresses.append(tuple(_person(coat, shade, pose) for pose in range(4)))
    return tuple(dresses)


def _face(m: Mesh, points: Sequence[_Point], outward: _Point, paint: Paint) -> None:
    """Add a face seen only from the side `outward` points to."""
    corners = np.array(points, np.float32)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[1])
    # Seen from the front a face must run clockwise on the picture, whose y points down.
    if float(normal @ np.array(outward, np.float32)) > 0:
        corners = corners[::-1]
    m.polygon(corners, paint, ONE_SIDED)


def _wheel(m: Mesh, x: float, y: float, radius: float) -> None:
    for r, paint in ((radius, p.TYRE), (radius * 0.55, p.HUB)):
        turn = np.arange(20) * (2 * np.pi / 20)
        rim = [(x, y + r * float(np.cos(a)), radius + r * float(np.sin(a))) for a in turn]
        _face(m, rim, (x, 0, 0), paint)


def _under(m: Mesh, half: float, length: float) -> None:
    turn = np.arange(28) * (2 * np.pi / 28)
    # A rounded box: a plain ellipse would show beyond the bumpers.
    x, y = (np.sign(f(turn)) * np.abs(f(turn)) ** 0.42 for f in (np.cos, np.sin))
    for grow, alpha in ((0.16, 90), (0.05, 120)):
        rim = zip((x * (half + grow)).tolist(), (y * (length / 2 + grow)).tolist(), strict=True)
        m.ground(tuple(rim), 0.01, p.SHADOW.thin(alpha))
    for reach, wide, alpha in ((13.0, 2.6, 12), (8.0, 1.9, 16), (4.5, 1.3, 20)):
        front = length / 2
        beam = [(-half * 0.8, front), (half * 0.8, front), (wide, front + reach * 0.8)]
        beam += [
            (wide * 0.5, front + reach),
            (-wide * 0.5, front + reach),
            (-wide, front + reach * 0.8),
        ]
        m.ground(beam, 0.02, p.BEAM.thin(alpha))


def _ends(m: Mesh, half: float, length: float, z: tuple[float, float], plate: Paint) -> None:
    """Lights and number plates at both ends, between the heights `z`."""
    low, high = z
    front, back = length / 2 + 0.01, -length / 2 - 0.01
    for side in (-1, 1):
        outer, inner = side * half * 0.92, side * half * 0.52
        for y, way, paint in ((front, 1, p.HEADLIGHT), (back, -1, p.TAILLIGHT)):
            box = [(outer, y, low), (inner, y, low), (inner, y, high), (outer, y, high)]
            _face(m, box, (0, way, 0), paint)
    for y, way in ((front, 1), (back, -1)):
        box = [(-0.24, y, low - 0.16), (0.24, y, low - 0.16), (0.24, y, low - 0.02)]
        _face(m, [*box, (-0.24, y, low - 0.02)], (0, way, 0), plate)


def _saloon(body: Paint, *, taxi: bool = False) -> Vehicle:
    m = Mesh()
    half, length = 0.92, 4.5
    end = length / 2
    _under(m, half, length)
    dark, light = mixed(body, p.POLE, 0.32), mixed(body, p.LAMP, 0.12)
    profile = [(-end, 0.32), (-end, 0.82), (-end + 0.12, 0.92), (1.05, 0.9), (end - 0.1, 0.72)]
    profile += [(end, 0.6), (end, 0.3)]
    for x in (-half, half):
        _face(m, [(x, y, z) for y, z in profile], (x, 0, 0), dark)
        for y in (-1.4, 1.4):
            _wheel(m, x * 1.01, y, 0.34)
    _face(
        m,
        [(-half, end, 0.3), (half, end, 0.3), (half, end, 0.66), (-half, end, 0.66)],
        (0, 1, 0),
        dark,
    )
    _face(
        m,
        [(-half, -end, 0.32), (half, -end, 0.32), (half, -end, 0.86), (-half, -end, 0.86)],
        (0, -1, 0),
        dark,
    )
    _face(
        m,
        [(-half, end, 0.64), (half, end, 0.64), (half, 1.05, 0.9), (-half, 1.05, 0.9)],
        (0, 0.2, 1),
        body,
    )
    _face(
        m,
        [(-half, 1.05, 0.9), (half, 1.05, 0.9), (half, -end, 0.9), (-half, -end, 0.9)],
        (0, 0, 1),
        body,
    )
    _ends(m, half, length, (0.5, 0.66), p.SIGN_BLUE)
    base, roof, low, high = 0.86, 0.66, 0.9, 1.45
    corners = {
        "front": ((-base, 1.2, low), (base, 1.2, low), (roof, 0.35, high), (-roof, 0.35, high)),
        "back": ((-base, -1.9, low), (base, -1.9, low), (roof, -1.2, high), (-roof, -1.2, high)),
    }
    _face(m, corners["front"], (0, 1, 0.8), p.GLASS)
    _face(m, corners["back"], (0, -1, 0.8), p.GLASS)
    for s in (-1, 1):
        pane = [
            (s * base, 1.2, low),
            (s * roof, 0.35, high),
            (s * roof, -1.2, high),
            (s * base, -1.9, low),
        ]
        _face(m, pane, (s, 0, 0.3), dark)
        inset = [(s * (base - 0.03), 0.95, low + 0.06), (s * (roof + 0.02), 0.28, high - 0.08)]
        inset += [(s * (roof + 0.02), -1.1, high - 0.08), (s * (base - 0.03), -1.6, low + 0.06)]
        _face(m, inset, (s, 0, 0.3), p.GLASS)
    _face(
        m,
        [(-roof, 0.35, high), (roof, 0.35, high), (roof, -1.2, high), (-roof, -1.2, high)],
        (0, 0, 1),
        light,
    )
    if taxi:
        sign = [
            (-0.28, -0.35, high),
            (0.28, -0.35, high),
            (0.28, -0.35, high + 0.22),
            (-0.28, -0.35, high + 0.22),
        ]
        m.polygon(np.array(sign, np.float32), p.AMBER)
    return Vehicle(m.model(), length)


def _box(m: Mesh, half: float, length: float, z: tuple[float, float], body: Paint) -> None:
    """An upright box body: sides, ends, roof."""
    low, high = z
    end = length / 2
    dark = mixed(body, p.POLE, 0.3)
    for s in (-1, 1):
        x = s * half
        _face(m, [(x, -end, low), (x, end, low), (x, end, high), (x, -end, high)], (s, 0, 0), dark)
    for way in (-1, 1):
        y = way * end
        side = [(-half, y, low), (half, y, low), (half, y, high), (-half, y, high)]
        _face(m, side, (0, way, 0), mixed(body, p.POLE, 0.18))
    top = [(-half, -end, high), (half, -end, high), (half, end, high), (-half, end, high)]
    _face(m, top, (0, 0, 1), mixed(body, p.LAMP, 0.08))


def _band(
    m: Mesh, half: float, y: tuple[float, float], z: tuple[float, float], paint: Paint
) -> None:
    """A strip along both sides."""
    for s in (-1, 1):
        x = s * (half + 0.01)
        strip = [(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])]
        _face(m, strip, (s, 0, 0), paint)


def _screens(m: Mesh, half: float, length: float, z: tuple[float, float]) -> None:
    for way in (-1, 1):
        y = way * (length / 2 + 0.01)
        pane = [
            (-half * 0.88, y, z[0]),
            (half * 0.88, y, z[0]),
            (half * 0.88, y, z[1]),
            (-half * 0.88, y, z[1]),
        ]
        _face(m, pane, (0, way, 0), p.GLASS)


def _van(body: Paint) -> Vehicle:
    m = Mesh()
    half, length = 0.98, 5.2
    _under(m, half, length)
    _box(m, half, length, (0.35, 2.05), body)
    _band(m, half, (0.9, 2.3), (1.25, 1.85), p.GLASS)
    for x in (-half, half):
        for y in (-1.7, 1.7):
            _wheel(m, x * 1.01, y, 0.36)
    _screens(m, half, length, (1.2, 1.85))
    _ends(m, half, length, (0.6, 0.8), p.SIGN_BLUE)
    return Vehicle(m.model(), length)


def _bus() -> Vehicle:
    m = Mesh()
    half, length = 1.27, 11.0
    _under(m, half, length)
    body = p.BUS
    _box(m, half, length, (0.35, 3.1), body)
    _band(m, half, (-5.5, 5.5), (0.75, 0.95), p.MARK)
    for k in range(6):
        _band(m, half, (-5.1 + k * 1.75, -3.6 + k * 1.75), (1.35, 2.5), p.LIT_PANE[2])
    for x in (-half, half):
        for y in (-3.1, 3.4):
            _wheel(m, x * 1.01, y, 0.48)
    _screens(m, half, length, (1.2, 2.4))
    for way in (-1, 1):
        y = way * (length / 2 + 0.02)
        sign = [(-0.8, y, 2.55), (0.8, y, 2.55), (0.8, y, 2.95), (-0.8, y, 2.95)]
        _face(m, sign, (0, way, 0), p.AMBER)
    _ends(m, half, length, (0.65, 0.9), p.AMBER)
    return Vehicle(m.model(), length)


def _person(coat: Paint, umbrella: Paint | None, pose: int) -> Model:
    m = Mesh()
    turn = np.arange(16) * (2 * np.pi / 16)
    m.ground([(0.34 * np.cos(a), 0.34 * np.sin(a)) for a in turn], 0.01, p.SHADOW.thin(120))
    stride = (0.26, 0.02, -0.26, 0.02)[pose]
    legs = mixed(coat, p.POLE, 0.5)
    for way in (-1, 1):
        foot = way * stride
        leg = [(-0.1, 0.85), (0.1, 0.85), (foot + 0.09, 0.0), (foot - 0.09, 0.0)]
        m.flat(UPRIGHT, leg, legs)
    body = [(-0.2, 0.78), (0.2, 0.78), (0.25, 1.3), (0.16, 1.45), (-0.16, 1.45), (-0.25, 1.3)]
    m.flat(UPRIGHT, body, coat)
    for way in (-1, 1):
        swing = -way * stride * 0.7
        arm = [
            (way * 0.2, 1.38),
            (way * 0.27, 1.3),
            (way * 0.24 + swing, 0.8),
            (way * 0.15 + swing, 0.82),
        ]
        m.flat(UPRIGHT, arm, mixed(coat, p.POLE, 0.18))
    m.disc(UPRIGHT, (0, 1.6), (0.115, 0.14), p.SKIN, 18)
    hair = [
        (-0.12, 1.6),
        (-0.1, 1.72),
        (0, 1.77),
        (0.1, 1.72),
        (0.12, 1.6),
        (0.06, 1.68),
        (-0.06, 1.68),
    ]
    m.flat(UPRIGHT, hair, p.POLE)
    if umbrella is not None:
        m.rect(UPRIGHT, (0.17, 1.1, 0.2, 2.1), p.STEEL)
        arc = np.linspace(0, np.pi, 15)
        canopy = [(0.18 + 0.62 * float(np.cos(a)), 1.95 + 0.34 * float(np.sin(a))) for a in arc]
        m.flat(UPRIGHT, canopy, umbrella)
        rib = [(0.18 + 0.22 * float(np.cos(a)), 1.95 + 0.34 * float(np.sin(a))) for a in arc]
        m.flat(UPRIGHT, rib, mixed(umbrella, p.LAMP, 0.16))
    return m.model()


def boat(*, lit: bool) -> Model:
    """A boat seen from the side, bow to the right: a pleasure boat with lamps, or a barge."""
    m = Mesh()
    hull = [(-14, 0.3), (13, 0.3), (16, 3.0), (-15, 2.4)]
    m.flat(UPRIGHT, hull, p.WALLS[2] if lit else p.SIGN_RED)
    m.rect(UPRIGHT, (-15, 2.2, 15.4, 2.5), p.STONE_EDGE)
    if lit:
        for deck, (x0, x1) in enumerate(((-12, 9), (-10, 5))):
            z = 2.5 + deck * 2.6
            m.rect(UPRIGHT, (x0, z, x1, z + 2.5), p.WALLS[4])
            for k in range(int((x1 - x0) / 2)):
                m.rect(
                    UPRIGHT, (x0 + 0.5 + 2 * k, z + 0.6, x0 + 1.8 + 2 * k, z + 1.9), p.LIT_PANE[2]
                )
        for k in range(14):
            m.disc(UPRIGHT, (-13 + 2 * k, 8.1 + 0.05 * (k - 6) ** 2), (0.22, 0.22), p.AMBER, 10)
    else:
        m.flat(UPRIGHT, [(-8, 2.5), (-4, 4.0), (0, 2.9), (4, 4.2), (8, 2.5)], p.WALLS[4])
        m.rect(UPRIGHT, (-13.5, 2.5, -9.5, 5.6), p.MARK)
        m.rect(UPRIGHT, (-13, 4.0, -10, 5.0), p.GLASS)
    m.rect(UPRIGHT, (-14, -2.6, 14, 0.3), (p.GLOW if lit else p.POLE).thin(30))
    return m.model()
