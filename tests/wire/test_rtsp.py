import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.rtsp import (
    BODY_BYTES,
    HEAD_BYTES,
    Frame,
    Malformed,
    Parser,
    Request,
    Response,
    Transport,
    parse_transport,
)

tokens = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_-", min_size=1, max_size=12)
values = st.text("abc019 ;=/:,\"'视频", max_size=30).map(str.strip)
names = tokens.filter(lambda name: name.lower() != "content-length")
headers = st.lists(st.tuples(names, values), max_size=6).map(tuple)
messages = st.one_of(
    st.builds(Request, tokens.filter(lambda t: t[0].isalpha()), st.just("rtsp://h/x"), headers,
              st.binary(max_size=50)),
    st.builds(Response, st.integers(100, 599), headers, st.binary(max_size=50), st.just("Fine")),
    st.builds(Frame, st.integers(0, 255), st.binary(max_size=50)),
)  # fmt: skip


def without_length(item):
    if isinstance(item, Frame):
        return item
    kept = tuple(pair for pair in item.headers if pair[0] != "Content-Length")
    if isinstance(item, Request):
        return Request(item.method, item.uri, kept, item.body)
    return Response(item.status, kept, item.body, item.reason)


def parsed(line, cuts=()):
    parser, found = Parser(), []
    for start, stop in zip([0, *cuts], [*cuts, len(line)], strict=True):
        parser.feed(line[start:stop])
        try:
            while (item := parser.next()) is not None:
                found.append(item)
        except Malformed:
            found.append("malformed")
            break
    return found


@given(st.lists(messages, max_size=5), st.data())
def test_what_was_sent_is_read_however_it_was_split(sent, data):
    line = b"".join(item.encode() for item in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=8)))
    assert [without_length(item) for item in parsed(line, cuts)] == sent


@given(st.binary(max_size=300), st.data())
def test_noise_is_a_message_or_malformed_but_never_a_crash(line, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=8)))
    assert parsed(line, cuts) == parsed(line)


@given(messages, st.data())
def test_a_message_cut_short_waits(message, data):
    line = message.encode()
    assert parsed(line[: data.draw(st.integers(0, len(line) - 1))]) == []


def test_cameras_end_lines_as_they_like():
    bare = b"\r\n\nRTSP/1.0 200 OK\nCSeq: 1\nX: a\n b\nContent-Length: 2\n\nhi"
    assert parsed(bare) == [
        Response(200, (("CSeq", "1"), ("X", "a b"), ("Content-Length", "2")), b"hi", "OK")
    ]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"\x00\x01", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"PLAY x RTSP/2.0\r\n\r\n", 505),
        (b"PLAY x RTSP/1.0\r\nno colon\r\n\r\n", 400),
        (b"PLAY x RTSP/1.0\r\nContent-Length: -1\r\n\r\n", 400),
        (b"PLAY x RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"PLAY x RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"PLAY x RTSP/1.0\r\n" + b"A: b\r\n" * 65 + b"\r\n", 413),
        (b"P" * (HEAD_BYTES + 5), 413),
        (b"PLAY x RTSP/1.0\r\nA: b\x00c\r\n\r\n", 400),
        (b"RTSP/1.0 20 OK\r\n\r\n", 400),
    ],
)
def test_what_breaks_the_rules_is_refused(line, status):
    parser = Parser()
    parser.feed(line)
    with pytest.raises(Malformed) as caught:
        parser.next()
    assert caught.value.status == status


def test_the_limits_themselves_are_allowed():
    head = b"PLAY x RTSP/1.0\r\nContent-Length: %d\r\n" % BODY_BYTES
    head += b"A: b\r\n" * 63 + b"\r\n"
    [request] = parsed(head + bytes(BODY_BYTES))
    assert len(request.body) == BODY_BYTES
    assert len(request.headers) == 64


def test_a_header_cannot_smuggle_another():
    with pytest.raises(ValueError, match="control character"):
        Response(200, (("Location", "x\r\nSet: y"),)).encode()


def test_transport_alternatives_are_kept_in_order():
    header = "RTP/AVP;unicast;client_port=5000-5001, rtp/avp/tcp;unicast;interleaved=4-5;ssrc=AB"
    assert parse_transport(header) == [
        Transport("RTP/AVP", client_port=(5000, 5001)),
        Transport("RTP/AVP/TCP", channels=(4, 5), ssrc="AB"),
    ]
    assert parse_transport("RTP/AVP/TCP;interleaved=7")[0].channels == (7, 8)
    assert parse_transport("RTP/AVP/TCP;interleaved=300-301")[0].channels is None
    assert not parse_transport("RTP/AVP/TCP;multicast")[0].interleaved
    assert parse_transport("") == []


@given(st.text(max_size=100))
def test_no_transport_header_is_too_strange(text):
    parse_transport(text)
