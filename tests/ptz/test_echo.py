import itertools

from hypothesis import given
from hypothesis import strategies as st

from nvr.ptz.echo import EchoFilter

TURBO = bytes.fromhex("FF 01 00 04 FF 00 04")


@given(st.binary(min_size=1, max_size=8), st.binary(max_size=20), st.lists(st.integers(0, 28)))
def test_exactly_the_echo_is_removed_however_it_is_split(
    sent: bytes, reply: bytes, cuts: list[int]
) -> None:
    echo = EchoFilter()
    echo.sent(sent)
    line = sent + reply
    edges = sorted({0, len(line), *(min(cut, len(line)) for cut in cuts)})
    got = b"".join(echo.feed(line[a:b]) for a, b in itertools.pairwise(edges))
    assert got + echo.quiet() == reply


@given(st.binary(min_size=1, max_size=8), st.binary(min_size=1, max_size=20))
def test_without_echo_every_reply_comes_through(sent: bytes, reply: bytes) -> None:
    echo = EchoFilter()
    echo.sent(sent)
    got = b"".join(echo.feed(reply[n : n + 1]) for n in range(len(reply)))
    assert got + echo.quiet() == (reply[len(sent) :] if reply.startswith(sent) else reply)


def test_a_reply_that_begins_like_the_command_is_held_until_the_line_is_quiet() -> None:
    echo = EchoFilter()
    echo.sent(TURBO)
    assert echo.feed(TURBO[:4]) == b""
    assert echo.quiet() == TURBO[:4]
    assert echo.feed(b"x") == b"x"
