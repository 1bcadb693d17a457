"""A stream for tests of the server: real H.264 and G.711, fed as the ingest feeds relays."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import av

from nvr.base.clock import SystemClock
from nvr.codec.encode import Encoder, picture_of
from nvr.media.encoder import Settings
from nvr.media.track import TrackConfig
from nvr.serve.rtsp import RtspServer
from nvr.wire import h264
from nvr.wire.rtp import H264Packetizer

FPS = 25


def clip(size=(320, 180), frames=25, bitrate_bps=400_000):
    encoder = Encoder(Settings(size, FPS, bitrate_bps, gop_s=1.0))
    units = []
    for number in range(frames):
        frame = av.VideoFrame(*size, "yuv420p")
        for index, plane in enumerate(frame.planes):
            row = bytes((number * 7 + x * (index + 1)) & 0xFF for x in range(plane.line_size))
            plane.update(row * plane.height)
        units += encoder.encode(picture_of(frame, number * 90_000 // FPS))
    sets = encoder.parameter_sets
    encoder.close()
    return sets, units


class Camera:
    """Feeds its relays in real time from a loop of one second; see `RelaySource`."""

    def __init__(self, sound=True, size=(320, 180)):
        sets, self._units = clip(size)
        video = TrackConfig("video", "h264", 90_000, h264.avcc(sets), *size)
        audio = TrackConfig("audio", "pcma", 8000, b"", channels=1)
        self.config = (video, audio) if sound else (video,)
        self._sound = sound
        self.relays = []
        self.frames = 0
        self.present = True
        self._restarts = 0

    @property
    def tracks(self):
        return ()

    def add_relay(self, relay):
        self.relays.append(relay)

    def remove_relay(self, relay):
        if relay in self.relays:
            self.relays.remove(relay)

    async def run(self):
        loop = asyncio.get_running_loop()
        while True:
            # Each run begins as a camera does after a reboot: other numbers, another time.
            self._restarts += 1
            packets = H264Packetizer(96, self._restarts, sequence=self._restarts * 9999 & 0xFFFF)
            base_90k = 77_777_777 * self._restarts
            for relay in self.relays:
                relay.restart()
            begun_s = loop.time()
            number = 0
            while self.present:
                unit = self._units[number % len(self._units)]
                stamp = base_90k + number * 90_000 // FPS
                for packet_number, packet in enumerate(packets.packets(unit.nals, stamp)):
                    for relay in list(self.relays):
                        relay.packet(0, packet, unit.key and packet_number == 0)
                if self._sound:
                    head = struct.pack(
                        ">BBHII", 0x80, 8, number & 0xFFFF, number * 320 & 0xFFFFFFFF, 5
                    )
                    for relay in list(self.relays):
                        relay.packet(1, head + bytes(320), False)
                for relay in list(self.relays):
                    relay.flush()
                number += 1
                self.frames += 1
                await asyncio.sleep(max(0.0, begun_s + number / FPS - loop.time()))
            while not self.present:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(*coroutines) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def listening(
    cameras, access=None, tls=None, host="127.0.0.1", **options
) -> AsyncIterator[tuple[RtspServer, int]]:
    """A server of cameras that somebody else runs."""
    server = RtspServer(cameras.get, access, clock=SystemClock(), **options)
    port = server.listen(host, 0, tls)
    async with running(server.run()):
        yield server, port


@asynccontextmanager
async def serving(
    cameras, access=None, tls=None, **options
) -> AsyncIterator[tuple[RtspServer, int]]:
    async with (
        listening(cameras, access, tls, **options) as served,
        running(*(camera.run() for camera in cameras.values())),
    ):
        yield served
