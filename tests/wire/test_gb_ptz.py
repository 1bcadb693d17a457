"""``PTZCmd``: every vector that is known, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.gb_ptz import (
    Aux,
    Command,
    Cruise,
    Lens,
    Malformed,
    Move,
    Preset,
    Scan,
    build,
    parse,
)

VECTORS: list[tuple[str, Command]] = [
    ("A50F0100000000B5", Move()),
    ("A50F01015F000015", Move(pan=0x60 / 256)),
    ("A50F010280000037", Move(pan=-0x81 / 256)),
    ("A50F01080080003D", Move(tilt=0x81 / 256)),
    ("A50F0110000010D5", Move(zoom=2 / 16)),
    ("A50F4D1000001021", Move(zoom=2 / 16)),  # the standard's own of 2016
    ("A50F4D0280000083", Move(pan=-0x81 / 256)),
    ("A50F4D0000000001", Move()),
    ("A50F01480040003D", Lens(iris=-1)),
    ("A50F014240000037", Lens(focus=-1)),
    ("A50F018100030039", Preset("set", 3)),
    ("A50F01820003003A", Preset("call", 3)),
    ("A50F01830003003B", Preset("clear", 3)),
    ("A50F01840103003D", Cruise("add", 1, 3)),
    ("A50F01880100003E", Cruise("start", 1)),
    ("A50F01890100003F", Scan("start", 1)),
    ("A50F018C01000042", Aux(1, on=True)),
    ("A50F018D01000043", Aux(1, on=False)),
]
BUILT: list[tuple[str, Command]] = [
    (build(0x15, 255, 255, 15), Move(1.0, -1.0, 1.0)),
    (build(0x2A, 0, 255, 0), Move(-1 / 256, 1.0, -1 / 16)),
    (build(0x40), Lens()),
    (build(0x45, 9, 9), Lens(1, 1)),
    (build(0x85, 1, 0), Cruise("remove", 1, 0)),
    (build(0x86, 2, 0x34, 0x2), Cruise("speed", 2, 0x234)),
    (build(0x87, 2, 30), Cruise("dwell", 2, 30)),
    (build(0x89, 1, 1), Scan("left", 1)),
    (build(0x89, 1, 2), Scan("right", 1)),
    (build(0x8A, 1, 0xFF, 0xF), Scan("speed", 1, 0xFFF)),
    (build(0x82, 0, 255, 0, 0xFFF), Preset("call", 255)),
]


@pytest.mark.parametrize(("text", "meant"), VECTORS + BUILT)
def test_it_means(text: str, meant: Command) -> None:
    assert parse(text) == meant
    assert parse(text.lower()) == meant


def test_what_we_build_is_what_was_published() -> None:
    assert build(0x01, 0x5F) == "A50F01015F000015"
    assert build(0x02, 0x80, address=0x4D) == "A50F4D0280000083"


@pytest.mark.parametrize(
    "text",
    [
        "", "A50F0100000000B", "A50F0100000000B6", "A60F0100000000B6", "ZZ0F0100000000B5",
        build(0x03), build(0x0C), build(0x30), build(0x43), build(0x81, 0, 0), build(0x84, 1, 0),
        build(0x89, 1, 3), build(0x8B), build(0xC0), build(0x50),
    ],
)  # fmt: skip
def test_this_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


@given(st.text(max_size=20) | st.binary(min_size=8, max_size=8).map(bytes.hex))
def test_nothing_raises_anything_else(text: str) -> None:
    try:
        parse(text)
    except Malformed:
        return


@given(st.binary(min_size=4, max_size=4))
def test_speeds_stay_in_range(four: bytes) -> None:
    try:
        found = parse(build(four[0], four[1], four[2], four[3] >> 4))
    except Malformed:
        return
    if isinstance(found, Move):
        assert all(-1.0 <= one <= 1.0 for one in (found.pan, found.tilt, found.zoom))
