"""Profiles of joysticks: one JSON file each in ``joystick/`` of the data directory."""

import logging
import re
import zlib
from collections.abc import Mapping
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


class StickBook:
    """All profiles there are. Its files are read once; a damaged one is left alone.

    Args:
        data: The data directory.
    """

    def __init__(self, data: Path) -> None:
        self._directory = data / DIRECTORY
        self._files: dict[str, Path] = {}
        self._profiles: dict[str, JoystickProfile] = {}
        for path in sorted(self._directory.glob("*.json")):
            try:
                profile = read(path)
            except Rejected as err:
                event(_log, logging.WARNING, "joystick.profile_damaged", file=path.name,
                      error=err.detail)  # fmt: skip
                continue
            self._files[profile.device], self._profiles[profile.device] = path, profile

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
        self._files[profile.device], self._profiles[profile.device] = path, profile

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
        del self._files[device], self._profiles[device]


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


def _file_of(device: str) -> str:
    readable = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")[:60]
    return f"{readable}-{zlib.crc32(device.encode('utf-8', 'surrogatepass')):08x}.json"
