"""A head's settings, between the configuration and what the page knows of them."""

from typing import Any

import tomlkit

from nvr.config.camera import Aux, Ptz
from nvr.media.camera import HeadSettings, OwnOutput


def settings_of(ptz: Ptz) -> HeadSettings:
    """Return what the file says."""
    return HeadSettings(
        ptz.bus,
        ptz.address,
        ptz.protocol,
        ptz.turbo,
        ptz.tilt_reply,
        _output_of(ptz.wiper),
        _output_of(ptz.lamp),
    )


def table_of(head: HeadSettings) -> dict[str, Any]:
    """Return the keys of ``[camera.ptz]`` that say the same; None for those to leave out."""
    return {
        "bus": head.bus or None,
        "address": None if head.protocol == "onvif" else head.address,
        "protocol": head.protocol,
        "turbo": head.turbo or None,
        "tilt_reply": None if head.tilt_reply == "falls" else head.tilt_reply,
        "wiper": _value_of(head.wiper),
        "lamp": _value_of(head.lamp),
    }


def _output_of(place: str | Aux | None) -> str | OwnOutput | None:
    return OwnOutput(place.aux, place.max_on_s) if isinstance(place, Aux) else place


def _value_of(place: str | OwnOutput | None) -> Any:  # noqa: ANN401 - tomlkit's own
    if not isinstance(place, OwnOutput):
        return place
    table = tomlkit.inline_table()
    table["aux"] = place.aux
    if place.max_on_s is not None:
        table["max_on_s"] = place.max_on_s
    return table
