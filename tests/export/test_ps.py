"""Program streams as ffmpeg and GStreamer read them, against the MP4 of the same recording."""

import hashlib
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import IO

import av
import pytest

from nvr.base.errors import NvrError
from nvr.export import job
from nvr.export.form import Copying
from nvr.export.ps import LEAD_90K, packed
from nvr.media.track import TrackConfig
from nvr.playback.query import Archive
from tests.export.made import GATE, W, recorded
from tests.export.test_mp4 import CASES, FRAMES, fragments, samples_of, written
from tests.media import clip, wire
from tests.media.clip import Clip
from tests.media.taker import Taker
from tests.wire.test_mpegps import read

Made = tuple[Path, Path, list[Clip], list[int]]


PACKABLE = sorted(CASES.keys() - {"opus", "g726", "l16", "jpeg, g711"})
PICTURES = [name for name in PACKABLE if name != "sound only"]


@pytest.fixture(params=PACKABLE)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """The same recording as a program stream and as an MP4."""
    make, starts = CASES[request.param]
    clips = make()
    ps, mp4 = tmp_path / "a.ps", tmp_path / "a.mp4"
    written(mp4, clips, starts)
    pieces = fragments(clips, starts)
    next(pieces)
    config = tuple(one.config for one in clips)
    ps.write_bytes(b"".join(piece for piece, _ in packed(config, pieces)))
    return ps, mp4, clips, starts


def run(*command: str, stdin: IO[bytes] | None = None) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=90, stdin=stdin
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower(), done.stderr
    return done.stdout


def frames(path: Path, kind: str) -> list[tuple[float, str]]:
    """Time of each decoded frame, from the first picture or sound on, and its hash."""
    rows = run(
        "ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", f"0:{kind}", "-f", "framehash",
        "-hash", "md5", "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-",
    ).splitlines()  # fmt: skip
    cells = [row.split(",") for row in rows if not row.startswith("#")]
    return [(int(cell[2]) / 90_000, cell[5].strip()) for cell in cells]


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("made", PICTURES, indirect=True)
def test_ffmpeg_decodes_every_frame_as_from_the_mp4(made: Made) -> None:
    ps, mp4, clips, _ = made
    one, two = frames(ps, "v"), frames(mp4, "v")
    assert len(one) == len(two) == len(clips[0].units)
    assert [digest for _, digest in one] == [digest for _, digest in two]
    apart = [a - b for (a, _), (b, _) in zip(one, two, strict=True)]
    assert max(apart) - min(apart) < 1e-4, "every picture at its time"


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_pictures_without_parameter_sets_get_those_of_the_configuration(
    tmp_path: Path, codec: str
) -> None:
    made = clip.video(codec, frames=FRAMES, gop=25)
    kinds = {7, 8} if codec == "h264" else {32, 33, 34}

    def kind(nal: bytes) -> int:
        return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63

    bare = replace(made, units=tuple(
        replace(unit, nals=tuple(nal for nal in unit.nals if kind(nal) not in kinds))
        for unit in made.units
    ))  # fmt: skip
    pieces = fragments([bare], [0])
    next(pieces)
    path = tmp_path / "a.ps"
    path.write_bytes(b"".join(piece for piece, _ in packed((made.config,), pieces)))
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES
        container.seek(2_000_000)
        assert next(container.decode(video=0)).key_frame, "it begins at any of its key frames"


def coded(path: Path, kind: str) -> list[tuple[int, str]]:
    """Time of each coded picture or the sound's bytes, without what only a container adds."""
    found: list[tuple[int, str]] = []
    with av.open(str(path)) as container:
        stream = container.streams.get({kind: 0})[0]
        name = stream.codec_context.name
        annex_b = path.suffix == ".ps"
        for packet in container.demux(stream):
            data = bytes(packet)
            if packet.pts is None or not data:
                continue
            at = round(packet.pts * packet.time_base * 90_000)
            if kind == "video":
                nals = clip.split(data) if annex_b else _nals(data)
                kinds = {7, 8} if name == "h264" else {32, 33, 34}
                data = b"|".join(
                    nal.rstrip(b"\0")
                    for nal in nals
                    if (nal[0] & 31 if name == "h264" else nal[0] >> 1 & 63) not in kinds
                )
            elif name == "aac" and annex_b:
                data = data[7:] if data[:2] == b"\xff\xf1" else data
            found.append((at, hashlib.md5(data).hexdigest()))
    return found


