"""Masks as a camera has them: what counts as hidden, and what never does."""

import dataclasses
import random

import pytest

from nvr.media.mask import Mask
from nvr.media.onvif import Mask as Told
from nvr.media.onvif import MaskOptions
from nvr.overlay import cover

SQUARE = Mask(((100, 200), (300, 200), (300, 400), (100, 400)))
MOST = MaskOptions(4, 16, kinds=("Color", "Pixelated"))


def laid(told: Told, **changes) -> Told:
    return dataclasses.replace(told, token="m", **changes)


def test_a_mask_is_told_in_the_cameras_coordinates_and_dark() -> None:
    told = cover.told_of(SQUARE, "v", MOST)
    assert told.points == ((-0.8, 0.6), (-0.4, 0.6), (-0.4, 0.2), (-0.8, 0.2))
    assert (told.kind, told.source) == ("Color", "v")
    assert told.colour is not None
    assert told.colour[0] == 16.0
    assert cover.told_of(dataclasses.replace(SQUARE, kind="mosaic"), "v", MOST).kind == "Pixelated"
    light = (200.0, 1.0, 1.0, "c"), (40.0, 1.0, 1.0, "c")
    dark = cover.told_of(SQUARE, "v", dataclasses.replace(MOST, colours=light))
    assert dark.colour == light[1]


@pytest.mark.parametrize(
    ("mask", "options"),
    [
        (Mask(((0, 0), (500, 100), (200, 400))), MaskOptions(4, 16, rectangles=True)),
        (Mask(((0, 0), (500, 100), (600, 300), (200, 400), (0, 200))), MaskOptions(4, 4)),
        (Mask(((0, 0), (400, 400), (400, 0), (0, 400))), MOST),  # crosses itself
    ],
)
def test_what_it_cannot_have_is_made_larger(mask: Mask, options: MaskOptions) -> None:
    told = cover.told_of(mask, "v", options)
    assert len(told.points) == 4
    assert cover.hides(cover.wanted_of(mask), laid(told), "v")


def test_only_what_is_in_force_here_and_covers_all_hides() -> None:
    told = cover.told_of(SQUARE, "v", MOST)
    wanted = cover.wanted_of(SQUARE)
    assert cover.hides(wanted, laid(told), "v")
    assert not cover.hides(wanted, None, "v")
    assert not cover.hides(wanted, laid(told, on=False), "v")
    assert not cover.hides(wanted, laid(told, source="w"), "v")
    assert not cover.hides(wanted, laid(told, kind="Outline"), "v")
    assert not cover.hides(wanted, laid(told, points=told.points[:2]), "v")
    smaller = tuple((x * 0.98, y) for x, y in told.points)
    assert not cover.hides(wanted, laid(told, points=smaller), "v")
    bow = (told.points[0], told.points[2], told.points[1], told.points[3])
    assert not cover.hides(wanted, laid(told, points=bow), "v")
    grown = cover.told_of(SQUARE, "v", MOST, boxed=True)
    assert cover.hides(wanted, laid(grown), "v")
    rounded = tuple((round(x, 2), round(y, 2)) for x, y in grown.points)
    assert cover.hides(wanted, laid(grown, points=rounded), "v")


def test_a_notch_between_the_corners_is_found() -> None:
    wanted = cover.wanted_of(SQUARE)
    notched = (*wanted[:1], (-0.6, 0.4), *wanted[1:])
    assert not cover.hides(wanted, Told("m", "v", notched), "v")


def test_what_counts_as_hidden_hides_every_point() -> None:
    """Against points, taken at random: no mask that leaves one of them open may count."""
    random.seed(7)
    counted = 0
    for _ in range(300):
        wanted = tuple((random.uniform(-1, 1), random.uniform(-1, 1)) for _ in range(4))
        got = tuple((x * random.uniform(0.9, 1.3), y * random.uniform(0.9, 1.3)) for x, y in wanted)
        if cover.crosses(wanted) or not cover.hides(wanted, Told("m", "v", got), "v"):
            continue
        counted += 1
        for _ in range(200):
            a, b = sorted((random.random(), random.random()))
            weights = (a, b - a, 1 - b)
            point = tuple(
                sum(w * p[i] for w, p in zip(weights, wanted, strict=False)) for i in (0, 1)
            )
            if cover._within(point, wanted):
                assert cover._within(point, got)
    assert counted > 5


def test_all_of_them_in_every_stream_or_it_does_not_count() -> None:
    told = laid(cover.told_of(SQUARE, "v", MOST))
    other = laid(cover.told_of(SQUARE, "w", MOST))
    assert cover.all_hidden((SQUARE,), [(0, "v", told)], 1)
    assert not cover.all_hidden((SQUARE,), [(0, "v", told)], 2)
    assert cover.all_hidden((SQUARE,), [(0, "v", told), (0, "w", other)], 2)
    assert not cover.all_hidden((SQUARE, SQUARE), [(0, "v", told)], 1)
    assert not cover.all_hidden((), [], 1)
