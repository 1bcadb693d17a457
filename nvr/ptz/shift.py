"""Whether a head moved, by two pictures: one from before a nudge and one from after it."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
"""Shape ``(height, width)``, 0 dark to 255 bright."""

_LEAST_PEAK: Final = 0.05
_LEAST_PX: Final = 1.5
_LEAST_DIFFERENCE: Final = 6.0


def shift_px(before: Grey, after: Grey) -> tuple[float, float]:
    """How far the picture went, and how clear that is, by phase correlation.

    Returns:
        Distance in pixels, and the height of the peak: 1 for the same picture moved, near 0 for
        two that have nothing in common.
    """
    window = np.outer(np.hanning(before.shape[0]), np.hanning(before.shape[1]))
    one, other = (np.fft.rfft2((it - it.mean()) * window) for it in (before, after))
    cross = one * np.conj(other)
    cross /= np.maximum(np.abs(cross), 1e-9)
    surface = np.fft.irfft2(cross, s=before.shape)
    at = np.unravel_index(int(np.argmax(surface)), surface.shape)
    away = [n if n <= size // 2 else n - size for n, size in zip(at, surface.shape, strict=True)]
    return math.hypot(*(int(n) for n in away)), float(surface[at])


def difference(before: Grey, after: Grey) -> float:
    """Mean difference of two pictures, 0 to 255."""
    return float(np.abs(before.astype(np.int16) - after.astype(np.int16)).mean())


def moved(before: Grey, after: Grey, restless: float) -> bool:
    """Whether the camera was turned between two pictures.

    Args:
        before: The one.
        after: The other, of the same shape.
        restless: `difference` of two pictures between which it stood still: leaves, traffic.
    """
    far_px, peak = shift_px(before, after)
    if peak >= _LEAST_PEAK and far_px >= _LEAST_PX:
        return True
    # It went so far that nothing is left of the old picture.
    return peak < _LEAST_PEAK and difference(before, after) > max(_LEAST_DIFFERENCE, 3 * restless)
