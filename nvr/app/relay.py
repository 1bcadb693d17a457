"""Live streams for machines: the RTSP server, over the box's streams and under its policy."""

from ipaddress import IPv4Network

from nvr.app.cameras import CameraTable
from nvr.app.doors import Doors
from nvr.auth.audit import Entry
from nvr.auth.machine import REALM
from nvr.auth.policy import authorise, require
from nvr.auth.user import NOBODY, Span
from nvr.base.clock import Clock
from nvr.config.model import Rtsp
from nvr.media.ingest import Ingest
from nvr.media.name import camera_of, which_of
from nvr.media.ports import RelaySource
from nvr.serve import rtsp
from nvr.serve.rtsp_house import Watch
from nvr.serve.rtsp_login import Access
from nvr.serve.rtsp_multicast import Casting
from nvr.serve.rtsp_replay import Archive


def rtsp_server(
    ingest: Ingest,
    cameras: CameraTable,
    doors: Doors,
    clock: Clock,
    settings: Rtsp,
    archive: Archive,
) -> rtsp.RtspServer:
    """Build the RTSP server: its streams, who may watch, and what is written of that.

    Raises:
        Misconfigured: ``policy.missing``.
    """
    require(rtsp.ACTIONS)

    def find(path: str) -> RelaySource | None:
        found = cameras.find(camera_of(path))
        if found is None:
            return None
        seen = found.sub if which_of(path) else found
        return ingest.stream(seen.stream) if seen else None

    def allow(user: str, action: str, camera: str, span: Span | None) -> None:
        subject = doors.machines.subject(user) or NOBODY
        authorise(subject, action, camera, span, masked=cameras.masked)

    def watched(watch: Watch) -> None:
        kind = "rec" if watch.recorded else "cam"
        what: list[str] = [] if watch.which == "main" else [watch.which]
        what += [] if watch.began else [f"{watch.sent_bytes} bytes"]
        doors.audit.record(
            Entry(
                "event",
                f"rtsp {'PLAY' if watch.began else 'TEARDOWN'} {kind}/{{name}}",
                reason=", ".join(what),
                who=watch.user,
                source=watch.address,
                camera=watch.camera,
            )
        )

    return rtsp.RtspServer(
        find,
        Access(doors.machines.ha1, allow, doors.throttle.enter, doors.throttle.right, REALM),
        clock=clock,
        limits=rtsp.Limits(per_address=settings.per_address, watching=settings.watching),
        watched=watched,
        archive=archive,
        datagrams=settings.udp,
        casting=_casting(settings),
    )


def _casting(settings: Rtsp) -> Casting | None:
    if settings.multicast is None:
        return None
    network = IPv4Network(settings.multicast)
    return Casting(network, settings.multicast_port, settings.multicast_ttl)
