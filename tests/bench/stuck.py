"""What a hundred readers that take nothing cost the recorder, and the readers beside them.

Against the shipped `nvr run` with one camera of 3 Mbit/s: four readers that keep up, first alone
and then beside so many that log in, ask for pictures and never read. A stuck reader's cost is what
the recorder's resident memory and the kernel's buffers at its end of the connections grow by, at
their highest, in all and divided. Lateness is how much later than the earliest the last packet of
each picture came, by the pictures' own times; the best round counts, for whatever else the machine
does only adds to it. One more round is over TLS. Afterwards all that were stuck must have been
ended.
"""

import asyncio
import contextlib
import re
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.bench.camera import cameras
from tests.bench.figures import Figure, arguments, at_least, at_most, progress, report, spread
from tests.bench.recorder import Page, Recorder, recorder, scratch
from tests.serve.replayer import Replayer, replayer

LIVE = 4
STUCK_S = 10.0
LIMITS = {
    "mb_each": at_most(1.2, "a hundred must not take the memory of a box with 1 GB"),
    "p99_over_alone": at_most(
        1.2, "nobody else may notice; 20 % is what two calm rounds differ by"
    ),
    "tls_mb_each": at_most(1.2, "the same over TLS, where a piece more waits for each"),
    "ended": at_least(1.0, "whoever takes nothing for ten seconds is closed"),
    "gaps": at_most(0, "who keeps up gets every packet"),
}
_SKMEM = re.compile(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f\d+,w(\d+)")


def resident_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.partition("Pss:")[2].split()[0]) * 1024


def sockets(port: int) -> tuple[int, int]:
    """How many connections a port has, and the bytes the kernel holds for them at its end."""
    command = ["ss", "-Htmn", "state", "established", f"sport = :{port}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = _SKMEM.findall(said)
    return len(found), sum(int(read) + int(written) for read, written in found)


class Live:
    """A reader that keeps up."""

    def __init__(self, peer: Replayer) -> None:
        self._peer = peer
        self._sequence: int | None = None
        self.gaps = 0
        self.came: list[tuple[float, int]] = []

    async def read(self) -> None:
        """Take packets until cancelled."""
        reader = self._peer.reader
        while True:
            mark, channel, size = struct.unpack(">cBH", await reader.readexactly(4))
            data = await reader.readexactly(size)
            if mark != b"$":
                raise RuntimeError("not a packet")
            if channel != 0:
                continue
            sequence, at = struct.unpack_from(">HI", data, 2)
            self.gaps += self._sequence is not None and sequence != (self._sequence + 1) & 0xFFFF
            self._sequence = sequence
            if data[1] & 0x80:
                self.came.append((time.monotonic(), at))

    def lateness_ms(self) -> list[float]:
        """Of each picture since the last call, sorted."""
        came, self.came = self.came, []
        if not came:
            return []
        late = [now_s * 1000 - (at - came[0][1] & 0xFFFFFFFF) / 90 for now_s, at in came]
        return sorted(one - min(late) for one in late)


@contextlib.asynccontextmanager
async def playing(ours: Recorder, secret: str, *, tls: bool = False) -> AsyncIterator[Replayer]:
    """A reader whose pictures are on their way."""
    port = ours.rtsps_port if tls else ours.rtsp_port
    async with replayer(port, "cam/c0", "bench", secret, tls=tls) as peer:
        way = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        for said in (
            await peer.ask("DESCRIBE"),
            await peer.ask("SETUP", f"{peer.url}/track=0", **way),
            await peer.ask("PLAY"),
        ):
            if said[0] != 200:
                raise RuntimeError(f"refused: {said[0]}")
        yield peer


def p99(live: list[Live]) -> float:
    found = sorted(late for one in live for late in one.lateness_ms())
    return found[len(found) * 99 // 100] if found else 0.0


async def one_round(
    ours: Recorder, secret: str, live: list[Live], readers: int, seconds: float, *, tls: bool
) -> tuple[float, float, float, float]:
    """p99 alone and beside the stuck ones, MB for each of those, share of them that was ended."""
    p99(live)
    await asyncio.sleep(seconds)
    alone_ms = p99(live)
    before = resident_bytes(ours.pid)
    port = ours.rtsps_port if tls else ours.rtsp_port
    count, kernel = sockets(port)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(readers):
            peer = await stack.enter_async_context(playing(ours, secret, tls=tls))
            peer.writer.transport.pause_reading()
        p99(live)
        most, until_s = 0, time.monotonic() + seconds
        while time.monotonic() < until_s:
            await asyncio.sleep(0.5)
            grown = resident_bytes(ours.pid) - before + sockets(port)[1] - kernel
            most = max(most, grown)
        beside_ms = p99(live)
        deadline_s = time.monotonic() + 3 * STUCK_S
        while (left := sockets(port)[0] - count) > 0 and time.monotonic() < deadline_s:
            await asyncio.sleep(0.5)
    return alone_ms, beside_ms, most / readers / 1e6, 1 - max(left, 0) / readers


async def measured(
    ours: Recorder, secret: str, readers: int, seconds: float, rounds: int
) -> tuple[dict[str, Figure], list[str]]:
    """All rounds, with the same live readers."""
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        live = [Live(await stack.enter_async_context(playing(ours, secret))) for _ in range(LIVE)]
        tasks = [group.create_task(one.read()) for one in live]
        await asyncio.sleep(2)
        results = []
        for number in range(rounds):
            progress(f"round {number + 1} of {rounds}")
            results.append(await one_round(ours, secret, live, readers, seconds, tls=False))
        progress("over TLS")
        over_tls = await one_round(ours, secret, live, readers, seconds, tls=True)
        for task in tasks:
            task.cancel()
    alone, beside, each, ended = zip(*results, strict=True)
    figures: dict[str, Figure] = {
        "readers": readers,
        "mb_each": round(max(each), 3),
        "tls_mb_each": round(over_tls[2], 3),
        "p99_alone_ms": round(min(alone), 1),
        "p99_beside_ms": round(min(beside), 1),
        "p99_over_alone": round(min(beside) / min(alone), 3),
        "ended": min(*ended, over_tls[3]),
        "gaps": sum(one.gaps for one in live),
    }
    notes = [f"p99 alone, ms: {spread(alone)}", f"p99 beside them, ms: {spread(beside)}"]
    return figures, notes


def main(words: list[str] | None = None) -> int:
    """Run the bench."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--readers", type=int, default=100, help="how many take nothing")
    parser.add_argument("--seconds", type=float, default=9, help="window of each half of a round")
    parser.add_argument("--rounds", type=int, default=4, help="rounds")
    chosen = parser.parse_args(words)
    with cameras(1) as running, contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch())
        ours = stack.enter_context(recorder([running.url(0)], directory))
        page = Page(ours.page_port, ours.claim)
        stack.callback(page.close)
        running.wait_for(1)
        figures, notes = asyncio.run(
            measured(ours, page.machine("bench"), chosen.readers, chosen.seconds, chosen.rounds)
        )
    return report("stuck", figures, LIMITS, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
