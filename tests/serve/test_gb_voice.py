"""Platforms of GB/T 28181 that speak, into GStreamer's camera: what was said comes out of it."""

import asyncio
import struct

import numpy
import pytest

from nvr.app.talks import CameraTalks
from nvr.base.clock import SystemClock
from nvr.capture.rtsp import Caller, nobody
from nvr.serve.gb28181.media import Limits, MediaDesk
from nvr.serve.gb28181.ports import Refused
from nvr.wire.gb_sdp import parse
from tests.capture.test_talk import frequency_hz, listening
from tests.media import clip
from tests.media.test_ingest import until
from tests.ports import free_port

HERE = "127.0.0.1"
DEVICE = "34020000001370000001"
SPOKEN_S = 1.5


def yes(span):
    return True


def no(span):
    return False


def nothing(name, sub):
    return None


def sdp(kind, port, transport, direction):
    tcp = transport == "tcp"
    return (
        f"v=0\r\no={DEVICE} 0 0 IN IP4 {HERE}\r\ns={kind}\r\nc=IN IP4 {HERE}\r\nt=0 0\r\n"
        f"m=audio {port} {'TCP/RTP/AVP' if tcp else 'RTP/AVP'} 8\r\na={direction}\r\n"
        f"a=rtpmap:8 PCMA/8000\r\n{'a=setup:passive' if tcp else 'a=x'}\r\ny=0200000009\r\n"
    )


@pytest.fixture
def desk():
    first = free_port()

    def make(url=None):
        clock = SystemClock()
        talks = CameraTalks(lambda _name: Caller(url, nobody, clock) if url else None, clock)
        return MediaDesk(nothing, None, clock, Limits(first, first + 21), talks=talks)

    return make


class Mouth:
    """A platform that says a tone, again and again."""

    def __init__(self, transport):
        self.transport, self.port = transport, 0
        self._ends, self._over, self._saying = [], False, 0

    async def listen(self):
        loop = asyncio.get_running_loop()
        if self.transport == "tcp":
            server = await asyncio.start_server(self._stream, HERE, 0)
            self.port = server.sockets[0].getsockname()[1]
            self._ends.append(server)
        else:
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=(HERE, 0)
            )
            self.port = transport.get_extra_info("sockname")[1]
            self.socket = transport
            self._ends.append(transport)

    async def _stream(self, _, writer):
        self._ends.append(writer)
        await self._say(lambda one: writer.write(len(one).to_bytes(2, "big") + one))

    def speak_to(self, port):
        if self.transport == "udp":
            say = self._say(lambda one: self.socket.sendto(one, (HERE, port)))
            self._task = asyncio.ensure_future(say)

    async def _say(self, send):
        tone = b"".join(unit.nals[0] for unit in clip.audio("pcma", SPOKEN_S).units)
        self._saying += 1
        n = 0
        while not self._over:
            n += 1
            at = n * 320 % (len(tone) - 320)
            send(struct.pack(">BBHII", 0x80, 8, n & 0xFFFF, n * 320, 9) + tone[at : at + 320])
            await asyncio.sleep(0.035)
        self._saying -= 1

    async def close(self):
        self._over = True
        await until(lambda: not self._saying, 60)
        for end in self._ends:
            end.close()
        await asyncio.sleep(0)


async def comes_out(path):
    await until(lambda: path.exists() and path.stat().st_size > 24_000, 60)
    samples = numpy.frombuffer(path.read_bytes()[: path.stat().st_size // 2 * 2], numpy.int16)
    assert abs(frequency_hz(samples[:12_000]) - 440) < 8


@pytest.mark.needs("gst-rtsp-server")
@pytest.mark.parametrize(("way", "codec"), [("udp", "pcmu"), ("tcp", "pcma")])
async def test_a_platform_that_talks_is_heard_from_the_camera(desk, tmp_path, way, codec):
    mouth = Mouth(way)
    await mouth.listen()
    async with listening(codec, tmp_path / "heard") as url:
        media = desk(url)
        offer = parse(sdp("Talk", mouth.port, way, "sendrecv"))
        session = await media.open("gate", False, offer, HERE, HERE, yes)
        answer = parse(session.answer())
        assert (answer.kind, answer.direction, answer.payload_types) == ("audio", "recvonly", (8,))
        assert answer.ssrc == 200_000_009
        session.start()
        mouth.speak_to(answer.port)
        await comes_out(tmp_path / "heard")
        with pytest.raises(Refused) as refused:
            await media.open("gate", False, offer, HERE, HERE, yes)
        assert refused.value.status == 486, "one speaks at a time"
        session.close()
        assert media.sessions == 0
    await mouth.close()


@pytest.mark.needs("gst-rtsp-server")
@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_a_broadcast_is_invited_and_ends_with_the_right(desk, tmp_path, way):
    mouth, may, ends = Mouth(way), True, []
    await mouth.listen()
    async with listening("pcma", tmp_path / "heard") as url:
        media = desk(url)
        session = await media.invite("gate", way, HERE, HERE, lambda span: may and span is None)
        session.on_end = ends.append
        invitation = parse(session.invitation(DEVICE))
        assert (invitation.device, invitation.direction) == (DEVICE, "recvonly")
        assert invitation.transport == way
        assert way == "udp" or invitation.setup == "active", "a device connects"
        session.meet(parse(sdp("Play", mouth.port, way, "sendonly")))
        session.start()
        mouth.speak_to(invitation.port)
        await comes_out(tmp_path / "heard")
        may = False
        await until(lambda: ends, 60)
        assert ends == ["denied"]
        assert media.sessions == 0
    await mouth.close()


async def test_a_camera_without_a_loudspeaker_is_not_begun_with(desk):
    media = desk()
    for session in (
        media.invite("gate", "udp", HERE, HERE, yes),
        media.open("gate", False, parse(sdp("Talk", 9, "udp", "sendrecv")), HERE, HERE, yes),
    ):
        with pytest.raises(Refused) as refused:
            await session
        assert refused.value.status == 488
    assert media.sessions == 0


@pytest.mark.needs("gst-rtsp-server")
async def test_what_cannot_be_heard_is_refused(desk, tmp_path):
    media = desk()
    with pytest.raises(Refused) as refused:
        await media.invite("gate", "udp", HERE, HERE, no)
    assert refused.value.status == 403
    other = parse(sdp("Talk", 9, "udp", "sendrecv").replace("AVP 8", "AVP 4"))
    with pytest.raises(Refused) as refused:
        await media.open("gate", False, other, HERE, HERE, yes)
    assert refused.value.status == 488
    async with listening("pcma", tmp_path / "heard") as url:
        media = desk(url)
        session = await media.invite("gate", "udp", HERE, HERE, yes)
        with pytest.raises(Refused):
            session.meet(parse(sdp("Play", 9, "tcp", "sendonly")))
        with pytest.raises(Refused):
            session.meet(parse(sdp("Play", 0, "udp", "sendonly")))
        with pytest.raises(Refused):
            session.control("PAUSE RTSP/1.0\r\n")
        session.close()
    assert media.sessions == 0
