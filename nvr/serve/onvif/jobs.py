"""Recording jobs: one for each stream, switched on and off; the box's own plan says the rest.

A job that is ``Idle`` is a stream whose plan is ``off``. Switched on again it has the plan's mode
of before, as far as that is known since the start, else it records continuously. A plan with hours
of its own is not for a host to switch.

Source: ONVIF Recording Control Service Specification 22.12, section 5.
"""

import dataclasses
from collections.abc import Callable

from nvr.auth.audit import Entry
from nvr.media.name import Which
from nvr.serve.onvif.channel import Profile
from nvr.serve.onvif.parts import Call, Operation, Parts
from nvr.wire.soap import Fault, child


class Jobs:
    """Handlers of what changes a job.

    Args:
        parts: What we are built from.
        recording: Finds the stream that a request is about.
        told: Describes a job: name of the element, and stream.
    """

    def __init__(
        self,
        parts: Parts,
        recording: Callable[[Call], Profile],
        told: Callable[[str, Profile], str],
    ) -> None:
        self._parts, self._recording, self._told = parts, recording, told
        self._before: dict[tuple[str, Which], str] = {}

    def operations(self) -> dict[str, Operation]:
        """What there is of them."""

        def about(call: Call) -> str:
            return self._recording(call).camera.name

        return {
            "SetRecordingJobMode": Operation(self.set_mode, about),
            "SetRecordingJobConfiguration": Operation(self.configure, about),
            "CreateRecordingJob": Operation(_fixed),
            "DeleteRecordingJob": Operation(_fixed, about),
        }

    async def set_mode(self, call: Call) -> str:
        """``SetRecordingJobMode``."""
        await self._switch(call, call.said("Mode"))
        return ""

    async def configure(self, call: Call) -> str:
        """``SetRecordingJobConfiguration``: its mode; what it records is as it is."""
        one, wanted = self._recording(call), child(call.body, "JobConfiguration")
        if wanted is None or wanted.said("RecordingToken") != one.token:
            raise Fault(
                "a job stays with its recording", "ter:InvalidArgVal", "ter:BadConfiguration"
            )
        await self._switch(call, wanted.said("Mode"))
        return self._told("trc:JobConfiguration", self._recording(call))

    async def _switch(self, call: Call, mode: str) -> None:
        if mode not in {"Active", "Idle"}:
            raise Fault("a job is Active or Idle", "ter:InvalidArgVal", "ter:BadMode")
        one = self._recording(call)
        name, which = one.camera.name, one.which
        plan = self._parts.cameras.plan(name, which)
        if (plan.mode != "off") == (mode == "Active"):
            return
        if any(plan.week):
            raise Fault("its plan has hours of its own", "ter:Action", receiver=True)
        self._parts.audit.check_room()
        if mode == "Idle":
            self._before[name, which] = plan.mode
        fresh = "off" if mode == "Idle" else self._before.get((name, which), "continuous")
        await self._parts.cameras.write_plan(name, dataclasses.replace(plan, mode=fresh), which)
        self._parts.audit.record(
            Entry(
                "admin-setting", "onvif recording SetRecordingJobMode", reason=f"{which} {fresh}",
                who=call.subject.name, source=call.address, camera=name,
            )
        )  # fmt: skip


def mode_of(parts: Parts, one: Profile) -> str:
    """``Active`` or ``Idle``."""
    if not one.stream.recorded:
        return "Idle"
    return "Idle" if parts.cameras.plan(one.camera.name, one.which).mode == "off" else "Active"


def _fixed(_call: Call) -> str:
    raise Fault(
        "there is one job for each stream", "ter:Action", "ter:MaxRecordingJobs", receiver=True
    )
