"""Names of presets. The head keeps the positions; it has no room for names, so we do."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from nvr.base.errors import Damaged
from nvr.media.ports import Preset

Names: TypeAlias = dict[str, dict[int, str]]
NAME_MAX = 32


class PresetBook:
    """Preset names of every camera, in one small JSON file.

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
                read = json.loads(path.read_text(encoding="utf-8"))
                self._names = {
                    str(camera): {int(number): str(name) for number, name in names.items()}
                    for camera, names in read.items()
                }
            except (OSError, ValueError, AttributeError) as err:
                raise Damaged("ptz.presets_damaged", str(err), file=str(path)) from err

    def of(self, camera: str) -> tuple[Preset, ...]:
        """Return the presets of one camera by number."""
        return tuple(
            Preset(number, name) for number, name in sorted(self._names.get(camera, {}).items())
        )

    def has(self, camera: str, number: int) -> bool:
        """Whether `number` was stored through us."""
        return number in self._names.get(camera, {})

    def put(self, camera: str, number: int, name: str) -> None:
        """Name a preset; in memory until saved."""
        self._names.setdefault(camera, {})[number] = name

    def drop(self, camera: str, number: int) -> None:
        """Forget a preset; in memory until saved."""
        self._names.get(camera, {}).pop(number, None)

    def snapshot(self) -> Names:
        """Return a copy that `save` may write in another thread."""
        return {camera: dict(names) for camera, names in self._names.items()}

    def save(self, names: Mapping[str, Mapping[int, str]]) -> None:
        """Write the file so that a power cut leaves the old one or the new one. Blocks."""
        aside = self._path.with_suffix(".new")
        with aside.open("w", encoding="utf-8") as file:
            json.dump(names, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
