"""Probes and matches of WS-Discovery as bytes; over a network in `tests/link/test_discover.py`."""

from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.wsdiscovery import KINDS, matches, probe
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
