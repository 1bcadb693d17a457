import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nvr._native import blend
from nvr.overlay.strip import pack

small = st.integers(0, 24)


def exact(plane: np.ndarray, mask: np.ndarray, grey: np.ndarray, x: int, y: int) -> np.ndarray:
    """The definition, in exact integers: round half up of (d (255 - a) + g a) / 255."""
    out = plane.copy()
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            i, j = y + row, x + column
            if 0 <= i < plane.shape[0] and 0 <= j < plane.shape[1]:
                a, d, g = int(mask[row, column]), int(plane[i, j]), int(grey[row, column])
                out[i, j] = (2 * (d * (255 - a) + g * a) + 255) // 510
    return out


@settings(deadline=None)
@given(st.data(), small, small, small, small, st.integers(-30, 30), st.integers(-30, 30))
def test_blending_is_rounded_division_wherever_the_mask_lies(
    data: st.DataObject, width: int, height: int, columns: int, rows: int, x: int, y: int
) -> None:
    bytes_of = lambda shape: data.draw(hnp.arrays(np.uint8, shape))  # noqa: E731 - local shorthand
    pad = data.draw(st.integers(0 if width else 1, 5))
    memory = bytes_of((height, width + pad))
    mask, grey = bytes_of((rows, columns)), bytes_of((rows, columns))
    level = data.draw(st.none() | st.integers(0, 255))
    want = memory.copy()
    levels = grey if level is None else np.full_like(grey, level)
    want[:, :width] = exact(memory[:, :width], mask, levels, x, y)
    plane = memory.data.cast("B") if memory.size else memoryview(bytearray())
    pack(mask, grey if level is None else level).blend(plane, width + pad, (width, height), (x, y))
    assert np.array_equal(memory, want)


def test_every_grey_and_coverage_rounds_right() -> None:
    cover, value = np.meshgrid(np.arange(256), np.arange(256))
    cover, value = cover.astype(np.uint8), value.astype(np.uint8)
    for start in (0, 16, 127, 235, 255):
        plane = np.full((256, 256), start, np.uint8)
        pack(cover, value).blend(plane.data.cast("B"), 256, (256, 256), (0, 0))
        c = cover.astype(np.int64)
        want = (2 * (start * (255 - c) + value.astype(np.int64) * c) + 255) // 510
        assert np.array_equal(plane, want)
        for level in (0, 17, 255):
            plane = np.full((256, 256), start, np.uint8)
            pack(cover, level).blend(plane.data.cast("B"), 256, (256, 256), (0, 0))
            assert np.array_equal(plane, (2 * (start * (255 - c) + level * c) + 255) // 510)


@given(st.binary(max_size=20).map(lambda some: some * 12), st.integers(0, 64))
def test_runs_may_hold_any_numbers(runs: bytes, held: int) -> None:
    memory = bytearray(b"\x55" * 100)
    guard = memoryview(memory)[18:82]
    blend(guard, 8, (8, 8), b"\xff" * held, b"\x00" * held, runs, (2, -3))
    assert memory[:18] == b"\x55" * 18
    assert memory[82:] == b"\x55" * 18


@given(
    st.lists(
        st.tuples(st.integers(-3, 10), st.integers(-9, 20), st.integers(-2, 2**31 - 1)), max_size=9
    ),
    st.integers(0, 64),
)
def test_runs_longer_than_their_bytes_are_left_out(
    runs: list[tuple[int, int, int]], held: int
) -> None:
    memory = bytearray(b"\x55" * 100)
    guard = memoryview(memory)[18:82]
    blend(guard, 8, (8, 8), b"\xff" * held, b"\x00", np.array(runs, np.int32).tobytes(), (0, 0))
    assert memory[:18] + memory[82:] == b"\x55" * 36


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_a_mask_may_lie_anywhere_at_all(x: int, y: int) -> None:
    plane = bytearray(64)
    runs = np.array([(row, 0, 8) for row in range(8)], np.int32).tobytes()
    blend(plane, 8, (8, 8), b"\xff" * 64, b"\x01" * 64, runs, (x, y))
    inside = max(0, 8 - abs(x)) * max(0, 8 - abs(y))
    assert sum(plane) == inside


@pytest.mark.parametrize(
    ("plane", "stride", "size", "cover", "grey", "runs"),
    [
        (63, 8, (8, 8), 64, 64, 12),
        (64, 7, (8, 8), 64, 64, 12),
        (64, 0, (0, 8), 64, 64, 12),
        (64, 2**62, (8, 2), 64, 64, 12),
        (64, 8, (-1, 8), 64, 64, 12),
        (64, 8, (8, 8), 64, 63, 12),
        (64, 8, (8, 8), 64, 0, 12),
        (64, 8, (8, 8), 64, 64, 13),
        (64, 8, (8, 16385), 64, 64, 12),
    ],
)
def test_a_short_buffer_is_refused(
    plane: int, stride: int, size: tuple, cover: int, grey: int, runs: int
) -> None:
    with pytest.raises(ValueError, match="too small"):
        blend(bytearray(plane), stride, size, bytes(cover), bytes(grey), bytes(runs), (0, 0))


def test_a_read_only_plane_is_refused() -> None:
    with pytest.raises((BufferError, TypeError)):
        blend(memoryview(bytes(64)), 8, (8, 8), bytes(64), bytes(64), bytes(12), (0, 0))
