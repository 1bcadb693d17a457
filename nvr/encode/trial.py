"""A trial of an encoder: ten pictures encoded, decoded in the sandbox, and compared.

That a driver or a library is there says little: drivers write green pictures, other sizes than
asked, or nothing at all. What passes has given back every picture, the first one a key frame, in
the size asked for, with the colours that went in. ``python -m nvr.encode.trial`` with an order on
standard input prints a verdict; a process of its own, for what is tried may crash it, or hang.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Final

import av
import msgspec
import numpy as np
from numpy.typing import NDArray

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import NvrError
from nvr.codec.encode import picture_of
from nvr.codec.sandbox import Sandbox
from nvr.encode.referee import Case, Seen
from nvr.encode.session import open_encoder
from nvr.encode.verdict import Order, Verdict
from nvr.media.encoder import AccessUnit, Encoder, Settings

PICTURES: Final = 10
SIZE: Final = (640, 360)
FPS: Final = 25
BITRATE_BPS: Final = 3_000_000
LEAST_DB: Final = 30.0
"""Of luma, on average. What works gives 38 and more here; a picture that is one too late, 22."""
LEAST_CHROMA_DB: Final = 30.0
PRESETS: Final = {
    "x264": ("veryfast", "superfast", "ultrafast"),
    "x265": ("superfast", "ultrafast"),
}
"""The slowest first."""
_COST_PICTURES: Final = 10
_COST_ROUNDS: Final = 2
"""The cheaper one counts: beside others on a busy box a processor does less in its time."""


def pictures(size: tuple[int, int], count: int) -> list[NDArray[np.uint8]]:
    """Pictures that are easy to tell apart: slopes that move, squares of every colour, some grain.

    Returns:
        yuv420p in one array each, shape ``(height * 3 / 2, width)``.
    """
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    grain = np.random.default_rng(25).integers(-4, 5, (height, width))
    made = []
    for n in range(count):
        luma = 60 + (x * 2 + y + n * 24) // 4 % 120 + np.roll(grain, n * 3, 1)
        luma[height // 3 : height // 2, (n * 20) % (width // 2) :][:, : width // 6] = 220
        half_x, half_y = np.meshgrid(np.arange(width // 2), np.arange(height // 2))
        blue = 80 + half_x * 96 // (width // 2)
        red = 80 + (half_y * 96 // (height // 2) + n * 2) % 96
        flat = np.concatenate([part.reshape(-1) for part in (luma, blue, red)])
        made.append(np.clip(flat, 16, 235).astype(np.uint8).reshape(height * 3 // 2, width))
    return made


def psnr_db(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> float:
    """Peak signal to noise of two arrays of samples, decibel; 99 if they are the same."""
    error = float(np.mean((ours.astype(np.int32) - theirs.astype(np.int32)) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def judge(want: list[NDArray[np.uint8]], units: list[AccessUnit], seen: list[Seen]) -> Verdict:
    """Compare what came back with what went in; the encoder's name is not filled in."""
    detail = _misfit(len(want), units, seen)
    if detail:
        return Verdict(encoder="", works=False, code="encoder.failed", detail=detail)
    luma, chroma = [], []
    for ours, one in zip(want, seen, strict=True):
        theirs = np.frombuffer(one.planes, np.uint8).reshape(ours.shape)
        luma.append(psnr_db(ours[: SIZE[1]], theirs[: SIZE[1]]))
        chroma.append(psnr_db(ours[SIZE[1] :], theirs[SIZE[1] :]))
    for what, found, least in (
        ("pictures", np.mean(luma), LEAST_DB),
        ("colours", np.mean(chroma), LEAST_CHROMA_DB),
    ):
        if found < least:
            detail = f"the {what} are not those that went in: {found:.0f} dB"
            return Verdict(encoder="", works=False, code="encoder.failed", detail=detail)
    return Verdict(encoder="", works=True, psnr_db=round(float(np.mean(luma)), 1))


