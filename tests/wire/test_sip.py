"""SIP messages: what was written is read, damage is refused, and nothing raises otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.sip import (
    MOST_BODY_BYTES,
    MOST_HEAD_BYTES,
    MOST_HEADERS,
    Malformed,
    Request,
    Response,
    Splitter,
    Uri,
    Via,
    arrived,
    fault,
    parse,
    parts,
    reply,
    tag_of,
)

REGISTER = (
    b"REGISTER sip:34020000002000000001@3402000000 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.9:5060;rport;branch=z9hG4bKa1\r\n"
    b"From: <sip:34020000001180000001@3402000000>;tag=1\r\n"
    b"To: <sip:34020000001180000001@3402000000>\r\n"
    b"Call-ID: r1@10.0.0.9\r\n"
    b"CSeq: 1 REGISTER\r\n"
    b"Contact: <sip:34020000001180000001@10.0.0.9:5060>\r\n"
    b"X-GB-Ver: 3.0\r\n"
    b"Max-Forwards: 70\r\n"
    b"Expires: 86400\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def test_the_example_of_the_standard_is_read() -> None:
    message = parse(REGISTER)
    assert isinstance(message, Request)
    assert message.method == "REGISTER"
    assert message.uri == "sip:34020000002000000001@3402000000"
    assert message.cseq == (1, "REGISTER")
    assert message.via == Via("UDP", "10.0.0.9", 5060, {"rport": None, "branch": "z9hG4bKa1"})
    assert tag_of(message.get("From")) == "1"
    assert tag_of(message.get("to")) == ""
    assert fault(message) == ""
    assert message.encode() == REGISTER


def test_compact_names_and_folded_lines_are_read() -> None:
    message = parse(
        b"MESSAGE sip:a@b SIP/2.0\r\nv: SIP/2.0/TCP [2001:db8::1]:5061;branch=z9hG4bK7,\r\n"
        b' SIP/2.0/UDP host\r\nf: "a, b" <sip:a@b;x=y>;tag=q\r\nt: sip:c@d;tag=w\r\ni: 1\r\n'
        b"CSEQ: 7  MESSAGE\r\nl: 2\r\n\r\nhi and more"
    )
    assert message.vias[1] == "SIP/2.0/UDP host"
    assert message.via == Via("TCP", "[2001:db8::1]", 5061, {"branch": "z9hG4bK7"})
    assert (tag_of(message.get("from")), tag_of(message.get("to"))) == ("q", "w")
    assert (message.call_id, message.cseq, message.body) == ("1", (7, "MESSAGE"), b"hi")
    assert parts('"a,b" <sip:x,y>, c') == ['"a,b" <sip:x,y>', "c"]


def test_an_answer_goes_back_to_where_the_question_really_came_from() -> None:
    asked = parse(REGISTER)
    assert isinstance(asked, Request)
    answer = reply(arrived(asked, "192.0.2.7", 1234), 401, "Unauthorized", tag="t1")
    via = answer.via
    assert via is not None
    assert via.parameters["rport"] == "1234"
    assert via.parameters["received"] == "192.0.2.7"
    assert via.branch == "z9hG4bKa1"
    assert tag_of(answer.get("to")) == "t1"
    assert (answer.call_id, answer.cseq) == (asked.call_id, asked.cseq)
    read = parse(answer.encode())
    assert isinstance(read, Response)
    assert (read.status, read.reason) == (401, "Unauthorized")


def test_a_tag_that_is_there_stays() -> None:
    asked = Request((("To", "<sip:a@b>;tag=theirs"), ("Via", "SIP/2.0/UDP h")), b"", "BYE", "sip:a")
    assert tag_of(reply(asked, 200, "OK", tag="ours").get("to")) == "theirs"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sip:34020000002000000001@192.0.2.9:5070", Uri("34020000002000000001", "192.0.2.9", 5070)),
        ('"x" <sip:a@b.c;transport=tcp?x=y>;q=1', Uri("a", "b.c", None, {"transport": "tcp"})),
        ("sip:[2001:db8::1]:5060", Uri("", "[2001:db8::1]", 5060)),
        ("sip:a@b:0", None),
        ("sip:a@b:70000", None),
        ("tel:110", None),
        ("", None),
    ],
)
def test_addresses(text: str, found: Uri | None) -> None:
    assert Uri.parse(text) == found


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"REGISTER sip:a SIP/2.0\r\nVia: x\r\n",
        b"REGISTER sip:a HTTP/1.1\r\n\r\n",
        b"SIP/2.0 99 No\r\n\r\n",
        b"SIP/2.0 OK\r\n\r\n",
        b"register sip:a SIP/2.0\r\n\r\n",
        b"MESSAGE sip:a SIP/2.0\r\nno colon\r\n\r\n",
        b"MESSAGE sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nab",
        b"MESSAGE sip:a SIP/2.0\r\nContent-Length: -3\r\n\r\nab",
        b"MESSAGE sip:a SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\nab",
        b"MESSAGE sip:a SIP/2.0\r\n" + b"a: b\r\n" * (MOST_HEADERS + 1) + b"\r\n",
        b"MESSAGE sip:a SIP/2.0\r\na: " + b"b" * MOST_HEAD_BYTES + b"\r\n\r\n",
        b"MESSAGE sip:a SIP/2.0\r\n\r\n" + b"b" * (MOST_BODY_BYTES + 1),
    ],
)
def test_damage_is_refused(damaged: bytes) -> None:
    with pytest.raises(Malformed):
        parse(damaged)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (b"Via: SIP/2.0/UDP 10.0.0.9:5060;rport;branch=z9hG4bKa1\r\n", "no Via"),
        (b"Call-ID: r1@10.0.0.9\r\n", "no Call-ID"),
        (b"CSeq: 1 REGISTER\r\n", "no CSeq"),
    ],
)
def test_what_is_missing_is_named(gone: bytes, said: str) -> None:
    assert fault(parse(REGISTER.replace(gone, b""))) == said


def test_a_number_of_another_method_is_named() -> None:
    assert fault(parse(REGISTER.replace(b"1 REGISTER", b"1 BYE"))) == "a CSeq of another method"
    assert fault(parse(REGISTER.replace(b"1 REGISTER", b"4294967296 REGISTER")))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for one in (data, REGISTER[: len(data)] + data, data + REGISTER):
        try:
            message = parse(one)
        except Malformed:
            continue
        fault(message)
        parse(message.encode())


@given(st.integers(0, len(REGISTER)), st.binary(max_size=4))
def test_a_message_damaged_anywhere_is_read_or_refused(at: int, put: bytes) -> None:
    try:
        message = parse(REGISTER[:at] + put + REGISTER[at + len(put) :])
    except Malformed:
        return
    fault(message)
    if isinstance(message, Request) and message.via:
        reply(arrived(message, "192.0.2.1", 5), 400, "Bad Request").encode()


@given(st.lists(st.binary(max_size=40), max_size=4), st.data())
def test_splitting_the_stream_changes_nothing(bodies: list[bytes], data: st.DataObject) -> None:
    messages = [
        Request((("Call-ID", str(n)),), body, "MESSAGE", "sip:a").encode()
        for n, body in enumerate(bodies)
    ]
    stream = b"\r\n\r\n".join([b"", *messages, b""])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    splitter, found = Splitter(), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:stop])
    assert found == messages


@pytest.mark.parametrize(
    "endless",
    [b"a" * (MOST_HEAD_BYTES + 1), b"M sip:a SIP/2.0\r\nContent-Length: 999999999\r\n\r\n"],
)
def test_a_stream_without_end_is_refused(endless: bytes) -> None:
    with pytest.raises(Malformed):
        Splitter().feed(endless)
