"""What the configuration says of a camera, as the rest of the box wants to hear it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tomlkit

from nvr.base.errors import Rejected
from nvr.config import camera as written
from nvr.config.analyse import Analyse, Objects
from nvr.config.model import Config
from nvr.media.analyse import AnalyseSettings, ObjectSettings, ZoneSettings
from nvr.media.camera import CaptionText, PlanSettings, SubSettings
from nvr.media.caption import MOST_CHARACTERS, TIME
from nvr.media.encoding import EncodeSettings
from nvr.media.mask import Mask, Masks
from nvr.media.name import stream_of
from nvr.media.week import stretch
from nvr.record.plan import ALWAYS, DAYS, MODES, Mode, Plan, Segment
from nvr.record.retention import Terms


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How a stream is recorded and kept.

    Attributes:
        plan: When it is recorded.
        terms: For how long it is kept.
        priority: When the disk is behind, higher is kept longer.
        recorded: Whether it is to be recorded at all; if not, it is only watched.
        tolerate: Codes that are no reason to call it degraded.
    """

    plan: Plan
    terms: Terms
    priority: int
    recorded: bool = True
    tolerate: frozenset[str] = frozenset()


_NEVER = Plan("off")


def main_of(config: written.Camera) -> StreamSettings:
    """Return how a camera's main stream is recorded and kept."""
    tolerate = frozenset(map(str, config.tolerate))
    return StreamSettings(
        plan_of(config.plan), terms_of(config), config.priority, tolerate=tolerate
    )


def sub_of(config: written.Camera, sub: written.Sub) -> StreamSettings:
    """Return how a camera's sub stream is recorded and kept."""
    terms = Terms(
        (sub.retain_h or config.retain_h) * 3600.0,
        sub.guaranteed_h * 3600.0,
        (sub.limit_h or config.limit_h or 0) * 3600.0,
        _bytes(config.limit_gb),
        _bytes(sub.limit_gb),
    )
    plan = plan_of(sub.plan) if sub.record else _NEVER
    tolerate = frozenset(map(str, config.tolerate))
    return StreamSettings(plan, terms, config.priority, sub.record, tolerate)


def streams_of(config: Config) -> dict[str, StreamSettings]:
    """Return every stream of a configuration with how it is recorded and kept."""
    found: dict[str, StreamSettings] = {}
    for camera in config.camera:
        found[stream_of(camera.name)] = main_of(camera)
        if camera.sub is not None:
            found[stream_of(camera.name, "sub")] = sub_of(camera, camera.sub)
    return found


def sub_settings(sub: written.Sub) -> SubSettings:
    """Return what the file says of a sub stream, as the page knows it."""
    return SubSettings(
        sub.url,
        sub.record,
        sub.retain_h or 0,
        sub.guaranteed_h,
        sub.limit_h or 0,
        sub.limit_gb or 0.0,
        sub.size,
        sub.fps or 0,
        sub.kbit_s or 0,
        sub.codec or "",
    )


def caption_of(config: written.Camera) -> CaptionText | None:
    """Return the caption in the file, None if there is none."""
    return caption_in(config) if config.caption else None


def masks_of(camera: written.Camera) -> Masks:
    """Return the masks in the file."""
    return tuple(Mask(tuple(one.points_permille), one.kind) for one in camera.mask)


def terms_of(config: written.Camera) -> Terms:
    """Return for how long a camera's main stream is kept."""
    return Terms(
        config.retain_h * 3600.0,
        config.guaranteed_h * 3600.0,
        (config.limit_h or 0) * 3600.0,
        _bytes(config.limit_gb),
    )


def _bytes(gigabytes: float | None) -> int:
    return round((gigabytes or 0.0) * 1e9)


def caption_in(config: written.Camera) -> CaptionText:
    """Return the caption in the file, an empty one if there is none."""
    caption = config.caption or written.Caption()
    return CaptionText(
        tuple(caption.lines), caption.position_permille, caption.size_permille, caption.mode
    )


def has_caption(config: written.Camera) -> bool:
    """Whether the file says what is written over a camera's pictures."""
    return config.caption is not None and bool(config.caption.lines)


def caption_to_burn(config: written.Camera | None, name: str) -> CaptionText:
    """Return what an export burns into a picture: the caption in the file, else title and time."""
    if config is not None and has_caption(config):
        return caption_in(config)
    title = (config.title if config else None) or name
    usual = written.Caption(lines=[title[:MOST_CHARACTERS], TIME])
    return CaptionText(tuple(usual.lines), usual.position_permille, usual.size_permille, usual.mode)


def encode_settings(encode: written.Encode | None) -> EncodeSettings:
    """Return how a local camera is encoded, as the page knows it."""
    found = encode or written.Encode()
    return EncodeSettings(
        found.encoder,
        found.codec,
        found.kbit_s or 0,
        found.gop_s,
        found.fps or 0,
        found.profile,
        found.latency,
    )


