"""The client end of a replay, against a server end of ours and refusals of others."""

import pytest

from nvr.wire.digest import Login
from nvr.wire.rtsp import Parser, Request, Response, parse_transport
from nvr.wire.rtsp_client import Failed, Playing
from nvr.wire.rtsp_replay import ReplayClient, stamp

URL = "rtsp://192.0.2.1/rec/gate"
SPAN = (1_781_524_140_440_000, 1_781_524_200_000_000)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\na=control:*\r\n"
    b"m=audio 0 RTP/AVP 0\r\na=control:track=1\r\n"
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track=0\r\n"
)


def asked(client: ReplayClient) -> Request | None:
    parser = Parser(1 << 16)
    parser.feed(client.to_send())
    found = parser.next()
    assert found is None or isinstance(found, Request)
    return found


def talk(client: ReplayClient, play: int = 200) -> list[Request]:
    """Answer as a device of Profile G, up to PLAY; returns what was asked."""
    client.start()
    requests: list[Request] = []
    while (request := asked(client)) is not None:
        requests.append(request)
        headers = [("CSeq", request.header("CSeq"))]
        status, body = 200, b""
        if request.method == "DESCRIBE":
            if not request.header("Authorization"):
                status = 401
                headers.append(("WWW-Authenticate", 'Digest realm="x", nonce="n"'))
            else:
                body = SDP
                headers.append(("Content-Type", "application/sdp"))
        elif request.method == "SETUP":
            headers += [("Transport", request.header("Transport")), ("Session", "7")]
        elif request.method == "PLAY":
            status = play
        client.receive(Response(status, tuple(headers), body).encode(), 0.0)
    return requests


def client(*, sound: bool = True) -> ReplayClient:
    return ReplayClient(URL, Login("host", "secret"), SPAN, cnonce=lambda: "c", sound=sound)


@pytest.mark.parametrize("sound", [False, True])
def test_it_asks_for_a_stretch_as_fast_as_it_goes(sound: bool) -> None:
    one = client(sound=sound)
    requests = talk(one)
    assert isinstance(one.next_event(), Playing)
    methods = [request.method for request in requests]
    assert methods == ["OPTIONS", "DESCRIBE", "DESCRIBE", *["SETUP"] * (1 + sound), "PLAY"]
    for request in requests[1:]:
        assert request.header("Require") == "onvif-replay"
    play = requests[-1]
    assert play.header("Range") == "clock=20260615T114900.440Z-20260615T115000.000Z"
    assert play.header("Rate-Control") == "no"
    assert len(parse_transport(requests[3].header("Transport"))) == 1
    uris = {request.uri[-7:] for request in requests if request.method == "SETUP"}
    assert uris == ({"track=0", "track=1"} if sound else {"track=0"})


@pytest.mark.parametrize("status", [457, 451, 404, 500, 551])
def test_a_refused_stretch_is_not_asked_for_without_its_times(status: int) -> None:
    one = client()
    plays = [request for request in talk(one, status) if request.method == "PLAY"]
    assert isinstance(one.next_event(), Failed)
    assert all(play.header("Range").startswith("clock=") for play in plays)


@pytest.mark.parametrize("at_us", [-5, 0, 1 << 70])
def test_no_time_is_beyond_a_date(at_us: int) -> None:
    assert stamp(at_us).endswith("Z")
