"""An open joystick: its events made into how it stands, axes from -1 to 1, buttons up or down.

Axes and buttons are counted as the kernel's ``joydev`` and so a browser counts them: axes by their
code, buttons from BTN_JOYSTICK on by their code, then those below.

Source: Linux 6.1 ``drivers/input/joydev.c``, ``Documentation/input/gamepad.rst``.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from nvr.base.errors import Unavailable
from nvr.wire.input_event import EVENT, Reports

BTN_JOYSTICK = 0x120
_MOST_BYTES = 64 * EVENT.size


@dataclass(frozen=True, slots=True)
class Layout:
    """What a joystick is and has.

    Attributes:
        name: As its maker calls it.
        vendor: USB vendor, 0 if it has none.
        product: USB product.
        axes: By code: least and most value.
        keys: Codes of its buttons.
    """

    name: str
    vendor: int
    product: int
    axes: Mapping[int, tuple[int, int]]
    keys: AbstractSet[int]

    @property
    def key(self) -> str:
        """What its profile is kept under: the same for all of its make."""
        return f"{self.vendor:04x}:{self.product:04x}:{' '.join(self.name.split())[:80]}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a joystick stands.

    Attributes:
        axes: -1 to 1, in the device's own direction: right and down are positive.
        buttons: Which are held.
    """

    axes: tuple[float, ...]
    buttons: tuple[bool, ...]


Ask = Callable[[], tuple[Mapping[int, int], AbstractSet[int]]]
"""Asks the device how it stands: values by axis, keys that are held. Raises `OSError`."""


class Joystick:
    """One joystick.

    Args:
        fd: Of its events, non-blocking; closed with this.
        layout: What it has.
        ask: Asks how it stands.

    Raises:
        Unavailable: ``joystick.gone``; `fd` is closed.
    """

    def __init__(self, fd: int, layout: Layout, ask: Ask) -> None:
        self._fd = fd
        self._ask = ask
        self.layout = layout
        self._reports = Reports()
        self._axes = dict.fromkeys(sorted(layout.axes), 0.0)
        high = {code for code in layout.keys if code >= BTN_JOYSTICK}
        self._keys = dict.fromkeys((*sorted(high), *sorted(layout.keys - high)), False)
        try:
            self.standing = self._asked()
        except Unavailable:
            os.close(fd)
            raise

    def fileno(self) -> int:
        """Readable when something changed."""
        return self._fd

    def read(self) -> list[Standing]:
        """Return how it stood after each report that has come; nothing if none is whole.

        Raises:
            Unavailable: ``joystick.gone``: it was pulled.
        """
        try:
            data = os.read(self._fd, _MOST_BYTES)
        except BlockingIOError:
            return []
        except OSError as err:  # ENODEV
            raise self._gone(err) from err
        if not data:
            raise self._gone("its other end was closed")
        found = []
        for report in self._reports.feed(data):
            if report.dropped:
                found.append(self._asked())
                continue
            self._take(report.axes, report.keys)
            found.append(self._stands())
        if found:
            self.standing = found[-1]
        return found

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    def _asked(self) -> Standing:
        try:
            values, held = self._ask()
        except OSError as err:
            raise self._gone(err) from err
        self._take(values.items(), ((code, code in held) for code in self._keys))
        return self._stands()

    def _take(self, axes: Iterable[tuple[int, int]], keys: Iterable[tuple[int, bool]]) -> None:
        for code, value in axes:
            if code in self._axes:
                least, most = self.layout.axes[code]
                share = (value - least) / (most - least) if most > least else 0.5
                self._axes[code] = min(max(2 * share - 1, -1.0), 1.0)
        for code, held in keys:
            if code in self._keys:
                self._keys[code] = held

    def _stands(self) -> Standing:
        return Standing(tuple(self._axes.values()), tuple(self._keys.values()))

    def _gone(self, why: object) -> Unavailable:
        return Unavailable("joystick.gone", str(why), joystick=self.layout.name)
