"""A path for datagrams that loses, doubles and swaps them, and a camera that lies about its ports.

Between an RTSP client over UDP and its camera: the conversation passes over TCP with the ports in
it changed, so that what the camera sends comes here first.
"""

import asyncio
import contextlib
import random
import re
import socket
from collections.abc import AsyncIterator


class Path:
    """What the path does, and did.

    Attributes:
        drop: Share of RTP packets that are lost.
        swap: Share that comes after the next one.
        double: Share that comes twice.
        dropped: RTP packets lost.
        punched: Datagrams of the client's to where pictures come from, which open the way.
    """

    def __init__(self, drop: float = 0.0, swap: float = 0.0, double: float = 0.0) -> None:
        self.drop, self.swap, self.double = drop, swap, double
        self.dropped = self.swapped = self.passed = self.punched = self.reports = 0
        self.random = random.Random(7)
        self.port = 0

    def crook(self, held: list[bytes], packet: bytes) -> list[bytes]:
        """What comes of `packet`; `held` keeps one that is overtaken."""
        roll = self.random.random()
        if self.passed < 5:  # what is lost before the first is not missed
            pass
        elif roll < self.drop:
            self.dropped += 1
            return []
        elif roll < self.drop + self.swap and not held:
            held.append(packet)
            self.swapped += 1
            return []
        out = [packet, *held]
        held.clear()
        self.passed += len(out)
        return out * 2 if self.random.random() < self.double else out


class _Leg(asyncio.DatagramProtocol):
    """One socket: RTP or RTCP of one track, both ways."""

    def __init__(self, path: Path, client_port: int, *, rtp: bool) -> None:
        self.path, self.rtp = path, rtp
        self.client = ("127.0.0.1", client_port)
        self.camera: tuple[str, int] | None = None
        self.held: list[bytes] = []

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr == self.client:
            self.path.punched += self.rtp
            self.path.reports += not self.rtp
            if self.camera:
                self.transport.sendto(data, self.camera)
            return
        for packet in self.path.crook(self.held, data) if self.rtp else [data]:
            self.transport.sendto(packet, self.client)


@contextlib.asynccontextmanager
async def crooked(camera_port: int, path: Path, *, told: str = "") -> AsyncIterator[Path]:
    """Serve the camera through `path`; `told` is what it says of its ports and source instead."""
    loop = asyncio.get_running_loop()
    legs: list[_Leg] = []

    async def pair(client_port: int) -> int:
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1] & ~1
            with contextlib.suppress(OSError):
                for n in (0, 1):
                    _, leg = await loop.create_datagram_endpoint(
                        lambda n=n: _Leg(path, client_port + n, rtp=n == 0),
                        local_addr=("127.0.0.1", port + n),
                    )
                    legs.append(leg)
                return port

    async def asks(reader, writer) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if match := re.search(rb"client_port=(\d+)-(\d+)", head):
                port = await pair(int(match[1]))
                head = head.replace(match[0], b"client_port=%d-%d" % (port, port + 1))
            writer.write(head)

    async def answers(reader, writer) -> None:
        while data := await reader.read(65536):
            if match := re.search(rb"server_port=(\d+)-(\d+)", data):
                for leg, port in zip(legs[-2:], map(int, match.groups()), strict=True):
                    leg.camera = ("127.0.0.1", port)
                own = legs[-2].transport.get_extra_info("sockname")[1]
                said = told.encode() or b"server_port=%d-%d" % (own, own + 1)
                data = data.replace(match[0], said)
            writer.write(data)

    async def serve(reader, writer) -> None:
        there = await asyncio.open_connection("127.0.0.1", camera_port)
        tasks = [
            asyncio.create_task(asks(reader, there[1])),
            asyncio.create_task(answers(there[0], writer)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for one in (writer, there[1]):
                one.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    path.port = server.sockets[0].getsockname()[1]
    try:
        yield path
    finally:
        server.close()
        for leg in legs:
            leg.transport.close()
        await asyncio.sleep(0.05)
