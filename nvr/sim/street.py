"""The still part of the virtual street: ground, river, houses, furniture, with names to read.

A dome hangs 9 m over 东门街, which runs north-south under it. To the south 临江路 crosses it;
to the north lie the dyke and the river, over which 东门街 goes on as a bridge. West: a car park
with a barrier. East: shops. South-east: a bus stop and the clock tower.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import hypot

import numpy as np

from nvr.sim import figure
from nvr.sim import palette as p
from nvr.sim.mesh import Mesh, Model, Paint, Plane, Writing, facing, mixed
from nvr.sim.terrain import G, draw_ground, draw_river, draw_sky

CLOCK_AT = (18.5, -60.0, 4.6)
BARRIER_AT = (-17.0, -9.6)
LIGHTS = (
    (-8.6, -48.5, "南北"),
    (-13.6, -25.0, "东西"),
    (13.6, -43.0, "东西"),
)
"""Traffic lights that show the dome their face: place, and the street they rule."""

LIGHT_Z = -3.9

_Draw = Callable[[Mesh], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """Something upright that may hide what moves.

    Attributes:
        distance_m: From the lens, over the ground.
        model: Its polygons.
        centre: The middle of it.
        reach_m: Radius of a ball around `centre` that holds all of it.
    """

    distance_m: float
    model: Model
    centre: tuple[float, float, float]
    reach_m: float


@dataclass(frozen=True, slots=True)
class Street:
    """The still world.

    Attributes:
        behind: Sky, ground and all that nothing moving can pass behind.
        standing: The rest, farthest first.
    """

    behind: Model
    standing: tuple[Standing, ...]


def build(writing: Writing) -> Street:
    """Draw the street once; takes a few tenths of a second."""
    chance = np.random.default_rng(20261123)
    behind = Mesh()
    draw_sky(behind, chance)
    draw_river(behind, chance)
    draw_ground(behind)
    for x0, y0, x1, y1, height, name in _FAR_HOUSES:
        _house(behind, (x0, y0, x1, y1), height, chance, writing, name)
    _tower(behind, writing)
    standing = [_thing(hypot(x, y), partial(_tree, x=x, y=y, size=s)) for x, y, s in _TREES]
    standing += [_thing(hypot(x, y), partial(_lamp, x=x, y=y, reach=r)) for x, y, r in _LAMPS]
    standing += [_thing(hypot(x, y), partial(_light_pole, x=x, y=y)) for x, y, _ in LIGHTS]
    standing += [
        _thing(48.0, lambda m: _bus_stop(m, writing)),
        _thing(21.0, lambda m: _gate(m, writing)),
        _thing(19.0, lambda m: _shops(m, writing)),
        _thing(25.5, lambda m: _name_plate(m, writing, (-9.6, -23.0), "东门街", "DONGMEN JIE")),
        _thing(25.8, lambda m: _name_plate(m, writing, (11.2, -23.2), "临江路", "LINJIANG LU")),
        *_railings(writing),
        *_parked(),
    ]
    return Street(behind.model(), tuple(sorted(standing, key=lambda s: -s.distance_m)))


def _thing(distance_m: float, draw: _Draw) -> Standing:
    mesh = Mesh()
    draw(mesh)
    model = mesh.model()
    low, high = model.points.min(axis=0), model.points.max(axis=0)
    x, y, z = ((low + high) / 2).tolist()
    return Standing(distance_m, model, (x, y, z), float(np.linalg.norm(high - low)) / 2)


# South of 临江路, both sides of 东门街; farthest first. The last field is written on the roof.
_FAR_HOUSES = (
    (-60, -330, -14, -300, 46, ""),
    (16, -330, 70, -290, 38, ""),
    (-15, -420, 15, -400, 24, ""),
    (-150, -250, -90, -190, 52, ""),
    (90, -260, 160, -180, 44, ""),
    (-70, -220, -16, -190, 31, ""),
    (18, -230, 74, -200, 36, ""),
    (-66, -180, -17, -140, 23, "江城大厦"),
    (40, -170, 84, -130, 33, "临江大厦"),
    (-190, -150, -110, -90, 36, ""),
    (120, -160, 190, -90, 30, ""),
    (-64, -125, -18, -92, 27, ""),
    (18, -128, 36, -100, 19, ""),
    (-104, -92, -66, -54, 25, "江城医院"),
    (66, -96, 110, -56, 20, "第一中学"),
    (-56, -84, -19, -54, 13, "东门饭店"),
    (30, -92, 58, -66, 12, "邮政储蓄"),
)

_TREES = (
    *((x, y, 1.0) for y in (-52.0, -66.0, -80.0, -96.0, -114.0) for x in (-12.5, 12.5)),
    *((x, -50.5, 1.15) for x in (-30.0, -44.0, -62.0, 44.0, 62.0, 80.0)),
    *((x, -22.0, 0.9) for x in (-44.0, -58.0, -74.0, 50.0, 66.0)),
    *((x, 11.0, 1.0) for x in (-62.0, -46.0, -30.0, 34.0, 48.0, 64.0, 84.0)),
    (-27.0, -1.0, 1.1),
    (-38.0, 3.0, 1.2),
    (-47.0, -6.0, 1.0),
)

_LAMPS = (
    *((-9.4, y, 3.2) for y in (-52.0, -88.0, -124.0, -170.0)),
    *((9.4, y, -3.2) for y in (-56.0, -88.0, -124.0, -170.0)),
    *((-8.2, y, 3.0) for y in (34.0, 70.0, 110.0, 160.0)),
    *((8.2, y, -3.0) for y in (34.0, 70.0, 110.0, 160.0)),
    *((x, 15.5, 0.0) for x in (-70.0, -36.0, -18.0, 18.0, 40.0, 76.0)),
    *((x, -24.6, 0.0) for x in (-34.0, -66.0, 40.0, 74.0)),
)


def _house(
    m: Mesh,
    box: tuple[float, float, float, float],
    height: float,
    chance: np.random.Generator,
    writing: Writing,
    name: str,
) -> None:
    x0, y0, x1, y1 = box
    far = hypot((x0 + x1) / 2, (y0 + y1) / 2)
    haze = min(0.75, far / 520)
    wall = mixed(p.WALLS[int(chance.integers(0, 5))], p.AIR, haze)
    side = mixed(wall, p.POLE, 0.25)
    if x0 > 0:
        _facade(m, Plane((x0, y1, G), (0.0, -1.0, 0.0)), y1 - y0, height, side, haze, chance)
    elif x1 < 0:
        _facade(m, Plane((x1, y0, G), (0.0, 1.0, 0.0)), y1 - y0, height, side, haze, chance)
    front = Plane((x1, y1, G), (-1.0, 0.0, 0.0))
    _facade(m, front, x1 - x0, height, wall, haze, chance)
    width = x1 - x0
    m.rect(front, (-0.2, height, width + 0.2, height + 0.7), mixed(p.ROOF, p.AIR, haze))
    if name:
        em = min(3.4, width / (len(name) + 1))
        middle = width / 2
        m.rect(front, (middle - em * 2.3, height + 0.7, middle + em * 2.3, height + 0.9), p.POLE)
        m.text(writing, name, front, (middle, height + 1.4), em, p.LETTER_GOLD)
    elif height > 35:
        m.rect(front, (width * 0.4, height, width * 0.4 + 0.4, height + 9), p.POLE)
        m.disc(front, (width * 0.4 + 0.2, height + 9), (0.7, 0.7), p.RED)


def _facade(
    m: Mesh,
    sheet: Plane,
    width: float,
    height: float,
    wall: Paint,
    haze: float,
    chance: np.random.Generator,
) -> None:
    m.rect(sheet, (0, 0, width, height), wall)
    across, floors = max(1, int(width / 3.4)), max(1, int((height - 4.5) / 3.3))
    step = width / across
    for floor in range(floors):
        base = 4.8 + floor * 3.3
        for column in range(across):
            left = column * step + step * 0.28
            draw = chance.random()
            pane = p.LIT_PANE[int(chance.integers(0, 4))] if draw < 0.36 else p.DARK_PANE
            box = (left, base, left + step * 0.46, base + 1.7)
            m.rect(sheet, box, mixed(pane, p.AIR, haze * 0.8))
    lit = mixed(p.SHOP, p.AIR, haze * 0.6)
    for column in range(across):
        left = column * step + step * 0.12
        box = (left, 0.3, left + step * 0.76, 3.0)
        m.rect(sheet, box, lit if chance.random() < 0.5 else mixed(p.DARK_PANE, p.AIR, haze))


def _tower(m: Mesh, writing: Writing) -> None:
    x, y, z = CLOCK_AT
    sheet = facing(x, y, G)
    middle = z - G
    m.rect(sheet, (-3.1, 0, 3.1, middle + 4.2), mixed(p.WALLS[4], p.STONE, 0.25))
    m.rect(sheet, (1.9, 0, 3.1, middle + 4.2), mixed(p.WALLS[2], p.STONE, 0.1))
    for floor in range(3):
        m.rect(sheet, (-0.5, 1.2 + floor * 2.3, 0.5, 2.8 + floor * 2.3), p.LIT_PANE[floor])
    m.rect(sheet, (-3.6, middle - 3.6, 3.6, middle - 3.1), p.STONE_EDGE)
    m.rect(sheet, (-3.6, middle + 3.5, 3.6, middle + 4.2), p.STONE_EDGE)
    roof = ((-3.4, middle + 4.2), (3.4, middle + 4.2), (0.0, middle + 10.0))
    m.flat(sheet, roof, mixed(p.SIGN_GREEN, p.POLE, 0.45))
    m.rect(sheet, (-0.07, middle + 9.6, 0.07, middle + 12.0), p.STEEL)
    for radius, alpha in ((4.4, 18), (3.6, 30)):
        m.disc(sheet, (0, middle), (radius, radius), p.GLOW.thin(alpha), 48)
    m.disc(sheet, (0, middle), (2.75, 2.75), p.POLE, 120)
    m.disc(sheet, (0, middle), (2.5, 2.5), p.LAMP, 120)
    for minute in range(60):
        a = np.deg2rad(minute * 6)
        along, across = np.array((np.sin(a), np.cos(a))), np.array((np.cos(a), -np.sin(a)))
        half, inner = (0.07, 2.02) if minute % 5 == 0 else (0.025, 2.22)
        ends = [along * inner - across * half, along * inner + across * half]
        ends += [along * 2.36 + across * half, along * 2.36 - across * half]
        m.flat(sheet, [(float(e[0]), float(e[1]) + middle) for e in ends], p.POLE)
    for number, x_, y_ in (
        ("12", 0, 1.35),
        ("3", 1.68, -0.24),
        ("6", 0, -1.86),
        ("9", -1.68, -0.24),
    ):
        m.text(writing, number, sheet, (x_, middle + y_), 0.68, p.POLE)
    m.text(writing, "东门钟楼", sheet, (0, middle - 5.1), 1.3, p.LETTER_GOLD)


def _tree(m: Mesh, x: float, y: float, size: float) -> None:
    sheet = facing(x, y, G)
    m.floor((x - 1.3 * size, y - 1.3 * size, x + 1.3 * size, y + 1.3 * size), G, p.GRASS)
    m.rect(sheet, (-0.16 * size, 0, 0.16 * size, 3.2 * size), p.TRUNK)
    for dx, dy, r in ((-1.1, 3.6, 1.5), (1.2, 3.5, 1.45), (0, 4.7, 1.9), (-0.2, 3.3, 1.5)):
        m.disc(sheet, (dx * size, dy * size), (r * size, r * size * 0.92), p.TREE, 56)
    for dx, dy, r in ((-0.8, 4.6, 0.8), (0.6, 5.3, 0.7), (1.2, 3.9, 0.6)):
        m.disc(sheet, (dx * size, dy * size), (r * size, r * size * 0.8), p.TREE_LIT, 40)


def _lamp(m: Mesh, x: float, y: float, reach: float) -> None:
    sheet = facing(x, y, G)
    height = 7.9 if reach else 5.6
    m.rect(sheet, (-0.1, 0, 0.1, height - 0.2), p.POLE)
    head = facing(x + reach, y, G)
    if reach:
        arm = [(x, y, G + 7.4), (x, y, G + 7.6), (x + reach, y, G + 8.2), (x + reach, y, G + 8.05)]
        m.polygon(np.array(arm, np.float32), p.POLE)
    pool = [
        (x + reach + 4.6 * np.cos(a), y + 4.6 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 40)
    ]
    m.ground(pool[:-1], G, p.GLOW.thin(26))
    for rx, ry, alpha in ((2.3, 1.5, 38), (1.5, 1.0, 62), (0.8, 0.55, 130)):
        m.disc(head, (0, height), (rx, ry), p.GLOW.thin(alpha), 40)
    m.rect(head, (-0.6, height - 0.08, 0.6, height + 0.12), p.LAMP)


def _light_pole(m: Mesh, x: float, y: float) -> None:
    sheet = facing(x, y, G)
    middle = LIGHT_Z - G
    m.rect(sheet, (-0.09, 0, 0.09, middle - 1.0), p.POLE)
    m.rect(sheet, (-0.45, middle - 1.15, 0.45, middle + 1.15), p.POLE)


def _name_plate(m: Mesh, writing: Writing, at: tuple[float, float], name: str, latin: str) -> None:
    sheet = facing(at[0], at[1], G)
    m.rect(sheet, (-0.06, 0, 0.06, 3.3), p.STEEL)
    m.rect(sheet, (-1.25, 2.5, 1.25, 3.4), p.LETTER)
    m.rect(sheet, (-1.2, 2.55, 1.2, 3.35), p.SIGN_BLUE)
    m.text(writing, name, sheet, (0, 2.86), 0.5, p.LETTER)
    m.text(writing, latin, sheet, (0, 2.62), 0.2, p.LETTER)


def _bus_stop(m: Mesh, writing: Writing) -> None:
    sheet = Plane((31.0, -43.6, G), (-1.0, 0.0, 0.0))
    m.rect(sheet, (0.2, 0, 0.34, 2.7), p.STEEL)
    m.rect(sheet, (8.6, 0, 8.74, 2.7), p.STEEL)
    m.rect(sheet, (0.4, 0.5, 5.2, 2.3), mixed(p.GLASS, p.WATER, 0.5).thin(170))
    m.rect(sheet, (5.5, 0.4, 8.5, 2.4), p.SHOP)
    m.rect(sheet, (5.6, 0.5, 8.4, 2.3), p.SIGN_GREEN)
    m.text(writing, "江城银行", sheet, (7.0, 1.5), 0.6, p.LETTER)
    m.text(writing, "便民服务", sheet, (7.0, 0.8), 0.42, p.LETTER)
    m.rect(sheet, (0.6, 0.45, 5.0, 0.6), p.STEEL)
    roof = [(31.4, -43.2, G + 2.9), (21.9, -43.2, G + 2.9), (21.9, -45.4, G + 2.7)]
    m.polygon(np.array([*roof, (31.4, -45.4, G + 2.7)], np.float32), p.KERB)
    m.rect(sheet, (-0.2, 2.55, 9.1, 3.4), p.SIGN_BLUE)
    m.text(writing, "公交站 · 东门街", sheet, (4.45, 2.74), 0.56, p.LETTER)


def _gate(m: Mesh, writing: Writing) -> None:
    x, y = BARRIER_AT
    sheet = facing(x - 1.4, y + 3.0, G)
    m.rect(sheet, (-1.3, 0, 1.3, 2.5), p.MARK)
    m.rect(sheet, (-1.0, 1.0, 1.0, 2.1), p.GLASS)
    m.rect(sheet, (-0.2, 1.0, -0.1, 2.1), p.MARK)
    m.rect(sheet, (-1.6, 2.5, 1.6, 2.85), p.SIGN_BLUE)
    m.text(writing, "东门岗亭", sheet, (0, 2.92), 0.55, p.LETTER)
    post = facing(x, y, G)
    m.rect(post, (-0.25, 0, 0.25, 1.15), p.AMBER)
    board = facing(x - 4.0, y - 10.0, G)
    m.rect(board, (-0.08, 0, 0.08, 2.4), p.STEEL)
    m.rect(board, (-2.3, 2.4, 2.3, 3.6), p.SIGN_BLUE)
    m.text(writing, "P 停车场 余位 27", board, (0, 2.76), 0.56, p.LETTER)


_SHOPS = (
    ("东门面馆", p.SIGN_RED),
    ("惠民药店", p.SIGN_GREEN),
    ("江边便利店", p.SIGN_BLUE),
    ("五金机电", p.SIGN_RED),
)


def _parked() -> list[Standing]:
    kinds = figure.fleet()
    spots = ((-23.4, 2), (-29.4, 0), (-32.4, 4), (-38.4, 5), (-47.4, 3), (-50.4, 1))
    return [
        _thing(hypot(x, -6.2), partial(_place, model=kinds[kind].model, x=x, y=-6.2))
        for x, kind in spots
    ]


def _place(m: Mesh, model: Model, x: float, y: float) -> None:
    # A parked car keeps its shape and shadow; its lamps are off, so its beams stay out.
    keep = model.contours["alpha"] >= 80
    there = Model(model.moved(x, y, G, 180.0), model.contours[keep], model.shines[keep])
    m.extend(there)


def _shops(m: Mesh, writing: Writing) -> None:
    """One row of low shops east of the dome, seen slightly from above."""
    x, y0, each, tall = 18.0, -15.0, 6.0, 6.4
    count = len(_SHOPS)
    end, roof = y0 + each * count, G + tall
    top = [(x, y0, roof), (x + 14, y0, roof), (x + 14, end, roof), (x, end, roof)]
    south = [(x, y0, G), (x + 14, y0, G), (x + 14, y0, roof), (x, y0, roof)]
    m.polygon(np.array(south, np.float32), p.WALLS[2])
    m.polygon(np.array(top, np.float32), p.ROOF)
    for k in range(3):
        m.floor((x + 4 + 3 * k, y0 + 3 + 6 * k, x + 5.4 + 3 * k, y0 + 4.4 + 6 * k), roof, p.STEEL)
    for i, (name, sign) in enumerate(_SHOPS):
        sheet = Plane((x, end - i * each, G), (0.0, -1.0, 0.0))
        m.rect(sheet, (0, 0, each, tall), p.WALLS[i % 5])
        m.rect(sheet, (0.4, 0.2, each - 0.4, 2.9), p.SHOP)
        for k in range(1, 4):
            m.rect(sheet, (k * each / 4 - 0.05, 0.2, k * each / 4 + 0.05, 2.9), p.POLE)
        m.rect(sheet, (0.2, 3.1, each - 0.2, 4.4), sign)
        m.text(writing, name, sheet, (each / 2, 3.4), 0.92, p.LETTER)
        for k in range(3):
            pane = p.LIT_PANE[(i + k) % 4] if (i * 3 + k) % 4 else p.DARK_PANE
            m.rect(sheet, (0.7 + k * 1.8, 4.8, 1.7 + k * 1.8, 5.9), pane)


def _railings(writing: Writing) -> list[Standing]:
    """The promenade's railing piece by piece, the bridge's, and the stone that names the walk."""
    pieces = []
    for x0 in (*range(-90, -9, 9), *range(9, 90, 9)):
        reach = hypot(max(0.0, abs(x0 + 4.5) - 4.5), 18.6)
        pieces.append(_thing(reach, partial(_railing, x=float(x0))))
    pieces += [
        _thing(hypot(y, 9), partial(_bridge_railing, y=float(y))) for y in range(20, 255, 15)
    ]
    pieces.append(_thing(18.0, lambda m: _stone(m, writing)))
    return pieces


def _railing(m: Mesh, x: float) -> None:
    sheet = Plane((x, 18.6, G), (1.0, 0.0, 0.0))
    for k in range(6):
        m.rect(sheet, (k * 1.5, 0, k * 1.5 + 0.09, 1.15), p.STEEL)
    for z in (0.45, 0.8, 1.12):
        m.rect(sheet, (0, z, 9.0, z + 0.06), p.STEEL)


def _bridge_railing(m: Mesh, y: float) -> None:
    for x in (-9.0, 9.0):
        sheet = Plane((x, y, G), (0.0, 1.0, 0.0))
        for k in range(6):
            m.rect(sheet, (k * 3, 0, k * 3 + 0.12, 1.1), p.STEEL)
        for z in (0.5, 1.1):
            m.rect(sheet, (0, z, 15.0, z + 0.1), p.STEEL)


def _stone(m: Mesh, writing: Writing) -> None:
    stone = facing(14.0, 16.0, G)
    m.rect(stone, (-2.1, 0, 2.1, 1.5), p.STONE_EDGE)
    m.text(writing, "河堤步道", stone, (0, 0.42), 0.9, p.SIGN_RED)
