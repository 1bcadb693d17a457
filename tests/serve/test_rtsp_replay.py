"""Recordings over RTSP, from a real volume: pictures with sound, forth and back."""

import contextlib
import json
import random
import struct
from itertools import pairwise

import pytest

from nvr.base.clock import FakeClock
from nvr.hal.linux_disk import LinuxDisk
from nvr.media.fragment import pieces, samples
from nvr.playback.query import Archive
from nvr.record.recover import open_store
from nvr.record.writer import Committer
from nvr.wire.rtsp_replay import stamp
from tests.export.made import GATE, W
from tests.record import synthetic
from tests.serve.replayer import replayer
from tests.serve.source import listening
from tests.serve.test_rtsp_peers import run

GROUP_US = 1_000_000
GAP_AT, GAP_US = 8, 3_600_000_000
"""After so many groups nothing was recorded for an hour."""
GROUPS, PARTS, FRAMES = 14, 3, 25
END_US = W + GROUPS * GROUP_US + GAP_US
FAST = {"Rate_Control": "no"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Groups of pictures of a second with AAC beside them, in two runs with a hole between."""
    disk = LinuxDisk(tmp_path_factory.mktemp("ring"))
    store = open_store(
        disk, FakeClock(), random.Random(1), size_bytes=64 << 20, block_bytes=4 << 20
    )
    committer = Committer(store)
    for number, count in enumerate((GAP_AT, GROUPS - GAP_AT)):
        past_us = number * (GAP_AT * GROUP_US + GAP_US)
        camera = synthetic.camera(
            GATE, run=number + 1, start_90k=900_000 + past_us * 9 // 100, wall_us=W + past_us,
            with_audio=True, width=160,
        )  # fmt: skip
        for _ in range(count * PARTS):
            committer.submit([next(camera)])
            store.clock.advance(0.5)
            assert committer.commit()
            store.ring.keep()
    yield Archive(store)
    disk.close()


@contextlib.asynccontextmanager
async def opened(archive, *tracks):
    async with (
        listening({}, archive=archive) as (_, port),
        replayer(port, "rec/gate", "", "") as reader,
    ):
        status, _, sdp = await reader.ask("DESCRIBE")
        assert status == 200
        assert sdp.count(b"m=") == 2
        assert sdp.index(b"x-onvif-track:VIDEO001") < sdp.index(b"x-onvif-track:AUDIO001")
        for track in tracks:
            way = {"Transport": f"RTP/AVP/TCP;unicast;interleaved={2 * track}-{2 * track + 1}"}
            assert (await reader.ask("SETUP", f"{reader.url}/track={track}", **way))[0] == 200
        yield reader


async def played(reader, until=lambda units: units and "T" in units[-1].flags, **said):
    """What a PLAY brings up to the last one, or to what `until` says."""
    reader.sounds.clear()
    assert (await reader.ask("PLAY", **said))[0] == 200

    def its(units):
        return [unit for unit in units if unit.cseq == reader.cseq & 0xFF]

    await reader.until(lambda units: until(its(units)))
    return its(reader.units)


def groups(units):
    """Units cut where one begins with a discontinuity."""
    found = []
    for unit in units:
        if "D" in unit.flags:
            found.append([])
        found[-1].append(unit)
    return found


def kept(archive, kind):
    """What the archive has of a track."""
    found, t_us, place = [], W, None
    while (gop := archive.gop(GATE, t_us, place)) is not None:
        config = archive.config(GATE, gop.run)
        for piece in pieces(gop.data):
            found += [x.data for x in samples(piece, config) if config[x.track].kind == kind]
        t_us, place = gop.next_us or 0, gop.following
        if place is None:
            return found
    return found


async def test_sound_comes_with_the_pictures_whole_and_in_time(archive):
    async with opened(archive, 0, 1) as reader:
        units = await played(reader, **FAST)
        sounds = list(reader.sounds)
        assert reader.reports == [], "where the peer sets the pace a report would say nothing"
    wanted = kept(archive, "audio")
    assert [one.payload[4:] for one in sounds] == wanted[: len(sounds)]
    assert len(wanted) - len(sounds) < 20
    assert len(units) == GROUPS * FRAMES
    assert [len(group) for group in groups(units)] == [GAP_AT * FRAMES, (GROUPS - GAP_AT) * FRAMES]
    assert "E" in groups(units)[0][-1].flags
    # Both tell one clock: the time of the packet is that of the extension.
    for first, later in ((units[0], units[200]), (units[0], units[-1])):
        assert later.time_90k - first.time_90k & 0xFFFFFFFF == pytest.approx(
            (later.at_us - first.at_us) * 9 // 100, abs=2
        )
    steps = [later.time - one.time & 0xFFFFFFFF for one, later in pairwise(sounds)]
    assert sorted({step for step in steps if step < 16_000}) in ([1024], [1023, 1024, 1025])


async def test_pictures_alone_may_be_set_up(archive):
    async with opened(archive, 0) as reader:
        assert len(await played(reader, **FAST)) == GROUPS * FRAMES
        assert reader.sounds == []
        assert (await reader.ask("SETUP", f"{reader.url}/track=2"))[0] in {404, 461}


async def test_backwards_groups_come_last_first_each_in_the_order_of_decoding(archive):
    async with opened(archive, 0, 1) as reader:
        forth = {unit.at_us: unit for unit in await played(reader, **FAST)}
        back = await played(reader, Scale="-1.0", **FAST)
        assert reader.sounds == []
    found = groups(back)
    assert len(found) == GROUPS
    assert all(len(group) == FRAMES and group[0].flags[:2] in {"CD", "CE"} for group in found)
    begins = [group[0].at_us for group in found]
    assert begins == sorted(begins, reverse=True)
    for group in found:
        assert [unit.at_us for unit in group] == sorted(unit.at_us for unit in group)
        assert all("C" not in unit.flags for unit in group[1:])
    for unit in back[:-1]:  # as forth; of the last one only the first packet was waited for
        assert unit.nals == forth[unit.at_us].nals
        assert unit.time_90k == forth[unit.at_us].time_90k
    # Behind what follows a gap, and behind the oldest, something is missing.
    assert [n for n, g in enumerate(found) if "E" in g[-1].flags] == [
        GROUPS - GAP_AT - 1,
        GROUPS - 1,
    ]


async def test_backwards_from_one_time_to_another(archive):
    from_us, to_us = W + 5_500_000, W + 2_200_000
    async with opened(archive, 0) as reader:
        asked = {"Scale": "-1", "Range": f"clock={stamp(from_us)}-{stamp(to_us)}", **FAST}
        found = groups(await played(reader, **asked))
        assert [group[0].at_us - W for group in found] == [
            5_000_000,
            4_000_000,
            3_000_000,
            2_000_000,
        ]
        assert found[0][-1].at_us <= from_us
        assert found[0][-1].at_us > from_us - 41_000
        inside = {"Scale": "-1", "Range": f"clock={stamp(W + 60_000_000)}-", **FAST}
        found = groups(await played(reader, **inside))
        assert found[0][0].at_us == W + (GAP_AT - 1) * GROUP_US, "in the gap: what was before it"


async def test_backwards_at_our_pace_times_are_those_of_playing(archive):
    async with opened(archive, 0) as reader:
        asked = {"Scale": "-4", "Range": f"clock={stamp(W + 4_990_000)}-{stamp(W + 2_000_000)}"}
        found = groups(await played(reader, **asked))
        assert len(found) == 3
        whole = [unit.time_90k for group in found for unit in reversed(group)]
        steps = {later - one & 0xFFFFFFFF for one, later in pairwise(whole)}
        assert steps == {synthetic.FRAME_90K // 4}
        keys = await played(reader, Scale="-16", Range=f"clock={stamp(W + 6_000_000)}-")
        assert all("C" in unit.flags for unit in keys)
        assert len(keys) == 7


async def test_backwards_from_nowhere_begins_with_the_newest(archive):
    async with opened(archive, 0) as reader:
        units = await played(reader, lambda units: len(units) > FRAMES, Scale="-1", **FAST)
        assert units[0].at_us == END_US - GROUP_US
        assert units[FRAMES].at_us == END_US - 2 * GROUP_US


async def test_paused_backwards_it_goes_on_before_what_was_shown(archive):
    async with opened(archive, 0) as reader:
        first = {"Scale": "-1", "Range": f"clock={stamp(W + 5_500_000)}-"}
        units = await played(reader, len, **first)
        assert units[0].at_us == W + 5_000_000
        assert (await reader.ask("PAUSE"))[0] == 200
        units = await played(reader, len, Scale="-1", **FAST)
        assert units[0].at_us == W + 4_000_000


async def test_at_our_pace_reports_tie_sound_to_pictures(archive):
    async with opened(archive, 0, 1) as reader:
        units = await played(reader, lambda units: len(units) > 10, Range=f"clock={stamp(W)}-")
        sounds = reader.sounds
        shown = {}
        for channel, data in reader.reports:
            seconds, rest, at = struct.unpack_from(">III", data, 8)
            assert data[1] == 200
            shown[channel] = seconds + rest / (1 << 32), at
    (video_s, video_at), (audio_s, audio_at) = shown[1], shown[3]
    pictured_us = units[0].at_us + int(around_zero(video_at - units[0].time_90k) / 0.09)
    heard_us = sounds[0].at_us + int(around_zero(audio_at - sounds[0].time) * 62.5)
    assert pictured_us - heard_us == pytest.approx((video_s - audio_s) * 1e6, abs=2000)


def around_zero(value: int) -> int:
    """The same number modulo 2**32, around zero."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


@pytest.mark.needs("ffmpeg")
async def test_ffmpeg_decodes_both(archive):
    async with listening({}, archive=archive) as (_, port):
        code, out, err = await run(
            "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-count_frames", "-read_intervals",
            "%+1", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "json",
            f"rtsp://127.0.0.1:{port}/rec/gate",
        )  # fmt: skip
    assert code == 0, err
    seen = {one["codec_name"]: int(one["nb_read_frames"]) for one in json.loads(out)["streams"]}
    assert seen["h264"] > 15
    assert seen["aac"] > 8
    assert "error" not in err
