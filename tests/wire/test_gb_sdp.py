"""SDP of GB/T 28181: what platforms write, what we answer, and anything else."""

import ipaddress
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.wire.gb_sdp import Answer, Malformed, Offer, other, parse

PLAY = """v=0
o=34020000002000000001 0 0 IN IP4 192.168.1.20
s=Play
u=34020000001320000001:0
c=IN IP4 192.168.1.20
t=0 0
m=video 30000 TCP/RTP/AVP 96 97 98 99
a=recvonly
a=rtpmap:96 PS/90000
a=rtpmap:98 H264/90000
a=setup:passive
a=connection:new
a=streamnumber:1
y=0200000001
f=v/2/6/25/1/4000a/1/8/1
""".replace("\n", "\r\n")


def test_a_live_offer_is_read() -> None:
    offer = parse(PLAY)
    assert offer == Offer(
        session="Play", device="34020000001320000001", host="192.168.1.20", port=30_000,
        transport="tcp", setup="passive", payload_types=(96, 97, 98, 99),
        maps=((96, "PS/90000"), (98, "H264/90000")), ssrc=200_000_001, stream_number=1,
        format="v/2/6/25/1/4000a/1/8/1",
    )  # fmt: skip
    assert offer.program_stream == 96


def test_a_download_says_its_span_and_speed() -> None:
    text = PLAY.replace("s=Play", "s=Download").replace("t=0 0", "t=1700000000 1700000060")
    offer = parse(text.replace("TCP/", "").replace("a=recvonly", "a=recvonly\r\na=downloadspeed:4"))
    assert (offer.session, offer.from_s, offer.to_s) == ("Download", 1_700_000_000, 1_700_000_060)
    assert (offer.transport, offer.speed) == ("udp", 4)


def test_times_since_1900_are_understood() -> None:
    text = PLAY.replace("s=Play", "s=Playback").replace("t=0 0", "t=3908988800 3908988860")
    assert (parse(text).from_s, parse(text).to_s) == (1_700_000_000, 1_700_000_060)


def test_what_a_platform_leaves_out_is_borne() -> None:
    short = "s=Play\no=x 0 0 IN IP4 1.2.3.4\nc=IN IP4 1.2.3.4\nm=video 6000 RTP/AVP 96\n"
    offer = parse(short)
    assert (offer.device, offer.ssrc, offer.setup, offer.direction) == ("", None, "passive", "")
    assert offer.program_stream == 96, "96 is a program stream unless it says otherwise"
    assert parse(short + "a=rtpmap:96 H264/90000").program_stream is None
    assert parse(short + "a=rtpmap:100 PS/90000").program_stream == 100
    assert parse(short + "y=9999999999").ssrc is None, "ten digits that are no 32 bits"
    own = short.replace("o=x", "o=34020000001320000001")
    assert parse(own).device == "34020000001320000001"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("s=Play", "s=Something", "s="),
        ("s=Play", "s=Playback", "span"),
        ("m=video 30000 TCP/RTP/AVP 96 97 98 99", "", "m="),
        ("m=video 30000 TCP/RTP/AVP 96 97 98 99", "m=video", "cut off"),
        ("m=video 30000", "m=text 30000", "neither"),
        ("m=video 30000", "m=video 70000", "no port"),
        ("TCP/RTP/AVP", "RTP/SAVP", "neither"),
        ("96 97 98 99", "x y", "payload"),
        ("c=IN IP4 192.168.1.20", "", "c="),
        ("c=IN IP4 192.168.1.20", "c=IN IP4 a;b", "address"),
        ("t=0 0", "t=0", "two numbers"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_reason(old: str, new: str, why: str) -> None:
    assert old in PLAY
    with pytest.raises(Malformed, match=re.escape(why)):
        parse(PLAY.replace(old, new))


def test_more_than_an_offer_can_be_is_refused() -> None:
    with pytest.raises(Malformed, match="16384"):
        parse(PLAY + "a=x\r\n" * 4_000)


hosts = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(
    lambda one: str(ipaddress.ip_address(one))
)


@given(
    st.sampled_from(["Play", "Playback", "Download"]),
    hosts,
    st.integers(1, 65_535),
    st.sampled_from(["udp", "tcp"]),
    st.sampled_from(["passive", "active"]),
    st.integers(0, 1_999_999_999),
    st.integers(1, 1 << 31),
    st.integers(1, 1 << 20),
    st.integers(0, 1 << 40),
)
@settings(deadline=None)
def test_an_answer_reads_back(
    session, host, port, transport, setup, ssrc, begin, long_s, size
) -> None:
    begin = begin % (1 << 30)
    answer = Answer("34020000001180000001", session, host, port, transport, setup, ssrc,
                    from_s=begin, to_s=begin + long_s % (1 << 30) + 1, size_bytes=size)  # fmt: skip
    if session != "Play" and not begin:
        return
    text = answer.text()
    assert text.endswith("\r\n")
    assert max(len(line) for line in text.splitlines()) < 80
    read = parse(text)
    assert (read.session, read.host, read.port) == (session, host, port)
    assert (read.transport, read.ssrc, read.device) == (transport, ssrc, answer.device)
    assert (read.from_s, read.to_s) == (answer.from_s, answer.to_s)
    assert read.setup == (setup if transport == "tcp" else "passive")
    assert read.direction == "sendonly"
    assert (f"a=filesize:{size}\r\n" in text) == (size > 0)
    assert re.search(r"^y=\d{10}\r$", text, re.MULTILINE)


def test_the_roles_go_together() -> None:
    assert (other("passive"), other("active")) == ("active", "passive")


lines = st.lists(
    st.one_of(
        st.sampled_from(PLAY.splitlines()),
        st.text(max_size=40),
        st.builds("{}={}".format, st.sampled_from("osucytmaf"), st.text(max_size=40)),
    ),
    max_size=20,
)


@given(lines)
@settings(max_examples=500, deadline=None)
def test_anything_is_an_offer_or_malformed(said: list[str]) -> None:
    try:
        offer = parse("\r\n".join(said))
    except Malformed:
        return
    assert 0 <= offer.port <= 65_535
    assert offer.speed >= 1
    assert offer.ssrc is None or 0 <= offer.ssrc < 1 << 32
    assert all(0 <= number < 128 for number in offer.payload_types)


def test_cut_off_anywhere_it_is_an_offer_or_malformed() -> None:
    for end in range(len(PLAY)):
        try:
            assert parse(PLAY[:end]).session == "Play"
        except Malformed:
            continue
