"""What the page is built from, and how a handler is declared."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiohttp import web

from nvr.auth.audit import Audit, Category
from nvr.auth.claim import Claim
from nvr.auth.link import Links
from nvr.auth.machine import Machines
from nvr.auth.session import Session, Sessions
from nvr.auth.throttle import Throttle
from nvr.auth.user import Subject, Users
from nvr.base.clock import Clock
from nvr.base.errors import NvrError
from nvr.export.jobs import Jobs
from nvr.media.aim import Aims, Measures
from nvr.media.analyse import Looks
from nvr.media.camera import BoxState, Cameras
from nvr.media.desk import NoSerialLines, SerialLines
from nvr.media.device import Captures, NoCaptures, SoundDevice, VideoDevice
from nvr.media.encoding import Encoding, NoEncoding
from nvr.media.find import Finder
from nvr.media.gb28181 import NoPlatforms, Platforms
from nvr.media.gpio import Lines, NoLines
from nvr.media.happening import Happenings
from nvr.media.joystick import Joysticks, NoJoysticks
from nvr.media.notify import NoNotifiers, Notifiers
from nvr.media.ntp import NoTimeServer, TimeService
from nvr.media.ports import Hub, Ptz
from nvr.media.program import Programs
from nvr.media.talk import Talks
from nvr.media.upstream import NoOnvifDevice, OnvifDevice
from nvr.playback.group import Group
from nvr.playback.holding import Holding
from nvr.playback.lock import Locked, Wanted
from nvr.playback.query import VolumeState
from nvr.record.lock import Lock
from nvr.record.remembered import Remembered
from nvr.record.resize import Change
from nvr.record.wear import DiskWear
from nvr.serve.recodes import Recodes
from nvr.serve.rtsp_replay import Archive as Replayed
from nvr.wire.openmetrics import Family


@dataclass(frozen=True, slots=True)
class VolumeLook:
    """A volume as people see it.

    Attributes:
        name: As configured.
        uuid: Its UUID, empty if it was never there.
        role: ``recording``, ``standby``, ``failing`` (there, and not to be recorded on) or
            ``away``.
        fault: What is wrong with it.
        state: What it holds; None while it is not there.
        to_us: UTC microseconds of the end of what is newest on it, 0 if nothing is.
    """

    name: str
    uuid: str
    role: Literal["recording", "standby", "failing", "away"]
    fault: NvrError | None = None
    state: VolumeState | None = None
    to_us: int = 0


class Archive(Replayed, Protocol):
    """What is recorded; every call blocks on the disk. See `nvr.playback.query.Archive`."""

    def export(self, stream: str, from_us: int, to_us: int) -> Iterator[bytes]:
        """One fragmented MP4, piece by piece."""
        ...

    def groups(self, stream: str, from_us: int, to_us: int) -> list[Group]:
        """Where the groups of pictures of a span are."""
        ...

    def volume(self) -> VolumeState:
        """State of the volume."""
        ...

    def size(self, size_mib: int, name: str = "") -> Change:
        """What making a volume, the first or a named one, that large or small would do."""
        ...

    def resize(self, size_mib: int, by: str, name: str = "") -> Change:
        """Make it so, durably decided; recordings that do not fit are given up."""
        ...

    def holdings(self) -> list[Holding]:
        """What is held of each stream, and will be."""
        ...

    def volumes(self) -> list[VolumeLook]:
        """Each volume of the box, there or not, in the order in which they are to be used."""
        ...

    def readback(self) -> Remembered:
        """What reading back has verified and found."""
        ...

    def locked(self) -> list[Locked]:
        """All locks in force, the newest first."""
        ...

    def lock(self, wanted: Wanted) -> Locked:
        """Lock a stretch of a camera, durably. See `nvr.playback.lock.add`."""
        ...

    def unlock(self, camera: str, number: int, by: str) -> Lock:
        """End a lock of a camera, durably. See `nvr.playback.lock.remove`."""
        ...


@dataclass(frozen=True, slots=True)
class KeyState:
    """How the archive is sealed.

    Attributes:
        seals: What is recorded now is sealed.
        passphrase: The box's key is enciphered under a passphrase.
        tpm: It is kept by the box's TPM.
        pcrs: What of the start the TPM looks at before it gives the key out.
        refused: Why it did not.
        locked: The passphrase has not been typed since the start, or the TPM does not give the key
            out: nothing from before the start can be played.
        suite: Cipher, in words; empty if nothing is sealed.
        box: Fingerprint of the box's key.
        owner: Fingerprint of the owner's recovery key, empty if there is none.
        signs: Fingerprint of the key that signs recordings.
        keys: Day keys on the volume.
        foreign: Those of them that this box cannot use.
        days: Oldest and newest day that is sealed, in days since 1970; None if there is none.
    """

    seals: bool
    passphrase: bool
    tpm: bool
    pcrs: Sequence[int]
    refused: NvrError | None
    locked: bool
    suite: str
    box: str
    owner: str
    signs: str
    keys: int
    foreign: int
    days: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """A new recovery key; this is the only time it is seen.

    Attributes:
        words: To be written down.
        owner: Fingerprint, by which it is told from others.
        without: Day keys that this box could not use, and that it therefore cannot recover.
    """

    words: str
    owner: str
    without: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of another box's recordings, or of those of a box that is locked for good.

    Attributes:
        left: Day keys that this box still cannot use.
        new_key: The box was locked, and has a new key now, in a file.
    """

    left: int
    new_key: bool


