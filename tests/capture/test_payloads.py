"""GStreamer's payloaders with odd settings, and the codecs of sound, recorded and decoded again."""

import asyncio
import io
import itertools
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import av
import numpy
import pytest

from nvr.base.clock import SystemClock
from nvr.capture.rtsp import Caller, nobody
from nvr.capture.source import Source
from nvr.media.ingest import Ingest
from nvr.wire import fmp4
from tests.capture.test_source import QUICK, gst_camera, liar, plays
from tests.capture.test_through import until
from tests.media import clip, wire

SOUND = {
    "h264-pcmu": ("pcmu", "pcm_mulaw", 8_000),
    "h264-aac": ("aac", "aac", 48_000),
    "h264-latm": ("aac", "aac", 32_000),
    "h264-g726": ("g726", "g726", 8_000),
    "h264-opus": ("opus", "opus", 48_000),
    "h264-l16": ("l16", "pcm_s16be", 16_000),
}
PICTURES = ("h264-nal", "h264-stap", "h264-sdp-only", "h265-ap")
JPEG = ("jpeg", "jpeg-422", "jpeg-quality", "jpeg-restart", "jpeg-large")


@asynccontextmanager
async def recorded(kinds, seconds):
    """Parts of each kind, of so many seconds of pictures and more."""
    clock = SystemClock()
    parts: dict[str, list] = {kind: [] for kind in kinds}
    ingest = Ingest(lambda new: [parts[part.stream].append(part) for part in new], clock)
    async with gst_camera(kinds[0]) as port:
        sources = [
            Source(
                kind,
                Caller(f"rtsp://127.0.0.1:{port}/kind/{kind}", nobody, clock),
                ingest.stream(kind),
                clock=clock,
            )
            for kind in kinds
        ]
        running = asyncio.create_task(ingest.run())
        tasks = [asyncio.create_task(source.run()) for source in sources]
        try:
            await until(
                lambda: all(
                    sum(part.duration_90k for part in got) > seconds * 90_000
                    for got in parts.values()
                ),
                60,
            )
            yield parts, {source.name: source for source in sources}
        finally:
            for task in (*tasks, running):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def movie(parts):
    assert len({part.config for part in parts}) == 1
    body = b"".join(part.moof + bytes(part.mdat) for part in parts)
    return fmp4.init_segment(parts[0].config) + body


def decoded(data, kind):
    with av.open(io.BytesIO(data)) as box:
        stream = next(s for s in box.streams if s.type == kind)
        stream.thread_type = "NONE"
        return stream.codec_context.name, list(box.decode(stream))


def when_loud(frame):
    wave = frame.to_ndarray()[0].astype(float)
    wave /= 32768 if frame.format.name.startswith("s16") else 1
    return (
        float(frame.pts * frame.time_base) + numpy.flatnonzero(abs(wave) > 0.2) / frame.sample_rate
    )


@pytest.mark.needs("gst-rtsp-server")
async def test_every_codec_of_sound_is_recorded_and_heard():
    async with recorded(tuple(SOUND), 3.5) as (parts, sources):
        states = {kind: source.state for kind, source in sources.items()}
    for kind, (codec, name, rate_hz) in SOUND.items():
        assert (states[kind].state, states[kind].code) == ("live", ""), kind
        assert [track.codec for track in parts[kind][0].config] == ["h264", codec]
        data = movie(parts[kind])
        decoder, heard = decoded(data, "audio")
        assert decoder == name, kind
        assert {frame.sample_rate for frame in heard} == {rate_hz}
        # The generator ticks once a second and is silent between. On a busy machine it leaves gaps.
        loud = numpy.concatenate([when_loud(frame) for frame in heard])
        assert len(loud), kind
        ticks = loud[numpy.flatnonzero(numpy.diff(loud, prepend=-1) > 0.5)]
        apart = numpy.diff(ticks)
        # Placed anew by a sender report, one of them may be off.
        off = abs(apart - numpy.maximum(1, apart.round()))
        assert not len(off) or off.min() < 0.05, (kind, ticks)


@pytest.mark.needs("gst-rtsp-server")
async def test_odd_ways_to_send_pictures_lose_none():
    async with recorded(PICTURES, 2.0) as (parts, _):
        pass
    for kind in PICTURES:
        assert not sum(part.damaged for part in parts[kind]), kind
        data = movie(parts[kind])
        _, shown = decoded(data, "video")
        assert len(shown) == sum(part.samples for part in parts[kind]) >= 50, kind
        # Of a camera without markers the last picture may be half of one.
        assert not [n for n, frame in enumerate(shown[:-1]) if frame.is_corrupt], kind
        steps = {b.pts - a.pts for a, b in itertools.pairwise(shown)}
        assert steps <= {3_599, 3_600, 3_601}, (kind, steps)


