"""How long a host waits for the first picture after it asked for a time: ONVIF's replay over RTSP.

Against the shipped `nvr run`, which records four cameras meanwhile. Each seek is a PLAY at a random
time of what is recorded, on a connection that plays already: from the first byte of the request to
the last of the first picture of its answer. ``paced`` is at the recorder's pace, ``fast`` as fast
as the peer takes it (what was on its way before has to be taken first), ``back`` backwards, ``new``
with a connection, log-in and description before it. What is recorded is young here; how the archive
finds a time on a disk of 20 TB is measured by `tests.bench.index`.
"""

import asyncio
import random
import sys
import time
from contextlib import AbstractAsyncContextManager

from nvr.wire.rtsp_replay import stamp
from tests.bench.camera import cameras
from tests.bench.figures import Figure, arguments, at_most, progress, report
from tests.bench.recorder import Page, Recorder, recorder, scratch
from tests.serve.replayer import Replayer, Unit, replayer

CAMERAS = 4
RIGHTS = ["live", "playback", "unmasked"]
LIMITS = {
    f"{name}_p99_ms": at_most(300, "an operator who drags a timeline sees where he is")
    for name in ("paced", "fast", "back", "new")
}
WAYS: dict[str, dict[str, str]] = {
    "paced": {},
    "fast": {"Rate_Control": "no"},
    "back": {"Scale": "-1"},
}


async def first_picture_ms(peer: Replayer, at_us: int, said: dict[str, str]) -> float:
    """Ask for a time, and wait for the first picture of it."""
    began_s = time.perf_counter()
    status, _, _ = await peer.ask("PLAY", Range=f"clock={stamp(at_us)}-", **said)
    if status != 200:
        raise RuntimeError(f"refused: {status}")
    cseq = peer.cseq & 0xFF

    def there(units: list[Unit]) -> bool:
        first = next((one for one in units if one.cseq == cseq), None)
        return first is not None and first.whole

    await peer.until(there)
    took_ms = (time.perf_counter() - began_s) * 1000
    del peer.units[:-1]  # packets of that one may still come
    return took_ms


async def opened(peer: Replayer) -> None:
    """Describe and set up the pictures."""
    way = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
    for said in (await peer.ask("DESCRIBE"), await peer.ask("SETUP", f"{peer.url}/track=0", **way)):
        if said[0] != 200:
            raise RuntimeError(f"refused: {said[0]}")


async def seeks(
    ours: Recorder, secret: str, span: tuple[int, int], count: int
) -> dict[str, list[float]]:
    """All seeks, in milliseconds, sorted."""
    rng, found = random.Random(1), dict[str, list[float]]()

    def peer() -> AbstractAsyncContextManager[Replayer]:
        return replayer(ours.rtsp_port, "rec/c0", "bench", secret)

    for name, said in WAYS.items():
        progress(name)
        async with peer() as one:
            await opened(one)
            found[name] = [
                await first_picture_ms(one, rng.randrange(*span), said) for _ in range(count)
            ]
    progress("new")
    found["new"] = []
    for _ in range(count // 2):
        began_s = time.perf_counter()
        async with peer() as one:
            await opened(one)
            await first_picture_ms(one, rng.randrange(*span), {})
        found["new"].append((time.perf_counter() - began_s) * 1000)
    return {name: sorted(times) for name, times in found.items()}


def main(words: list[str] | None = None) -> int:
    """Run the bench."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeks", type=int, default=100, help="of each kind; of `new` half")
    parser.add_argument("--seconds", type=float, default=40, help="recorded before")
    chosen = parser.parse_args(words)
    with cameras(CAMERAS) as running, scratch() as directory:
        urls = [running.url(number) for number in range(CAMERAS)]
        with recorder(urls, directory) as ours:
            page = Page(ours.page_port, ours.claim)
            running.wait_for(CAMERAS)
            time.sleep(chosen.seconds)
            made = page.call("POST", "/api/machine", {"name": "bench", "rights": {"*": RIGHTS}})
            runs = page.call("GET", f"/api/camera/c0/ranges?from_us=0&to_us={10**16}")["runs"]
            page.close()
            span = runs[0]["from_us"], runs[-1]["to_us"] - 1_000_000
            found = asyncio.run(seeks(ours, str(made["secret"]), span, chosen.seeks))
    figures: dict[str, Figure] = {"cameras": CAMERAS, "recorded_s": (span[1] - span[0]) // 10**6}
    for name, times in found.items():
        figures[f"{name}_p50_ms"] = round(times[len(times) // 2], 1)
        figures[f"{name}_p99_ms"] = round(times[len(times) * 99 // 100], 1)
    return report("seek", figures, LIMITS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
