# ruff: noqa: SIM117 - the server outside, its peers inside
"""RTSP through HTTP, spoken by hand: pairs, halves, and what is none."""

import asyncio
from base64 import b64encode

import pytest

from nvr.serve.rtsp import Limits
from nvr.wire.digest import Login
from nvr.wire.rtsp import Frame
from tests.serve.source import Camera, serving
from tests.serve.test_rtsp_peers import SECRET, USER, access
from tests.serve.test_rtsp_server import Peer

COOKIE = b"c00c1e"


def head(method: str, cookie: bytes = COOKIE) -> bytes:
    return b"%s /cam/gate HTTP/1.0\r\nx-sessioncookie: %s\r\n\r\n" % (method.encode(), cookie)


class Tunnelled(Peer):
    """A `Peer` on two connections."""

    def __init__(self, port, login=None, cookie=COOKIE):
        super().__init__(port, login)
        self.cookie = cookie

    async def __aenter__(self):
        await super().__aenter__()
        self.output.write(head("GET", self.cookie))
        answer = await self.input.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
        await self.post()
        return self

    async def post(self):
        self.up_input, self.up = await asyncio.open_connection("127.0.0.1", self.port)
        self.up.write(head("POST", self.cookie))

    async def __aexit__(self, *_):
        self.up.close()
        self.output.close()

    async def say(self, data):
        self.up.write(b64encode(data))
        await self.up.drain()


async def told(port: int, *said: bytes, own: str = "127.0.0.1") -> bytes:
    """What a connection that says this is answered before it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(own, 0))
    try:
        for one in said:
            writer.write(one)
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def until(met) -> None:
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.02)


async def test_all_of_a_conversation_goes_through_and_ends_with_the_get():
    camera = Camera()
    async with serving({"gate": camera}, access(), datagrams=True) as (server, port):
        async with Tunnelled(port, Login(USER, SECRET)) as peer:
            udp = ("Transport", "RTP/AVP;unicast;client_port=5000-5001")
            assert (await peer.ask("DESCRIBE")).status == 200
            answer = await peer.ask("SETUP", peer.url + "/track=0", udp)
            assert answer.status == 461, "what came through HTTP stays inside"
            await peer.set_up()
            assert (await peer.ask("PLAY")).status == 200
            sequence = None
            for _ in range(60):
                frame = await peer.read()
                if isinstance(frame, Frame) and frame.channel == 0:
                    number = int.from_bytes(frame.payload[2:4], "big")
                    assert sequence is None or number == (sequence + 1) & 0xFFFF
                    sequence = number
            assert sequence is not None
            assert (await peer.ask("GET_PARAMETER")).status == 200
            peer.output.close()
            assert await peer.up_input.read() == b"", "the POST goes with the GET"
        await until(lambda: not server.readers() and not camera.relays)


async def test_a_post_that_ends_is_followed_by_another():
    async with serving({"gate": Camera()}) as (_, port), Tunnelled(port) as peer:
        await peer.set_up()
        first = peer.up
        first.close()
        await first.wait_closed()
        await peer.post()
        assert (await peer.ask("PLAY")).status == 200
        assert isinstance(await peer.read(), Frame)
        peer.up.close()


async def test_what_is_no_half_of_a_tunnel_is_refused_and_the_tunnel_beside_it_goes_on():
    async with serving({"gate": Camera()}) as (_, port), Tunnelled(port) as peer:
        await peer.set_up()
        assert (await peer.ask("PLAY")).status == 200
        for status, said in (
            (400, (b"GET / HTTP/1.1\r\nHost: box\r\n\r\n",)),
            (400, (head("GET", b"c" * 129),)),
            (400, (b"PO", b"ST / HTTP/1.0\r\n\r\n")),
            (413, (b"GET /" + b"x" * 9000,)),
            (404, (head("POST", b"another"),)),
            (409, (head("POST"),)),
            (409, (head("GET"),)),
        ):
            assert (await told(port, *said)).startswith(b"HTTP/1.0 %d " % status)
        foreign = await told(port, head("POST"), own="127.0.0.2")
        assert foreign.startswith(b"HTTP/1.0 404 "), "a cookie is its address's"
        assert (await peer.ask("GET_PARAMETER")).status == 200
        assert isinstance(await peer.read(), Frame)


async def test_what_is_not_base64_ends_its_tunnel_and_no_other():
    async with serving({"gate": Camera()}) as (server, port):
        async with Tunnelled(port) as bad, Tunnelled(port, cookie=b"other") as good:
            await bad.set_up()
            await good.set_up()
            bad.up.write(b"OPTIONS * RTSP/1.0\r\n\r\n")
            while await bad.read() is not None:
                pass
            await until(lambda: len(server.readers()) == 1)
            assert (await good.ask("PLAY")).status == 200


async def test_halves_and_whoever_dawdles_are_ended():
    limits = Limits(head_s=0.6)
    async with serving({"gate": Camera()}, limits=limits) as (server, port):
        async with Tunnelled(port, cookie=b"whole") as player, Tunnelled(port) as slow:
            await player.set_up()
            assert (await player.ask("PLAY")).status == 200
            await slow.say(b"DESCRIBE rtsp://x RT")
            ended = await asyncio.gather(
                told(port, head("GET", b"half")),
                told(port, b"GET /cam/gate HTTP/1.0\r\nx-session"),
                told(port, b"PO"),
                told(port),
            )
            assert [said[:12] for said in ended] == [b"HTTP/1.0 200", b"", b"", b""]
            assert await slow.input.read() == b""
            await until(lambda: len(server.readers()) == 1)
            assert (await player.ask("GET_PARAMETER")).status == 200


async def test_tunnels_that_logged_in_leave_room_for_who_has_not_yet():
    limits = Limits(unproven=2)
    async with serving({"gate": Camera()}, access(), limits=limits) as (server, port):
        tunnels = []
        for number in range(4):
            peer = Tunnelled(port, Login(USER, SECRET), cookie=b"%d" % number)
            tunnels.append(await peer.__aenter__())
            assert (await peer.ask("DESCRIBE")).status == 200
        assert len(server.readers()) == 4
        async with Peer(port) as one, Peer(port) as two, Peer(port) as three:
            assert (await one.ask("OPTIONS")).status == 200
            assert (await two.ask("OPTIONS")).status == 200
            assert await three.input.read() == b""
        for peer in tunnels:
            await peer.__aexit__()


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_a_flood_through_the_post_is_read_no_faster_than_it_is_answered(size):
    async with serving({"gate": Camera()}) as (_, port), Tunnelled(port) as peer:
        request = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        text = b64encode(request * 300)
        for at in range(0, min(len(text), 400 * size), size):
            peer.up.write(text[at : at + size])
        whole = min(len(text), 400 * size) // 4 * 3 // len(request)
        for _ in range(whole):
            assert (await peer.read()).status == 200
