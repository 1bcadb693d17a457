"""A microphone or line input, read from the kernel a few times a second.

Not through libavdevice: it takes the shortest period a device has (measured on ``snd-aloop`` 128
frames, on ``snd-dummy`` 32, that is 375 and 1,500 packets a second, each an interrupt of a real
device), and PyAV's alsa-lib looks for its configuration below ``/tmp/vendor``, where anybody can
put one.

Source: Linux 6.1 ``sound/core/pcm_native.c``: `read` of an interleaved stream, ``DELAY``.
"""

import errno
import fcntl
import os
import re
import select
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nvr.base.errors import Misconfigured, Unavailable
from nvr.hal import alsa
from nvr.hal.linux_video import failure

_NAME: Final = re.compile(r"CARD=([^,/]{1,32})(?:,DEV=([0-9]{1,3}))?")
_PERIOD_S: Final = 0.04
_BUFFER_S: Final = 1.0
_FORMATS: Final = {alsa.S16_LE: "s16", alsa.S32_LE: "s32"}
_BYTES: Final = {"s16": 2, "s32": 4}
_RATES: Final = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 11_025, 8_000)


@dataclass(frozen=True, slots=True)
class Sound:
    """What was heard.

    Attributes:
        samples: Interleaved, as `Microphone` says.
        at_s: Monotonic seconds of the first one.
        lost: The device stopped before these because nobody read.
    """

    samples: bytes
    at_s: float
    lost: bool


class Microphone:
    """An open one. Used by one thread.

    Args:
        name: As `nvr.media.device.SoundDevice.name`: ``CARD=Camera,DEV=0``.
        proc: Where the kernel tells of cards.
        dev: Where the nodes are.

    Attributes:
        rate_hz: Samples a second of each channel.
        channels: 1 or 2, or what it insists on.
        format: ``s16`` or ``s32``.

    Raises:
        Unavailable: ``device.missing``, ``device.busy``, ``device.gone``.
        Misconfigured: ``device.denied``, ``device.no_sound``: it has no samples that we read.
    """

    def __init__(
        self, name: str, *, proc: Path = Path("/proc/asound"), dev: Path = Path("/dev/snd")
    ) -> None:
        self._name = name
        self._fd = self._opened(node_of(name, proc, dev))
        try:
            self._set_up()
        except OSError as err:
            os.close(self._fd)
            raise failure(err, name) from err
        except BaseException:
            os.close(self._fd)
            raise
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._lost = False

    def read(self, within_s: float) -> Sound | None:
        """Wait for what comes next; None if nothing has come in time.

        Raises:
            Unavailable: ``device.gone``.
        """
        if not self._poll.poll(round(within_s * 1000)):
            return None
        try:
            data = os.read(self._fd, self._chunk_bytes)
            waiting = self._waiting()
        except BlockingIOError:
            return None
        except OSError as err:
            if err.errno not in {errno.EPIPE, errno.ESTRPIPE}:
                raise failure(err, self._name) from err
            self._lost = True
            self._start()
            return None
        lost, self._lost = self._lost, False
        count = len(data) // self.frame_bytes
        return Sound(data, time.monotonic() - (count + waiting) / self.rate_hz, lost)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * _BYTES[self.format]

    def close(self) -> None:
        """Let go of it; twice is once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _opened(self, node: str) -> int:
        try:
            return os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as err:
            raise failure(err, self._name) from err

    def _set_up(self) -> None:
        wish = self._refined(alsa.Hardware.anything())
        if not wish.has(alsa.ACCESS, alsa.INTERLEAVED):
            raise self._useless()
        wish = self._refined(wish.only(alsa.ACCESS, alsa.INTERLEAVED))
        found = next((bit for bit in _FORMATS if wish.has(alsa.FORMAT, bit)), None)
        if found is None:
            raise self._useless()
        self.format = _FORMATS[found]
        wish = self._refined(wish.only(alsa.FORMAT, found))
        least, _ = wish.interval(alsa.CHANNELS)
        self.channels = max(1, least)
        wish = self._refined(wish.fixed(alsa.CHANNELS, self.channels))
        wish = self._first(wish, alsa.RATE, [*_RATES, wish.interval(alsa.RATE)[1]])
        self.rate_hz = wish.interval(alsa.RATE)[0]
        for what, wanted_s in ((alsa.PERIOD, _PERIOD_S), (alsa.BUFFER, _BUFFER_S)):
            least, most = wish.interval(what)
            value = min(max(round(self.rate_hz * wanted_s), least), most)
            wish = self._first(wish, what, [value, least, most])
        fcntl.ioctl(self._fd, alsa.HW_PARAMS, wish.data)
        period, buffer = wish.interval(alsa.PERIOD)[0], wish.interval(alsa.BUFFER)[0]
        self._chunk_bytes = period * self.frame_bytes
        fcntl.ioctl(self._fd, alsa.SW_PARAMS, alsa.software(period, buffer))
        self._start()

    def _start(self) -> None:
        fcntl.ioctl(self._fd, alsa.PREPARE)
        fcntl.ioctl(self._fd, alsa.START)

    def _waiting(self) -> int:
        data = bytearray(8)
        fcntl.ioctl(self._fd, alsa.DELAY, data)
        return max(0, alsa.frames(data))

    def _refined(self, wish: alsa.Hardware) -> alsa.Hardware:
        fcntl.ioctl(self._fd, alsa.HW_REFINE, wish.data)
        return wish

    def _first(self, wish: alsa.Hardware, what: int, values: list[int]) -> alsa.Hardware:
        """Fix an interval at the first value that the device takes."""
        for value in values:
            try:
                return self._refined(wish.fixed(what, value))
            except OSError as err:
                if err.errno != errno.EINVAL:
                    raise
        raise self._useless()

    def _useless(self) -> Misconfigured:
        return Misconfigured(
            "device.no_sound", "it has no samples of 16 or 32 bits in turn", device=self._name
        )


def node_of(name: str, proc: Path, dev: Path) -> str:
    """Return the node of a device that goes by the name of its card.

    Raises:
        Unavailable: ``device.missing``.
        Misconfigured: ``device.no_sound``: it is no such name.
    """
    found = _NAME.fullmatch(name)
    if found is None or found[1] in {".", ".."}:
        raise Misconfigured("device.no_sound", "a microphone is CARD=...,DEV=...", device=name)
    card = proc / found[1]
    if found[1].isdecimal():
        card = proc / f"card{found[1]}"
    number = re.fullmatch(r"card([0-9]+)", card.resolve().name)
    if number is None or not card.exists():
        raise Unavailable("device.missing", "it is not plugged in", device=name)
    return str(dev / f"pcmC{number[1]}D{int(found[2] or 0)}c")
