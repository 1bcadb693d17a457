"""The configuration file: one TOML, typed, unknown keys refused.

Passwords are not in it: they live in ``secrets.toml`` beside it, readable by its owner only.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from nvr.config.camera import Camera
from nvr.config.gb28181 import Platform
from nvr.config.keyboard import Keyboard
from nvr.config.notify import Mqtt, NotifySecret, Syslog, Webhook
from nvr.config.value import Name, Port, Title


class Volume(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory on a disk that holds recordings."""

    path: Annotated[str, Meta(min_length=1)]
    size_mib: Annotated[int, Meta(ge=64, le=64 * 1024 * 1024)] = 2048
    uuid: Annotated[str, Meta(pattern=r"^[0-9a-f-]{36}$")] | None = None
    # Sealed from the next start on: unreadable without the box or its owner's recovery key.
    seal: bool = False
    # Which TPM keeps the box's key, once `nvr key tpm` had it do so.
    tpm: Annotated[str, Meta(pattern=r"^/")] = "/dev/tpmrm0"
    # How fast full blocks are read back to see whether the disk still holds them; 0: not at all.
    readback_mib_s: Annotated[float, Meta(ge=0.0, le=1024.0)] = 1.0


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The web page."""

    host: str = "0.0.0.0"  # noqa: S104 - the page is how people meet the box
    port: Port = 8443
    names: list[str] = []


Rank = Annotated[int, Meta(ge=0, le=100)]


class Priority(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who takes a head away from whom: the higher number. See `nvr.ptz.priority.Ranks`."""

    guard: Rank = 0
    schedule: Rank = 5
    machine: Rank = 10
    alarm: Rank = 15
    operator: Rank = 20
    local: Rank = 25
    admin: Rank = 30


