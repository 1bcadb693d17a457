"""The Device service: who we are, what we offer, what time it is, which outputs there are.

What would change the box (its network, its users, its clock, a restart) is not done over ONVIF.

Source: ONVIF Core Specification 23.06, section 8; devicemgmt.wsdl and onvif.xsd of 2023.
"""

import re
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from nvr.link.discover import interfaces
from nvr.serve.onvif.channel import Channels
from nvr.serve.onvif.outputs import Outputs
from nvr.serve.onvif.parts import Call, Operation, Parts, Service
from nvr.wire.soap import SPACES, leaf, tag

MANUFACTURER = "nvr"
_NET = Path("/sys/class/net")


def scopes(parts: Parts) -> tuple[str, ...]:
    """What we say of ourselves to whoever looks for devices.

    No profile is named: a scope stands for its whole list of operations.
    """
    return (
        "onvif://www.onvif.org/type/video_encoder",
        "onvif://www.onvif.org/type/Network_Video_Transmitter",
        f"onvif://www.onvif.org/name/{quote(parts.title)}",
        f"onvif://www.onvif.org/hardware/{MANUFACTURER}",
    )


class Device:
    """Handlers of this service.

    Args:
        parts: What we are built from.
        channels: Cameras.
        outputs: Relays.
        services: All services, this one among them; known when all were made.
    """

    def __init__(
        self,
        parts: Parts,
        channels: Channels,
        outputs: Outputs,
        services: Callable[[], Sequence[Service]],
    ) -> None:
        self._parts, self._channels, self._outputs = parts, channels, outputs
        self._services = services

    def service(self) -> Service:
        """What there is of it."""
        gets = {
            "GetServices": self.services,
            "GetServiceCapabilities": self.capabilities,
            "GetCapabilities": self.old_capabilities,
            "GetWsdlUrl": lambda _: leaf("tds:WsdlUrl", "https://www.onvif.org/profiles/"),
            "GetEndpointReference": lambda _: leaf("tds:GUID", f"urn:uuid:{self._parts.endpoint}"),
            "GetSystemDateAndTime": self.date_and_time,
            "GetHostname": self.hostname,
            "GetDeviceInformation": self.information,
            "GetScopes": self.scopes,
            "GetDiscoveryMode": lambda _: leaf("tds:DiscoveryMode", "Discoverable"),
            "GetNetworkInterfaces": self.network_interfaces,
            "GetNetworkProtocols": self.network_protocols,
            "GetNetworkDefaultGateway": lambda _: tag("tds:NetworkGateway"),
            "GetDNS": lambda _: tag("tds:DNSInformation", leaf("tt:FromDHCP", False)),
            "GetNTP": lambda _: tag("tds:NTPInformation", leaf("tt:FromDHCP", False)),
            "GetUsers": self.users,
        }
        return Service(
            "device", "tds", "device_service", (2, 60),
            {name: Operation(do) for name, do in gets.items()}
            | {
                "GetRelayOutputs": Operation(self._outputs.all),
                "SetRelayOutputState": Operation(self._outputs.switch, self._outputs.named),
                "SetRelayOutputSettings": Operation(self._outputs.settings, self._outputs.named),
            },
            self.capabilities,
        )  # fmt: skip

    def services(self, call: Call) -> str:
        """``GetServices``."""
        full = call.said("IncludeCapability").lower() in {"true", "1"}
        found: list[str] = []
        for one in self._services():
            if not one.listed:
                continue
            inner = [leaf("tds:Namespace", SPACES[one.prefix]), leaf("tds:XAddr", url(call, one))]
            if full:
                inner.append(tag("tds:Capabilities", one.capabilities(call)))
            major, minor = one.version
            inner.append(tag("tds:Version", leaf("tt:Major", major), leaf("tt:Minor", minor)))
            found.append(tag("tds:Service", *inner))
        return "".join(found)

    def capabilities(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetServiceCapabilities``."""
        return tag(
            "tds:Capabilities",
            tag(
                "tds:Network", IPFilter=False, ZeroConfiguration=False, IPVersion6=False,
                DynDNS=False, NTP=0, HostnameFromDHCP=False,
            ),
            tag(
                "tds:Security",
                **{"TLS1.0": False, "TLS1.1": False, "TLS1.2": bool(self._parts.tls_port)},
                OnboardKeyGeneration=False, AccessPolicyConfig=False, DefaultAccessPolicy=False,
                Dot1X=False, RemoteUserHandling=False, UsernameToken=True, HttpDigest=True,
                MaxUsers=1,
            ),
            tag(
                "tds:System", DiscoveryResolve=True, DiscoveryBye=True, RemoteDiscovery=False,
                SystemBackup=False, SystemLogging=False, FirmwareUpgrade=False,
            ),
        )  # fmt: skip

    def old_capabilities(self, call: Call) -> str:
        """``GetCapabilities``: the way of before 2010, which hosts still go first."""
        asked = {one.text for one in call.body.children if one.name == "Category"}
        inner, extension = [], ""

        def wanted(name: str) -> bool:
            return not asked or bool(asked & {"All", name})

        by_name = {one.name: url(call, one) for one in self._services()}
        lines = self._parts.lines
        if wanted("Device"):
            inner.append(self._old_device(by_name["device"]))
        if wanted("Events") and "event" in by_name:
            inner.append(
                tag(
                    "tt:Events", leaf("tt:XAddr", by_name["event"]),
                    leaf("tt:WSSubscriptionPolicySupport", False),
                    leaf("tt:WSPullPointSupport", True),
                    leaf("tt:WSPausableSubscriptionManagerInterfaceSupport", False),
                )
            )  # fmt: skip
        if wanted("Media"):
            most = len(self._channels.profiles(call.subject)) or 1
            streaming = tag(
                "tt:StreamingCapabilities", leaf("tt:RTPMulticast", False),
                leaf("tt:RTP_TCP", False), leaf("tt:RTP_RTSP_TCP", True),
            )  # fmt: skip
            profiles = tag("tt:ProfileCapabilities", leaf("tt:MaximumNumberOfProfiles", most))
            more = tag("tt:Extension", profiles)
            inner.append(tag("tt:Media", leaf("tt:XAddr", by_name["media"]), streaming, more))
        if wanted("PTZ") and "ptz" in by_name:
            inner.append(tag("tt:PTZ", leaf("tt:XAddr", by_name["ptz"])))
        if not asked or "All" in asked:
            sources = len(self._channels.sources(call.subject))
            extension = tag(
                "tt:Extension",
                tag(
                    "tt:DeviceIO", leaf("tt:XAddr", by_name["io"]),
                    leaf("tt:VideoSources", sources),
                    leaf("tt:VideoOutputs", 0), leaf("tt:AudioSources", 0),
                    leaf("tt:AudioOutputs", 0), leaf("tt:RelayOutputs", len(lines.outputs())),
                ),
            )  # fmt: skip
        return tag("tds:Capabilities", *inner, extension)

    def _old_device(self, where: str) -> str:
        lines = self._parts.lines
        network = ("IPFilter", "ZeroConfiguration", "IPVersion6", "DynDNS")
        system = (
            ("DiscoveryResolve", True), ("DiscoveryBye", True), ("RemoteDiscovery", False),
            ("SystemBackup", False), ("SystemLogging", False), ("FirmwareUpgrade", False),
        )  # fmt: skip
        security = (
            "TLS1.1", "TLS1.2", "OnboardKeyGeneration", "AccessPolicyConfig", "X.509Token",
            "SAMLToken", "KerberosToken", "RELToken",
        )  # fmt: skip
        versions = tag("tt:SupportedVersions", leaf("tt:Major", 2), leaf("tt:Minor", 60))
        return tag(
            "tt:Device", leaf("tt:XAddr", where),
            tag("tt:Network", *(leaf(f"tt:{name}", False) for name in network)),
            tag("tt:System", *(leaf(f"tt:{name}", so) for name, so in system), versions),
            tag(
                "tt:IO", leaf("tt:InputConnectors", len(lines.inputs())),
                leaf("tt:RelayOutputs", len(lines.outputs())),
            ),
            tag("tt:Security", *(leaf(f"tt:{name}", False) for name in security)),
        )  # fmt: skip

    def date_and_time(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetSystemDateAndTime``: by which hosts set the clock of their tokens."""
        here = self._parts.clock.wall_us() / 1e6
        set_by = "NTP" if self._parts.box.clock_state().state == "ntp" else "Manual"
        local = datetime.fromtimestamp(here).astimezone()
        offset_s = round((local.utcoffset() or local - local).total_seconds())
        summer = bool(local.dst())
        return tag(
            "tds:SystemDateAndTime", leaf("tt:DateTimeType", set_by),
            leaf("tt:DaylightSavings", summer), tag("tt:TimeZone", leaf("tt:TZ", _zone(offset_s))),
            _moment("tt:UTCDateTime", datetime.fromtimestamp(here, UTC)),
            _moment("tt:LocalDateTime", local),
        )  # fmt: skip

    def hostname(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetHostname``."""
        name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "nvr"
        return tag("tds:HostnameInformation", leaf("tt:FromDHCP", False), leaf("tt:Name", name))

    def information(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetDeviceInformation``."""
        parts = self._parts
        return "".join(
            (
                leaf("tds:Manufacturer", MANUFACTURER), leaf("tds:Model", parts.title),
                leaf("tds:FirmwareVersion", parts.version),
                leaf("tds:SerialNumber", parts.endpoint.replace("-", "")[:16]),
                leaf("tds:HardwareId", "nvr"),
            )
        )  # fmt: skip

    def scopes(self, call: Call) -> str:  # noqa: ARG002 - a handler's shape
        """``GetScopes``."""
        return "".join(
            tag("tds:Scopes", leaf("tt:ScopeDef", "Fixed"), leaf("tt:ScopeItem", one))
            for one in scopes(self._parts)
        )

    def network_interfaces(self, call: Call) -> str:
        """``GetNetworkInterfaces``: UniFi tells devices apart by the address of the hardware."""
        found: list[str] = []
        for _, name in interfaces():
            hardware = _read(_NET / name / "address") or "00:00:00:00:00:00"
            if self._parts.only:  # made up, of the range for that
                own = self._parts.endpoint.replace("-", "")[:10]
                hardware = ":".join(["02", *(own[n : n + 2] for n in range(0, 10, 2))])
            info = tag("tt:Info", leaf("tt:Name", name), leaf("tt:HwAddress", hardware))
            found.append(
                tag(
                    "tds:NetworkInterfaces", leaf("tt:Enabled", True), info,
                    _address(call.host) if len(found) == 0 else "", token=name,
                )
            )  # fmt: skip
        return "".join(found)

    def network_protocols(self, call: Call) -> str:
        """``GetNetworkProtocols``."""
        parts = self._parts
        http = parts.port or int(call.base.rpartition(":")[2])
        https = (("HTTPS", parts.tls_port),) if parts.tls_port else ()
        return "".join(
            tag(
                "tds:NetworkProtocols", leaf("tt:Name", name), leaf("tt:Enabled", True),
                leaf("tt:Port", port),
            )
            for name, port in (("HTTP", http), *https, ("RTSP", parts.rtsp_port))
        )  # fmt: skip

    def users(self, call: Call) -> str:
        """``GetUsers``: who asks, and nobody else."""
        level = "Operator" if any(map(self._steers, self._names(call))) else "User"
        return tag("tds:User", leaf("tt:Username", call.subject.name), leaf("tt:UserLevel", level))

    def _names(self, call: Call) -> list[frozenset[str]]:
        subject = call.subject
        return [frozenset(subject.may(one.name)) for one in self._channels.sources(subject)]

    @staticmethod
    def _steers(rights: frozenset[str]) -> bool:
        return "ptz" in rights


def url(call: Call, one: Service) -> str:
    """Where a service is."""
    return f"{call.base}/onvif/{one.path}"


def _zone(offset_s: int) -> str:
    """A POSIX time zone without a rule; its sign is the other way round."""
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    sign = "-" if offset_s > 0 else "+"
    return "UTC0" if not offset_s else f"LOC{sign}{hours:02}:{minutes:02}"


def _moment(name: str, when: datetime) -> str:
    return tag(
        name,
        tag(
            "tt:Time", leaf("tt:Hour", when.hour), leaf("tt:Minute", when.minute),
            leaf("tt:Second", when.second),
        ),
        tag("tt:Date", leaf("tt:Year", when.year), leaf("tt:Month", when.month),
            leaf("tt:Day", when.day)),
    )  # fmt: skip


def _address(host: str) -> str:
    try:
        socket.inet_aton(host)
    except OSError:
        return ""
    manual = tag("tt:Manual", leaf("tt:Address", host), leaf("tt:PrefixLength", 24))
    config = tag("tt:Config", manual, leaf("tt:DHCP", False))
    return tag("tt:IPv4", leaf("tt:Enabled", True), config)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
