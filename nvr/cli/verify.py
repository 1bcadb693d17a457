"""`nvr verify`: is an evidence export as it was recorded, and what did the cameras sign?"""

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from nvr.base.errors import Damaged, NvrError
from nvr.codec.demux import Pictures
from nvr.export import certificate, verify, witness
from nvr.export.camera import ABSENT, VALID, camera_lines
from nvr.export.certificate import Certificate
from nvr.export.witness import Clip

_DESCRIPTION = """\
Checks an evidence export, as a zip or unpacked, without the box and without a network: the chain
of the parts, what each holds, the box's signatures and the manifest. Names the first part that was
altered, removed, swapped, cut off or given another time, with its stream and time. The same
program lies in every export as verify.py. Without --key it says that nobody changed anything since
it was signed, not which box signed: compare the fingerprint with what `nvr key show` says there.

Where cameras sign their video themselves (ONVIF Media Signing), that is checked too, in the copies
under video/ of an export, or in any MP4 file: valid, partial, invalid or absent, and which
stretches are not covered. Whose key it was is only known with --camera-ca: get the CA's certificate
from the maker of the camera. Sound is not part of that standard and never covered.
"""
_EPILOG = """\
ends with 0: whole and signed; 1: something is not as recorded; 2: cannot be read; 3: whole, but
not all of it signed. What cameras signed does not change that. Of an MP4 file, 0: the camera's
signature is valid (and with --camera-ca, of that CA); 1: it is not, or only in part; 3: there is
none

examples:
  nvr verify case-114.zip --key 63f1-a0b2-77c9-10de
  nvr verify --camera-ca maker-root.pem gate.mp4
"""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "verify",
        help="check an evidence export, or the camera's own signature in an MP4 file",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verify.add_arguments(parser)
    add_ca(parser)
    parser.set_defaults(run=run)


def add_ca(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says which cameras' CA is trusted."""
    parser.add_argument(
        "--camera-ca",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="certificates (PEM) of CAs of cameras that sign their video; none come with nvr",
    )


def cas(chosen: argparse.Namespace) -> list[Certificate]:
    """Read the CAs that were given.

    Raises:
        Misconfigured: ``camera.ca_unreadable``.
    """
    return [one for path in chosen.camera_ca for one in certificate.anchors(path)]


def run(chosen: argparse.Namespace) -> int:
    """Check one export, or one clip, and say what was found."""
    trusted = cas(chosen)
    try:
        if _is_clip(chosen.file):
            return _clip(chosen, trusted)
        report = verify.check(chosen.file, chosen.key)
        if report.manifest:
            _witness(report, verify.Export(chosen.file), trusted)
    except OSError as err:
        sys.stderr.write(f"{chosen.file} cannot be read: {err}\n")
        return verify.UNREADABLE
    return verify.say(report, as_json=chosen.json)


def _is_clip(path: str) -> bool:
    if Path(path).is_dir():
        return False
    with open(path, "rb") as file:
        return file.read(8)[4:] == b"ftyp" or Path(path).suffix.lower() == ".mp4"


def _clip(chosen: argparse.Namespace, trusted: Sequence[Certificate]) -> int:
    path = Path(chosen.file)
    try:
        tree, begun_us = _checked(path.name, lambda: path.open("rb"), trusted)
    except Damaged as err:
        sys.stderr.write(f"{chosen.file} cannot be read: {err}\n")
        return verify.UNREADABLE
    if chosen.json:
        print(json.dumps(tree, ensure_ascii=False))
    else:
        streams = [{"camera_signatures": [tree]}]
        for line in camera_lines(streams, _wall if begun_us else _since, checked=True):
            print(line)
    chain = tree.get("chain") == certificate.TRUSTED or not trusted
    if tree["verdict"] == ABSENT:
        return verify.UNSIGNED
    return verify.WHOLE if tree["verdict"] == VALID and chain else verify.FOUND


def _witness(report: verify.Report, export: verify.Export, trusted: Sequence[Certificate]) -> None:
    """Check the copies of an export in place of what its manifest says of them."""
    for entry in report.manifest.get("streams", []):
        found = []
        copies, said = entry.get("copies"), entry.get("camera_signatures", [])
        for name in copies if isinstance(copies, list) else []:
            if not isinstance(name, str) or name not in export.names:
                continue
            try:
                times = next((one.get("times") for one in said if _is_of(one, name)), None)
                found.append(_checked(name, partial(_inside, export, name), trusted, times)[0])
            except NvrError as err:
                found.append(witness.unknown(name, err))
        if copies:
            entry["camera_signatures"] = found
    report.witnessed = True


def _is_of(one: object, name: str) -> bool:
    return isinstance(one, dict) and one.get("file") == name


def _checked(
    name: str,
    opened: Callable[[], BinaryIO],
    trusted: Sequence[Certificate],
    times: object = None,
) -> tuple[dict[str, Any], int]:
    pictures = Pictures(opened)
    clip = Clip(pictures.codec, pictures.record, pictures.read, lambda: pictures.end_us)
    check = witness.Check(name, witness.at_its_times(clip, times), trusted)
    for _ in check.steps():
        pass
    return check.found, pictures.begun_us


def _wall(at_us: int) -> str:
    try:
        return datetime.fromtimestamp(at_us / 1e6).astimezone().isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{at_us} us"


def _since(at_us: int) -> str:
    """Say a time of a file that does not know when it was made; the camera may have."""
    return f"{at_us / 1e6:.3f} s" if abs(at_us) < 10**14 else _wall(at_us)


def _inside(export: verify.Export, name: str) -> BinaryIO:
    path, at, size = export.names[name]
    return io.BufferedReader(_Window(path, at, size))


class _Window(io.RawIOBase):
    """A file that is stored in a larger one."""

    def __init__(self, path: str, at: int, size: int) -> None:
        super().__init__()
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed by `close`
        self._at, self._size, self._place = at, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        view = memoryview(buffer)[: max(0, self._size - self._place)]
        self._file.seek(self._at + self._place)
        count = self._file.readinto(view)
        self._place += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._file.close()
        super().close()
