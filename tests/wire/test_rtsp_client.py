"""What our client does with servers that offer less, say other things, or hang up."""

import pytest

from nvr.wire.control import spellings
from nvr.wire.rtsp import Frame, Request, Response
from nvr.wire.rtsp_client import Client, Failed, Moved, Playing
from tests.wire.test_rtsp_session import URL, Camera, requests, talk


def begin(deliveries=("tcp", "udp", "multicast"), **options):
    ports = iter(range(50_000, 60_000, 2))
    client = Client(
        options.pop("url", URL),
        None,
        cnonce=lambda: "c",
        deliveries=deliveries,
        ports=lambda: pair(ports),
        **options,
    )
    client.start()
    return client


def pair(ports):
    low = next(ports)
    return low, low + 1


def transport(text, **more):
    return Response(200, (("Transport", text), ("Session", "1"), *more.items()))


def asked(camera, method):
    return [request for request in camera.asked if request.method == method]


def test_what_is_refused_is_followed_by_the_next_on_the_same_connection():
    udp = "RTP/AVP;unicast;client_port={0}-{1};server_port=6970-6971;source=192.0.2.9"
    camera = Camera(
        SETUP=[
            Response(461),
            transport(udp.format(50_000, 50_001)),
            transport(udp.format(50_002, 50_003)),
        ]
    )
    [playing] = talk(begin(), camera)
    wishes = [request.header("Transport") for request in asked(camera, "SETUP")]
    assert wishes == [
        "RTP/AVP/TCP;unicast;interleaved=0-1",
        "RTP/AVP;unicast;client_port=50000-50001",
        "RTP/AVP;unicast;client_port=50002-50003",
    ]
    assert isinstance(playing, Playing)
    assert playing.refused == ("tcp",)
    assert {track.delivery for track in playing.tracks} == {"udp"}
    assert playing.tracks[0].transport.server_port == (6970, 6971)
    assert playing.tracks[0].transport.source == "192.0.2.9"


def test_a_group_is_the_last_that_one_connection_can_offer():
    group = "RTP/AVP;multicast;destination=239.1.2.3;port=5000-5001;ttl=4"
    camera = Camera(SETUP=[Response(461), Response(461), transport(group), transport(group)])
    [playing] = talk(begin(), camera)
    said = playing.tracks[0].transport
    assert (said.destination, said.group_port, said.ttl) == ("239.1.2.3", (5000, 5001), 4)
    assert playing.refused == ("tcp", "udp")
    [failed] = talk(begin(), Camera(SETUP=[Response(461)] * 9))
    assert (failed.code, failed.status) == ("camera.no_transport", 461)


def test_a_server_that_answers_with_tcp_when_asked_for_udp_is_taken_at_its_word():
    camera = Camera(SETUP=[transport("RTP/AVP/TCP;interleaved=0-1"), transport("RTP/AVP/TCP")])
    [playing] = talk(begin(("udp",)), camera)
    assert [(track.delivery, track.channel) for track in playing.tracks] == [("tcp", 0), ("tcp", 2)]


@pytest.mark.parametrize(
    ("control", "right"),
    [
        ("trackID=0", "rtsp://192.0.2.5/s/trackID=0?a=1"),  # the query stays behind
        ("trackID=0", "rtsp://192.0.2.5/s?a=1/trackID=0"),  # as players write it
        ("rtsp://10.0.0.1:5554/s/t0?b=2", "rtsp://192.0.2.5/s/t0?b=2"),  # behind a NAT
    ],
)
def test_a_track_is_asked_for_in_the_spellings_that_servers_take(control, right):
    url = "rtsp://192.0.2.5/s?a=1"
    assert spellings(url, url, control)[0] != right or "?a=1/" in right
    assert right in spellings(url, url, control)
    assert len(spellings(url, url, control)) <= 4


def test_a_content_base_that_nobody_has_is_given_up_for_the_address_we_know():
    class Behind(Camera):
        def usual(self, request):
            if request.method == "DESCRIBE":
                found = super().usual(request)
                return Response(200, (("Content-Base", "rtsp://10.0.0.1/stream/"),), found.body)
            if "10.0.0.1" in request.uri:
                return Response(404)
            return super().usual(request)

    camera, client = Behind(), begin()
    [playing] = talk(client, camera)
    assert isinstance(playing, Playing)
    assert [r.uri for r in asked(camera, "SETUP")] == [
        "rtsp://10.0.0.1/stream/trackID=0",
        URL + "/trackID=0",
        URL + "/trackID=1",
    ]
    assert asked(camera, "PLAY")[-1].uri == URL + "/"
    client.wake(client.wake_at())
    assert requests(client)[0].uri == URL + "/", "and so it is kept alive"


