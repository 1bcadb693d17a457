"""Names of streams: each camera has ``gate/main``, and may have ``gate/sub``."""

from typing import Literal, get_args

Which = Literal["main", "sub"]
WHICH: tuple[Which, ...] = get_args(Which)


COPY = "+copy"
"""Ends the name under which a volume holds what is copied to it from another one."""
FETCHED = "+fetched"
"""Ends the name under which a volume holds what was fetched from the camera's own storage."""
BESIDE = (COPY, FETCHED, FETCHED + COPY)
"""What counts only where the stream itself has nothing, the first before the next."""


def stream_of(camera: str, which: Which = "main") -> str:
    """Return the name of a camera's stream."""
    return f"{camera}/{which}"


def camera_of(stream: str) -> str:
    """Return the camera of a stream: ``gate`` of ``gate/main``."""
    return stream.partition("/")[0]


def which_of(stream: str) -> str:
    """Return which of its camera's streams it is: ``main`` of ``gate/main``."""
    return stream.partition("/")[2]


def is_copy(stream: str) -> bool:
    """Whether it is a copy of what another volume holds of a stream."""
    return stream.endswith(COPY)


def is_beside(stream: str) -> bool:
    """Whether it is one of `BESIDE` of a stream: not recorded as it happened, on this volume."""
    return "+" in stream


def original(stream: str) -> str:
    """Return the stream that one of `BESIDE` belongs to, or the stream itself."""
    return stream.partition("+")[0]
