"""Who gets which encoder: for any box and any number of cameras."""

import math
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvr.encode.share import MOST_PRIORITY, SOFTWARE, Ask, Grant, Has, load, share

X264 = Has(
    "x264",
    frozenset({"h264"}),
    costs={"h264": {"veryfast": 0.03, "superfast": 0.02, "ultrafast": 0.01}},
)
M2M = Has("v4l2m2m", frozenset({"h264"}), 2, 62.3)
HD = 1920 * 1080 * 25 / 1e6
SD = 704 * 576 * 25 / 1e6


def asks(*sizes: float, **more) -> list[Ask]:
    return [Ask(f"c{n}", "h264", size, **more) for n, size in enumerate(sizes)]


def test_hardware_first_then_the_processor_then_nobody() -> None:
    given_ = share(asks(HD, SD, SD, HD), [M2M, X264], cores=0.4)
    assert given_["c0"] == Grant("v4l2m2m")
    assert given_["c1"] == Grant("v4l2m2m")
    assert given_["c2"] == Grant("x264", "veryfast", instead_of="v4l2m2m")
    assert given_["c3"].code == "encoder.busy"
    assert "more than what is left of 0.4 processors" in given_["c3"].detail


def test_a_second_stream_takes_nothing_from_any_main_stream() -> None:
    second = Ask("a/sub", "h264", 2.3, priority=9 - MOST_PRIORITY - 1)
    mains = [Ask("a/main", "h264", SD, priority=9), Ask("b/main", "h264", SD, priority=0)]
    given_ = share([mains[0], second, mains[1]], [M2M, X264], cores=0.01)
    assert [given_[c].encoder for c in ("a/main", "b/main")] == ["v4l2m2m", "v4l2m2m"]
    assert given_["a/sub"].code == "encoder.busy"


def test_pixels_are_limited_as_sessions_are() -> None:
    given_ = share(asks(HD, HD), [M2M, X264], cores=8)
    assert [given_[c].encoder for c in ("c0", "c1")] == ["v4l2m2m", "x264"]


def test_priority_goes_before_place() -> None:
    three = [*asks(HD, HD), Ask("late", "h264", HD, priority=9)]
    given_ = share(three, [replace(M2M, sessions=1)], cores=0)
    assert [given_[c].encoder for c in ("c0", "c1", "late")] == ["", "", "v4l2m2m"]


def test_all_on_the_processor_share_the_slowest_preset_that_fits() -> None:
    assert share(asks(SD), [X264], 0.4)["c0"].preset == "veryfast"
    two = share(asks(SD, SD), [X264], 0.45)
    assert [two[c].preset for c in two] == ["superfast", "superfast"]
    four = share(asks(*[SD] * 4), [X264], 0.45)
    assert [four[c].preset for c in four] == ["ultrafast"] * 4
    five = share(asks(*[SD] * 5), [X264], 0.45)
    assert [five[c].code for c in five] == ["", "", "", "", "encoder.busy"]


def test_what_has_failed_is_passed_over_but_not_for_nothing() -> None:
    failed = asks(SD, failed=frozenset({"v4l2m2m"}))
    assert share(failed, [M2M, X264], 1)["c0"].encoder == "x264"
    assert share(failed, [M2M], 1)["c0"].encoder == "v4l2m2m", "better than none"


def test_what_nobody_makes_is_said() -> None:
    assert share([Ask("a", "h265", SD)], [X264], 1)["a"].code == "encoder.none"
    named = share([Ask("a", "h264", SD, only="nvenc")], [X264], 1)["a"]
    assert (named.encoder, named.code) == ("", "encoder.none")
    assert "nvenc" in named.detail


BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.sampled_from(["x264", "x265", "v4l2m2m", "nvenc", "jetson"])
costs = st.lists(st.floats(0.001, 0.2), min_size=1, max_size=3).map(
    lambda each: {f"p{n}": one for n, one in enumerate(sorted(each, reverse=True))}
)


@st.composite
def boxes(draw):
    board = [
        Has(
            name,
            frozenset(draw(st.sets(st.sampled_from(["h264", "h265"]), min_size=1))),
            draw(st.integers(1, 4)),
            draw(st.floats(1, 500)),
            {"h264": draw(costs), "h265": draw(costs)} if name in SOFTWARE else {},
        )
        for name in draw(st.lists(names, unique=True))
    ]
    wanted = [
        Ask(
            f"c{n}",
            draw(st.sampled_from(["h264", "h265"])),
            draw(st.floats(0.1, 300)),
            draw(st.integers(0, 9)),
            draw(st.sampled_from(["", "", "x264", "nvenc"])),
            draw(st.frozensets(names, max_size=2)),
        )
        for n in range(draw(st.integers(0, 8)))
    ]
    return wanted, board, draw(st.floats(0, 8))


@BUSY
@given(boxes())
def test_nothing_is_ever_given_twice_and_everybody_is_answered(box) -> None:
    wanted, board, cores = box
    grants = share(wanted, board, cores)
    assert list(grants) == [ask.stream for ask in wanted]
    by_name = {has.name: has for has in board}
    soft = []
    for has in board:
        mine = [ask for ask in wanted if grants[ask.stream].encoder == has.name]
        assert len(mine) <= has.sessions
        assert sum(ask.mpixel_s for ask in mine) <= has.mpixel_s * (1 + 1e-9)
        assert all(ask.codec in has.codecs and ask.only in {"", has.name} for ask in mine)
        soft += [(ask, has) for ask in mine if has.name in SOFTWARE]
    assert load(soft, fastest=True) <= cores * (1 + 1e-9)
    for ask in wanted:
        grant = grants[ask.stream]
        assert bool(grant.encoder) != bool(grant.code)
        if grant.preset:
            assert grant.preset in by_name[grant.encoder].costs[ask.codec]


@BUSY
@given(boxes())
def test_who_is_refused_would_not_have_fitted(box) -> None:
    wanted, board, cores = box
    grants = share(wanted, board, cores)
    for ask in wanted:
        if grants[ask.stream].code != "encoder.busy":
            continue
        for has in board:
            if ask.codec not in has.codecs or ask.only not in {"", has.name}:
                continue
            if has.name in ask.failed:
                continue
            mine = [one for one in wanted if grants[one.stream].encoder == has.name]
            full = len(mine) >= has.sessions
            pixels = sum(one.mpixel_s for one in mine) + ask.mpixel_s > has.mpixel_s * (1 - 1e-9)
            soft = [
                (one, each)
                for each in board
                if each.name in SOFTWARE
                for one in wanted
                if grants[one.stream].encoder == each.name
            ]
            over = has.name in SOFTWARE and load([*soft, (ask, has)], fastest=True) > cores * (
                1 - 1e-9
            )
            assert full or pixels or over or math.isclose(ask.mpixel_s, has.mpixel_s)
