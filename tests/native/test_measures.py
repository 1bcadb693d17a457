"""What the session measures of a camera beside what it records: key frames, lateness, clocks."""

import pytest

from nvr.media.ports import RunStats
from tests.media import clip, wire
from tests.media.taker import Taker

MS = 90
NAMES = (
    "bytes_in", "packets", "lost", "damaged", "frames", "keys", "other", "last_packet",
    "last_key", "gop", "gop_frames", "reordered", "sound", "anchors", "late", "lead", "lead_at",
    "ntp_us", "ntp_at", "keyless", "setless", "restored", "foreign", "overrun", "jitter_us",
    "fields",
    "replayed",
)  # fmt: skip


def measured(taker):
    taker.tick()
    return dict(zip(NAMES, taker.session.stats(), strict=True))


def paced(made, count=None):
    """Packets of each picture of a clip, as often as it takes, at the pace of its times."""
    units, out, seq = made.units, [], 0
    span = units[-1].pts - units[0].pts + 3600
    for n in range(count or len(units)):
        unit = units[n % len(units)]
        pts = unit.pts + n // len(units) * span
        pieces = [p for nal in unit.nals for p in wire.split_nal("h264", nal)]
        packets = []
        for place, piece in enumerate(pieces):
            packets.append(wire.rtp(96, seq, pts, place == len(pieces) - 1, piece))
            seq += 1
        out.append((pts, packets))
    return out


def feed(taker, packets):
    for packet in packets:
        taker.feed(wire.frame(0, packet))


@pytest.mark.parametrize("gop", [10, 25])
def test_a_group_of_pictures_is_measured_by_the_camera_s_time(gop):
    made = clip.video(frames=60, gop=gop)
    with Taker(made.track) as taker:
        for number, (_, packets) in enumerate(paced(made)):
            taker.now += (70 if number % 2 else 10) * MS  # as a tick would have it
            feed(taker, packets)
        stats = measured(taker)
    assert stats["gop"] == gop * 3600
    assert stats["gop_frames"] == gop


def test_a_key_frame_that_is_taken_up_again_is_no_group():
    made = clip.video(frames=40, gop=10, options={"x264-params": "scenecut=0:slices=4"}, height=192)
    seq = 0
    with Taker(made.track) as taker:
        for unit in made.units:
            taker.now += 40 * MS
            for nal in unit.nals:
                for payload in wire.split_nal("h264", nal):
                    taker.feed(wire.frame(0, wire.rtp(96, seq, unit.pts, True, payload)))
                    seq += 1
        stats = measured(taker)
    assert (stats["gop"], stats["gop_frames"]) == (36_000, 10)


def test_what_comes_too_late_is_counted_as_reordered():
    made = clip.video(frames=50, gop=25)
    flat = [packet for _, packets in paced(made) for packet in packets]
    flat[30], flat[31] = flat[31], flat[30]
    with Taker(made.track) as taker:
        for packet in flat:
            taker.now += 10 * MS
            taker.feed(wire.frame(0, packet))
        stats = measured(taker)
    assert (stats["lost"], stats["reordered"], stats["other"]) == (1, 1, 1)


@pytest.mark.parametrize("late_ms", [0, 120, 700])
def test_the_latest_arrival_is_measured_against_the_earliest(late_ms):
    made = clip.video(frames=25, gop=25)
    seen = []
    with Taker(made.track) as taker:
        begin = taker.now
        for number, (pts, packets) in enumerate(paced(made, 250)):
            # What queues behind the late one comes with it.
            taker.now = max(taker.now, begin + pts + (late_ms * MS if number == 80 else 0))
            feed(taker, packets)
            seen.append(measured(taker)["late"])
    assert abs(max(seen) - late_ms * MS) <= 2
    assert seen[-1] == 0, "it is of two seconds, these were punctual"


@pytest.mark.parametrize("ppm", [-400, 0, 400])
def test_a_clock_that_runs_fast_or_slow_shows_in_how_far_it_leads(ppm):
    made = clip.video(frames=25, gop=25)
    points = {}
    with Taker(made.track) as taker:
        begin = taker.now
        for pts, packets in paced(made, 60 * 25):
            taker.now = begin + round(pts / (1 + ppm / 1e6))
            feed(taker, packets)
            stats = measured(taker)
            if stats["lead_at"]:
                points[stats["lead_at"]] = stats["lead"]
        assert stats["anchors"] == 1
    assert 4 <= len(points) <= 6
    first, last = min(points), max(points)
    drift = (points[last] - points[first]) / (last - first) * 1e6
    assert abs(drift - ppm) < 2


def test_a_jump_of_the_camera_s_time_begins_anew():
    made = clip.video(frames=25, gop=25)
    with Taker(made.track) as taker:
        for pts, packets in paced(made, 50):
            taker.now += 3600
            jump = 3_000_000 if pts >= 25 * 3600 else 0
            feed(taker, [p[:4] + (pts + jump).to_bytes(4, "big") + p[8:] for p in packets])
        assert measured(taker)["anchors"] == 2


@pytest.mark.parametrize("unix_s", [1_700_000_000, 0, 5])
def test_a_sender_report_tells_the_camera_s_wall_clock(unix_s):
    made = clip.video(frames=5)
    ntp = ((unix_s + 2_208_988_800 if unix_s != 5 else 5) << 32) | 1 << 31
    with Taker(made.track) as taker:
        for _, packets in paced(made):
            taker.now += 3600
            feed(taker, packets)
        taker.feed(wire.frame(1, wire.report(ntp, made.units[-1].pts)))
        stats = measured(taker)
        assert stats["ntp_at"] == taker.now
    assert stats["ntp_us"] == (unix_s * 1_000_000 + 500_000 if unix_s != 5 else 0)


def test_sound_is_counted_apart():
    made, sound = clip.video(frames=10), clip.audio("pcma", 10)
    with Taker(made.track, sound.track) as taker:
        for _, packets in paced(made):
            feed(taker, packets)
        for _, packet in wire.packets(sound):
            taker.feed(wire.frame(sound.track.channel, packet))
        stats = measured(taker)
        assert stats["sound"] == len(wire.packets(sound))
        assert stats["packets"] > stats["sound"]


def test_every_measure_has_its_place_in_what_the_box_sees():
    made = clip.video(frames=1)
    with Taker(made.track) as taker:
        assert len(taker.session.stats()) == len(NAMES) == len(RunStats.__struct_fields__)
