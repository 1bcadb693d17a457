"""Faults of ``[[gb28181]]`` that no shape shows."""

import msgspec

from nvr.config.gb28181 import Platform, unfit

CITY = {"name": "city", "host": "192.0.2.2", "server": "3" * 20, "device": "4" * 20}


def faults(*platforms: dict[str, object], inputs: set[str] | None = None) -> list[str]:
    found = unfit([msgspec.convert(CITY | one, Platform) for one in platforms], inputs)
    return [f"{one.path}: {one.detail}" for one in found]


def channel(digit: str, camera: str, **other: str) -> dict[str, object]:
    return {"id": digit * 20, "camera": camera, **other}


def test_what_fits_has_none() -> None:
    box = {"id": "7" * 20, "title": "North gate"}
    both = [channel("5", "gate"), channel("6", "yard", box="7" * 20, speaker="8" * 20)]
    assert faults({"channel": both, "box": [box]}) == []


def test_a_camera_belongs_to_a_recorder_that_is_there() -> None:
    wrong = {"channel": [channel("5", "gate", box="7" * 20)]}
    assert faults(wrong) == [f"$.gb28181[0].channel[0].box: {'7' * 20} is none of its boxes"]


def test_no_id_stands_for_two() -> None:
    wrong = {
        "channel": [channel("4", "gate")],
        "box": [{"id": "7" * 20, "title": "a"}, {"id": "7" * 20, "title": "b"}],
    }
    assert faults(wrong) == [
        f"$.gb28181[0].channel[0].id: {'4' * 20} is used twice",
        f"$.gb28181[0].box[0].id: {'7' * 20} is used twice",
        f"$.gb28181[0].box[1].id: {'7' * 20} is used twice",
    ]


def test_a_camera_is_one_channel_and_one_platform_sets_the_clock() -> None:
    twice = {"channel": [channel("5", "gate"), channel("6", "gate")], "sets_clock": True}
    assert faults({"sets_clock": True}, twice | {"name": "park"}) == [
        "$.gb28181[1].sets_clock: another platform sets the clock already",
        "$.gb28181[1].channel[0].camera: gate is a channel of it already",
        "$.gb28181[1].channel[1].camera: gate is a channel of it already",
    ]


def test_inputs_are_those_of_the_board() -> None:
    wrong = {"input": [{"id": "5" * 20, "input": "door"}]}
    assert faults(wrong, inputs=set()) == [
        "$.gb28181[0].input[0].input: the board has no input door"
    ]
    assert faults(wrong, inputs={"door"}) == []
