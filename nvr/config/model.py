"""The configuration file: one TOML, typed, unknown keys refused.

Passwords are not in it: they live in ``secrets.toml`` beside it, readable by its owner only.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Title = Annotated[str, Meta(min_length=1, max_length=64)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Permille = Annotated[int, Meta(ge=0, le=1000)]
CaptionMode = Literal["plain", "outline", "box", "blink", "inverse", "scroll"]


class Caption(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Text burned into, or drawn over, a camera's picture. See REQUIREMENTS T11."""

    # 32 characters and a ``{time}``, which stands for the wall time.
    lines: Annotated[list[Annotated[str, Meta(max_length=38)]], Meta(max_length=8)] = []
    position_permille: tuple[Permille, Permille] = (20, 30)
    size_permille: Annotated[int, Meta(ge=15, le=250)] = 42
    mode: CaptionMode = "outline"


class Aux(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An auxiliary output of the head itself; what hangs on which one, its manual says."""

    aux: Annotated[int, Meta(ge=1, le=8)]
    # None: 60 s for a wiper, which scratches a dry glass, half an hour for a lamp.
    max_on_s: Annotated[float, Meta(gt=0, le=86400)] | None = None


class Ptz(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a camera's pan, tilt and zoom are reached: a decoder on a serial line of the board."""

    bus: Name
    address: Annotated[int, Meta(ge=1, le=254)] = 1
    protocol: Literal["pelco-d", "pelco-p"] = "pelco-d"
    # A head that says where it points counts tilt below the horizon down from 360 or up from 0.
    tilt_reply: Literal["falls", "rises"] = "falls"
    # Pan value for full deflection. Makers disagree, and some heads take harm above 63: off
    # unless the head's manual names one.
    turbo: Literal[0, 0x40, 0xFF] = 0
    # The name of an output of the board, or ``{ aux = 1 }``: the head's own.
    wiper: Name | Aux | None = None
    lamp: Name | Aux | None = None
    # Names of positions that the head already keeps, for a box that has no names of its own yet.
    presets: dict[Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}$")], Title] = {}


class Camera(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One camera."""

    name: Name
    # ``rtsps://`` encrypts; nothing of the camera's certificate is verified.
    url: Annotated[str, Meta(pattern=r"^rtsps?://[^@/\s]+(/\S*)?$")]
    title: Title | None = None
    user: Annotated[str, Meta(max_length=64)] = ""
    retain_h: Annotated[int, Meta(ge=1, le=8784)] = 168
    priority: Annotated[int, Meta(ge=0, le=9)] = 5
    ptz: Ptz | None = None
    caption: Caption | None = None


class Volume(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory on a disk that holds recordings."""

    path: Annotated[str, Meta(min_length=1)]
    size_mib: Annotated[int, Meta(ge=64, le=64 * 1024 * 1024)] = 2048
    uuid: Annotated[str, Meta(pattern=r"^[0-9a-f-]{36}$")] | None = None


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The web page."""

    host: str = "0.0.0.0"  # noqa: S104 - the page is how people meet the box
    port: Port = 8443
    names: list[str] = []


class Rtsp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The RTSP server."""

    host: str = "0.0.0.0"  # noqa: S104 - upstream hosts pull from here
    port: Port = 8554
    tls_port: Port | None = 8322
    mode: Literal["batched", "prompt"] = "batched"
    per_address: Annotated[int, Meta(ge=1, le=1024)] = 32


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    schema: Literal[1] = 1
    name: Title = "nvr"
    page: Page = Page()
    rtsp: Rtsp = Rtsp()
    volume: Volume = Volume(path="ring")
    # Where a camera is on this box or the local link all the same: "127.0.0.1:8554", "[::1]:*".
    local_cameras: Annotated[list[str], Meta(max_length=64)] = []
    camera: Annotated[list[Camera], Meta(max_length=64)] = []


class CameraSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a camera wants to hear before it shows anything."""

    password: Annotated[str, Meta(max_length=128)]


class Secrets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``secrets.toml``, mode 0600."""

    camera: dict[str, CameraSecret] = {}
