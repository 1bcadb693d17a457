"""JPEG over RTP (RFC 2435): every picture whole again, a key frame; what is lost is said."""

import struct

import av
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.media.fragment import samples
from nvr.media.track import RtpTrack
from tests.media import clip, wire
from tests.media.taker import CONFIG, LIVE, Taker, config_of, decode
from tests.native.test_session import play

# The first bytes of the DQT segments that libjpeg writes at quality 75, as many files on disk have
# them; at 50 it is T.81's own table, in the order of the zigzag.
AT_75 = (
    bytes.fromhex(
        "08060607060508070707090908 0a0c140d0c0b0b0c1912130f141d1a1f1e1d1a1c1c20242e2720"
    ),
    bytes.fromhex("09090 90c0b0c180d0d1832211c21323232".replace(" ", "")),
)
AT_50 = (bytes((16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18)), bytes((17, 18, 18, 24, 21, 24, 47)))


def sent(made, q=255, tables=lambda _: None, room=500, marker=True):
    """(pts, packet) of a clip."""
    out, seq = [], 65_500
    for number, unit in enumerate(made.units):
        pieces = wire.jpeg_payloads(unit.nals[0], room, q, tables(number))
        for n, piece in enumerate(pieces, 1):
            last = marker and n == len(pieces)
            out.append((unit.pts, wire.rtp(26, seq, unit.pts, last, piece)))
            seq += 1
    return out


def taken(made, packets, **options):
    """What the session made of packets: its samples, decoded pictures and counters."""
    with Taker(made.track, **options) as taker:
        play(taker, made, packets)
        config = taker.config()
        found = [one for part in taker.parts for one in samples(part[0] + bytes(part[1]), config)]
        return taker, found, decode(taker.mp4()), taker.session.stats()


def shown(made):
    decoder = av.CodecContext.create("mjpeg", "r")
    return [frame for unit in made.units for frame in decoder.decode(av.Packet(unit.nals[0]))]


def segments(data):
    """(marker, body) up to the scan."""
    at, out = 2, []
    while True:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        out.append((data[at + 1], data[at + 4 : at + 2 + size]))
        at += 2 + size
        if out[-1][0] == 0xDA:
            return out


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("marker", [True, False])
def test_every_picture_comes_back_and_is_a_key_frame(restarts, marker):
    made = clip.jpeg(30, restarts=restarts)
    taker, found, got, stats = taken(made, sent(made, marker=marker))
    assert taker.config() == (made.config,)
    want = shown(made)
    assert len(got) == len(want) == len(found) == 30
    for a, b in zip(got, want, strict=True):
        assert numpy.array_equal(a.to_ndarray(), b.to_ndarray())
    assert all(one.key for one in found)
    assert [one.duration_90k for one in found] == [3600] * 30
    for one, unit in zip(found, made.units, strict=True):
        assert wire.jpeg_parts(one.data) == wire.jpeg_parts(unit.nals[0])
    assert (stats[3], stats[4], stats[5], stats[6]) == (0, 30, 30, 0), (
        "damaged, frames, keys, other"
    )
    # A part is half a second of them, not one each.
    assert [part[9] for part in taker.parts[:2]] == [11, 12]
    assert all(part[7] for part in taker.parts), "each part begins with a key frame"


def test_tables_told_once_are_kept_for_their_number():
    made = clip.jpeg(10)
    own = wire.jpeg_parts(made.units[0].nals[0])[0]
    _, _, got, stats = taken(made, sent(made, q=200, tables=lambda n: own if n == 0 else b""))
    assert len(got) == 10
    assert stats[3] == stats[20] == 0
    for a, b in zip(got, shown(made), strict=True):
        assert numpy.array_equal(a.to_ndarray(), b.to_ndarray())


@pytest.mark.parametrize("q", [200, 255])
def test_tables_that_were_never_told_keep_recording_from_beginning_and_are_counted(q):
    made = clip.jpeg(10)
    with Taker(made.track) as taker:
        play(taker, made, sent(made, q=q, tables=lambda _: b""))
        assert not taker.parts
        stats = taker.session.stats()
    assert (stats[4], stats[20]) == (0, 10), "frames, setless"


