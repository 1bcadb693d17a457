"""Client and server ends against each other, and against recorded habits of cameras."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.control import resolve
from nvr.wire.digest import Login, challenges
from nvr.wire.rtsp import Frame, Parser, Request, Response
from nvr.wire.rtsp_client import Client, Failed, Moved, Playing
from nvr.wire.rtsp_session import Ended, Group, Server

SDP = b"""v=0
s=x
a=control:*
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=control:trackID=0
m=audio 0 RTP/AVP 8
a=control:trackID=1
m=application 0 RTP/AVP 107
a=rtpmap:107 vnd.onvif.metadata/90000
"""
URL = "rtsp://192.0.2.5/stream"


def requests(client):
    parser, found = Parser(), []
    parser.feed(client.to_send())
    while item := parser.next():
        found.append(item)
    return found


class Camera:
    """Answers like a camera; `replies` overrides what a method gets, once each."""

    def __init__(self, **replies):
        self.replies = {method: list(answers) for method, answers in replies.items()}
        self.asked = []
        self.channels = 0

    def answer(self, request):
        self.asked.append(request)
        if self.replies.get(request.method):
            made = self.replies[request.method].pop(0)
            if isinstance(made, bytes):
                return made
        else:
            made = self.usual(request)
        cseq = ("CSeq", request.header("CSeq"))
        return Response(made.status, (cseq, *made.headers), made.body).encode()

    def usual(self, request):
        match request.method:
            case "OPTIONS":
                return Response(200, (("Public", "DESCRIBE, SETUP, PLAY, GET_PARAMETER"),))
            case "DESCRIBE":
                return Response(200, (("Content-Base", URL + "/"),), SDP)
            case "SETUP":
                session = ("Session", "12345;timeout=30")
                return Response(200, (("Transport", request.header("Transport")), session))
        return Response(200)


def talk(client, camera, now_s=0.0):
    """Run the conversation until the client falls silent; return its events."""
    events = []
    for _ in range(30):
        asked = requests(client)
        if not asked:
            break
        for request in asked:
            client.receive(camera.answer(request), now_s)
            while event := client.next_event():
                events.append(event)
    return events


def begin(url=URL, login=None):
    client = Client(url, login, cnonce=lambda: "cnonce")
    client.start()
    return client


def test_the_usual_conversation_sets_up_sound_and_picture():
    camera = Camera()
    client = begin()
    [playing] = talk(client, camera)
    assert [r.method for r in camera.asked] == ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"]
    assert camera.asked[2].uri == URL + "/trackID=0"
    assert camera.asked[4].uri == URL + "/"
    assert camera.asked[4].header("Session") == "12345"
    assert [(t.media.codec, t.channel) for t in playing.tracks] == [("h264", 0), ("pcma", 2)]
    assert playing.skipped == ()


def test_keepalives_come_at_half_the_time_out():
    camera, client = Camera(), begin()
    assert client.wake_at() is None
    talk(client, camera, now_s=100.0)
    assert client.wake_at() == 115.0
    client.wake(114.0)
    assert requests(client) == []
    client.wake(115.0)
    [request] = requests(client)
    assert (request.method, request.header("Session")) == ("GET_PARAMETER", "12345")
    refused = Response(501, (("CSeq", request.header("CSeq")),))
    client.receive(refused.encode(), 115.1)
    client.wake(130.0)
    assert requests(client)[0].method == "OPTIONS"


def test_a_session_the_camera_forgot_is_lost():
    camera, client = Camera(), begin()
    talk(client, camera)
    client.wake(50.0)
    [request] = requests(client)
    client.receive(Response(454, (("CSeq", request.header("CSeq")),)).encode(), 50.0)
    assert client.next_event().code == "camera.lost"


def test_a_camera_that_wants_a_password_gets_the_digest():
    denied = Response(401, tuple(("WWW-Authenticate", c) for c in challenges("cam", "abc")))
    camera = Camera(DESCRIBE=[denied])
    [event] = talk(begin(login=Login("u", "p")), camera)
    assert isinstance(event, Playing)
    assert "SHA-256" in camera.asked[2].header("Authorization")
    assert all("response=" in request.header("Authorization") for request in camera.asked[2:])


@pytest.mark.parametrize("login", [None, Login("u", "wrong")])
def test_a_refused_password_is_refused_after_one_try(login):
    denied = Response(401, tuple(("WWW-Authenticate", c) for c in challenges("cam", "abc")))
    camera = Camera(DESCRIBE=[denied] * 9)
    [event] = talk(begin(login=login), camera)
    assert event.code == "camera.refused"
    assert len(camera.asked) <= 3


def test_pictures_that_overtake_the_answer_to_play_are_kept():
    early = Frame(0, b"early").encode()
    late = Frame(0, b"late").encode()[:6]
    played = b"RTSP/1.0 200 OK\r\n\r\n"
    [playing] = talk(begin(), Camera(PLAY=[early + played + late]))
    assert playing.rest == early + late


def test_a_camera_may_choose_its_own_channels():
    setup = [
        Response(200, (("Transport", f"RTP/AVP/TCP;interleaved={low}-{low + 1}"), ("Session", "1")))
        for low in (4, 8)
    ]
    [playing] = talk(begin(), Camera(SETUP=setup))
    assert [t.channel for t in playing.tracks] == [4, 8]


def test_sound_that_cannot_be_had_does_not_cost_the_picture():
    setup = Request("SETUP", "x", (("Transport", "RTP/AVP/TCP;interleaved=0-1"),))
    [playing] = talk(begin(), Camera(SETUP=[Camera().usual(setup), Response(500)]))
    assert [t.media.codec for t in playing.tracks] == ["h264"]
    assert playing.skipped == ("PCMA",)


def transport(value):
    return [Response(200, (("Transport", value),))]


def moved(*where):
    return [Response(302, tuple(("Location", url) for url in where))]


@pytest.mark.parametrize(
    ("camera", "code"),
    [
        (Camera(DESCRIBE=[Response(404)]), "camera.not_found"),
        (Camera(DESCRIBE=[Response(503)]), "camera.protocol"),
        (Camera(DESCRIBE=[Response(403)]), "camera.refused"),
        (Camera(DESCRIBE=[Response(200)]), "camera.protocol"),
        (Camera(DESCRIBE=[Response(200, (), b"m=video 0 RTP/AVP 31\n")]), "camera.unsupported"),
        (Camera(SETUP=[Response(461)]), "camera.no_tcp"),
        (Camera(SETUP=transport("RTP/AVP;client_port=1-2")), "camera.no_tcp"),
        (Camera(PLAY=[Response(500)]), "camera.protocol"),
        (Camera(OPTIONS=[b"\xff\xd8\xff\xe0 a JPEG"]), "camera.garbage"),
        (Camera(DESCRIBE=moved("rtsp://u:p@192.0.2.5/")), "camera.redirected"),
        (Camera(DESCRIBE=moved()), "camera.redirected"),
    ],
)  # fmt: skip
def test_every_refusal_has_its_code(camera, code):
    [event] = talk(begin(), camera)
    assert isinstance(event, Failed)
    assert event.code == code
    assert event.detail


def test_a_redirect_on_the_same_host_is_followed():
    camera = Camera(DESCRIBE=[Response(302, (("Location", "rtsp://192.0.2.5:1554/a"),))])
    assert talk(begin(), camera) == [Moved("rtsp://192.0.2.5:1554/a")]


def test_the_camera_may_ask_too():
    camera, client = Camera(), begin()
    talk(client, camera)
    client.receive(Request("OPTIONS", "*", (("CSeq", "7"),)).encode(), 1.0)
    client.receive(Request("ANNOUNCE", "*", (("CSeq", "8"),)).encode(), 1.0)
    assert client.to_send().startswith(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n\r\nRTSP/1.0 501")
    client.receive(Request("TEARDOWN", "*", (("CSeq", "9"),)).encode(), 1.0)
    assert client.next_event().code == "camera.lost"


def test_credentials_in_the_address_are_a_mistake_of_ours():
    with pytest.raises(ValueError, match="credentials"):
        Client("rtsp://u:p@h/x", None, cnonce=str)


@pytest.mark.parametrize(
    ("base", "control", "url"),
    [
        ("rtsp://h/a/", "trackID=1", "rtsp://h/a/trackID=1"),
        ("rtsp://h/a", "trackID=1", "rtsp://h/a/trackID=1"),
        ("rtsp://h/a?x=1", "/track1", "rtsp://h/a?x=1/track1"),
        ("rtsp://h/a", "*", "rtsp://h/a"),
        ("rtsp://h/a", "", "rtsp://h/a"),
        ("rtsp://h/a", "rtsp://other/t", "rtsp://other/t"),
    ],
)
def test_controls_are_resolved_as_players_do(base, control, url):
    assert resolve(base, control) == url


@given(st.lists(st.binary(max_size=60) | st.sampled_from([
    b"RTSP/1.0 200 OK\r\n\r\n", b"RTSP/1.0 401 No\r\nWWW-Authenticate: Digest nonce=\"a\"\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nContent-Length: 40\r\n\r\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/900",
    b"$\x00\x00\x02ab", b"TEARDOWN x RTSP/1.0\r\n\r\n",
]), max_size=12))  # fmt: skip
def test_nothing_a_camera_says_raises(pieces):
    client = begin(login=Login("u", "p"))
    for piece in pieces:
        client.receive(piece, 0.0)
        client.wake(1000.0)
        client.to_send()


def ask(server, method, uri="rtsp://box/cam/gate", **headers):
    sent = (("CSeq", "1"), *((name, value) for name, value in headers.items()))
    server.receive(Request(method, uri, sent).encode())
    return server.next_event()


def status(server):
    return int(server.to_send().split(b" ")[1])


def test_a_reader_sets_up_only_interleaved_transport():
    server = Server("sid")
    request = ask(server, "SETUP", Transport="RTP/AVP;unicast;client_port=5000-5001")
    server.set_up(request, 0)
    assert status(server) == 461
    request = ask(server, "SETUP", Transport="RTP/AVP/UDP,RTP/AVP/TCP;unicast;interleaved=2-3")
    server.set_up(request, 0)
    assert status(server) == 200
    request = ask(server, "SETUP", Transport="RTP/AVP/TCP;unicast;interleaved=3-4")
    server.set_up(request, 1)
    assert status(server) == 461, "the channels overlap"
    request = ask(server, "SETUP", Transport="RTP/AVP/TCP;unicast", Session="sid")
    server.set_up(request, 0)
    assert b"interleaved=0-1" in server.to_send()
    assert server.channels == {0: 0}


def test_a_reader_that_wants_a_group_is_told_which():
    group = Group("239.192.7.3", "192.0.2.5", (20_024, 20_025), 4)
    wanted = "RTP/AVP/TCP;multicast, RTP/AVP;multicast;destination=224.0.0.9;port=9-10;ttl=255"
    server = Server("s1")
    request = ask(server, "SETUP", Transport=wanted)
    server.set_up(request, 1, None, group)
    said = server.to_send().decode()
    assert (
        "Transport: RTP/AVP;multicast;destination=239.192.7.3;source=192.0.2.5"
        ";port=20024-20025;ttl=4\r\n" in said
    )
    assert (server.channels, server.multicast) == ({1: 2}, {1})
    server.set_up(request, 0, None, None)
    assert status(server) == 461
    request = ask(server, "SETUP", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
    server.set_up(request, 0, None, group)
    assert status(server) == 461, "one way for all tracks"
    server = Server("s2")
    server.set_up(request, 0, None, group)
    assert status(server) == 200
    request = ask(server, "SETUP", Transport=wanted)
    server.set_up(request, 1, None, group)
    assert status(server) == 461


def test_a_session_belongs_to_its_connection():
    server = Server("sid")
    assert ask(server, "PLAY", Session="other") is None
    assert status(server) == 454
    assert ask(server, "PLAY") is None
    assert status(server) == 454
    assert ask(server, "PLAY", Session="sid") is None
    assert status(server) == 455
    server.set_up(ask(server, "SETUP", Transport="RTP/AVP/TCP"), 0)
    server.to_send()
    assert ask(server, "PLAY", Session="sid;timeout=60").method == "PLAY"


def test_rules_are_kept_before_anything_is_done():
    server = Server("sid")
    assert ask(server, "RECORD") is None
    assert status(server) == 501
    assert ask(server, "OPTIONS", Require="implicit-play") is None
    assert status(server) == 551
    server.receive(b"OPTIONS * RTSP/1.0\r\n\r\n")
    assert server.next_event() is None
    assert status(server) == 400
    server.receive(Frame(1, b"receiver report").encode())
    assert server.next_event() is None
    server.receive(b"\x16\x03\x01 TLS hello")
    assert isinstance(server.next_event(), Ended)
    assert status(server) == 400


def test_what_a_peer_may_require_is_said_at_the_start():
    server = Server("s", frozenset({"onvif-replay"}))
    assert ask(server, "OPTIONS", Require="onvif-replay") is not None
    assert ask(server, "OPTIONS", Require="onvif-replay, telepathy") is None
