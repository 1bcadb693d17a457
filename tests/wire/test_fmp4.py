import io
import struct
from fractions import Fraction

import av
import pytest

from nvr.codec.encode import X264, X265, Encoder
from nvr.media.encoder import Settings
from nvr.media.track import TrackConfig
from nvr.wire import aac, fmp4, h264, h265
from tests.media import clip


def part(units, duration, video):
    """The plainest moof and mdat that hold `units` as track 1."""
    samples = []
    for unit in units:
        nals = unit.nals
        samples.append(b"".join(len(n).to_bytes(4, "big") + n for n in nals) if video else nals[0])
    rows = b"".join(
        struct.pack(">III", duration, len(s), 0x02000000 if u.key else 0x01010000)
        for s, u in zip(samples, units, strict=True)
    )
    size = 8 + 16 + 8 + 16 + 16 + 20 + len(rows)
    traf = fmp4.box(
        b"traf",
        fmp4.box(b"tfhd", struct.pack(">II", 0x020000, 1)),
        fmp4.box(b"tfdt", struct.pack(">II", 0, 0)),
        fmp4.box(b"trun", struct.pack(">IIi", 0x701, len(units), size + 8) + rows),
    )
    moof = fmp4.box(b"moof", fmp4.box(b"mfhd", bytes(8)), traf)
    assert len(moof) == size
    return moof + fmp4.box(b"mdat", *samples)


@pytest.mark.parametrize("codec", ["h264", "h265", "jpeg"])
def test_video_after_the_init_segment_decodes(codec):
    made = clip.video(codec, frames=10)
    data = fmp4.init_segment((made.config,)) + part(made.units, 3600, video=True)
    with av.open(io.BytesIO(data)) as box:
        stream = box.streams.video[0]
        assert (stream.codec_context.width, stream.codec_context.height) == (160, 96)
        assert stream.time_base.denominator == 90_000
        frames = list(box.decode(video=0))
    assert [frame.pts for frame in frames] == [n * 3600 for n in range(10)]


@pytest.mark.parametrize(
    ("codec", "name"), [("aac", "aac"), ("pcma", "pcm_alaw"), ("pcmu", "pcm_mulaw")]
)
def test_audio_after_the_init_segment_decodes(codec, name):
    made = clip.audio(codec, seconds=0.5)
    step = made.units[1].pts
    data = fmp4.init_segment((made.config,)) + part(made.units, step, video=False)
    with av.open(io.BytesIO(data)) as box:
        stream = box.streams.audio[0]
        assert stream.codec_context.name == name
        assert stream.codec_context.sample_rate == made.config.clock_hz
        assert stream.codec_context.channels == made.config.channels
        frames = list(box.decode(audio=0))
    assert sum(frame.samples for frame in frames) >= (len(made.units) - 1) * step


def test_the_init_segment_names_no_duration():
    made = clip.video(frames=1)
    data = fmp4.init_segment((made.config, clip.audio(seconds=0.1).config))
    assert b"mehd" not in data
    assert data.count(b"trex") == 2
    at = data.index(b"mvhd") + 4
    assert data[at + 16 : at + 20] == bytes(4)


def test_mime_names_what_a_browser_must_decode():
    video, sound = clip.video(frames=1).config, clip.audio(seconds=0.1).config
    profile = video.config[1:4].hex()
    assert fmp4.mime((video, sound)) == f'video/mp4; codecs="avc1.{profile},mp4a.40.2"'
    assert fmp4.mime((sound,)) == 'audio/mp4; codecs="mp4a.40.2"'
    assert fmp4.mime((clip.jpeg(1).config,)) == 'video/mp4; codecs="jpeg"'
    with pytest.raises(ValueError, match="pcma"):
        fmp4.mime((video, clip.audio("pcma", seconds=0.1).config))


def test_h265_codec_string_is_the_one_of_rfc_6381():
    record = bytes.fromhex("01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f 00")
    assert h265.codec_string(record) == "hvc1.1.6.L93.90"


def test_parameter_sets_come_back_out_of_the_record():
    for wire, codec in ((h264, "h264"), (h265, "h265")):
        made = clip.video(codec, frames=1)
        assert wire.parameter_sets(made.config.config) == made.track.parameter_sets
        for cut in range(len(made.config.config) - 1):
            with pytest.raises(ValueError, match=r"cut off|not an"):
                wire.parameter_sets(made.config.config[:cut])


def test_an_sps_without_its_pps_makes_no_record():
    made = clip.video(frames=1)
    with pytest.raises(ValueError, match="PPS"):
        h264.avcc(made.track.parameter_sets[:1])


def test_cropped_sizes_are_what_the_decoder_shows():
    for codec, wire in (("h264", h264), ("h265", h265)):
        made = clip.video(codec, frames=1, width=182, height=102)
        sps = next(n for n in made.track.parameter_sets if wire.nal_type(n) == wire.SPS)
        read = wire.parse_sps(sps)
        assert (read.width_px, read.height_px) == (182, 102)
        assert read.frame_90k == 3600


@pytest.mark.parametrize("aspect", [(12, 11), (40, 33), (7, 5), (1, 1)])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_the_shape_of_a_pixel_is_read_and_stands_in_the_file(codec, aspect):
    library = X264 if codec == "h264" else X265
    settings = Settings((704, 576), 25, 1_000_000, codec=codec, aspect=aspect)
    wire, made = (h264, h264.avcc) if codec == "h264" else (h265, h265.hvcc)
    encoder = Encoder(settings, library)
    record = made(encoder.parameter_sets)
    encoder.close()
    assert wire.pixel_aspect(record) == aspect
    track = TrackConfig("video", codec, 90_000, record, 704, 576)
    data = fmp4.init_segment((track,))
    with av.open(io.BytesIO(data), format="mov") as container:
        said = container.streams.video[0].sample_aspect_ratio
        assert (said or 1) == Fraction(*aspect)
    assert (b"pasp" in data) == (aspect != (1, 1))
    width = struct.unpack_from(">I", data, data.index(b"tkhd") + 4 + 76)[0] / 65536
    assert abs(width - 704 * aspect[0] / aspect[1]) < 0.001


@pytest.mark.parametrize("record", [b"", b"\1" * 7, bytes(64)])
def test_a_record_that_cannot_be_read_has_square_pixels(record):
    assert h264.pixel_aspect(record) == h265.pixel_aspect(record) == (1, 1)


def test_reorder_depth_is_read_from_the_vui():
    for codec, wire in (("h264", h264), ("h265", h265)):
        made = clip.video(codec, frames=8, b_frames=2)
        sps = next(n for n in made.track.parameter_sets if wire.nal_type(n) == wire.SPS)
        assert wire.parse_sps(sps).reorder in {1, 2}


def test_aac_config_says_rate_channels_and_frame_length():
    assert aac.parse(bytes.fromhex("1190")) == aac.AudioConfig(2, 48_000, 2, 1024)
    assert aac.parse(bytes.fromhex("1194")).frame_samples == 960
    sbr = aac.parse(bytes.fromhex("2b098800"))
    assert (sbr.object_type, sbr.rate_hz, sbr.frame_samples) == (5, 48_000, 2048)
    with pytest.raises(ValueError, match="cut off"):
        aac.parse(b"\x11")
