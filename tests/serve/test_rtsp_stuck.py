"""Readers that take nothing, beside one that does; the whole of it is `tests.bench.stuck`."""

import asyncio
import os
import random
from contextlib import AsyncExitStack
from dataclasses import replace

from nvr.serve.rtsp import Limits
from nvr.wire.rtsp import Frame, Request
from tests.bench.stuck import resident_bytes
from tests.serve.source import Camera, serving
from tests.serve.test_rtsp_server import Peer

STUCK, EACH_BYTES = 30, 1_200_000


class Filled(Camera):
    """A camera of 6 Mbit/s: what it sends is filled up with noise that decodes to nothing."""

    def __init__(self):
        super().__init__(sound=False)
        noise = random.Random(1)
        self._units = [
            replace(unit, nals=(*unit.nals, b"\x0c" + noise.randbytes(30_000)))
            for unit in self._units
        ]


async def test_they_share_what_waits_for_them_and_are_ended():
    camera, limits = Filled(), Limits(per_address=64, unproven=64, stuck_s=3.0)
    async with serving({"gate": camera}, limits=limits) as (server, port), AsyncExitStack() as all_:
        peers = [await all_.enter_async_context(Peer(port)) for _ in range(STUCK + 1)]
        for peer in peers:
            await peer.set_up()
        live, *stuck = peers
        assert (await live.ask("PLAY")).status == 200
        while not isinstance(await live.read(), Frame):
            pass
        before = most = resident_bytes(os.getpid())
        for peer in stuck:
            peer.input._transport.pause_reading()
            asked = Request("PLAY", peer.url, (("CSeq", "9"), ("Session", peer.session)))
            await peer.say(asked.encode())
        sequence, taken = None, 0
        async with asyncio.timeout(60):
            while len(server.readers()) > 1 or not taken:
                frame = await live.read()
                if not isinstance(frame, Frame) or frame.channel:
                    continue
                number = int.from_bytes(frame.payload[2:4], "big")
                assert sequence is None or number == (sequence + 1) & 0xFFFF
                sequence, taken = number, taken + len(frame.payload)
                if number % 100 == 0:
                    most = max(most, resident_bytes(os.getpid()))
        assert len(server.readers()) == 1
        assert taken > EACH_BYTES, "one that had a copy of its own would take more than it may"
        assert most - before < STUCK * EACH_BYTES
