"""Objects found by a real model in the real sandbox, of films whose objects are known."""

import time
from pathlib import Path

import numpy as np
import pytest

from nvr.analyse.gaze import Aim
from nvr.analyse.grid import WHOLE, Zone
from nvr.analyse.search import Sought
from nvr.analyse.worker import ModelFile
from nvr.media.part import Part
from nvr.media.track import TrackConfig
from tests.analyse.film import SIZE, Film, Luma, coded
from tests.analyse.lamp_model import written
from tests.analyse.part import part
from tests.analyse.test_worker import Looking

T = 1_700_000_000_000_000


def wall() -> Luma:
    """A grey wall with a window, and a lamp that is always on."""
    picture = np.full((SIZE[1], SIZE[0]), 90, np.float32)
    picture[100:200, 250:350] = 60
    picture[260:330, 480:550] = 235
    return picture


def carried(picture: Luma, at_s: float, rng: np.random.Generator) -> Luma:
    """Somebody carries a lamp from left to right, six to eleven seconds."""
    if 6 <= at_s < 11:
        x = 60 + round((at_s - 6) * 60)
        picture[230:300, x : x + 70] = 235
    return picture


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    record, units = coded(Film("lamp", 14, background=wall, effects=(carried,), noise=1))
    config = (TrackConfig("video", "h264", 90_000, record, *SIZE),)
    return [part("gate/sub", config, units[n : n + 5]) for n in range(0, len(units), 5)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return written(tmp_path / "lamp.onnx")


def sought(*classes: str, zones: tuple[Zone, ...] = (Zone("", WHOLE),)) -> Sought:
    return Sought(classes, 500, zones)


def aim(looking: Looking, what: Sought | None, *zones: Zone) -> None:
    looking.analyst.aim("gate", Aim("gate", ("gate/sub",), zones, (), sought=what))
    looking.until(lambda: "gate" in looking.analyst._gazes)


def objects(looking: Looking) -> list[tuple[str, str, str]]:
    return [
        (one.change.what, one.change.kind, one.change.zone)
        for one in looking.found
        if one.change.kind.startswith("object") and not one.better
    ]


def show_all(looking: Looking, parts: list[Part]) -> None:
    """Show them one by one, so that nothing is left out for the budget."""
    gaze = looking.analyst._gazes["gate"]
    for one in parts:
        before = gaze.now.pictures
        looking.analyst.tap([one])
        looking.analyst._wake.set()
        looking.until(lambda before=before: gaze.now.pictures > before)


def test_a_lamp_that_is_carried_is_found_and_one_that_hangs_is_not(parts, model) -> None:
    with Looking(model=ModelFile(model, per_s=50, share=1.0)) as looking:
        aim(looking, sought("lamp", "black_hole"))
        show_all(looking, parts)
        looking.until(lambda: any(one[0] == "begin" for one in objects(looking)))
        knows = looking.analyst.knows()
        health = looking.analyst.health()
    assert knows is not None
    assert (knows.code, knows.layout, knows.labels) == ("", "yolo8", ["lamp", "black_hole"])
    assert 1 <= health.searches <= 14
    assert objects(looking) == [("begin", "object.lamp", ""), ("end", "object.lamp", "")]
    begin = next(one for one in looking.found if one.change.kind == "object.lamp")
    assert 5.8e6 < begin.at_us - T < 9e6
    assert begin.change.strength > 750
    assert begin.jpeg[:2] == b"\xff\xd8"
    assert not [one for one in looking.found if one.change.kind == "motion"], "nobody wants it"


def test_where_it_is_ignored_and_which_class_is_not_wanted_is_found_nowhere(parts, model) -> None:
    left_out = (Zone("", WHOLE), Zone("floor", ((0, 500), (1000, 500), (1000, 1000), (0, 1000)), 0))
    for what in (sought("lamp", zones=left_out), sought("black_hole")):
        with Looking(model=ModelFile(model, per_s=50, share=1.0)) as looking:
            aim(looking, what)
            show_all(looking, parts[:22])
            assert objects(looking) == []


@pytest.mark.parametrize("broken", ["text", "shape", "absent", "labels"])
def test_a_model_that_is_none_says_so_and_motion_goes_on(parts, tmp_path, broken) -> None:
    path, labels = tmp_path / "m.onnx", None
    if broken == "text":
        path.write_text("no model at all")
    elif broken == "shape":
        written(path, names="")
        labels = tmp_path / "labels.txt"
        labels.write_text("one\ntwo\nthree\n")
    elif broken == "labels":
        written(path)
        labels = tmp_path / "none.txt"
    with Looking(model=ModelFile(path, labels)) as looking:
        aim(looking, sought("lamp"), Zone("", WHOLE))
        show_all(looking, parts[:18])
        looking.until(lambda: any(one.change.kind == "motion" for one in looking.found))
        knows = looking.analyst.knows()
    assert knows is not None
    assert knows.code == "objects.model"
    assert knows.detail
    assert looking.analyst.health().searches == 0
    assert looking.analyst.health().deaths == 0


def test_a_model_that_ends_the_process_that_loads_it_does_not_end_motion(parts, model) -> None:
    options = {"model": ModelFile(model), "program": "tests.analyse.mortal_model"}
    with Looking(**options) as looking:
        aim(looking, sought("lamp"), Zone("", WHOLE))
        show_all(looking, parts[:18])
        looking.until(lambda: any(one.change.kind == "motion" for one in looking.found))
        assert looking.analyst.knows().code == "objects.model"


def test_it_is_loaded_while_somebody_looks_for_objects_and_no_longer(parts, model) -> None:
    with Looking(model=ModelFile(model)) as looking:
        aim(looking, None, Zone("", WHOLE))
        show_all(looking, parts[:2])
        assert looking.analyst.knows() is None
        aim(looking, sought("lamp"), Zone("", WHOLE))
        looking.until(lambda: looking.analyst._gazes["gate"].search is not None)
        show_all(looking, parts[4:6])
        assert looking.analyst.knows() is not None
        aim(looking, None, Zone("", WHOLE))
        looking.until(lambda: looking.analyst._gazes["gate"].search is None)
        show_all(looking, parts[8:10])
        assert looking.analyst.knows() is None


def test_a_camera_nobody_looks_at_is_not_looked_at(parts, model) -> None:
    with Looking() as looking:
        aim(looking, None, Zone("", WHOLE))
        show_all(looking, parts[:2])
        gaze = looking.analyst._gazes["gate"]
        # Another camera's parts are taken by nobody, and those of one turned off no more, at once.
        fields = {name: getattr(parts[2], name) for name in Part.__slots__}
        looking.analyst.tap([Part(**{**fields, "stream": "yard/sub"})])
        assert looking.analyst._gazes.keys() == {"gate"}
        before = gaze.now.pictures
        looking.analyst.aim("gate", None)
        looking.analyst.tap(parts[2:6])
        assert gaze.waiting() == 0
        looking.until(lambda: not looking.analyst._gazes)
        time.sleep(0.1)
        assert gaze.now.pictures == before
