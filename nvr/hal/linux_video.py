"""Cameras and grabbers of the box: which there are, what they offer, and whether anything comes in.

A node is opened here to ask and to set; the pictures themselves are taken through PyAV
(`nvr.capture.v4l2`), whose descriptor the kernel lets nobody else stop, wait on or set up.
"""

import contextlib
import errno
import fcntl
import math
import os
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

from nvr.base.errors import Misconfigured, NvrError, Unavailable
from nvr.hal import v4l2, video_control
from nvr.media.device import (
    Controls,
    Signal,
    VideoControl,
    VideoDevice,
    VideoFormat,
    VideoInput,
    VideoSize,
)

_MOST = 64
"""Of formats, sizes, rates and inputs that are listed, should a driver never end."""
_USUAL_PX = (
    (3840, 2160), (2560, 1440), (1920, 1080), (1280, 960), (1280, 720), (1024, 768), (800, 600),
    (720, 576), (720, 480), (704, 576), (640, 480), (640, 360), (352, 288), (320, 240),
)  # fmt: skip
_T = TypeVar("_T")
_STANDARDS = {"pal": v4l2.PAL, "ntsc": v4l2.NTSC, "secam": v4l2.SECAM}


class VideoPort:
    """A device node that is open to be asked and set. One thread uses it at a time.

    Args:
        fd: The open node.
        title: What to call it in errors.
        ioctl: Asks the kernel.
    """

    def __init__(
        self,
        fd: int,
        title: str,
        ioctl: Callable[[int, int, bytearray], object] = fcntl.ioctl,
    ) -> None:
        self._fd = fd
        self._title = title
        self._ioctl = ioctl

    @classmethod
    def open(cls, path: str) -> Self:
        """Open a node.

        Raises:
            Unavailable: ``device.missing``, ``device.busy``.
            Misconfigured: ``device.denied``, ``device.no_video``.
        """
        try:
            return cls(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), path)
        except OSError as err:
            raise failure(err, path) from err

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The node's descriptor."""
        return self._fd

    def close(self) -> None:
        """Let go of it; twice is once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def ask(self, request: int, data: bytearray) -> None:
        """Ask the kernel. See `v4l2.Ioctl`."""
        while True:
            try:
                self._ioctl(self._fd, request, data)
            except InterruptedError:
                continue
            return

    def capability(self) -> v4l2.Capability:
        """What it is.

        Raises:
            Unavailable: ``device.gone``.
            Misconfigured: ``device.no_video``: no pictures can be taken from it.
        """
        try:
            found = v4l2.capability(self.ask)
        except OSError as err:
            if err.errno in {errno.ENOTTY, errno.EINVAL}:
                raise _no_video(self._title) from err
            raise failure(err, self._title) from err
        if not found.captures:
            raise _no_video(self._title)
        return found

    def inputs(self) -> tuple[VideoInput, ...]:
        """Its inputs; what comes in is known of the one in use only."""
        used = self.input()
        return tuple(
            VideoInput(
                found.number,
                found.title or f"{found.number}",
                v4l2.standards_in(found.standards),
                _signal(found.status) if found.number == used else "unknown",
                found.number == used and bool(found.status & v4l2.COLOUR_KILL),
            )
            for found in self._each(v4l2.input_of)
        )

    def input(self) -> int:
        """Number of the input in use."""
        try:
            return v4l2.chosen_input(self.ask)
        except OSError:
            return 0

    def choose(self, wanted: str) -> int:
        """Use the input of that number or title; empty leaves the one in use.

        Returns:
            Its number.

        Raises:
            Misconfigured: ``device.no_input``.
            Unavailable: ``device.busy``, ``device.gone``.
        """
        if not wanted:
            return self.input()
        for found in self.inputs():
            if wanted in {str(found.number), found.title}:
                if found.number != self.input():
                    with self._telling():
                        v4l2.choose_input(self.ask, found.number)
                return found.number
        raise Misconfigured("device.no_input", "it has no such input", input=wanted)

    def status(self) -> VideoInput:
        """The input in use and what comes in at it.

        Raises:
            Unavailable: ``device.gone``.
        """
        with self._telling():
            found = v4l2.input_of(self.ask, self.input())
        return VideoInput(
            found.number,
            found.title,
            v4l2.standards_in(found.standards),
            _signal(found.status),
            bool(found.status & v4l2.COLOUR_KILL),
        )

    def standard(self) -> str:
        """``PAL``, ``NTSC``, ``SECAM``, or empty if it is not analogue."""
        try:
            named = v4l2.standards_in(v4l2.standard(self.ask))
        except OSError:
            return ""
        return named[0] if named else ""

    def detect(self) -> str:
        """``PAL``, ``NTSC`` or ``SECAM``, as what comes in is; empty if that cannot be told."""
        try:
            found = v4l2.detected_standard(self.ask)
        except OSError:
            return ""
        named = v4l2.standards_in(found)
        # One that cannot tell answers with all that it takes; lines tell PAL and SECAM from NTSC.
        if found & v4l2.LINES_525 and found & v4l2.LINES_625:
            return ""
        return named[0] if named else ""

    def set_standard(self, wanted: str) -> None:
        """Take what comes in for ``pal``, ``ntsc`` or ``secam``, or ``auto``: for what it is.

        Raises:
            Misconfigured: ``device.no_standard``.
            Unavailable: ``device.busy``, ``device.gone``.
        """
        name = self.detect().lower() if wanted == "auto" else wanted
        now = self.standard()
        if not name or name == now.lower():
            return
        if not now:
            if wanted == "auto":
                return
            raise Misconfigured("device.no_standard", "it is no analogue input", standard=wanted)
        try:
            v4l2.set_standard(self.ask, _STANDARDS[name])
        except OSError as err:
            if err.errno == errno.EINVAL:
                raise Misconfigured(
                    "device.no_standard", "it does not take that standard", standard=wanted
                ) from err
            raise failure(err, self._title) from err

    def formats(self, only: Container[str] | None = None) -> tuple[VideoFormat, ...]:
        """What it offers at the input in use, with the sizes and rates it tells.

        Args:
            only: The formats of interest, None for all: some devices have sixty.
        """
        found: dict[str, VideoFormat] = {}
        for name in self._each(v4l2.format_name):
            if name.fourcc not in found and (only is None or name.fourcc in only):
                sizes = self._sizes(name.fourcc)
                found[name.fourcc] = VideoFormat(name.fourcc, name.title, name.compressed, sizes)
        return tuple(found.values())

    def picture_format(self) -> v4l2.PictureFormat:
        """What it hands out now.

        Raises:
            Unavailable: ``device.gone``.
        """
        with self._telling():
            return v4l2.picture_format(self.ask)

    def rate_fps(self) -> float:
        """How many pictures a second it is set to, 0.0 if it does not know."""
        try:
            return v4l2.rate_fps(self.ask)
        except OSError:
            return 0.0

    def controls(self) -> tuple[VideoControl, ...]:
        """What can be set of its picture, but for what is disabled."""
        return video_control.listed(self.ask)

    def turn(self, wanted: Controls, before: Controls = ()) -> list[str]:
        """Set controls. See `video_control.turn`."""
        return video_control.turn(self.ask, wanted, before)

    def _sizes(self, fourcc: str) -> tuple[VideoSize, ...]:
        pixels: dict[tuple[int, int], None] = {}
        for size in self._each(lambda ask, index: v4l2.frame_size(ask, fourcc, index)):
            for one in _offered(size):
                pixels[one] = None
        if not pixels:  # a grabber: the standard says the size
            with contextlib.suppress(OSError):
                now = v4l2.picture_format(self.ask)
                pixels[now.width_px, now.height_px] = None
        found = [VideoSize(*one, self._rates(fourcc, one)) for one in list(pixels)[:_MOST]]
        found.sort(key=lambda size: (size.width_px * size.height_px, size.width_px), reverse=True)
        return tuple(found)

    def _rates(self, fourcc: str, size: tuple[int, int]) -> tuple[float, ...]:
        found: set[float] = set()
        for rates in self._each(lambda ask, index: v4l2.rates_fps(ask, fourcc, size, index)):
            found.update(rates)
        return tuple(sorted((rate for rate in found if math.isfinite(rate)), reverse=True))

    def _each(self, ask: Callable[[v4l2.Ioctl, int], _T]) -> Iterator[_T]:
        """Yield what `ask` answers for 0, 1, ... until the device has no more."""
        for index in range(_MOST):
            try:
                yield ask(self.ask, index)
            except OSError:
                return

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            raise failure(err, self._title) from err


class LinuxVideo:
    """The capture devices of a box. See `devices`.

    Args:
        dev: Where the nodes are.
        ioctl: Asks the kernel.
    """

    def __init__(
        self,
        dev: Path = Path("/dev"),
        ioctl: Callable[[int, int, bytearray], object] = fcntl.ioctl,
    ) -> None:
        self._dev = dev
        self._ioctl = ioctl

    def devices(self) -> list[VideoDevice]:
        """Return every camera and grabber that can be streamed from, in the kernel's order.

        Each goes by its id if it has one of its own: of two cameras of one kind without serial
        numbers udev names only one by its id, now this and now that, so both go by the place
        they are plugged in at.
        """
        found = [one for node in self._nodes() if (one := self._device(node)) is not None]
        ids, places = self._links("by-id"), self._links("by-path")
        lost = {(one.title, one.driver) for one in found if one.node not in ids}
        named = []
        for one in found:
            twin = (one.title, one.driver) in lost
            path = places.get(one.node) if twin else ids.get(one.node)
            path = path or places.get(one.node) or ids.get(one.node)
            named.append(replace(one, path=path or one.node, stable=path is not None))
        return named

    def _nodes(self) -> list[str]:
        found = [
            (int(number[1]), str(path))
            for path in self._dev.glob("video*")
            if (number := re.fullmatch(r"video([0-9]{1,6})", path.name))
        ]
        return [path for _, path in sorted(found)]

    def _links(self, kind: str) -> dict[str, str]:
        """Names of one kind by the node they lead to."""
        found: dict[str, str] = {}
        for link in sorted((self._dev / "v4l" / kind).glob("*")):
            with contextlib.suppress(OSError):
                found.setdefault(os.path.realpath(link), str(link))
        return found

    def _device(self, node: str) -> VideoDevice | None:
        name = os.path.basename(node)
        try:
            fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as err:
            code = failure(err, node).code
            return VideoDevice(node, node, name, "", stable=False, fault=code)
        with VideoPort(fd, node, self._ioctl) as port:
            try:
                what = port.capability()
            except NvrError:
                return None
            return VideoDevice(
                node,
                node,
                what.card or name,
                what.driver,
                stable=False,
                inputs=port.inputs(),
                input=port.input(),
                standard=port.standard(),
                formats=port.formats(),
                controls=port.controls(),
            )


def halt(node: str, ioctl: Callable[[int, int, bytearray], object] = fcntl.ioctl) -> int:
    """Stop the stream that this process has of a node, whoever opened it here.

    A library that waits for a picture that never comes is woken by that, and nothing else wakes
    it: the kernel waits with no end and the library has no word for it.

    Returns:
        How many descriptors of the node were told.
    """
    told = 0
    for fd in own_descriptors(node):
        with contextlib.suppress(OSError):
            ioctl(fd, v4l2.STREAMOFF, bytearray(v4l2.CAPTURE.to_bytes(4, "little")))
            told += 1
    return told


def own_descriptors(node: str) -> list[int]:
    """Descriptors that this process has of a device node."""
    try:
        wanted = os.stat(node).st_rdev
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return []
    found = []
    for fd in numbers:
        with contextlib.suppress(OSError):
            if wanted and os.fstat(fd).st_rdev == wanted:
                found.append(fd)
    return found


def failure(err: OSError, path: str) -> NvrError:
    """What the kernel's refusal means, for a person."""
    match err.errno:
        case errno.ENOENT:
            return Unavailable("device.missing", "it is not plugged in", device=path)
        case errno.ENODEV | errno.ENXIO | errno.EIO:
            return Unavailable("device.gone", "it was pulled, or its bus failed", device=path)
        case errno.EBUSY:
            return Unavailable("device.busy", "another program takes its pictures", device=path)
        case errno.EACCES | errno.EPERM:
            return Misconfigured(
                "device.denied", "this user may not open it (group video or audio)", device=path
            )
        case errno.ENOSPC:
            return Unavailable(
                "device.no_room", "its USB bus has no room for so many pictures", device=path
            )
    said = os.strerror(err.errno).lower() if err.errno else str(err)
    return Unavailable("device.failed", said, device=path)


def _no_video(path: str) -> Misconfigured:
    return Misconfigured("device.no_video", "no pictures can be taken from it", device=path)


def _signal(status: int) -> Signal:
    if status & v4l2.NO_POWER:
        return "unpowered"
    # What has colour but no line lock is noise.
    return "none" if status & (v4l2.NO_SIGNAL | v4l2.NO_SYNC | v4l2.NO_H_LOCK) else "present"


def _offered(size: v4l2.FrameSize) -> list[tuple[int, int]]:
    """The largest of a range and the usual sizes in it."""
    width, height = size.width, size.height
    if width.least == width.most and height.least == height.most:
        return [(width.most, height.most)]
    usual = [one for one in _USUAL_PX if _fits(one[0], width) and _fits(one[1], height)]
    return [(width.most, height.most), *usual]


def _fits(value: int, range_: v4l2.Range) -> bool:
    return (
        range_.least <= value <= range_.most and (value - range_.least) % max(1, range_.step) == 0
    )
