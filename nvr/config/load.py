"""Reads and writes the configuration; every fault is named, every write survives a power cut.

A change made through the API is written into the file the installer wrote: comments, order and
spelling stay as they were.
"""

import contextlib
import fcntl
import os
import stat
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError

from nvr.base.address import parse_endpoint
from nvr.base.errors import Misconfigured, Rejected, Unavailable
from nvr.base.shape import Fault, faults
from nvr.config.model import Aux, Config, Ptz, Secrets


@dataclass(frozen=True, slots=True)
class Has:
    """What the board has, by name.

    Attributes:
        buses: Its serial lines.
        outputs: Its switching outputs.
    """

    buses: frozenset[str]
    outputs: frozenset[str]


def check(text: str, *, board: Has | None = None) -> list[Fault]:
    """Every fault of a configuration, shape first, then what must fit together.

    Args:
        text: The TOML text.
        board: What the board has; None skips the check against it.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        return [Fault("$", f"not TOML: {err}")]
    found = faults(tree, Config)
    return found or _unfit(msgspec.convert(tree, Config), board)


def read(path: Path, *, board: Has | None = None) -> Config:
    """Load and check a configuration file.

    Raises:
        Misconfigured: ``config.missing`` or ``config.invalid`` with every fault.
    """
    text = _text(path)
    found = check(text, board=board)
    if found:
        raise Misconfigured("config.invalid", "; ".join(map(str, found)), file=str(path))
    return msgspec.convert(tomllib.loads(text), Config)


def read_secrets(path: Path) -> Secrets:
    """Load the secrets file; absent means none.

    Raises:
        Misconfigured: ``config.secrets_open`` if others may read it, ``config.invalid``.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Secrets()
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(
            "config.secrets_open", f"others can read it: run chmod 600 {path}", file=str(path)
        )
    try:
        tree = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as err:
        raise Misconfigured("config.invalid", f"not TOML: {err}", file=str(path)) from err
    found = faults(tree, Secrets)
    if found:
        # The faults of a secrets file are named by path only: a value could be a password.
        where = ", ".join(fault.path for fault in found)
        raise Misconfigured("config.invalid", f"wrong at {where}", file=str(path))
    return msgspec.convert(tree, Secrets)


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file so that a power cut leaves the old one or the new one, never neither.

    Raises:
        Unavailable: ``config.unwritable``.
    """
    new = path.with_name(path.name + ".new")
    try:
        # Written by root on the console, the recorder's own account must still be able to read it.
        owner = (path if path.exists() else path.parent).stat()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as err:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise Unavailable("config.unwritable", err.strerror or str(err), file=str(path)) from err


def edit(path: Path, change: Callable[[TOMLDocument], None], *, board: Has | None = None) -> Config:
    """Apply `change` to the document, check the result as a whole, and only then write it.

    Raises:
        Rejected: ``config.refused``: the result would not be a valid configuration.
        Unavailable: ``config.unwritable``.
    """
    document = _document(path)
    change(document)
    text = tomlkit.dumps(document)
    found = check(text, board=board)
    if found:
        raise Rejected("config.refused", "; ".join(map(str, found)))
    write(path, text)
    return msgspec.convert(tomllib.loads(text), Config)


def edit_secrets(path: Path, camera: str, password: str | None) -> Secrets:
    """Set (or, with None, forget) a camera's password.

    The console does this while the recorder runs, and may do it: one at a time, and a reader
    finds the old file or the new one.
    """
    with _alone(path.parent):
        document = _document(path) if path.exists() else tomlkit.document()
        cameras = document.setdefault("camera", tomlkit.table())
        if password is None:
            cameras.pop(camera, None)
        else:
            entry = tomlkit.table()
            entry["password"] = password
            cameras[camera] = entry
        write(path, tomlkit.dumps(document), mode=0o600)
        return read_secrets(path)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as err:
        raise Unavailable(
            "config.unwritable", err.strerror or str(err), file=str(directory)
        ) from err
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _document(path: Path) -> TOMLDocument:
    try:
        return tomlkit.parse(_text(path))
    except TOMLKitError as err:
        raise Misconfigured("config.invalid", f"not TOML: {err}", file=str(path)) from err


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as err:
        raise Misconfigured("config.missing", "there is no such file", file=str(path)) from err
    except (OSError, UnicodeDecodeError) as err:
        raise Misconfigured("config.unreadable", str(err), file=str(path)) from err


def _unfit(config: Config, board: Has | None) -> list[Fault]:
    """Faults between the parts of a file that is right in shape."""
    found = []
    names = Counter(camera.name for camera in config.camera)
    heads = Counter((c.ptz.bus, c.ptz.address) for c in config.camera if c.ptz)
    for i, camera in enumerate(config.camera):
        if names[camera.name] > 1:
            found.append(Fault(f"$.camera[{i}].name", f"{camera.name} is used twice"))
        if not camera.ptz:
            continue
        at = f"$.camera[{i}].ptz"
        if heads[camera.ptz.bus, camera.ptz.address] > 1:
            found.append(
                Fault(f"{at}.address", f"{camera.ptz.address} on {camera.ptz.bus} is used twice")
            )
        if board is not None and camera.ptz.bus not in board.buses:
            has = ", ".join(sorted(board.buses)) or "none"
            found.append(
                Fault(f"{at}.bus", f"the board has no serial line {camera.ptz.bus} (it has {has})")
            )
        found += _unfit_head(at, camera.ptz, board)
    return found + _bad_endpoints(config) + _ports_used_twice(config)


def _unfit_head(at: str, ptz: Ptz, board: Has | None) -> list[Fault]:
    found = []
    if ptz.protocol == "pelco-p" and ptz.turbo == 0xFF:
        found.append(Fault(f"{at}.turbo", "Pelco-P knows no turbo but 0x40"))
    taken: dict[int, str] = {}
    for name, place in (("wiper", ptz.wiper), ("lamp", ptz.lamp)):
        if isinstance(place, Aux):
            before = taken.setdefault(place.aux, name)
            if before != name:
                found.append(Fault(f"{at}.{name}.aux", f"{place.aux} is already the {before}'s"))
        elif place is not None and board is not None and place not in board.outputs:
            has = ", ".join(sorted(board.outputs)) or "none"
            found.append(Fault(f"{at}.{name}", f"the board has no output {place} (it has {has})"))
    return found


def _bad_endpoints(config: Config) -> list[Fault]:
    found = []
    for i, endpoint in enumerate(config.local_cameras):
        try:
            parse_endpoint(endpoint)
        except ValueError:
            found.append(
                Fault(f"$.local_cameras[{i}]", f"{endpoint} is not like 127.0.0.1:554 or [::1]:*")
            )
    return found


def _ports_used_twice(config: Config) -> list[Fault]:
    found = []
    ports = [
        ("$.page.port", config.page.port),
        ("$.rtsp.port", config.rtsp.port),
        ("$.rtsp.tls_port", config.rtsp.tls_port),
    ]
    taken: dict[int, str] = {}
    for where, port in ports:
        if port is None:
            continue
        if port in taken:
            found.append(Fault(where, f"port {port} is already {taken[port]}"))
        taken.setdefault(port, where)
    return found
