"""A platform of GB/T 28181 as far as media goes: offers, and takes what comes, strictly."""

import asyncio
import io
import struct
from dataclasses import dataclass, field

import av

from nvr.wire.gb_sdp import Offer, parse
from tests.wire.test_mpegps import Pack, read

WAYS = ("udp", "passive", "active")
DEVICE = "34020000001320000001"


@dataclass
class Platform:
    """One session of it.

    Attributes:
        packets: RTP packets in the order they came.
        came_s: When.
    """

    way: str
    ssrc: int | None = 200_000_001
    packets: list[bytes] = field(default_factory=list)
    came_s: list[float] = field(default_factory=list)
    lost: bool = False
    _port: int = 0
    _ends: list[object] = field(default_factory=list)
    _read: tuple[int, list[Pack]] = (0, [])

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        if self.way == "udp":
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), ("127.0.0.1", 0)
            )
            self._port = transport.get_extra_info("sockname")[1]
            self._ends.append(transport)
        elif self.way == "passive":
            server = await asyncio.start_server(self._stream, "127.0.0.1", 0)
            self._port = server.sockets[0].getsockname()[1]
            self._ends.append(server)
        else:
            self._port = 9

    def offer(self, kind: str = "Play", from_s: int = 0, to_s: int = 0, more: str = "") -> Offer:
        return parse(self.text(kind, from_s, to_s, more))

    def text(self, kind: str, from_s: int, to_s: int, more: str = "") -> str:
        profile = "RTP/AVP" if self.way == "udp" else "TCP/RTP/AVP"
        setup = "" if self.way == "udp" else f"a=setup:{self.way}\r\na=connection:new\r\n"
        named = "" if self.ssrc is None else f"y={self.ssrc:010}\r\n"
        return (
            f"v=0\r\no={DEVICE} 0 0 IN IP4 127.0.0.1\r\ns={kind}\r\nu={DEVICE}:0\r\n"
            f"c=IN IP4 127.0.0.1\r\nt={from_s} {to_s}\r\nm=video {self._port} {profile} 96\r\n"
            f"a=recvonly\r\na=rtpmap:96 PS/90000\r\n{setup}{more}{named}"
        )

    async def answered(self, text: str) -> None:
        """Do what the answer asks for; checks that it goes with the offer."""
        answer = parse(text)
        assert answer.direction == "sendonly"
        assert answer.host == "127.0.0.1"
        if self.ssrc is None:
            self.ssrc = answer.ssrc
        assert answer.ssrc == self.ssrc
        if self.way == "udp":
            assert answer.transport == "udp"
            return
        assert (answer.transport, answer.setup) == (
            "tcp", {"passive": "active", "active": "passive"}[self.way],
        )  # fmt: skip
        if self.way == "active":
            reader, writer = await asyncio.open_connection(answer.host, answer.port)
            task = asyncio.ensure_future(self._stream(reader, writer))
            self._ends.append(task)

    def took(self, packet: bytes) -> None:
        self.packets.append(packet)
        self.came_s.append(asyncio.get_running_loop().time())

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.append(writer)
        try:
            while True:
                (size,) = struct.unpack(">H", await reader.readexactly(2))
                self.took(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.lost = True

    def hang_up(self) -> None:
        for end in self._ends:
            if isinstance(end, asyncio.Task):
                end.cancel()
            else:
                end.close()

    @property
    def stream(self) -> bytes:
        """The program stream so far, up to the last whole pack; checks every packet."""
        data, whole, before, at = b"", b"", None, None
        for packet in self.packets:
            first, second, sequence, timestamp, ssrc = struct.unpack(">BBHII", packet[:12])
            assert (first, second & 0x7F, ssrc) == (0x80, 96, self.ssrc)
            assert before is None or sequence == (before + 1) & 0xFFFF, "a packet is missing"
            assert at is None or at == timestamp, "a pack with two times"
            assert len(packet) <= 1412
            before, at = sequence, timestamp
            data += packet[12:]
            if second >> 7:
                whole, data, at = whole + data, b"", None
        return whole

    @property
    def packs(self) -> list[Pack]:
        if self._read[0] != len(self.packets):
            self._read = len(self.packets), read(self.stream)
        return self._read[1]

    def pictures(self) -> list[tuple[int, bytes]]:
        """Time and bytes of each picture."""
        return [
            (pack.pes[0].pts or 0, b"".join(pes.payload for pes in pack.pes))
            for pack in self.packs
            if pack.pes[0].stream_id == 0xE0
        ]

    def shown(self) -> list[int]:
        """Times of the pictures that libav decodes, 90 kHz."""
        with av.open(io.BytesIO(self.stream), format="mpeg") as container:
            return [frame.pts for frame in container.decode(video=0)]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's
        self._platform.took(data)
