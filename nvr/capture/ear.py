"""Listens to a microphone of this box, in a thread of its own, and gives AAC.

Sound never holds pictures up: a microphone that is pulled is tried again every two seconds, and
the pictures go on without it meanwhile.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from nvr.base.errors import NvrError
from nvr.codec.sound import SoundEncoder, SoundUnit
from nvr.hal.linux_pcm import Microphone

_WAIT_S: Final = 0.5
_SILENT_S: Final = 3.0
_AGAIN_S: Final = 2.0


class Ear:
    """One microphone. `start` and `close` are called by one thread.

    Args:
        name: As `nvr.media.device.SoundDevice.name`.
        heard: Takes what was heard, in the thread that listens; what it raises ends that.

    Attributes:
        config: AudioSpecificConfig of what comes.

    Raises:
        NvrError: It cannot be opened.
    """

    def __init__(self, name: str, heard: Callable[[Sequence[SoundUnit]], None]) -> None:
        self._name, self._heard = name, heard
        self._microphone: Microphone | None = Microphone(name)
        self._encoder = self._encodes(self._microphone)
        self.config = self._encoder.config
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._let_go()

    def _listen(self) -> None:
        silent_s = 0.0
        while not self._ended.is_set():
            try:
                if self._microphone is None:
                    self._microphone = Microphone(self._name)
                    self._encoder = self._encodes(self._microphone)
                found = self._microphone.read(_WAIT_S)
            except NvrError:
                found, silent_s = None, _SILENT_S
            if found is not None:
                silent_s = 0.0
                try:
                    self._heard(self._encoder.encode(found.samples, found.at_s))
                except NvrError:
                    return
                continue
            silent_s += _WAIT_S
            if silent_s >= _SILENT_S:
                self._let_go()
                self._ended.wait(_AGAIN_S)

    def _let_go(self) -> None:
        microphone, self._microphone = self._microphone, None
        if microphone is not None:
            microphone.close()

    @staticmethod
    def _encodes(microphone: Microphone) -> SoundEncoder:
        return SoundEncoder(microphone.rate_hz, microphone.channels, microphone.format)
