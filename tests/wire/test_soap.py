"""SOAP as bytes: what is read, refused, and how answers read."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.soap import (
    SPACES,
    Fault,
    child,
    count,
    duration,
    duration_s,
    envelope,
    fault,
    instant,
    instant_us,
    leaf,
    read,
    tag,
)
from nvr.wire.xml import Malformed, parse

TDS = SPACES["tds"]
DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"


def token(nonce="bm9uY2U=", digest=None, kind="#PasswordDigest", user="host", created="C") -> str:
    made = hashlib.sha1(b"nonce" + b"C" + b"secret").digest()
    value = base64.b64encode(made).decode() if digest is None else digest
    return (
        f'<Security><UsernameToken><Username>{user}</Username><Password Type="{DIGEST}{kind}">'
        f"{value}</Password><Nonce>{nonce}</Nonce><Created>{created}</Created>"
        "</UsernameToken></Security>"
    )


def request(head: str = "", body: str = f'<GetScopes xmlns="{TDS}"/>') -> bytes:
    return (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
        f"<s:Header>{head}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def test_a_request_is_read_by_its_name_space_whatever_its_prefix() -> None:
    prefixed = f'<x:Move xmlns:x="{TDS}"><x:Token>p1</x:Token></x:Move>'
    for body, name in ((prefixed, "Move"), (f'<Move xmlns="{TDS}"/>', "Move")):
        found = read(request("<MessageID>urn:1</MessageID>", body))
        assert (found.space, found.operation, found.message_id) == (TDS, name, "urn:1")
        assert found.token is None
    assert read(request(body="<tds:Move/>")).space == ""
    inner = read(request(body=f'<a:Out xmlns:a="A"><b:In xmlns:b="{TDS}"/><c/></a:Out>')).body
    assert [one.space for one in inner.children] == [TDS, ""]
    headless = f'<Envelope><Body><GetScopes xmlns="{TDS}"/></Body></Envelope>'
    assert read(headless.encode()).operation == "GetScopes"


def test_a_token_proves_what_it_knows() -> None:
    found = read(request(token())).token
    assert found is not None
    assert (found.user, found.nonce, found.created) == ("host", b"nonce", "C")
    assert found.proves("secret")
    assert not found.proves("Secret")


@pytest.mark.parametrize(
    "bad",
    [
        token(kind="#PasswordText"),
        token(nonce="!"),
        token(nonce=""),
        token(nonce=base64.b64encode(b"n" * 129).decode()),
        token(digest="é"),
        token(user=""),
        token(created=""),
        token(created="C" * 65),
        "<UsernameToken><Username>host</Username></UsernameToken>",
    ],
)
def test_a_token_that_cannot_be_checked_is_none(bad: str) -> None:
    assert read(request(bad)).token is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<Body/>",
        b"<Envelope/>",
        b"<Envelope><Body/></Envelope>",
        b"<Envelope><Header><Body><a/></Body></Header></Envelope>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><Envelope><Body><a>&b;</a></Body></Envelope>",
        request(body="<a>" * 40 + "</a>" * 40),
        request(body="<r>" + "<a/>" * 3000 + "</r>"),
        request(body="<a>" + "a" * 70_000 + "</a>"),
    ],
)
def test_what_is_no_request_or_too_much_of_one_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


@given(st.integers(0, 400), st.binary(max_size=8), st.integers(0, 40))
def test_a_damaged_request_is_refused_or_read_and_nothing_else(
    at: int, put: bytes, cut: int
) -> None:
    whole = request(token())
    try:
        found = read(whole[:at] + put + whole[at + cut :])
    except ValueError:
        return
    if found.token is not None:
        found.token.proves("secret")


def test_an_answer_says_what_it_is_about_and_escapes_what_it_holds() -> None:
    body = tag("tds:R", leaf("tt:Name", '<&"'), leaf("tt:On", True), token='"<', Fixed=False, N=2)
    found = parse(envelope(body, "urn:1", "urn:action"))
    assert (found.said("RelatesTo"), found.said("Action")) == ("urn:1", "urn:action")
    told = found.first("R")
    assert told is not None
    assert told.space == TDS
    assert told.attributes == {"token": '"<', "Fixed": "false", "N": "2"}
    assert (told.said("Name"), told.said("On")) == ('<&"', "true")
    assert parse(envelope(tag("tds:R"), "urn:1")).first("Action") is None
    bare = parse(envelope(leaf("tt:F", 0.5)))
    assert bare.first("Header") is None
    assert bare.said("F") == "0.5"
    assert child(bare, "Nothing") is None


def test_a_fault_has_its_codes_inside_each_other() -> None:
    found = parse(envelope(fault(Fault("no <such>", "ter:InvalidArgVal", "ter:NoProfile"))))
    values = [one.text for one in found.all("Value")]
    assert values == ["s:Sender", "ter:InvalidArgVal", "ter:NoProfile"]
    assert found.said("Subcode", "Subcode", "Value") == "ter:NoProfile"
    assert found.said("Text") == "no <such>"
    assert "s:Receiver" in fault(Fault("ours", receiver=True))


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01.5", 1_500_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("1970-01-01", None),
        ("soon", None),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000_000),
    ],
)
def test_instants(text: str, at_us: int | None) -> None:
    assert instant_us(text) == at_us


def test_an_instant_is_told_in_milliseconds() -> None:
    assert instant(1_500_000) == "1970-01-01T00:00:01.500Z"
    assert instant_us(instant(1_796_056_356_193_000)) == 1_796_056_356_193_000


def test_an_instant_outside_of_the_calendar_is_one_at_its_end() -> None:
    assert instant(-(10**17)) == "1970-01-01T00:00:00.000Z"
    assert instant(1 << 62).startswith("9999-12-31T23:59:59")


def test_a_number_of_things_is_no_more_than_there_can_be() -> None:
    found = [count(text, 50) for text in ("7", "51", "9" * 5000, "", "-1", "²", "x")]
    assert found == [7, 50, 50, 50, 50, 50, 50]


@pytest.mark.parametrize(
    ("text", "length_s"),
    [
        ("PT5S", 5), ("PT0.5S", 0.5), ("PT1M", 60), ("P1DT1H", 90_000), ("PT1H1M1.25S", 3661.25),
        ("P", None), ("PT", None), ("P1DT", None), ("5", None), ("", None), ("-PT5S", None),
        ("P1Y", None), ("PT1.S", None),
    ],
)  # fmt: skip
def test_durations(text: str, length_s: float | None) -> None:
    assert duration_s(text) == length_s


@given(st.floats(0.001, 100_000).map(lambda s: round(s, 3)))
def test_a_duration_that_was_told_is_read(length_s: float) -> None:
    assert duration_s(duration(length_s)) == pytest.approx(length_s)