def _nals(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def test_the_elementary_stream_is_the_one_in_the_mp4(made: Made) -> None:
    ps, mp4, clips, _ = made
    kind = clips[0].config.kind
    one, two = coded(ps, kind), coded(mp4, kind)
    assert [digest for _, digest in one] == [digest for _, digest in two]
    apart = {a - b for (a, _), (b, _) in zip(one, two, strict=True)}
    assert max(apart) - min(apart) <= 1


def test_sound_is_whole_and_as_far_from_the_picture_as_it_was_recorded(made: Made) -> None:
    """Read with a reader of our own: neither ffmpeg 5.1 nor GStreamer 1.22 knows G.711 in it."""
    ps, _, clips, starts = made
    found: dict[int, list[tuple[int, bytes]]] = {0xC0: [], 0xE0: []}
    for pack in read(ps.read_bytes()):
        assert pack.pes[0].pts is not None
        found[pack.pes[0].stream_id].append(
            (pack.pes[0].pts, b"".join(pes.payload for pes in pack.pes))
        )
    wanted: dict[int, list[int]] = {0xC0: [], 0xE0: []}
    for one, start in zip(clips, starts, strict=True):
        config = one.config
        wanted[0xE0 if config.kind == "video" else 0xC0] = [
            (start + dts + shift) * 90_000 // config.clock_hz
            for _, dts, shift, _ in samples_of(one)
        ]
        if config.kind == "audio":
            header = 7 if config.codec == "aac" else 0
            sound = [data[header:] for _, data in found[0xC0]]
            assert sound == [unit.nals[0] for unit in one.units]
    for kind, times in wanted.items():
        assert [at - LEAD_90K for at, _ in found[kind]] == times


@pytest.mark.needs("gstreamer")
@pytest.mark.parametrize("made", PICTURES, indirect=True)
def test_gstreamer_takes_it_apart_and_decodes_every_frame(made: Made) -> None:
    ps, _, clips, _ = made
    config = clips[0].config
    parse, decode = {"h264": ("h264parse", "avdec_h264"), "h265": ("h265parse", "avdec_h265")}[
        config.codec
    ]
    with ps.open("rb") as file:  # of a file it can seek in, GStreamer 1.22 leaves the first out
        out = run(
            "gst-launch-1.0", "-v", "fdsrc", "fd=0", "!", "mpegpsdemux", "name=d",
            "d.video_e0", "!", "queue", "!", parse, "!", decode, "!", "identity", "name=seen",
            "silent=false", "!", "fakesink", "sync=false", stdin=file,
        )  # fmt: skip
    times = re.findall(r"seen: last-message = chain .*pts: (\d+):(\d+):([\d.]+)", out)
    assert len(times) == len(clips[0].units)
    seconds = [float(second) for _, _, second in times]
    assert seconds[-1] - seconds[0] == pytest.approx((len(times) - 1) / 25, abs=0.05)


def test_a_recording_is_exported_with_its_manifest(tmp_path: Path) -> None:
    store = recorded(tmp_path / "ring", 40)
    archive, path = Archive(store), tmp_path / "gate.mpg"
    span = W + 5_000_000, W + 15_000_000
    (done,) = job.export(archive, GATE, *span, path, how=Copying("ps"))
    plain = tmp_path / "gate.mp4"
    job.export(archive, GATE, *span, plain)
    store.disk.close()
    assert len(coded(path, "video")) == len(coded(plain, "video")) > 200
    assert coded(path, "audio")
    told = json.loads((tmp_path / "gate.mpg.json").read_text())
    assert (told["form"], told["stream"]) == ("ps", GATE)
    assert told["files"][0]["sha256"] == done.sha256


@pytest.mark.parametrize("codec", ["opus", "g726", "l16"])
def test_sound_that_has_no_place_is_left_out_beside_pictures(codec: str) -> None:
    video, sound = clip.video(frames=50, gop=25), clip.audio(codec)
    with Taker(video.track, sound.track) as taker:
        packets = [(pts / 90_000, 0, one) for pts, one in wire.packets(video)]
        packets += [(pts / sound.track.clock_hz, 2, one) for pts, one in wire.packets(sound)]
        begun = taker.now
        for at_s, channel, one in sorted(packets, key=lambda item: item[0]):
            taker.now = begun + int(at_s * 90_000)
            taker.feed(wire.frame(channel, one))
        taker.end()
        config = taker.config()
        parts = [(part[0] + bytes(part[1]), 0) for part in taker.parts]
    assert [track.codec for track in config] == ["h264", codec]
    data = b"".join(piece for piece, _ in packed(config, iter(parts)))
    packs = list(read(data))
    assert {pes.stream_id for pack in packs for pes in pack.pes} == {0xE0}
    assert len(packs) == 50


def test_what_a_program_stream_cannot_carry_is_said_before_the_first_byte() -> None:
    wide = TrackConfig("audio", "aac", 16_000, bytes.fromhex("1400"), channels=0)
    with pytest.raises(NvrError, match=r"export\.ps_unsupported"):
        packed((wide,), iter([]))
