"""Pictures of a world that goes on in all directions, as a camera turned and zoomed sees it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_SIDE = 900
SIZE = (320, 180)


def _world(seed: int) -> NDArray[np.float64]:
    """Structure of all sizes, as most outdoor pictures have it; it joins at its edges."""
    noise = np.random.default_rng(seed).normal(size=(_SIDE, _SIDE))
    frequency = np.fft.fftfreq(_SIDE)
    size = np.hypot(frequency[:, None], frequency[None, :])
    size[0, 0] = 1
    world = np.real(np.fft.ifft2(np.fft.fft2(noise) / size**1.2))
    return (world - world.mean()) / world.std()


@dataclass
class World:
    """What there is to see. `contrast` in grey levels, `noise` of the sensor too."""

    seed: int = 1
    world: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.world = _world(self.seed)

    def seen(
        self,
        x: float,
        y: float,
        scale: float = 1.0,
        *,
        contrast: float = 40.0,
        noise: float = 3.0,
        seed: int = 0,
    ) -> NDArray[np.uint8]:
        """The picture whose middle shows what lies at (x, y), in pixels at scale 1."""
        width, height = SIZE
        rows = (np.arange(height) - (height - 1) / 2) / scale + y
        columns = (np.arange(width) - (width - 1) / 2) / scale + x
        y0, x0 = np.floor(rows).astype(int), np.floor(columns).astype(int)
        fy, fx = (rows - y0)[:, None], (columns - x0)[None, :]

        def at(dy: int, dx: int) -> NDArray[np.float64]:
            return self.world[np.ix_((y0 + dy) % _SIDE, (x0 + dx) % _SIDE)]

        top = at(0, 0) * (1 - fx) + at(0, 1) * fx
        low = at(1, 0) * (1 - fx) + at(1, 1) * fx
        grey = 110 + contrast * (top * (1 - fy) + low * fy)
        grey += np.random.default_rng((seed, round(x * 8) % _SIDE, round(y * 8) % _SIDE)).normal(
            scale=max(noise, 1e-9), size=grey.shape
        )
        return np.clip(grey, 0, 255).astype(np.uint8)
