"""What ONVIF costs the recorder: in its own process, as it would be, and in the worker, as it is.

One process asks the device of `tests/peers/odd_onvif.py` for its information, streams and head
with the library in it, another through the worker. Counted are memory and processor time of the
asking process, the longest time its event loop stood still, and what a question costs once all is
warm. Figures are of a process on this machine; on a small board times are several times longer.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from nvr.link.link import Link
from nvr.media import onvif_wish as wish
from nvr.media.onvif import Target
from tests.bench import figures
from tests.peers.odd_onvif import odd_device

LIMITS = {
    "worker_growth_mib": figures.at_most(8, "a recorder without ONVIF cameras must not pay"),
    "ratio_stall": figures.at_least(5, "else a process of its own is not worth its while"),
}


def rss_mib() -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


async def stalls(worst: list[float]) -> None:
    while True:
        before_s = time.perf_counter()
        await asyncio.sleep(0.005)
        worst[0] = max(worst[0], time.perf_counter() - before_s - 0.005)


async def ask(way: str, port: int) -> dict[str, float]:
    target = Target("127.0.0.1", port, "admin", "right")
    before_mib, before_s, worst = rss_mib(), time.process_time(), [0.0]
    watching = asyncio.create_task(stalls(worst))
    await asyncio.sleep(0.05)
    started_s = time.perf_counter()
    if way == "worker":
        link = Link(["127.0.0.1:*"])
        camera = link.camera(target)
    else:
        from nvr.base.permit import Permit  # noqa: PLC0415 - what it costs is measured
        from nvr.link.camera import Camera  # noqa: PLC0415 - the same

        camera = Camera(target, Permit(["127.0.0.1:*"]))
    await camera.ask(wish.GetDevice())
    first_s = time.perf_counter() - started_s
    await camera.ask(wish.GetProfiles())
    await camera.ask(wish.GetNode("p0"))
    grown = rss_mib() - before_mib, time.process_time() - before_s
    warm_s = time.perf_counter()
    for _ in range(50):
        await camera.ask(wish.GetHeadStatus("p0"))
    warm_s = (time.perf_counter() - warm_s) / 50
    watching.cancel()
    await (link.close() if way == "worker" else camera.close())
    return {
        f"{way}_growth_mib": round(grown[0], 1),
        f"{way}_cpu_s": round(grown[1], 2),
        f"{way}_stall_ms": round(worst[0] * 1000, 1),
        f"{way}_first_s": round(first_s, 2),
        f"{way}_question_ms": round(warm_s * 1000, 2),
    }


async def measured() -> dict[str, float]:
    found: dict[str, float] = {}
    async with odd_device() as device:
        for way in ("inside", "worker"):
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "tests.bench.onvif", "--do", way, str(device.port)],
                stdout=subprocess.PIPE,
                check=True,
                cwd=figures.ROOT,
            )
            found |= json.loads(done.stdout)
    found["ratio_stall"] = round(found["inside_stall_ms"] / found["worker_stall_ms"], 1)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--do", nargs=2, help="one of both, in this process")
    chosen = parser.parse_args(arguments)
    if chosen.do:
        way, port = chosen.do
        print(json.dumps(asyncio.run(ask(way, int(port)))))
        return 0
    return figures.report("onvif", asyncio.run(measured()), LIMITS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
