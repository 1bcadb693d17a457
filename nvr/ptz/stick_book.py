"""Profiles of joysticks: one JSON file each in ``joystick/`` of the data directory."""

import contextlib
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec

from nvr.base.errors import Rejected, Unavailable
from nvr.base.file import replace_file
from nvr.base.log import event
from nvr.media.joystick import JoystickProfile, fault_of

_log = logging.getLogger(__name__)

DIRECTORY = "joystick"
MOST = 100
_MOST_BYTES = 65536


@dataclass(frozen=True, slots=True)
class _File:
    mark: tuple[int, int, int]
    profile: JoystickProfile | None
    fault: str = ""


class StickBook:
    """All profiles there are, as they are in their files.

    Of a file that makes no sense any more the last that did is kept. One that never did is left
    alone.

    Args:
        data: The data directory.
    """

    def __init__(self, data: Path) -> None:
        self._directory = data / DIRECTORY
        self._read: dict[Path, _File] = {}
        self._files: dict[str, Path] = {}
        self._profiles: dict[str, JoystickProfile] = {}
        self.look()

    def look(self) -> list[str]:
        """Read what is new, or was changed, since it was read; blocks.

        Returns:
            Which devices are understood otherwise now.
        """
        self._read = {
            path: known if known and known.mark == mark else _taken(path, mark, known)
            for path, mark in _marks(self._directory)
            for known in [self._read.get(path)]
        }
        files, profiles = dict[str, Path](), dict[str, JoystickProfile]()
        for path, it in self._read.items():
            if it.profile is not None:
                files[it.profile.device], profiles[it.profile.device] = path, it.profile
        before, self._files, self._profiles = self._profiles, files, profiles
        return [one for one in {**before, **profiles} if before.get(one) != profiles.get(one)]

    @property
    def damaged(self) -> Mapping[str, str]:
        """By the name of a file: what is wrong with it."""
        return {path.name: it.fault for path, it in self._read.items() if it.fault}

    @property
    def profiles(self) -> Mapping[str, JoystickProfile]:
        """By what each is for."""
        return MappingProxyType(self._profiles)

    def write(self, profile: JoystickProfile) -> None:
        """Keep one; blocks.

        Raises:
            Rejected: ``joystick.profile``.
            Unavailable: ``joystick.unwritable``.
        """
        if fault := fault_of(profile):
            raise Rejected("joystick.profile", fault)
        if profile.device not in self._profiles and len(self._profiles) >= MOST:
            raise Rejected("joystick.profile", f"{MOST} profiles are kept, drop one first")
        path = self._files.get(profile.device, self._directory / _file_of(profile.device))
        data = msgspec.json.format(msgspec.json.encode(profile), indent=1) + b"\n"
        try:
            self._directory.mkdir(exist_ok=True)
            replace_file(path, data)
        except OSError as err:
            raise Unavailable("joystick.unwritable", str(err)) from err
        self.look()

    def drop(self, device: str) -> None:
        """Forget one; blocks. No effect without.

        Raises:
            Unavailable: ``joystick.unwritable``.
        """
        path = self._files.get(device)
        if path is None:
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as err:
            raise Unavailable("joystick.unwritable", str(err)) from err
        self.look()


def read(path: Path) -> JoystickProfile:
    """Read a profile.

    Raises:
        Rejected: ``joystick.profile``: it is none, with what is wrong.
    """
    try:
        with path.open("rb") as file:
            profile = msgspec.json.decode(file.read(_MOST_BYTES), type=JoystickProfile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise Rejected("joystick.profile", str(err), file=path.name) from err
    if fault := fault_of(profile):
        raise Rejected("joystick.profile", fault, file=path.name)
    return profile


def _marks(directory: Path) -> Iterator[tuple[Path, tuple[int, int, int]]]:
    """Every file, and what is different once it was changed."""
    for path in sorted(directory.glob("*.json")):
        with contextlib.suppress(OSError):  # gone again
            found = path.stat()
            yield path, (found.st_mtime_ns, found.st_size, found.st_ino)


def _taken(path: Path, mark: tuple[int, int, int], before: _File | None) -> _File:
    try:
        return _File(mark, read(path))
    except Rejected as err:
        event(_log, logging.WARNING, "joystick.profile_damaged", file=path.name, error=err.detail)
        return _File(mark, before.profile if before else None, err.detail)


def _file_of(device: str) -> str:
    readable = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")[:60]
    return f"{readable}-{zlib.crc32(device.encode('utf-8', 'surrogatepass')):08x}.json"
