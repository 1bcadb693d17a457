"""What is made of a device's raw pictures: no combs, fields in their order, right colours."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.base.errors import Misconfigured
from nvr.codec.tidy import Raw, Tidy

WIDTH, HEIGHT = 320, 240
STEP = 6
"""Pixels that the bar goes on from one field to the next."""


def moment(number):
    """Luma of the whole picture at the time of a field: a bar that moves to the right."""
    luma = np.full((HEIGHT, WIDTH), 40, np.uint8)
    left = 20 + STEP * number
    luma[:, left : left + 24] = 200
    return luma


def woven(number, first):
    """The frame of fields 2n and 2n + 1, the named one first."""
    early, late = moment(2 * number), moment(2 * number + 1)
    luma = early.copy()
    lines = slice(1, None, 2) if first.startswith("top") else slice(0, None, 2)
    luma[lines] = late[lines]
    if first.endswith("half"):
        halves = (luma[0::2], luma[1::2])
        luma = np.concatenate(halves if first.startswith("top") else halves[::-1])
    return luma


def frame_of(luma, pixels="yuyv422"):
    height, width = luma.shape
    frame = av.VideoFrame(width, height, pixels)
    plane = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(height, -1)
    if pixels == "yuyv422":
        plane[:, : width * 2 : 2] = luma
        plane[:, 1 : width * 2 : 2] = 128
    else:
        plane[:, :width] = luma
        for other in frame.planes[1:]:
            np.frombuffer(memoryview(other), np.uint8)[:] = 128
    return frame


def luma_of(picture):
    rows = np.frombuffer(picture.planes.y, np.uint8).reshape(-1, picture.planes.y_stride)
    return rows[:, : picture.planes.size[0]].astype(int)


def centre(luma):
    """Where the bar is, by its brightness."""
    weight = (luma - 40).clip(0).sum(axis=0)
    return (weight * np.arange(len(weight))).sum() / weight.sum()


def combs(luma):
    """How much neighbouring lines differ more than lines two apart."""
    one = np.abs(np.diff(luma, axis=0)).mean()
    two = np.abs(luma[2:] - luma[:-2]).mean()
    return one - two


def pictures(raw, deinterlace, count=12, first=None):
    tidy = Tidy(raw, deinterlace)
    found = []
    for number in range(count):
        luma = woven(number, first or raw.fields)
        made = tidy.take(frame_of(luma, raw.pixels), number * 3600)
        found += [(picture.pts_90k, luma_of(picture).copy()) for picture in made]
    return tidy, found


@pytest.mark.parametrize("fields", ["top", "bottom", "top_half", "bottom_half"])
@pytest.mark.parametrize("pixels", ["yuyv422", "nv12"])
def test_what_moves_does_not_comb(fields, pixels):
    raw = Raw((WIDTH, HEIGHT), pixels, fields)
    _, found = pictures(raw, "frames")
    _, kept = pictures(raw, "off")
    assert len(found) == 11, "one is held back to see what moves"
    if not fields.endswith("half"):
        assert combs(kept[5][1]) > 5
    assert all(combs(luma) < 0.5 for _, luma in found[2:])
    assert [pts for pts, _ in found] == [3600 * n for n in range(11)]


@pytest.mark.parametrize("fields", ["top", "bottom", "top_half", "bottom_half"])
def test_fields_come_in_the_order_in_which_they_were_taken(fields):
    tidy, found = pictures(Raw((WIDTH, HEIGHT), "yuyv422", fields), "fields")
    assert tidy.doubled
    places = [centre(luma) for _, luma in found[4:-2]]
    steps = np.diff(places)
    assert abs(steps - STEP).max() < 2, f"it goes back and forth: {steps.round(1)}"
    assert set(np.diff([pts for pts, _ in found])) == {1800}


def test_the_wrong_order_would_be_seen():
    raw = Raw((WIDTH, HEIGHT), "yuyv422", "top")
    _, found = pictures(raw, "fields", first="bottom")
    assert np.diff([centre(luma) for _, luma in found[4:-2]]).min() < 0


def test_a_progressive_picture_is_not_taken_apart():
    tidy, found = pictures(Raw((WIDTH, HEIGHT), "yuyv422"), "fields", first="top")
    assert not tidy.doubled
    assert len(found) == 12
    assert combs(found[5][1]) > 5


def test_single_fields_are_made_as_high_as_pictures():
    tidy = Tidy(Raw((WIDTH, HEIGHT // 2), "yuyv422", "single"))
    assert tidy.size == (WIDTH, HEIGHT)
    (found,) = tidy.take(frame_of(moment(0)[::2]), 0)
    assert abs(luma_of(found) - moment(0)).mean() < 2


# ITU-R BT.601 and BT.709, equations of the standards: red, green, blue at 75 %.
BT601 = {"red": (81, 90, 240), "green": (145, 54, 34), "blue": (41, 240, 110)}
BT709 = {"red": (63, 102, 240), "green": (173, 42, 26), "blue": (32, 240, 118)}


@pytest.mark.parametrize("colour", BT601)
@pytest.mark.parametrize("pixels", ["yuyv422", "uyvy422", "nv12", "yuv422p", "yuv420p"])
def test_colours_of_bt601_become_those_of_bt709(colour, pixels):
    frame = filled(BT601[colour], pixels)
    (found,) = Tidy(Raw((64, 48), pixels)).take(frame, 0)
    assert at_middle(found) == pytest.approx(BT709[colour], abs=2)
    (kept,) = Tidy(Raw((64, 48), pixels, hd=True)).take(frame, 0)
    assert at_middle(kept) == pytest.approx(BT601[colour], abs=1)


def test_full_range_becomes_limited():
    frame = filled((255, 128, 128), "yuyv422")
    (found,) = Tidy(Raw((64, 48), "yuyv422", full=True)).take(frame, 0)
    assert at_middle(found)[0] == pytest.approx(235, abs=2)
    (grey,) = Tidy(Raw((64, 48), "gray")).take(filled((100, 0, 0), "gray"), 0)
    assert at_middle(grey) == pytest.approx((102, 128, 128), abs=1)


def test_red_green_blue_becomes_bt709():
    frame = av.VideoFrame(64, 48, "bgr24")
    plane = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(48, -1)
    plane[:, 2:192:3], plane[:, 0:192:3], plane[:, 1:192:3] = 255, 0, 0
    (found,) = Tidy(Raw((64, 48), "bgr24")).take(frame, 0)
    assert at_middle(found) == pytest.approx(BT709["red"], abs=2)


def filled(colour, pixels):
    """A picture of one colour, made sample by sample."""
    y, u, v = colour
    frame = av.VideoFrame(64, 48, pixels)
    patterns = {
        "yuyv422": [[y, u, y, v]], "uyvy422": [[u, y, v, y]], "nv12": [[y], [u, v]],
        "yuv422p": [[y], [u], [v]], "yuv420p": [[y], [u], [v]], "gray": [[y]],
    }[pixels]  # fmt: skip
    for plane, pattern in zip(frame.planes, patterns, strict=True):
        memory = np.frombuffer(memoryview(plane), np.uint8)
        memory[:] = np.resize(np.array(pattern, np.uint8), memory.shape)
    return frame


def at_middle(picture):
    planes = picture.planes
    y = np.frombuffer(planes.y, np.uint8).reshape(-1, planes.y_stride)[24, 32]
    u, v = (
        np.frombuffer(one, np.uint8).reshape(-1, planes.chroma_stride)[12, 16]
        for one in planes.chroma
    )
    return int(y), int(u), int(v)


@settings(max_examples=25, deadline=None)
@given(st.integers(16, 200), st.integers(16, 120), st.sampled_from(["yuyv422", "nv12", "gray"]))
def test_any_size_comes_out_even(width, height, pixels):
    width = width // 2 * 2 if pixels != "gray" else width
    tidy = Tidy(Raw((width, height), pixels))
    assert tidy.size == (width // 2 * 2, height // 2 * 2)
    (found,) = tidy.take(av.VideoFrame(width, height, pixels), 5)
    assert found.planes.size == tidy.size
    assert found.pts_90k == 5


def test_a_picture_can_be_painted_over_without_the_device_noticing():
    frame = filled((100, 128, 128), "yuv420p")
    (found,) = Tidy(Raw((64, 48), "yuv420p", hd=True)).take(frame, 0)
    found.planes.y[0] = 1
    assert memoryview(frame.planes[0])[0] == 100


def test_pixels_nobody_knows_are_refused():
    with pytest.raises(Misconfigured, match="no_format"):
        Tidy(Raw((64, 48), "nonsense"))
