"""Bytes of input devices, as the kernel writes them."""

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.input_event import EVENT, Report, Reports

pytestmark = pytest.mark.skipif(
    sys.byteorder != "little" or struct.calcsize("l") != 8, reason="the golden bytes are of 64 bits"
)

# What a 6.1 kernel gave for a joystick pushed right while its first button went down
# (hil/joystick.py): seconds, microseconds, type, code, value.
RIGHT = bytes.fromhex(
    "34ac0d6b00000000f364090000000000 0300 0000 ff030000"
    "34ac0d6b00000000f364090000000000 0100 2001 01000000"
    "34ac0d6b00000000f364090000000000 0000 0000 00000000"
)
# As its documentation has it when a buffer overflowed in the middle of a report.
LOST = bytes.fromhex(
    "d304000000000000000000000000000000000300 00000000"
    "d304000000000000000000000000000003000100 05000000"
    "d304000000000000000000000000000000000000 00000000"
)


def test_a_report_is_what_changed_at_one_moment() -> None:
    assert Reports().feed(RIGHT) == [Report(((0, 1023),), ((0x120, True),))]


def test_what_is_not_ended_waits() -> None:
    reports = Reports()
    assert reports.feed(RIGHT[: -EVENT.size]) == []
    assert reports.feed(RIGHT[-EVENT.size :]) == [Report(((0, 1023),), ((0x120, True),))]


def test_after_a_loss_nothing_is_believed_up_to_the_next_report() -> None:
    begun = RIGHT[: EVENT.size]
    assert Reports().feed(begun + LOST + RIGHT) == [
        Report(dropped=True),
        Report(((0, 1023),), ((0x120, True),)),
    ]


def test_a_negative_value_and_a_key_that_repeats() -> None:
    data = (
        EVENT.pack(1, 2, 3, 1, -32768) + EVENT.pack(1, 2, 1, 0x121, 2) + EVENT.pack(1, 2, 0, 0, 0)
    )
    assert Reports().feed(data) == [Report(((1, -32768),), ((0x121, True),))]


EVENTS = [
    EVENT.pack(0, 0, *one)
    for one in (
        (0, 0, 0),
        (0, 3, 0),
        (3, 0, 9),
        (3, 1, -9),
        (1, 0x120, 1),
        (1, 0x120, 0),
        (4, 4, 1),
    )
]


@given(st.lists(st.sampled_from(EVENTS), max_size=12), st.lists(st.integers(0, 12 * EVENT.size)))
def test_splitting_changes_nothing(told: list[bytes], cuts: list[int]) -> None:
    line = b"".join(told)
    ends = sorted(min(cut, len(line)) for cut in cuts)
    reports, pieces = Reports(), []
    for start, stop in zip([0, *ends], [*ends, len(line)], strict=True):
        pieces += reports.feed(line[start:stop])
    assert pieces == Reports().feed(line)
