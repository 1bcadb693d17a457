"""What becomes of objects that a model finds: begins, ends, zones, budget, layouts, boxes."""

import numpy as np
import pytest

from nvr.analyse import boxes
from nvr.analyse.budget import Budget
from nvr.analyse.grid import WHOLE, Zone
from nvr.analyse.layout import Layout, cells, guess, labels_of, layout_of
from nvr.analyse.search import HOLD_S, Search, Sought
from nvr.analyse.talk import Thing
from nvr.wire.onnx import FLOAT, Model, Port, read
from tests.analyse.lamp_model import made

LABELS = ("person", "car")
LEFT = ((0, 0), (500, 0), (500, 1000), (0, 1000))
BOX = (100, 200, 200, 800)


def search(*zones: Zone, every_keys: int = 0) -> Search:
    return Search(Sought(("person",), 500, zones or (Zone("", WHOLE),), every_keys))


def thing(sure: int = 600, label: int = 0, moving: int = 9, box=BOX) -> Thing:
    return Thing(label, sure, moving, box)


def look(one: Search, at_s: float, *things: Thing, moving: bool = True, keys: int = 0) -> list:
    """Look at a picture, and search it if it is due."""
    said = one.looked(at_s, moving=moving, keys=keys)
    if one.due:
        said += one.see(things, LABELS, at_s)
    return [(s.change.what, s.change.kind, s.change.zone, s.change.at_s) for s in said]


def test_an_object_begins_with_its_second_sighting_and_ends_when_it_is_gone() -> None:
    one = search()
    assert look(one, 10, thing()) == []
    assert look(one, 12, thing()) == [("begin", "object.person", "", 10)]
    assert one.on == ("object.person",)
    assert look(one, 13) == []
    assert look(one, 14, moving=False) == []
    assert look(one, 12 + HOLD_S + 0.5, moving=False) == [("end", "object.person", "", 12)]
    assert one.on == ()


def test_one_clear_sighting_is_enough_and_a_far_one_is_another() -> None:
    one = search()
    assert look(one, 10, thing(760)) == [("begin", "object.person", "", 10)]
    other = search()
    assert look(other, 10, thing()) == []
    assert look(other, 40, thing()) == []


def test_a_gap_in_what_is_found_does_not_end_it_while_it_may_be_there() -> None:
    one = search()
    look(one, 10, thing(900))
    # The budget lets nobody look, and something moves all the time.
    assert one.looked(10 + 3 * HOLD_S, moving=True, keys=0) == []
    assert look(one, 41, thing(900)) == []
    assert [look(one, at) for at in (50, 51)] == [[], [("end", "object.person", "", 41)]]


def test_what_stands_is_no_object_while_something_else_moves() -> None:
    one = search()
    assert look(one, 10, thing(900, moving=0)) == []
    by_key = search(every_keys=5)
    assert look(by_key, 10, thing(900, moving=0), moving=False, keys=4) == []
    said = look(by_key, 12, thing(900, moving=0), moving=False, keys=1)
    assert said == [("begin", "object.person", "", 12)]
    assert look(by_key, 40, moving=False) == [], "nobody looked since"


def test_other_classes_and_less_sure_ones_are_nothing() -> None:
    one = search()
    assert look(one, 10, thing(950, label=1)) == []
    assert look(one, 11, thing(950, label=7)) == []
    assert look(one, 12, thing(499), thing(499)) == []
    assert one.end(13) == []


def test_where_its_foot_stands_is_its_zone() -> None:
    zones = (Zone("left", LEFT), Zone("tree", ((0, 0), (1000, 0), (1000, 300), (0, 300)), 0))
    one = search(*zones)
    assert look(one, 10, thing(900))[0][2] == "left"
    assert look(one, 11, thing(900, box=(600, 0, 700, 900))) == []
    assert look(search(*zones), 10, thing(900, box=(100, 0, 200, 250))) == [], "ignored"
    assert look(search(), 10, thing(900, box=(900, 500, 1000, 1000)))[0][0] == "begin"


def test_a_clearer_sighting_gives_a_better_picture_but_not_for_ever() -> None:
    one = search()
    assert look(one, 10, thing(600), thing(500)) == []
    look(one, 11, thing(600))
    better = 0
    for n, sure in enumerate((650, 700, 810, 950, 1000)):
        one.looked(12 + n, moving=True, keys=0)
        said = one.see([thing(sure)], LABELS, 12 + n)
        better += sum(s.better and s.box_permille == BOX for s in said)
    assert better == 2
    (end,) = one.end(20)
    assert end.change.strength == 1000


def test_a_budget_lets_so_many_through_and_no_more_than_they_may_cost() -> None:
    budget = Budget(2.0, 0.25)
    done = 0
    for tenth in range(100):
        if budget.may(tenth / 10):
            done += 1
            budget.spent(0.01)
    assert 19 <= done <= 21
    assert budget.put_off == 100 - done
    slow = Budget(10.0, 0.25)
    times = 0
    for n in range(100):
        if slow.may(float(n)):
            times += 1
            slow.spent(2.0)  # seconds of a small board's processor
    assert 12 <= times <= 14
    assert slow.cpu_s == 2.0 * times


SQUARE = (320, 320)
N = cells(SQUARE, (8, 16, 32))


