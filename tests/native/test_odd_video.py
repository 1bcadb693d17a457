"""What cameras do to pictures that no standard advises: each still comes back once, whole."""

import itertools
import struct

import pytest

from nvr.media.track import RtpTrack
from tests.media import clip, wire
from tests.media.taker import CONFIG, Taker, decode, demux
from tests.native.test_session import pictures, play, same


def sent(made, payloads, marker=lambda index, count: index == count - 1, ts_step=None):
    """(pts, packet) of `payloads(unit)`, with what `marker` says of each."""
    out, seq = [], 100
    for number, unit in enumerate(made.units):
        pieces = payloads(unit)
        ts = unit.pts if ts_step is None else number * ts_step
        for index, piece in enumerate(pieces):
            packet = wire.rtp(96, seq, ts, bool(marker(index, len(pieces))), piece)
            out.append((unit.pts, packet))
            seq += 1
    return out


def all_back(made, packets, track=None):
    with Taker(track or made.track, sets=made.track.parameter_sets) as taker:
        play(taker, made, packets)
        data, stats = taker.mp4(), taker.session.stats()
    want, got = pictures(made), decode(data)
    assert len(got) == len(want)
    assert all(same(a, b) for a, b in zip(got, want, strict=True))
    assert stats[3] == stats[6] == 0, "damaged, other"
    return data


def fragments(codec, room=150):
    def split(unit):
        return [p for nal in unit.nals for p in wire.split_nal(codec, nal, room)]

    return split


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_marker_on_every_packet(codec):
    made = clip.video(codec, frames=30, gop=10, width=320, height=192)
    all_back(made, sent(made, fragments(codec), marker=lambda *_: True))


@pytest.mark.parametrize("wide", [2, 3])
def test_h264_units_of_several_times_in_a_packet(wide):
    made = clip.video("h264", frames=30, gop=10)
    out = []
    for seq in range(10):
        three = made.units[3 * seq : 3 * seq + 3]
        units = [(unit, nal) for unit in three for nal in unit.nals]
        entries = b"".join(
            struct.pack(">HB", len(nal), order)
            + (unit.pts - three[0].pts).to_bytes(wide, "big")
            + nal
            for order, (unit, nal) in enumerate(units)
        )
        payload = bytes((24 + wide,)) + b"\0\0" + entries
        out.append((three[0].pts, wire.rtp(96, seq, three[0].pts, True, payload)))
    data = all_back(made, out)
    assert [b[1] - a[1] for a, b in itertools.pairwise(demux(data))] == [3600] * 29


def test_h264_units_with_decoding_order_numbers():
    made = clip.video("h264", frames=30, gop=10, width=320, height=192)

    def payloads(unit):
        small = [nal for nal in unit.nals if len(nal) < 100]
        out = (
            [b"\x79\0\7" + b"".join(len(n).to_bytes(2, "big") + n for n in small)] if small else []
        )
        for nal in unit.nals:
            if len(nal) >= 100:
                first, *rest = wire.split_nal("h264", nal, 90)
                out.append(bytes((first[0] & 0xE0 | 29,)) + first[1:2] + b"\0\7" + first[2:])
                out += rest
        return out

    all_back(made, sent(made, payloads))


@pytest.mark.parametrize("together", [False, True])
def test_h265_packets_with_decoding_order_numbers(together):
    made = clip.video("h265", frames=30, gop=10, width=320, height=192)

    def payloads(unit):
        small = [nal for nal in unit.nals if len(nal) < 100]
        out = []
        if together and len(small) > 1:
            units = b"\0".join(len(n).to_bytes(2, "big") + n for n in small)
            out.append(bytes((48 << 1, 1)) + b"\0\7" + units)
        else:
            out += [nal[:2] + b"\0\7" + nal[2:] for nal in small]
        for nal in unit.nals:
            if len(nal) >= 100:
                first, *rest = wire.split_nal("h265", nal, 90)
                out += [first[:3] + b"\0\7" + first[3:], *rest]
        return out

    track = RtpTrack("video", "h265", 90_000, 96, 0, order=True)
    all_back(made, sent(made, payloads), track)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_camera_whose_time_stands_still(codec):
    made = clip.video(codec, frames=75, gop=25)
    data = all_back(made, sent(made, fragments(codec, 1400), ts_step=0))
    stamps = [sample[1] for sample in demux(data)]
    steps = [b - a for a, b in itertools.pairwise(stamps)]
    assert not [step for step in steps[10:] if abs(step - 3600) > 10]
    assert abs(stamps[-1] - stamps[0] - 74 * 3600) < 45_000


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_camera_that_never_says_what_decoding_needs(codec):
    made = clip.video(codec, frames=30, gop=10)
    kinds = {7, 8} if codec == "h264" else {32, 33, 34}

    def payloads(unit):
        kind = (lambda nal: nal[0] & 31) if codec == "h264" else (lambda nal: nal[0] >> 1 & 63)
        return [nal for nal in unit.nals if kind(nal) not in kinds and len(nal) < 60_000]

    with Taker(made.track, sets=()) as taker:
        play(taker, made, sent(made, payloads))
        stats = taker.session.stats()
        assert not taker.parts
    assert stats[4] == 0
    assert (stats[19], stats[20]) == (27, 3), "keyless, setless"


def test_going_back_to_another_size_is_noticed_although_its_sps_is_known():
    small, large = (
        clip.video(frames=10, gop=10, width=width, options={"x264-params": f"sps-id={number}"})
        for number, width in enumerate((160, 320))
    )
    packets = []
    for turn, made in enumerate((small, large, small, large)):
        begin = turn * 36_000
        for number, (pts, packet) in enumerate(wire.packets(made)):
            marked = packet[1] > 127
            again = wire.rtp(96, 1000 * turn + number, begin + pts, marked, packet[12:])
            packets.append((begin + pts, again))
    with Taker(small.track) as taker:
        play(taker, small, packets)
        configs = taker.kind(CONFIG)
    assert len(configs) == 4
    widths = []
    for (blob,) in configs:
        taker.events = [(CONFIG, blob)]
        widths.append(taker.config()[0].width_px)
    assert widths == [160, 320, 160, 320]


def test_two_sps_in_turn_at_each_key_frame_change_nothing():
    made = clip.video("h264", frames=30, gop=10)
    other = clip.video("h264", frames=1, width=320, options={"x264-params": "sps-id=1"})

    def payloads(unit):
        return [*(other.track.parameter_sets[:1] if unit.key else ()), *unit.nals]

    with Taker(made.track, sets=()) as taker:
        play(taker, made, sent(made, payloads))
        assert len(taker.kind(CONFIG)) == 1
        assert taker.session.stats()[4] == 30
