"""ffmpeg's payloader, which its RTSP muxer shares, as the camera: its own SDP, its own packets."""

import asyncio
import socket

import numpy
import pytest

from nvr.capture.rtsp import rtp_track
from nvr.wire import sdp
from nvr.wire.rtsp_client import Track
from tests.media import wire
from tests.media.taker import Taker, decode

TONE = "sine=frequency=440:sample_rate={rate}:duration=1.5"
BARS = "testsrc=size=320x192:rate=25:duration=1.2"
SOUND = {
    "aac": ("aac", 48_000, "-c:a aac -flags +global_header"),
    "latm": ("aac", 32_000, "-c:a aac -flags +global_header -rtpflags latm"),
    "opus": ("opus", 48_000, "-c:a libopus"),
    "g726": ("g726", 8_000, "-c:a g726le -b:a 32k"),
    "g726 aal2": ("g726", 8_000, "-c:a g726 -b:a 24k"),
    "l16": ("l16", 16_000, "-c:a pcm_s16be"),
}
PICTURES = {
    "h264": "-c:v libx264 -preset ultrafast -g 10 -bf 2 -x264-params slices=3:aud=1",
    "h264 mode 0": "-c:v libx264 -preset ultrafast -g 10 -rtpflags h264_mode0 -x264-params"
    " slice-max-size=1200",
    "h265": "-c:v libx265 -preset ultrafast -g 10 -x265-params log-level=none:slices=2:aud=1",
    "jpeg": "-c:v mjpeg -huffman default -q:v 4 -threads 1 -pix_fmt yuvj420p",
    "jpeg restarts": "-c:v mjpeg -huffman default -q:v 4 -threads 2 -pix_fmt yuvj420p",
}


async def sent(source, options, tmp_path):
    """What ffmpeg sends of a source: its description and its packets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        text = tmp_path / f"{sock.getsockname()[1]}.sdp"
        process = await asyncio.create_subprocess_exec(
            "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", source, *options.split(),
            "-pix_fmt", "yuv420p", "-f", "rtp", "-sdp_file", str(text),
            f"rtp://127.0.0.1:{sock.getsockname()[1]}",
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, said
        packets = []
        while True:
            try:
                packets.append(sock.recv(65536))
            except BlockingIOError:
                break
    (media,) = sdp.parse(text.read_bytes()).media
    return media, packets


def taken(media, packets):
    with Taker(rtp_track(Track(media, 0))) as taker:
        for packet in packets:
            taker.now += 900
            taker.feed(wire.frame(0, packet))
        taker.end()
        assert taker.session.stats()[6] == 0, "all of it is understood"
        return taker.config(), taker.mp4()


@pytest.mark.needs("ffmpeg")
async def test_sound_of_ffmpeg_is_heard(tmp_path):
    everything = await asyncio.gather(
        *(sent(TONE.format(rate=rate), options, tmp_path) for _, rate, options in SOUND.values())
    )
    for (case, (codec, rate_hz, _)), found in zip(SOUND.items(), everything, strict=True):
        media, packets = found
        assert media.codec == codec, case
        config, data = taken(media, packets)
        assert config[0].codec == codec
        frames = decode(data, "audio")
        wave = numpy.concatenate([frame.to_ndarray()[0].astype(float) for frame in frames])
        assert abs(len(wave) / rate_hz - 1.5) < 0.15, case
        middle = wave[rate_hz // 4 : rate_hz // 4 + rate_hz]
        power = numpy.abs(numpy.fft.rfft(middle * numpy.hanning(len(middle))))
        assert abs(power.argmax() - 440) < 4, case


@pytest.mark.needs("ffmpeg")
async def test_pictures_of_ffmpeg_are_whole(tmp_path):
    everything = await asyncio.gather(
        *(sent(BARS, options, tmp_path) for options in PICTURES.values())
    )
    for case, (media, packets) in zip(PICTURES, everything, strict=True):
        _, data = taken(media, packets)
        frames = decode(data)
        assert len(frames) == 30, case
        assert not any(frame.is_corrupt for frame in frames), case
