# ruff: noqa: SIM117 - the server outside, its peers inside
"""The rules of the server, spoken by hand."""

import asyncio
import hashlib

import pytest

from nvr.base.errors import Rejected
from nvr.serve.rtsp import Limits
from nvr.serve.rtsp_place import Place, parse_place
from nvr.wire.digest import Login
from nvr.wire.rtsp import Frame, Parser, Request
from tests.serve.source import Camera, serving
from tests.serve.test_rtsp_peers import SECRET, USER, access


class Peer:
    """A client that says exactly what a test wants."""

    def __init__(self, port, login=None, own="127.0.0.1"):
        self.own = own
        self.url = f"rtsp://127.0.0.1:{port}/cam/gate"
        self.port = port
        self.login = login
        self.cseq = 0
        self.parser = Parser()
        self.session = ""
        self.frames = []

    async def __aenter__(self):
        self.input, self.output = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(self.own, 0)
        )
        return self

    async def __aexit__(self, *_):
        self.output.close()

    async def read(self, timeout_s=5.0):
        """The next response or frame; None at the end of the connection."""
        async with asyncio.timeout(timeout_s):
            while (item := self.parser.next()) is None:
                data = await self.input.read(65536)
                if not data:
                    return None
                self.parser.feed(data)
        return item

    async def say(self, data):
        self.output.write(data)
        await self.output.drain()

    async def ask(self, method, uri="", *headers, session=True, authorize=True):
        self.cseq += 1
        uri = uri or self.url
        sent = [("CSeq", str(self.cseq)), *headers]
        if session and self.session:
            sent.append(("Session", self.session))
        proof = self.login and authorize and self.login.authorization(method, uri, "cnonce")
        if proof:
            sent.append(("Authorization", proof))
        self.last = Request(method, uri, tuple(sent)).encode()
        await self.say(self.last)
        while isinstance(answer := await self.read(), Frame):
            self.frames.append(answer)
        if answer and answer.status == 401 and self.login and authorize:
            if self.login.challenged(answer.all("WWW-Authenticate")):
                return await self.ask(method, uri, *headers, session=session)
        elif answer and self.login:
            self.login.accepted()
        if answer and answer.header("Session"):
            self.session = answer.header("Session").partition(";")[0]
        return answer

    async def set_up(self):
        tcp = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
        assert (await self.ask("DESCRIBE")).status == 200
        assert (await self.ask("SETUP", self.url + "/track=0", tcp)).status == 200


async def test_udp_is_refused_and_tcp_taken():
    async with serving({"gate": Camera()}) as (_, port), Peer(port) as peer:
        udp = ("Transport", "RTP/AVP;unicast;client_port=5000-5001")
        assert (await peer.ask("SETUP", peer.url + "/track=0", udp)).status == 461
        both = ("Transport", udp[1] + ",RTP/AVP/TCP;unicast;interleaved=6-7")
        answer = await peer.ask("SETUP", peer.url + "/track=0", both)
        assert answer.status == 200
        assert "interleaved=6-7" in answer.header("Transport")
        assert (await peer.ask("PLAY")).status == 200
        assert {(await peer.read()).channel for _ in range(9)} <= {6, 7}


async def test_methods_are_refused_in_the_wrong_place():
    async with serving({"gate": Camera()}) as (_, port), Peer(port) as peer:
        assert (await peer.ask("PLAY")).status == 454
        assert (await peer.ask("RECORD")).status == 501
        tcp = ("Transport", "RTP/AVP/TCP;unicast")
        assert (await peer.ask("SETUP", peer.url, tcp)).status == 459
        assert (await peer.ask("SETUP", peer.url + "/track=7", tcp)).status == 404
        assert (await peer.ask("DESCRIBE", peer.url + "2")).status == 404
        assert (await peer.ask("DESCRIBE", "rtsp://127.0.0.1/other")).status == 404
        await peer.set_up()
        other = peer.url.replace("gate", "yard")
        assert (await peer.ask("SETUP", other + "/track=0", tcp)).status == 404
        assert (await peer.ask("PLAY")).status == 200
        assert (await peer.ask("SETUP", peer.url + "/track=1", tcp)).status == 455
        assert (await peer.ask("GET_PARAMETER")).status == 200


