import itertools

import av
import numpy
import pytest

from nvr.wire import fmp4, h264
from tests.media import clip, wire
from tests.media.taker import (
    CLOSED,
    CONFIG,
    LIVE,
    MESSAGE,
    PART,
    Taker,
    config_of,
    decode,
    demux,
    sample_bytes,
)

MS = 90


def play(taker, clip_, packets, channel=0, cut_frames=12):
    """Feed packets at the pace of 25 pictures a second; parts close every `cut_frames`."""
    frames, last = 0, None
    for pts, packet in packets:
        if pts != last:
            if frames and cut_frames and frames % cut_frames == 0:
                taker.tick(cut=True)
            frames += 1
            last = pts
            taker.now += 40 * MS
        taker.feed(wire.frame(channel, packet))
    taker.end()


def pictures(clip_):
    """What a decoder shows when it is given the encoder's own output."""
    ctx = av.CodecContext.create("h264" if clip_.track.codec == "h264" else "hevc", "r")
    shown = []
    for unit in clip_.units:
        packet = av.Packet(b"".join(b"\0\0\0\1" + nal for nal in unit.nals))
        packet.pts = unit.pts
        shown += ctx.decode(packet)
    shown += ctx.decode(None)
    return sorted(shown, key=lambda frame: frame.pts)


def same(left, right):
    return numpy.array_equal(left.to_ndarray(), right.to_ndarray())


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("marker", [True, False])
def test_every_picture_comes_back_out_of_the_parts(codec, b_frames, together, marker):
    made = clip.video(codec, frames=60, gop=25, b_frames=b_frames)
    with Taker(made.track) as taker:
        play(taker, made, wire.packets(made, ts=2**32 - 90_000, together=together, marker=marker))
        data = taker.mp4()
        first = taker.parts[0][3]
    want = pictures(made)
    got = decode(data)
    assert len(got) == len(want) == 60
    start = got[0].pts
    assert [frame.pts - start for frame in got] == [frame.pts - want[0].pts for frame in want]
    assert all(same(a, b) for a, b in zip(got, want, strict=True))
    packets = demux(data)
    assert packets[0][1] == first
    assert all(a[1] + a[2] == b[1] for a, b in itertools.pairwise(packets))
    assert all(dts <= pts for pts, dts, _, _ in packets)


def test_b_frames_without_a_word_in_the_sps_are_followed():
    made = clip.video(frames=60, b_frames=2, gop=60)
    plain = clip.video(frames=1)
    # The SPS of a stream without B-frames claims reorder 0: wrong sizes apart, a decoder never
    # sees it here, only our DTS rebuild does.
    sets = plain.track.parameter_sets
    stripped = clip.Clip(
        made.track,
        made.config,
        tuple(
            clip.Unit(u.pts, u.key, tuple(n for n in u.nals if h264.nal_type(n) not in {7, 8}))
            for u in made.units
        ),
    )
    with Taker(made.track, sets=sets) as taker:
        play(taker, stripped, wire.packets(stripped))
        samples = demux(taker.mp4())
        assert taker.session.floors()[1] in {1, 2}
    assert len(samples) == 60
    dts = [sample[1] for sample in samples]
    assert dts == sorted(set(dts))
    assert sorted(s[0] - samples[0][0] for s in samples) == [n * 3600 for n in range(60)]


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_parts_have_the_ring_s_shape(codec):
    made = clip.video(codec, frames=60, gop=25)
    with Taker(made.track) as taker:
        play(taker, made, wire.packets(made))
        parts = taker.parts
    assert [part[7] for part in parts] == [1, 0, 0, 1, 0, 0, 1]
    assert sum(part[9] for part in parts) == 60
    end = parts[0][3]
    for moof, mdat, offsets, start, duration, *_ in parts:
        assert int.from_bytes(mdat[:4], "big") == len(mdat) == 8 + sample_bytes(moof)
        assert bytes(mdat[4:8]) == b"mdat"
        assert mdat.readonly
        assert int.from_bytes(moof[offsets[0] : offsets[0] + 8], "big") == start == end
        assert moof[20:24] == bytes(4)
        end = start + duration


