"""What a request is about: ``rtsp://host/<prefix><name>[/sub][/track=N]``."""

from dataclasses import dataclass

from nvr.media.name import WHICH, Which


@dataclass(frozen=True, slots=True)
class Place:
    """What a request is about.

    Attributes:
        name: The camera's name.
        which: Which of its streams.
        track: Number of the track, -1 for the whole.
        recorded: What is recorded of it, not what is live.
    """

    name: str
    which: Which = "main"
    track: int = -1
    recorded: bool = False

    @property
    def path(self) -> str:
        """The stream in an address: ``gate``, ``gate/sub``."""
        return self.name if self.which == "main" else f"{self.name}/{self.which}"


def parse_place(uri: str, prefix: str) -> Place | None:
    """Read ``rtsp://host/<prefix><name>[/sub][/track=N]``; None if it is something else."""
    scheme, mark, rest = uri.partition("://")
    path = rest.partition("/")[2] if mark and scheme in {"rtsp", "rtsps"} else uri.lstrip("/")
    path = path.partition("?")[0].strip("/")
    if not path.startswith(prefix):
        return None
    name, *tail = path.removeprefix(prefix).split("/")
    which = next((one for one in WHICH if tail[:1] == [one]), None)
    if which is not None:
        del tail[0]
    if not name or len(tail) > 1:
        return None
    if not tail:
        return Place(name, which or "main")
    number = tail[0].removeprefix("track=")
    if number == tail[0] or not (number.isascii() and number.isdigit() and len(number) < 3):
        return None
    return Place(name, which or "main", int(number))