class Control(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules of control, for all heads."""

    # No lock of a head is longer.
    lock_max_h: Annotated[float, Meta(ge=0.1, le=168)] = 12.0
    priority: Priority = Priority()
    # Joysticks that are plugged into the box steer heads.
    joysticks: bool = True


class Rtsp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The RTSP server."""

    host: str = "0.0.0.0"  # noqa: S104 - upstream hosts pull from here
    port: Port = 8554
    tls_port: Port | None = 8322
    mode: Literal["batched", "prompt"] = "batched"
    per_address: Annotated[int, Meta(ge=1, le=1024)] = 32
    # Readers that ask for it get live streams as datagrams; not over TLS, which those would bypass.
    udp: bool = True
    # Where live streams go as multicast, for readers that ask for it, and through how many routers.
    # Whoever is on the network sees what goes there. None: nothing does.
    multicast: (
        Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?$")] | None
    ) = None
    multicast_port: Annotated[int, Meta(ge=1024, le=57_344, multiple_of=2)] = 20_000
    multicast_ttl: Annotated[int, Meta(ge=1, le=255)] = 1
    # Who may watch what is live at once; more get 453.
    watching: Annotated[int, Meta(ge=1, le=1024)] = 256


class Onvif(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The box as an ONVIF device, for upstream hosts. Cameras' own ONVIF is ``[camera.onvif]``."""

    on: bool = False
    host: str = "0.0.0.0"  # noqa: S104 - upstream hosts come from here
    # Plain HTTP: hosts look there, and neither of their log-ins shows a secret.
    port: Port = 8000
    # Answers who looks for devices on the networks of the box.
    discovery: bool = True
    # How far a host's clock may be off in a WS-UsernameToken.
    clock_s: Annotated[int, Meta(ge=5, le=3600)] = 60
    # The same over TLS, with the certificate of the page; for the box as a whole. None: not at all.
    tls_port: Port | None = None
    # Cameras that are devices of their own as well, and the port of each.
    channels: dict[Name, Port] = {}


class Ntp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The box as the time server of its cameras."""

    on: bool = False
    # The box's address in the cameras' network, so that nobody else is answered.
    host: str = "0.0.0.0"  # noqa: S104 - cameras come from any network the box is on
    # Where cameras look; below 1024 it takes a right that the service has not, see SETTINGS.md.
    port: Port = 123


class S3(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bucket of an S3-compatible store; its secret is in ``secrets.toml``."""

    # ``http://`` sends what is exported unencrypted.
    endpoint: Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+/?$")]
    bucket: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    # What the names of all objects begin with; a slash follows.
    prefix: Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/?)?$")] = ""
    region: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "us-east-1"
    # The bucket stands in the path; false: before the host, as some stores want it.
    path_style: bool = True
    key_id: Annotated[str, Meta(pattern=r"^[!-~]{1,256}$")]
    # Certificates to trust instead of the system's, relative to the data directory.
    ca: Annotated[str, Meta(min_length=1)] | None = None
    # Send no faster than that, so that the line is left to cameras and people.
    mbit_s: Annotated[float, Meta(ge=0.1, le=100_000)] | None = None


class Export(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exports made in the background."""

    # Relative to the data directory, or a disk of its own: they need as much room as what is
    # exported, evidence twice that.
    path: Annotated[str, Meta(min_length=1)] = "export"
    keep_h: Annotated[int, Meta(ge=1, le=8784)] = 72
    # Where the system mounts USB sticks, each in a directory below it.
    usb: Annotated[str, Meta(pattern=r"^/")] = "/media"
    s3: S3 | None = None


class Call(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A preset that a head is sent to."""

    camera: Name
    preset: Annotated[int, Meta(ge=1, le=255)]


class InputAction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What follows when an alarm input of the board alarms, or is tampered with."""

    # Cameras that record it as an event of their plans, for as long as it lasts.
    record: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()
    # Heads that look there.
    call: Annotated[tuple[Call, ...], Meta(max_length=16)] = ()


class Objects(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The owner's model that finds objects, for all cameras; it needs the extra ``objects``."""

    # An ONNX file, relative to the data directory. See `nvr.analyse.layout`.
    model: Annotated[str, Meta(min_length=1)]
    # Names of its classes, one a line; None: those in the file.
    labels: Annotated[str, Meta(min_length=1)] | None = None
    # Most pictures searched a second, and most of one processor that may take, of all cameras.
    per_s: Annotated[float, Meta(ge=0.05, le=50)] = 2.0
    cpu_percent: Annotated[int, Meta(ge=1, le=100)] = 25


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    schema: Literal[1] = 1
    name: Title = "nvr"
    page: Page = Page()
    rtsp: Rtsp = Rtsp()
    onvif: Onvif = Onvif()
    ntp: Ntp = Ntp()
    # GB/T 28181 platforms that the box is a device of.
    gb28181: Annotated[list[Platform], Meta(max_length=8)] = []
    control: Control = Control()
    volume: Volume = Volume(path="ring")
    # Recorded on, in this order, while those before cannot be; played like the first at any time.
    spare: Annotated[list[Volume], Meta(max_length=3)] = []
    export: Export = Export()
    # None: no camera can look for objects.
    objects: Objects | None = None
    # Where a camera is on this box or the local link all the same: "127.0.0.1:8554", "[::1]:*".
    local_cameras: Annotated[list[str], Meta(max_length=64)] = []
    camera: Annotated[list[Camera], Meta(max_length=64)] = []
    # By the name of an alarm input of the board.
    input: dict[Name, InputAction] = {}
    keyboard: Annotated[list[Keyboard], Meta(max_length=8)] = []
    # Where one of these three is on this box or the local link all the same: "127.0.0.1:1883".
    local_upstream: Annotated[list[str], Meta(max_length=16)] = []
    mqtt: Annotated[list[Mqtt], Meta(max_length=4)] = []
    webhook: Annotated[list[Webhook], Meta(max_length=8)] = []
    syslog: Annotated[list[Syslog], Meta(max_length=4)] = []


class CameraSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a camera wants to hear before it shows anything."""

    password: Annotated[str, Meta(max_length=128)]


class PlatformSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of our log-in at a GB/T 28181 platform."""

    password: Annotated[str, Meta(max_length=128)]


class StoreSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Secret half of the store's credential."""

    secret: Annotated[str, Meta(min_length=1, max_length=256)]


class ExportSecrets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What targets of exports want to hear."""

    s3: StoreSecret | None = None


class Secrets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``secrets.toml``, mode 0600."""

    camera: dict[str, CameraSecret] = {}
    gb28181: dict[str, PlatformSecret] = {}
    export: ExportSecrets = ExportSecrets()
    mqtt: dict[str, NotifySecret] = {}
    webhook: dict[str, NotifySecret] = {}
