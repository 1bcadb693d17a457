"""The box as a device of upstream hosts, as the page sees it; `app` implements the port."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nvr.base.errors import NvrError


@dataclass(frozen=True, slots=True)
class OnvifDeviceSettings:
    """See ``[onvif]`` of the configuration.

    Attributes:
        on: It is there.
        port: TCP port of its services.
        discovery: It answers who looks for devices.
        channels: Cameras that are devices of their own as well, and the port of each.
    """

    on: bool
    port: int
    discovery: bool
    channels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """A host that used the device of late.

    Attributes:
        name: Credential it gave, empty if none.
        address: Its IP address.
        at_us: UTC microseconds of its last request.
        did: That request's operation.
        how: ``digest`` or ``token``: how it signed in the last time that it did; empty if never.
        requests: Requests of its that were answered.
        refused: Requests that were not, for want of a log-in or a right.
        why: Why the last of these was not; empty once one is answered.
    """

    name: str
    address: str
    at_us: int
    did: str
    how: str
    requests: int
    refused: int
    why: str


@dataclass(frozen=True, slots=True)
class OnvifDeviceState:
    """The device, now.

    Attributes:
        settings: As they are in force.
        listening: Connections are taken, for the box as a whole.
        fault: Why not, or why nobody can find it.
        answered: Probes answered since it is on.
        hosts: Who used it, the latest first.
    """

    settings: OnvifDeviceSettings
    listening: bool = False
    fault: NvrError | None = None
    answered: int = 0
    hosts: Sequence[Host] = ()


class OnvifDevice(Protocol):
    """The box as an ONVIF device."""

    def state(self) -> OnvifDeviceState:
        """How it is."""
        ...

    async def write(self, wanted: OnvifDeviceSettings) -> None:
        """Have it otherwise, at once and for good.

        Raises:
            Rejected: ``config.refused``.
            Unavailable: ``config.unwritable``.
        """
        ...


class NoOnvifDevice:
    """A box that is none. See `OnvifDevice`."""

    def state(self) -> OnvifDeviceState:  # noqa: D102 - see OnvifDevice
        return OnvifDeviceState(OnvifDeviceSettings(on=False, port=8000, discovery=False))

    async def write(self, wanted: OnvifDeviceSettings) -> None:
        """Nothing can be changed."""
