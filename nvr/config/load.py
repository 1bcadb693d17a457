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
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError

from nvr.base.address import parse_endpoint
from nvr.base.errors import Misconfigured, Rejected, Unavailable
from nvr.base.file import replace_file
from nvr.base.shape import Fault, faults
from nvr.config import gb28181, keyboard, notify
from nvr.config.analyse import MOST_ZONES, Analyse
from nvr.config.camera import LOCAL, Camera, Plan, Sub
from nvr.config.head import (
    Has,
    Kind,
    unfit_bus,
    unfit_head,
    unfit_onvif_head,
    unfit_profile,
)
from nvr.config.input import unfit_inputs
from nvr.config.model import S3, Config, Secrets


def check(
    text: str, *, board: Has | None = None, heads: Mapping[str, Kind | None] | None = None
) -> list[Fault]:
    """Every fault of a configuration, shape first, then what must fit together.

    Args:
        text: The TOML text.
        board: What the board has; None skips the check against it.
        heads: Kinds of heads, where no board is known.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        return [Fault("$", f"not TOML: {err}")]
    found = faults(tree, Config)
    return found or _unfit(msgspec.convert(tree, Config), board, board.heads if board else heads)


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
    try:
        replace_file(path, text.encode(), mode=mode)
    except OSError as err:
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
    """Set (or, with None, forget) a camera's password."""
    return _edit_password(path, "camera", camera, password)


def edit_platform_secret(path: Path, platform: str, password: str | None) -> Secrets:
    """Set (or, with None, forget) the password of our log-in at a GB/T 28181 platform."""
    return _edit_password(path, "gb28181", platform, password)


def _edit_password(path: Path, kind: str, name: str, password: str | None) -> Secrets:
    def change(document: TOMLDocument) -> None:
        known = document.setdefault(kind, tomlkit.table())
        if password is None:
            known.pop(name, None)
        else:
            entry = tomlkit.table()
            entry["password"] = password
            known[name] = entry

    return _edit_secrets(path, change)


def edit_store_secret(path: Path, secret: str) -> Secrets:
    """Set the secret half of the store's credential.

    Raises:
        Misconfigured: ``s3.no_secret``: it is empty, or far too long.
    """
    if not 1 <= len(secret) <= 256:
        raise Misconfigured("s3.no_secret", "a secret has 1 to 256 characters")

    def change(document: TOMLDocument) -> None:
        export = document.setdefault("export", tomlkit.table())
        entry = export.setdefault("s3", tomlkit.table())
        entry["secret"] = secret

    return _edit_secrets(path, change)


def edit_notify_secret(path: Path, kind: str, name: str, secret: str | None) -> Secrets:
    """Set (or, with None, forget) a broker's password or a webhook's secret.

    Raises:
        Rejected: ``notify.secret``: it is empty, far too long, or for nobody that has one.
    """
    if kind not in {"mqtt", "webhook"} or (secret is not None and not 1 <= len(secret) <= 256):
        raise Rejected("notify.secret", "brokers and webhooks have one, of 1 to 256 characters")

    def change(document: TOMLDocument) -> None:
        table = document.setdefault(kind, tomlkit.table())
        table.pop(name, None)
        if secret is not None:
            table[name] = {"secret": secret}

    return _edit_secrets(path, change)


def _edit_secrets(path: Path, change: Callable[[TOMLDocument], None]) -> Secrets:
    """Change the secrets file.

    The console does this while the recorder runs, and may do it: one at a time, and a reader
    finds the old file or the new one.
    """
    with _alone(path.parent):
        document = _document(path) if path.exists() else tomlkit.document()
        change(document)
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


