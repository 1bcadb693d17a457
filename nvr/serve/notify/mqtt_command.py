"""What a broker may have the box do, by the rights of its credential.

================================= ==========================================
topic below the prefix            payload
================================= ==========================================
``output/<name>/set``             ``ON``, ``OFF`` or ``PULSE``
``camera/<name>/preset/set``      number of a preset
``camera/<name>/stop/set``        anything: its head stops
``stop/set``                      anything: all heads stop
``camera/<name>/caption/set``     text, a line a line; empty for none
``camera/<name>/record/set``      seconds; empty for what the plan says
================================= ==========================================

Outputs keep their longest time on, their interlocks and the guard: they are switched as from the
page. There is no motion: it would end by a time-out of the network's. Retained messages are no
commands; they may be years old.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

from nvr.auth.audit import Audit, Entry
from nvr.auth.policy import authorise, require, unknown_camera
from nvr.auth.user import Subject
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected
from nvr.media.camera import Cameras
from nvr.media.gpio import OUTPUT_PREFIX, Lines, unknown_output
from nvr.media.ports import Operator, Ptz

SUBSCRIBED = ("output/+/set", "camera/+/+/set", "stop/set")
KEYS = (
    "mqtt output set", "mqtt preset", "mqtt stop", "mqtt stop_all", "mqtt caption", "mqtt record",
)  # fmt: skip
MOST_BYTES = 1024
PER_S, BURST = 10.0, 40.0
"""So many commands a second are obeyed for long, and so many at once; STOP is not counted."""
MOST_RECORD_S = 3600
_NOTE_S = 60.0


class Commands:
    """Obeys one broker.

    Args:
        name: Of the broker.
        cameras: All cameras.
        lines: All outputs.
        ptz: All heads.
        record: Has a camera record so many seconds, None for what its plan says.
        audit: Told of what was refused; the rest is written down by who does it.
        clock: Time source.

    Attributes:
        obeyed: Counted since the start.
        refused: The same.
    """

    def __init__(
        self,
        name: str,
        cameras: Cameras,
        lines: Lines,
        ptz: Ptz,
        record: Callable[[str, float | None], None],
        audit: Audit,
        clock: Clock,
    ) -> None:
        require(KEYS)
        self._source = f"mqtt/{name}"
        self._cameras, self._lines, self._ptz = cameras, lines, ptz
        self._record, self._audit, self._clock = record, audit, clock
        self._left, self._filled_s = BURST, clock.monotonic_s()
        self._noted_s: dict[str, float] = {}
        self.obeyed = 0
        self.refused = 0

    async def obey(self, topic: str, payload: bytes, subject: Subject) -> None:
        """Do what a message wants.

        Args:
            topic: Below the prefix.
            payload: As it came.
            subject: Whose rights the broker has.

        Raises:
            NvrError: Why it is not done; ``mqtt.invalid``, ``mqtt.too_many``, and as of the
                policy, outputs, heads and cameras.
        """
        try:
            await self._obey(topic.split("/"), payload, subject)
        except NvrError as err:
            self.refused += 1
            self._note(err, topic, subject)
            raise
        self.obeyed += 1

    async def _obey(self, words: list[str], payload: bytes, subject: Subject) -> None:
        match words:
            case ["stop", "set"]:
                authorise(subject, "mqtt stop_all")
                self._ptz.stop_all(self._who(subject))
                return
            case ["camera", name, "stop", "set"]:
                authorise(subject, "mqtt stop", name)
                self._ptz.stop(name, self._who(subject))
                return
            case _:
                pass
        text = _text(payload)
        self._take_turn()
        match words:
            case ["output", name, "set"]:
                self._switch(name, text, subject)
            case ["camera", name, "preset", "set"]:
                authorise(subject, "mqtt preset", name)
                self._audit.check_room()
                self._ptz.preset(name, self._who(subject), "call", _number(text, 1, 255))
            case ["camera", name, "caption", "set"]:
                authorise(subject, "mqtt caption", name)
                await self._write(name, text, subject)
            case ["camera", name, "record", "set"]:
                authorise(subject, "mqtt record", name)
                for_s = _number(text, 1, MOST_RECORD_S) if text else None
                self._audit.check_room()
                self._record(name, for_s)
                self._log("camera.event", name, subject, f"{for_s or ''}")
            case _:
                raise Rejected("mqtt.invalid", "there is no such command")

    def _switch(self, name: str, text: str, subject: Subject) -> None:
        found = next((one for one in self._lines.outputs() if one.name == name), None)
        if found is None or not subject.may(OUTPUT_PREFIX + name):
            raise unknown_output(name)
        words: dict[str, Literal["on", "off", "pulse"]] = {
            "ON": "on", "OFF": "off", "PULSE": "pulse",
        }  # fmt: skip
        do = words.get(text.upper())
        if do is None:
            raise Rejected("mqtt.invalid", "an output is told ON, OFF or PULSE")
        door = "door " if found.kind == "door" and do != "off" else ""
        authorise(subject, "mqtt output set", OUTPUT_PREFIX + name)
        authorise(subject, f"output {door}{do}", OUTPUT_PREFIX + name)
        self._lines.switch(name, do, subject.name, self._source)

    async def _write(self, name: str, text: str, subject: Subject) -> None:
        camera = self._cameras.find(name)
        if camera is None:
            raise unknown_camera()
        if camera.caption is None:
            raise Rejected("caption.unsupported", "this camera has no caption", camera=name)
        self._audit.check_room()
        lines = tuple(text.splitlines())
        await self._cameras.write_caption(name, dataclasses.replace(camera.caption, lines=lines))
        self._log("mqtt caption", name, subject, " / ".join(lines)[:300])

    def _who(self, subject: Subject) -> Operator:
        return Operator(subject.name, "machine", self._source)

    def _take_turn(self) -> None:
        now_s = self._clock.monotonic_s()
        self._left = min(BURST, self._left + (now_s - self._filled_s) * PER_S)
        self._filled_s = now_s
        if self._left < 1.0:
            raise Rejected("mqtt.too_many", f"more than {PER_S:g} commands a second")
        self._left -= 1.0

    def _log(self, action: str, camera: str, subject: Subject, reason: str) -> None:
        self._audit.record(Entry("event", action, "ok", reason, subject.name, self._source, camera))

    def _note(self, err: NvrError, topic: str, subject: Subject) -> None:
        """Write a refusal down, each sort once a minute: a flood is not to fill the log."""
        now_s = self._clock.monotonic_s()
        if now_s - self._noted_s.get(err.code, -_NOTE_S) < _NOTE_S:
            return
        self._noted_s[err.code] = now_s
        if "".join(c for c in topic if c.isprintable()) != topic:
            topic = ascii(topic)
        entry = Entry(
            "event", "mqtt", "refused", f"{err.code} {topic}"[:300], subject.name, self._source
        )
        self._audit.record(entry, stop=True)


def _text(payload: bytes) -> str:
    if len(payload) > MOST_BYTES:
        raise Rejected("mqtt.invalid", f"a command has at most {MOST_BYTES} bytes")
    try:
        return payload.decode().strip()
    except UnicodeDecodeError as err:
        raise Rejected("mqtt.invalid", "a command is UTF-8") from err


def _number(text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most:
        return int(text)
    raise Rejected("mqtt.invalid", f"a number from {least} to {most}")
