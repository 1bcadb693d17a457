"""The bars of the bench's camera say the number they were painted with."""

import numpy as np
import pytest

from tests.bench.barcode import BAR_PX, BAR_ROWS, BITS, SIZE, picture


@pytest.mark.parametrize("number", [0, 1, 255, 0x5555, 0xFFFF])
def test_a_picture_carries_its_number(number: int) -> None:
    luma = picture(number).to_ndarray(format="yuv420p")[: SIZE[1]]
    row = luma[BAR_ROWS // 2, BAR_PX // 2 :: BAR_PX] > 128
    assert int("".join("1" if bar else "0" for bar in row), 2) == number
    assert row.size == BITS


def test_two_pictures_differ_below_the_bars() -> None:
    one, two = (picture(n).to_ndarray(format="yuv420p")[BAR_ROWS : SIZE[1]] for n in (7, 8))
    assert np.mean(one != two) > 0.5
