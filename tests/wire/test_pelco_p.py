import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.pelco_d import Cmd, Frame, Noise, Op, motion
from nvr.wire.pelco_p import ACK, PELCO, Acknowledged, Decoder, Dialect, ReplyDecoder, encode
from tests.wire.test_pelco_d import carried

# pelco.md 1.10; "cam 1" is wire address 0.
VECTORS = {
    "P1 stop": (motion(1), "A0 00 00 00 00 00 AF 0F"),
    "P2 left": (motion(1, pan=-0x20), "A0 00 00 04 20 00 AF 2B"),
    "P3 right": (motion(1, pan=0x20), "A0 00 00 02 20 00 AF 2D"),
    "P4 up": (motion(1, tilt=0x20), "A0 00 00 08 00 20 AF 27"),
    "P5 down": (motion(1, tilt=-0x20), "A0 00 00 10 00 20 AF 3F"),
    "P6 focus far": (motion(1, focus=1), "A0 00 01 00 00 00 AF 0E"),
    "P6 focus near": (motion(1, focus=-1), "A0 00 02 00 00 00 AF 0D"),
    "P7 iris open": (motion(1, iris=1), "A0 00 04 00 00 00 AF 0B"),
    "P7 iris close": (motion(1, iris=-1), "A0 00 08 00 00 00 AF 07"),
    "P8 tele": (motion(1, zoom=1), "A0 00 00 20 00 00 AF 2F"),
    "P8 wide": (motion(1, zoom=-1), "A0 00 00 40 00 00 AF 4F"),
    "P9 set preset": (Frame(1, Op.SET_PRESET, 0, 1), "A0 00 00 03 00 01 AF 0D"),
    "P9 clear preset": (Frame(1, Op.CLEAR_PRESET, 0, 1), "A0 00 00 05 00 01 AF 0B"),
    "P9 call preset": (Frame(1, Op.CALL_PRESET, 0, 1), "A0 00 00 07 00 01 AF 09"),
    "P10 aux 1 on": (Frame(1, Op.SET_AUX, 0, 1), "A0 00 00 09 00 01 AF 07"),
    "P10 aux 1 off": (Frame(1, Op.CLEAR_AUX, 0, 1), "A0 00 00 0B 00 01 AF 05"),
    "camera on": (Frame(1, Cmd.SENSE | Cmd.CAMERA), "A0 00 50 00 00 00 AF 5F"),
    "camera off": (Frame(1, Cmd.CAMERA), "A0 00 10 00 00 00 AF 1F"),
    "auto scan": (Frame(1, Cmd.SENSE | Cmd.SCAN), "A0 00 20 00 00 00 AF 2F"),
}
D_STYLE = Dialect(lens_bits="d_style", address_base=1, checksum="body")
ALL = [
    Dialect(*options)
    for options in itertools.product(("pelco", "d_style"), (0, 1), ("all", "body"))
]

speeds = st.integers(-63, 63)
signs = st.sampled_from((-1, 0, 1))
frames = st.builds(
    motion, st.integers(1, 255), pan=speeds, tilt=speeds, zoom=signs, focus=signs, iris=signs
) | st.sampled_from(Op).flatmap(
    lambda op: st.builds(
        lambda address, data: Frame(address, op, *data), st.integers(1, 255), carried(op)
    )
)
dialects = st.sampled_from(ALL)


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


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_the_manuals(name: str) -> None:
    frame, text = VECTORS[name]
    assert encode(frame) == bytes.fromhex(text)
    assert Decoder().feed(bytes.fromhex(text)) == [frame]


def test_a_checksum_over_the_body_only_needs_its_option() -> None:
    line = bytes.fromhex("A0 01 00 08 00 30 AF 39")
    assert not any(isinstance(p, Frame) for p in Decoder().feed(line))
    assert Decoder(Dialect(checksum="body")).feed(line) == [motion(2, tilt=0x30)]


def test_lens_bits_as_in_pelco_d() -> None:
    assert encode(motion(1, focus=1), D_STYLE) == bytes.fromhex("A0 01 00 80 00 00 AF 81")
    assert encode(motion(1, focus=-1), D_STYLE) == bytes.fromhex("A0 01 01 00 00 00 AF 00")


