"""What a camera sends of its own recordings: each part lies where, and when, it was taken."""

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media import clip, wire
from tests.media.taker import Taker, decode, demux, sample_bytes

BEGUN_US = 1_780_000_000_123_456
TICK = 90_000 * 50
FRAME_US = 40_000
NTP_EPOCH_S = 2_208_988_800


def stamped(packet: bytes, at_us: int, last: bool = False) -> bytes:
    """A packet with the header extension of ONVIF's replay."""
    seconds, rest = divmod(at_us, 1_000_000)
    flags = 0x10 if last else 0
    said = struct.pack(
        ">HHIIBBH",
        0xABAC,
        3,
        seconds + NTP_EPOCH_S & 0xFFFFFFFF,
        (rest << 32) // 1_000_000,
        flags,
        7,
        0,
    )
    return bytes([packet[0] | 0x10]) + packet[1:12] + said + packet[12:]


def replayed(taker, made, taken, *, ts=lambda pts: pts, stamp=True, cut_every=0, most=1 << 30):
    """Feed a clip at once; `taken` says when a picture was."""
    last, seen = None, 0
    end = made.units[-1].pts
    for pts, packet in wire.packets(made):
        if pts != last:
            last, seen = pts, seen + 1
            if seen > most:
                break
            if cut_every and seen % cut_every == 0:
                taker.tick(cut=True)
            moved = packet[:4] + struct.pack(">I", ts(pts) & 0xFFFFFFFF) + packet[8:]
            packet = stamped(moved, taken(pts), pts == end) if stamp else moved  # noqa: PLW2901
        else:
            packet = packet[:4] + struct.pack(">I", ts(pts) & 0xFFFFFFFF) + packet[8:]  # noqa: PLW2901
        taker.feed(wire.frame(0, packet))
    taker.end()


