"""What serving costs: our RTSP server against gst-rtsp-server, relaying the same camera.

Both pull one camera and give it to all readers; the pull (and for ours the recording, the page and
everything else of `nvr run`) is in the figure. *Batched* is ours as shipped: readers get a tick of
80 ms at once. *Prompt* sends each picture as soon as it is whole, with the sound since the last
one. Every reader checks that it got the stream whole: bytes, sequence numbers and, of ours, each
picture's time.

*GB* is a program stream over TCP, as platforms of GB/T 28181 take it, each with its own SSRC;
against RTSP of the same process (`gb_desk`), which has neither a recorder nor a page to pay for.

*HLS* are players over TLS that fetch each part as soon as it is there, or whole segments. The page
has no plain HTTP, so what is alike is RTSPS. A player by parts asks four times a second; of the
recorder's samples then 59 % were in the interpreter, 13 % in TLS and 12 % in the kernel.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench.camera import Cameras, asked, cameras, line_program, reader_program
from tests.bench.figures import (
    ROOT,
    Window,
    arguments,
    at_least,
    at_most,
    interleaved,
    median,
    report,
    spread,
)
from tests.bench.recorder import Page, recorder, scratch

WARM_S = 6
PACKETS_PER_S = 377 + 47  # of the bench's camera: content.py at 1400 bytes a packet
GB_PACKETS_PER_S = PACKETS_PER_S - 20  # pictures fill their packets

HLS_WARM_S = 12
HLS_READERS = 50

HLS_OVER_RTSP = at_most(2, "no demuxer and no Python per picture, but a request for each piece")
RATIO_BATCHED = at_least(3.5, "one write a reader and tick instead of one a packet")
RATIO_PROMPT = at_least(2, "without a tick: one write a reader and access unit")
GB = at_most(2, "the same bytes, packed once for all, with an SSRC put into each packet")
WHOLE = at_most(0, "a reader that keeps up gets every packet")


@dataclass(frozen=True, slots=True)
class Cost:
    """One round of one server.

    Attributes:
        cpu_s_per_reader_h: CPU seconds per reader and hour.
        least_mbps: What the worst served reader got, Mbit/s.
        broken: Sequence gaps, missing pictures and closed readers, of all readers.
    """

    cpu_s_per_reader_h: float
    least_mbps: float
    broken: int


def measured(
    pid: int, port: int, path: str, readers: int, seconds: float, *, kind: str, login: list[str]
) -> Cost:
    """Measure one server with its readers for `seconds`."""
    command = [reader_program(), port, path, readers, kind, *login]
    with line_program(command, "ready") as (process, _):
        # GStreamer stamps packets by its own clock, so only ours promises 40 ms between pictures.
        return window_of(pid, process, readers, seconds, jumps=bool(login))


def window_of(
    pid: int,
    process: subprocess.Popen[str],
    readers: int,
    seconds: float,
    *,
    jumps: bool = False,
    packets_per_s: int = PACKETS_PER_S,
) -> Cost:
    """Measure one server with readers that play."""
    time.sleep(WARM_S)
    asked(process)
    window = Window([pid])
    time.sleep(seconds)
    share, elapsed = window.core_share()
    seen = asked(process)
    broken = seen["gaps"] + seen["closed"] + (seen["jumps"] if jumps else 0)
    if seen["least_packets"] < (elapsed - 1) * packets_per_s:
        broken += 1
    return Cost(share * 3600 / readers, seen["least_bytes"] * 8 / 1e6 / elapsed, broken)


def round_of_gst(running: Cameras, readers: int, seconds: float) -> Cost:
    """Measure gst-rtsp-server, plain: it is not asked for a log-in."""
    command = ["/usr/bin/python3", ROOT / "tests/peers/gst_relay.py", running.url(0)]
    with line_program(command, "port") as (process, port):
        return measured(process.pid, int(port), "/cam", readers, seconds, kind="plain", login=[])


@contextmanager
def served(running: Cameras, mode: str) -> Iterator[tuple[int, int, int, list[str]]]:
    """Run `nvr run` on one camera; yield pid, RTSP port, RTSPS port and a machine's log-in."""
    with ExitStack() as stack:
        directory = stack.enter_context(scratch())
        ours = stack.enter_context(recorder([running.url(0)], directory, rtsp_mode=mode))
        page = Page(ours.page_port, ours.claim)
        stack.callback(page.close)
        running.wait_for(1)
        yield ours.pid, ours.rtsp_port, ours.rtsps_port, ["bench", page.machine("bench")]


def round_of_ours(running: Cameras, readers: int, seconds: float, mode: str, kind: str) -> Cost:
    """Measure `nvr run`."""
    with served(running, mode) as (pid, plain, tls, login):
        port = tls if kind == "tls" else plain
        return measured(pid, port, "/cam/c0", readers, seconds, kind=kind, login=login)


