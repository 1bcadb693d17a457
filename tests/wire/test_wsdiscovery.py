"""Probes and matches of WS-Discovery as bytes; over a network in `tests/link/test_discover.py`."""

from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.wsdiscovery import (
    KINDS,
    Asked,
    Match,
    announcement,
    answer,
    asked,
    matches,
    probe,
)
from nvr.wire.xml import parse

ANSWER = b"""<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><SOAP-ENV:Header>
<wsa:RelatesTo>urn:uuid:1</wsa:RelatesTo></SOAP-ENV:Header><SOAP-ENV:Body><d:ProbeMatches>
<d:ProbeMatch><wsa:EndpointReference><wsa:Address>urn:uuid:cam</wsa:Address></wsa:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>
<d:Scopes>onvif://www.onvif.org/name/HIKVISION%20DS-2CD onvif://www.onvif.org/hardware/DS_2CD
onvif://www.onvif.org/Profile/Streaming</d:Scopes>
<d:XAddrs>http://192.0.2.64/onvif/device_service http://[fe80::1]/onvif/device_service</d:XAddrs>
<d:MetadataVersion>10</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body>
</SOAP-ENV:Envelope>"""


def test_an_answer_is_read() -> None:
    (found,) = matches(ANSWER, frozenset(("urn:uuid:1",)))
    assert found.endpoint == "urn:uuid:cam"
    assert found.types == ("NetworkVideoTransmitter", "Device")
    assert found.addresses[0] == "http://192.0.2.64/onvif/device_service"
    assert found.scope("name") == "HIKVISION DS-2CD"
    assert found.scope("hardware") == "DS 2CD"
    assert found.scope("location") == ""


def test_an_answer_to_somebody_else_is_none() -> None:
    assert matches(ANSWER, frozenset(("urn:uuid:2",))) == ()


def test_a_probe_asks_for_one_kind_and_says_whose_prefix_that_is() -> None:
    for kind in (*KINDS, None):
        asked = parse(probe("urn:uuid:7", kind))
        assert asked.said("MessageID") == "urn:uuid:7"
        assert asked.said("Types") == (kind or "")
    assert b'xmlns:dn="http://www.onvif.org/ver10/network/wsdl"' in probe("x", KINDS[0])


def test_answers_are_bounded() -> None:
    one = ANSWER[ANSWER.index(b"<d:ProbeMatch>") : ANSWER.index(b"</d:ProbeMatches>")]
    many = ANSWER.replace(one, one * 40)
    assert len(matches(many, frozenset(("urn:uuid:1",)))) == 16
    long = ANSWER.replace(b"urn:uuid:cam", b"u" * 5000)
    assert len(matches(long, frozenset(("urn:uuid:1",)))[0].endpoint) == 256


@given(st.integers(0, len(ANSWER)), st.binary(max_size=8), st.integers(0, 40))
def test_a_damaged_answer_is_refused_or_read_and_nothing_else(
    at: int, put: bytes, cut: int
) -> None:
    damaged = ANSWER[:at] + put + ANSWER[at + cut :]
    try:
        found = matches(damaged, frozenset(("urn:uuid:1",)))
    except ValueError:
        return
    for one in found:
        one.scope("name")


US = Match(
    "urn:uuid:us",
    ("dn:NetworkVideoTransmitter", "tds:Device"),
    ("onvif://www.onvif.org/type/video_encoder", "onvif://www.onvif.org/name/n%20vr"),
    ("http://192.0.2.1:8000/onvif/device_service",),
)


def test_all_four_habits_of_asking_mean_us() -> None:
    for kind in (*KINDS, None):
        found = asked(probe("urn:uuid:7", kind))
        assert found is not None
        assert found.means(US)
    both = probe("urn:uuid:7", KINDS[0]).replace(b">dn:N", b">tds:Device dn:N")
    assert asked(both).means(US)
    other = probe("urn:uuid:7", KINDS[0]).replace(b">dn:NetworkVideoT", b">dn:NetworkVideoD")
    assert not asked(other).means(US)


def test_scopes_are_matched_by_whole_segments() -> None:
    for scope, means in (("type", True), ("type/", True), ("typ", False), ("name/n%20vr", True)):
        found = Asked("probe", "urn:1", (), (f"onvif://www.onvif.org/{scope}",))
        assert found.means(US) == means


def test_who_resolves_names_us() -> None:
    text = probe("urn:uuid:7", None).decode()
    text = text.replace(
        "<d:Probe></d:Probe>",
        "<d:Resolve><a:EndpointReference><a:Address>urn:uuid:us</a:Address>"
        "</a:EndpointReference></d:Resolve>",
    )
    found = asked(text.encode())
    assert found is not None
    assert found.means(US)
    assert not Asked("resolve", "urn:1", endpoint="urn:uuid:them").means(US)
    told = parse(answer("urn:uuid:9", found, US, (5, 2)))
    assert told.first("ResolveMatches", "ResolveMatch") is not None


def test_our_answer_is_one_that_our_own_search_reads() -> None:
    found = asked(probe("urn:uuid:7", KINDS[1]))
    assert found is not None
    (seen,) = matches(answer("urn:uuid:9", found, US, (5, 2)), frozenset(("urn:uuid:7",)))
    assert (seen.endpoint, seen.addresses) == (US.endpoint, US.addresses)
    assert seen.types == ("NetworkVideoTransmitter", "Device")
    assert seen.scope("name") == "n vr"


def test_what_does_not_ask_is_not_answered() -> None:
    assert asked(ANSWER) is None
    assert asked(b"<a/>") is None
    assert asked(probe("", None)) is None
    hello = announcement("urn:uuid:9", "Hello", US, (5, 1))
    assert asked(hello) is None
    assert parse(hello).first("Hello", "XAddrs") is not None
    assert parse(announcement("urn:uuid:9", "Bye", US, (5, 1))).first("Bye") is not None
    assert asked(hello.replace(b"<s:Body>", b"<s:Body/><x>").replace(b"</s:Body>", b"</x>")) is None
