"""A V4L2 device at the boundary of ioctl: it answers with bytes as the kernel would.

It knows nothing of `nvr.hal.v4l2`: where its fields lie was printed by a C compiler
(`tests/hal/test_v4l2.py` has one), and is written here once more by hand.
"""

import errno
import struct
from dataclasses import dataclass, field


def number(direction, what, size):
    return direction << 30 | size << 16 | 0x5600 | what


@dataclass
class Device:
    card: str = "USB Video Device"
    driver: str = "uvcvideo"
    caps: int = 0x84200001
    own_caps: int = 0x04200001
    formats: list = field(
        default_factory=lambda: [
            (b"MJPG", "Motion-JPEG", 1, [(1920, 1080, [30, 15]), (640, 480, [30])]),
            (b"YUYV", "YUYV 4:2:2", 0, [(640, 480, [30, 25])]),
        ]
    )
    ranges: dict = field(default_factory=dict)  # fourcc: (min, max, step) of width and of height
    inputs: list = field(default_factory=lambda: [("Camera 1", 0)])
    used: int = 0
    status: int = 0
    standard: int | None = None
    detected: int = 0
    current: tuple = (640, 480, b"YUYV", 1)
    controls: list = field(default_factory=lambda: [(0x980900, "Brightness", 0, 255, 1, 128, 0)])
    kinds: dict = field(default_factory=dict)  # number: type, 1 where none stands
    menus: dict = field(default_factory=dict)  # number: {index: title}
    values: dict = field(default_factory=dict)  # number: value, as set
    turned: list = field(default_factory=list)
    broken: int = 0  # errno of everything
    busy: bool = False
    asked: list = field(default_factory=list)

    def ioctl(self, _fd, request, data):
        assert request >> 16 & 0x3FFF == len(data), "the size in the number is that of the bytes"
        self.asked.append(request)
        if self.broken:
            raise OSError(self.broken, "broken")
        answer = {
            number(2, 0, 104): self._capability,
            number(3, 2, 64): self._format,
            number(3, 4, 208): self._get,
            number(2, 23, 8): self._get_standard,
            number(1, 24, 8): self._set_standard,
            number(3, 26, 80): self._input,
            number(3, 27, 8): self._get_control,
            number(3, 28, 8): self._set_control,
            number(3, 36, 68): self._control,
            number(3, 37, 44): self._menu,
            number(2, 38, 4): self._get_input,
            number(3, 39, 4): self._set_input,
            number(2, 63, 8): self._detect,
            number(3, 74, 44): self._size,
            number(3, 75, 52): self._rate,
        }.get(request)
        if answer is None:
            raise OSError(errno.ENOTTY, "no such request")
        answer(data)

    def _pick(self, some, index):
        if index >= len(some):
            raise OSError(errno.EINVAL, "behind the last")
        return some[index]

    def _capability(self, data):
        data[0:16] = self.driver.encode().ljust(16, b"\0")
        data[16:48] = self.card.encode()[:31].ljust(32, b"\0")
        struct.pack_into("=II", data, 84, self.caps, self.own_caps)

    def _format(self, data):
        index, kind = struct.unpack_from("=II", data)
        assert kind == 1
        pixels, title, flags, _ = self._pick(self.formats, index)
        struct.pack_into("=I32s4s", data, 8, flags, title.encode(), pixels)

    def _size(self, data):
        index, pixels = struct.unpack_from("=I4s", data)
        if pixels in self.ranges:
            self._pick([0], index)
            struct.pack_into("=I6I", data, 8, 3, *self.ranges[pixels])
            return
        sizes = next((sizes for each, _, _, sizes in self.formats if each == pixels), [])
        width, height, _ = self._pick(sizes, index)
        struct.pack_into("=III", data, 8, 1, width, height)

    def _rate(self, data):
        index, pixels, width, height = struct.unpack_from("=I4sII", data)
        sizes = next((sizes for each, _, _, sizes in self.formats if each == pixels), [])
        rates = next((rates for w, h, rates in sizes if (w, h) == (width, height)), [])
        rate = self._pick(rates, index)
        above, below = rate if isinstance(rate, tuple) else (1, rate)
        struct.pack_into("=III", data, 16, 1, above, below)

    def _input(self, data):
        (index,) = struct.unpack_from("=I", data)
        title, standards = self._pick(self.inputs, index)
        status = self.status if index == self.used else 0
        struct.pack_into("=32sIIIQI", data, 4, title.encode(), 2, 0, 0, standards, status)

    def _get_input(self, data):
        struct.pack_into("=i", data, 0, self.used)

    def _set_input(self, data):
        if self.busy:
            raise OSError(errno.EBUSY, "busy")
        (self.used,) = struct.unpack_from("=i", data)

    def _get_standard(self, data):
        if self.standard is None:
            raise OSError(errno.ENOTTY, "not analogue")
        struct.pack_into("=Q", data, 0, self.standard)

    def _set_standard(self, data):
        if self.standard is None:
            raise OSError(errno.ENOTTY, "not analogue")
        if self.busy:
            raise OSError(errno.EBUSY, "busy")
        (wanted,) = struct.unpack_from("=Q", data)
        if not wanted & self.inputs[self.used][1]:
            raise OSError(errno.EINVAL, "not taken")
        self.standard = wanted

    def _detect(self, data):
        if self.standard is None:
            raise OSError(errno.ENOTTY, "not analogue")
        struct.pack_into("=Q", data, 0, self.detected)

    def _get(self, data):
        width, height, pixels, fields = self.current
        struct.pack_into("=II4sI", data, 8, width, height, pixels, fields)

    def _get_control(self, data):
        (wanted,) = struct.unpack_from("=I", data)
        one = next((each for each in self.controls if each[0] == wanted), None)
        if one is None:
            raise OSError(errno.EINVAL, "no such control")
        struct.pack_into("=i", data, 4, self.values.get(wanted, one[5]))

    def _set_control(self, data):
        wanted, value = struct.unpack_from("=Ii", data)
        one = next((each for each in self.controls if each[0] == wanted), None)
        if one is None or not one[2] <= value <= one[3]:
            raise OSError(errno.ERANGE, "Numerical result out of range")
        self.turned.append((one[1], value))
        self.values[wanted] = value

    def _menu(self, data):
        wanted, index = struct.unpack_from("=II", data)
        title = self.menus.get(wanted, {}).get(index)
        if title is None:
            raise OSError(errno.EINVAL, "no such choice")
        struct.pack_into("=32s", data, 8, title.encode())

    def _control(self, data):
        (wanted,) = struct.unpack_from("=I", data)
        after = wanted & ~0x80000000
        found = [each for each in self.controls if each[0] > after or each[0] == wanted]
        one, title, least, most, step, usual, flags = self._pick(found, 0)
        struct.pack_into(
            *("=II32siiiiI", data, 0, one, self.kinds.get(one, 1), title.encode()),
            *(least, most, step, usual, flags),
        )