def test_the_tables_of_255_are_for_their_picture_only():
    made = clip.jpeg(4)
    own = wire.jpeg_parts(made.units[0].nals[0])[0]
    _, found, _, stats = taken(made, sent(made, tables=lambda n: b"" if n == 2 else own))
    assert [one.dts_90k - found[0].dts_90k for one in found] == [0, 3600, 3 * 3600]
    assert sum(one.duration_90k for one in found[:2]) == 3 * 3600, "no hole in time"
    assert stats[3] == 1


def test_the_kind_of_subsampling_is_written_down():
    made = clip.jpeg(1)
    payload = bytearray(wire.jpeg_payloads(made.units[0].nals[0], 60_000)[0])
    payload[4] = 0
    _, (one,), _, _ = taken(made, [(0, wire.rtp(26, 1, 0, True, bytes(payload)))])
    (frame,) = [body for marker, body in segments(one.data) if marker == 0xC0]
    assert [frame[6 + 3 * n :][:3].hex() for n in range(3)] == ["012100", "021100", "031100"]


@pytest.mark.parametrize(("q", "wanted"), [(50, AT_50), (75, AT_75)])
def test_tables_are_made_of_a_quality(q, wanted):
    made = clip.jpeg(2)
    _, found, _, _ = taken(made, sent(made, q=q))
    tables = [body for marker, body in segments(found[0].data) if marker == 0xDB]
    assert [len(table) for table in tables] == [65, 65]
    for number, (table, first) in enumerate(zip(tables, wanted, strict=True)):
        assert table[0] == number
        assert table[1 : 1 + len(first)] == first
    (frame,) = [body for marker, body in segments(found[0].data) if marker == 0xC0]
    assert [frame[6 + 3 * n :][:3].hex() for n in range(3)] == ["012200", "021101", "031101"]


def test_tables_of_sixteen_bits_are_told_as_such():
    made = clip.jpeg(1)
    own = wire.jpeg_parts(made.units[0].nals[0])[0]
    wide = b"".join(struct.pack(">H", value) for value in own) + own
    packets = sent(made, tables=lambda _: wide)
    packets[0] = (0, packets[0][1][:21] + b"\1" + packets[0][1][22:])  # precision
    _, found, (got,), _ = taken(made, packets)
    tables = [body for marker, body in segments(found[0].data) if marker == 0xDB]
    assert [(table[0], len(table)) for table in tables] == [(0x10, 129), (1, 65)]
    assert numpy.array_equal(got.to_ndarray(), shown(made)[0].to_ndarray())


def test_a_picture_that_lost_a_piece_keeps_its_upper_part():
    made = clip.jpeg(5)
    packets = sent(made, room=400)
    of_third = [n for n, (pts, _) in enumerate(packets) if pts == 2 * 3600]
    packets.pop(of_third[3])
    _, found, got, stats = taken(made, packets)
    assert len(found) == len(got) == 5
    assert (stats[2], stats[3]) == (1, 1), "lost, damaged"
    whole, left = wire.jpeg_parts(made.units[2].nals[0])[3], wire.jpeg_parts(found[2].data)[3]
    assert left == whole[:1200] + b"\xff\xd9"
    want = shown(made)[2].to_ndarray()
    rows = 192 * 1200 // len(whole) // 2
    assert numpy.array_equal(got[2].to_ndarray()[:rows], want[:rows])


@pytest.mark.parametrize(("lost", "count"), [(0, 4), (-1, 5)])
def test_a_picture_without_its_beginning_is_left_out_and_one_without_its_end_is_not(lost, count):
    made = clip.jpeg(5)
    packets = sent(made, room=400)
    packets.pop([n for n, (pts, _) in enumerate(packets) if pts == 2 * 3600][lost])
    _, found, _, stats = taken(made, packets)
    assert len(found) == count
    assert stats[3] == 1
    ends = [one.dts_90k + one.duration_90k for one in found[:-1]]
    assert ends == [one.dts_90k for one in found[1:]], "no hole in time"


def test_pieces_that_do_not_follow_on_are_not_put_together():
    made = clip.jpeg(3)
    packets = sent(made, room=400)
    n = next(n for n, (pts, _) in enumerate(packets) if pts == 3600) + 2
    pts, packet = packets[n]
    packets[n] = (pts, packet[:13] + (5000).to_bytes(3, "big") + packet[16:])
    _, found, _, stats = taken(made, packets)
    assert wire.jpeg_parts(found[1].data)[3] == (
        wire.jpeg_parts(made.units[1].nals[0])[3][:800] + b"\xff\xd9"
    )
    assert stats[3] == 1


