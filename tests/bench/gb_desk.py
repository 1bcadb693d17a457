"""One camera, our RTSP server and our media desk for GB/T 28181, and nothing else, in one process.

    python -m tests.bench.gb_desk URL

Prints ``port N`` when RTSP is served, at rtsp://127.0.0.1:N/cam/c0. A line ``gb PORT COUNT`` on
standard input makes it send as many program streams to that port over TCP, and is answered
``ready``. Ends when its input does. Signalling costs nothing while pictures go, so it is left out;
what is measured against it is the RTSP server of the same process.
"""

import asyncio
import contextlib
import sys

from nvr.base.clock import SystemClock
from nvr.capture.rtsp import Caller
from nvr.capture.source import Source
from nvr.media.ingest import Ingest
from nvr.playback.query import Ranges
from nvr.serve.gb28181.media import Limits, MediaDesk
from nvr.serve.gb28181.sending import Sending
from nvr.serve.rtsp import Limits as RtspLimits
from nvr.serve.rtsp import RtspServer
from nvr.wire.gb_sdp import Offer

HERE = "127.0.0.1"


class NoArchive:
    """Nothing is recorded. See `nvr.serve.gb28181.replay.Archive`."""

    def ranges(self, stream: str, from_us: int, to_us: int) -> Ranges:  # noqa: ARG002
        return Ranges((), (), 0)

    def config(self, stream: str, run: int) -> tuple[()]:  # noqa: ARG002
        return ()

    def gop(self, stream: str, t_us: int, place: object = None, *, key_only: bool = False) -> None:  # noqa: ARG002
        return None


async def serve(url: str) -> None:
    """Run until standard input ends."""
    clock = SystemClock()
    ingest = Ingest(lambda _parts: None, clock)
    stream = ingest.stream("c0/main")
    source = Source("c0", Caller(url, lambda: None, clock), stream, clock=clock)
    server = RtspServer(
        lambda _name: stream, None, clock=clock, limits=RtspLimits(per_address=1000, in_all=1000)
    )
    desk = MediaDesk(lambda _name, _sub: stream, NoArchive(), clock, Limits(sessions=1000))
    port = server.listen(HERE, 0)
    tasks = [asyncio.ensure_future(each) for each in (ingest.run(), source.run(), server.run())]
    while stream.config is None:
        await asyncio.sleep(0.05)
    print("port", port, flush=True)
    sessions: list[Sending] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        _, to, count = line.split()
        for _ in range(int(count)):
            offer = Offer("Play", host=HERE, port=int(to), transport="tcp", setup="passive")
            sessions.append(await desk.open("c0", False, offer, HERE, HERE, lambda _span: True))
            sessions[-1].start()
        print("ready", flush=True)
    for session in sessions:
        session.close()
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