async def test_a_session_is_of_the_stream_that_was_set_up_whatever_was_described():
    main, sub, told = Camera(), Camera(sound=False, size=(160, 96)), []
    async with serving({"gate": main, "gate/sub": sub}, watched=told.append) as (_, port):
        async with Peer(port) as peer:
            tcp = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
            assert (await peer.ask("DESCRIBE")).status == 200
            assert (await peer.ask("SETUP", peer.url + "/sub/track=1", tcp)).status == 404
            assert (await peer.ask("SETUP", peer.url + "/sub/track=0", tcp)).status == 200
            assert (await peer.ask("SETUP", peer.url + "/track=1", tcp)).status == 404
            assert (await peer.ask("PLAY", peer.url + "/main")).status == 404
            assert (await peer.ask("PLAY", peer.url + "/sub")).status == 200
            assert (len(main.relays), len(sub.relays)) == (0, 1)
            assert (told[0].camera, told[0].which) == ("gate", "sub")


async def test_pause_and_play_again_begins_with_a_key_frame():
    async with serving({"gate": Camera(sound=False)}) as (_, port), Peer(port) as peer:
        await peer.set_up()
        for _ in range(2):
            assert (await peer.ask("PLAY")).status == 200
            while (frame := await peer.read()).channel != 0:
                pass
            assert frame.payload[12] & 31 == 7, "the SPS comes first"
            assert (await peer.ask("PAUSE")).status == 200
            while True:
                try:
                    await peer.read(0.3)
                except TimeoutError:
                    break


async def test_an_answer_to_play_promises_no_packet_that_is_yet_to_come():
    """The first packet is a key frame's; its number and time are not known when we answer."""
    async with serving({"gate": Camera(sound=False)}) as (_, port), Peer(port) as peer:
        await peer.set_up()
        for _ in range(2):  # at the first PLAY and after a pause
            answer = await peer.ask("PLAY")
            assert answer.status == 200
            assert answer.header("Range") == "npt=now-"
            assert not answer.header("RTP-Info")
            assert (await peer.ask("PAUSE")).status == 200


async def test_a_session_is_bound_to_its_connection_and_user():
    async with serving({"gate": Camera()}, access()) as (_, port):
        async with (
            Peer(port, Login(USER, SECRET)) as owner,
            Peer(port, Login(USER, SECRET)) as thief,
        ):
            await owner.set_up()
            assert (await thief.ask("DESCRIBE")).status == 200
            thief.session = owner.session
            assert (await thief.ask("PLAY")).status == 454
            assert (await thief.ask("TEARDOWN")).status == 454
            assert (await owner.ask("PLAY")).status == 200


async def test_a_second_user_cannot_take_over_the_connection():
    rights = access()

    def lookup(user, algorithm):
        hasher = hashlib.md5 if algorithm == "MD5" else hashlib.sha256
        return hasher(f"{user}:nvr:{SECRET}".encode()).hexdigest()

    rights = type(rights)(lookup, rights.authorise, rights.enter, rights.right)
    async with serving({"gate": Camera()}, rights) as (_, port):
        async with Peer(port, Login("one", SECRET)) as peer:
            await peer.set_up()
            peer.login = Login("two", SECRET)
            assert (await peer.ask("PLAY")).status == 454
            assert (await peer.ask("GET_PARAMETER")).status == 454


async def test_a_recorded_request_is_refused_on_its_own_and_on_another_connection():
    async with serving({"gate": Camera()}, access()) as (_, port):
        async with Peer(port, Login(USER, SECRET)) as peer, Peer(port) as other:
            assert (await peer.ask("DESCRIBE")).status == 200
            for where in (peer, other):
                await where.say(peer.last)
                assert (await where.read()).status == 401


async def test_every_request_but_options_needs_the_password():
    async with serving({"gate": Camera()}, access()) as (_, port):
        async with Peer(port, Login(USER, SECRET)) as peer:
            assert (await peer.ask("OPTIONS", authorize=False)).status == 200
            for method in ("DESCRIBE", "SETUP", "GET_PARAMETER", "SET_PARAMETER"):
                answer = await peer.ask(method, authorize=False)
                assert answer.status == 401
                offers = answer.all("WWW-Authenticate")
                assert ["SHA-256" in offer for offer in offers] == [True, False]
            await peer.set_up()
            for method in ("PLAY", "PAUSE", "TEARDOWN"):
                assert (await peer.ask(method, authorize=False)).status == 401


