"""Where a head is sent when something happens at a camera."""

from typing import Annotated

from msgspec import Meta, Struct

from nvr.config.value import Name

EventSort = Annotated[
    str,
    Meta(
        pattern=r"^(motion|reported|tamper|input|line|signal|dark|bright|covered|moved|defocused"
        r"|frozen|object(\.[^\s,.]{1,48})?)$"
    ),
]
"""``reported``: through the API or `nvr event`; ``tamper``, ``input``, ``line``: told by the camera
over ONVIF, ``motion`` by it or by what looks at its pictures, which finds the others too."""


class OnEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[camera.on_event]]``: a head goes to a preset when something happens at the camera."""

    sort: EventSort
    preset: Annotated[int, Meta(ge=1, le=255)]
    # Whose head goes there; None: the camera's own.
    camera: Name | None = None
    # Only in this zone, where the sort has one.
    zone: Annotated[str, Meta(max_length=64)] = ""
    # None: that of alarms, ``[control.priority] alarm``.
    priority: Annotated[int, Meta(ge=0, le=100)] | None = None
    # So long nobody of a lower or the same priority gets the head.
    hold_s: Annotated[float, Meta(ge=0, le=3600)] = 60.0
