"""Polygons in space onto a picture: exact coverage, clipping, and any bytes at all."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nvr._native import blur, paint

FLAT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
CONTOUR = np.dtype("=i4,=i4,=u4,u1,u1,u1,u1")


class Picture:
    def __init__(self, width: int, height: int, guard: int = 0) -> None:
        self.size = (width, height)
        half = ((width + 1) // 2, (height + 1) // 2)
        self.memory = [bytearray(b"\x10" * (w * h + 2 * guard)) for w, h in (self.size, half, half)]
        end = -guard or None
        self.planes = [memoryview(m)[guard:end] for m in self.memory]
        self.strides = (width, half[0])

    def paint(self, points: np.ndarray, rows: list, matrix: tuple = FLAT, near: float = 0.5) -> int:
        table = np.array(rows, CONTOUR)
        y, u, v = self.planes
        return paint(
            y,
            u,
            v,
            self.strides,
            self.size,
            matrix,
            near,
            np.ascontiguousarray(points, np.float32).tobytes(),
            table.tobytes(),
        )

    @property
    def luma(self) -> np.ndarray:
        return np.frombuffer(self.planes[0], np.uint8).reshape(self.size[1], self.size[0])


def flat(points: list) -> np.ndarray:
    return np.array([(x, y, 1) for x, y in points], np.float32)


def test_a_rectangle_on_whole_pixels_is_exact() -> None:
    picture = Picture(16, 12)
    square = flat([(2, 4), (10, 4), (10, 8), (2, 8)])
    assert picture.paint(square, [(0, 4, 0, 200, 90, 160, 255)]) == 1
    want = np.full((12, 16), 0x10)
    want[4:8, 2:10] = 200
    assert np.array_equal(picture.luma, want)
    chroma = np.frombuffer(picture.planes[1], np.uint8).reshape(6, 8)
    assert (chroma[2:4, 1:5] == 90).all()
    assert (chroma == 90).sum() == 8


corner = st.tuples(st.floats(-8, 40), st.floats(-8, 40))


@given(st.lists(corner, min_size=3, max_size=3))
@settings(deadline=None)
def test_the_ink_of_a_triangle_is_its_area(points: list) -> None:
    picture = Picture(32, 32)
    for plane in picture.planes:
        plane[:] = bytes(len(plane))
    picture.paint(flat(points), [(0, 3, 0, 255, 255, 255, 255)])
    # The same, finely sampled.
    n = 8
    at = (np.arange(32 * n) + 0.5) / n
    x, y = np.meshgrid(at, at)
    (ax, ay), (bx, by), (cx, cy) = points
    sides = [
        (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0])
        for p, q in (((ax, ay), (bx, by)), ((bx, by), (cx, cy)), ((cx, cy), (ax, ay)))
    ]
    assume(abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) > 1)
    inside = np.all([s >= 0 for s in sides], axis=0) | np.all([s <= 0 for s in sides], axis=0)
    want = inside.reshape(32, n, 32, n).mean(axis=(1, 3)) * 255
    assert np.abs(picture.luma - want).max() <= 255 * 0.16
    assert abs(picture.luma.sum() - want.sum()) <= 0.02 * want.sum() + 255 * 2


def test_holes_stay_open_and_seams_do_not_show() -> None:
    picture = Picture(32, 32)
    ring = flat([(4, 4), (28, 4), (28, 28), (4, 28), (10, 10), (10, 22), (22, 22), (22, 10)])
    picture.paint(ring, [(0, 4, 1, 0, 0, 0, 0), (4, 4, 0, 200, 128, 128, 255)])
    assert picture.luma[16, 16] == 0x10
    assert picture.luma[6, 16] == 200
    picture = Picture(32, 32)
    halves = flat([(2, 2), (17, 2), (17, 30), (2, 30), (15, 2), (30, 2), (30, 30), (15, 30)])
    rows = [(0, 4, 0, 200, 128, 128, 255), (4, 4, 0, 200, 128, 128, 255)]
    picture.paint(halves, rows)
    assert (picture.luma[2:30, 2:30] == 200).all()


def test_one_sided_faces_hide_from_behind() -> None:
    clockwise = flat([(2, 2), (10, 2), (10, 10), (2, 10)])
    row = [(0, 4, 2, 200, 128, 128, 255)]
    assert Picture(16, 16).paint(clockwise, row) == 1
    assert Picture(16, 16).paint(clockwise[::-1], row) == 0


def test_what_lies_behind_the_lens_is_cut_off_straight() -> None:
    """A floor that passes under the lens fills the lower half up to the horizon and no more."""
    picture = Picture(64, 64)
    lens = (32.0, 32.0, 0.0, 0.0, 32.0, -32.0, 0.0, 1.0, 0.0)
    floor = np.array([(-900, -900, -2), (900, -900, -2), (900, 9000, -2), (-900, 9000, -2)])
    assert picture.paint(floor, [(0, 4, 0, 200, 128, 128, 255)], lens, 0.3) == 1
    assert (picture.luma[33:] == 200).all()
    assert (picture.luma[:31] == 0x10).all()


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_numbers_are_safe(data: st.DataObject) -> None:
    picture = Picture(data.draw(st.integers(1, 33)), data.draw(st.integers(1, 33)), guard=64)
    width = 32
    some = st.one_of(
        st.floats(width=width),
        st.floats(-100, 100, width=width),
        st.sampled_from([0.0, 1e30, -1e30, 1e-30, 16.0, 33.0]),
    )
    points = data.draw(st.lists(st.tuples(some, some, some), max_size=24))
    number = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(0, 24))
    byte = st.integers(0, 255)
    row = st.tuples(number, number, st.integers(0, 3), byte, byte, byte, byte)
    rows = data.draw(st.lists(row, max_size=8))
    picture.paint(np.array(points, np.float32).reshape(-1, 3), rows)
    for memory in picture.memory:
        assert memory[:64] == b"\x10" * 64
        assert memory[-64:] == b"\x10" * 64


def test_a_shape_of_thousands_of_points_is_left_out() -> None:
    turn = np.linspace(0, 6, 5000)
    circle = np.stack((8 + 5 * np.cos(turn), 8 + 5 * np.sin(turn), np.ones(5000)), axis=1)
    assert Picture(16, 16).paint(circle, [(0, 5000, 0, 200, 128, 128, 255)]) == 0


@pytest.mark.parametrize(
    ("size", "strides", "near"),
    [
        ((16, 17), (16, 8), 0.5),
        ((16, 16), (15, 8), 0.5),
        ((16, 16), (16, 8), 0.0),
        ((0, 16), (16, 8), 0.5),
        ((16, 16), (16, 7), 0.5),
        ((9000, 1), (9000, 8), 0.5),
    ],
)
def test_a_picture_that_does_not_fit_its_memory_is_refused(
    size: tuple, strides: tuple, near: float
) -> None:
    y, u, v = bytearray(256), bytearray(64), bytearray(64)
    with pytest.raises(ValueError, match="too small"):
        paint(y, u, v, strides, size, FLAT, near, b"", b"")
    with pytest.raises(ValueError, match="range"):
        paint(y, u, v, (16, 8), (16, 16), (float("nan"), *FLAT[1:]), 0.5, b"", b"")


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 5), st.integers(0, 127))
@settings(deadline=None)
def test_blur_keeps_the_light_and_its_bounds(w: int, h: int, pad: int, radius: int) -> None:
    memory = np.random.default_rng(w * h).integers(0, 256, (h, w + pad)).astype(np.uint8)
    before = memory.copy()
    blur(memory.reshape(-1).data, w + pad, (w, h), radius)
    assert np.array_equal(memory[:, w:], before[:, w:])
    assert memory[:, :w].min() >= max(0, int(before[:, :w].min()) - 2)
    assert memory[:, :w].max() <= before[:, :w].max()


def test_blur_smooths() -> None:
    plane = np.zeros((40, 40), np.uint8)
    plane[20, 20] = 255
    plane[:, :10] = 200
    blur(plane.reshape(-1).data, 40, (40, 40), 3)
    assert plane[20, 20] < 20
    assert (plane[:, :3] > 190).all()
