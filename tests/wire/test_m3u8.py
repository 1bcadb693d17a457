"""Playlists of HLS, line by line."""

from nvr.wire import m3u8
from nvr.wire.m3u8 import Live, Part, Segment, Variant

NOON_US = 1_800_000_000_123_456


def test_streams_are_listed_with_what_is_known_of_them():
    both = [
        Variant("main.m3u8", 6_000_000, "avc1.640028,mp4a.40.2", (1920, 1080), 25.0),
        Variant("sub.m3u8", 0),
    ]
    assert m3u8.variants(both).splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        (
            '#EXT-X-STREAM-INF:BANDWIDTH=6000000,CODECS="avc1.640028,mp4a.40.2",'
            "RESOLUTION=1920x1080,FRAME-RATE=25.000"
        ),
        "main.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "sub.m3u8",
    ]


def test_a_live_playlist_tells_parts_and_what_comes_next():
    whole = Segment("a-7.mp4", 2.0, NOON_US, "a.init", [Part("a-7-0.mp4", 0.52, True)])
    fresh = Segment("a-8.mp4", 1.5, NOON_US + 9_000_000, "b.init", fresh=True)
    under_way = Segment("", 0.0, NOON_US + 10_500_000, "b.init", [Part("a-9-0.mp4", 0.5, False)])
    text = m3u8.live(Live(7, 3, 2, 0.52, [whole, fresh, under_way], "a-9-1.mp4", independent=True))
    assert text.splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.560,HOLD-BACK=6.0",
        "#EXT-X-PART-INF:PART-TARGET=0.52000",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-DISCONTINUITY-SEQUENCE:3",
        '#EXT-X-MAP:URI="a.init"',
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.123Z",
        '#EXT-X-PART:DURATION=0.52000,URI="a-7-0.mp4",INDEPENDENT=YES',
        "#EXTINF:2.00000,",
        "a-7.mp4",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="b.init"',
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:09.123Z",
        "#EXTINF:1.50000,",
        "a-8.mp4",
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:10.623Z",
        '#EXT-X-PART:DURATION=0.50000,URI="a-9-0.mp4"',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="a-9-1.mp4"',
    ]


def test_a_live_playlist_may_have_nothing_to_come_and_no_key_frames_at_edges():
    one = Segment("a-7.mp4", 2.0, NOON_US, "a.init", fresh=True)
    text = m3u8.live(Live(7, 4, 2, 0.5, [one], "", independent=False))
    assert "HINT" not in text
    assert "INDEPENDENT" not in text
    assert "#EXT-X-DISCONTINUITY\n" not in text, "the first is counted, not told"


def test_a_span_is_complete_and_dated_where_time_jumps():
    first = Segment("a.mp4", 2.0, NOON_US, "a.init")
    second = Segment("b.mp4", 2.4, NOON_US + 2_000_000, "a.init")
    jumped = Segment("c.mp4", 1.0, NOON_US + 60_000_000, "a.init", fresh=True)
    lines = m3u8.recorded([first, second, jumped]).splitlines()
    assert lines[2:6] == [
        "#EXT-X-TARGETDURATION:3",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-MEDIA-SEQUENCE:0",
    ]
    assert [line for line in lines if "DATE" in line] == [
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.123Z",
        "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:01:00.123Z",
    ]
    assert lines.index("#EXT-X-DISCONTINUITY") > lines.index("b.mp4")
    assert lines.count('#EXT-X-MAP:URI="a.init"') == 1
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert m3u8.recorded([]).splitlines()[2] == "#EXT-X-TARGETDURATION:1"