@given(frames, dialects)
def test_what_is_encoded_is_decoded_in_every_dialect(frame: Frame, dialect: Dialect) -> None:
    assert Decoder(dialect).feed(encode(frame, dialect)) == [frame]


@given(
    st.lists(frames.map(encode) | st.binary(max_size=9)),
    st.lists(st.integers(0, 400)),
)
def test_splitting_the_line_changes_nothing(parts: list[bytes], cuts: list[int]) -> None:
    line = b"".join(parts)
    edges = sorted({min(cut, len(line)) for cut in cuts} | {0, len(line)})
    decoder = Decoder()
    pieces = [p for a, b in itertools.pairwise(edges) for p in decoder.feed(line[a:b])]
    assert merged(pieces) == merged(Decoder().feed(line))


@given(st.binary(max_size=40), frames, dialects)
def test_a_frame_after_noise_and_silence_is_found(
    noise: bytes, frame: Frame, dialect: Dialect
) -> None:
    decoder = Decoder(dialect)
    decoder.feed(noise)
    decoder.idle()
    assert decoder.feed(encode(frame, dialect)) == [frame]


@given(frames, st.integers(0, 7))
def test_a_frame_cut_short_is_noise(frame: Frame, size: int) -> None:
    decoder = Decoder()
    assert decoder.feed(encode(frame)[:size]) == []
    assert decoder.idle() == ([Noise(encode(frame)[:size])] if size else [])


def test_an_acknowledgement_between_frames_is_noise() -> None:
    stop = motion(1)
    assert Decoder().feed(bytes((ACK,)) + encode(stop)) == [Noise(bytes((ACK,))), stop]


@pytest.mark.parametrize(
    "line",
    [
        "A0 00 00 06 20 00 AF 29",  # left and right
        "A0 00 80 00 00 00 AF 8F",  # bit 7 of d1
        "A0 00 40 00 00 00 AF 4F",  # camera on without its switch
        "A0 00 00 80 00 00 AF 8F",  # focus far is elsewhere
        "A0 00 00 65 00 00 AF 6A",  # no such command
        "A0 00 00 00 00 00 AE 0E",  # no end
        "A1 00 00 00 00 00 AF 0E",  # no start
    ],
)
def test_what_nobody_can_mean_is_refused(line: str) -> None:
    assert not any(isinstance(p, Frame) for p in Decoder().feed(bytes.fromhex(line) * 2))


def test_addresses_that_are_not_believed() -> None:
    assert Decoder(address_max=32).feed(encode(motion(33)) + encode(motion(32)))[-1] == motion(32)
    zero = bytes.fromhex("A0 00 00 00 00 00 AF 00")
    assert not any(isinstance(p, Frame) for p in Decoder(D_STYLE).feed(zero))


@pytest.mark.parametrize(("address", "dialect"), [(0, PELCO), (257, PELCO), (256, D_STYLE)])
def test_an_address_off_the_bus_cannot_be_encoded(address: int, dialect: Dialect) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode(motion(address), dialect)


@given(dialects, st.integers(1, 254), st.integers(0, 0xFFFF), st.integers(0, 8))
def test_a_head_that_answers_queries_does_it_in_its_own_frames(
    dialect: Dialect, address: int, value: int, cut: int
) -> None:
    replies = ReplyDecoder(dialect)
    replies.sent(Frame(address, Op.QUERY_TILT))
    wanted = Frame(address, Op.TILT, *divmod(value, 256))
    other = encode(Frame(address + 1, Op.TILT, 1, 1), dialect)
    line = other + encode(wanted, dialect)
    assert replies.feed(line[: 8 + cut]) + replies.feed(line[8 + cut :]) == [wanted]


def test_a_command_may_be_acknowledged() -> None:
    replies = ReplyDecoder()
    replies.sent(Frame(1, Op.CALL_PRESET, 0, 1))
    assert replies.feed(b"\x00") == []
    assert replies.feed(bytes((ACK,))) == [Acknowledged()]
    replies.sent(Frame(1, Op.QUERY_PAN))
    assert replies.feed(bytes((ACK,))) == [], "no answer to a question"


def test_pelco_p_has_no_manual_scan() -> None:
    with pytest.raises(ValueError, match="no such command"):
        encode(Frame(1, Cmd.SCAN))
