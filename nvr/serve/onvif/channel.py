"""Cameras as ONVIF sees them: each a video source, each of its streams a profile.

Tokens are names that people gave, so that they last: source and PTZ node ``gate``, profiles and
their encoders ``gate.main`` and ``gate.sub``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nvr.auth.user import Right, Subject
from nvr.media.camera import CameraState, StreamState
from nvr.media.name import WHICH, Which
from nvr.media.track import TrackConfig
from nvr.serve.onvif.parts import Call, Parts
from nvr.wire.soap import Fault


@dataclass(frozen=True, slots=True)
class Profile:
    """One stream of a camera.

    Attributes:
        camera: Its camera.
        which: Which of its streams.
        stream: As it is now.
        sound: Its sound, None if it has none that is known.
        steered: The camera has a head that this host may steer.
        points: That head says where it points, and goes where it is told.
    """

    camera: CameraState
    which: Which
    stream: StreamState
    sound: TrackConfig | None
    steered: bool
    points: bool

    @property
    def token(self) -> str:
        """Its token."""
        return f"{self.camera.name}.{self.which}"

    @property
    def title(self) -> str:
        """For people."""
        name = self.camera.title or self.camera.name
        return name if self.which == "main" else f"{name} {self.which}"

    @property
    def size_px(self) -> tuple[int, int]:
        """Size of its pictures, ``(0, 0)`` until it is known."""
        return self.stream.width_px, self.stream.height_px


class Channels:
    """What a host may see of the cameras."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def sources(self, subject: Subject) -> list[CameraState]:
        """Cameras that this host may see live."""
        return [one for one in self._all() if "live" in subject.may(one.name)]

    def _all(self) -> list[CameraState]:
        """Cameras of the device."""
        only = self._parts.only
        return [one for one in self._parts.cameras.all() if only in {"", one.name}]

    def profiles(self, subject: Subject) -> list[Profile]:
        """Their streams."""
        return self.all(subject, "live")

    def all(self, subject: Subject, right: Right) -> list[Profile]:
        """Streams of the cameras on which this host has a right."""
        return [
            self._profile(subject, camera, which)
            for camera in self._all()
            if right in subject.may(camera.name)
            for which in WHICH
            if which == "main" or camera.sub is not None
        ]

    def profile(self, call: Call, argument: str = "ProfileToken") -> Profile:
        """Return the one that a request names.

        Raises:
            Fault: ``ter:NoProfile``.
        """
        wanted = call.said(argument)
        found = next((one for one in self.profiles(call.subject) if one.token == wanted), None)
        if found is None:
            raise Fault("there is no such profile", "ter:InvalidArgVal", "ter:NoProfile")
        return found

    def camera_in(self, argument: str) -> Callable[[Call], str]:
        """Return what finds the camera of a profile that a request names. See `Operation`."""
        return lambda call: self.profile(call, argument).camera.name

    def _profile(self, subject: Subject, camera: CameraState, which: Which) -> Profile:
        stream: StreamState = camera
        if which == "sub" and camera.sub is not None:
            stream = camera.sub
        config = self._parts.hub.stream(stream.stream).config or ()
        sound = next((track for track in config if track.kind == "audio"), None)
        steered = camera.name in self._parts.ptz.cameras() and "ptz" in subject.may(camera.name)
        points = steered and self._parts.points(camera.name)
        return Profile(camera, which, stream, sound, steered, points)
