"""The shape of a pixel, of what comes in and how it is to be shown."""

import pytest

from nvr.media.device import pixel_aspect


@pytest.mark.parametrize(
    ("size", "normal", "wide"),
    [  # what table E-1 of H.264 has beside each shape
        ((720, 576), (12, 11), (16, 11)),
        ((704, 576), (12, 11), (16, 11)),
        ((720, 480), (10, 11), (40, 33)),
        ((704, 480), (10, 11), (40, 33)),
        ((352, 288), (12, 11), (16, 11)),
        ((352, 576), (24, 11), (32, 11)),
        ((352, 480), (20, 11), (80, 33)),
        ((1440, 1080), (1, 1), (4, 3)),
        ((768, 576), (1, 1), (4, 3)),
        ((640, 480), (1, 1), (4, 3)),
    ],
)
def test_the_shape_of_a_pixel_is_that_of_the_standards(size, normal, wide) -> None:
    assert pixel_aspect(size, "4:3", analogue=False) == normal
    assert pixel_aspect(size, "16:9", analogue=True) == wide
    assert pixel_aspect(size, "square", analogue=True) == (1, 1)
    assert pixel_aspect(size, "auto", analogue=True) == normal
    assert pixel_aspect(size, "auto", analogue=False) == (1, 1)
