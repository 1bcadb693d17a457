import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.pelco_d import (
    BYTES,
    WORDS,
    Cmd,
    Decoder,
    Device,
    Frame,
    General,
    Noise,
    Op,
    ReplyDecoder,
    motion,
    plausible,
)

# pelco.md 1.10: name -> (what we mean, bytes)
VECTORS = {
    "D1 stop": (motion(1), "FF 01 00 00 00 00 01"),
    "D2 left half speed": (motion(1, pan=-0x1F), "FF 01 00 04 1F 00 24"),
    "D3 left": (motion(1, pan=-0x20), "FF 01 00 04 20 00 25"),
    "D4 right": (motion(1, pan=0x20), "FF 01 00 02 20 00 23"),
    "D5 right slow": (motion(1, pan=6), "FF 01 00 02 06 00 09"),
    "D6 up": (motion(1, tilt=0x20), "FF 01 00 08 00 20 29"),
    "D7 down": (motion(1, tilt=-0x20), "FF 01 00 10 00 20 31"),
    "D8 right down": (motion(1, pan=0x3F, tilt=-0x3F), "FF 01 00 12 3F 3F 91"),
    "D10 tele": (motion(1, zoom=1), "FF 01 00 20 00 00 21"),
    "D11 wide": (motion(1, zoom=-1), "FF 01 00 40 00 00 41"),
    "D12 focus far": (motion(1, focus=1), "FF 01 00 80 00 00 81"),
    "D13 focus near": (motion(1, focus=-1), "FF 01 01 00 00 00 02"),
    "D14 iris open": (motion(1, iris=1), "FF 01 02 00 00 00 03"),
    "D15 iris close": (motion(1, iris=-1), "FF 01 04 00 00 00 05"),
    "D16 camera on": (Frame(1, Cmd.SENSE | Cmd.CAMERA), "FF 01 88 00 00 00 89"),
    "D17 camera off": (Frame(1, Cmd.CAMERA), "FF 01 08 00 00 00 09"),
    "D18 auto scan": (Frame(1, Cmd.SENSE | Cmd.SCAN), "FF 01 90 00 00 00 91"),
    "D18 manual scan": (Frame(1, Cmd.SCAN), "FF 01 10 00 00 00 11"),
    "D20 set preset": (Frame(1, Op.SET_PRESET, 0, 1), "FF 01 00 03 00 01 05"),
    "D22 call preset": (Frame(1, Op.CALL_PRESET, 0, 1), "FF 01 00 07 00 01 09"),
    "D23 flip": (Frame(1, Op.CALL_PRESET, 0, 33), "FF 01 00 07 00 21 29"),
    "D23 zero pan": (Frame(1, Op.CALL_PRESET, 0, 34), "FF 01 00 07 00 22 2A"),
    "D24 aux 1 on": (Frame(1, Op.SET_AUX, 0, 1), "FF 01 00 09 00 01 0B"),
    "D24 aux 1 off": (Frame(1, Op.CLEAR_AUX, 0, 1), "FF 01 00 0B 00 01 0D"),
    "D25 aux 5 on": (Frame(1, Op.SET_AUX, 0, 5), "FF 01 00 09 00 05 0F"),
    "D25 aux 5 off": (Frame(1, Op.CLEAR_AUX, 0, 5), "FF 01 00 0B 00 05 11"),
    "D26 reset": (Frame(1, Op.RESET), "FF 01 00 0F 00 00 10"),
    "D28 pattern start": (Frame(1, Op.PATTERN_START), "FF 01 00 1F 00 00 20"),
    "D28 pattern stop": (Frame(1, Op.PATTERN_STOP), "FF 01 00 21 00 00 22"),
    "D28 pattern run": (Frame(1, Op.PATTERN_RUN), "FF 01 00 23 00 00 24"),
    "D30 defaults": (Frame(1, Op.DEFAULTS), "FF 01 00 29 00 00 2A"),
    "D30 auto focus": (Frame(1, Op.AUTO_FOCUS), "FF 01 00 2B 00 00 2C"),
    "D31 set pan": (Frame(1, Op.SET_PAN, 0x23, 0x28), "FF 01 00 4B 23 28 97"),
    "D32 query pan": (Frame(1, Op.QUERY_PAN), "FF 01 00 51 00 00 52"),
    "D32 query tilt": (Frame(1, Op.QUERY_TILT), "FF 01 00 53 00 00 54"),
    "D32 query zoom": (Frame(1, Op.QUERY_ZOOM), "FF 01 00 55 00 00 56"),
    "D33 pan is 90": (Frame(1, Op.PAN, 0x23, 0x28), "FF 01 00 59 23 28 A5"),
    "D35 turbo on tilt": (Frame(1, Cmd.UP, 0, 0xFF), "FF 01 00 08 00 FF 08"),
}
STOP = motion(1)

