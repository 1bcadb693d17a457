"""Changes of a camera in ``nvr.toml``, each a function that `nvr.config.load.edit` applies."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Table

from nvr.app.head import table_of
from nvr.app.settings import analyse_table, plan_table
from nvr.config.model import InputAction
from nvr.media.analyse import AnalyseSettings
from nvr.media.backfill import BackfillSettings
from nvr.media.camera import CaptionText, OnvifSettings, PlanSettings, SubSettings
from nvr.media.device import Capture
from nvr.media.drawn import Burn
from nvr.media.encoding import EncodeSettings
from nvr.media.head import HeadSettings
from nvr.media.mask import Masks
from nvr.media.name import Which

Change = Callable[[tomlkit.TOMLDocument], None]


def added(
    name: str,
    title: str,
    url: str,
    user: str,
    sub: SubSettings | None,
    onvif: OnvifSettings | None = None,
    capture: Capture | None = None,
) -> Change:
    """Return the change that adds a camera; what is empty is left out."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = tomlkit.table()
        entry["name"] = name
        if title:
            entry["title"] = title
        entry["url"] = url
        if user:
            entry["user"] = user
        if sub is not None:
            entry["sub"] = _sub_table(sub)
        if onvif is not None:
            table = tomlkit.table()
            _set(table, _onvif_values(onvif))
            entry["onvif"] = table
        if capture is not None and capture != Capture():
            entry["capture"] = _capture_table(capture)
        document.setdefault("camera", tomlkit.aot()).append(entry)

    return change


def removed(name: str) -> Change:
    """Return the change that removes a camera."""
    return lambda document: document["camera"].remove(_entry(document, name))


def changed(name: str, values: Mapping[str, Any]) -> Change:
    """Return the change that sets keys of a camera; empty and 0 take a key out, False stays."""
    kept = {key: value if value is False else value or None for key, value in values.items()}
    return lambda document: _set(_entry(document, name), kept)


def planned(name: str, which: Which, plan: PlanSettings) -> Change:
    """Return the change of a stream's plan."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = _entry(document, name)
        (entry if which == "main" else _sub(entry)).update(plan=plan_table(plan))

    return change


def subbed(name: str, sub: SubSettings | None) -> Change:
    """Return the change of a camera's sub stream; None takes it away."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = _entry(document, name)
        if sub is None:
            entry.pop("sub", None)
        elif "sub" in entry:
            _set(_sub(entry), _sub_values(sub))
        else:
            entry["sub"] = _sub_table(sub)

    return change


def encoded(name: str, settings: EncodeSettings) -> Change:
    """Return the change of how a local camera is encoded; what is usual is left out."""
    usual = asdict(EncodeSettings())
    said = {key: value for key, value in asdict(settings).items() if value != usual[key]}

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = _entry(document, name)
        entry.pop("encode", None)
        if said:
            table = tomlkit.table()
            table.update(said)
            entry["encode"] = table

    return change


def captured(name: str, capture: Capture) -> Change:
    """Return the change of how a camera's device is used; what is usual is left out."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = _entry(document, name)
        entry.pop("capture", None)
        if capture != Capture():
            entry["capture"] = _capture_table(capture)

    return change


def headed(name: str, head: HeadSettings | None) -> Change:
    """Return the change of a camera's head; None takes it away."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = _entry(document, name)
        if head is None:
            entry.pop("ptz", None)
        else:
            _set(entry.setdefault("ptz", tomlkit.table()), table_of(head))

    return change


def analysed(name: str, wanted: AnalyseSettings | None) -> Change:
    """Return the change of how a camera's pictures are looked at; None: not at all."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = _entry(document, name)
        if wanted is None:
            entry.pop("analyse", None)
        else:
            entry["analyse"] = analyse_table(wanted)

    return change


def followed(name: str, action: InputAction) -> Change:
    """Return the change of what follows an alarm input; nothing takes its table out."""

    def change(document: tomlkit.TOMLDocument) -> None:
        inputs = document.setdefault("input", tomlkit.table(is_super_table=True))
        if not action.record and not action.call:
            inputs.pop(name, None)
            return
        table = inputs.setdefault(name, tomlkit.table())
        calls = tomlkit.array()
        for call in action.call:
            one = tomlkit.inline_table()
            one.update({"camera": call.camera, "preset": call.preset})
            calls.append(one)
        for key, values in (("record", list(action.record)), ("call", calls)):
            if values:
                table[key] = values
            else:
                table.pop(key, None)

    return change


def onvifed(name: str, onvif: OnvifSettings | None) -> Change:
    """Return the change of where a camera's own services are; None takes it away."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = _entry(document, name)
        if onvif is None:
            entry.pop("onvif", None)
        else:
            _set(entry.setdefault("onvif", tomlkit.table()), _onvif_values(onvif))

    return change


