import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire import pelco_p
from nvr.wire.pelco_command import characters, command, range_of
from nvr.wire.pelco_d import DELTAS, Decoder, Frame, Op, plausible

SPEAKABLE = sorted(set(Op) - {Op.WRITE_CHARACTER})


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (command(1, Op.SET_PRESET, 1), "FF 01 00 03 00 01 05"),
        (command(1, Op.RESET), "FF 01 00 0F 00 00 10"),
        (command(1, Op.ZONE_START, 8), "FF 01 00 11 00 08 1A"),
        (command(1, Op.ALARM_ACK, 3), "FF 01 00 19 00 03 1D"),
        (command(1, Op.ZONE_SCAN_ON), "FF 01 00 1B 00 00 1C"),
        (command(1, Op.PATTERN_RUN), "FF 01 00 23 00 00 24"),
        (command(1, Op.ZOOM_SPEED, 3), "FF 01 00 25 00 03 29"),
        (command(1, Op.AUTO_FOCUS), "FF 01 00 2B 00 00 2C"),
        (command(1, Op.SHUTTER, 0x1234), "FF 01 00 37 12 34 7E"),
        (command(1, Op.GAIN, 2, delta=True), "FF 01 01 3F 00 02 43"),
        (command(1, Op.SET_PAN, 9000), "FF 01 00 4B 23 28 97"),
        (command(1, Op.QUERY_PAN), "FF 01 00 51 00 00 52"),
        (command(1, Op.SET_MAGNIFICATION, 2000), "FF 01 00 5F 07 D0 37"),
        (characters(1, "A")[0], "FF 01 00 15 00 41 57"),
        (characters(1, "GATE", 1)[3], "FF 01 00 15 17 45 72"),
    ],
)
def test_commands_as_the_manual_writes_them(frame: Frame, line: str) -> None:
    assert frame.encode() == bytes.fromhex(line)


@given(st.sampled_from(SPEAKABLE), st.data(), st.integers(1, 254))
def test_whatever_is_said_is_understood(op: Op, data: st.DataObject, address: int) -> None:
    value = data.draw(st.sampled_from(range_of(op)))
    frame = command(address, op, value, delta=data.draw(st.booleans()) and op in DELTAS)
    assert plausible(frame)
    assert Decoder().feed(frame.encode()) == [frame]
    assert pelco_p.Decoder().feed(pelco_p.encode(frame)) == [frame]


@pytest.mark.parametrize(
    ("op", "value", "said"),
    [
        (Op.CALL_PRESET, 0, "call preset takes 1 to 255, not 0"),
        (Op.CALL_PRESET, 256, "call preset takes 1 to 255, not 256"),
        (Op.SET_AUX, 9, "set aux takes 0 to 8, not 9"),
        (Op.ZONE_END, 9, "zone end takes 1 to 8, not 9"),
        (Op.FOCUS_SPEED, 0x33, "focus speed takes 0 to 3, not 51"),
        (Op.SET_TILT, 36000, "set tilt takes 0 to 35999, not 36000"),
        (Op.RESET, 1, "reset takes no value, not 1"),
        (Op.WRITE_CHARACTER, 65, "write character is one of"),
    ],
)
def test_an_impossible_value_is_one_clear_sentence(op: Op, value: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        command(1, op, value)


def test_only_adjustments_take_a_change() -> None:
    with pytest.raises(ValueError, match="set pan takes no change"):
        command(1, Op.SET_PAN, 5, delta=True)


def test_a_row_of_the_screen_is_written_letter_by_letter() -> None:
    frames = characters(2, "East gate 1", 1)
    assert bytes(frame.data2 for frame in frames) == b"East gate 1"
    assert [frame.data1 for frame in frames] == list(range(20, 31))
    assert all(plausible(frame) for frame in frames)


@pytest.mark.parametrize(("text", "row"), [("x" * 21, 0), ("x", 2), ("东门", 0), ("a\n", 0)])
def test_what_a_screen_cannot_show_is_refused(text: str, row: int) -> None:
    with pytest.raises(ValueError, match="screen"):
        characters(1, text, row)