def _unfit(
    config: Config, board: Has | None, heads: Mapping[str, Kind | None] | None
) -> list[Fault]:
    """Faults between the parts of a file that is right in shape."""
    found = []
    volumes = [("$.volume", config.volume)]
    volumes += [(f"$.spare[{i}]", spare) for i, spare in enumerate(config.spare)]
    for n, (at, volume) in enumerate(volumes):
        for _, other in volumes[:n]:
            if os.path.normpath(volume.path) == os.path.normpath(other.path):
                found.append(Fault(f"{at}.path", f"{volume.path} is another volume already"))
            if volume.uuid and volume.uuid == other.uuid:
                found.append(Fault(f"{at}.uuid", "another volume has it already"))
    names = Counter(camera.name for camera in config.camera)
    users = Counter((c.ptz.bus, c.ptz.address) for c in config.camera if c.ptz and c.ptz.bus)
    for i, camera in enumerate(config.camera):
        if names[camera.name] > 1:
            found.append(Fault(f"$.camera[{i}].name", f"{camera.name} is used twice"))
        found += _unfit_keeping(f"$.camera[{i}]", camera)
        found += _unfit_plan(f"$.camera[{i}].plan", camera.plan)
        found += _unfit_sub(f"$.camera[{i}].sub", camera)
        found += _unfit_encode(f"$.camera[{i}].encode", camera)
        found += _unfit_reach(f"$.camera[{i}]", camera)
        found += _unfit_capture(f"$.camera[{i}].capture", config.camera[:i], camera)
        found += _unfit_analyse(f"$.camera[{i}].analyse", camera.analyse)
        found += _unfit_objects(f"$.camera[{i}].analyse.objects", config, camera.analyse)
        found += _unfit_backfill(f"$.camera[{i}].backfill", camera)
        found += _unfit_calls(f"$.camera[{i}].on_event", camera, config.camera)
        if not camera.ptz:
            continue
        at = f"$.camera[{i}].ptz"
        if camera.ptz.protocol == "onvif":
            found += unfit_onvif_head(at, camera.ptz, camera)
        else:
            found += unfit_bus(at, camera.ptz, users[camera.ptz.bus, camera.ptz.address], board)
        found += unfit_profile(at, camera.ptz, heads)
        found += unfit_head(at, camera.ptz, board)
    found += unfit_inputs(config, None if board is None else board.inputs)
    found += gb28181.unfit(config.gb28181, None if board is None else board.inputs)
    found += keyboard.unfit(config.keyboard, config.camera, board.keyboards if board else None)
    for kind in ("mqtt", "webhook", "syslog"):
        found += notify.unfit(kind, getattr(config, kind))
    return (
        found
        + _bad_endpoints(config)
        + _unfit_store(config.export.s3)
        + _ports_used_twice(config)
        + _no_groups(config.rtsp.multicast)
    )


def _unfit_keeping(at: str, camera: Camera) -> list[Fault]:
    found = []
    if camera.guaranteed_h > camera.retain_h:
        more = f"{camera.guaranteed_h} is more than retain_h, {camera.retain_h}"
        found.append(Fault(f"{at}.guaranteed_h", more))
    # A block goes as a whole when its first picture is past the limit: an hour is room for that.
    if camera.limit_h is not None and camera.limit_h <= camera.retain_h:
        less = f"{camera.limit_h} must be above retain_h, {camera.retain_h}"
        found.append(Fault(f"{at}.limit_h", less))
    return found


def _unfit_backfill(at: str, camera: Camera) -> list[Fault]:
    if camera.backfill is None or camera.onvif is not None:
        return []
    return [Fault(at, "it needs [camera.onvif], where the camera's recordings are asked for")]