def test_layouts_are_told_by_shapes() -> None:
    for shape, labels, name, classes in (
        ((1, 84, N), 0, "yolo8", 80),
        ((1, 5, N), 1, "yolo8", 1),
        ((1, 3 * N, 85), 0, "yolo5", 80),
        ((1, 3 * N, 6), 0, "yolo5", 1),
        ((1, N, 85), 0, "yolox", 80),
        ((1, N, 8), 3, "yolox", 3),
        ((1, cells(SQUARE, (8, 16, 32, 64)), 112), 0, "nanodet", 80),
        ((1, N, 35), 3, "nanodet", 3),
        ((1, 300, 6), 80, "end", 0),
    ):
        assert layout_of(SQUARE, [shape], labels) == Layout(name, SQUARE, classes), shape
    for shapes, labels in (
        ([(1, 84, N), (1, 32, 80, 80)], 0),
        ([(1, 84, N)], 3),
        ([(1, N, 12)], 0),
        ([(N, 85)], 0),
        ([(2, 84, N)], 0),
        ([(1, 84, 8400)], 0),
        ([], 0),
    ):
        with pytest.raises(ValueError, match=r"outputs? |classes"):
            layout_of(SQUARE, shapes, labels)


def test_labels_come_from_a_file_or_the_notes() -> None:
    assert labels_of({}, "\ufeffperson\n traffic light \r\n\nok\n\n") == (
        "person", "traffic_light", "class-2", "ok",
    )  # fmt: skip
    assert labels_of({"names": "{0: 'person', 2: 'a.b'}"}, None) == ("person", "class-1", "a_b")
    assert labels_of({"names": "['人', '车']"}, None) == ("人", "车")
    assert labels_of({}, None) == ()
    for wrong in ("{", "__import__('os')", "[" * 9999):
        with pytest.raises(ValueError, match="names"):
            labels_of({"names": wrong}, None)


def one_box(layout: Layout, output: np.ndarray, wanted=None) -> tuple:
    ((label, score, corners),) = boxes.found(layout, output, 0.5, wanted)
    return label, round(score, 2), tuple(round(one) for one in corners)


def test_each_layout_gives_the_box_that_was_put_in() -> None:
    raw = np.zeros((1, 6, N), np.float32)
    raw[0, :, 7] = (100, 60, 40, 20, 0.1, 0.9)
    raw[0, :, 8] = (102, 60, 40, 20, 0.2, 0.8)  # the same thing once more
    assert one_box(Layout("yolo8", SQUARE, 2), raw) == (1, 0.9, (80, 50, 120, 70))
    raw = np.zeros((1, 3 * N, 7), np.float32)
    raw[0, 7] = (100, 60, 40, 20, 0.9, 0.1, 0.8)
    assert one_box(Layout("yolo5", SQUARE, 2), raw) == (1, 0.72, (80, 50, 120, 70))
    raw = np.zeros((1, N, 7), np.float32)
    raw[0, 1600 + 20 * 3 + 5] = (0.5, 0.25, np.log(2), 0, 0.9, 0.1, 0.8)  # column 5, row 3 of 16
    assert one_box(Layout("yolox", SQUARE, 2), raw) == (1, 0.72, (72, 44, 104, 60))
    raw = np.full((1, cells(SQUARE, (8, 16, 32, 64)), 34), -50, np.float32)
    raw[0, :, :2] = 0
    raw[0, 1600 + 20 * 3 + 5, 1] = 0.9
    for side, bin_ in enumerate((1, 2, 3, 0)):
        raw[0, 1600 + 20 * 3 + 5, 2 + side * 8 + bin_] = 50
    assert one_box(Layout("nanodet", SQUARE, 2), raw) == (1, 0.9, (64, 16, 128, 48))
    raw = np.zeros((1, 300, 6), np.float32)
    raw[0, 3] = (80, 50, 120, 70, 0.9, 1)
    raw[0, 4] = (80, 50, 120, 70, 0.9, -1)
    raw[0, 5] = (80, 50, np.inf, 70, 0.9, 1)
    assert one_box(Layout("end", SQUARE, 0), raw) == (1, 0.9, (80, 50, 120, 70))
    assert boxes.found(Layout("end", SQUARE, 0), raw, 0.5, [0]) == []


def test_numbers_that_are_none_are_left_out() -> None:
    raw = np.full((1, 6, N), np.nan, np.float32)
    assert boxes.found(Layout("yolo8", SQUARE, 2), raw, 0.1) == []
    raw = np.full((1, 6, N), 1e30, np.float32)
    assert boxes.found(Layout("yolo8", SQUARE, 2), raw, 0.1) == []


def test_a_file_says_what_it_takes_and_puts_out_and_any_bytes_are_refused() -> None:
    data = made()
    said = read(memoryview(data))
    assert said.inputs == (Port("images", FLOAT, (1, 3, 96, 160)),)
    assert said.outputs == (Port("output0", FLOAT, (1, 6, 315)),)
    assert said.notes["task"] == "detect"
    layout = guess(said, len(labels_of(said.notes, None)))
    assert layout == Layout("yolo8", (160, 96), 2)
    for end in range(0, len(data), 97):
        try:
            guess(read(memoryview(data)[:end]), 2)
        except ValueError:
            continue
    rng = np.random.default_rng(1)
    for _ in range(300):
        wrong = bytearray(data)
        for at in rng.integers(0, len(data), 4):
            wrong[at] = rng.integers(256)
        try:
            guess(read(memoryview(wrong)), 0)
        except ValueError:
            continue
    with pytest.raises(ValueError, match="segment"):
        guess(Model(said.inputs, said.outputs, {"task": "segment"}), 0)
    with pytest.raises(ValueError, match="not of floats"):
        guess(Model((Port("images", 2, (1, 3, 96, 160)),), said.outputs), 0)
    left_open = Model((Port("images", FLOAT, (0, 3, 0, 0)),), (Port("o", FLOAT, (0, 0, 0)),))
    assert guess(left_open, 0) is None
