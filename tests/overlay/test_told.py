"""A caption as texts of a camera: what fits, what does not, and what it made of them."""

import dataclasses

import pytest

from nvr.media.camera import CaptionText
from nvr.media.caption import TIME
from nvr.media.drawn import Remark
from nvr.media.onvif import Osd, OsdOptions
from nvr.overlay.told import as_told, became, may_be, pieces_of

ALL = OsdOptions(
    most=8, sizes=(16, 64), dates=("MM/dd/yyyy", "yyyy-MM-dd"), times=("HH:mm:ss", "hh:mm:ss tt")
)


def caption(*lines: str, at: tuple[int, int] = (20, 30), size: int = 42) -> CaptionText:
    return CaptionText(lines, at, size, "outline")


def codes(remarks: tuple[Remark, ...] | list[Remark]) -> list[tuple[str, int, str]]:
    return [(one.code, one.line, one.said) for one in remarks]


def test_lines_stand_below_each_other_and_the_clock_is_the_cameras() -> None:
    told = pieces_of(caption("临江路与东门街", "", "{date} {hms}"), "v", ALL, 1080)
    first, second = (one.osd for one in told.pieces)
    assert first == Osd("", "v", "临江路与东门街", -0.96, 0.94, size=45)
    assert (second.kind, second.date, second.time) == ("DateAndTime", "yyyy-MM-dd", "HH:mm:ss")
    assert second.y == pytest.approx(0.94 - 2 * 2 * 0.042 * 1.3, abs=1e-3), "the empty line counts"
    assert [one.line for one in told.pieces] == [1, 3]
    assert told.remarks == ()


def test_what_a_camera_has_no_words_for_is_said() -> None:
    told = pieces_of(caption("东门 {time}", "{clock}"), "v", ALL, 1080)
    assert [one.osd.text or one.osd.kind for one in told.pieces] == ["东门", "DateAndTime"]
    assert codes(told.remarks) == [
        ("osd.split", 1, ""), ("osd.field", 1, "{weekday} {zone}"), ("osd.field", 2, "{clock}"),
    ]  # fmt: skip
    named = dataclasses.replace(ALL, dates=("yyyy-MM-dd", "yyyy-MM-dd dddd"))
    told = pieces_of(caption("{date} {weekday}"), "v", named, 0)
    assert (told.pieces[0].osd.date, told.pieces[0].osd.size, told.remarks) == (
        "yyyy-MM-dd dddd", 0, (),
    )  # fmt: skip


def test_without_free_places_the_nearest_free_corners_are_taken() -> None:
    only = OsdOptions(places=("UpperLeft", "UpperRight", "LowerLeft", "LowerRight"))
    others = [Osd("o1", "v", "x", place="LowerRight")]
    told = pieces_of(caption("a", "b", "c", "d", at=(700, 900)), "v", only, 1080, others)
    assert [(one.osd.text, one.osd.place) for one in told.pieces] == [
        ("a", "LowerLeft"), ("b", "UpperRight"), ("c", "UpperLeft"),
    ]  # fmt: skip
    assert codes(told.remarks) == [("osd.corner", 0, ""), ("osd.too_many", 4, "3")]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (OsdOptions(most=3), ["a", "b"]),
        (OsdOptions(most=9, most_of={"Plain": 2}), ["a", "DateAndTime"]),
        (OsdOptions(most=9, most_of={"DateAndTime": 0}), ["a", "b"]),
        (OsdOptions(kinds=("Plain",)), ["a", "b"]),
        (OsdOptions(kinds=("Plain", "Date", "Time")), ["a", "b", "Date", "Time"]),
    ],
)
def test_no_more_is_told_than_there_is_room_for(options: OsdOptions, left: list[str]) -> None:
    other = [Osd("o1", "v", "theirs")]
    told = pieces_of(caption("a", "b", "{date} {hms}"), "v", options, 1080, other)
    assert [one.osd.text or one.osd.kind for one in told.pieces] == left
    missing = {"osd.too_many", "osd.no_kind"} & {one.code for one in told.remarks}
    assert bool(missing) == (len(left) < 3)


def test_a_size_out_of_range_is_the_nearest_and_that_is_said() -> None:
    told = pieces_of(caption("a", size=200), "v", ALL, 1080)
    assert (told.pieces[0].osd.size, codes(told.remarks)) == (64, [("osd.size", 0, "16-64")])


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"text": "临江路"}, "osd.cut", "3"),
        ({"text": ""}, "osd.changed", ""),
        ({"text": "???"}, "osd.changed", "???"),
        ({"kind": "Date", "text": ""}, "osd.changed", "Date"),
        ({"place": "UpperLeft"}, "osd.moved", ""),
        ({"x": 0.5}, "osd.moved", ""),
        ({"size": 32}, "osd.size", "32"),
        ({"date": "dd/MM/yyyy"}, "osd.format", "dd/MM/yyyy"),
    ],
)
def test_what_a_camera_made_of_it_is_seen(changes: dict, code: str, said: str) -> None:
    wanted = Osd("t", "v", "临江路与东门街", -0.9, 0.9, size=40, date="yyyy-MM-dd")
    got = dataclasses.replace(wanted, **changes)
    assert codes(became(wanted, got, 2)) == [(code, 2, said)]
    assert not as_told(wanted, got)


def test_what_is_as_told_is_no_remark_and_what_is_gone_is_one() -> None:
    wanted = Osd("t", "v", "东门", -0.9, 0.9)
    assert as_told(wanted, dataclasses.replace(wanted, x=-0.88, size=20, date="yyyy"))
    assert codes(became(wanted, None, 1)) == [("osd.lost", 1, "")]
    assert may_be(wanted, dataclasses.replace(wanted, text="东"))
    assert not may_be(wanted, dataclasses.replace(wanted, text="北"))
    assert not may_be(wanted, dataclasses.replace(wanted, text=""))


def test_every_remark_has_its_words_and_a_time_is_never_text() -> None:
    told = pieces_of(caption(TIME), "v", OsdOptions(), 0)
    assert [one.osd.kind for one in told.pieces] == ["DateAndTime"]
