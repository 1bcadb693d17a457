# ruff: noqa: SIM117 - the server outside, its peers inside
"""Live streams as datagrams: with players, and what the server does with ports and silence."""

import asyncio
import socket
import struct

from nvr.serve import rtsp_connection
from nvr.serve.rtsp import Limits
from tests.serve.source import Camera, serving
from tests.serve.test_rtsp_server import Peer


def ours() -> tuple[socket.socket, socket.socket]:
    """A reader's two ports."""
    while True:
        one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        one.bind(("127.0.0.1", 0))
        try:
            other.bind(("127.0.0.1", one.getsockname()[1] + 1))
        except OSError:
            one.close()
            other.close()
            continue
        for sock in (one, other):
            sock.setblocking(False)
        return one, other


async def received(sock: socket.socket, timeout_s: float = 20) -> tuple[bytes, tuple[str, int]]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        return await loop.sock_recvfrom(sock, 65536)


async def set_up(peer: Peer, track: int, low: int):
    wanted = ("Transport", f"RTP/AVP;unicast;client_port={low}-{low + 1}")
    return await peer.ask("SETUP", f"{peer.url}/track={track}", wanted)


async def test_each_track_has_its_ports_and_reports_on_the_second():
    async with (
        serving({"gate": Camera()}, datagrams=True) as (_, port),
        Peer(port) as peer,
    ):
        video, audio = ours(), ours()
        await peer.ask("DESCRIBE")
        server_ports = []
        for track, (rtp, _) in enumerate((video, audio)):
            answer = await set_up(peer, track, rtp.getsockname()[1])
            assert answer.status == 200
            peer.session = answer.header("Session").partition(";")[0]
            said = answer.header("Transport")
            low, high = map(int, said.partition("server_port=")[2].split("-"))
            assert (low % 2, high) == (0, low + 1)
            server_ports.append(low)
        assert (await peer.ask("PLAY")).status == 200
        for (rtp, rtcp), low in zip((video, audio), server_ports, strict=True):
            last = None
            for _ in range(30):
                packet, address = await received(rtp)
                assert address == ("127.0.0.1", low)
                sequence = struct.unpack_from(">H", packet, 2)[0]
                assert last is None or sequence == (last + 1) & 0xFFFF
                last = sequence
            report, address = await received(rtcp)
            assert address == ("127.0.0.1", low + 1)
            assert report[1] == 200
        assert (await peer.ask("PAUSE")).status == 200
        assert (await peer.ask("PLAY")).status == 200
        await received(video[0])
        for sock in (*video, *audio):
            sock.close()


async def test_who_reports_stays_and_who_is_silent_goes(monkeypatch):
    monkeypatch.setattr(rtsp_connection, "DATAGRAMS_S", 2.0)
    async with serving({"gate": Camera(sound=False)}, datagrams=True) as (server, port):
        async with Peer(port) as loud, Peer(port) as silent:
            sockets = ours(), ours()
            for peer, (rtp, _) in zip((loud, silent), sockets, strict=True):
                await peer.ask("DESCRIBE")
                answer = await set_up(peer, 0, rtp.getsockname()[1])
                peer.session = answer.header("Session").partition(";")[0]
                assert (await peer.ask("PLAY")).status == 200
            _, rtcp = sockets[0]
            report, address = await received(rtcp)
            async with asyncio.timeout(30):
                while len(server.readers()) == 2:
                    rtcp.sendto(b"\x80\xc9\0\1" + report[4:8], address)
                    await asyncio.sleep(0.1)
            assert (await loud.ask("GET_PARAMETER")).status == 200
            assert await silent.read() is None
            for pair in sockets:
                for sock in pair:
                    sock.close()


async def test_what_cannot_go_as_datagrams_is_refused():
    one, other = ours()
    low = one.getsockname()[1]
    async with serving({"gate": Camera()}) as (_, port), Peer(port) as peer:
        await peer.ask("DESCRIBE")
        assert (await set_up(peer, 0, low)).status == 461
    async with serving({"gate": Camera()}, datagrams=True) as (_, port), Peer(port) as peer:
        await peer.ask("DESCRIBE")
        mixed = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
        answer = await peer.ask("SETUP", f"{peer.url}/track=0", mixed)
        peer.session = answer.header("Session").partition(";")[0]
        assert (await set_up(peer, 1, low)).status == 461, "one way for all tracks"
        group = ("Transport", "RTP/AVP;multicast;port=5000-5001")
        assert (await peer.ask("SETUP", f"{peer.url}/track=1", group)).status == 461
    one.close()
    other.close()


async def test_more_than_may_watch_get_453():
    limits = Limits(watching=1)
    async with serving({"gate": Camera(sound=False)}, limits=limits) as (_, port):
        async with Peer(port) as first, Peer(port) as second:
            for peer, expected in ((first, 200), (second, 453)):
                await peer.ask("DESCRIBE")
                way = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
                answer = await peer.ask("SETUP", f"{peer.url}/track=0", way)
                peer.session = answer.header("Session").partition(";")[0]
                assert (await peer.ask("PLAY")).status == expected
        async with asyncio.timeout(20), Peer(port) as third:
            await third.ask("DESCRIBE")
            answer = await third.ask("SETUP", f"{third.url}/track=0", way)
            third.session = answer.header("Session").partition(";")[0]
            while (await third.ask("PLAY")).status != 200:
                await asyncio.sleep(0.1)