def ticks_of(wall_us: int) -> int:
    return TICK + (wall_us - BEGUN_US) * 9 // 100


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("cut_every", [0, 7])
def test_parts_say_when_they_were_taken_however_fast_they_come(codec, cut_every) -> None:
    made = clip.video(codec, frames=75, gop=25)
    with Taker(made.track) as taker:
        taker.session.set_replay(BEGUN_US, TICK)
        replayed(taker, made, lambda pts: BEGUN_US + pts * 100 // 9, cut_every=cut_every)
        assert taker.session.stats()[-1] == 1
        assert len(decode(taker.mp4())) == 75
        count = 0
        for part in taker.parts:
            wall_us = BEGUN_US + count * FRAME_US
            assert abs(part[6] - wall_us) <= 2
            assert abs(part[3] - ticks_of(wall_us)) <= 2
            count += part[9]
        assert count == 75


def test_pictures_of_another_order_are_placed_by_when_they_are_decoded() -> None:
    made = clip.video(frames=60, gop=30, b_frames=2)
    with Taker(made.track) as taker:
        taker.session.set_replay(BEGUN_US, TICK)
        replayed(taker, made, lambda pts: BEGUN_US + pts * 100 // 9)
        for one, two in itertools.pairwise(taker.parts):
            lasted_us = one[4] * 100 // 9
            assert abs(two[6] - one[6] - lasted_us) < FRAME_US * 3
        assert sum(part[9] for part in taker.parts) == 60


@pytest.mark.parametrize("rtp_jumps", [False, True])
def test_what_the_camera_missed_is_missing_between_two_parts(rtp_jumps) -> None:
    hole_us, at = 60_000_000, 37 * 3600
    made = clip.video(frames=75, gop=75)
    late = 5_400_000 if rtp_jumps else 0

    def taken(pts: int) -> int:
        return BEGUN_US + pts * 100 // 9 + (hole_us if pts >= at else 0)

    with Taker(made.track) as taker:
        taker.session.set_replay(BEGUN_US, TICK)
        replayed(taker, made, taken, ts=lambda pts: pts + (late if pts >= at else 0))
        first, second = taker.parts
        assert first[9] == 37
        assert abs(first[6] - BEGUN_US) <= 2
        assert abs(second[6] - taken(at)) <= 2
        if rtp_jumps:  # it lies on the line where it was taken
            assert abs(second[3] - ticks_of(taken(at))) <= 2


def test_what_says_nothing_of_its_time_has_none() -> None:
    made = clip.video(frames=25)
    with Taker(made.track) as taker:
        taker.session.set_replay(BEGUN_US, TICK)
        replayed(taker, made, int, stamp=False)
        assert [part[6] for part in taker.parts] == [0] * len(taker.parts)
        assert taker.session.stats()[-1] == 0


def test_what_was_before_the_line_began_lies_at_its_begin() -> None:
    made = clip.video(frames=25)
    with Taker(made.track) as taker:
        taker.session.set_replay(BEGUN_US, -90_000 * 3600)
        replayed(taker, made, lambda pts: BEGUN_US + pts * 100 // 9)
        part = taker.parts[0]
        assert part[3] == 0
        assert sum(one[9] for one in taker.parts) == 25
        assert abs(part[6] - BEGUN_US) <= 2


def test_live_streams_are_not_placed_by_it() -> None:
    made = clip.video(frames=25)
    with Taker(made.track) as taker:
        replayed(taker, made, lambda pts: BEGUN_US + pts * 100 // 9)
        assert (taker.parts[0][6], taker.parts[0][3]) == (0, taker.now)


@pytest.mark.parametrize("codec", ["pcma", "aac"])
@pytest.mark.parametrize("second_by_second", [False, True])
def test_sound_lies_where_it_was_taken_though_it_comes_after_its_pictures(
    codec, second_by_second
) -> None:
    made, sound = clip.video(frames=75, gop=25), clip.audio(codec, 2)
    late_us, hz = 300_000, sound.track.clock_hz
    pictures, last = [], None
    for pts, packet in wire.packets(made):
        at_us = BEGUN_US + pts * 100 // 9
        said = packet if pts == last else stamped(packet, at_us)
        pictures.append((at_us, wire.frame(made.track.channel, said)))
        last = pts
    heard = [
        (at_us := BEGUN_US + late_us + pts * 1_000_000 // hz,
         wire.frame(sound.track.channel, stamped(packet, at_us)))
        for pts, packet in wire.packets(sound, ts=0x7654_3210)
    ]  # fmt: skip

    def turn(one) -> tuple[int, ...]:
        at_us, _ = one
        second = (at_us - BEGUN_US) // 1_000_000 if second_by_second else 0
        return second, second_by_second and one in heard, at_us

    with Taker(made.track, sound.track) as taker:
        taker.session.set_replay(BEGUN_US, TICK)
        for _, data in sorted(pictures + heard, key=turn):
            taker.feed(data)
        taker.end()
        assert len(decode(taker.mp4())) == 75
        starts = [
            int.from_bytes(part[0][part[2][1] : part[2][1] + 8], "big")
            for part in taker.parts
            if len(part[2]) > 1
        ]
        wanted = ticks_of(BEGUN_US + late_us) * hz // 90_000
        assert abs(starts[0] - wanted) <= hz // 1000
        assert len(demux(taker.mp4(), "audio")) > 50


def test_sound_alone_cannot_be_replayed() -> None:
    with Taker(clip.audio("aac").track) as taker, pytest.raises(ValueError, match="without video"):
        taker.session.set_replay(BEGUN_US, TICK)


@pytest.mark.parametrize("size", range(16))
def test_half_an_extension_is_none(size) -> None:
    made = clip.video(frames=3)
    with Taker(made.track) as taker:
        taker.session.set_replay(BEGUN_US, TICK)
        for _, packet in wire.packets(made):
            words = size // 4
            said = struct.pack(">HH", 0xABAC, words) + bytes(words * 4)
            data = bytes([packet[0] | 0x10]) + packet[1:12] + said + packet[12:]
            taker.feed(wire.frame(0, data))
        taker.end()
        assert all(part[6] == 0 for part in taker.parts)
        assert sample_bytes(taker.parts[0][0])


MADE = clip.video(frames=20, gop=10)
TIMES = st.one_of(
    st.integers(-(1 << 31), 1 << 31), st.just(0), st.integers(-(1 << 50), 1 << 50)
)  # fmt: skip


@given(st.lists(TIMES, min_size=20, max_size=20), st.booleans())
@settings(max_examples=50, deadline=None)
def test_whatever_times_are_claimed_parts_follow_each_other(claimed, cut) -> None:
    begun_us = 1 << 50

    def taken(pts: int) -> int:
        return max(0, begun_us + claimed[pts // 3600])

    with Taker(MADE.track) as taker:
        taker.session.set_replay(begun_us, TICK)
        replayed(taker, MADE, taken, cut_every=3 if cut else 0)
        assert sum(part[9] for part in taker.parts) == 20
        end = 0
        for moof, _, offsets, start, duration, *_ in taker.parts:
            assert int.from_bytes(moof[offsets[0] : offsets[0] + 8], "big") == start >= end
            assert duration > 0
            end = start + duration
