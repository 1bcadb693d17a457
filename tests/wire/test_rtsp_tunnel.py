"""RTSP through HTTP: heads of its two connections, and the Base64 of one of them."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.rtsp import Malformed
from nvr.wire.rtsp_tunnel import HEAD_BYTES, Decoder, Leg, answer, is_http, parse_leg

FFMPEG = (
    b"GET /cam/gate HTTP/1.1\r\nUser-Agent: Lavf/61\r\nx-sessioncookie: 0123456789abcdef\r\n"
    b"Accept: application/x-rtsp-tunnelled\r\nPragma: no-cache\r\n\r\n"
)


@given(st.lists(st.binary(max_size=60), max_size=6), st.data())
def test_requests_padded_each_by_itself_come_out_however_they_were_split(said, data):
    text = b"\r\n".join(b64encode(one) for one in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    decoder, got = Decoder(), b""
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        got += decoder.feed(text[begin:end])
    assert got == b"".join(said)


@pytest.mark.parametrize("text", [b"DESCRIBE rtsp://x", b"QU=J", b"====", b"Q===", b"\x00AAA"])
def test_what_is_not_base64_is_refused(text):
    with pytest.raises(Malformed):
        Decoder().feed(text)


@given(st.binary(max_size=300))
def test_any_text_is_decoded_or_refused(text):
    try:
        said = Decoder().feed(text)
    except Malformed:
        return
    assert len(said) <= len(text)


def test_a_connection_is_known_by_its_first_word():
    assert [is_http(FFMPEG[:n]) for n in range(5)] == [None, None, None, None, True]
    assert is_http(b"POST /") is True
    assert is_http(b"POS") is None
    for other in (b"GET_PARAMETER *", b"OPTIONS", b"\x16\x03", b"$", b"get / HTTP/1.0"):
        assert is_http(other) is False


def test_a_head_is_read_when_it_is_whole_and_what_follows_is_kept():
    for end in range(len(FFMPEG)):
        assert parse_leg(FFMPEG[:end]) is None
    assert parse_leg(FFMPEG + b"T1BU") == (Leg(True, b"0123456789abcdef"), b"T1BU")
    post = b"POST / HTTP/1.0\nX-SessionCookie:a\nContent-Length: 32767\n\n"
    assert parse_leg(post) == (Leg(False, b"a"), b"")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: box\r\n\r\n",
        b"GET / HTTP/1.1\r\nx-sessioncookie:\r\n\r\n",
        b"GET / HTTP/1.1\r\nx-sessioncookie: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nx-sessioncookie: " + b"c" * 129 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nx-sessioncookie: a\r\nx-sessioncookie: b\r\n\r\n",
        b"GET / HTTP/2.0\r\nx-sessioncookie: a\r\n\r\n",
        b"GET / RTSP/1.0\r\nx-sessioncookie: a\r\n\r\n",
        b"GET /" + b"x" * HEAD_BYTES,
    ],
)
def test_http_that_is_no_tunnel_is_refused(head):
    with pytest.raises(Malformed):
        parse_leg(head)


def test_the_answer_has_no_length():
    said = answer(200)
    assert said.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"application/x-rtsp-tunnelled\r\n\r\n" in said
    assert b"ength" not in said
    assert answer(409).startswith(b"HTTP/1.0 409 Conflict\r\n")
