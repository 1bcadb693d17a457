import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire import visca
from nvr.wire.visca import (
    Acknowledged,
    AddressesSet,
    Answer,
    Decoder,
    Done,
    NetworkChanged,
    Noise,
    Refused,
    Request,
)

COMMANDS = {
    "left": (visca.drive(-24, 0), "81 01 06 01 18 01 01 03 FF"),
    "right and up": (visca.drive(5, 20), "81 01 06 01 05 14 02 01 FF"),
    "down": (visca.drive(0, -3), "81 01 06 01 01 03 03 02 FF"),
    "stand still": (visca.drive(0, 0), "81 01 06 01 01 01 03 03 FF"),
    "home": (visca.HOME, "81 01 06 04 FF"),
    "reset": (visca.RESET, "81 01 06 05 FF"),
    "tele": (visca.zoom(8), "81 01 04 07 27 FF"),
    "wide": (visca.zoom(-1), "81 01 04 07 30 FF"),
    "zoom stops": (visca.zoom(0), "81 01 04 07 00 FF"),
    "far": (visca.focus(3), "81 01 04 08 22 FF"),
    "near": (visca.focus(-8), "81 01 04 08 37 FF"),
    "focus by itself": (visca.FOCUS_AUTO, "81 01 04 38 02 FF"),
    "iris opens": (visca.iris(1), "81 01 04 0B 02 FF"),
    "iris closes": (visca.iris(-1), "81 01 04 0B 03 FF"),
    "store 5": (visca.preset("set", 5), "81 01 04 3F 01 05 FF"),
    "go to 5": (visca.preset("call", 5), "81 01 04 3F 02 05 FF"),
    "clear 5": (visca.preset("clear", 5), "81 01 04 3F 00 05 FF"),
    "power on": (visca.POWER_ON, "81 01 04 00 02 FF"),
    "power off": (visca.POWER_OFF, "81 01 04 00 03 FF"),
    "backlight": (visca.BACKLIGHT_ON, "81 01 04 33 02 FF"),
    "go": (visca.go(-0x8B6, 0x12C), "81 01 06 02 18 14 0F 07 04 0A 00 01 02 0C FF"),
    "go to a zoom": (visca.go_zoom(0x4000), "81 01 04 47 04 00 00 00 FF"),
}
ANSWERS = {
    "90 41 FF": Acknowledged(1, 1),
    "A0 52 FF": Done(2, 2),
    "90 50 FF": Done(1, 0),
    "90 60 02 FF": Refused(1, 0, visca.SYNTAX),
    "F0 60 03 FF": Refused(7, 0, visca.BUFFER_FULL),
    "90 61 04 FF": Refused(1, 1, visca.CANCELLED),
    "90 62 05 FF": Refused(1, 2, visca.NO_SOCKET),
    "90 61 41 FF": Refused(1, 1, visca.NOT_EXECUTABLE),
    "90 50 02 FF": Answer(1, b"\x02"),
    "90 50 0F 07 04 0A 00 01 02 0C FF": Answer(1, bytes.fromhex("0f07040a0001020c")),
    "90 38 FF": NetworkChanged(1),
    "88 30 03 FF": AddressesSet(2),
    "88 30 01 FF": Request(visca.BROADCAST, False, b"\x30\x01"),
    "88 01 00 01 FF": Request(visca.BROADCAST, False, b"\x00\x01"),
    "81 09 06 12 FF": Request(1, True, visca.ASK_HEAD),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_as_the_list_has_them(name: str) -> None:
    body, line = COMMANDS[name]
    assert visca.command(1, body) == bytes.fromhex(line)
    assert Decoder().feed(bytes.fromhex(line)) == [Request(1, False, body)]


def test_inquiries_and_a_cancel() -> None:
    assert visca.inquiry(3, visca.ASK_ZOOM) == bytes.fromhex("83 09 04 47 FF")
    assert visca.cancel(2, 1) == bytes.fromhex("82 21 FF")
    assert bytes.fromhex("88 30 01 FF") == visca.SET_ADDRESSES


@pytest.mark.parametrize("line", ANSWERS)
def test_answers_as_the_list_has_them(line: str) -> None:
    assert Decoder().feed(bytes.fromhex(line)) == [ANSWERS[line]]


def test_numbers_of_an_answer() -> None:
    data = bytes.fromhex("0f07040a0001020c")
    assert visca.numbers(data, signed=True) == (-0x8B6, 0x12C)
    assert visca.numbers(bytes.fromhex("04000000"), signed=False) == (0x4000,)
    for wrong in (b"", b"\x00\x01\x02", b"\x10\x00\x00\x00"):
        assert visca.numbers(wrong, signed=True) is None


@given(st.integers(-0x8000, 0x7FFF), st.integers(-0x8000, 0x7FFF))
def test_what_is_gone_to_is_what_is_answered(pan: int, tilt: int) -> None:
    assert visca.numbers(visca.go(pan, tilt)[4:], signed=True) == (pan, tilt)


packets = st.sampled_from(
    [bytes.fromhex(line) for line in ANSWERS]
    + [visca.command(n, body) for n in (1, 7) for body, _ in COMMANDS.values()]
)


def merged(pieces: list[object]) -> list[object]:
    out: list[object] = []
    for piece in pieces:
        if isinstance(piece, Noise) and out and isinstance(out[-1], bytes):
            out[-1] += piece.data
        else:
            out.append(piece.data if isinstance(piece, Noise) else piece)
    return out


@given(st.lists(packets | st.binary(max_size=20)), st.lists(st.integers(0, 400)))
def test_splitting_the_line_changes_nothing(parts: list[bytes], cuts: list[int]) -> None:
    line = b"".join(parts)
    edges = sorted({min(cut, len(line)) for cut in cuts} | {0, len(line)})
    decoder = Decoder()
    pieces = [found for a, b in itertools.pairwise(edges) for found in decoder.feed(line[a:b])]
    assert merged(pieces) == merged(Decoder().feed(line))


@given(st.binary(max_size=40), packets)
def test_a_packet_after_noise_and_silence_is_found(noise: bytes, packet: bytes) -> None:
    decoder = Decoder()
    decoder.feed(noise)
    decoder.idle()
    assert decoder.feed(packet) == Decoder().feed(packet)


@given(st.binary(max_size=5).filter(lambda data: 0xFF not in data), packets)
def test_a_packet_right_after_noise_is_found(noise: bytes, packet: bytes) -> None:
    if len(noise) + len(packet) < visca.SIZE_MAX:
        assert Decoder().feed(noise + packet)[-1:] == Decoder().feed(packet)


@given(packets, st.data())
def test_a_packet_without_its_end_is_noise(packet: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(packet) - 1))
    decoder = Decoder()
    assert decoder.feed(packet[:size]) == []
    assert decoder.idle() == ([Noise(packet[:size])] if size else [])


