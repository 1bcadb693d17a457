"""What a caption costs a 1080p picture, against ffmpeg's drawtext; and what the dome costs a core.

``python -m tests.bench.picture --json``. The peer draws the same three lines, outlined, from the
same font; what it costs is the difference to the same run without them.
"""

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from pylopdf_fonts_zh_cn import sans_path

from nvr.overlay.burn import Burner, planes_of
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font
from nvr.sim import launch
from nvr.wire import pelco_d
from tests.bench.figures import (
    Window,
    arguments,
    at_least,
    at_most,
    interleaved,
    median,
    report,
    spread,
)

SIZE = (1920, 1080)
LINES = ("临江路与东门街路口 向南", "01 号机 · 东门站", "2026-11-23 星期一 14:32:07 +08:00")
LIMITS = {
    "burn_1080p_us": at_most(200, "a caption must vanish beside 6-20 ms of encoding"),
    "ratio_drawtext": at_least(4, "0.6-1.1 ms a picture is what drawtext was measured at"),
    "dome_still_pct": at_most(35, "the simulator must leave the machine to the recorder"),
    "dome_turning_pct": at_most(50, "the same; turning heads are rare"),
    "dome_unwatched_pct": at_most(2, "nobody looks: nothing to do"),
}


def burned_us(caption: Caption, pictures: int, step_us: int) -> float:
    """CPU microseconds of burning `caption` into one 1080p picture."""
    frame = av.VideoFrame(*SIZE, "yuv420p")
    for plane in frame.planes:
        memoryview(plane)[:] = bytes(plane.buffer_size)
    planes = planes_of(frame)
    burner = Burner(Font(), SIZE)
    burner.set(caption)
    burner.burn(planes, 0)
    began_s = time.thread_time()
    for i in range(pictures):
        burner.burn(planes, i * step_us)
    return (time.thread_time() - began_s) / pictures * 1e6


def drawtext_us(pictures: int) -> float:
    """CPU microseconds of ffmpeg's drawtext for the same."""
    texts = [
        f"drawtext=fontfile={sans_path()}:text='{line.replace(':', chr(92) + ':')}':x=40"
        f":y={860 + 60 * i}:fontsize=45:fontcolor=white:borderw=4:bordercolor=black"
        for i, line in enumerate(LINES)
    ]
    source = f"color=gray:size={SIZE[0]}x{SIZE[1]}:rate=25,format=yuv420p"
    spent_s = []
    for chain in (source, ",".join([source, *texts])):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["ffmpeg", "-v", "error", "-filter_threads", "1", "-f", "lavfi", "-i", chain]
        command += ["-frames:v", str(pictures), "-f", "null", "-"]
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        spent_s.append(used_s)
    return (spent_s[1] - spent_s[0]) / pictures * 1e6


def dome_shares(seconds: float) -> dict[str, float]:
    """Percent of a core that the dome's process takes, at 1280x720 and 25 pictures a second."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="dome-") as name:
        directory = Path(name)
        url = launch.ensure_running(directory, port)
        pid = launch.running(directory) or 0
        line = os.open(directory / "dome0", os.O_RDWR | os.O_NOCTTY)
        shares = {}
        try:
            time.sleep(0.5)
            window = Window([pid])
            time.sleep(seconds)
            shares["dome_unwatched_pct"] = window.core_share()[0] * 100
            options = {"rtsp_transport": "tcp", "probesize": "32768", "fpsprobesize": "0"}
            with av.open(url, options=options, timeout=10.0) as container:
                packets = container.demux(video=0)
                for state, pan in (("still", 0), ("turning", 32)):
                    os.write(line, pelco_d.motion(1, pan=pan).encode())
                    window, until_s = Window([pid]), time.monotonic() + seconds
                    while time.monotonic() < until_s:
                        next(packets)
                    shares[f"dome_{state}_pct"] = window.core_share()[0] * 100
        finally:
            os.close(line)
            launch.stop(directory)
    return shares


def main() -> int:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=5, help="of each contender, interleaved")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each state of the dome")
    chosen = parser.parse_args()
    still = Caption(LINES, (20, 800), 42)
    ticking = Caption((*LINES[:2], "{time}"), (20, 800), 42)
    contenders = {
        "burn": lambda: burned_us(still, 600, 40_000),
        "clock": lambda: burned_us(ticking, 60, 1_000_000),
    }
    if shutil.which("ffmpeg"):
        contenders["drawtext"] = lambda: drawtext_us(300)
    found = interleaved(contenders, chosen.rounds)
    figures: dict[str, float | None] = {
        "burn_1080p_us": median(found["burn"]),
        "burn_clock_change_us": median(found["clock"]),
        "drawtext_us": median(found["drawtext"]) if "drawtext" in found else None,
        **dome_shares(chosen.seconds),
    }
    peer = figures["drawtext_us"]
    figures["ratio_drawtext"] = peer / (figures["burn_1080p_us"] or 1) if peer else None
    limits = {key: limit for key, limit in LIMITS.items() if peer or key != "ratio_drawtext"}
    notes = [f"{name}: {spread(values)} us" for name, values in found.items()]
    return report("picture", figures, limits, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
