"""Names of streams: each camera has ``gate/main``, and may have ``gate/sub``."""

from typing import Literal, get_args

Which = Literal["main", "sub"]
WHICH: tuple[Which, ...] = get_args(Which)


COPY = "+copy"
"""Ends the name under which a volume holds what is copied to it from another one."""


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


def original(stream: str) -> str:
    """Return the stream that a copy is of, or the stream itself."""
    return stream.removesuffix(COPY)
