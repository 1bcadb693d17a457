"""Measures what encoding costs: by encoder, preset and size, alone and as a local camera.

CPU-s of a stream-hour: processor seconds, all threads and children, for an hour of 25 pictures a
second. The picture is the test picture of `nvr.sim.pattern`: bars, a block that moves, a sixteenth
of grain. Every encoder gets the same pictures, one after the other, faster than they would come.
"""

import asyncio
import resource
import sys
import time

from nvr.base.errors import NvrError
from nvr.codec.encode import copied, picture_of
from nvr.encode.session import open_encoder
from nvr.media.encoder import Settings
from nvr.media.film import Wish
from nvr.media.picture import Picture
from nvr.sim.pattern import Pattern
from tests.bench import figures
from tests.capture.test_film import filmed

FPS = 25
HOUR = FPS * 3600
SIZES = {"576p": (704, 576), "720p": (1280, 720), "1080p": (1920, 1080)}
BITS = {"576p": 1_500_000, "720p": 2_000_000, "1080p": 4_000_000}
RUNS = (
    ("x264", "veryfast", "h264"),
    ("x264", "superfast", "h264"),
    ("x264", "ultrafast", "h264"),
    ("x265", "ultrafast", "h265"),
    ("gst-x264", "", "h264"),
    ("gst-openh264", "", "h264"),
)
LIMITS = {
    "film_over_encoder_720p": figures.at_most(
        1.5, "capture, caption, RTP and a process of its own cost at most half of the encoder"
    ),
    "child_over_library_1080p": figures.at_most(
        1.6, "pictures go to a Jetson's encoder through a pipe: its price, on a slow copy of x264"
    ),
}


def pictures(size: tuple[int, int], count: int) -> list[Picture]:
    """Test pictures, each with memory of its own."""
    source = Pattern(f"test:{size[0]}x{size[1]}@{FPS}")
    made = []
    for n in range(count):
        frame = copied(picture_of(source.paint(n / FPS), 0).planes)
        made.append(picture_of(frame, n * 90_000 // FPS))
    return made


def spent_s() -> float:
    """Processor seconds of us and of children that are gone."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def encoded(name: str, preset: str, codec: str, size: str, shown: list[Picture]) -> float:
    """CPU-s of a stream-hour; what opening and closing costs is taken off."""
    settings = Settings(SIZES[size], FPS, BITS[size], codec=codec, preset=preset)
    costs = []
    for count in (2, len(shown)):
        begun_s = spent_s()
        encoder = open_encoder(name, settings)
        for picture in shown[:count]:
            encoder.encode(picture)
        encoder.close()
        costs.append(spent_s() - begun_s)
    return (costs[1] - costs[0]) / (len(shown) - 2) * HOUR


async def as_camera(size: str, seconds: float) -> float:
    """CPU-s of a stream-hour of the whole process that films, start not counted."""
    width, height = SIZES[size]
    wish = Wish("x264", BITS[size], preset="superfast")
    async with filmed(f"test:{width}x{height}@{FPS}", wish=wish) as it:
        first = await it.until(lambda: it.source.work, 60)
        await asyncio.sleep(seconds)
        last = it.source.work
        assert last is not None
        return (last.cpu_s - first.cpu_s) / (last.pictures - first.pictures) * HOUR


def measured(count: int, seconds: float) -> tuple[dict[str, float], list[str]]:
    """All of it."""
    found: dict[str, float] = {}
    notes: list[str] = []
    for size, pixels in SIZES.items():
        shown = pictures(pixels, count)
        for name, preset, codec in RUNS:
            figures.progress(f"{name} {preset} {size}")
            key = "_".join(filter(None, (name.replace("-", "_"), preset, size)))
            try:
                cost = encoded(name, preset, codec, size, shown)
            except NvrError as err:
                notes.append(f"{name} {size}: {err}")
            else:
                found[f"{key}_cpu_s_per_stream_h"] = round(cost, 1)
    camera = asyncio.run(as_camera("720p", seconds))
    found["film_720p_cpu_s_per_stream_h"] = round(camera, 1)
    alone = found["x264_superfast_720p_cpu_s_per_stream_h"]
    found["film_over_encoder_720p"] = round(camera / alone, 2)
    if "gst_x264_1080p_cpu_s_per_stream_h" in found:
        child = found["gst_x264_1080p_cpu_s_per_stream_h"]
        library = found["x264_superfast_1080p_cpu_s_per_stream_h"]
        found["child_over_library_1080p"] = round(child / library, 2)
    return found, notes


def main(arguments: list[str] | None = None) -> int:
    """Measure and report."""
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=50, help="of each size and encoder")
    parser.add_argument("--seconds", type=float, default=8.0, help="of the local camera")
    chosen = parser.parse_args(arguments)
    begun_s = time.monotonic()
    found, notes = measured(chosen.pictures, chosen.seconds)
    notes.append(f"took {time.monotonic() - begun_s:.0f} s; hardware encoders: untested, none here")
    return figures.report("encode", found, LIMITS, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