def round_of_desk(running: Cameras, readers: int, seconds: float, *, gb: bool) -> Cost:
    """Measure our RTSP server or our media desk alone."""
    desk = [sys.executable, "-m", "tests.bench.gb_desk", running.url(0)]
    with line_program(desk, "port") as (process, port):
        if not gb:
            return measured(
                process.pid, int(port), "/cam/c0", readers, seconds, kind="plain", login=[]
            )
        with line_program([reader_program(), 0, "-", readers, "gb"], "port") as (peer, there):
            assert process.stdin
            process.stdin.write(f"gb {there} {readers}\n")
            process.stdin.flush()
            assert peer.stdout
            if peer.stdout.readline().strip() != "ready":
                raise RuntimeError("the platforms were not all called")
            return window_of(process.pid, peer, readers, seconds, packets_per_s=GB_PACKETS_PER_S)


def round_of_hls(running: Cameras, readers: int, seconds: float, kind: str) -> Cost:
    """Measure `nvr run` with players of HLS, over TLS as the page is."""
    with ExitStack() as stack:
        directory = stack.enter_context(scratch())
        ours = stack.enter_context(recorder([running.url(0)], directory))
        page = Page(ours.page_port, ours.claim)
        stack.callback(page.close)
        running.wait_for(1)
        program = [sys.executable, "-m", "tests.bench.hls_reader"]
        command = [*program, ours.page_port, "c0", readers, kind, "bench", page.machine("bench")]
        process, _ = stack.enter_context(line_program(command, "ready"))
        time.sleep(HLS_WARM_S)
        asked(process)
        window = Window([ours.pid])
        time.sleep(seconds)
        share, elapsed = window.core_share()
        seen = asked(process)
        broken = seen["gaps"] + seen["closed"] + (seen["least_pieces"] == 0)
        return Cost(share * 3600 / readers, seen["least_bytes"] * 8 / 1e6 / elapsed, broken)


def main(words: list[str] | None = None) -> int:
    """Run the bench."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--readers", type=int, default=50, help="how many readers")
    parser.add_argument("--seconds", type=float, default=7, help="window of one round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server")
    chosen = parser.parse_args(words)
    readers, seconds = chosen.readers, chosen.seconds
    with cameras(1) as running:

        def ours(mode: str, kind: str) -> Cost:
            return round_of_ours(running, readers, seconds, mode, kind)

        results = interleaved(
            {
                "ours_batched": lambda: ours("batched", "plain"),
                "gst": lambda: round_of_gst(running, readers, seconds),
                "ours_prompt": lambda: ours("prompt", "plain"),
                "ours_tls": lambda: ours("batched", "tls"),
                "desk_rtsp": lambda: round_of_desk(running, readers, seconds, gb=False),
                "desk_gb": lambda: round_of_desk(running, readers, seconds, gb=True),
                "hls": lambda: round_of_hls(running, HLS_READERS, 2 * seconds, "parts"),
                "hls_segments": lambda: round_of_hls(running, HLS_READERS, 2 * seconds, "segments"),
            },
            chosen.rounds,
        )
    cpu = {name: [each.cpu_s_per_reader_h for each in costs] for name, costs in results.items()}
    middle = {name: median(values) for name, values in cpu.items()}
    figures = {
        "readers": readers,
        "ours_batched_cpu_s_per_reader_h": middle["ours_batched"],
        "ours_prompt_cpu_s_per_reader_h": middle["ours_prompt"],
        "ours_tls_cpu_s_per_reader_h": middle["ours_tls"],
        "gst_cpu_s_per_reader_h": middle["gst"],
        "ratio_gst_batched": middle["gst"] / middle["ours_batched"],
        "ratio_gst_prompt": middle["gst"] / middle["ours_prompt"],
        "hls_cpu_s_per_reader_h": middle["hls"],
        "hls_segments_cpu_s_per_reader_h": middle["hls_segments"],
        "hls_over_rtsp": middle["hls"] / middle["ours_batched"],
        "hls_over_rtsps": middle["hls"] / middle["ours_tls"],
        "hls_segments_over_rtsp": middle["hls_segments"] / middle["ours_batched"],
        "hls_segments_over_rtsps": middle["hls_segments"] / middle["ours_tls"],
        "ours_tls_over_plain": middle["ours_tls"] / middle["ours_batched"],
        "desk_rtsp_cpu_s_per_reader_h": middle["desk_rtsp"],
        "desk_gb_cpu_s_per_reader_h": middle["desk_gb"],
        "gb_over_rtsp": middle["desk_gb"] / middle["desk_rtsp"],
        "readers_per_core": int(3600 / middle["ours_batched"]),
        "least_mbps": min(each.least_mbps for costs in results.values() for each in costs),
        "broken": sum(each.broken for name in results if name != "gst" for each in results[name]),
        "gst_broken": sum(each.broken for each in results["gst"]),
    }
    limits = {
        "ratio_gst_batched": RATIO_BATCHED,
        "ratio_gst_prompt": RATIO_PROMPT,
        "gb_over_rtsp": GB,
        "hls_over_rtsp": HLS_OVER_RTSP,
        "broken": WHOLE,
    }
    notes = [f"{name}: CPU-s per reader-hour {spread(values)}" for name, values in cpu.items()]
    return report("serve", figures, limits, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
