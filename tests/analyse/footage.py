"""Real footage, labelled by hand: people before a building, PETS 2009, as OpenCV's samples have it.

The clip comes in the source package of OpenCV for Python (Apache-2.0):

    pip download --no-deps --no-binary :all: opencv-python-headless==4.10.0.84
    tar xzf opencv-python-headless-*.tar.gz --wildcards '*/samples/data/vtest.avi'

It has 795 pictures of 768x576 at 10 a second, and the noise and blocks of a real camera. Labels
were written down from pictures half a second apart, before anything was looked at by machine. A
clip begins in the middle of things, so its first six seconds are for learning.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from nvr.analyse.grid import Zone
from tests.analyse.film import Film, Label, luma_of

LAWN = Zone("lawn", ((0, 640), (480, 640), (850, 960), (850, 1000), (0, 1000)), 5)
PATH = Zone("path", ((660, 645), (1000, 645), (1000, 930)), 5)
FROM_S = 6.0
LABELS: dict[str, tuple[Label, ...]] = {
    "lawn": ((51.5, 70.0, "motion"),),
    "path": ((20.0, 24.3, "motion"), (38.0, 66.0, "motion")),
}
SIZE = (640, 480)


class Clip(Film):
    """A film that was filmed."""

    path: Path

    def pictures(self, fps: float = 10) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yield each picture's time and luma."""
        with av.open(str(self.path)) as container:
            for n, frame in enumerate(container.decode(video=0)):
                yield n / fps, luma_of(frame.reformat(*SIZE, "yuv420p"))


def clips(path: Path) -> list[Clip]:
    """Return the clip once for each zone."""
    found = []
    for zone in (LAWN, PATH):
        clip = Clip(f"footage, {zone.name}", 79.5, labels=LABELS[zone.name], zones=(zone,))
        object.__setattr__(clip, "path", path)
        found.append(clip)
    return found