async def test_the_policy_is_asked_about_each_method_and_camera():
    asked = []
    async with serving({"gate": Camera(), "yard": Camera()}, access(asked)) as (_, port):
        async with Peer(port, Login(USER, SECRET)) as peer:
            answer = await peer.ask("DESCRIBE", peer.url.replace("gate", "yard"))
            assert (answer.status, answer.header("X-NVR-Code")) == (403, "auth.denied")
            await peer.set_up()
            await peer.ask("PLAY")
            await peer.ask("TEARDOWN")
    assert [(action.split()[1], camera) for _, action, camera in asked] == [
        ("DESCRIBE", "yard"),
        ("DESCRIBE", "gate"),
        ("SETUP", "gate"),
        ("PLAY", "gate"),
        ("TEARDOWN", "gate"),
    ]


async def test_a_throttled_address_is_told_so_before_its_guess_is_judged():
    guesses = []

    def enter(user, address):
        guesses.append((user, address))
        if len(guesses) > 2:
            raise Rejected("auth.throttled", "too many wrong answers")

    rights = access()
    rights = type(rights)(rights.lookup, rights.authorise, enter, rights.right)
    async with serving({"gate": Camera()}, rights) as (_, port):
        for expected in (401, 401, 403):
            async with Peer(port, Login(USER, "wrong")) as peer:
                answer = await peer.ask("DESCRIBE")
                assert answer.status == expected
        assert answer.header("X-NVR-Code") == "auth.throttled"
    assert guesses[0] == (USER, "127.0.0.1")


async def test_a_camera_that_is_starting_is_waited_for_and_one_that_is_not_is_503():
    camera = Camera()
    config, camera.config = camera.config, None
    async with serving({"gate": camera}, limits=Limits(config_wait_s=0.6)) as (_, port):
        async with Peer(port) as peer:
            answer = await peer.ask("DESCRIBE")
            assert (answer.status, answer.header("X-NVR-Code")) == (503, "rtsp.no_picture")
            asyncio.get_running_loop().call_later(0.2, setattr, camera, "config", config)
            assert (await peer.ask("DESCRIBE")).status == 200


async def test_silence_and_half_requests_are_ended():
    limits = Limits(head_s=0.6, idle_s=0.6)
    async with serving({"gate": Camera()}, limits=limits) as (server, port):
        async with Peer(port) as silent, Peer(port) as slow, Peer(port) as player:
            await slow.say(b"DESCRIBE rtsp://x RTSP/1.0\r\n")
            await player.set_up()
            assert (await player.ask("PLAY")).status == 200
            for number in range(4):
                await slow.say(b"X-%d: y\r\n" % number)
                await asyncio.sleep(0.3)
            assert await silent.input.read() == b""
            assert await slow.input.read() == b""
            assert len(server.readers()) == 1, "who plays may be silent"


async def test_who_does_not_log_in_is_ended():
    async with serving({"gate": Camera()}, access(), limits=Limits(head_s=0.4)) as (_, port):
        async with Peer(port) as peer:
            for _ in range(8):
                if await peer.ask("OPTIONS") is None:
                    break
                await asyncio.sleep(0.2)
            else:
                pytest.fail("still connected")


async def test_connections_are_limited_per_address_in_all_and_before_log_in():
    for limits in (Limits(per_address=2), Limits(in_all=2), Limits(unproven=2)):
        rights = access() if limits.unproven == 2 else None
        async with serving({"gate": Camera()}, rights, limits=limits) as (_, port):
            async with Peer(port) as one, Peer(port) as two:
                assert (await one.ask("OPTIONS")).status == 200
                assert (await two.ask("OPTIONS")).status == 200
                async with Peer(port) as three:
                    assert await three.input.read() == b""
            await asyncio.sleep(0.1)
            async with Peer(port) as again:
                assert (await again.ask("OPTIONS")).status == 200


async def test_a_stranger_who_never_logs_in_keeps_nobody_else_out():
    async with serving({"gate": Camera()}, access(), limits=Limits(unproven=2)) as (server, port):
        async with Peer(port, own="127.0.0.2"), Peer(port, own="127.0.0.2") as two:
            assert (await two.ask("OPTIONS")).status == 200
            async with Peer(port, own="127.0.0.2") as three:
                assert await three.input.read() == b""
            async with Peer(port, Login(USER, SECRET)) as guest:
                assert (await guest.ask("DESCRIBE")).status == 200
        assert server.refusals()["no room"] == 1


