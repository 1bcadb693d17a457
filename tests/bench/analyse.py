"""What looking at pictures costs: a sub stream, and key frames of a main stream; beside motion.

Both are the simulated street with its traffic and the noise of a sensor, coded as cameras do, and
go through the analyst and its sandbox as parts, as in the recorder: what is counted is the CPU time
of the analyst's thread and of the sandbox, over laps of the film after the first one. Debian's
`motion` runs on the main stream as people run it, from a file of the same pictures; without it the
ratio is said to be missing (``apt install motion``). What libav alone takes for the same key frames
is beside it: with 100 kB of CABAC in each that is nearly all, and no option of its decoder makes it
less (no IDCT, no chroma, ``fast``: none gains 2 %; the loop filter, 17 %, is left out already).
"""

import functools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from nvr.analyse.eye import opened
from nvr.analyse.gaze import Aim, Found
from nvr.analyse.grid import WHOLE, Zone
from nvr.analyse.tap import units
from nvr.analyse.worker import EVERY_S, Analyst
from nvr.base.clock import SystemClock
from nvr.codec.encode import Encoder, picture_of
from nvr.media.encoder import Settings
from nvr.media.part import Part
from nvr.media.track import TrackConfig
from nvr.sim.camera import Camera
from nvr.wire import h264
from tests.analyse.film import luma_of, noises
from tests.analyse.part import part
from tests.bench.figures import Window, arguments, at_least, at_most, report

SUB = at_most(25, "16 cameras are a tenth of a core of a small board, then")
KEYS = at_most(15, "a camera without a sub stream must not cost more than one with it")
RATIO = at_least(10, "or nobody would leave motion for it")
LIMITS = {"sub_cpu_s_per_stream_h": SUB, "key_cpu_s_per_stream_h": KEYS, "ratio_motion": RATIO}
SECONDS = 12
NOISE = 1.5
MAIN = (1920, 1080)
A_LOOK = round(EVERY_S / 0.5)
"""Parts of half a second that have come when the analyst looks, once a second."""


