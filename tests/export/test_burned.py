"""Copies with a caption: the time is read back out of the pictures, and no stream harms the box."""

import functools
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import av
import numpy as np
import pytest

from nvr.base.errors import NvrError
from nvr.export.burned import NOT_EVIDENCE, Burned
from nvr.media.camera import CaptionAt, CaptionText
from nvr.media.fragment import samples
from nvr.overlay.burn import Burner, Planes
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font
from nvr.playback.splice import Piece
from tests.export.test_mp4 import ORIGIN, boxes, fragments
from tests.media import clip
from tests.media.clip import Clip, Unit

SIZE = (480, 272)
WALL_US = 1_795_415_526_400_000
BEIJING = timezone(timedelta(hours=8))
LOOK = CaptionText(("临江路", "{time}"), (20, 50), 80, "box")
FRAMES = 75


@pytest.fixture(autouse=True)
def in_beijing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@functools.cache
def film(codec: str = "h264", b_frames: int = 0, frames: int = FRAMES) -> Clip:
    return clip.video(
        codec, frames=frames, gop=25, b_frames=b_frames, width=SIZE[0], height=SIZE[1]
    )


def pieces(clips: list[Clip], walls: dict[int, int] | None = None) -> Iterator[Piece]:
    """Half a second each, beginning at `WALL_US`, or from piece n on at `walls[n]`."""
    config = tuple(made.config for made in clips)
    at_us = WALL_US
    for n, (data, _) in enumerate(fragments(clips, [0] * len(clips))):
        if n == 0:
            yield Piece(data, at_us, at_us)
            continue
        at_us = (walls or {}).get(n - 1, at_us)
        shown = [one for one in samples(data, config) if one.track == 0]
        long_us = sum(one.duration_90k for one in shown) * 100 // 9
        yield Piece(data, at_us, at_us + long_us)
        at_us += long_us


def burned(
    tmp_path: Path, clips: list[Clip], look: CaptionText | CaptionAt = LOOK, **more: object
) -> tuple[Path, Burned]:
    walls = more.pop("walls", None)
    config = tuple(made.config for made in clips)
    at = look if callable(look) else lambda _: look
    made = Burned(config, pieces(clips, walls), at, tmp_path, **more)
    path = tmp_path / "a.mp4"
    shares = []
    with path.open("wb") as file:
        for piece, share in made.write(lambda at: replace(ORIGIN, start_us=at), WALL_US,
                                       WALL_US + 3_000_000):  # fmt: skip
            file.write(piece)
            shares.append(share)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert os.listdir(tmp_path) == ["a.mp4"], "nothing is left over"
    return path, made


def shown(path: Path) -> list[tuple[int, np.ndarray]]:
    """Time and luma of every picture."""
    with av.open(str(path)) as container:
        return [
            (round(frame.time * 90_000), frame.to_ndarray(format="gray"))
            for frame in container.decode(video=0)
        ]


