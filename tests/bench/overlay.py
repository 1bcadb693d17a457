"""What burning a caption costs a 1080p picture, beside ffmpeg's drawtext and beside the encoding.

``python -m tests.bench.overlay --json``. One loop decodes, burns three lines (place, number, and
the time, drawn anew every second) and encodes, as a camera's pictures go: what is burned into was
written by a decoder and is cold where it matters. The peer is ffmpeg in the same loop on the same
stream with the same encoder settings, one thread, its drawtext between two ``bench`` filters; the
same lines, outlined, from the same font. It says what the wall clock says, of which the median over
pictures is taken, so that a busy machine does not count; ours is processor time and a mean, which
has the seconds in it. Six lines, in both layouts, and all eight stand beside; the bare kernel burns
the three into one picture that stays hot.
"""

import functools
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from pylopdf_fonts_zh_cn import sans_path

from nvr.codec.encode import Encoder, picture_of
from nvr.media.encoder import Settings
from nvr.overlay.burn import Burner, planes_of
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font
from tests.bench import content
from tests.bench.figures import (
    arguments,
    at_least,
    at_most,
    interleaved,
    median,
    report,
    spread,
)

SIZE = (content.FULL.width_px, content.FULL.height_px)
FPS = content.FPS
BITRATE_BPS = 4_000_000
LINES = ("临江路与东门街路口 向南", "01 号机 · 东门站", "{time}")
SIX = (
    *LINES[:2],
    "河堤步道东门岗亭",
    "限速 40 km/h 请慢行",
    "GB/T 28181 34020000001320000001",
    "{time}",
)
EIGHT = (*SIX[:5], "备用机房 二层走廊", "请勿在此停车 违者拖离", "{time}")
SAID = "2026-11-23 星期一 14:32:07 +08:00"
LIMITS = {
    "ratio_drawtext": at_least(10, "issue 4: ten times less than ffmpeg's drawtext"),
    "pct_of_encode": at_most(1, "issue 4: a caption must vanish beside the encoding"),
}
Result = dict[str, float]


def stream(directory: Path, pictures: int) -> Path:
    """Write a moving, slightly noisy H.264 stream."""
    path = directory / "camera.h264"
    with path.open("wb") as file:
        for count, nals in enumerate(content._video(content.FULL)):
            if count == pictures:
                break
            file.write(b"".join(b"\0\0\0\1" + nal for nal in nals))
    return path


def ours(path: Path, layout: str, lines: tuple[str, ...]) -> Result:
    """Decode, burn and encode; returns microseconds a picture of each step."""
    burner = Burner(Font(), SIZE)
    burner.set(Caption(lines, (20, 600), 42))
    encoder = Encoder(Settings(SIZE, FPS, BITRATE_BPS))
    burned, encoded, wall = [], [], []
    with av.open(str(path), format="h264") as container:
        container.streams.video[0].thread_count = 1
        for n, decoded in enumerate(container.decode(video=0)):
            frame = decoded if layout == "yuv420p" else decoded.reformat(format=layout, threads=1)
            frame.make_writable()
            planes = planes_of(frame)
            at_s, cpu_s = time.perf_counter(), time.thread_time()
            burner.burn(planes, n * 1_000_000 // FPS)
            wall.append(time.perf_counter() - at_s)
            burned.append(time.thread_time() - cpu_s)
            shown = frame if layout == "yuv420p" else frame.reformat(format="yuv420p", threads=1)
            cpu_s = time.thread_time()
            encoder.encode(picture_of(shown, n * 3600))
            encoded.append(time.thread_time() - cpu_s)
    # The first two seconds pay for what is kept.
    burned, encoded, wall = burned[2 * FPS :], encoded[2 * FPS :], wall[2 * FPS :]
    return {
        "wall_us": median(wall) * 1e6,
        # The mean has the time drawn anew in it, once a second.
        "cpu_us": float(np.mean(burned)) * 1e6,
        "encode_us": float(np.mean(encoded)) * 1e6,
    }


def hot_us(pictures: int) -> float:
    """CPU microseconds of the bare kernel on a picture that stays in the cache."""
    frame = av.VideoFrame(*SIZE, "yuv420p")
    burner = Burner(Font(), SIZE)
    burner.set(Caption((*LINES[:-1], SAID), (20, 600), 42))
    planes = planes_of(frame)
    burner.burn(planes, 0)
    began_s = time.thread_time()
    for _ in range(pictures):
        burner.burn(planes, 0)
    return (time.thread_time() - began_s) / pictures * 1e6


def drawtext_us(path: Path) -> float:
    """Microseconds a picture, by the wall, of ffmpeg's drawtext between decoder and encoder."""
    texts = [
        f"drawtext=fontfile={sans_path()}:text='{line.replace(':', chr(92) + ':')}':x=40"
        f":y={640 + 56 * i}:fontsize=45:fontcolor=white:borderw=4:bordercolor=black"
        for i, line in enumerate((*LINES[:-1], SAID))
    ]
    command = ["ffmpeg", "-hide_banner", "-v", "info", "-nostats", "-threads", "1"]
    command += ["-filter_threads", "1", "-f", "h264", "-i", str(path)]
    command += ["-vf", ",".join(["bench=start", *texts, "bench=stop"])]
    command += ["-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency"]
    command += ["-b:v", str(BITRATE_BPS), "-g", str(2 * FPS), "-threads", "1", "-f", "null", "-"]
    done = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    took = re.findall(r"\bt:([0-9.]+) avg:", done.stderr)
    return median([float(one) * 1e6 for one in took[1:]])


def main() -> int:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=3, help="of each contender, interleaved")
    parser.add_argument("--pictures", type=int, default=250, help="of each round")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = stream(Path(directory), chosen.pictures)
        contenders = {
            "three": functools.partial(ours, path, "yuv420p", LINES),
            "six": functools.partial(ours, path, "yuv420p", SIX),
            "six, nv12": functools.partial(ours, path, "nv12", SIX),
            "eight": functools.partial(ours, path, "yuv420p", EIGHT),
        }
        loops = interleaved(contenders, chosen.rounds)
        peers: dict[str, list[float]] = {}
        if shutil.which("ffmpeg"):
            peers = interleaved({"drawtext": lambda: drawtext_us(path)}, chosen.rounds)
        kernel = [hot_us(600) for _ in range(chosen.rounds)]
    each = {name: [one["cpu_us"] for one in found] for name, found in loops.items()}
    encode = [one["encode_us"] for found in loops.values() for one in found]
    peer = median(peers["drawtext"]) if peers else None
    figures: dict[str, float | None] = {
        "us_per_frame": median(each["three"]),
        "us_per_frame_still": median([one["wall_us"] for one in loops["three"]]),
        "us_per_frame_six": median(each["six"]),
        "us_per_frame_six_nv12": median(each["six, nv12"]),
        "us_per_frame_eight": median(each["eight"]),
        "kernel_hot_us": median(kernel),
        "encode_us": median(encode),
        "drawtext_us": peer,
        "pct_of_encode": 100 * median(each["three"]) / median(encode),
        "pct_of_encode_six": 100 * median(each["six"]) / median(encode),
        "pct_of_encode_eight": 100 * median(each["eight"]) / median(encode),
        "ratio_drawtext": peer / median(each["three"]) if peer else None,
    }
    notes = [f"{name}: {spread(values)} us" for name, values in {**each, **peers}.items()]
    notes.append(f"encode, superfast, one thread: {spread(encode)} us")
    return report("overlay", figures, LIMITS, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
