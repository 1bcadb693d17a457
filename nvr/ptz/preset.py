"""What we keep of presets: name, place in the row, number at the head, when it was pictured.

The head keeps the positions; it has no room for names. The file is ``{camera: {number: ...}}``
with a name, or a name and more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import msgspec

from nvr.base.errors import Damaged
from nvr.base.file import replace_file
from nvr.media.ports import Preset

NAME_MAX = 32


@dataclass(frozen=True, slots=True)
class Kept:
    """One preset.

    Attributes:
        name: As people call it.
        place: In the row, from 1 on; 0 by its number.
        device: Number under which the head knows it, 0 for the same.
        pictured_us: UTC microseconds of the picture that is kept of it, 0 for none.
    """

    name: str = ""
    place: int = 0
    device: int = 0
    pictured_us: int = 0


Names: TypeAlias = dict[str, dict[int, Kept]]


class PresetBook:
    """Presets of every camera, in one small JSON file.

    Args:
        path: The file; made at the first `save`.

    Raises:
        Damaged: ``ptz.presets_damaged``: the file is not what we write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: Names = {}
        if path.exists():
            try:
                read = msgspec.json.decode(path.read_bytes(), type=dict[str, dict[int, str | Kept]])
            except (OSError, msgspec.DecodeError, UnicodeDecodeError) as err:
                raise Damaged("ptz.presets_damaged", str(err), file=str(path)) from err
            self._names = {
                camera: {
                    number: Kept(one) if isinstance(one, str) else one
                    for number, one in presets.items()
                }
                for camera, presets in read.items()
            }

    def of(self, camera: str) -> tuple[Preset, ...]:
        """Return the presets of one camera in their order."""
        return tuple(
            Preset(number, one.name, one.pictured_us, one.device)
            for number, one in sorted(
                self._names.get(camera, {}).items(), key=lambda item: (item[1].place, item[0])
            )
        )

    def has(self, camera: str, number: int) -> bool:
        """Whether `number` was stored through us."""
        return number in self._names.get(camera, {})

    def device(self, camera: str, number: int) -> int:
        """Return the number under which the head knows a preset."""
        kept = self._names.get(camera, {}).get(number)
        return number if kept is None or not kept.device else kept.device

    def put(self, camera: str, number: int, name: str) -> None:
        """Name a preset; in memory until saved. What is older keeps its place and number."""
        presets = self._names.setdefault(camera, {})
        last = max((one.place for one in presets.values()), default=0)
        before = presets.get(number, Kept(place=last + 1 if last else 0))
        presets[number] = replace(before, name=name)

    def pictured(self, camera: str, number: int, at_us: int) -> None:
        """Note a picture of a preset, 0 for none; in memory until saved."""
        presets = self._names.get(camera, {})
        if number in presets:
            presets[number] = replace(presets[number], pictured_us=at_us)

    def arrange(self, camera: str, wanted: Sequence[tuple[int, str, int]]) -> None:
        """Set order, names and the head's numbers; those left out stay behind the others."""
        presets = self._names.get(camera, {})
        for place, (number, name, device) in enumerate(wanted, 1):
            if number in presets:
                presets[number] = replace(presets[number], name=name, place=place, device=device)
        named = {number for number, _, _ in wanted}
        for place, number in enumerate(sorted(presets.keys() - named), len(wanted) + 1):
            presets[number] = replace(presets[number], place=place)

    def drop(self, camera: str, number: int) -> None:
        """Forget a preset; in memory until saved."""
        self._names.get(camera, {}).pop(number, None)

    def snapshot(self) -> Names:
        """Return a copy that `save` may write in another thread."""
        return {camera: dict(names) for camera, names in self._names.items()}

    def save(self, names: Mapping[str, Mapping[int, Kept]]) -> None:
        """Write the file so that a power cut leaves the old one or the new one. Blocks."""
        plain = {
            camera: {
                number: one.name if one == Kept(one.name) else msgspec.to_builtins(one)
                for number, one in presets.items()
            }
            for camera, presets in names.items()
        }
        replace_file(self._path, json.dumps(plain, ensure_ascii=False, indent=1).encode())
