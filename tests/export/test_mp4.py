"""Progressive MP4 as ffprobe, GStreamer and Chromium read it, and what it says of itself."""

import asyncio
import json
import re
import struct
import subprocess
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from playwright.async_api import async_playwright

from nvr.base.errors import NvrError
from nvr.codec.again import prefixed
from nvr.export.mp4 import Movie
from nvr.media.track import StreamConfig
from nvr.wire import mp4
from nvr.wire.fmp4 import box, init_segment
from nvr.wire.mp4 import Provenance, Table
from tests.media import clip
from tests.media.clip import Clip

ORIGIN = Provenance("盒子", "", 1_800_000_100_000_000, "王班长", "东门", "", 1_800_000_000_500_000)
FRAMES = 75


def samples_of(made: Clip) -> list[tuple[bytes, int, int, bool]]:
    """Bytes, decode time, shift, key; decode times evenly spaced as a camera's are."""
    if made.config.kind == "audio":
        return [(unit.nals[0], unit.pts, 0, True) for unit in made.units]
    late = max(n * 3600 - unit.pts for n, unit in enumerate(made.units))
    return [
        (
            unit.nals[0] if made.config.codec == "jpeg" else prefixed(unit.nals),
            n * 3600,
            unit.pts + late - n * 3600,
            unit.key,
        )
        for n, unit in enumerate(made.units)
    ]


def fragments(clips: list[Clip], starts: list[int]) -> Iterator[tuple[bytes, int]]:
    """What the archive would give: half a second of all tracks at a time, from their own starts."""
    config = tuple(made.config for made in clips)
    yield init_segment(config), ORIGIN.start_us
    tracks = [samples_of(made) for made in clips]
    longest = max(
        (start + rows[-1][1] + 1) / made.config.clock_hz
        for made, rows, start in zip(clips, tracks, starts, strict=True)
    )
    for n in range(int(longest * 2) + 1):
        taken = [
            [
                (at, row)
                for at, row in enumerate(rows)
                if n / 2 <= (start + row[1]) / made.config.clock_hz < (n + 1) / 2
            ]
            for made, rows, start in zip(clips, tracks, starts, strict=True)
        ]
        if any(taken):
            yield fragment(clips, tracks, starts, taken), ORIGIN.start_us + (n + 1) * 500_000


def fragment(clips, tracks, starts, taken) -> bytes:
    def build(offset: int) -> bytes:
        trafs = b""
        for number, found in enumerate(taken):
            if not found:
                continue
            rows = tracks[number]
            table = b""
            for at, (data, dts, shift, key) in found:
                after = rows[at + 1][1] if at + 1 < len(rows) else 2 * dts - rows[at - 1][1]
                flags = 0x02000000 if key else 0x01010000
                table += struct.pack(">IIIi", after - dts, len(data), flags, shift)
            trafs += box(
                b"traf",
                box(b"tfhd", struct.pack(">II", 0x020000, number + 1)),
                box(b"tfdt", struct.pack(">IQ", 1 << 24, starts[number] + found[0][1][1])),
                box(b"trun", struct.pack(">IIi", 1 << 24 | 0xF01, len(found), offset) + table),
            )
            offset += sum(len(row[0]) for _, row in found)
        return box(b"moof", box(b"mfhd", bytes(8)), trafs)

    moof = build(len(build(0)) + 8)
    media = b"".join(row[0] for found in taken for _, row in found)
    return moof + box(b"mdat", media + bytes(100))  # the archive's padding


def written(path: Path, clips: list[Clip], starts: list[int]) -> Movie:
    movie = Movie(tuple(made.config for made in clips), lambda: fragments(clips, starts))
    for _ in movie.scan():
        pass
    path.write_bytes(movie.head(ORIGIN) + b"".join(piece for piece, _ in movie.media()))
    return movie


CASES: dict[str, tuple[Callable[[], list[Clip]], list[int]]] = {
    "h264": (lambda: [clip.video(frames=FRAMES, gop=25)], [0]),
    "h264, sound late": (
        lambda: [clip.video(frames=FRAMES, gop=25), clip.audio("aac", 2.5, 16_000)], [0, 4_800],
    ),
    "b-frames, g711": (
        lambda: [clip.video(frames=FRAMES, gop=25, b_frames=2), clip.audio("pcma", 2.5)], [0, 0],
    ),
    "h265, sound first": (
        lambda: [clip.video("h265", frames=FRAMES, gop=25), clip.audio("pcmu", 2.5)], [18_000, 0],
    ),
    "jpeg, g711": (
        lambda: [clip.video("jpeg", frames=FRAMES), clip.audio("pcma", 2.5)], [0, 0],
    ),
    "opus": (lambda: [clip.video(frames=FRAMES, gop=25), clip.audio("opus", 2.5)], [0, 0]),
    "g726": (lambda: [clip.video(frames=FRAMES, gop=25), clip.audio("g726", 2.5)], [0, 0]),
    "l16": (lambda: [clip.video(frames=FRAMES, gop=25), clip.audio("l16", 2.5)], [0, 0]),
    "sound only": (lambda: [clip.audio("aac", 2.5)], [0]),
}  # fmt: skip


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Clip], list[int]]:
    make, starts = CASES[request.param]
    clips = make()
    path = tmp_path / "a.mp4"
    written(path, clips, starts)
    return path, clips, starts


