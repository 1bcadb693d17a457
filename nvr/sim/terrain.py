"""The lie of the land around the virtual dome: sky, hills, river, roads and their markings."""

import numpy as np

from nvr.sim import palette as p
from nvr.sim.mesh import Mesh, Paint, Plane, facing, mixed

LENS_M = 9.0
G = -LENS_M
"""Height of the ground; the lens is at 0."""

_BANDS = 20
"""Steps of the sky from the horizon up."""


def draw_sky(m: Mesh, chance: np.random.Generator) -> None:
    """Dusk, clouds, the moon and the hills all round."""
    for band in range(_BANDS):
        share = band / (_BANDS - 1) * (len(p.SKY) - 1)
        below = min(int(share), len(p.SKY) - 2)
        low, high = (-1.0 + 56.0 * (step / _BANDS) ** 1.7 for step in (band, band + 1))
        paint = mixed(p.SKY[below], p.SKY[below + 1], share - below)
        # Reaching up under the next band, which is painted over it: no seam, no gap.
        _ring(m, (low, high + 0.5 if band < _BANDS - 1 else 89.9), paint)
    for _ in range(26):
        azimuth, height = chance.uniform(0, 360), chance.uniform(7, 24)
        a = np.deg2rad(azimuth)
        far = 2000.0
        sheet = facing(far * np.sin(a), far * np.cos(a), far * np.tan(np.deg2rad(height)))
        for _ in range(3):
            x, y = chance.uniform(-130, 130), chance.uniform(-14, 14)
            m.disc(
                sheet, (x, y), (chance.uniform(90, 260), chance.uniform(8, 17)), p.CLOUD.thin(36)
            )
    sheet = facing(-900.0, 1700.0, 560.0)
    for radius, alpha in ((130.0, 22), (88.0, 34), (52.0, 255)):
        m.disc(sheet, (0, 0), (radius, radius), p.MOON.thin(alpha), 64)
    _hills(m, 1500.0, 95.0, 5.0, p.HILL_FAR)
    _hills(m, 900.0, 38.0, 2.0, p.HILL_NEAR)


def _ring(m: Mesh, heights_deg: tuple[float, float], paint: Paint) -> None:
    """All round, between two elevations; pieces overlap, so that no seam shows between them."""
    step = 12
    low, high = np.deg2rad(heights_deg)
    for azimuth in range(0, 360, step):
        turn = np.deg2rad(np.linspace(azimuth - 1, azimuth + step + 1, 5))
        edges = [
            3000.0
            * np.stack((np.sin(t) * np.cos(e), np.cos(t) * np.cos(e), np.full(5, np.sin(e))), 1)
            for t, e in ((turn, low), (turn[::-1], high))
        ]
        m.polygon(np.concatenate(edges).astype(np.float32), paint)


def _hills(m: Mesh, far: float, height: float, rough: float, paint: Paint) -> None:
    turn = np.deg2rad(np.arange(0, 361, 2.0))
    ridge = (
        0.45
        + 0.30 * np.sin(turn * 3 + rough)
        + 0.18 * np.sin(turn * 7 + 2 * rough)
        + 0.07 * np.sin(turn * 17 + 3 * rough)
    ) * height
    for i in range(0, 180, 6):
        part = slice(i, i + 8)
        x, y = far * np.sin(turn[part]), far * np.cos(turn[part])
        top = np.stack((x, y, np.maximum(ridge[part], 0)), axis=1)
        base = np.stack((x, y, np.full_like(x, -40.0)), axis=1)[::-1]
        m.polygon(np.concatenate((top, base)).astype(np.float32), paint)


