"""A stream in portions for live playlists: cut by media time, and all of what parts hold."""

import asyncio
from itertools import pairwise

import pytest

from nvr.base.clock import SystemClock
from nvr.media.fragment import samples
from nvr.media.ingest import Ingest
from nvr.media.part import PORTION_90K
from tests.media import clip, wire


async def gathered(*clips, after=0):
    """What portions and parts held of clips, portions asked for `after` so many packets."""
    parts, portions, configs = [], [], []
    ingest = Ingest(parts.extend, SystemClock())
    task = asyncio.create_task(ingest.run())

    def deliver(config, some):
        configs.append(config)
        portions.extend(some)

    stream = ingest.stream("gate/main")
    run = stream.open_run([one.track for one in clips])
    packets = sorted(
        (pts / one.track.clock_hz, one.track.channel, packet)
        for one in clips
        for pts, packet in wire.packets(one)
    )
    end = None
    for number, (_, channel, packet) in enumerate(packets):
        if number == after:
            end = stream.portions(deliver)
            await asyncio.sleep(0.15)
        run.feed(wire.frame(channel, packet))
        if number % 40 == 39:
            await asyncio.sleep(0.02)
    await run.close()
    for _ in range(100):
        await asyncio.sleep(0.02)
        if portions and len(units(parts, configs[0])) <= len(units(portions, configs[0])):
            break
    end()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return configs[0], portions, parts


def units(found, config):
    """Samples of parts or portions, each with its track and its time."""
    whole = [one.data if hasattr(one, "data") else one.moof + bytes(one.mdat) for one in found]
    return [
        (one.track, one.dts_90k, one.key, one.data)
        for data in whole
        for one in samples(data, config)
    ]


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 2), ("h265", 0), ("h264", 0)])
async def test_portions_hold_what_parts_hold_and_are_cut_by_time_and_key(codec, b_frames):
    config, portions, parts = await gathered(
        clip.video(codec, frames=110, gop=50, b_frames=b_frames), clip.audio("aac", 4.4)
    )
    shown = [one for one in units(portions, config) if one[0] == 0]
    assert shown == [one for one in units(parts, config) if one[0] == 0]
    heard = sorted(one for one in units(portions, config) if one[0] == 1)
    assert heard == sorted(one for one in units(parts, config) if one[0] == 1)
    assert {one.key for one in portions} == {True, False}
    uneven_90k = 3600 if b_frames else 0  # decode times of pictures that are reordered
    assert all(one.duration_90k <= PORTION_90K for one in portions)
    for one, after in pairwise(portions[:-1]):
        assert abs(one.start_90k + one.duration_90k - after.start_90k) <= 3, "no hole, no overlap"
        regular = one.duration_90k >= 0.85 * PORTION_90K - uneven_90k
        assert regular or after.key, "short is only what a key frame ends"
        assert one.ends <= after.key
    keys = [one for one in portions if one.key]
    assert len(keys) == 3
    for one in portions:
        first = samples(one.data, config)
        assert [s.key for s in first if s.track == 0].count(True) == one.key


async def test_the_group_under_way_comes_first_and_whole():
    made = clip.video(frames=100, gop=100)
    packets = len(list(wire.packets(made)))
    config, portions, parts = await gathered(made, after=packets // 2)
    assert portions[0].key
    assert units(portions, config) == units(parts, config)


async def test_sound_alone_is_cut_by_time():
    config, portions, parts = await gathered(clip.audio("pcma", 3.0))
    assert units(portions, config) == units(parts, config)
    assert all(one.key for one in portions)
    assert {round(one.duration_90k / 90_000, 1) for one in portions[:-1]} == {0.5}
