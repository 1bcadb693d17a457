"""Speaking into GStreamer's ONVIF server: what was said is what came out of its decoder."""

import asyncio
import struct
from contextlib import asynccontextmanager, suppress

import numpy
import pytest

from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import NvrError
from nvr.capture.rtsp import Account, Caller, nobody
from nvr.capture.talk import Mouth, mouth
from nvr.wire.rtsp import Response
from nvr.wire.rtsp_client import Track
from nvr.wire.rtsp_talk import FEATURE, Packets, TalkClient
from nvr.wire.sdp import Media
from tests.media import clip

SPOKEN_S = 1.5


@asynccontextmanager
async def listening(codec, path, *options):
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "tests/peers/gst_talk.py", codec, str(path), *options,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        yield f"rtsp://127.0.0.1:{int(line.split()[1])}/camera"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def say_all(voice, data):
    for at in range(0, len(data), 320):
        await voice.say(data[at : at + 320])
        await asyncio.sleep(0.03)


def frequency_hz(samples):
    power = numpy.abs(numpy.fft.rfft(samples * numpy.hanning(len(samples))))
    return power.argmax() * 8000 / len(samples)


@pytest.mark.needs("gst-rtsp-server")
@pytest.mark.parametrize("codec", ["pcmu", "pcma"])
async def test_what_is_said_comes_out_of_the_camera(codec, tmp_path):
    heard, clock = tmp_path / "heard", SystemClock()
    said = b"".join(unit.nals[0] for unit in clip.audio(codec, SPOKEN_S).units)
    user, password = ("--user", "talk"), ("--password", "secret")
    options = (*user, *password) if codec == "pcmu" else ()
    account = Account("talk", "secret") if options else None
    async with listening(codec, heard, *options) as url:
        caller = Caller(url, lambda: account, clock)
        async with mouth(caller, clock) as voice:
            assert voice.codec == codec
            lasts = asyncio.create_task(voice.lasts())
            try:
                await say_all(voice, said)
                async with asyncio.timeout(20):
                    # On a busy machine its player drops what comes late.
                    while not heard.exists() or heard.stat().st_size < len(said) * 3 // 4:
                        await asyncio.sleep(0.05)
                assert not lasts.done()
            finally:
                lasts.cancel()
                with suppress(asyncio.CancelledError):
                    await lasts
    samples = numpy.frombuffer(heard.read_bytes(), numpy.int16)
    assert abs(frequency_hz(samples[: len(said)]) - 440) < 5


@pytest.mark.needs("gst-rtsp-server")
async def test_a_camera_without_a_loudspeaker_says_so(tmp_path):
    clock = SystemClock()
    async with listening("none", tmp_path / "none") as url:
        with pytest.raises(NvrError, match=r"talk\.unsupported"):
            async with mouth(Caller(url, nobody, clock), clock):
                pass


SDP = (
    b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=recvonly\r\na=control:v\r\n"
    b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\na=sendonly\r\na=control:a\r\n"
    b"m=audio 0 RTP/AVP 8\r\na=sendonly\r\na=control:b\r\n"
)


def test_every_request_asks_for_the_back_channel_and_only_that_is_set_up():
    client = TalkClient("rtsp://c/1", None, cnonce=lambda: "1")
    client.start()
    asked = []
    session = (("Session", "7"), ("Transport", "RTP/AVP/TCP;interleaved=0-1"))
    answers = [((), b""), ((), SDP), (session, b""), ((), b"")]
    for number, (headers, body) in enumerate(answers, 1):
        asked.append(client.to_send().decode())
        client.receive(Response(200, (("CSeq", str(number)), *headers), body).encode(), 0.0)
    methods = [text.split(" ")[0] for text in asked]
    assert methods == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
    assert [f"Require: {FEATURE}" in text for text in asked] == [False, True, True, True]
    assert "rtsp://c/1/b" in asked[2]
    (track,) = client.next_event().tracks
    assert (track.media.codec, track.channel) == ("pcma", 0)


def test_a_spurt_begins_with_a_marker_and_silence_passes_time():
    packets = Packets(4, 8, 0xABCD, sequence=0xFFFF, timestamp=2**32 - 160)
    frames = [
        packets.frame(b"a" * 160),
        packets.frame(b"b" * 160),
        packets.frame(b"c" * 80, late=800),
    ]
    heads = [struct.unpack(">cBHBBHII", frame[:16]) for frame in frames]
    assert [(h[0], h[1], h[2], h[3]) for h in heads] == [
        (b"$", 4, 172, 0x80), (b"$", 4, 172, 0x80), (b"$", 4, 92, 0x80)
    ]  # fmt: skip
    assert [(h[4] >> 7, h[4] & 127, h[5], h[6]) for h in heads] == [
        (1, 8, 0xFFFF, 2**32 - 160), (0, 8, 0, 0), (1, 8, 1, 960)
    ]  # fmt: skip


class Pipe:
    def __init__(self):
        self.sent = []

    async def write(self, data):
        self.sent.append(data)


async def test_what_comes_faster_than_it_can_be_heard_is_left_out():
    clock, pipe = FakeClock(), Pipe()
    client = TalkClient("rtsp://c/1", None, cnonce=lambda: "1")
    voice = Mouth(pipe, client, Track(Media("audio", 0, "PCMU", 8000, 1), 0), clock)
    for _ in range(100):
        await voice.say(bytes(800))
    assert 8 <= len(pipe.sent) <= 15, "a second ahead"
    clock.advance(5.0)
    await voice.say(bytes(800))
    assert pipe.sent[-1][5] & 0x80, "a new spurt"
    for wrong in (b"", bytes(1025)):
        with pytest.raises(NvrError, match=r"talk\.too_much"):
            await voice.say(wrong)
