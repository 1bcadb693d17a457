"""Captions over converted pictures, in the sandbox: its fonts are opened before it is shut in."""

import av

from nvr.base.clock import TICKS_PER_S
from nvr.media.camera import CaptionText
from nvr.media.caption import MODES
from nvr.overlay.burn import Burner, planes_of
from nvr.overlay.caption import Caption
from nvr.overlay.font import Font
from nvr.serve.recode_talk import Burned


class Captions:
    """Burns what is asked for into pictures of whatever size they have by then."""

    def __init__(self) -> None:
        self._font = Font()
        self._font.open_all()
        self._size = (0, 0)
        self._burner: Burner | None = None
        self._shown: CaptionText | None = None

    def burn(self, frame: av.VideoFrame, at_90k: int, burned: Burned) -> None:
        """Burn into a yuv420p picture, in place.

        Args:
            frame: The picture.
            at_90k: When it is shown.
            burned: The caption.
        """
        size, one = (frame.width, frame.height), burned.caption
        if self._burner is None or size != self._size:
            self._burner, self._size, self._shown = Burner(self._font, size), size, None
        self._burner.clock = burned.clock
        if one != self._shown:
            mode = next((mode for mode in MODES if mode == one.mode), MODES[0])
            self._burner.set(Caption(one.lines, one.position_permille, one.size_permille, mode))
            self._shown = one
        frame.make_writable()  # it is the decoder's own where there was nothing to convert
        wall_us = burned.since_us + at_90k * 1_000_000 // TICKS_PER_S
        self._burner.burn(planes_of(frame), wall_us)
