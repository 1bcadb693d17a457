"""Two pictures and how far one is moved: right, or not told; never a figure that is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.ptz.registration import painted, register
from tests.ptz.pictures import SIZE, World

WORLD = World()
WIDTH, HEIGHT = SIZE
places = st.integers(0, 899)


def _moved_px(found):
    return (-found.x * WIDTH / found.scale, -found.y * HEIGHT / found.scale)


@settings(max_examples=60, deadline=None)
@given(places, places, st.floats(-110, 110), st.floats(-60, 60), st.floats(0, 12))
def test_a_shift_is_found_to_a_tenth_of_a_pixel(x, y, dx, dy, noise):
    found = register(WORLD.seen(x, y, noise=noise), WORLD.seen(x + dx, y + dy, noise=noise, seed=1))
    assert found is not None
    off_x, off_y = np.subtract(_moved_px(found), (dx, dy))
    assert max(abs(off_x), abs(off_y)) < 0.15


@settings(max_examples=15, deadline=None)
@given(places, places, st.floats(0.6, 1.7), st.floats(-20, 20), st.floats(-12, 12))
def test_a_zoom_is_found_with_the_shift_beside_it(x, y, scale, dx, dy):
    found = register(WORLD.seen(x, y), WORLD.seen(x + dx, y + dy, scale, seed=1), zoomed=True)
    assert found is not None
    assert found.scale == pytest.approx(scale, rel=0.005)
    off_x, off_y = np.subtract(_moved_px(found), (dx, dy))
    assert max(abs(off_x), abs(off_y)) < 0.3


@settings(max_examples=60, deadline=None)
@given(places, places, st.floats(-400, 400), st.floats(-400, 400), st.floats(0, 60))
def test_whatever_the_noise_and_the_way_it_is_right_or_not_told(x, y, dx, dy, noise):
    found = register(WORLD.seen(x, y, noise=noise), WORLD.seen(x + dx, y + dy, noise=noise, seed=1))
    if found is not None:
        off_x, off_y = np.subtract(_moved_px(found), (dx, dy))
        assert max(abs(off_x), abs(off_y)) < 1


@settings(max_examples=40, deadline=None)
@given(places, places, places, places, st.booleans())
def test_pictures_of_different_places_are_not_told(x, y, u, v, zoomed):
    other = World.seen(OTHER, u, v)
    assert register(WORLD.seen(x, y), other, zoomed=zoomed) is None


OTHER = World(2)


@pytest.mark.parametrize("noise", [0, 1, 3, 6])
def test_a_dark_picture_is_not_told(noise):
    one, other = (WORLD.seen(5, 5, contrast=0, noise=noise, seed=n) for n in (1, 2))
    assert register(one, other) is None


def test_a_fence_is_not_told():
    columns = np.arange(WIDTH) + np.zeros((HEIGHT, 1))
    fence = (110 + 60 * (columns // 10 % 2)).astype(np.uint8)
    assert register(fence, np.roll(fence, 3, axis=1)) is None


def with_caption(picture):
    """Letters along the top and a clock below, as cameras burn them in."""
    letters = np.random.default_rng(3).integers(0, 2, size=(6, 60)).astype(np.uint8)
    out = picture.copy()
    out[8:32, 20:260] = np.repeat(np.repeat(letters[:6], 4, axis=0), 4, axis=1) * 255
    out[150:174, 20:140] = np.repeat(np.repeat(letters[:, :30], 4, axis=0), 4, axis=1) * 255
    return out


def test_what_is_burned_in_does_not_hold_the_picture():
    away, one, other = (with_caption(WORLD.seen(x, 9, seed=x)) for x in (700, 0, 6))
    hidden = painted(one, away)
    assert (hidden[20, 100], hidden[160, 80], hidden[90, 160]) == (True, True, False)
    found = register(one, other, hidden=hidden)
    assert found is not None
    assert _moved_px(found)[0] == pytest.approx(6, abs=0.2)
    # The trap that this is there for: with the caption in it, nothing has moved.
    held = register(one, other)
    assert held is None or abs(_moved_px(held)[0]) < 1


def test_nothing_is_burned_in_where_the_head_did_not_move():
    one, same = WORLD.seen(3, 3, seed=1), WORLD.seen(3, 3, seed=2)
    assert not painted(one, same).any()


@pytest.mark.parametrize("shapes", [((180, 320), (180, 321)), ((16, 320), (16, 320)), ((9,), (9,))])
def test_shapes_that_cannot_be_compared_are_refused(shapes):
    one, other = (np.zeros(shape, dtype=np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match="compared"):
        register(one, other)