def backfilled(name: str, wanted: BackfillSettings) -> Change:
    """Return the change of how what was missed is fetched; what is as usual is not written."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry, usual = _entry(document, name), BackfillSettings(on=True)
        if wanted.on or "backfill" in entry:
            keys = {
                one.name: None if value == getattr(usual, one.name) else value
                for one in fields(wanted)
                for value in (getattr(wanted, one.name),)
            }
            _set(entry.setdefault("backfill", tomlkit.table()), keys)

    return change


def captioned(name: str, caption: CaptionText, burn: Burn | None = None) -> Change:
    """Return the change of a camera's caption."""

    def change(document: tomlkit.TOMLDocument) -> None:
        table = tomlkit.table()
        table["lines"] = list(caption.lines)
        table["position_permille"] = list(caption.position_permille)
        table["size_permille"] = caption.size_permille
        table["mode"] = caption.mode
        entry = _entry(document, name)
        said = burn or entry.get("caption", {}).get("burn", "auto")
        if said != "auto":
            table["burn"] = said
        entry["caption"] = table

    return change


def masked(name: str, masks: Masks, burn: Burn | None = None) -> Change:
    """Return the change of a camera's masks."""

    def change(document: tomlkit.TOMLDocument) -> None:
        entry = _entry(document, name)
        entry.pop("mask", None)
        if burn is not None:
            _set(entry, {"mask_burn": None if burn == "auto" else burn})
        if masks:
            areas = tomlkit.aot()
            for mask in masks:
                area = tomlkit.table()
                area["points_permille"] = [list(point) for point in mask.points_permille]
                area["kind"] = mask.kind
                areas.append(area)
            entry["mask"] = areas

    return change


def _sub(entry: Any) -> Any:  # noqa: ANN401 - tomlkit's own
    """The table of the sub stream; one written in a single line has no room for a plan."""
    if isinstance(entry["sub"], InlineTable):
        table = tomlkit.table()
        table.update(entry["sub"].unwrap())
        entry["sub"] = table
    return entry["sub"]


def _sub_table(sub: SubSettings) -> Table:
    table = tomlkit.table()
    _set(table, _sub_values(sub))
    return table


def _capture_table(capture: Capture) -> Table:
    """What is other than usual."""
    usual, table = Capture(), tomlkit.table()
    for each in fields(Capture):
        value = getattr(capture, each.name)
        if value != getattr(usual, each.name) and each.name != "controls":
            table[each.name] = list(value) if isinstance(value, tuple) else value
    if capture.controls:  # a table below has to be the last
        table["controls"] = tomlkit.table()
        table["controls"].update(dict(capture.controls))
    return table


def _sub_values(sub: SubSettings) -> dict[str, Any]:
    return {
        "url": sub.url or None,
        "size": None if sub.size is None else list(sub.size),
        "fps": sub.fps or None,
        "kbit_s": sub.kbit_s or None,
        "codec": sub.codec or None,
        "record": None if sub.record else False,
        "retain_h": sub.retain_h or None,
        "guaranteed_h": sub.guaranteed_h or None,
        "limit_h": sub.limit_h or None,
        "limit_gb": sub.limit_gb or None,
    }


def _onvif_values(onvif: OnvifSettings) -> dict[str, Any]:
    return {
        "address": onvif.address,
        "pin": onvif.pin or None,
        "profile": onvif.profile or None,
        "events": None if onvif.events else False,
    }


def _set(table: Any, values: Mapping[str, Any]) -> None:  # noqa: ANN401 - tomlkit's own
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def _entry(document: tomlkit.TOMLDocument, name: str) -> Any:  # noqa: ANN401 - tomlkit's own
    return next(entry for entry in document["camera"] if entry["name"] == name)