speeds = st.integers(-63, 63)
signs = st.sampled_from((-1, 0, 1))
motions = st.builds(
    motion, st.integers(1, 254), pan=speeds, tilt=speeds, zoom=signs, focus=signs, iris=signs
)


def carried(op: Op) -> st.SearchStrategy[tuple[int, int]]:
    """Both data bytes that `op` may carry."""
    if op is Op.WRITE_CHARACTER:
        return st.tuples(st.integers(0, 39), st.integers(0, 255))
    if op in BYTES:
        return st.tuples(st.just(0), st.sampled_from(BYTES[op]))
    return st.sampled_from(WORDS[op]).map(lambda value: divmod(value, 256))


extended = st.sampled_from(Op).flatmap(
    lambda op: st.builds(
        lambda address, data: Frame(address, op, *data), st.integers(1, 254), carried(op)
    )
)
frames = motions | extended


def merged(pieces: list[Frame | Noise]) -> list[Frame | bytes]:
    out: list[Frame | bytes] = []
    for piece in pieces:
        if isinstance(piece, Frame):
            out.append(piece)
        elif out and isinstance(out[-1], bytes):
            out[-1] += piece.data
        else:
            out.append(piece.data)
    return out


def split(line: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({min(cut, len(line)) for cut in cuts} | {0, len(line)})
    return [line[a:b] for a, b in itertools.pairwise(edges)] or [b""]


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_the_manuals(name: str) -> None:
    frame, text = VECTORS[name]
    assert frame.encode() == bytes.fromhex(text)
    assert Decoder().feed(bytes.fromhex(text)) == [frame]


def test_a_decimal_checksum_is_refused() -> None:
    line = bytes.fromhex("FF 01 00 12 3F 3F 2D")
    assert not any(isinstance(piece, Frame) for piece in Decoder().feed(line * 3))


def test_garbage_then_stop_then_two_in_one_read_then_one_in_two() -> None:
    decoder = Decoder()
    left = motion(1, pan=-0x20)
    assert decoder.feed(b"\x01\x02\x03" + STOP.encode()) == [Noise(b"\x01\x02\x03"), STOP]
    assert decoder.feed(left.encode() + STOP.encode()) == [left, STOP]
    assert decoder.feed(left.encode()[:4]) == []
    assert decoder.feed(left.encode()[4:]) == [left]


@given(frames)
def test_what_is_encoded_is_decoded(frame: Frame) -> None:
    assert Decoder().feed(frame.encode()) == [frame]
    assert plausible(frame)


@given(st.lists(frames.map(Frame.encode) | st.binary(max_size=9)), st.lists(st.integers(0, 400)))
def test_splitting_the_line_changes_nothing(parts: list[bytes], cuts: list[int]) -> None:
    line = b"".join(parts)
    decoder = Decoder()
    pieces = [found for data in split(line, cuts) for found in decoder.feed(data)]
    assert merged(pieces) == merged(Decoder().feed(line))


@given(st.binary(max_size=40), frames)
def test_a_frame_after_noise_and_silence_is_found(noise: bytes, frame: Frame) -> None:
    decoder = Decoder()
    decoder.feed(noise)
    decoder.idle()
    assert decoder.feed(frame.encode()) == [frame]


@given(st.binary(max_size=40).filter(lambda data: 0xFF not in data), frames)
def test_a_frame_right_after_noise_is_found(noise: bytes, frame: Frame) -> None:
    assert Decoder().feed(noise + frame.encode())[-1] == frame


@given(frames, st.integers(0, 6))
def test_a_frame_cut_short_is_noise(frame: Frame, size: int) -> None:
    decoder = Decoder()
    assert decoder.feed(frame.encode()[:size]) == []
    assert decoder.idle() == ([Noise(frame.encode()[:size])] if size else [])
    assert decoder.idle() == []


@given(st.lists(frames.map(Frame.encode) | st.binary(max_size=9)))
def test_no_byte_is_lost_or_made_up(parts: list[bytes]) -> None:
    line = b"".join(parts)
    decoder = Decoder()
    back = b"".join(
        piece.encode() if isinstance(piece, Frame) else piece.data
        for piece in decoder.feed(line) + decoder.idle()
    )
    assert back == line


@pytest.mark.parametrize(
    "command",
    [
        Cmd.LEFT | Cmd.RIGHT,
        Cmd.UP | Cmd.DOWN,
        Cmd.TELE | Cmd.WIDE,
        Cmd.FOCUS_FAR | Cmd.FOCUS_NEAR,
        Cmd.IRIS_OPEN | Cmd.IRIS_CLOSE,
        Cmd.SENSE,
        0x2000,
        0x4000,
        0x0065,
        0x0071,
        0x0107,
        0x0239,
    ],
)
def test_what_nobody_can_mean_is_refused(command: int) -> None:
    frame = Frame(1, command, 1, 1)
    assert not any(isinstance(p, Frame) for p in Decoder().feed(frame.encode() * 2))


@pytest.mark.parametrize("speed", [0x41, 0x7F, 0xFE])
def test_a_speed_that_does_not_exist_is_refused(speed: int) -> None:
    assert not plausible(Frame(1, Cmd.LEFT, speed, 0))
    assert not plausible(Frame(1, Cmd.UP, 0, speed))


def test_delta_commands_may_carry_a_one() -> None:
    assert plausible(Frame(1, 0x0100 | Op.GAIN))


def test_addresses_that_are_not_believed() -> None:
    assert not any(isinstance(p, Frame) for p in Decoder().feed(b"\xff\x00\x00\x00\x00\x00\x00"))
    wide = Frame(255)
    assert not any(isinstance(p, Frame) for p in Decoder().feed(wide.encode()))
    assert Decoder(address_max=255).feed(wide.encode()) == [wide]
    assert Decoder(address_max=3).feed(Frame(4).encode() + Frame(3).encode())[-1] == Frame(3)


@pytest.mark.parametrize("address", [0, 256, -1])
def test_an_address_off_the_bus_cannot_be_encoded(address: int) -> None:
    with pytest.raises(ValueError, match="outside 1-255"):
        Frame(address).encode()


def test_a_position_is_hundredths_of_a_degree() -> None:
    frame = Frame(1, Op.PAN, 0x23, 0x28)
    assert (frame.op, frame.value) == (Op.PAN, 9000)
    assert STOP.op is None


@given(frames.filter(lambda f: f.op not in {0x45, 0x51, 0x53, 0x55, 0x61}), st.integers(0, 255))
def test_a_general_response_answers_its_command(frame: Frame, alarms: int) -> None:
    replies = ReplyDecoder()
    replies.sent(frame)
    answer = bytes((0xFF, frame.address, alarms, (frame.encode()[-1] + alarms) & 0xFF))
    assert replies.feed(answer[:3]) == []
    assert replies.feed(answer[3:]) == [General(frame.address, alarms)]


@given(st.sampled_from([(0x51, 0x59), (0x53, 0x5B), (0x55, 0x5D), (0x61, 0x63)]), st.data())
def test_an_extended_response_answers_a_query(ops: tuple[int, int], data: st.DataObject) -> None:
    address = data.draw(st.integers(1, 254))
    answer = Frame(address, ops[1], *data.draw(st.tuples(st.integers(0, 255), st.integers(0, 255))))
    replies = ReplyDecoder()
    replies.sent(Frame(address, ops[0]))
    cut = data.draw(st.integers(0, 7))
    assert replies.feed(b"\x00\xff" + answer.encode()[:cut]) + replies.feed(
        answer.encode()[cut:]
    ) == [answer]


@pytest.mark.parametrize(
    "line",
    [
        "FF 02 00 59 23 28 A6",  # another head
        "FF 01 00 59 23 28 A6",  # checksum
        "FF 01 01 59 23 28 A6",  # not an answer
        "FF 01 00 51 23 28 9D",  # a query is not an answer
    ],
)
def test_what_does_not_answer_the_query_is_dropped(line: str) -> None:
    replies = ReplyDecoder()
    replies.sent(Frame(1, Op.QUERY_PAN))
    good = Frame(1, Op.PAN, 1, 2)
    assert replies.feed(bytes.fromhex(line) + good.encode()) == [good]


def test_a_head_says_what_it_is() -> None:
    replies = ReplyDecoder()
    query = Frame(1, Op.QUERY_DEVICE)
    replies.sent(query)
    part = b"SD53TC-PG-E1-X\x00"
    body = bytes((7, *part))
    answer = bytes((0xFF, *body, (query.encode()[-1] + sum(body)) & 0xFF))
    assert len(answer) == 18
    assert replies.feed(b"\xff\x01" + answer[:9]) == []
    assert replies.feed(answer[9:]) == [Device(7, part)], "whoever it is that answers"
    assert replies.feed(answer[:-1] + b"\x00") == []


def test_alarms_are_counted_from_one() -> None:
    assert General(1, 0b1000_0101).alarm_numbers == (1, 3, 8)


@pytest.mark.parametrize(
    ("op", "data"),
    [
        (Op.CALL_PRESET, (0, 0)),
        (Op.CALL_PRESET, (1, 5)),
        (Op.ZONE_START, (0, 9)),
        (Op.ZONE_END, (0, 0)),
        (Op.ALARM_ACK, (0, 9)),
        (Op.ZOOM_SPEED, (0, 0x34)),
        (Op.RESET, (0, 1)),
        (Op.CLEAR_SCREEN, (1, 0)),
        (Op.QUERY_PAN, (0, 1)),
        (Op.WRITE_CHARACTER, (41, 65)),
        (Op.SET_PAN, divmod(36000, 256)),
        (Op.SET_TILT, (0xFF, 0xFF)),
    ],
)
def test_a_value_that_a_command_cannot_carry_is_refused(op: Op, data: tuple[int, int]) -> None:
    assert not plausible(Frame(1, op, *data))
    line = Frame(1, op, *data).encode() * 2
    assert Frame(1, op, *data) not in Decoder().feed(line)


def test_a_new_command_forgets_half_an_old_answer() -> None:
    replies = ReplyDecoder()
    replies.sent(STOP)
    replies.feed(b"\xff\x01\x00")
    replies.sent(STOP)
    assert replies.feed(b"\x01") == []


def test_a_general_response_after_noise_is_found() -> None:
    replies = ReplyDecoder()
    replies.sent(STOP)
    assert replies.feed(b"\xff\x01\xff\x02\x00\x02\xff\x01\x00\x01") == [General(1, 0)]


def test_an_echo_can_look_like_an_answer_so_echoes_are_removed_before() -> None:
    turbo = motion(1, pan=-0xFF)
    replies = ReplyDecoder()
    replies.sent(turbo)
    assert turbo.encode() == bytes.fromhex("FF 01 00 04 FF 00 04")
    assert replies.feed(turbo.encode()) == [General(1, 0)]