def test_what_is_no_jpeg_packet_is_counted_and_nothing_else():
    made = clip.jpeg(2)
    first, *_ = wire.jpeg_payloads(made.units[0].nals[0], 500)
    broken = [
        b"", first[:7], first[:4] + b"\2" + first[5:], first[:4] + b"\x80" + first[5:],
        first[:4] + b"\x41" + first[5:8], first[:8] + b"\0\0\xff\xff" + first[12:],
        first[:8] + b"\0\0\0\x41" + first[12:], first[:12], first[:76], b"\0\0\0\1" + first[4:],
    ]  # fmt: skip
    with Taker(made.track) as taker:
        for seq, payload in enumerate(broken):
            taker.feed(wire.frame(0, wire.rtp(26, seq, seq * 3600, True, payload)))
            taker.now += 3600
        taker.end()
        assert not taker.parts
        assert taker.session.stats()[4] == 0


def test_another_size_is_another_configuration():
    packets, pts, seq = [], 0, 0
    for width in (320, 160, 160):
        for unit in clip.jpeg(3, width=width).units:
            for piece in wire.jpeg_payloads(unit.nals[0], 4000):
                packets.append((pts, wire.rtp(26, seq, pts, True, piece)))
                pts, seq = pts + 3600, seq + 1
    with Taker(clip.jpeg(1).track) as taker:
        play(taker, None, packets)
        told = [config_of(taker.tracks, blob)[0] for (blob,) in taker.kind(CONFIG)]
    assert [(one.width_px, one.height_px) for one in told] == [(320, 192), (160, 192)]


@pytest.mark.parametrize(("told", "frames"), [(True, 3), (False, 0)])
def test_a_picture_too_large_for_its_packets_has_the_size_of_the_description(told, frames):
    made = clip.jpeg(3, width=2560, height=64)
    sets = (struct.pack(">HH", 2560, 64),) if told else ()
    with Taker(made.track, sets=sets) as taker:
        play(taker, made, sent(made, room=1400))
        assert taker.session.stats()[4] == frames
        if told:
            assert {(f.width, f.height) for f in decode(taker.mp4())} == {(2560, 64)}


def test_who_watches_gets_each_picture_and_those_of_the_open_part():
    made = clip.jpeg(6)
    with Taker(made.track) as taker:
        for n, (pts, packet) in enumerate(sent(made, room=60_000)):
            taker.now = 90_000_000 + pts
            taker.feed(wire.frame(0, packet))
            taker.tick()
            if n == 2:
                data, key, _ = taker.session.watch(True)
                assert key
                assert len(samples(data, (made.config,))) == 3
        live = taker.kind(LIVE)
        assert [event[1] for event in live] == [True] * 3, live
        for event in live:
            (one,) = samples(event[0], (made.config,))
            assert one.key


def test_a_picture_larger_than_any_is_left_out_and_recording_goes_on():
    made = clip.jpeg(4)
    packets = sent(made, room=60_000)
    (pts, packet), seq, huge = packets[1], 65_501, []
    huge.append((pts, packet[:1] + bytes((26,)) + packet[2:]))
    at = len(packet) - 12 - 12 - 64
    for n in range(140):
        head = struct.pack(">IBBBB", at, 1, 255, 40, 24)
        seq += 1
        huge.append((pts, wire.rtp(26, seq, pts, n == 139, head + bytes(64_000))))
        at += 64_000
    rest = [
        (p, wire.rtp(26, seq + 1 + n, p, True, one[12:])) for n, (p, one) in enumerate(packets[2:])
    ]
    _, found, got, stats = taken(made, [packets[0], *huge, *rest])
    assert len(found) == len(got) == 3
    assert stats[3] == 1
    assert [one.dts_90k - found[0].dts_90k for one in found] == [0, 2 * 3600, 3 * 3600]


def test_the_track_is_described_by_its_size():
    track = RtpTrack("video", "jpeg", 90_000, 26, 0)
    (told,) = config_of((track,), bytes((0, 0, 4)) + struct.pack(">HH", 1920, 1080))
    assert (told.codec, told.config, told.width_px, told.height_px) == ("jpeg", b"", 1920, 1080)


