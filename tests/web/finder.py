"""Cameras to be found that are nowhere but in memory. See `nvr.media.find.Finder`."""

import asyncio
from dataclasses import replace

import av
import numpy as np

from nvr.app.diagnosis import findings
from nvr.base.errors import Rejected
from nvr.codec.still import jpeg
from nvr.media.find import Examined, Login, Seen, Trial
from nvr.media.onvif import Device, Profile, Sighting

MAIN = Profile("m", "main", "src", "h264", 1920, 1080, 25.0, 4096, 100, "", "e0", "")
SUB = replace(MAIN, token="s", width_px=640, height_px=360)


def red() -> bytes:
    """A JPEG."""
    frame = av.VideoFrame.from_ndarray(np.full((126, 224, 3), (200, 30, 30), np.uint8), "rgb24")
    return jpeg(frame.reformat(format="yuvj420p"), 224)


class MemoryFinder:
    """Three cameras: good, with long groups and a wrong clock, and with another password."""

    def __init__(self, cameras) -> None:
        self._cameras = cameras
        self.gop_s = 4.0
        self.off_s = -38.0
        self.cured: list[str] = []
        self.places: dict[str, object] = {}
        self.asked: list[Login] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def find(self, where: str = "") -> tuple[Seen, ...]:
        if where == "nonsense":
            raise Rejected("camera.search", "that is no address")
        if where:
            return ()
        names = {"61": "临江路口", "64": "河堤步道", "65": ""}
        return tuple(
            Seen(
                Sighting(f"192.168.1.{n}", 80, name=name, hardware="DS-2CD2143", via="eth0"),
                f"192.168.1.{n}:80",
                "",
            )
            for n, name in names.items()
        )

    async def examine(self, login: Login) -> Examined:
        self.asked.append(login)
        await self.hold.wait()
        number = login.address.partition(":")[0].rpartition(".")[2]
        wrong = login.password != ("other" if number == "65" else "right")
        device = main = sub = err = None
        if wrong:
            err = Rejected("onvif.refused", "no")
        else:
            odd = number == "64"
            device = Device("Hikvision", "DS-2CD2143", "5.5", "1", self.off_s if odd else 0.1, ())
            url = f"rtsp://192.168.1.{number}/1"
            gop_s = self.gop_s if odd else 2.0
            main = Trial(MAIN, url, "", "", "h264", 1920, 1080, 25.0, gop_s, 4100, "", "tcp")
            seen = ("h264", 640, 360, 25.0, 2.0, 400, "", "tcp", red())
            sub = Trial(SUB, url, "", "", *seen)
        said = findings(device, main, sub, err, login, "")
        title = "Hikvision DS-2CD2143" if device else f"cam-{number}"
        profiles = (MAIN, SUB) if device else ()
        return Examined(
            login.address, device, profiles, main, sub, said, f"cam-{number}", title, ""
        )

    async def cure(self, login: Login, what: str) -> None:  # noqa: ARG002 - the port's shape
        self.cured.append(what)
        if what == "gop":
            self.gop_s = 2.0
        else:
            self.off_s = 0.0

    def place(self, name: str):
        return self.places.get(name), "192.0.2.10:80"

    async def move(self, name: str, onvif) -> None:
        self.places[name] = onvif

    async def adopt(self, login: Login, name: str, title: str):  # noqa: ARG002 - the port's shape
        if name in self._cameras.states:
            raise Rejected("camera.name_taken", "taken", camera=name)
        return self._cameras.put(name, title)
