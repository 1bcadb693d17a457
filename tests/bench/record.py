"""What recording costs: ours, ``ffmpeg -c copy`` segmenting, and a floor in C.

All three record the same cameras of one simulator in turns, A B C A B C. CPU is the process CPU
clock of a whole family of processes over a window after a warm-up, divided by streams. Kernel
write-back threads are left out for everyone; loopback charges the receive side of TCP to the
simulator, for everyone too.

The floor writes to files that are zeroed before it begins. Ours zeroes its volume block by block on
the first lap and never again, so ours is measured, on a small volume, once it is on its second.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.camera import Cameras, cameras, floor_program, line_program
from tests.bench.figures import (
    Window,
    arguments,
    at_least,
    at_most,
    family,
    interleaved,
    median,
    memory,
    progress,
    report,
    spread,
)
from tests.bench.recorder import recorder, scratch
from tests.bench.stored import begun, missing

WARM_S = 10
LAP_MIB = 320
LAP_S = 90

RATIO_FFMPEG_BURSTS = at_least(8, "a box of the same money records eight times the cameras")
RATIO_FFMPEG_PACKETS = at_least(6.5, "small writes of the camera cost us receive calls too")
RATIO_FFMPEG_SEALED = at_least(5, "privacy must not cost the cameras that a box is bought for")
RATIO_UNSEALED = at_most(2, "else people would leave it off")
RATIO_FLOOR = at_most(1.6, "what RTP, MP4, index, page and Python may add to the bytes themselves")
RSS = at_most(2.5, "64 cameras beside everything else in 1 GiB")
LOST = at_most(0, "TCP loses nothing, so nothing may be missing")


@dataclass(frozen=True, slots=True)
class Cost:
    """One round of one contender.

    Attributes:
        cpu_s_per_stream_h: CPU seconds per stream and hour.
        stored_mbps: What it wrote, Mbit/s a stream.
        rss_bytes: Resident memory of all its processes.
        lost: Pictures missing or damaged in what it stored; counted for ours only.
    """

    cpu_s_per_stream_h: float
    stored_mbps: float
    rss_bytes: int
    lost: int = 0


def written(pids: list[int]) -> int:
    """Return bytes handed to write calls by processes and their descendants."""
    total = 0
    for pid in {each for root in pids for each in family(root)}:
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("wchar:"):
                total += int(line.split()[1])
    return total


def measured(pids: list[int], streams: int, seconds: float) -> Cost:
    """Measure running processes for `seconds`."""
    before = written(pids)
    window = Window(pids)
    time.sleep(seconds)
    share, elapsed = window.core_share()
    rate = (written(pids) - before) * 8 / 1e6 / elapsed
    return Cost(
        share * 3600 / max(streams, 1),
        rate / max(streams, 1),
        sum(memory(pid).rss_bytes for pid in pids),
    )


@contextmanager
def ffmpegs(running: Cameras, count: int, directory: Path) -> Iterator[list[int]]:
    """Run one ffmpeg a camera, with the recording preset of Frigate 0.14."""
    with ExitStack() as stack:
        processes = []
        for number in range(count):
            command = ["ffmpeg", "-nostdin", "-v", "error", "-avoid_negative_ts", "make_zero"]
            command += ["-fflags", "+genpts+discardcorrupt", "-rtsp_transport", "tcp"]
            command += ["-use_wallclock_as_timestamps", "1", "-i", running.url(number)]
            command += ["-f", "segment", "-segment_time", "10", "-segment_format", "mp4"]
            command += ["-reset_timestamps", "1", "-c", "copy", f"cam{number}_%03d.mp4"]
            processes.append(stack.enter_context(subprocess.Popen(command, cwd=directory)))
        try:
            yield [process.pid for process in processes]
        finally:
            for process in processes:
                process.send_signal(signal.SIGINT)


def round_of_ffmpeg(running: Cameras, count: int, seconds: float) -> Cost:
    """Measure one ffmpeg a camera."""
    with scratch() as directory, ffmpegs(running, count, directory) as pids:
        running.wait_for(count)
        time.sleep(WARM_S)
        return measured(pids, count, seconds)


def round_of_floor(running: Cameras, count: int, seconds: float) -> Cost:
    """Measure the floor."""
    with (
        scratch() as directory,
        line_program([floor_program(), running.port, count, directory], "ready") as (process, _),
    ):
        time.sleep(3)
        return measured([process.pid], count, seconds)


def round_of_ours(
    running: Cameras, count: int, seconds: float, *, sealed: bool = False, masked: bool = False
) -> Cost:
    """Measure `nvr run`, and look at every frame it stored.

    Args:
        running: The cameras.
        count: How many of them.
        seconds: Window of the round.
        sealed: On a sealed volume.
        masked: As on a processor without instructions for AES and SHA.
    """
    urls = [running.url(number) for number in range(count)]
    with scratch() as directory, maybe(masking, masked) as environment:
        volume = "seal = true" if sealed else ""
        with recorder(
            urls, directory, size_mib=LAP_MIB, volume_lines=volume, environment=environment
        ) as ours:
            running.wait_for(count)
            wait_for_second_lap(ours.data / "ring")
            time.sleep(WARM_S)
            cost = measured([ours.pid], count, seconds)
        running.wait_for(0)
        return replace(cost, lost=missing(ours.data / "ring", count, seconds))


@contextmanager
def maybe(make: Callable[[], AbstractContextManager[dict[str, str]]], wanted: bool):
    """Enter what `make` makes, or nothing."""
    if not wanted:
        yield {}
        return
    with make() as made:
        yield made


@contextmanager
def masking() -> Iterator[dict[str, str]]:
    """Yield the environment in which OpenSSL and our extension know no AES and SHA instructions.

    AES-NI, PCLMULQDQ, AVX-512, SHA, VAES and VPCLMULQDQ are masked for OpenSSL; the extension is
    told by a module that every Python loads first.
    """
    with tempfile.TemporaryDirectory() as directory:
        code = "from nvr import _native\n_native.sha256_fast = lambda: False\n"
        (Path(directory) / "sitecustomize.py").write_text(code)
        path = os.pathsep.join(filter(None, (directory, os.environ.get("PYTHONPATH"))))
        yield {
            "PYTHONPATH": path,
            "OPENSSL_ia32cap": "~0x200000200000000:~0x0000060020030000:~0x600",
        }


def wait_for_second_lap(ring: Path) -> None:
    """Wait until something was recorded in every block.

    Raises:
        TimeoutError: That took too long.
    """
    until_s = time.monotonic() + LAP_S
    left = set(ring.glob("block-*.mp4"))
    while left := {block for block in left if not begun(block)}:
        if time.monotonic() > until_s:
            raise TimeoutError(f"{len(left)} blocks are unused after {LAP_S} s")
        time.sleep(1)


def rss_without_cameras(seconds: float) -> int:
    """Return the resident bytes of `nvr run` with no camera, as long after its start."""
    with scratch() as directory, recorder([], directory) as ours:
        time.sleep(WARM_S + seconds)
        return memory(ours.pid).rss_bytes


def of_sealing(count: int, seconds: float, rounds: int, *, as_json: bool) -> int:
    """Measure what sealing and signing cost."""
    with cameras(count, packets=False) as running:
        results = interleaved(
            {
                "sealed": lambda: round_of_ours(running, count, seconds, sealed=True),
                "unsealed": lambda: round_of_ours(running, count, seconds),
                "masked": lambda: round_of_ours(running, count, seconds, sealed=True, masked=True),
                "ffmpeg": lambda: round_of_ffmpeg(running, count, seconds),
            },
            rounds,
        )
    cpu = {name: [each.cpu_s_per_stream_h for each in costs] for name, costs in results.items()}
    middle = {name: median(values) for name, values in cpu.items()}
    figures = {
        "cameras": count,
        **{f"{name}_cpu_s_per_stream_h": value for name, value in middle.items()},
        "ratio_unsealed": middle["sealed"] / middle["unsealed"],
        "ratio_unsealed_masked": middle["masked"] / middle["unsealed"],
        "ratio_ffmpeg": middle["ffmpeg"] / middle["sealed"],
        "ratio_ffmpeg_masked": middle["ffmpeg"] / middle["masked"],
        "lost_packets": sum(
            each.lost for name in ("sealed", "unsealed", "masked") for each in results[name]
        ),
    }
    notes = [f"{name}: CPU-s per stream-hour {spread(values)}" for name, values in cpu.items()]
    limits = {
        "ratio_unsealed": RATIO_UNSEALED,
        "ratio_ffmpeg": RATIO_FFMPEG_SEALED,
        "lost_packets": LOST,
    }
    return report("record.sealed", figures, limits, as_json=as_json, notes=notes)


def main(words: list[str] | None = None) -> int:
    """Run the bench."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--cameras", type=int, default=16, help="how many cameras")
    parser.add_argument("--seconds", type=float, default=10, help="window of one round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contender")
    parser.add_argument(
        "--sealed", action="store_true", help="sealed beside unsealed, without the floor"
    )
    parser.add_argument(
        "--packets", action="store_true", help="cameras write packet by packet, not frame by frame"
    )
    chosen = parser.parse_args(words)
    count, seconds = chosen.cameras, chosen.seconds
    if chosen.sealed:
        return of_sealing(count, seconds, chosen.rounds, as_json=chosen.json)
    with cameras(count, packets=chosen.packets) as running:
        results = interleaved(
            {
                "ours": lambda: round_of_ours(running, count, seconds),
                "ffmpeg": lambda: round_of_ffmpeg(running, count, seconds),
                "floor": lambda: round_of_floor(running, count, seconds),
            },
            chosen.rounds,
        )
        dropped = running.counters()["dropped_units"]
    progress("ours without a camera, for its memory")
    empty = rss_without_cameras(seconds)
    cpu = {name: [each.cpu_s_per_stream_h for each in costs] for name, costs in results.items()}
    middle = {name: median(values) for name, values in cpu.items()}
    rss = median(each.rss_bytes for each in results["ours"])
    figures = {
        "cameras": count,
        "ours_cpu_s_per_stream_h": middle["ours"],
        "ffmpeg_cpu_s_per_stream_h": middle["ffmpeg"],
        "floor_cpu_s_per_stream_h": middle["floor"],
        "ratio_ffmpeg": middle["ffmpeg"] / middle["ours"],
        "ratio_floor": middle["ours"] / middle["floor"],
        "rss_mb_per_camera": (rss - empty) / count / 1e6,
        "rss_mb_without_cameras": empty / 1e6,
        "lost_packets": sum(each.lost for each in results["ours"]),
        "ours_stored_mbps": median(each.stored_mbps for each in results["ours"]),
        "ffmpeg_stored_mbps": median(each.stored_mbps for each in results["ffmpeg"]),
        "floor_stored_mbps": median(each.stored_mbps for each in results["floor"]),
    }
    notes = [f"{name}: CPU-s per stream-hour {spread(values)}" for name, values in cpu.items()]
    notes.append(f"units the simulator had to drop for anyone: {dropped}")
    limits = {
        "ratio_ffmpeg": RATIO_FFMPEG_PACKETS if chosen.packets else RATIO_FFMPEG_BURSTS,
        "ratio_floor": RATIO_FLOOR,
        "rss_mb_per_camera": RSS,
        "lost_packets": LOST,
    }
    name = "record.packets" if chosen.packets else "record"
    return report(name, figures, limits, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
