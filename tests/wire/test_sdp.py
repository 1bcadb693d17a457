from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.sdp import SDP_BYTES, Media, build, parse

HIKVISION = b"""v=0\r
o=- 1109162014219182 1109162014219192 IN IP4 x.y.z.w\r
s=Media Presentation\r
e=NONE\r
b=AS:5100\r
t=0 0\r
a=control:rtsp://192.0.2.64/ch1/main/av_stream/\r
m=video 0 RTP/AVP 96\r
c=IN IP4 0.0.0.0\r
b=AS:5000\r
a=recvonly\r
a=x-dimensions:1920,1080\r
a=control:rtsp://192.0.2.64/ch1/main/av_stream/trackID=1\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 profile-level-id=420029; packetization-mode=1; sprop-parameter-sets=Z00AKp2oHgCJ+WbgICAgQA==,aO48gA==\r
m=audio 0 RTP/AVP 8\r
a=control:rtsp://192.0.2.64/ch1/main/av_stream/trackID=2\r
a=Media_header:MEDIAINFO=494D4B48010200000400;\r
m=application 0 RTP/AVP 107\r
a=control:rtsp://192.0.2.64/ch1/main/av_stream/trackID=3\r
a=rtpmap:107 vnd.onvif.metadata/90000\r
"""  # noqa: E501 - as the camera sends it


def test_a_camera_s_description_is_read_as_it_comes():
    found = parse(HIKVISION)
    video, audio, metadata = found.media
    assert (video.codec, video.clock_hz, video.payload_type) == ("h264", 90_000, 96)
    assert [unit[0] & 31 for unit in video.parameter_sets] == [7, 8]
    assert (audio.codec, audio.clock_hz, audio.channels) == ("pcma", 8000, 1)
    assert metadata.codec == ""
    assert found.control == "rtsp://192.0.2.64/ch1/main/av_stream/"


def test_h265_sets_come_in_decoding_order_and_sloppy_base64_is_read():
    found = parse(
        b"m=video 0 RTP/AVP 98\n"
        b"a=rtpmap:98 h265/90000\n"
        b"a=fmtp:98 sprop-pps=RAHA; sprop-sps=AAAAAUIBAQ ; sprop-vps=QAEMAf//;\n"
    )
    assert [unit[0] >> 1 for unit in found.media[0].parameter_sets] == [32, 33, 34]


def test_aac_without_its_configuration_cannot_be_carried():
    with_config = (
        b"m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/48000/2\n"
        b"a=fmtp:97 streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;config=1190\n"
    )
    media = parse(with_config).media[0]
    assert (media.codec, media.channels, media.config) == ("aac", 2, b"\x11\x90")
    assert parse(with_config.replace(b"config=1190", b"")).media[0].codec == ""


@pytest.mark.parametrize(
    "body", [b"", b"v=0\r\n", b"m=video 0 RTP/AVP\r\n", b"m=\r\n", b"m=" * 20_000]
)
def test_a_description_without_media_is_refused(body):
    with pytest.raises(ValueError, match="description"):
        parse(body)


@given(st.lists(st.sampled_from(HIKVISION.split(b"\r\n")) | st.binary(max_size=40), max_size=30))
def test_no_order_of_lines_is_too_strange(lines):
    with suppress(ValueError):
        assert parse(b"\r\n".join(lines)).media


@pytest.mark.parametrize(
    "line",
    ["a=x-dimensions:2592,1944", "a=framesize:26 2592-1944", "a=fmtp:26 x-dimensions=2592,1944"],
)
def test_the_size_of_jpeg_is_read_where_its_packets_cannot_say_it(line):
    (media,) = parse(f"m=video 0 RTP/AVP 26\r\n{line}\r\n".encode()).media
    assert (media.codec, media.clock_hz) == ("jpeg", 90_000)
    assert media.parameter_sets == ((2592).to_bytes(2, "big") + (1944).to_bytes(2, "big"),)


@pytest.mark.parametrize("size", ["2592", "0,5", "70000,5", "a,b", "-1,5", ""])
def test_a_size_of_jpeg_that_is_none_is_left_out(size):
    (media,) = parse(f"m=video 0 RTP/AVP 26\r\na=x-dimensions:{size}\r\n".encode()).media
    assert media.parameter_sets == ()


def test_ours_is_read_back_the_same():
    media = (
        Media("video", 96, "H264", 90_000, 0, "track=0", (b"\x67\x42\xc0\x1f\x01", b"\x68\xce")),
        Media("video", 97, "H265", 90_000, 0, "track=1", (b"\x40\x01", b"\x42\x01", b"\x44\x01")),
        Media("audio", 98, "MPEG4-GENERIC", 48_000, 2, "track=2", (), b"\x11\x90"),
        Media("audio", 8, "PCMA", 8000, 1, "track=3"),
        Media("video", 26, "JPEG", 90_000, 0, "track=4"),
        Media("video", 26, "JPEG", 90_000, 0, "track=5", (b"\x0a\x20\x07\x98",)),
    )
    body = build("东门\r\ns=x", media, session=7)
    found = parse(body)
    assert found.media == media
    assert found.name == "东门 s=x"
    assert b"profile-level-id=42C01F;" in body


def test_a_description_without_end_is_not_read():
    within = HIKVISION + b"a=x:y\r\n" * ((SDP_BYTES - len(HIKVISION)) // 7)
    assert parse(within) == parse(HIKVISION)
    with pytest.raises(ValueError, match="over"):
        parse(within + b"a=x:y\r\n")
