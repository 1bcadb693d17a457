"""The program that films, with a camera that encodes its own pictures and is none."""

import os
import traceback

from nvr.app import film
from nvr.capture import v4l2
from nvr.codec.encode import Encoder
from nvr.media.device import Controls
from nvr.media.encoder import AccessUnit, Settings
from nvr.media.film import Begin
from nvr.sim.pattern import Pattern


class Camera(v4l2.Coded):
    """640x360 at 25, as the test picture is; ``bare`` in its address: without parameter sets."""

    def __init__(self, url: str) -> None:
        self._pattern = Pattern("test:640x360@25")
        self.size, self.fps, self.lack = self._pattern.size, self._pattern.fps, ""
        self._encoder = Encoder(Settings(self.size, self.fps, 600_000, 0.4))
        self._bare = "bare" in url

    @property
    def late(self) -> int:
        return 0

    def turn(self, controls: Controls) -> list[str]:  # noqa: ARG002 - it has none
        return []

    def close(self) -> None:
        self._pattern.close()

    def read_unit(self) -> AccessUnit | None:
        picture = self._pattern.read()
        if picture is None:
            return None
        (unit,) = self._encoder.encode(picture)
        if not self._bare:
            return unit
        nals = tuple(nal for nal in unit.nals if nal[0] & 31 not in {7, 8})
        return AccessUnit(nals, unit.pts_90k, unit.key, unit.dts_90k)


def opened(begin: Begin) -> Camera:
    return Camera(begin.url)


if __name__ == "__main__":
    film.opened = opened
    try:
        code = film.main()
    except BaseException:  # noqa: BLE001 - a bug, said on the way out
        traceback.print_exc()
        code = 3
    os._exit(code)
