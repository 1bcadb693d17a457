"""Pictures of a camera or grabber of this box, through PyAV's V4L2.

What is asked and set of the device goes through `nvr.hal`, which has a descriptor of its own; the
stream is libavdevice's. Three things of it are not taken as they come:

* It waits for a picture with no end. Its descriptor is found among ours and made non-blocking, so
  that the wait is ours: for pictures, for a signal that is lost, for a device that is pulled.
* When it opens, it decodes what comes to learn about it. A whitelist of raw video keeps it from
  that: JPEG is decoded in the sandbox only, because a USB camera is whoever plugs one in, and
  H.264 is not decoded at all. Raw formats wait for nothing (``max_ts_probe`` 0); the first JPEG is
  waited for in the kernel, and a timer stops the stream if it never comes (`halt`).
* It asks for 256 buffers, of which the kernel grants 32: 60 MiB of 720p YUYV. There is no word for
  fewer.

Time stamps are the driver's, of the monotonic clock that ours is too; a driver whose stamps are off
by ten seconds is not believed.

Source: FFmpeg 8.0 ``libavdevice/v4l2.c``; Linux 6.1 ``Documentation/userspace-api/media/v4l``.
"""

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, TypeAlias

import av
import numpy as np

from nvr.base.clock import TICKS_PER_S
from nvr.base.errors import NvrError, Unavailable
from nvr.capture.beat import Beat
from nvr.capture.choose import RAW, USABLE, Choice, choose
from nvr.codec.encode import picture_of
from nvr.codec.jpeg import JpegDecoder
from nvr.codec.tidy import Deinterlace, Fields, Raw, Tidy
from nvr.hal import v4l2
from nvr.hal.linux_video import VideoPort, failure, halt, own_descriptors
from nvr.media.device import Capture, Controls, pixel_aspect
from nvr.media.encoder import AccessUnit
from nvr.media.picture import Picture
from nvr.media.track import VideoCodec
from nvr.wire.annexb import split

_Packet: TypeAlias = "av.Packet[av.VideoStream]"

FIRST_S: Final = 6.0
"""So long may a device take for its first picture: some webcams adjust to the light before."""
SILENT_S: Final = 5.0
_LOOK_S: Final = 1.0
_OFF_S: Final = 10.0
_BEHIND_S: Final = 0.4
"""What is older is left out when newer pictures wait: the kernel keeps up to 32 of them."""
_BLANK_FPS: Final = 5
_BLANK_LUMA: Final = 40
_WOVEN: Final[dict[int, Fields]] = {
    v4l2.FIELD_TOP_FIRST: "top",
    v4l2.FIELD_BOTTOM_FIRST: "bottom",
    v4l2.FIELD_TOP_HALF: "top_half",
    v4l2.FIELD_BOTTOM_HALF: "bottom_half",
    v4l2.FIELD_ALTERNATE: "single",
    v4l2.FIELD_TOP: "single",
    v4l2.FIELD_BOTTOM: "single",
}
_SIZE_OF: Final = {"NTSC": (720, 480), "PAL": (720, 576), "SECAM": (720, 576)}