def _unfit_sub(at: str, camera: Camera) -> list[Fault]:
    sub = camera.sub
    if sub is None:
        return []
    found = _unfit_plan(f"{at}.plan", sub.plan) + _unfit_making(at, camera, sub)
    if sub.url == camera.url:
        found.append(Fault(f"{at}.url", "it is the address of the main stream"))
    retain_h, limit_h = sub.retain_h or camera.retain_h, sub.limit_h or camera.limit_h
    if sub.guaranteed_h > retain_h:
        more = f"{sub.guaranteed_h} is more than retain_h, {retain_h}"
        found.append(Fault(f"{at}.guaranteed_h", more))
    own = sub.retain_h or sub.limit_h  # else it is the camera's fault
    if own and limit_h is not None and limit_h <= retain_h:
        less = f"limit_h, {limit_h}, must be above retain_h, {retain_h}"
        found.append(Fault(f"{at}.limit_h" if sub.limit_h else f"{at}.retain_h", less))
    return found


def _unfit_making(at: str, camera: Camera, sub: Sub) -> list[Fault]:
    """Who makes the sub stream: a network camera, which is asked for it, or this box."""
    if not camera.url.startswith(LOCAL):
        if not sub.url:
            return [Fault(f"{at}.url", "the address of a network camera's sub stream is missing")]
        said = [key for key in ("size", "fps", "kbit_s", "codec") if getattr(sub, key) is not None]
        return [
            Fault(f"{at}.{key}", "a network camera encodes its own sub stream: set it there")
            for key in said
        ]
    if sub.url:
        made = "the sub stream of a local camera is made of its own pictures: take url out"
        return [Fault(f"{at}.url", made)]
    if sub.codec == "h265" and camera.capture is not None and camera.capture.format == "h264":
        again = "what a camera encodes itself is made small in H.264 only"
        return [Fault(f"{at}.codec", again)]
    return []


def _unfit_encode(at: str, camera: Camera) -> list[Fault]:
    if camera.encode is None or camera.url.startswith(LOCAL):
        return []
    return [Fault(at, "a network camera encodes its own pictures")]


def _unfit_reach(at: str, camera: Camera) -> list[Fault]:
    """What TLS is to do for a camera that is not reached in it, or could not do."""
    urls = [camera.url, *([camera.sub.url] if camera.sub else [])]
    secure = [url.startswith("rtsps:") for url in urls]
    found = []
    if any(secure) and camera.transport in {"udp", "multicast"}:
        clear = f"over {camera.transport} the pictures of rtsps:// would go in the clear"
        found.append(Fault(f"{at}.transport", clear))
    found += [
        Fault(f"{at}.{key}", "it is for cameras whose every address is rtsps://")
        for key, value in (("tls_pin", camera.tls_pin), ("tls_ca", camera.tls_ca))
        if value and not all(secure)
    ]
    return found


def _unfit_capture(at: str, before: Sequence[Camera], camera: Camera) -> list[Fault]:
    found = []
    if camera.url.startswith("v4l2:"):
        if ".." in camera.url.split("/"):
            found.append(Fault(at.replace(".capture", ".url"), "a device lies below /dev"))
        if any(other.url == camera.url for other in before):
            found.append(Fault(at.replace(".capture", ".url"), f"{camera.url} is used twice"))
        passed = camera.capture is not None and camera.capture.format == "h264"
        if passed and camera.encode is not None:
            found.append(Fault(f"{at}.format", "with h264 the camera encodes: take [encode] out"))
        if passed and camera.capture is not None and camera.capture.aspect != "auto":
            own = "with h264 the camera itself says what shape its pixels have"
            found.append(Fault(f"{at}.aspect", own))
    elif camera.capture is not None:
        found.append(Fault(at, "only a device of this box (v4l2:) is captured"))
    return found


def _unfit_analyse(at: str, analyse: Analyse | None) -> list[Fault]:
    if analyse is None:
        return []
    found = []
    if analyse.on and analyse.motion and not analyse.purpose.strip():
        found.append(Fault(f"{at}.purpose", "say what motion is looked for, or motion = false"))
    names = Counter(zone.name for zone in analyse.zones)
    found += [
        Fault(f"{at}.zones[{n}].name", f"{zone.name} is used twice")
        for n, zone in enumerate(analyse.zones)
        if names[zone.name] > 1
    ]
    if sum(not zone.ignore for zone in analyse.zones) > MOST_ZONES:
        found.append(Fault(f"{at}.zones", f"at most {MOST_ZONES} that are not ignored"))
    return found