def test_a_server_without_aggregate_control_is_played_track_by_track():
    camera = Camera(PLAY=[Response(459)])
    [playing] = talk(begin(), camera)
    assert isinstance(playing, Playing)
    assert [r.uri for r in asked(camera, "PLAY")][1:] == [URL + "/trackID=0", URL + "/trackID=1"]


def test_a_server_that_knows_no_range_is_played_without():
    camera = Camera(PLAY=[Response(457)])
    assert isinstance(talk(begin(), camera)[0], Playing)
    assert [bool(r.header("Range")) for r in asked(camera, "PLAY")] == [True, False]


def methods(client, times=4):
    """Methods of its keepalives, each refused."""
    found = []
    for _ in range(times):
        client.wake(client.wake_at())
        for request in requests(client):
            found.append(request.method)
            cseq = (("CSeq", request.header("CSeq")),)
            client.receive(Response(501, cseq).encode(), 0.0)
    return found


@pytest.mark.parametrize(
    ("public", "unborne", "kept"),
    [
        ("", (), ["GET_PARAMETER", "OPTIONS", "OPTIONS", "OPTIONS"]),
        ("OPTIONS, SET_PARAMETER", (), ["SET_PARAMETER", "OPTIONS", "OPTIONS", "OPTIONS"]),
        ("GET_PARAMETER", ("GET_PARAMETER",), ["OPTIONS"] * 4),
        ("GET_PARAMETER", ("OPTIONS",), ["GET_PARAMETER"] * 4),
    ],
)
def test_a_session_is_kept_alive_in_a_way_the_server_bears(public, unborne, kept):
    camera = Camera(OPTIONS=[Response(200, (("Public", public),))])
    client = begin(unborne=frozenset(unborne))
    talk(client, camera)
    assert ("OPTIONS" in [r.method for r in camera.asked]) == ("OPTIONS" not in unborne)
    assert methods(client) == kept


def test_what_was_not_answered_is_known_when_the_server_hangs_up():
    client = begin()
    assert client.unanswered == "OPTIONS"
    talk(client, Camera())
    assert client.unanswered == ""
    client.wake(client.wake_at())
    assert client.unanswered == "GET_PARAMETER"


def moved(location):
    return Response(302, (("Location", location),))


@pytest.mark.parametrize(
    ("location", "url", "foreign"),
    [
        ("rtsp://192.0.2.5/other", "rtsp://192.0.2.5/other", False),
        ("rtsp://192.0.2.6:8554/x", "rtsp://192.0.2.6:8554/x", True),
        ("rtsps://192.0.2.5/x", "rtsps://192.0.2.5/x", False),
        ("/other?x=1", "rtsp://192.0.2.5/other?x=1", False),
    ],
)
@pytest.mark.parametrize("at", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_a_redirect_is_told_with_whether_it_leads_to_a_stranger(location, url, foreign, at):
    assert talk(begin(), Camera(**{at: [moved(location)]})) == [Moved(url, foreign)]


@pytest.mark.parametrize(
    "location", ["", "http://192.0.2.5/", "rtsp://u:p@192.0.2.5/", "rtsp:///x", "rtsp://[::1/x"]
)
def test_a_redirect_to_nowhere_is_refused(location):
    [failed] = talk(begin(), Camera(DESCRIBE=[moved(location)]))
    assert failed.code == "camera.redirected"


def test_nobody_is_led_out_of_tls():
    client = begin(("tcp",), url="rtsps://192.0.2.5/x")
    [failed] = talk(client, Camera(DESCRIBE=[moved("rtsp://192.0.2.5/x")]))
    assert isinstance(failed, Failed)
    assert failed.code == "camera.redirected"


def test_a_server_may_send_us_elsewhere_while_it_plays():
    client = begin()
    talk(client, Camera())
    told = Request("REDIRECT", URL, (("CSeq", "1"), ("Location", "rtsp://192.0.2.5/new")))
    client.receive(told.encode(), 1.0)
    assert client.next_event() == Moved("rtsp://192.0.2.5/new", foreign=False)
    assert client.to_send().startswith(b"RTSP/1.0 200")


def test_junk_before_an_answer_is_passed_over_once_the_server_has_spoken():
    class Littering(Camera):
        def answer(self, request):
            said = super().answer(request)
            return said if request.method == "OPTIONS" else b"\0\xffjunk" + said

    assert isinstance(talk(begin(), Littering())[0], Playing)
    early = Frame(0, b"early").encode()
    [playing] = talk(begin(), Camera(PLAY=[b"\0\0" + early + b"RTSP/1.0 200 OK\r\n\r\n"]))
    assert playing.rest == early