async def test_what_is_refused_is_counted_by_why():
    async with serving({"gate": Camera()}, access()) as (server, port):
        async with Peer(port, Login(USER, SECRET)) as owner, Peer(port) as thief:
            await owner.set_up()
            assert server.refusals() == {"401": 1}, "what a log-in begins with"
            await thief.say(owner.last)
            assert (await thief.read()).status == 401
            owner.session = "stolen"
            assert (await owner.ask("PLAY")).status == 454
        for said, status in (
            (b"\0" * 99, 400),
            (b"DESCRIBE rtsp://x RTSP/1.0\r\n\r\n", 400),
            (b"DESCRIBE rtsp://x RTSP/1.0\r\nX: " + b"y" * 20_000, 413),
            (b"ANNOUNCE rtsp://x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1000000\r\n\r\n", 413),
        ):
            async with Peer(port) as peer:
                await peer.say(said)
                assert (await peer.read()).status == status
        assert server.refusals() == {"401": 2, "454": 1, "400": 2, "413": 2}


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02\x00\x01", b"\0" * 99])
async def test_noise_gets_400_and_the_others_nothing(noise):
    async with serving({"gate": Camera()}) as (_, port), Peer(port) as good, Peer(port) as bad:
        await good.set_up()
        await bad.say(noise)
        assert (await bad.read()).status == 400
        assert await bad.read() is None
        assert (await good.ask("PLAY")).status == 200
        assert isinstance(await good.read(), Frame)


async def test_a_slow_reader_next_to_a_fast_one():
    camera = Camera(sound=False)
    limits = Limits(send_bytes=4096, backlog_bytes=8_000, stuck_s=1.0)
    async with serving({"gate": camera}, limits=limits) as (_, port):
        async with Peer(port) as slow, Peer(port) as fast:
            for peer in (slow, fast):
                await peer.set_up()
            slow.input._transport.pause_reading()
            await slow.say(
                Request("PLAY", slow.url, (("CSeq", "9"), ("Session", slow.session))).encode()
            )
            assert (await fast.ask("PLAY")).status == 200
            sequence = None
            for _ in range(120):
                frame = await fast.read()
                if frame.channel:
                    continue
                number = int.from_bytes(frame.payload[2:4], "big")
                assert sequence is None or number == (sequence + 1) & 0xFFFF
                sequence = number


async def test_a_reader_that_leaves_takes_its_relay_along():
    seen = []
    camera = Camera()
    async with serving({"gate": camera}, access(), watched=seen.append) as (server, port):
        async with Peer(port, Login(USER, SECRET)) as peer:
            await peer.set_up()
            await peer.ask("PLAY")
            await peer.read()
            assert len(camera.relays) == 1
        await asyncio.sleep(0.3)
        assert camera.relays == []
        assert server.readers() == ()
    assert [(w.user, w.camera, w.began) for w in seen] == [
        (USER, "gate", True),
        (USER, "gate", False),
    ]
    assert seen[1].sent_bytes > 0


async def test_teardown_ends_and_a_revoked_credential_too():
    camera = Camera()
    async with serving({"gate": camera}, access()) as (server, port):
        for how in ("teardown", "revoke"):
            async with Peer(port, Login(USER, SECRET)) as peer:
                await peer.set_up()
                await peer.ask("PLAY")
                if how == "teardown":
                    assert (await peer.ask("TEARDOWN")).status == 200
                else:
                    server.revoke(USER)
                async with asyncio.timeout(5):
                    while await peer.input.read(65536):
                        pass


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("rtsp://box:8554/cam/gate", Place("gate")),
        ("rtsp://box/cam/gate/", Place("gate")),
        ("rtsps://box/cam/gate/track=1?x=2", Place("gate", track=1)),
        ("/cam/gate", Place("gate")),
        ("rtsp://box/cam/gate/main", Place("gate")),
        ("rtsp://box/cam/gate/sub", Place("gate", "sub")),
        ("rtsp://box/cam/gate/sub/track=2", Place("gate", "sub", 2)),
        ("rtsp://box/cam/sub", Place("sub")),
        ("rtsp://box/cam/gate/sub/main", None),
        ("rtsp://box/cam/gate/third", None),
        ("rtsp://box/cam/", None),
        ("rtsp://box/cam/gate/track=x", None),
        ("rtsp://box/cam/gate/track=999", None),
        ("rtsp://box/cam/a/b/c", None),
        ("http://box/cam/gate", None),
        ("*", None),
        ("", None),
    ],
)
def test_addresses(uri, place):
    assert parse_place(uri, "cam/") == place