def first_of(made, words, change=lambda _: None, **options):
    """A clip whose pictures each begin with an extension, and with another header."""
    out, seen = [], set()
    for pts, packet in sent(made, **options):
        payload = bytearray(packet[12:])
        change(payload)
        fresh = packet[:12] + bytes(payload)
        out.append((pts, fresh if pts in seen else wire.extended(fresh, words(pts))))
        seen.add(pts)
    return out


def segment(marker, body):
    return struct.pack(">BBH", 255, marker, 2 + len(body)) + body


def parts_of(made, wanted, number=0):
    """Segments of a picture of a clip."""
    found = segments(made.units[number].nals[0])
    return b"".join(segment(marker, body) for marker, body in found if marker in wanted)


@pytest.mark.parametrize("huffman", ["default", "optimal"])
def test_an_extension_has_size_and_tables_that_packets_have_no_place_for(huffman):
    made = clip.jpeg(4, width=2560, height=64, huffman=huffman)

    def bare(payload):
        payload[6:8] = b"\0\0"  # over 2040 pixels

    wanted = {0xC0, 0xC4, 0xDB, 0xFE, 0xE0}
    packets = first_of(made, lambda pts: parts_of(made, wanted, pts // 3600), bare, room=1300)
    _, _, got, stats = taken(made, packets)
    assert stats[3] == stats[20] == 0
    for a, b in zip(got, shown(made), strict=True):
        assert numpy.array_equal(a.to_ndarray(), b.to_ndarray())


def test_what_an_extension_said_of_the_frame_holds_for_the_pictures_after_it():
    made = clip.jpeg(4, width=2560, height=64)

    def bare(payload):
        payload[6:8] = b"\0\0"

    told = parts_of(made, {0xC0, 0xC4})
    packets = first_of(made, lambda pts: told if pts == 0 else segment(0xFE, b"n"), bare, room=1300)
    _, _, got, _ = taken(made, packets)
    assert len(got) == 4
    assert numpy.array_equal(got[3].to_ndarray(), shown(made)[3].to_ndarray())


def test_an_extension_over_packets_that_have_no_picture_yet_is_one():
    made = clip.jpeg(1)
    ((pts, packet), *rest) = sent(made, q=0)
    tables = parts_of(made, {0xDB})
    cut = len(tables) // 8 * 4
    empty = packet[:12] + packet[12:20]
    found = [wire.extended(empty, tables[:cut]), wire.extended(packet, tables[cut:], 0xFFFF)]
    packets = [(pts, one) for one in (*found, *(one for _, one in rest))]
    packets = [
        (at, one[:2] + (n + 7).to_bytes(2, "big") + one[4:]) for n, (at, one) in enumerate(packets)
    ]
    _, _, (got,), _ = taken(made, packets)
    assert numpy.array_equal(got.to_ndarray(), shown(made)[0].to_ndarray())


@pytest.mark.parametrize(
    "words",
    [
        b"\0\0\0\0", b"\xff\xc0\0\1", b"\xff\xdb\xff\xff", segment(0xDB, b"\4" + bytes(64)),
        segment(0xC2, bytes((8, 0, 96, 0, 160, 1, 1, 17, 0))),
        segment(0xC0, bytes((12, 0, 96, 0, 160, 1, 1, 17, 0))),
        segment(0xC4, bytes(900)) * 2, segment(0xDD, b"\0"),
    ],
)  # fmt: skip
def test_an_extension_that_cannot_be_taken_keeps_its_picture_out(words):
    made = clip.jpeg(2)
    with Taker(made.track) as taker:
        play(taker, made, first_of(made, lambda _: words))
        assert not taker.parts
        assert taker.session.stats()[20] == 2, "setless"


@given(st.binary(max_size=400).map(lambda some: some + bytes(-len(some) % 4)), st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_extension_is_borne(words, begins):
    made = clip.jpeg(2)
    words = b"\xff\xd8\xff" + words + b"\0" if begins else words
    with Taker(made.track) as taker:
        play(taker, made, first_of(made, lambda _: words))
        taker.end()


@pytest.mark.parametrize("field", [1, 2, 3])
def test_fields_are_counted_and_left_out(field):
    made = clip.jpeg(3)

    def half(payload):
        payload[0] = field

    packets = first_of(made, lambda _: b"", half)
    with Taker(made.track) as taker:
        play(taker, made, packets)
        assert not taker.parts
        stats = taker.session.stats()
    assert (stats[4], stats[20], stats[25]) == (0, 0, 3), "frames, setless, fields"