@pytest.mark.parametrize("codec", ["aac", "pcma", "pcmu"])
def test_sound_comes_back_beside_the_picture(codec):
    video, sound = clip.video(frames=50), clip.audio(codec, seconds=2)
    v = [(pts / 90_000, 0, p) for pts, p in wire.packets(video)]
    a = [(pts / sound.track.clock_hz, 2, p) for pts, p in wire.packets(sound, ts=77)]
    with Taker(video.track, sound.track) as taker:
        start, cut_s = taker.now, 0.5
        for at_s, channel, packet in sorted(v + a, key=lambda item: item[0]):
            taker.now = start + int(at_s * 90_000)
            if at_s >= cut_s:
                taker.tick(cut=True)
                cut_s += 0.5
            taker.feed(wire.frame(channel, packet))
        taker.end()
        data = taker.mp4()
    assert len(decode(data)) == 50
    heard = demux(data, "audio")
    assert [sample[3] for sample in heard] == [unit.nals[0] for unit in sound.units]
    assert all(a[1] + a[2] == b[1] for a, b in itertools.pairwise(heard))
    shown = demux(data)
    apart_s = heard[0][1] / sound.track.clock_hz - shown[0][1] / 90_000
    assert abs(apart_s) < 0.06
    samples = sum(frame.samples for frame in decode(data, "audio"))
    assert samples >= 1.9 * sound.track.clock_hz


def test_several_aac_units_share_a_packet_and_long_ones_take_several():
    sound = clip.audio(seconds=1)
    units = [unit.nals[0] for unit in sound.units]
    big = bytes(range(256)) * 8
    with Taker(sound.track) as taker:
        seq = 0
        for at in range(0, 40, 4):
            four = units[at : at + 4]
            heads = b"".join((len(u) << 3).to_bytes(2, "big") for u in four)
            payload = (16 * len(four)).to_bytes(2, "big") + heads + b"".join(four)
            taker.feed(wire.frame(2, wire.rtp(97, seq, at * 1024, True, payload)))
            seq += 1
        for piece in (big[:1000], big[1000:]):
            payload = b"\0\x10" + (len(big) << 3).to_bytes(2, "big") + piece
            taker.feed(wire.frame(2, wire.rtp(97, seq, 40 * 1024, False, payload)))
            seq += 1
        taker.end()
        heard = demux(taker.mp4(), "audio")
    assert [sample[3] for sample in heard] == [*units[:40], big]
    assert [s[1] - heard[0][1] for s in heard] == [n * 1024 for n in range(41)]
    assert taker.parts[0][7] == 1


