"""Microphones and line inputs: which there are, by names that survive replugging.

ALSA numbers its cards in the order in which they are found; their ids (``Camera``, ``Device_1``)
stay with the model, so devices go by those.

Source: Linux 6.1 ``Documentation/sound/designs/procfile.rst``; alsa-lib's ``CARD=,DEV=`` arguments.
"""

import re
from pathlib import Path

from nvr.media.device import SoundDevice

_CARD = re.compile(r"^\s*(\d+)\s+\[(\S+)\s*\]:\s+(\S+)\s+-\s+(.*)$")
_PCM = re.compile(r"^(\d\d)-(\d\d):\s*(.*?)\s*:\s*(.*?)\s*:(.*)$")


class LinuxSound:
    """The capture devices for sound of a box.

    Args:
        proc: Where the kernel tells of them.
    """

    def __init__(self, proc: Path = Path("/proc/asound")) -> None:
        self._proc = proc

    def devices(self) -> list[SoundDevice]:
        """Return each that records, in the kernel's order."""
        cards = {
            int(found[1]): (found[2], _fit(found[4]))
            for line in _lines(self._proc / "cards")
            if (found := _CARD.match(line))
        }
        devices = []
        for line in _lines(self._proc / "pcm"):
            found = _PCM.match(line)
            if found is None or "capture" not in found[5] or int(found[1]) not in cards:
                continue
            card, title = cards[int(found[1])]
            what = _fit(found[4] or found[3])
            name = f"CARD={card},DEV={int(found[2])}"
            devices.append(SoundDevice(name, title if what in title else f"{title}: {what}"))
        return devices


def _fit(text: str) -> str:
    """Make a maker's text fit for a terminal and a page."""
    return "".join(letter if letter.isprintable() else "_" for letter in text.strip())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