@pytest.mark.parametrize(
    "line",
    ["80 01 04 00 02 FF", "81 02 04 00 02 FF", "81 FF", "90 70 FF", "91 41 FF", "88 30 09 FF",
     "88 30 00 FF", "88 01 04 00 02 FF", "90 60 FF", "FF FF FF"],
)  # fmt: skip
def test_what_nobody_can_mean_is_refused(line: str) -> None:
    assert all(isinstance(piece, Noise) for piece in Decoder().feed(bytes.fromhex(line)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: visca.command(0, visca.HOME), "address 0 is outside 1-7"),
        (lambda: visca.command(8, visca.HOME), "address 8 is outside 1-7"),
        (lambda: visca.drive(25, 0), "speeds are up to 24 and 20"),
        (lambda: visca.drive(0, -21), "speeds are up to 24 and 20"),
        (lambda: visca.zoom(9), "speeds are up to 8"),
        (lambda: visca.preset("call", 128), "positions are 0 to 127, not 128"),
        (lambda: visca.cancel(1, 0), "there is no socket 0 of camera 1"),
    ],
)
def test_what_is_out_of_range_is_one_clear_sentence(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_refusal_in_words() -> None:
    assert Refused(1, 0, visca.BUFFER_FULL).words == "buffer full"
    assert Refused(1, 0, 0x7A).words == "error 0x7a"
