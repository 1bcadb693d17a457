"""The scenes: what happens in each is written down, by construction."""

import functools

import av
import numpy as np

from nvr.analyse.grid import WHOLE, Zone
from nvr.sim.camera import Camera
from nvr.sim.view import View
from tests.analyse.film import (
    SIZE,
    Film,
    Luma,
    Walker,
    blurred,
    covered,
    light,
    luma_of,
    rain,
    replaced,
    shifted,
    street,
    sway,
)


@functools.cache
def river(size: tuple[int, int] = SIZE) -> Luma:
    """Where a camera looks that somebody turned away."""
    frame = av.VideoFrame(*size, "yuv420p")
    camera = Camera(size, 0.0)
    camera._head.go(0.0, View(18.0, -5.0, 1.3))
    camera.paint(frame, 30.0, 1_700_000_000_000_000)
    return luma_of(frame).astype(np.float32)


def blue() -> Luma:
    """What a recorder of another make shows without a camera."""
    return np.full((SIZE[1], SIZE[0]), 41, np.float32)


def lamp(*steps: tuple[float, float]):
    """Gain that changes at once at some times."""

    def gain(at_s: float) -> float:
        now = 1.0
        for from_s, value in steps:
            if at_s >= from_s:
                now = value
        return now

    return light(gain)


def cloud(period_s: float, depth: float):
    return light(lambda at_s: 1 - depth * (0.5 - 0.5 * np.cos(2 * np.pi * at_s / period_s)))


def shade(period_s: float, depth: float):
    """A cloud's shadow that wanders over the picture, with soft edges."""

    def effect(picture: Luma, at_s: float, rng) -> Luma:
        wide = picture.shape[1]
        place = (at_s / period_s % 1.6 - 0.3) * wide
        soft = 1 / (1 + np.exp(-(np.arange(wide) - place) / (wide * 0.08)))
        return (picture - 16) * (1 - depth * (1 - soft)).astype(np.float32) + 16

    return effect


def night(picture: Luma, at_s: float, rng) -> Luma:
    return (picture - 16) * 0.28 + 20


def walk(
    from_s: float, to_s: float, *, y: float = 640, size=(40, 180), grey: float = 50, back=False
):
    start, end = ((60, y), (940, y))
    return Walker(from_s, to_s, *((end, start) if back else (start, end)), size=size, grey=grey)


def motion(*spans: tuple[float, float]):
    return tuple((from_s, to_s, "motion") for from_s, to_s in spans)


def person(name: str, *effects, noise: float = 2.0, seconds: float = 60, **more) -> Film:
    """Somebody walks through twice; the rest is what should not matter."""
    return Film(
        name, seconds, street, (walk(15, 25), walk(40, 48, back=True)), effects,
        motion((15, 25), (40, 48)), noise, **more,
    )  # fmt: skip


MOTION: tuple[Film, ...] = (
    person("a person, clean picture", noise=0.5),
    person("a person, noise", noise=5),
    person("a person at night, noise", night, noise=6),
    person("a person in rain", rain(120)),
    person("a person, lamps switched", lamp((10, 1.35), (30, 0.8), (44, 1.1))),
    person("a person, clouds", cloud(30, 0.4)),
    person("a person, shadow of a cloud", shade(30, 0.35)),
    person("a person, tree in the wind", sway((0, 40, 150, 200), 5, 2.2), seconds=90),
    person("a person, few bits", bitrate_bps=90_000),
    Film(
        "far away, small", 60, street,
        (Walker(15, 30, (300, 470), (600, 480), (14, 62), 40),
         Walker(42, 54, (640, 490), (380, 480), (14, 62), 190)),
        (), motion((15, 30), (42, 54)), 2.0, (Zone("", WHOLE, 9),),
    ),
    Film(
        "cars", 60, street,
        (Walker(15, 17, (-100, 700), (1100, 720), (220, 160), 170),
         Walker(30, 31.5, (1100, 680), (-100, 700), (200, 140), 35),
         Walker(45, 49, (-50, 560), (600, 590), (140, 100), 200)),
        (), motion((15, 17), (30, 31.5), (45, 49)),
    ),
    Film(
        "little contrast", 60, street,
        (Walker(15, 27, (60, 640), (700, 650), (40, 180), 92),
         Walker(42, 50, (800, 640), (300, 640), (40, 180), 100)),
        (), motion((15, 27), (42, 50)),
    ),
    Film(
        "comes, stands, goes", 90, street,
        (Walker(15, 20, (60, 640), (400, 640), (45, 200), 45, stays=False),
         Walker(20, 50, (400, 640), (401, 640), (45, 200), 45),
         Walker(50, 56, (401, 640), (950, 640), (45, 200), 45)),
        (), motion((15, 20), (50, 56)),
    ),
    Film(
        "only in the zone", 60, street,
        (walk(15, 25, y=800), walk(35, 45, y=350, size=(30, 120))),
        (), motion((15, 25)), 2.0,
        (Zone("gate", ((0, 600), (1000, 600), (1000, 1000), (0, 1000))),),
    ),
    Film(
        "ignored", 60, street, (walk(15, 25, y=800), walk(35, 45, y=300, size=(30, 100))),
        (), motion((35, 45)), 2.0,
        (Zone("", WHOLE), Zone("road", ((0, 500), (1000, 500), (1000, 1000), (0, 1000)), 0)),
    ),
)  # fmt: skip

QUIET: tuple[Film, ...] = (
    Film("noise", 60, noise=3),
    Film("much noise at night", 60, effects=(night,), noise=8),
    Film("rain", 60, effects=(rain(150),)),
    Film("heavy rain", 60, effects=(rain(500, 20),), noise=3),
    Film(
        "lamps switched", 60, effects=(lamp((10, 1.4), (20, 0.7), (30, 1.2), (40, 0.5), (50, 1)),)
    ),
    Film("clouds", 60, effects=(cloud(15, 0.5),)),
    Film("shadow of a cloud", 60, effects=(shade(20, 0.3),)),
    Film("few bits", 60, bitrate_bps=60_000, noise=4),
    Film("dusk", 60, effects=(light(lambda at_s: 1.1 - at_s / 70),)),
)


def trouble(kind: str, name: str, *effects, seconds: float = 110, **more) -> Film:
    return Film(name, seconds, effects=effects, labels=((40, 90, kind),), **more)


TROUBLE: tuple[Film, ...] = (
    trouble("covered", "a bag over the lens", covered(40, 90, 1.2, 70)),
    trouble("covered", "a bright foil", covered(40, 90, 1.2, 170)),
    trouble("covered", "a hand over most of it", covered(40, 90, 0.85, 60)),
    trouble("defocused", "out of focus", blurred(40, 90, 4)),
    trouble("defocused", "far out of focus", blurred(40, 90, 9)),
    trouble("moved", "knocked by a twentieth", shifted(40, 90, 36, 0)),
    trouble("moved", "knocked down", shifted(40, 90, -20, 50)),
    trouble("moved", "turned away", replaced(40, 90, river)),
    trouble("dark", "lights out", light(lambda at_s: 0.04 if 40 <= at_s < 90 else 1.0)),
    trouble("bright", "into the sun", light(lambda at_s: 9.0 if 40 <= at_s < 90 else 1.0)),
    trouble("signal", "blue picture", replaced(40, 90, blue), noise=0),
)  # fmt: skip
