"""A trial passes what gives back what went in, and nothing else."""

from dataclasses import replace

import av
import msgspec
import numpy as np
import pytest

from nvr.codec.encode import picture_of
from nvr.codec.sandbox import Sandbox
from nvr.encode import trial
from nvr.encode.referee import Case, Seen, decode
from nvr.encode.session import open_encoder
from nvr.encode.trial import PICTURES, SIZE, feed, hold, judge, pictures
from nvr.encode.verdict import Order
from nvr.media.encoder import AccessUnit, Settings

SETTINGS = Settings(SIZE, trial.FPS, trial.BITRATE_BPS)


def made(want, settings=SETTINGS) -> list[AccessUnit]:
    return feed(open_encoder("x264", settings), want)


def verdict(units: list[AccessUnit]):
    seen = decode(Case("h264", [unit.annex_b() for unit in units]))
    return judge(pictures(SIZE, PICTURES), units, seen)


def test_what_works_passes_in_the_sandbox(monkeypatch) -> None:
    monkeypatch.setattr(trial, "PRESETS", {"x264": ("superfast", "ultrafast")})
    found = hold(Order("x264"), lambda: Sandbox("nvr.encode.referee"))
    assert found.works, found
    assert found.psnr_db > 35
    slow, fast = found.costs.values()
    assert slow > fast > 0


def test_green_pictures_are_seen() -> None:
    want = pictures(SIZE, PICTURES)
    green = [np.where(np.arange(len(one))[:, None] >= SIZE[1], 0, one) for one in want]
    found = verdict(made([one.astype(np.uint8) for one in green]))
    assert "the colours are not those" in found.detail


def test_pictures_that_come_one_too_late_are_seen() -> None:
    want = pictures(SIZE, PICTURES)
    found = verdict(made([want[0], *want[:-1]]))
    assert "the pictures are not those" in found.detail


def test_blue_and_red_in_each_others_place_are_seen() -> None:
    want = []
    for one in pictures(SIZE, PICTURES):
        half = (len(one) - SIZE[1]) // 2
        want.append(np.concatenate((one[: SIZE[1]], one[SIZE[1] + half :], one[SIZE[1] :][:half])))
    assert "the colours are not those" in verdict(made(want)).detail


@pytest.mark.parametrize(
    ("bent", "said"),
    [
        (lambda _: [], "gave nothing back"),
        (lambda units: units[1:], "no key frame"),
        (lambda units: units[:-1], "9 pictures came back of 10"),
        (lambda units: [replace(unit, pts_90k=unit.pts_90k + 1) for unit in units], "other times"),
        (
            lambda units: [units[0], *(replace(unit, nals=(b"\x41xx",)) for unit in units[1:])],
            "of 10 pictures can be decoded",
        ),
    ],
)
def test_what_is_missing_or_out_of_place_is_seen(bent, said) -> None:
    assert said in verdict(bent(made(pictures(SIZE, PICTURES)))).detail


def test_another_size_is_seen() -> None:
    small = pictures((320, 180), PICTURES)
    found = verdict(made(small, replace(SETTINGS, size=(320, 180))))
    assert found.detail == "the pictures are 320 x 180, not 640 x 360"


def test_full_range_is_seen() -> None:
    units = made(pictures(SIZE, PICTURES))
    seen = [msgspec.structs.replace(one, full=True) for one in decoded(units)]
    assert "full range" in judge(pictures(SIZE, PICTURES), units, seen).detail


def decoded(units: list[AccessUnit]) -> list[Seen]:
    return decode(Case("h264", [unit.annex_b() for unit in units]))


def test_a_stream_that_breaks_the_decoder_is_a_verdict() -> None:
    class Breaks:
        def ask(self, _message):
            with Sandbox("tests.codec.planted") as box:
                return box.ask(b"crash")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    found = hold(Order("x264"), Breaks)
    assert (found.works, found.code) == (False, "sandbox.died")


def test_what_is_not_there_is_a_verdict_with_its_reason() -> None:
    found = hold(Order("nvenc"), lambda: Sandbox("nvr.encode.referee"))
    assert (found.encoder, found.works, found.code) == ("nvenc", False, "encoder.refused")
    assert found.detail


def test_the_pictures_are_easy_to_tell_apart() -> None:
    first, second = (
        picture_of(av.VideoFrame.from_ndarray(one, "yuv420p"), 0) for one in pictures(SIZE, 2)
    )
    ours, theirs = (np.frombuffer(one.planes.y, np.uint8) for one in (first, second))
    assert trial.psnr_db(ours, theirs) < trial.LEAST_DB - 5