def _unfit_objects(at: str, config: Config, analyse: Analyse | None) -> list[Fault]:
    if analyse is None or analyse.objects is None:
        return []
    objects = analyse.objects
    found = [
        Fault(f"{at}.{key}", f"say {what}")
        for key, what in (("purpose", "what they are looked for"), ("who", "who may use it"))
        if not getattr(objects, key).strip()
    ]
    try:
        date.fromisoformat(objects.until)
    except ValueError:
        found.append(Fault(f"{at}.until", f"{objects.until} is no day"))
    if objects.on and config.objects is None:
        found.append(Fault(at, "there is no model: name one under [objects]"))
    return found


def _unfit_calls(at: str, camera: Camera, cameras: Sequence[Camera]) -> list[Fault]:
    turning = {one.name for one in cameras if one.ptz is not None}
    return [
        Fault(f"{at}[{n}]", f"{rule.camera or camera.name} has no head to be sent anywhere")
        for n, rule in enumerate(camera.on_event)
        if (rule.camera or camera.name) not in turning
    ]


def _unfit_plan(at: str, plan: Plan | None) -> list[Fault]:
    """Segments that end before they begin, or begin before the one in front has ended."""
    found = []
    for day in ("every", "mon", "tue", "wed", "thu", "fri", "sat", "sun"):
        ended = ""
        for n, segment in enumerate(getattr(plan, day, None) or ()):
            begin, end = segment.split(" ")[0].split("-")
            if not ended <= begin < end:
                found.append(Fault(f"{at}.{day}[{n}]", f"{segment} is not after the one before"))
            ended = end
    return found


def _unfit_store(s3: S3 | None) -> list[Fault]:
    if s3 is None:
        return []
    at = "$.export.s3"
    try:
        parts = urlsplit(s3.endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError as err:
        return [Fault(f"{at}.endpoint", str(err))]
    if not host or port == 0:
        return [Fault(f"{at}.endpoint", f"{s3.endpoint} names no host, or port 0")]
    with contextlib.suppress(ValueError):
        ip_address(host)
        if not s3.path_style:
            return [Fault(f"{at}.path_style", "no bucket can stand before an address")]
    return []


def _bad_endpoints(config: Config) -> list[Fault]:
    found = []
    for key in ("local_cameras", "local_upstream"):
        for i, endpoint in enumerate(getattr(config, key)):
            try:
                parse_endpoint(endpoint)
            except ValueError:
                wrong = f"{endpoint} is not like 127.0.0.1:554 or [::1]:*"
                found.append(Fault(f"$.{key}[{i}]", wrong))
    return found


def _no_groups(network: str | None) -> list[Fault]:
    with contextlib.suppress(ValueError):
        if network is None or IPv4Network(network).is_multicast:
            return []
    return [Fault("$.rtsp.multicast", f"{network} is no network of groups, as 239.192.7.0/24 is")]


def _ports_used_twice(config: Config) -> list[Fault]:
    found = []
    ports = [
        ("$.page.port", config.page.port),
        ("$.rtsp.port", config.rtsp.port),
        ("$.rtsp.tls_port", config.rtsp.tls_port),
    ]
    if config.onvif.on and config.onvif.channels:  # by itself it says so where it listens
        ports.append(("$.onvif.port", config.onvif.port))
        ports += [(f"$.onvif.channels.{name}", it) for name, it in config.onvif.channels.items()]
    taken: dict[int, str] = {}
    for where, port in ports:
        if port is None:
            continue
        if port in taken:
            found.append(Fault(where, f"port {port} is already {taken[port]}"))
        taken.setdefault(port, where)
    return found
