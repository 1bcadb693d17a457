"""Colours of the virtual street: a blue evening, lamps just lit."""

from nvr.sim.mesh import rgb

AIR = rgb(0x42566B)
SKY = tuple(
    rgb(code, shines=True)
    for code in (
        0x857A7E,
        0x6C7280,
        0x5A6B80,
        0x4B6077,
        0x40566D,
        0x374B61,
        0x2E4055,
        0x263548,
        0x1E2A3B,
    )
)
CLOUD = rgb(0x8C8790, shines=True)
MOON = rgb(0xE9E2C8, shines=True)
HILL_FAR, HILL_NEAR = rgb(0x3C4D5E), rgb(0x2B3947)

GROUND = rgb(0x2E3842)
ROAD = rgb(0x394450)
ROAD_WORN = rgb(0x353F4A)
PAVEMENT = rgb(0x585E62)
KERB = rgb(0x6C7378)
PLAZA = rgb(0x4A5258)
GRASS = rgb(0x2C3A37)
MARK = rgb(0xA8ADAE)
MARK_YELLOW = rgb(0xA18E6E)
WATER = rgb(0x2A3E52)
GLINT = rgb(0x5A7690, alpha=120)
STONE = rgb(0x4D575E)
STONE_EDGE = rgb(0x747C81)

WALLS = tuple(rgb(code) for code in (0x212B35, 0x27323D, 0x1E2831, 0x2A3440, 0x303A44))
ROOF = rgb(0x3A4551)
DARK_PANE = rgb(0x394450)
LIT_PANE = tuple(rgb(code, shines=True) for code in (0xF5C263, 0xE8B152, 0xF7D08A, 0xC9974A))
SHOP = rgb(0xF3D9A0, shines=True)
SIGN_BLUE, SIGN_RED, SIGN_GREEN = rgb(0x1F5F9E), rgb(0xA3332B), rgb(0x2B6E57)
LETTER = rgb(0xF3F4F3, shines=True)
LETTER_GOLD = rgb(0xFFD98A, shines=True)

POLE = rgb(0x0F151A)
STEEL = rgb(0x79848C)
TREE, TREE_LIT, TRUNK = rgb(0x192024), rgb(0x20292B), rgb(0x14191C)
LAMP = rgb(0xF8F5EA, shines=True)
GLOW = rgb(0xF3CF8A, shines=True)
AMBER, RED, GREEN = (
    rgb(0xF5B942, shines=True),
    rgb(0xFD5B4C, shines=True),
    rgb(0x55E29B, shines=True),
)
UNLIT_AMBER, UNLIT_RED, UNLIT_GREEN = rgb(0x3A2D18), rgb(0x3A1D1C), rgb(0x17332A)

CAR_BODIES = tuple(
    rgb(code) for code in (0xBBC9D0, 0x7A2B26, 0x3B5066, 0xD8DDDD, 0x23292F, 0x8A9299, 0x2F5D62)
)
TAXI, BUS = rgb(0x3E7F8A), rgb(0x2F7A6B)
GLASS = rgb(0x10161B)
TYRE, HUB = rgb(0x0B0F12), rgb(0x8A949B)
HEADLIGHT, TAILLIGHT = rgb(0xFFF3D6, shines=True), rgb(0xFD7364, shines=True)
BEAM = rgb(0xF9E7BC, shines=True)
SHADOW = rgb(0x10151A)
COATS = tuple(rgb(code) for code in (0x1C2328, 0x33475A, 0x6B3B33, 0x5E6A54, 0x8C7A58, 0x40364F))
SKIN = rgb(0xC79F82)
UMBRELLAS = tuple(rgb(code) for code in (0xB7483C, 0x2E6E8E, 0xD5A441, 0x5A6B77))