@functools.cache
def mask(second: int, look: CaptionText = LOOK) -> np.ndarray:
    """The caption on black as it is at that second, to be compared."""
    width, height = SIZE
    y = np.full((height, width), 90, np.uint8)
    chroma = [np.full((height // 2, width // 2), 128, np.uint8) for _ in range(2)]
    burner = Burner(Font(), SIZE, BEIJING)
    burner.set(Caption(look.lines, look.position_permille, look.size_permille, look.mode))
    planes = Planes(SIZE, y.data.cast("B"), width, tuple(c.data.cast("B") for c in chroma),
                    width // 2)  # fmt: skip
    burner.burn(planes, second * 1_000_000)
    return y


def read_time(picture: np.ndarray, near_us: int) -> int:
    """The second that the caption in the picture says: of some, the one it looks like."""
    near = near_us // 1_000_000
    seconds = [near + n for n in (-8 * 3600, -3600, -60, -2, -1, 0, 1, 2, 60, 3600, 8 * 3600)]
    looks = np.stack([mask(second) for second in seconds]).astype(int)
    telling = np.ptp(looks, axis=0) > 40  # the pixels by which they differ
    off = np.abs(looks[:, telling] - picture[telling].astype(int)).mean(axis=1)
    best, next_best = sorted(off)[:2]
    assert best < 0.7 * next_best, "the digits are clear"
    return seconds[int(off.argmin())]


@pytest.mark.parametrize(
    ("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 0), ("h265", 2), ("jpeg", 0)]
)
def test_each_picture_shows_its_own_time(tmp_path: Path, codec: str, b_frames: int) -> None:
    made = film(codec, b_frames)
    path, copy = burned(tmp_path, [made])
    found = shown(path)
    assert (len(found), copy.counts.taken, copy.counts.made) == (FRAMES, FRAMES, FRAMES)
    first_90k = min(unit.pts for unit in made.units)
    late_90k = max(n * 3600 - unit.pts for n, unit in enumerate(made.units)) + first_90k
    for n in range(0, FRAMES, 7):
        at_us = WALL_US + (n * 3600 + late_90k) * 100 // 9
        assert found[n][0] - found[0][0] == n * 3600
        assert read_time(found[n][1], at_us) == at_us // 1_000_000
    turns = [read_time(luma, WALL_US + n * 40_000) for n, (_, luma) in enumerate(found[:25])]
    assert len(set(turns)) == 2, "the second changes in the first of them"


def test_what_is_not_under_the_caption_is_the_picture_that_was_recorded(tmp_path: Path) -> None:
    """Burning into pictures that others are made from would spread the caption over them."""
    # What says that it is BT.709 is not converted: the decoder's own memory is burned into.
    colours = "scenecut=0:colorprim=bt709:transfer=bt709:colormatrix=bt709"
    made = clip.video(
        frames=FRAMES, gop=25, width=SIZE[0], height=SIZE[1],
        options={"x264-params": colours},
    )  # fmt: skip
    path, _ = burned(tmp_path, [made])
    plain = tmp_path / "plain.mp4"
    plain.write_bytes(b"".join(data for data, _, _ in pieces([made])))
    clear = mask(WALL_US // 1_000_000) == 90
    worst = 0.0
    for (_, one), (_, two) in zip(shown(path), shown(plain), strict=True):
        off = np.abs(one.astype(int) - two)[clear]
        assert off.mean() < 6
        worst = max(worst, float((off > 60).mean()))
    assert worst < 0.002


def test_over_a_gap_and_a_clock_set_back_the_time_is_the_one_on_the_wall(tmp_path: Path) -> None:
    hour_us = 3_600_000_000
    walls = {2: WALL_US + hour_us, 4: WALL_US - hour_us}
    path, _ = burned(tmp_path, [film()], walls=walls)
    found = shown(path)
    for n, base_us, since in ((3, WALL_US, 0), (30, walls[2], 25), (60, walls[4], 50)):
        at_us = base_us + (n - since) * 40_000
        assert read_time(found[n][1], at_us) == at_us // 1_000_000


@pytest.mark.needs("ffmpeg")
def test_it_says_that_it_is_no_evidence(tmp_path: Path) -> None:
    look = replace(LOOK, lines=("东门ก", "{time}"))
    path, copy = burned(tmp_path, [film(), clip.audio("aac", 2.5)], look)
    assert copy.counts.missing == "ก"
    ran = subprocess.run(
        ["ffprobe", "-v", "warning", "-count_frames", "-show_streams", "-show_format", "-of",
         "json", str(path)], check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stderr == ""
    told = json.loads(ran.stdout)
    assert told["format"]["tags"]["comment"] == f"{NOT_EVIDENCE}; the font lacks ก"
    video, audio = told["streams"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", *SIZE)
    assert (video["color_space"], video["color_range"]) == ("bt709", "tv")
    assert int(video["nb_read_frames"]) == FRAMES
    assert float(video["duration"]) == pytest.approx(3.0, abs=0.001)
    assert audio["codec_name"] == "aac"
    suep = boxes(boxes(path.read_bytes())[b"meta"][4:])[b"suep"]
    assert f"东门 ({NOT_EVIDENCE})".encode() in suep


def test_sound_is_what_was_recorded(tmp_path: Path) -> None:
    sound = clip.audio("pcma", 2.5)
    path, _ = burned(tmp_path, [film(), sound])
    with av.open(str(path)) as container:
        data = b"".join(bytes(packet) for packet in container.demux(audio=0))
    assert data == b"".join(unit.nals[0] for unit in sound.units)


def spoilt(made: Clip, units: set[int], rng: random.Random) -> Clip:
    """A clip with wrong bytes in some of its pictures."""

    def harmed(unit: Unit) -> Unit:
        nals = []
        for nal in unit.nals:
            raw = bytearray(nal)
            for _ in range(1 + len(raw) // 40):
                raw[rng.randrange(min(4, len(raw) - 1), len(raw))] = rng.randrange(256)
            nals.append(bytes(raw))
        return replace(unit, nals=tuple(nals))

    return replace(
        made, units=tuple(harmed(one) if n in units else one for n, one in enumerate(made.units))
    )


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_damaged_pictures_do_not_end_it(tmp_path: Path, codec: str) -> None:
    made = spoilt(film(codec), {5, 6, 30, 31, 32}, random.Random(3))
    path, copy = burned(tmp_path, [made])
    found = shown(path)
    assert FRAMES - 10 <= len(found) == copy.counts.made
    assert read_time(found[-1][1], WALL_US + 2_960_000) == (WALL_US + 2_960_000) // 1_000_000


def test_pictures_that_are_none_are_counted(tmp_path: Path) -> None:
    made = film()
    gone = replace(made, units=tuple(
        replace(one, nals=(b"\x41\xff\xff",)) if n in {7, 8, 9} else one
        for n, one in enumerate(made.units)
    ))  # fmt: skip
    path, copy = burned(tmp_path, [gone])
    lost = copy.counts.taken - copy.counts.made
    assert lost > 0
    assert f"{lost} of {FRAMES} pictures could not be decoded".encode() in path.read_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_an_export_or_one_error(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    made = spoilt(film("h265" if seed % 2 else "h264", frames=40), set(range(40)), rng)
    if seed > 1:
        noise = replace(made.config, config=made.config.config[:30] + rng.randbytes(30))
        made = replace(made, config=noise)
    try:
        burned(tmp_path, [made])
    except NvrError as err:
        assert err.code == "export.undecodable"  # noqa: PT017 - either is right
    assert not [name for name in os.listdir(tmp_path) if name != "a.mp4"]


@pytest.mark.parametrize(
    ("word", "how"),
    [
        ("crash", "signal 11"),
        ("hang", "it hung"),
        ("text", "nonsense"),
        ("again", "nonsense"),
        ("future", "nonsense"),
        ("empty", "nonsense"),
        ("begun", "nonsense"),
        ("nothing", "none of its pictures"),
    ],
)
def test_a_decoder_that_a_stream_got_the_better_of_is_one_error(
    tmp_path: Path, word: str, how: str
) -> None:
    look = replace(LOOK, lines=(word,))
    with pytest.raises(NvrError, match=r"export\.undecodable") as failed:
        burned(tmp_path, [film()], look, program="tests.export.planted_burner", answer_cpu_s=1.0)
    assert how in failed.value.detail
    assert os.listdir(tmp_path) == ["a.mp4"], "nothing waits any more"


def test_parameter_sets_that_are_none_are_one_error_too(tmp_path: Path) -> None:
    with pytest.raises(NvrError, match=r"export\.undecodable.*nonsense"):
        burned(tmp_path, [film("h265")], program="tests.export.planted_burner")


def test_a_caption_that_was_changed_is_the_old_one_before_and_the_new_one_after(
    tmp_path: Path,
) -> None:
    other = replace(LOOK, lines=("东门街", "{time}"), mode="inverse")
    turn_us = WALL_US + 1_500_000
    path, _ = burned(tmp_path, [film()], lambda at_us: LOOK if at_us < turn_us else other)
    looks = np.stack([mask(WALL_US // 1_000_000, one) for one in (LOOK, other)]).astype(int)
    telling = np.ptp(looks, axis=0) > 100
    seen = [
        int(np.abs(looks[:, telling] - luma[telling].astype(int)).mean(axis=1).argmin())
        for _, luma in shown(path)
    ]
    assert seen == sorted(seen)
    assert abs(seen.index(1) - 37) <= 1


def test_one_that_is_given_up_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    copy = Burned((film().config,), pieces([film()]), lambda _: LOOK, tmp_path)
    steps = copy.write(lambda _: ORIGIN, WALL_US, WALL_US + 3_000_000)
    next(steps)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    assert children.read_text().split()
    steps.close()
    assert not children.read_text().split()
    assert os.listdir(tmp_path) == []


def test_a_picture_of_odd_or_no_size(tmp_path: Path) -> None:
    made = film()
    odd = replace(made, config=replace(made.config, width_px=481, height_px=273))
    path, _ = burned(tmp_path, [odd])
    assert shown(path)[0][1].shape == (272, 480)
    none = replace(made, config=replace(made.config, width_px=0, height_px=1))
    with pytest.raises(NvrError, match=r"export\.undecodable"):
        burned(tmp_path, [none])
