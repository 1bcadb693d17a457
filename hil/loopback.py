"""Cameras that make JPEG and H.264, and a loudspeaker: what vivid and snd-aloop do not have.

v4l2loopback hands on what is written into it, as a device of its own; snd-aloop hears on its second
device what is played on its first.
"""

import fcntl
import math
import os
import struct
import subprocess
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import av

from nvr.hal import alsa, v4l2

OUTPUT = 2
"""``V4L2_BUF_TYPE_VIDEO_OUTPUT``."""


class Loopback:
    """A device in which what `frames` yields can be seen.

    Args:
        number: Of its node.
        fourcc: Format.
        size: Width and height.
        frames: Yields what one picture consists of, for ever.
        fps: So many a second.
    """

    def __init__(
        self,
        number: int,
        fourcc: str,
        size: tuple[int, int],
        frames: Callable[[], Iterator[bytes]],
        fps: int = 15,
    ) -> None:
        self.node = f"/dev/video{number}"
        self.sent: list[bytes] = []
        self._frames, self._fps = frames, fps
        self._fd = os.open(self.node, os.O_RDWR)
        pixels = int.from_bytes(fourcc.encode(), "little")
        data = bytearray(struct.pack("=I4x12I152x", OUTPUT, *size, pixels, 1, *[0] * 8))
        fcntl.ioctl(self._fd, v4l2.S_FMT, data)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._fd)

    def _run(self) -> None:
        due_s = time.monotonic()
        for frame in self._frames():
            if self._ended.is_set():
                return
            os.write(self._fd, frame)
            self.sent.append(frame)
            due_s = max(due_s + 1 / self._fps, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))


def insert(module: str, number: int) -> None:
    """Load v4l2loopback with one device of that number."""
    subprocess.run(
        ["insmod", module, f"video_nr={number}", "exclusive_caps=0", "card_label=loopback"],
        check=True,
    )
    while not Path(f"/dev/video{number}").exists():
        time.sleep(0.05)


def jpegs(size: tuple[int, int], *, torn_each: int = 0) -> Iterator[bytes]:
    """Pictures whose left half is white and right half grey; some torn."""
    frame = av.VideoFrame(*size, "yuvj422p")
    for plane, level in zip(frame.planes, (100, 128, 128), strict=True):
        memoryview(plane)[:] = bytes([level]) * plane.buffer_size
    luma = memoryview(frame.planes[0])
    for row in range(size[1]):
        start = row * frame.planes[0].line_size
        luma[start : start + size[0] // 2] = b"\xff" * (size[0] // 2)
    coder = av.CodecContext.create("mjpeg", "w")
    coder.width, coder.height = size
    coder.pix_fmt, coder.time_base = "yuvj422p", 1
    whole = bytes(coder.encode(frame)[0])
    number = 0
    while True:
        number += 1
        yield whole[:40] if torn_each and number % torn_each == 0 else whole


def coded(size: tuple[int, int], fps: int = 15) -> Iterator[bytes]:
    """H.264 as a webcam makes it: byte stream, parameter sets in front of each key frame."""
    coder = av.CodecContext.create("libx264", "w")
    coder.width, coder.height = size
    coder.pix_fmt, coder.framerate, coder.gop_size = "yuv420p", fps, fps
    coder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    number = 0
    while True:
        frame = av.VideoFrame(*size, "yuv420p")
        for plane in frame.planes:
            memoryview(plane)[:] = bytes([(40 + number) % 200]) * plane.buffer_size
        frame.pts = number
        number += 1
        for packet in coder.encode(frame):
            yield bytes(packet)


class Loudspeaker:
    """Plays a tone on snd-aloop's first device until it is closed."""

    def __init__(self, card: int, hz: int = 440) -> None:
        self._fd = os.open(f"/dev/snd/pcmC{card}D0p", os.O_WRONLY)
        wish = alsa.Hardware.anything().only(alsa.ACCESS, alsa.INTERLEAVED)
        wish = wish.only(alsa.FORMAT, alsa.S16_LE).fixed(alsa.CHANNELS, 1)
        wish = wish.fixed(alsa.RATE, 48_000).fixed(alsa.PERIOD, 1920).fixed(alsa.BUFFER, 9600)
        fcntl.ioctl(self._fd, alsa.HW_PARAMS, wish.data)
        fcntl.ioctl(self._fd, alsa.PREPARE)
        tone = (round(12_000 * math.sin(2 * math.pi * hz * at / 48_000)) for at in range(48_000))
        self._second = array("h", tone).tobytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._fd)

    def _run(self) -> None:
        at = 0
        while not self._ended.is_set():
            piece = self._second[at : at + 3840]
            at = (at + len(piece)) % len(self._second)
            try:
                os.write(self._fd, piece)
            except BrokenPipeError:
                fcntl.ioctl(self._fd, alsa.PREPARE)