def draw_river(m: Mesh, chance: np.random.Generator) -> None:
    """The river with its far bank, the dyke and the bridge."""
    water = G - 4.0
    m.ground(((-3000, -3000), (3000, -3000), (3000, 3000), (-3000, 3000)), G, p.GROUND)
    m.ground(((-3000, 22), (3000, 22), (3000, 260), (-3000, 260)), water, p.WATER)
    for _ in range(420):
        y = 24 + 226 * chance.random() ** 1.6
        x = chance.uniform(-2.2, 2.2) * y
        length, depth = chance.uniform(2, 9) * (0.4 + y / 160), chance.uniform(0.1, 0.35)
        m.floor((x, y, x + length, y + depth * (1 + y / 60)), water, p.GLINT.thin(70))
    lights = [(x, chance.integers(6, 30)) for x in range(-420, 421, 17)]
    for x, tall in lights:
        width = float(chance.uniform(9, 17))
        sheet = Plane((x, 262.0, G), (1.0, 0.0, 0.0))
        wall = mixed(p.WALLS[int(chance.integers(0, 5))], p.AIR, 0.45)
        m.rect(sheet, (0, 0, width, float(tall)), wall)
        for floor in range(1, int(tall) // 3):
            for column in range(1, int(width) // 3):
                if chance.random() < 0.38:
                    pane = p.LIT_PANE[int(chance.integers(0, 4))]
                    box = (column * 3, floor * 3, column * 3 + 1.1, floor * 3 + 1.2)
                    m.rect(sheet, box, pane)
        glow = p.GLOW.thin(26)
        # Towards the lens, so that it hangs straight down on the picture as reflections do.
        k = float(chance.uniform(0.45, 0.8))
        a, b = x + 2.0, x + width - 3.0
        m.ground(((a, 258), (b, 258), (b * k, 258 * k), (a * k, 258 * k)), water, glow)
    # The dyke: a slope of dressed stone down to the water, a lighter edge on top.
    for x0, x1 in ((-3000, -8), (8, 3000)):
        slope = np.array([(x0, 19, G), (x1, 19, G), (x1, 24, water), (x0, 24, water)], np.float32)
        m.polygon(slope, p.STONE)
        for k in range(1, 5):
            y, z = 19 + k, G - 0.8 * k
            line = [(x0, y, z), (x1, y, z), (x1, y + 0.09, z), (x0, y + 0.09, z)]
            m.polygon(np.array(line, np.float32), mixed(p.STONE, p.POLE, 0.35))
        m.floor((x0, 18.2, x1, 19.0), G, p.STONE_EDGE)
        m.floor((x0, 12.5, x1, 18.2), G, p.PLAZA)
    for y in range(24, 256, 2):
        m.floor((-7.5, y - 0.06, 7.5, y + 0.02), water, p.WATER)
    _bridge_side(m)


def _bridge_side(m: Mesh) -> None:
    deck = mixed(p.STONE, p.POLE, 0.3)
    m.floor((-9, 19, 9, 262), G - 1.2, mixed(p.POLE, p.WATER, 0.5))
    for x in (-9.0, 9.0):
        side = [(x, 19, G), (x, 262, G), (x, 262, G - 1.4), (x, 19, G - 1.4)]
        m.polygon(np.array(side, np.float32), deck)
        for y in range(40, 250, 42):
            pier = [(x, y, G - 1.4), (x, y + 5, G - 1.4), (x, y + 4, G - 4), (x, y + 1, G - 4)]
            m.polygon(np.array(pier, np.float32), mixed(deck, p.POLE, 0.4))
    m.floor((-9, 19, 9, 262), G, p.PAVEMENT)


def draw_ground(m: Mesh) -> None:
    """Roads, pavements, squares and what is painted on them."""
    for x0, x1 in ((-400, -8), (8, 400)):
        m.floor((x0, -26, x1, 12.5), G, p.GRASS)
        m.floor((x0, -58, x1, -42), G, p.PAVEMENT)
        m.floor((x0, -26, x1, -20), G, p.PAVEMENT)
    m.floor((-15, -420, 15, 19), G, p.PAVEMENT)
    m.floor((-60, -19.5, -15, 9), G, p.PLAZA)
    m.floor((15, -19.5, 44, 9), G, p.PLAZA)
    kerb = 0.3
    m.floor((-400, -42 - kerb, 400, -26 + kerb), G, p.KERB)
    m.floor((-7 - kerb, -420, 7 + kerb, 262), G, p.KERB)
    m.floor((-400, -42, 400, -26), G, p.ROAD)
    m.floor((-7, -420, 7, 262), G, p.ROAD)
    m.floor((-60, -18.2, -15, -8.8), G, p.ROAD_WORN)
    m.floor((-15, -17.0, -6.9, -10.0), G, p.ROAD_WORN)
    for x in (-5.3, -1.9, 1.9, 5.3):
        m.floor((x - 0.8, -420, x + 0.8, -48), G, p.ROAD_WORN)
        m.floor((x - 0.8, -20, x + 0.8, 262), G, p.ROAD_WORN)
    for y in (-40.2, -36.2, -31.8, -27.8):
        m.floor((8.5, y - 0.8, 400, y + 0.8), G, p.ROAD_WORN)
        m.floor((-400, y - 0.8, -8.5, y + 0.8), G, p.ROAD_WORN)
    _crossings(m)
    _lines(m)


def _crossings(m: Mesh) -> None:
    for x in range(-6, 7):
        m.floor((x - 0.28, -24.4, x + 0.28, -20.6), G, p.MARK)
        m.floor((x - 0.28, -47.4, x + 0.28, -43.6), G, p.MARK)
    for y in range(-41, -26):
        m.floor((8.6, y - 0.28, 12.4, y + 0.28), G, p.MARK)
        m.floor((-12.4, y - 0.28, -8.6, y + 0.28), G, p.MARK)
    m.floor((-7, -19.6, 0, -19.2), G, p.MARK)
    m.floor((0, -48.8, 7, -48.4), G, p.MARK)
    m.floor((13.2, -34, 13.6, -26), G, p.MARK)
    m.floor((-13.6, -42, -13.2, -34), G, p.MARK)


def _lines(m: Mesh) -> None:
    for begin, end in ((-420.0, -49.0), (-19.2, 262.0)):
        for x in (-0.22, 0.1):
            m.floor((x, begin, x + 0.12, end), G, p.MARK_YELLOW)
        for at in np.arange(begin + 5, end - 3, 8).tolist():
            m.floor((-3.6, at, -3.47, at + 3), G, p.MARK)
            m.floor((3.5, at, 3.63, at + 3), G, p.MARK)
    for begin, end in ((-400.0, -13.6), (13.6, 400.0)):
        for y in (-34.22, -33.9):
            m.floor((begin, y, end, y + 0.12), G, p.MARK_YELLOW)
        for at in np.arange(begin + 5, end - 3, 8).tolist():
            m.floor((at, -38.0, at + 3, -37.87), G, p.MARK)
            m.floor((at, -30.0, at + 3, -29.87), G, p.MARK)
    for x in (-5.3, -1.9):
        _arrow(m, x, -15.0, -1.0)
    for x in (1.9, 5.3):
        _arrow(m, x, -52.0, 1.0)
    for stall in range(-56, -18, 3):
        m.floor((stall, -8.8, stall + 0.14, -3.6), G, p.MARK)


def _arrow(m: Mesh, x: float, y: float, way: float) -> None:
    points = ((-0.12, 0), (0.12, 0), (0.12, 2.4), (0.42, 2.4), (0, 4), (-0.42, 2.4), (-0.12, 2.4))
    m.ground(tuple((x + dx, y + way * (dy - 4)) for dx, dy in points), G, p.MARK)