def plan_of(plan: written.Plan | None) -> Plan:
    """Return when a stream is recorded."""
    if plan is None:
        return ALWAYS
    week = tuple(tuple(map(_segment, day)) for day in _week(plan))
    return Plan(plan.mode, week, plan.pre_s, plan.post_s)


def _week(plan: written.Plan) -> list[list[str]]:
    days = (getattr(plan, day) for day in DAYS)
    return [plan.every if day is None else day for day in days]


def _segment(text: str) -> Segment:
    begin, end, name = stretch(text)
    mode: Mode = next(mode for mode in MODES if mode == name)
    return Segment(begin, end, mode)


def plan_settings(plan: written.Plan | None) -> PlanSettings:
    """Return the same as the page knows it."""
    plan = plan or written.Plan()
    return PlanSettings(plan.mode, plan.pre_s, plan.post_s, tuple(map(tuple, _week(plan))))


def plan_table(plan: PlanSettings) -> Any:  # noqa: ANN401 - tomlkit's own
    """Return ``[camera.plan]`` that says the same."""
    table = tomlkit.table()
    table["mode"] = plan.mode
    table["pre_s"] = plan.pre_s
    table["post_s"] = plan.post_s
    if len(set(plan.week)) == 1:
        if plan.week[0]:
            table["every"] = list(plan.week[0])
    else:
        for day, segments in zip(DAYS, plan.week, strict=True):
            table[day] = list(segments)
    return table


def write_size(document: tomlkit.TOMLDocument, path: str, size_mib: int) -> None:
    """Have the table of the volume at `path` say how large it is to be."""
    spare: Any = document.get("spare", ())
    table: Any = next((one for one in spare if one["path"] == path), None)
    if table is None:
        table = document.setdefault("volume", tomlkit.table())
        table.setdefault("path", path)
    table["size_mib"] = size_mib


def analyse_settings(config: written.Camera) -> AnalyseSettings | None:
    """Return what the file says of looking at a camera's pictures, as the page knows it."""
    found = config.analyse
    if found is None:
        return None
    zones = tuple(
        ZoneSettings(one.name, tuple(one.points_permille), one.sensitivity or 0, one.ignore)
        for one in found.zones
    )
    return AnalyseSettings(
        found.on,
        found.purpose,
        found.motion,
        found.sensitivity,
        zones,
        tuple(found.health),
        tuple(found.record_on),
        found.keep_h or 0,
        _objects(found.objects),
    )


def _objects(found: Objects | None) -> ObjectSettings | None:
    if found is None:
        return None
    return ObjectSettings(
        found.on, found.purpose, found.who, found.until, tuple(found.classes),
        found.sure_permille, found.every_keys,
    )  # fmt: skip


def analyse_table(wanted: AnalyseSettings) -> Any:  # noqa: ANN401 - tomlkit's own
    """Return ``[camera.analyse]`` that says the same; what is usual is left out."""
    usual, table = Analyse(), tomlkit.table()
    table["on"] = wanted.on
    if wanted.purpose:
        table["purpose"] = wanted.purpose
    for key in ("motion", "sensitivity"):
        if getattr(wanted, key) != getattr(usual, key):
            table[key] = getattr(wanted, key)
    for key in ("health", "record_on"):
        if set(getattr(wanted, key)) != set(getattr(usual, key)):
            table[key] = list(getattr(wanted, key))
    if wanted.keep_h:
        table["keep_h"] = wanted.keep_h
    if wanted.zones:
        table["zones"] = _zone_array(wanted.zones)
    if wanted.objects is not None:
        table["objects"] = _object_table(wanted.objects)
    return table


def _object_table(wanted: ObjectSettings) -> Any:  # noqa: ANN401 - tomlkit's own
    table = tomlkit.table()
    for key in ("on", "purpose", "who", "until"):
        table[key] = getattr(wanted, key)
    table["classes"] = list(wanted.classes)
    table["sure_permille"] = wanted.sure_permille
    if wanted.every_keys:
        table["every_keys"] = wanted.every_keys
    return table


def _zone_array(zones: Iterable[ZoneSettings]) -> Any:  # noqa: ANN401 - tomlkit's own
    array = tomlkit.array().multiline(multiline=True)
    for zone in zones:
        entry = tomlkit.inline_table()
        entry["name"] = zone.name
        entry["points_permille"] = [list(point) for point in zone.points_permille]
        if zone.sensitivity:
            entry["sensitivity"] = zone.sensitivity
        if zone.ignore:
            entry["ignore"] = True
        array.append(entry)
    return array


def addresses_of(camera: written.Camera) -> dict[str, str]:
    """Return the address of each stream."""
    main = {stream_of(camera.name): camera.url}
    return main if camera.sub is None else main | {stream_of(camera.name, "sub"): camera.sub.url}


def sub_in(camera: written.Camera) -> written.Sub:
    """Return the sub stream of a camera.

    Raises:
        Rejected: ``camera.no_sub``.
    """
    if camera.sub is None:
        raise Rejected("camera.no_sub", "this camera has no sub stream", camera=camera.name)
    return camera.sub