def pictures(size: tuple[int, int], fps: int, seconds: float) -> Iterator[av.VideoFrame]:
    """Yield the street with its traffic, and noise."""
    camera = Camera(size, 0.0)
    frame = av.VideoFrame(*size, "yuv420p")
    fields = noises((size[1], size[0]))
    for n in range(int(fps * seconds)):
        camera.paint(frame, 20 + n / fps, 1_700_000_000_000_000 + n * 1_000_000 // fps)
        luma = luma_of(frame) + fields[n % len(fields)] * NOISE
        plane = frame.planes[0]
        padded = np.zeros((size[1], plane.line_size), np.uint8)
        padded[:, : size[0]] = np.clip(luma, 16, 235)
        plane.update(padded.tobytes())
        yield frame


@functools.cache
def film(size: tuple[int, int], fps: int, bitrate_bps: int, stream: str) -> tuple[Part, ...]:
    """The film as parts of half a second."""
    encoder = Encoder(Settings(size, fps, bitrate_bps))
    config = (TrackConfig("video", "h264", 90_000, h264.avcc(list(encoder.parameter_sets)), *size),)
    units = []
    for n, frame in enumerate(pictures(size, fps, SECONDS)):
        for unit in encoder.encode(picture_of(frame, n * 90_000 // fps)):
            nals = [one for one in unit.nals if h264.nal_type(one) not in {h264.SPS, h264.PPS}]
            data = b"".join(len(one).to_bytes(4, "big") + one for one in nals)
            units.append((data, unit.pts_90k, unit.key))
    half = fps // 2
    return tuple(
        part(stream, config, units[n : n + half], 90_000 // fps) for n in range(0, len(units), half)
    )


def moved(one: Part, lap: int) -> Part:
    """A part of a later lap of the film."""
    by_90k = lap * SECONDS * 90_000
    fields = {name: getattr(one, name) for name in Part.__slots__}
    head = one.moof
    at = head.index(b"tfdt") + 8
    moof = head[:at] + (one.start_90k + by_90k).to_bytes(8, "big") + head[at + 8 :]
    return Part(**{**fields, "moof": moof, "start_90k": one.start_90k + by_90k})


def cost(parts: tuple[Part, ...], stream: str, laps: int) -> tuple[float, int, int]:
    """Return CPU seconds a stream and hour, pictures looked at, and events."""
    found: list[Found] = []
    analyst = Analyst(SystemClock(), found.append)
    analyst.start()
    try:
        analyst.aim("bench", Aim("bench", (stream,), (Zone("", WHOLE),)))
        _wait(lambda: "bench" in analyst._gazes)
        gaze = analyst._gazes["bench"]

        def play(lap: int) -> None:
            for n in range(0, len(parts), A_LOOK):
                analyst.tap([moved(one, lap) for one in parts[n : n + A_LOOK]])
                analyst._wake.set()  # not in real time
                _wait(lambda: not gaze.taps[stream].waiting())

        play(0)
        _wait(lambda: gaze.now.pictures)
        sandbox = analyst._sandbox
        assert sandbox is not None
        thread = analyst._thread
        assert thread is not None
        clocks = (time.pthread_getcpuclockid(thread.ident), ~sandbox.pid << 3 | 2)
        before = _spent(clocks), gaze.now.pictures
        for lap in range(1, 1 + laps):
            play(lap)
        _wait(lambda: not gaze.taps[stream].waiting())
        time.sleep(1.0)
        spent_s = _spent(clocks) - before[0]
        return spent_s * 3600 / (laps * SECONDS), gaze.now.pictures - before[1], len(found)
    finally:
        analyst.stop()


def decoding_alone(parts: tuple[Part, ...], laps: int) -> float:
    """CPU seconds a stream and hour that libav takes for the key frames, and nothing else."""
    keys = [units(one, key_only=True)[0][0] for one in parts if one.key]
    decoder = opened("h264", parts[0].config[0].config)
    spent_s = 0.0
    for lap in range(laps + 1):
        begun_s = time.thread_time()
        for data in keys:
            assert decoder.decode(av.Packet(data)) + decoder.decode(None)
            decoder.flush_buffers()
        spent_s += (time.thread_time() - begun_s) * (lap > 0)
    return spent_s * 3600 / (laps * SECONDS)


def _spent(clocks: tuple[int, int]) -> float:
    return sum(map(time.clock_gettime, clocks))


def _wait(holds) -> None:
    end_s = time.monotonic() + 120
    while not holds():
        if time.monotonic() > end_s:
            raise TimeoutError("the analyst does not keep up")
        time.sleep(0.005)


def motion_cost(seconds: float) -> float | None:
    """CPU seconds a stream and hour of Debian's motion on the main stream, None without it."""
    program = shutil.which("motion")
    if program is None or shutil.which("ffmpeg") is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        with av.open(str(path / "main.mp4"), "w") as out:
            stream = out.add_stream("libx264", 25, options={"preset": "superfast", "g": "50"})
            stream.width, stream.height, stream.pix_fmt = *MAIN, "yuv420p"
            stream.bit_rate = 4_000_000
            for n, frame in enumerate(pictures(MAIN, 25, SECONDS)):
                frame.pts = n
                for packet in stream.encode(frame):
                    out.mux(packet)
            for packet in stream.encode(None):
                out.mux(packet)
        (path / "motion.conf").write_text(
            f"daemon off\nlog_level 3\nnetcam_url file://{path}/main.mp4\nwidth {MAIN[0]}\n"
            f"height {MAIN[1]}\nframerate 25\ntarget_dir {path}\npicture_output off\n"
            "movie_output on\nmovie_passthrough on\nstream_port 0\nwebcontrol_port 0\n"
        )
        with subprocess.Popen(
            [program, "-n", "-c", path / "motion.conf"], stderr=subprocess.DEVNULL, cwd=path
        ) as process:
            try:
                time.sleep(5)
                window = Window([process.pid])
                time.sleep(min(seconds, SECONDS - 7))
                share, _ = window.core_share()
                return share * 3600
            finally:
                process.terminate()


def main(words: list[str]) -> int:
    """Measure, and say it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--laps", type=int, default=4, help="of the film of 12 s")
    chosen = parser.parse_args(words)
    sub = film((640, 360), 10, 400_000, "bench/sub")
    main_parts = film(MAIN, 10, 3_000_000, "bench/main")
    keys = [len(units(one, key_only=True)[0][0]) for one in main_parts if one.key]
    notes = [
        "main stream coded at 10 pictures a second: only its key frames, one in 2 s, are taken",
        f"key frames have {sum(keys) // len(keys) // 1000} kB",
    ]
    sub_h, sub_pictures, sub_found = cost(sub, "bench/sub", chosen.laps)
    key_h, key_pictures, key_found = cost(main_parts, "bench/main", 2 * chosen.laps)
    alone_h = decoding_alone(main_parts, 2 * chosen.laps)
    theirs = motion_cost(10)
    if theirs is None:
        notes.append("motion is not installed: the ratio needs `apt install motion`")
    figures = {
        "sub_cpu_s_per_stream_h": round(sub_h, 2),
        "key_cpu_s_per_stream_h": round(key_h, 2),
        "key_decoding_alone_cpu_s_per_stream_h": round(alone_h, 2),
        "sub_pictures": sub_pictures,
        "key_pictures": key_pictures,
        "events": sub_found + key_found,
        "motion_cpu_s_per_stream_h": None if theirs is None else round(theirs, 1),
        "ratio_motion": None if theirs is None else round(theirs / sub_h, 1),
    }
    limits = LIMITS if theirs is not None else {k: v for k, v in LIMITS.items() if "ratio" not in k}
    return report("analyse", figures, limits, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
