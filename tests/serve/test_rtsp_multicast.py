# ruff: noqa: SIM117 - the server outside, its peers inside
"""Live streams to multicast groups: with players, by hand, and what is refused."""

import asyncio
import json
import socket
import struct
import sys
from ipaddress import IPv4Network

import pytest

from nvr.serve import rtsp_connection
from nvr.serve.rtsp_multicast import Casting, Groups
from tests.serve.cast import PICTURES
from tests.serve.source import Camera, serving
from tests.serve.test_rtsp_peers import run
from tests.serve.test_rtsp_server import Peer

CASTING = Casting(IPv4Network("239.192.7.0/24"), 20_000, 1)
WANTED = ("Transport", "RTP/AVP;multicast;destination=224.0.0.9;port=5000-5001")


@pytest.mark.needs("ffmpeg", "gst-rtsp-server")
async def test_players_on_another_machine_share_one_sender():
    apart = ("unshare", "--user", "--map-root-user", "--net")
    code, _, err = await run(*apart, "ip", "link")
    if code:
        pytest.skip(f"no network namespaces here: {err}")
    code, out, err = await run(*apart, sys.executable, "-m", "tests.serve.cast", timeout_s=100)
    assert code == 0, err
    told = json.loads(out)
    code, out, err = told["ffmpeg"]
    assert code == 0, err
    assert not [fault for fault in ("decoding", "missed", "concealing") if fault in err.lower()]
    assert len([line for line in out.splitlines() if line and line[0] != "#"]) == PICTURES
    assert told["gstreamer"][0] == 0, told["gstreamer"]
    code, out, err = told["ours"]
    assert code == 0, err
    assert json.loads(out) == ["multicast", 0, True]
    assert told["senders"] == 1


def listening_at(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.bind((address, port))
    mine = struct.pack("=4s4s", socket.inet_aton(address), socket.inet_aton("127.0.0.1"))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mine)
    return sock


async def set_up(peer: Peer, track: int = 0) -> dict[str, str]:
    """Where the server says that a track goes, whatever was asked for."""
    answer = await peer.ask("SETUP", f"{peer.url}/track={track}", WANTED)
    assert answer.status == 200
    peer.session = answer.header("Session").partition(";")[0]
    said = answer.header("Transport")
    assert said.startswith("RTP/AVP;multicast;")
    return dict(part.split("=") for part in said.split(";")[2:])


async def test_the_group_has_pictures_while_a_session_plays_and_no_longer(monkeypatch):
    monkeypatch.setattr(rtsp_connection, "DATAGRAMS_S", 2.0)
    camera = Camera()
    async with serving({"gate": camera}, casting=CASTING) as (server, port):
        async with Peer(port) as one, Peer(port) as two:
            for peer in (one, two):
                assert (await peer.ask("DESCRIBE")).status == 200
                where = await set_up(peer)
                assert where["ttl"] == "1"
                assert where["source"] == "127.0.0.1"
                assert (await set_up(peer, 1))["destination"] == where["destination"]
            assert where["destination"] in {str(one) for one in CASTING.network}
            low = int(where["port"].split("-")[0])
            rtp = listening_at(where["destination"], low)
            rtcp = listening_at(where["destination"], low + 1)
            loop, last = asyncio.get_running_loop(), None
            assert not camera.relays
            for peer in (one, two):
                assert (await peer.ask("PLAY")).status == 200
            async with asyncio.timeout(20):
                for _ in range(30):
                    packet = await loop.sock_recv(rtp, 2048)
                    number = struct.unpack_from(">H", packet, 2)[0]
                    assert last is None or number == (last + 1) & 0xFFFF
                    last = number
                assert (await loop.sock_recv(rtcp, 2048))[1] == 200
            assert [relay.readers() for relay in camera.relays] == [1]
            assert (await one.ask("PAUSE")).status == 200
            assert len(camera.relays) == 1, "the other still plays"
            assert (await one.ask("PLAY")).status == 200
            assert (await one.ask("TEARDOWN")).status == 200
            # Who is silent for too long goes, and with the last the group falls silent.
            async with asyncio.timeout(20):
                while camera.relays or server.readers():
                    await asyncio.sleep(0.05)
            rtp.close()
            rtcp.close()


async def test_a_session_goes_one_way_and_no_way_is_offered_that_is_off():
    tcp = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
    async with serving({"gate": Camera()}) as (_, port), Peer(port) as peer:
        assert (await peer.ask("DESCRIBE")).status == 200
        assert (await peer.ask("SETUP", f"{peer.url}/track=0", WANTED)).status == 461
    async with serving({"gate": Camera()}, casting=CASTING) as (_, port), Peer(port) as peer:
        assert (await peer.ask("DESCRIBE")).status == 200
        await set_up(peer)
        assert (await peer.ask("SETUP", f"{peer.url}/track=1", tcp)).status == 461


def test_streams_have_addresses_and_ports_of_their_own_that_stay():
    groups = Groups(Casting(IPv4Network("239.192.0.0/28"), 20_000, 1), None, 0)
    names = [f"cam{number}" for number in range(16)]
    first = [groups.place(name, "192.0.2.1", 0) for name in names]
    assert len({one.address for one in first}) == len({one.ports for one in first}) == 16
    assert [groups.place(name, "192.0.2.1", 0) for name in names] == first
    assert groups.place("one more", "192.0.2.1", 0) is None
    assert groups.place(names[0], "2001:db8::1", 0) is None
    assert groups.place(names[0], "192.0.2.1", 1).ports == (
        first[0].ports[0] + 2, first[0].ports[0] + 3,
    )  # fmt: skip
