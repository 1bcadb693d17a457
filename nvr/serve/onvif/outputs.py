"""Outputs and alarm inputs of the box as relays and digital inputs: Device and DeviceIO alike.

``active`` is the other level than that at rest. An output that gives a pulse is monostable.

Source: ONVIF Core Specification 23.06, section 8.6; ONVIF DeviceIO Service Specification 22.12.
"""

from typing import Literal

from nvr.auth.policy import authorise
from nvr.auth.user import Subject
from nvr.base.errors import Rejected
from nvr.media.gpio import OUTPUT_PREFIX, InputView, OutputView
from nvr.serve.onvif.channel import Channels
from nvr.serve.onvif.parts import Call, Operation, Parts, Service, fault_of
from nvr.wire.soap import Fault, duration, leaf, tag


class Outputs:
    """Relays, for both services."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def shown(self, subject: Subject) -> list[OutputView]:
        """What this host may switch."""
        return [
            one
            for one in self._parts.lines.outputs()
            if "relay" in subject.may(OUTPUT_PREFIX + one.name)
        ]

    def named(self, call: Call) -> str:
        """Return which output a request is about. See `Operation`."""
        return OUTPUT_PREFIX + self._find(call).name

    def all(self, call: Call) -> str:
        """``GetRelayOutputs``."""
        return "".join(
            tag("tds:RelayOutputs", _properties(one), token=one.name)
            for one in self.shown(call.subject)
        )

    def switch(self, call: Call) -> str:
        """``SetRelayOutputState``; a door wants a right of its own."""
        one = self._find(call)
        state = call.said("LogicalState")
        if state not in {"active", "inactive"}:
            raise Fault("a relay is active or inactive", "ter:InvalidArgVal")
        do: Literal["on", "off"] = "on" if (state == "active") != one.safe else "off"
        door = "door " if one.kind == "door" and do == "on" else ""
        authorise(call.subject, f"output {door}{do}", OUTPUT_PREFIX + one.name)
        self._parts.lines.switch(one.name, do, call.subject.name, call.address)
        return ""

    def settings(self, call: Call) -> str:
        """``SetRelayOutputSettings``: they stand in the board file."""
        self._find(call)
        raise Fault("the board file says how this relay is", "ter:InvalidArgVal", "ter:ModeError")

    def _find(self, call: Call) -> OutputView:
        wanted = call.said("RelayOutputToken")
        if not wanted:  # DeviceIO's settings have it inside
            wanted = next((c.attributes.get("token", "") for c in call.body.children), "")
        found = next((one for one in self.shown(call.subject) if one.name == wanted), None)
        if found is None:
            missing = Rejected("gpio.unknown_output", "the board has no such output", output=wanted)
            raise fault_of(missing)
        return found


class DeviceIo:
    """Handlers of DeviceIO."""

    def __init__(self, parts: Parts, channels: Channels, outputs: Outputs) -> None:
        self._parts, self._channels, self._outputs = parts, channels, outputs

    def service(self) -> Service:
        """What there is of it."""
        outputs = self._outputs
        return Service(
            "io", "tmd", "deviceio_service", (2, 60),
            {
                "GetServiceCapabilities": Operation(self.capabilities),
                "GetRelayOutputOptions": Operation(self.relay_options),
                "SetRelayOutputSettings": Operation(outputs.settings, outputs.named),
                "GetDigitalInputs": Operation(self.digital_inputs),
                "GetVideoOutputs": Operation(lambda _: ""),
                "GetSerialPorts": Operation(lambda _: ""),
            },
            self.capabilities,
        )  # fmt: skip

    def capabilities(self, call: Call) -> str:
        """``GetServiceCapabilities``."""
        return tag(
            "tmd:Capabilities", VideoSources=len(self._channels.sources(call.subject)),
            VideoOutputs=0, AudioSources=0, AudioOutputs=0,
            RelayOutputs=len(self._outputs.shown(call.subject)), SerialPorts=0,
            DigitalInputs=len(self._parts.lines.inputs()), DigitalInputOptions=False,
        )  # fmt: skip

    def relay_options(self, call: Call) -> str:
        """``GetRelayOutputOptions``: what is so, as the only choice."""
        wanted = call.said("RelayOutputToken")
        return "".join(
            tag("tmd:RelayOutputOptions", leaf("tmd:Mode", _mode(one)), token=one.name)
            for one in self._outputs.shown(call.subject)
            if not wanted or one.name == wanted
        )

    def digital_inputs(self, call: Call) -> str:
        """``GetDigitalInputs``."""
        idle = {"nc": "closed", "no": "open"}
        shown = inputs_of(self._parts, call.subject)
        return "".join(
            tag(
                "tmd:DigitalInputs", token=one.name,
                **({"IdleState": idle[one.contact]} if one.contact in idle else {}),
            )
            for one in shown
        )  # fmt: skip


def inputs_of(parts: Parts, subject: Subject) -> list[InputView]:
    """Alarm inputs that this host may know: those under whose name it has any right."""
    return [one for one in parts.lines.inputs() if subject.may(OUTPUT_PREFIX + one.name)]


def _mode(one: OutputView) -> str:
    return "Bistable" if one.pulse_ms is None else "Monostable"


def _properties(one: OutputView) -> str:
    delay = "PT0S" if one.pulse_ms is None else duration(one.pulse_ms / 1000)
    return tag(
        "tt:Properties", leaf("tt:Mode", _mode(one)), leaf("tt:DelayTime", delay),
        leaf("tt:IdleState", "closed" if one.safe else "open"),
    )  # fmt: skip