@asynccontextmanager
async def watched(url, patience, **options):
    """States that a source goes through, with the real ingest behind it."""
    clock, states = SystemClock(), []
    ingest = Ingest(lambda _parts: None, clock)
    caller = Caller(url, nobody, clock, **options)
    source = Source(
        "gate", caller, ingest.stream("gate/main"), clock=clock, patience=patience,
        changed=lambda state: states.append((state.state, state.code)),
    )  # fmt: skip
    tasks = [asyncio.create_task(ingest.run()), asyncio.create_task(source.run())]
    try:
        yield states, ingest.stream("gate/main")
    finally:
        for task in reversed(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize(
    ("kinds", "code"),
    [({7, 8}, "camera.no_parameter_sets"), ({5, 7, 8}, "camera.no_key_frames")],
)
async def test_why_recording_cannot_begin_is_named_in_time(kinds, code):
    made = clip.video(frames=50, gop=25)

    async def then(writer):
        for number, unit in enumerate(itertools.cycle(made.units)):
            for nal in unit.nals:
                if nal[0] & 31 not in kinds:
                    packet = wire.rtp(96, number, number * 3600, True, nal)
                    writer.write(wire.frame(0, packet))
            await asyncio.sleep(0.02)

    patience = replace(QUICK, setless_s=1.0, keyless_s=3.0, stuck_s=1.5)
    async with liar(plays(then)) as url, watched(url, patience) as (states, _):
        await until(lambda: code in {said for _, said in states})
        if code == "camera.no_key_frames":
            await until(lambda: ("lost", "camera.frozen") in states)
    assert ("live", "") not in states


async def test_fields_of_jpeg_are_named_and_not_recorded_at_half_their_height():
    made = clip.jpeg(10)

    async def then(writer):
        for number, unit in enumerate(itertools.cycle(made.units)):
            (payload,) = wire.jpeg_payloads(unit.nals[0], 60_000)
            field = bytes((1 + number % 2,)) + payload[1:]
            writer.write(wire.frame(0, wire.rtp(26, number, number * 1800, True, field)))
            await asyncio.sleep(0.02)

    camera = plays(then, b"m=video 0 RTP/AVP 26\n")
    async with liar(camera) as url, watched(url, QUICK) as (states, _):
        await until(lambda: ("unsupported", "camera.interlaced") in states)
    assert ("live", "") not in states


@pytest.mark.needs("gst-rtsp-server")
async def test_sound_that_is_not_wanted_is_not_asked_for():
    async with gst_camera("h264-pcmu") as port:
        url = f"rtsp://127.0.0.1:{port}/camera"
        async with watched(url, QUICK, sound=False) as (states, stream):
            await until(lambda: ("live", "") in states)
            assert [track.codec for track in stream.config] == ["h264"]


@pytest.mark.needs("gst-rtsp-server")
async def test_a_camera_that_sends_only_jpeg_is_recorded_however_it_tells_its_tables():
    async with recorded(JPEG, 1.5) as (parts, sources):
        states = {kind: source.state for kind, source in sources.items()}
    light = {}
    for kind in JPEG:
        assert (states[kind].state, states[kind].code) == ("live", ""), kind
        (track,) = parts[kind][0].config
        assert track.codec == "jpeg"
        assert (track.width_px, track.height_px) == (2304 if "large" in kind else 320, 176)
        name, shown = decoded(movie(parts[kind]), "video")
        assert name == "mjpeg"
        assert len(shown) == sum(part.samples for part in parts[kind]) >= 37, kind
        assert {frame.format.name for frame in shown} == {
            "yuvj422p" if "422" in kind else "yuvj420p"
        }
        assert not any(frame.is_corrupt for frame in shown)
        assert not sum(part.damaged for part in parts[kind]), kind
        steps = {b.pts - a.pts for a, b in itertools.pairwise(shown)}
        assert steps <= {3_599, 3_600, 3_601}, (kind, steps)
        assert all(part.key for part in parts[kind])
        assert len(parts[kind]) <= sum(part.samples for part in parts[kind]) / 6, "half a second"
        planes = [frame.reformat(format="gray").to_ndarray().astype(float) for frame in shown]
        light[kind] = numpy.mean([(plane.mean(), plane.std()) for plane in planes], axis=0)
    # Wrong tables would make it darker or flatter.
    for kind in JPEG[:-1]:
        assert numpy.allclose(light[kind], light["jpeg"], rtol=0.03), light