def probed(path: Path) -> dict:
    ran = subprocess.run(
        ["ffprobe", "-v", "warning", "-count_frames", "-show_streams", "-show_format",
         "-of", "json", str(path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    # Of a few JPEGs of its own encoder it takes the padding for the beginning of a marker.
    assert not [line for line in ran.stderr.splitlines() if "EOI missing" not in line]
    return json.loads(ran.stdout)


@pytest.mark.needs("ffmpeg")
def test_ffprobe_reads_every_frame_at_its_time(case: tuple[Path, list[Clip], list[int]]) -> None:
    path, clips, starts = case
    told = probed(path)
    assert len(told["streams"]) == len(clips)
    shown = [
        (start + rows[0][1] + rows[0][2]) / made.config.clock_hz
        for made, start in zip(clips, starts, strict=True)
        for rows in [samples_of(made)]
    ]
    for stream, made, at in zip(told["streams"], clips, shown, strict=True):
        if made.config.kind == "video":
            assert int(stream["nb_read_frames"]) == FRAMES
            assert float(stream["duration"]) == pytest.approx(FRAMES / 25, abs=0.001)
            assert stream["codec_name"] == {"h265": "hevc", "jpeg": "mjpeg"}.get(
                made.config.codec, "h264"
            )
        elif made.config.codec == "aac":  # the encoder's last packet may be short
            assert abs(int(stream["nb_read_frames"]) - len(made.units)) <= 1
        start = float(stream["start_time"])
        assert start == pytest.approx(at - min(shown), abs=0.002), "sound and picture fit"
    assert float(told["format"]["duration"]) == pytest.approx(
        max(float(one["duration"]) + float(one["start_time"]) for one in told["streams"]), abs=0.05
    )
    if clips[0].config.kind == "video":
        with av.open(str(path)) as container:
            container.seek(1_500_000)
            frame = next(container.decode(video=0))
            assert 0.9 <= frame.time <= 1.7, "it seeks"


@pytest.mark.needs("gstreamer")
def test_gstreamer_decodes_every_frame(case: tuple[Path, list[Clip], list[int]]) -> None:
    path, clips, _ = case
    kind = "video" if clips[0].config.kind == "video" else "audio"
    ran = subprocess.run(
        ["gst-launch-1.0", "-v", "filesrc", f"location={path}", "!", "decodebin", "name=d",
         "d.", "!", f"{kind}/x-raw", "!", "identity", "name=seen", "silent=false", "!",
         "fakesink", "sync=false"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    times = re.findall(r"seen: last-message = chain .*pts: (\d+):(\d+):([\d.]+)", ran.stdout)
    assert len(times) >= (FRAMES if kind == "video" else len(clips[0].units) - 2)
    assert float(times[-1][2]) >= 2.2


@pytest.mark.needs("gstreamer")
def test_gstreamer_hears_telephone_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    clips = [clip.video(frames=FRAMES, gop=25), clip.audio("pcma", 2.5)]
    written(path, clips, [0, 0])
    heard = tmp_path / "heard"
    ran = subprocess.run(
        ["gst-launch-1.0", "filesrc", f"location={path}", "!", "decodebin", "name=d",
         # Pictures that nobody takes may keep the sound behind them waiting for ever.
         "d.", "!", "video/x-raw", "!", "queue", "!", "fakesink", "sync=false",
         "d.", "!", "audio/x-raw,format=S16LE", "!", "queue", "!", "filesink", f"location={heard}"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert heard.stat().st_size == 2 * sum(len(unit.nals[0]) for unit in clips[1].units), ran.stderr


@pytest.mark.needs("chromium")
async def test_chromium_plays_and_seeks(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    written(path, [clip.video(frames=FRAMES, gop=25, b_frames=2), clip.audio("aac", 2.5)], [0, 0])
    script = """async () => {
      const video = document.createElement("video");
      video.src = "/a.mp4"; video.muted = true;
      const seen = (name) => new Promise((done, failed) => {
        video.addEventListener(name, done, {once: true});
        video.addEventListener("error", () => failed(new Error(video.error.message)), {once: true});
      });
      await seen("loadedmetadata");
      const wait = seen("seeked");
      video.currentTime = 2;
      await wait;
      const ended = seen("ended");
      await video.play();
      await ended;
      return {duration: video.duration, width: video.videoWidth, ready: video.readyState,
              frames: video.getVideoPlaybackQuality().totalVideoFrames};
    }"""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", timeout=60_000,
            args=["--headless=new", "--no-sandbox", "--disable-gpu"],
        )  # fmt: skip
        page = await browser.new_page()

        async def answer(route) -> None:
            if route.request.url.endswith(".mp4"):
                await route.fulfill(body=path.read_bytes(), content_type="video/mp4")
            else:
                await route.fulfill(body="<!doctype html>", content_type="text/html")

        await page.route("https://page.test/**", answer)
        await page.goto("https://page.test/")
        async with asyncio.timeout(60):
            told = await page.evaluate(script)
        await browser.close()
    assert told["duration"] == pytest.approx(3.0, abs=0.05)
    assert told["width"] == 160
    assert told["frames"] >= 20


def boxes(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        found[kind] = data[at + 8 : at + size]
        at += size
    return found


def test_it_says_whose_it_is_and_from_when_as_onvif_wants(tmp_path: Path) -> None:
    """ONVIF Export File Format 26.06: suep version 1 in the file's meta, cstb since 1601."""
    path = tmp_path / "a.mp4"
    clips = [clip.video(frames=25), clip.audio("aac", 1.0)]
    written(path, clips, [0, 4_800])
    top = boxes(path.read_bytes())
    assert list(top) == [b"ftyp", b"meta", b"moov", b"mdat"]
    meta = boxes(top[b"meta"][4:])
    assert list(meta) == [b"hdlr", b"suep", b"cstb"]
    suep = meta[b"suep"]
    assert suep[:4] == b"\1\0\0\0"
    unit, url, mac, rest = suep[4:].split(b"\0", 3)
    assert (unit.decode(), url, mac) == ("盒子", b"", b"")
    (made_s,) = struct.unpack_from(">Q", rest)
    assert made_s - 2_082_844_800 == 1_800_000_100
    operator, rest = rest[8:].split(b"\0", 1)
    assert operator.decode() == "王班长"
    assert struct.unpack_from(">IH", rest) == (2, 1)
    assert rest[6:].split(b"\0")[0].decode() == "东门"
    cstb = meta[b"cstb"]
    assert struct.unpack_from(">I", cstb) == (2,)
    one, two = (struct.unpack_from(">IQ", cstb, 4 + 12 * n) for n in range(2))
    since_1601 = 11_644_473_600 * 10**7
    assert one == (1, since_1601 + 1_800_000_000_500_000 * 10)
    assert two == (2, one[1] + 10**6), "the sound's first sample came a tenth of a second later"


@pytest.mark.needs("ffmpeg")
def test_a_file_over_4_gib_has_wide_offsets_and_is_read(tmp_path: Path) -> None:
    made = clip.video(frames=50, gop=25)
    rows = samples_of(made)
    table, far = Table(), 5 << 30
    places: list[tuple[int, bytes]] = []
    for begin, chunk_at in ((0, 0), (25, far)):
        table.begin_chunk(chunk_at, begin * 3600)
        offset = chunk_at
        for data, _, shift, key in rows[begin : begin + 25]:
            places.append((offset, data))
            offset = offset + len(data)
            table.add(len(data), 3600, shift, key=key)
    config: StreamConfig = (made.config,)
    head = mp4.head(config, [table], far + (64 << 10), ORIGIN)
    assert b"co64" in head
    assert b"stco" not in head
    path = tmp_path / "far.mp4"
    with path.open("wb") as file:  # a hole, not 5 GiB
        file.write(head)
        for offset, data in places:
            file.seek(len(head) + offset)
            file.write(data)
        file.truncate(len(head) + far + (64 << 10))
    assert int(probed(path)["streams"][0]["nb_read_frames"]) == 50


def test_a_gap_lengthens_the_picture_before_it() -> None:
    table = Table()
    table.begin_chunk(0, 100)
    table.add(10, 3600, 0, key=True)
    table.begin_chunk(10, 100 + 3600 + 90_000)
    table.add(10, 3600, 0, key=True)
    assert (table.durations, table.ticks) == (array("I", [93_600, 3600]), 97_200)


def test_what_was_overwritten_meanwhile_ends_the_export() -> None:
    clips = [clip.video(frames=50)]
    times = 0

    def pieces() -> Iterator[tuple[bytes, int]]:
        nonlocal times
        times += 1
        found = list(fragments(clips, [0]))
        yield from found if times == 1 else found[:-1]

    movie = Movie((clips[0].config,), pieces)
    list(movie.scan())
    with pytest.raises(NvrError, match=r"export\.overwritten"):
        list(movie.media())


def test_a_fragment_that_lies_is_damaged_not_read_beyond() -> None:
    clips = [clip.video(frames=10)]
    init, piece = (found for found, _ in list(fragments(clips, [0]))[:2])
    at = piece.index(b"trun") + 20
    raw = bytearray(piece)
    struct.pack_into(">I", raw, at, 1 << 30)
    movie = Movie((clips[0].config,), lambda: iter([(init, 0), (bytes(raw), 1)]))
    with pytest.raises(NvrError, match=r"fragment\.damaged"):
        list(movie.scan())