class Keys(Protocol):
    """The keys of the archive; every call blocks on the disk. See `nvr.app.keydesk.KeyDesk`."""

    def state(self) -> KeyState:
        """How the archive is sealed."""
        ...

    def new_recovery(self) -> Recovery:
        """Make a recovery key; an older one ends with that."""
        ...

    def unlock(self, passphrase: str) -> None:
        """Unlock the box's key for as long as the recorder runs; a TPM is asked again."""
        ...

    def set_passphrase(self, passphrase: str) -> None:
        """Have the box's key locked at each start; an empty passphrase keeps it in a file."""
        ...

    def bind_tpm(self, pcrs: Collection[int]) -> int:
        """Have the box's TPM keep a new key of it; returns how many day keys that cannot use."""
        ...

    def change_box_key(self) -> int:
        """Make a new key of the box; returns how many day keys it cannot use."""
        ...

    def adopt(self, words: str) -> Adopted:
        """Take over what another box sealed, or what this one did before it was locked for good."""
        ...

    def destroy(self, camera: str, days: tuple[int, int], by: str, why: str) -> Sequence[object]:
        """Destroy what was sealed of a camera on some days; returns the keys that went."""
        ...


def no_devices() -> tuple[Sequence[VideoDevice], Sequence[SoundDevice]]:
    """A box that sees and hears nothing itself."""
    return (), ()


async def no_metrics(_may: Callable[[str], bool]) -> Sequence[Family]:
    """Count nothing."""
    return ()


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the page talks to, made and closed by whoever starts it."""

    clock: Clock
    hub: Hub
    archive: Archive
    keys: Keys
    exports: Jobs
    ptz: Ptz
    programs: Programs
    aims: Aims
    measures: Measures
    looks: Looks
    happenings: Happenings
    cameras: Cameras
    box: BoxState
    users: Users
    machines: Machines
    sessions: Sessions
    claim: Claim
    throttle: Throttle
    audit: Audit
    back_up: Callable[[str], bytes]
    """Makes a back-up under a passphrase; blocks. See `nvr.app.backup.back_up`."""
    disks: Callable[[], Sequence[DiskWear]] = tuple
    """The disks as last looked at. See `nvr.app.wear.Wear.report`."""
    encoding: Encoding = field(default_factory=NoEncoding)
    recodes: Recodes = field(default_factory=Recodes)
    metrics: Callable[[Callable[[str], bool]], Awaitable[Sequence[Family]]] = no_metrics
    """What is counted, of the box and of those cameras. See `nvr.app.metrics.Metrics`."""
    preset_picture: Callable[[str, int], bytes | None] = lambda _camera, _preset: None
    """The JPEG of a preset; blocks."""
    talks: Talks | None = None
    """Speaks through cameras. None where nothing can be."""
    finder: Finder | None = None
    """Finds cameras. None where there is no network to look at."""
    lines: Lines = field(default_factory=NoLines)
    """The outputs and alarm inputs of the box."""
    onvif_device: OnvifDevice = field(default_factory=NoOnvifDevice)
    """The box as a device of upstream hosts."""
    time_server: TimeService = field(default_factory=NoTimeServer)
    """The box as the time server of its cameras."""
    notifiers: Notifiers = field(default_factory=NoNotifiers)
    """Upstream systems that are told what happens."""
    platforms: Platforms = field(default_factory=NoPlatforms)
    """The GB/T 28181 platforms that it is a device of."""
    devices: Callable[[], tuple[Sequence[VideoDevice], Sequence[SoundDevice]]] = no_devices
    """The capture devices of the box; blocks."""
    captures: Captures = field(default_factory=NoCaptures)
    serial: SerialLines = field(default_factory=NoSerialLines)
    """Its serial lines, and the keyboards on them."""
    rtsp_port: int = 8554
    """Where the RTSP server listens."""
    links: Links | None = None
    """Makes addresses for players that cannot sign in. None where there are none."""
    joysticks: Joysticks = field(default_factory=NoJoysticks)
    """The joysticks that are plugged into it, and the profiles of all."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Attributes:
        subject: As the policy sees it.
        session: Its session, None if nobody is signed in.
        address: IP address of the peer.
        token: The session cookie as it came, empty if none.
    """

    subject: Subject
    session: Session | None
    address: str
    token: str


Handler = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One handler.

    Attributes:
        key: Key in the policy table: ``http GET /api/camera/{name}``, ``ws /ws/control``.
        handler: What answers.
        camera: Which part of the path names a camera, empty if none does.
        log: Category of the row it leaves in the audit log; None if it leaves none, or writes its
            own.
        machine: Machines may sign in to it, with HTTP's Basic.
        covers: Whoever may not see what is under a camera's masks gets its pictures with them
            burned in, so that they keep nobody away.
        asks: Strangers are asked for HTTP's Basic, as players need it to be. A browser would open a
            window for that.
        link: Strangers come with a link to what is live, or recorded; see `nvr.auth.link`.
    """

    key: str
    handler: Handler
    camera: str = ""
    log: Category | None = None
    machine: bool = False
    covers: bool = False
    asks: bool = False
    link: Literal["", "live", "recorded"] = ""

    @property
    def method(self) -> str:
        """HTTP method."""
        words = self.key.split(" ")
        return words[1] if words[0] == "http" else "GET"

    @property
    def path(self) -> str:
        """Path pattern."""
        return self.key.rpartition(" ")[2]