def test_messages_between_packets_come_out_whole_however_they_are_split():
    made = clip.video(frames=4)
    frames = [wire.frame(0, packet) for _, packet in wire.packets(made)]
    messages = [
        b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 4\r\ncontent-length: 10\r\n\r\n$\0\0\1 body\r",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    ]
    data = b"".join(frames[:1] + messages[:1] + frames[1:3] + messages[1:] + frames[3:])
    for step in (1, 2, 3, 7, 1000, len(data)):
        with Taker(made.track) as taker:
            for at in range(0, len(data), step):
                taker.feed(data[at : at + step])
            taker.end()
            assert [message for (message,) in taker.kind(MESSAGE)] == messages
            assert taker.session.stats()[4] == 4


NOISE = [b"\xff\xd8\xff", b"HTTP/1.1 200 OK\x00", b"A" * 70_000, b"lower case\r\n\r\n"]


@pytest.mark.parametrize("noise", NOISE)
def test_garbage_instead_of_a_stream_ends_the_session(noise):
    with Taker(clip.video(frames=4).track) as taker:
        taker.feed(noise)
        taker.tick()
        assert taker.kind(CLOSED) == [(-1,)]
        taker.feed(wire.frame(0, b"more"))
        taker.tick()
        assert len(taker.kind(CLOSED)) == 1


def test_garbage_without_end_ends_the_session():
    made = clip.video(frames=4)
    with Taker(made.track) as taker:
        for _, packet in wire.packets(made)[:2]:
            taker.feed(wire.frame(0, packet))
        taker.feed(b"\xff" + b"$\0\0\x10" * 20_000)
        taker.tick()
        assert taker.kind(CLOSED) == [(-1,)]


@pytest.mark.parametrize(
    "noise",
    [*NOISE[:2], NOISE[3], b"$", b"$\0\0\x40junk" * 3, b"RTSP", b"RTSP/1.0 200\xe6\x06", b"\0" * 3],
)
@pytest.mark.parametrize("step", [1, 5, 100_000])
def test_junk_between_frames_is_passed_over(noise, step):
    made = clip.video(frames=25)
    frames = [wire.frame(0, packet) for _, packet in wire.packets(made)]
    answer = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n"
    # An $ or RTSP is taken at its word while all is well, so these come behind something else.
    data = b"".join(one + b"\xfe" + noise for one in frames[:20]) + answer + b"".join(frames[20:])
    with Taker(made.track) as taker:
        for at in range(0, len(data), step):
            taker.feed(data[at : at + step])
        taker.end()
        stats = taker.session.stats()
        assert stats[1:4] == (len(frames), 0, 0), "all there, none lost, none damaged"
        assert taker.kind(MESSAGE) == [(answer,)]
        assert taker.kind(CLOSED) == [(0,)]


@pytest.mark.parametrize("lie", [-3, 3])
def test_a_frame_that_lies_about_its_length_costs_itself_and_its_neighbour(lie):
    made = clip.video(frames=30)
    frames = [wire.frame(0, packet) for _, packet in wire.packets(made)]
    wrong = bytearray(frames[10])
    wrong[2:4] = (len(wrong) - 4 + lie).to_bytes(2, "big")
    frames[10] = bytes(wrong)
    with Taker(made.track) as taker:
        taker.feed(b"".join(frames))
        taker.end()
        _took, packets, lost, *_ = taker.session.stats()
        assert packets >= len(frames) - 1
        assert lost <= 1
        assert taker.kind(CLOSED) == [(0,)]


def test_a_server_that_sends_on_other_channels_than_it_said_is_understood():
    made, sound = clip.video(frames=10), clip.audio("pcma", seconds=1)
    with Taker(made.track, sound.track) as taker:
        for _, packet in wire.packets(made):
            taker.feed(wire.frame(6, packet))
        for _, packet in wire.packets(sound)[:5]:
            taker.feed(wire.frame(8, packet))
        taker.feed(wire.frame(40, b"\x80\x7f" + bytes(20)))
        taker.end()
        stats = taker.session.stats()
        assert (stats[1], stats[6]) == (len(wire.packets(made)) + 5, 1)
        assert stats[12] == 5, "sound"


def test_messages_with_bare_line_feeds_are_messages():
    with Taker(clip.video(frames=1).track) as taker:
        taker.feed(b"RTSP/1.0 200 OK\nCSeq: 3\n\nRTSP/1.0 200 OK\nCSeq: 4\n\n")
        taker.tick()
        assert len(taker.kind(MESSAGE)) == 2


def test_a_body_longer_than_allowed_is_garbage():
    with Taker(clip.video(frames=1).track) as taker:
        taker.feed(b"RTSP/1.0 200 OK\r\nContent-Length: 65536\r\n\r\n")
        taker.tick()
        assert taker.kind(CLOSED) == [(-1,)]


def test_loss_is_counted_and_marks_the_picture():
    made = clip.video(frames=50, gop=25, width=640, height=480)
    packets = wire.packets(made)
    for gone in range(30, 60):
        with Taker(made.track) as taker:
            play(taker, made, packets[:gone] + packets[gone + 1 :], cut_frames=0)
            stats = taker.session.stats()
            assert stats[2] == 1
            assert stats[3] >= 1
            assert sum(part[10] for part in taker.parts) == stats[3]
            assert 49 <= stats[4] <= 50
            if gone % 10 == 0:
                assert len(decode(taker.mp4())) >= 47


def test_duplicates_are_dropped():
    made = clip.video(frames=20)
    packets = [packet for packet in wire.packets(made) for _ in range(2)]
    with Taker(made.track) as taker:
        play(taker, made, packets)
        stats = taker.session.stats()
        assert (stats[2], stats[3], stats[4]) == (0, 0, 20)
        assert len(decode(taker.mp4())) == 20


def test_padding_extension_and_csrc_are_skipped():
    made = clip.video(frames=10)
    with Taker(made.track) as taker:
        for _, packet in wire.packets(made):
            head = bytes((0x80 | 0x20 | 0x10 | 2,)) + packet[1:12] + bytes(8)
            extension = b"\xbe\xde\0\2" + bytes(8)
            packed = head + extension + packet[12:] + b"\0\0\0\4"
            taker.feed(wire.frame(0, packed))
        taker.end()
        assert len(decode(taker.mp4())) == 10


def test_a_camera_that_marks_every_slice_is_put_together():
    made = clip.video(frames=25, options={"x264-params": "scenecut=0:slices=4"}, height=192)
    out, seq = [], 0
    for unit in made.units:
        for nal in unit.nals:
            for payload in wire.split_nal("h264", nal):
                out.append((unit.pts, wire.rtp(96, seq, unit.pts, True, payload)))
                seq += 1
    with Taker(made.track) as taker:
        play(taker, made, out)
        assert taker.session.stats()[4] == 25
        got = decode(taker.mp4())
    assert len(got) == 25
    assert all(same(a, b) for a, b in zip(got, pictures(made), strict=True))


def test_parameter_sets_in_a_picture_of_their_own_go_with_the_next():
    made = clip.video(frames=10)
    with Taker(made.track, sets=()) as taker:
        seq = 0
        for unit in made.units:
            for nal in unit.nals:
                sets = h264.nal_type(nal) in {7, 8}
                ts = unit.pts + 90_000 - (sets and 1800)
                for payload in wire.split_nal("h264", nal):
                    taker.feed(wire.frame(0, wire.rtp(96, seq, ts, True, payload)))
                    seq += 1
            taker.now += 3600
        taker.end()
        assert taker.session.stats()[4] == 10
        assert len(decode(taker.mp4())) == 10


def test_nothing_begins_without_parameter_sets_and_a_key_frame():
    made = clip.video(frames=50, gop=25)
    packets = wire.packets(clip.Clip(made.track, made.config, made.units[10:]))
    with Taker(made.track, sets=()) as taker:
        play(taker, made, packets)
        assert taker.session.stats()[4] == 25
        assert taker.parts[0][7] == 1
    naked = tuple(
        clip.Unit(u.pts, u.key, tuple(n for n in u.nals if h264.nal_type(n) not in {7, 8}))
        for u in made.units
    )
    packets = wire.packets(clip.Clip(made.track, made.config, naked))
    with Taker(made.track, sets=()) as taker:
        play(taker, made, packets)
        assert taker.parts == []
        assert taker.kind(CONFIG) == []


def test_a_change_of_size_ends_the_part_and_names_the_new_configuration():
    small, large = clip.video(frames=20, gop=20), clip.video(frames=20, gop=20, width=320)
    second = [
        (pts + 20 * 3600, packet)
        for pts, packet in wire.packets(large, ts=20 * 3600, seq=wire_end(small))
    ]
    with Taker(small.track) as taker:
        play(taker, small, wire.packets(small) + second)
        kinds = [event[0] for event in taker.events if event[0] in {CONFIG, PART}]
    assert [kind for kind, _ in itertools.groupby(kinds)] == [CONFIG, PART, CONFIG, PART]
    after = taker.parts[kinds[1:].index(CONFIG) :]
    blob = taker.kind(CONFIG)[1][0]
    config = config_of((small.track,), blob)
    assert (config[0].width_px, config[0].height_px) == (320, 96)
    data = fmp4.init_segment(config) + b"".join(p[0] + bytes(p[1]) for p in after)
    assert len(decode(data)) == 20


def wire_end(made):
    return 65_500 + len(wire.packets(made))


def test_a_jump_in_time_is_taken_by_arrival():
    made = clip.video(frames=50, gop=50)
    packets = wire.packets(made)
    out = []
    for pts, packet in packets:
        jump = 0 if pts < 25 * 3600 else 123_456_789
        ts = int.from_bytes(packet[4:8], "big") + jump
        out.append((pts, packet[:4] + (ts & 0xFFFFFFFF).to_bytes(4, "big") + packet[8:]))
    with Taker(made.track) as taker:
        play(taker, made, out)
        spans = [(part[3], part[4]) for part in taker.parts]
        assert sum(part[9] for part in taker.parts) == 50
    assert all(a + d <= b for (a, d), (b, _) in itertools.pairwise(spans))
    assert spans[-1][0] + spans[-1][1] - spans[0][0] < 51 * 3600


def test_sender_reports_put_sound_where_the_camera_says():
    video, sound = clip.video(frames=100, gop=100), clip.audio("pcma", seconds=4)
    v = [(pts / 90_000, 0, p) for pts, p in wire.packets(video)]
    a = [(pts / 8000, 2, p) for pts, p in wire.packets(sound)]
    ntp = (2_208_988_800 + 1_700_000_000) << 32
    late_s = 0.3  # the camera's sound leaves 300 ms after the picture it belongs to
    with Taker(video.track, sound.track) as taker:
        start = taker.now
        reported = False
        for at_s, channel, packet in sorted(v + a, key=lambda item: item[0]):
            taker.now = start + int(at_s * 90_000)
            if at_s >= 1 and not reported:
                reported = True
                taker.feed(wire.frame(1, wire.report(ntp, 90_000)))
                taker.feed(wire.frame(3, wire.report(ntp, int(8000 * (1 + late_s)))))
                taker.tick(cut=True)
            taker.feed(wire.frame(channel, packet))
        taker.end()
        last = taker.parts[-1]
        video_at = int.from_bytes(last[0][last[2][0] :][:8], "big") / 90_000
    data = taker.mp4()
    heard, shown = demux(data, "audio"), demux(data)
    # The 4 s of both end together on arrival; by the reports the sound ends 300 ms earlier.
    apart_s = (heard[-1][1] / 8000) - (shown[-1][1] / 90_000)
    assert -0.36 < apart_s < -0.24
    assert abs(last[6] - (1_700_000_000 + video_at - start / 90_000 - 1) * 1e6) < 50_000


def test_live_fragments_come_at_the_marker_and_join_the_snapshot():
    made = clip.video(frames=50, gop=25)
    packets = wire.packets(made)
    per_frame = {}
    for pts, packet in packets:
        per_frame.setdefault(pts, []).append(packet)
    with Taker(made.track) as taker:
        snapshot = None
        for number, group in enumerate(per_frame.values()):
            if number == 30:
                snapshot = taker.session.watch(True)
            taker.now += 3600
            for packet in group:
                taker.feed(wire.frame(0, packet))
            taker.tick(cut=number % 12 == 11)
            if number >= 30:
                assert len(taker.kind(LIVE)) == number - 29
        data, key, start = snapshot
        assert key
        live = b"".join(item[0] for item in taker.kind(LIVE))
        got = decode(fmp4.init_segment(taker.config()) + data + live)
        assert len(got) == 25
        assert all(same(a, b) for a, b in zip(got, pictures(made)[25:], strict=True))
        assert start == got[0].pts
        taker.session.watch(False)
        taker.end()


def test_a_new_run_goes_on_behind_the_floor():
    made = clip.video(frames=25)
    with Taker(made.track, floor=90_000 * 5000) as taker:
        play(taker, made, wire.packets(made))
        assert taker.parts[0][3] == 90_000 * 5000


def test_a_restart_of_the_sender_is_taken_after_two_packets():
    made = clip.video(frames=50, gop=25)
    packets = wire.packets(made)
    half = [packet for packet in packets if packet[0] < 25 * 3600]
    rest = packets[len(half) :]
    again = [
        (pts, packet[:2] + (30_000 + n).to_bytes(2, "big") + packet[4:])
        for n, (pts, packet) in enumerate(rest)
    ]
    with Taker(made.track) as taker:
        play(taker, made, half + again)
        assert taker.session.stats()[4] == 50
        assert taker.session.stats()[2] == 1


def test_an_open_group_of_pictures_begins_at_its_recovery_point():
    options = {"x264-params": "scenecut=0:open-gop=1:bframes=2:b-adapt=0", "preset": "veryfast"}
    made = clip.video(frames=60, gop=20, b_frames=2, options=options)
    idr = [any(h264.nal_type(nal) == h264.SLICE_IDR for nal in unit.nals) for unit in made.units]
    assert sum(idr) == 1
    with Taker(made.track) as taker:
        play(taker, made, wire.packets(made))
        assert taker.session.stats()[5] == 3
        assert len(decode(taker.mp4())) == 60
    late = clip.Clip(made.track, made.config, made.units[5:])
    with Taker(made.track) as taker:
        play(taker, late, wire.packets(late))
        assert taker.parts[0][7] == 1
        assert taker.session.stats()[5] == 2


def test_intra_refresh_begins_when_nothing_better_comes():
    options = {"x264-params": "scenecut=0:intra-refresh=1"}
    made = clip.video(frames=250, gop=25, options=options)
    late = clip.Clip(made.track, made.config, made.units[5:])
    with Taker(made.track) as taker:
        play(taker, late, wire.packets(late))
        assert 1 <= taker.session.stats()[5] <= 2
        assert taker.session.stats()[4] < 130