class Device:
    """A device that streams. Used by one thread.

    Args:
        path: A node of ``/dev``, or a name of udev's that leads to one.
        wish: How pictures are to be taken.
        now_s: Monotonic seconds, of the kernel's clock.

    Attributes:
        size: ``(width, height)`` of what is read.
        fps: Pictures a second, rounded up.
        choice: What it was asked for.
        codec: Of what it encodes itself.
        lack: Code of what is missing though the device is there: ``camera.no_signal``,
            ``camera.no_power``, or empty.
        black_white: What comes in has no colour.
        damaged: Pictures that came broken.
        skipped: Pictures left out because those before took too long.

    Raises:
        Unavailable: ``device.missing``, ``device.busy``, ``device.gone``, ``camera.silent``, ...
        Misconfigured: ``device.denied``, ``device.no_format``, ``device.no_input``, ...
    """

    codec: VideoCodec = "h264"

    def __init__(
        self, path: str, wish: Capture, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._now_s = now_s
        self._wish = wish
        self._node = os.path.realpath(path)
        self.lack = ""
        self.black_white = False
        self.damaged = 0
        self.skipped = 0
        self._none = 0
        self._turned: Controls = ()
        self._last_90k = 0
        self._beat = Beat()
        with contextlib.ExitStack() as stack:
            self._port = VideoPort.open(path)
            stack.callback(self._port.close)
            self._port.capability()
            self._port.choose(wish.input)
            self._analogue = bool(self._port.status().standards)
            if self._analogue or wish.standard != "auto":
                self._port.set_standard(wish.standard)
            self._standard = self._port.standard() if self._analogue else ""
            self.choice = self._chosen()
            self._container = self._opened()
            stack.callback(self._container.close)
            self._stream = self._container.streams.video[0]
            fds = [fd for fd in own_descriptors(self._node) if fd != self._port.fileno()]
            if not fds:
                raise Unavailable("device.failed", "libav has no descriptor of it", device=path)
            self._fd = fds[-1]
            os.set_blocking(self._fd, False)
            stack.pop_all()
        self.size = (self._stream.width, self._stream.height)
        rate = self._stream.average_rate
        self.fps = min(60, max(1, -(-rate.numerator // rate.denominator))) if rate else 25
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._packets = self._demuxed()
        self._moved_s = now_s()
        self._look_s = 0.0

    @property
    def late(self) -> int:
        """Pictures that the device or we left out, or that came broken."""
        return self._beat.missed + self.damaged + self.skipped

    def turn(self, controls: Controls) -> list[str]:
        """Set what is wished of its picture; returns a sentence for each that it does not take."""
        before, self._turned = self._turned, controls
        return self._port.turn(controls, before)

    def close(self) -> None:
        """Let go of the device; nothing of its pictures may be held any more."""
        self._packets = iter(())
        self._container.close()
        self._port.close()

    def take(self, until_s: float) -> "_Packet | None":
        """Wait for what the device sends next, until a time; None if nothing has come.

        Raises:
            Unavailable: ``device.gone``, ``device.failed``, ``device.standard``,
                ``camera.silent``.
        """
        while True:
            now_s = self._now_s()
            if now_s >= self._look_s:
                self._look_s = now_s + _LOOK_S
                self._look()
            with contextlib.suppress(BlockingIOError):
                packet = self._next()
                if packet.size:
                    self._moved_s = now_s
                    return packet
                self.damaged += 1  # the driver's own mark, or too short
                continue
            if not self.lack and now_s - self._moved_s > SILENT_S:
                raise Unavailable("camera.silent", "it sends no pictures", device=self._node)
            wait_s = min(until_s, self._look_s) - now_s
            if until_s <= now_s:
                return None
            for _, found in self._poll.poll(max(1, round(wait_s * 1000))):
                if found & ~select.POLLIN:
                    time.sleep(0.02)  # what is wrong, the next read says; if it does, at once

    def time_90k(self, packet: _Packet) -> int:
        """When what came was taken; later than anything before."""
        now_s = self._now_s()
        at_s = now_s if packet.pts is None else packet.pts / 1e6
        if not now_s - _OFF_S < at_s <= now_s:
            at_s = now_s
        self._last_90k = max(round(at_s * TICKS_PER_S), self._last_90k + 1)
        self._beat.take(self._last_90k)
        return self._last_90k

    def raw(self) -> Raw:
        """What frames it hands out."""
        form = self._port.picture_format()
        hd = form.encoding == v4l2.ENCODING_709 or (
            form.encoding == 0 and form.colorspace == v4l2.COLOURS_709
        )
        return Raw(
            self.size,
            RAW[self.choice.fourcc],
            self._fields(form.field),
            hd=hd,
            full=form.quantization == v4l2.FULL_RANGE,
        )

    def _fields(self, field: int) -> Fields:
        if field == v4l2.FIELD_INTERLACED:
            # As the standard has it: with 525 lines the bottom field is the first.
            return "bottom" if self._standard == "NTSC" else "top"
        return _WOVEN.get(field, "none")

    def _chosen(self) -> Choice:
        wish, offered = self._wish, self._port.formats(USABLE)
        if self._analogue and wish.size is None and self._standard:
            # What scales an interlaced picture mixes its fields: taken as it is on the line.
            wanted = _SIZE_OF[self._standard]
            with contextlib.suppress(NvrError):
                return choose(offered, _sized(wish, wanted))
        return choose(offered, wish)

    def _opened(self) -> av.container.InputContainer:
        options = {
            "ts": "default",
            "fflags": "noparse",
            "probesize": "32",
            "max_ts_probe": "0",
            "codec_whitelist": "rawvideo",
            "video_size": "{}x{}".format(*self.choice.size),
            "pixel_format": RAW.get(self.choice.fourcc)
            or {"jpeg": "mjpeg", "h264": "h264"}[self.choice.kind],
        }
        if self.choice.rate_fps and not self._analogue:
            options["framerate"] = f"{self.choice.rate_fps:g}"
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            halt(self._node)

        timer = threading.Timer(FIRST_S, stop)
        timer.daemon = True
        timer.start()
        try:
            opened = av.open(self._node, format="v4l2", options=options)
        except av.FFmpegError as err:
            if stopped.is_set():
                raise Unavailable(
                    "camera.silent", "it sends no pictures", device=self._node
                ) from err
            raise failure(OSError(err.errno, err.strerror), self._node) from err
        finally:
            timer.cancel()
        assert isinstance(opened, av.container.InputContainer)
        return opened

    def _demuxed(self) -> Iterator[_Packet]:
        return self._container.demux(self._stream)

    def _next(self) -> _Packet:
        try:
            return next(self._packets)
        except BlockingIOError:
            self._packets = self._demuxed()  # a generator that raised is spent
            raise
        except StopIteration:
            raise Unavailable("device.gone", "its stream ended", device=self._node) from None
        except av.FFmpegError as err:
            raise failure(OSError(err.errno, err.strerror), self._node) from err

    def _look(self) -> None:
        """See whether anything comes in, and whether it is still of the same standard."""
        found = self._port.status()
        self.black_white = found.black_white
        self._none = self._none + 1 if found.signal in {"none", "unpowered"} else 0
        lacked, self.lack = self.lack, ""
        if found.signal == "unpowered":
            self.lack = "camera.no_power"
        elif self._none > 1 or (self._none and (lacked or not self._last_90k)):
            self.lack = "camera.no_signal"
        if lacked and not self.lack:
            self._moved_s = self._now_s()
        if self._analogue and self._wish.standard == "auto" and not self.lack:
            now = self._port.detect()
            if now and now != self._standard:
                raise Unavailable(
                    "device.standard", f"what comes in is {now} now", device=self._node
                )


class Pictures(Device):
    """A device whose pictures are encoded here. See `nvr.media.picture.PictureSource`."""

    def __init__(
        self, path: str, wish: Capture, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(path, wish, now_s)
        self._ready: deque[Picture] = deque()
        self._tidy: Tidy | None = None
        self._jpeg: JpegDecoder | None = None
        self._blank: av.VideoFrame | None = None
        self._blank_s = self._said_s = 0.0
        try:
            if self.choice.kind == "jpeg":
                self._jpeg = JpegDecoder(self.size)
                self.size = self._jpeg.size
            else:
                self._tidy = Tidy(self.raw(), _deinterlace(wish))
                self.size = self._tidy.size
                self.fps = min(60, self.fps * 2) if self._tidy.doubled else self.fps
            self.aspect = pixel_aspect(self.size, wish.aspect, analogue=bool(self._standard))
        except BaseException:
            self.close()
            raise

    def read(self) -> Picture | None:
        """Wait for the next picture; its memory is the caller's until the next call.

        While there is no signal, a dark one comes five times a second if that is wished for; else
        None once a second.

        Raises:
            Unavailable: As `take`.
        """
        self._said_s = self._now_s()
        while not self._ready:
            packet = self.take(self._until_s())
            if packet is None:
                return self._dark() if self.lack and self._blanks() else None
            at_90k = self.time_90k(packet)
            if self.lack:  # noise
                if self._now_s() >= self._until_s():
                    return self._dark() if self._blanks() else None
                continue
            if self._now_s() - at_90k / TICKS_PER_S > _BEHIND_S and self._poll.poll(0):
                self.skipped += 1  # newer ones wait already
                continue
            self._decode(packet, at_90k)
        return self._ready.popleft()

    def close(self) -> None:  # noqa: D102 - see Device
        # What a picture lies in is the container's, so all of them go first.
        self._ready.clear()
        self._tidy = None
        if self._jpeg is not None:
            self._jpeg.close()
            self._jpeg = None
        super().close()

    def _until_s(self) -> float:
        """When something must be said though nothing comes."""
        blank = bool(self.lack) and self._blanks()
        return self._blank_s if blank else self._said_s + _LOOK_S

    def _blanks(self) -> bool:
        return self._wish.no_signal == "picture"

    def _decode(self, packet: _Packet, at_90k: int) -> None:
        if self._jpeg is not None:
            found = self._jpeg.decode(bytes(packet))
            if found is None:
                self.damaged += 1
            else:
                self._ready.append(picture_of(found, at_90k))
            return
        assert self._tidy is not None
        try:
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                self._ready.extend(self._tidy.take(frame, at_90k))
        except av.FFmpegError:
            self.damaged += 1

    def _dark(self) -> Picture:
        if self._blank is None:
            self._blank = av.VideoFrame(*self.size, "yuv420p")
        for plane, level in zip(self._blank.planes, (_BLANK_LUMA, 128, 128), strict=True):
            np.frombuffer(memoryview(plane), np.uint8)[:] = level
        now_s = self._now_s()
        self._blank_s = max(self._blank_s + 1 / _BLANK_FPS, now_s)
        self._last_90k = max(round(now_s * TICKS_PER_S), self._last_90k + 1)
        return picture_of(self._blank, self._last_90k)


class Coded(Device):
    """A device that encodes its own pictures. See `nvr.media.encoder.CodedSource`."""

    def read_unit(self) -> AccessUnit | None:
        """Wait for the next coded picture; None after a second without one.

        Raises:
            Unavailable: As `take`.
        """
        until_s = self._now_s() + _LOOK_S
        while True:
            packet = self.take(until_s)
            if packet is None:
                return None
            nals = tuple(split(bytes(packet)))
            at_90k = self.time_90k(packet)
            if nals:
                key = any(nal[0] & 31 == 5 for nal in nals)
                return AccessUnit(nals, at_90k, key, at_90k)
            self.damaged += 1


def opened(url: str, wish: Capture) -> Pictures | Coded:
    """Open ``v4l2:`` and the path of a device, as is wished for. See `Device`."""
    path = url.removeprefix("v4l2:")
    return Coded(path, wish) if wish.format == "h264" else Pictures(path, wish)


def _sized(wish: Capture, size: tuple[int, int]) -> Capture:
    return replace(wish, size=size)


def _deinterlace(wish: Capture) -> Deinterlace:
    match wish.deinterlace:
        case "off":
            return "off"
        case "fields":
            return "fields"
    return "frames"
