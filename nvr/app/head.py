"""A head's settings, between the configuration and what the page knows of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomlkit

from nvr.config.camera import Aux, Ptz
from nvr.media.head import HeadKind, HeadSettings, OwnOutput
from nvr.ptz.profile import library


def kinds(data: Path) -> tuple[HeadKind, ...]:
    """Return the kinds of heads that can be chosen, those that came with the recorder first."""
    found = library(data)
    return tuple(
        HeadKind(
            name,
            it.protocol,
            it.title,
            it.title_zh,
            it.about,
            it.about_zh,
            proven=it.proof is not None,
            own=name in found.own,
        )
        for name, it in found.profiles.items()
    )


def settings_of(ptz: Ptz, kinds: Iterable[HeadKind]) -> HeadSettings:
    """Return what the file says."""
    of_profile = next((one.protocol for one in kinds if one.name == ptz.profile), "pelco-d")
    return HeadSettings(
        ptz.bus,
        ptz.address,
        ptz.protocol or of_profile,
        ptz.turbo,
        ptz.tilt_reply,
        _output_of(ptz.wiper),
        _output_of(ptz.lamp),
        ptz.profile,
        _output_of(ptz.washer),
    )


def table_of(head: HeadSettings) -> dict[str, Any]:
    """Return the keys of ``[camera.ptz]`` that say the same; None for those to leave out."""
    return {
        "bus": head.bus or None,
        "address": None if head.protocol == "onvif" else head.address,
        "protocol": head.protocol,
        "profile": head.profile or None,
        "turbo": head.turbo,
        "tilt_reply": head.tilt_reply,
        "wiper": _value_of(head.wiper),
        "washer": _value_of(head.washer),
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
