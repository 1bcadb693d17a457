"""A camera's stream as a program stream over a relay, as libav reads it: all pictures, right times.

Of G.711 libav knows the type of A-law only.
"""

import io

import av
import pytest

from nvr._native import Relay, RelayReader
from nvr.media.track import StreamConfig
from nvr.wire.mpegps import muxer
from tests.media import clip, wire
from tests.media.taker import Taker
from tests.media.test_ingest import running, until
from tests.native.test_relay_program import framed, units

PICTURES = [("h264", 0), ("h264", 2), ("h265", 0), ("h265", 2)]


def program(config: StreamConfig) -> Relay:
    return Relay([(90_000, 96, 0, 1, 0, 0, True)], program=muxer(config, leave_out=True))


def begun(relay: Relay) -> RelayReader:
    reader = relay.add(-1)
    reader.play()
    return reader


def pulled(reader: RelayReader) -> bytes:
    data = b""
    while piece := reader.pull(1 << 20):
        data += piece
    return data


def stream_of(data: bytes) -> bytes:
    return b"".join(pack for _, pack in units(framed(data)))


def shown(data: bytes, kind: str = "video") -> list[int]:
    """Times of the decoded frames, 90 kHz, from the first on."""
    with av.open(io.BytesIO(data), format="mpeg") as container:
        stream = container.streams.get({kind: 0})[0]
        times = [frame.pts for frame in container.decode(stream)]
    return [at - times[0] for at in times]


def mixed(pictures: clip.Clip, sound: clip.Clip) -> list[bytes]:
    """Frames of both, as they would come."""
    both = [(pts / 90_000, wire.frame(0, one)) for pts, one in wire.packets(pictures)]
    for n, unit in enumerate(sound.units):
        if sound.track.codec == "aac":
            head = b"\0\x10" + (len(unit.nals[0]) << 3).to_bytes(2, "big")
        else:
            head = b""
        packet = wire.rtp(sound.track.payload_type, n, unit.pts, True, head + unit.nals[0])
        both.append((unit.pts / sound.track.clock_hz, wire.frame(sound.track.channel, packet)))
    order = sorted(range(len(both)), key=lambda n: both[n][0])
    return [both[n][1] for n in order]


@pytest.mark.parametrize(("codec", "b_frames"), PICTURES)
def test_every_picture_comes_at_its_time(codec: str, b_frames: int) -> None:
    made = clip.video(codec, frames=50, gop=25, b_frames=b_frames)
    relay = program((made.config,))
    reader = begun(relay)
    with Taker(made.track) as taker:
        taker.session.set_relays((relay,), True)
        for _, packet in wire.packets(made):
            taker.feed(wire.frame(0, packet))
            taker.tick()
        taker.end()
        relay.flush()
    times = shown(stream_of(pulled(reader)))
    wanted = sorted(unit.pts for unit in made.units)
    assert times == [at - wanted[0] for at in wanted]


@pytest.mark.parametrize(("codec", "rate_hz"), [("aac", 48_000), ("pcma", 8_000)])
def test_the_sound_comes_along(codec: str, rate_hz: int) -> None:
    pictures, sound = clip.video(frames=50, gop=25), clip.audio(codec, 2.0, rate_hz)
    relay = program((pictures.config, sound.config))
    reader = begun(relay)
    with Taker(pictures.track, sound.track) as taker:
        taker.session.set_relays((relay,), True)
        for data in mixed(pictures, sound):
            taker.feed(data)
            taker.tick()
        taker.end()
        relay.flush()
    data = stream_of(pulled(reader))
    assert len(shown(data)) == 50
    times = shown(data, "audio")
    assert len(times) >= len(sound.units) - 2
    assert 1.8 * 90_000 < times[-1] < 2.1 * 90_000


async def test_who_comes_in_the_middle_of_a_group_has_it_from_its_key_frame() -> None:
    made = clip.video(frames=50, gop=50)
    frames: dict[int, bytes] = {}
    for pts, packet in wire.packets(made):
        frames[pts] = frames.get(pts, b"") + wire.frame(0, packet)
    relay = program((made.config,))
    reader = begun(relay)
    async with running([]) as ingest:
        stream = ingest.stream("gate/main")
        run = stream.open_run([made.track])
        for n, data in enumerate(frames.values()):
            if n == 30:
                await until(lambda: run.stats().frames == 30, 60)
                stream.add_relay(relay)
                await until(lambda: reader.stats()[5] > 0, 60)
                first = pulled(reader)
            run.feed(data)
        await until(lambda: run.stats().frames == 50, 60)
        await run.close()
        rest = pulled(reader)
        stream.remove_relay(relay)
    assert len(units(framed(first))) == 30, "the group so far, before anything more came"
    times = shown(stream_of(first + rest))
    assert times == [n * 3_600 for n in range(50)], "and it goes on without a hole"
