"""Privacy masks: nothing inside is left, nothing far outside is touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr._native import mosaic
from nvr.media.mask import Mask, fault_of
from nvr.media.picture import Planes
from nvr.overlay.mask import Masker

SIZE = (320, 240)
HALF = Mask(((0, 0), (500, 0), (500, 1000), (0, 1000)))


def noisy(layout: str, seed: int = 1) -> tuple[np.ndarray, np.ndarray, Planes]:
    """Luma, chroma and planes of a picture of noise."""
    width, height = SIZE
    rng = np.random.default_rng(seed)
    luma = rng.integers(16, 236, (height, width), np.uint8)
    shape = (2, height // 2, width // 2) if layout == "yuv420p" else (1, height // 2, width)
    chroma = rng.integers(16, 240, shape, np.uint8)
    planes = Planes(
        SIZE,
        memoryview(luma.reshape(-1)),
        width,
        tuple(memoryview(one.reshape(-1)) for one in chroma),
        shape[2],
    )
    return luma, chroma, planes


@pytest.mark.parametrize("layout", ["yuv420p", "nv12"])
def test_a_solid_mask_leaves_nothing_inside_and_all_outside(layout: str) -> None:
    luma, chroma, planes = noisy(layout)
    before = luma.copy(), chroma.copy()
    masker = Masker(SIZE)
    masker.set((HALF,))
    masker.lay(planes)
    edge = chroma.shape[2] // 2
    assert (luma[:, :160] == 16).all()
    assert (chroma[..., :edge] == 128).all()
    assert np.array_equal(luma[:, 162:], before[0][:, 162:])
    assert np.array_equal(chroma[..., edge + 2 :], before[1][..., edge + 2 :])


@pytest.mark.parametrize("layout", ["yuv420p", "nv12"])
def test_a_mosaic_is_the_mean_of_each_block(layout: str) -> None:
    luma, chroma, planes = noisy(layout)
    before = luma.copy(), chroma.copy()
    masker = Masker(SIZE)
    masker.set((Mask(HALF.points_permille, "mosaic"),))
    masker.lay(planes)
    for y in range(0, 240, 10):
        for x in range(0, 160, 10):
            mean = int(before[0][y : y + 10, x : x + 10].astype(int).sum() + 50) // 100
            assert (luma[y : y + 10, x : x + 10] == mean).all()
    of = before[1][0] if layout == "yuv420p" else before[1][0][:, ::2]
    got = chroma[0] if layout == "yuv420p" else chroma[0][:, ::2]
    mean = int(of[:5, :5].astype(int).sum() * 2 + 25) // 50
    assert (got[:5, :5] == mean).all()
    assert np.array_equal(luma[:, 162:], before[0][:, 162:])


points = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=3, max_size=16
).map(tuple)


@given(st.lists(st.builds(Mask, points, st.sampled_from(("solid", "mosaic"))), max_size=8))
@settings(deadline=None, max_examples=60)
def test_what_is_inside_is_the_same_whatever_was_there(masks: list[Mask]) -> None:
    """Two pictures that differ only far inside a solid mask come out alike there."""
    assert not fault_of(masks)
    masker = Masker(SIZE)
    masker.set(tuple(masks))
    one, two = noisy("yuv420p", 1), noisy("yuv420p", 2)
    masker.lay(one[2])
    masker.lay(two[2])
    width, height = SIZE
    for mask in masks:
        if mask.kind != "solid":
            continue
        # The middle of each side, and each corner, is covered: straight lines are, to the pixel.
        corners = [(x * width / 1000, y * height / 1000) for x, y in mask.points_permille]
        wound = _winding(corners)
        for x, y in wound:
            assert one[0][y, x] == two[0][y, x] == 16


def _winding(corners: list[tuple[float, float]]) -> list[tuple[int, int]]:
    """Some pixels that are inside by the definition of the winding number, one angle at a time."""
    found = []
    for y in range(7, SIZE[1], 31):
        for x in range(5, SIZE[0], 37):
            turned = 0
            near = np.inf
            for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
                px, py = x + 0.5, y + 0.5
                side = (bx - ax) * (py - ay) - (px - ax) * (by - ay)
                near = min(near, abs(side) / (np.hypot(bx - ax, by - ay) or 1))
                if ay <= py < by and side > 0:
                    turned += 1
                elif by <= py < ay and side < 0:
                    turned -= 1
            if turned and near > 1e-6:
                found.append((x, y))
    return found


def test_a_polygon_that_crosses_itself_has_no_hole() -> None:
    star = Mask(((500, 0), (800, 1000), (0, 350), (1000, 350), (200, 1000)))
    luma, _, planes = noisy("yuv420p")
    masker = Masker(SIZE)
    masker.set((star,))
    masker.lay(planes)
    assert (luma[110:140, 140:180] == 16).all()


@given(
    st.binary(max_size=20).map(lambda some: some * 12),
    st.integers(0, 64),
    st.sampled_from((1, 2)),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_a_mosaic_of_any_runs_stays_inside(
    runs: bytes, held: int, channels: int, wide: int, high: int
) -> None:
    memory = bytearray(b"\x55" * 100)
    guard = memoryview(memory)[18:82]
    mosaic(guard, 8, (8, 8), b"\xff" * held, b"\0", runs, channels, (wide, high))
    assert memory == b"\x55" * 100, "the mean of what is even is what it is"


def test_a_mosaic_of_short_buffers_is_refused() -> None:
    for size, channels, block in (((9, 8), 1, (4, 4)), ((8, 8), 3, (4, 4)), ((8, 8), 1, (0, 4))):
        with pytest.raises(ValueError, match="too small"):
            mosaic(bytearray(64), 8, size, b"", b"\0", b"", channels, block)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([HALF] * 9, "at most 8"),
        ([Mask(((0, 0), (1, 1)))], "3 to 16"),
        ([Mask(((0, 0),) * 17)], "3 to 16"),
        ([Mask(((0, 0), (0, 1), (0, 1001)))], "0 to 1000"),
        ([Mask(HALF.points_permille, "blur")], "solid or mosaic"),
    ],
)
def test_a_mask_out_of_range_is_named(bad: list[Mask], said: str) -> None:
    assert said in fault_of(bad)