def _misfit(  # noqa: PLR0911 - one question after the other
    count: int, units: list[AccessUnit], seen: list[Seen]
) -> str:
    """What is wrong before one looks at the pictures, empty if nothing is."""
    if not units:
        return "it gave nothing back"
    if not units[0].key:
        return "the first picture is no key frame"
    if [unit.pts_90k for unit in units] != [n * TICKS_PER_S // FPS for n in range(count)]:
        return f"{len(units)} pictures came back of {count}, or with other times"
    if len(seen) != count:
        return f"{len(seen)} of {count} pictures can be decoded"
    sizes, forms = {one.size for one in seen}, {one.form for one in seen if not one.planes}
    if sizes != {SIZE}:
        return f"the pictures are {_by(*min(sizes))}, not {_by(*SIZE)}"
    if forms or any(one.full for one in seen):
        return f"the pictures are {', '.join(forms) or 'of full range'}, not 4:2:0 of limited range"
    return ""


def _by(width: int, height: int) -> str:
    return f"{width} x {height}"


def feed(encoder: Encoder, want: list[NDArray[np.uint8]]) -> list[AccessUnit]:
    """Encode all of it, and close."""
    units: list[AccessUnit] = []
    for n, plain in enumerate(want):
        frame = av.VideoFrame.from_ndarray(plain, "yuv420p")
        units += encoder.encode(picture_of(frame, n * TICKS_PER_S // FPS))
    return units + encoder.close()


def cost(name: str, preset: str, order: Order) -> float:
    """Processor seconds of a million pixels."""
    settings = Settings(SIZE, FPS, BITRATE_BPS, codec=order.codec, preset=preset)
    encoder = open_encoder(name, settings)
    want = pictures(SIZE, _COST_PICTURES)
    encoder.encode(picture_of(av.VideoFrame.from_ndarray(want[0], "yuv420p"), 0))
    frames = [av.VideoFrame.from_ndarray(one, "yuv420p") for one in want]
    spent_s = []
    for round_ in range(_COST_ROUNDS):
        begun_s = time.process_time()
        for n, frame in enumerate(frames, 1 + round_ * len(frames)):
            encoder.encode(picture_of(frame, n * TICKS_PER_S // FPS))
        spent_s.append(time.process_time() - begun_s)
    encoder.close()
    return min(spent_s) / (len(frames) * SIZE[0] * SIZE[1] / 1e6)


def hold(order: Order, sandbox: Callable[[], Sandbox]) -> Verdict:
    """Try an encoder."""
    begun_s = time.monotonic()
    settings = Settings(SIZE, FPS, BITRATE_BPS, codec=order.codec)
    want = pictures(SIZE, PICTURES)
    try:
        units = feed(open_encoder(order.encoder, settings), want)
        with sandbox() as referee:
            case = Case(order.codec, [unit.annex_b() for unit in units])
            answer = referee.ask(msgspec.msgpack.encode(case))
        found = judge(want, units, msgspec.msgpack.decode(answer, type=list[Seen]))
        presets = PRESETS.get(order.encoder, ()) if found.works else ()
        costs = {preset: round(cost(order.encoder, preset, order), 5) for preset in presets}
    except NvrError as err:
        found, costs = Verdict(encoder="", works=False, code=err.code, detail=err.detail), {}
    return msgspec.structs.replace(
        found,
        encoder=order.encoder,
        codec=order.codec,
        costs=costs,
        took_s=round(time.monotonic() - begun_s, 2),
    )


def main() -> int:
    """Hold the trial that standard input orders."""
    out = os.dup(1)
    os.dup2(2, 1)  # what drivers print is no verdict
    av.logging.set_level(av.logging.PANIC)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    found = hold(order, lambda: Sandbox("nvr.encode.referee"))
    os.write(out, msgspec.json.encode(found) + b"\n")
    return 0


if __name__ == "__main__":
    CODE = main()
    os._exit(CODE)  # not through the destructors of a driver
