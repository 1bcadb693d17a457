"""Real footage, labelled by hand: people before a building, PETS 2009, as OpenCV's samples have it.

The clip comes in the source package of OpenCV for Python (Apache-2.0), 95 MB that are fetched once
(pip itself would try to build it). It has 795 pictures of 768x576 at 10 a second, and the noise and
blocks of a real camera. Labels were written down from pictures half a second apart, before anything
was looked at by machine. A clip begins in the middle of things: six seconds are for learning.
"""

import hashlib
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from nvr.analyse.grid import Zone
from tests.analyse.film import Film, Label, luma_of

PACKAGE = (
    "https://files.pythonhosted.org/packages/2f/7e/d20f68a5f1487adf19d74378d349932a386b1ece3be9be9915e59"
    "86db468/opencv-python-headless-4.10.0.84.tar.gz"
)
SHA256 = "f2017c6101d7c2ef8d7bc3b414c37ff7f54d64413a1847d89970b6b7069b4e1a"
MEMBER = "opencv-python-headless-4.10.0.84/opencv/samples/data/vtest.avi"
LAWN = Zone("lawn", ((0, 640), (480, 640), (850, 960), (850, 1000), (0, 1000)), 5)
PATH = Zone("path", ((660, 645), (1000, 645), (1000, 930)), 5)
FROM_S = 6.0
LABELS: dict[str, tuple[Label, ...]] = {
    "lawn": ((51.5, 70.0, "motion"),),
    "path": ((20.0, 24.3, "motion"), (38.0, 66.0, "motion")),
}
SIZE = (640, 480)


def fetched(place: Path) -> Path:
    """Return the clip, out of its package unless it lies in a directory already."""
    clip = place / "vtest.avi"
    if not clip.exists():
        place.mkdir(parents=True, exist_ok=True)
        package = clip.with_suffix(".tar.gz")
        urllib.request.urlretrieve(PACKAGE, package)
        if hashlib.sha256(package.read_bytes()).hexdigest() != SHA256:
            raise ValueError(f"{PACKAGE} is another file than the one that was labelled")
        with tarfile.open(package) as files:
            member = files.extractfile(MEMBER)
            assert member is not None
            clip.write_bytes(member.read())
        package.unlink()
    return clip


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
