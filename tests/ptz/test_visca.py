"""A VISCA camera through the same port as a Pelco head: bus, dead-man, STOP, presets, position."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nvr.base.clock import SystemClock
from nvr.hal.virtual_serial import VirtualSerial
from nvr.media.ports import Operator
from nvr.ptz.bus import Bus, BusEvent
from nvr.ptz.controller import Controller
from nvr.ptz.heads import Mount
from nvr.ptz.preset import PresetBook
from nvr.ptz.profile import check, library
from nvr.ptz.schedule import NEUTRAL, Motion
from nvr.ptz.visca import Visca
from nvr.wire import visca
from nvr.wire.visca import Request
from tests.ptz.line import FarEnd, PaperGuard

ADA = Operator("ada", "operator", "page/1")
ADDRESSES, CLEAR = (visca.BROADCAST, b"\x30\x01"), (visca.BROADCAST, b"\x00\x01")


class Camera:
    """A camera at the far end: keeps what it is told, answers as one does. Of address 0 it has none
    and takes the one that it is given. `wire` is all that was said on its line."""

    far: FarEnd

    def __init__(self, address: int = 1) -> None:
        self.address = address
        self.heard: list[bytes] = []
        self.wire: list[tuple[int, bytes]] = []
        self.pan, self.tilt, self.zoom = -144, 72, 0x2000
        self._decoder = visca.Decoder()
        self.news = threading.Condition()

    def __call__(self, data: bytes) -> bytes:
        answer = b""
        for one in self._decoder.feed(data):
            if not isinstance(one, Request):
                continue
            with self.news:
                self.wire.append((one.address, one.body))
                self.news.notify_all()
            if (one.address, one.body) == ADDRESSES:
                self.address = self.address or 1
                answer += bytes((0x88, 0x30, self.address + 1, 0xFF))
            if one.address != self.address:
                continue
            head = 0x80 + (self.address << 4)
            if one.inquiry:
                values = (self.pan, self.tilt) if one.body == visca.ASK_HEAD else (self.zoom,)
                digits = [v >> shift & 0xF for v in values for shift in (12, 8, 4, 0)]
                answer += bytes((head, 0x50, *digits, 0xFF))
                continue
            with self.news:
                self.heard.append(one.body)
                self.news.notify_all()
            answer += bytes((head, 0x41, 0xFF, head, 0x51, 0xFF))
        return answer

    def until_told(self, wanted: tuple[int, bytes]) -> None:
        with self.news:
            assert self.news.wait_for(lambda: wanted in self.wire, 10), self.wire

    def until(self, *bodies: bytes) -> None:
        """Wait until these were heard, in this order, perhaps with others between."""

        def there() -> bool:
            rest = iter(self.heard)
            return all(body in rest for body in bodies)

        with self.news:
            assert self.news.wait_for(there, 10), [body.hex(" ") for body in self.heard]


@contextmanager
def controlled(camera: Camera, head: Visca, place: Path) -> Iterator[tuple[Controller, Bus]]:
    far = camera.far = FarEnd(answer=camera)
    told: list[BusEvent] = []
    bus = Bus(
        "ptz",
        lambda: VirtualSerial(far.path),
        clock=SystemClock(),
        guard=PaperGuard(),
        tell=told.append,
        gap_s=0.01,
        byte_s=10 / 9600,
    )
    ptz = Controller(
        [Mount("hall", bus, head)],
        switches=None,
        presets=PresetBook(place / "presets.json"),
        clock=SystemClock(),
        audit=lambda *_: None,
        save=lambda job: job(),
    )
    bus.start()
    try:
        yield ptz, bus
    finally:
        bus.close()
        for event in told:
            if event.kind == "pointed":
                ptz.bus_event(event)
        far.close()


STILL = (visca.drive(0, 0), visca.zoom(0), visca.focus(0))


def test_it_is_told_to_stop_at_the_start_and_twice_after_motion(tmp_path: Path) -> None:
    camera = Camera(2)
    with controlled(camera, Visca(2), tmp_path) as (ptz, _):
        camera.until(*STILL, *STILL)
        ptz.move("hall", ADA, -1, 0.5, 1)
        camera.until(visca.drive(-24, 10), visca.zoom(8), visca.focus(0))
        camera.heard.clear()
        ptz.stop("hall", ADA)
        camera.until(*STILL, *STILL)


def test_a_chain_is_given_addresses_between_the_two_stops(tmp_path: Path) -> None:
    camera = Camera(0)
    still = [(1, body) for body in STILL]
    with controlled(camera, Visca(), tmp_path) as (ptz, bus):
        camera.until(*STILL)
        assert camera.wire == [*still, ADDRESSES, CLEAR, *still]
        ptz.move("hall", ADA, -1, 0, 0)
        camera.until(visca.drive(-24, 0))
        # A second one on the line: it is stopped, and the chain has its addresses already.
        bus.add("yard", Visca(2).encode, chain=Visca(2).chain)
        ptz.stop("hall", ADA)
        camera.until(visca.drive(-24, 0), *STILL, *STILL)
        assert camera.wire.count(ADDRESSES) == 1


def test_a_camera_that_is_switched_on_stops_the_chain_before_addresses_change(
    tmp_path: Path,
) -> None:
    camera = Camera()
    with controlled(camera, Visca(), tmp_path) as (ptz, _):
        camera.until(*STILL, *STILL)
        ptz.move("hall", ADA, -1, 0, 0)
        camera.until(visca.drive(-24, 0))
        del camera.heard[:], camera.wire[:]
        camera.far.say(bytes.fromhex("90 38"))
        camera.far.say(bytes.fromhex("FF A0 38 FF"))
        camera.until(*STILL, *STILL)
        still, at = [(1, body) for body in STILL], camera.wire.index(ADDRESSES)
        assert camera.wire[at - 3 : at] == still
        assert camera.wire[at + 1 : at + 4] == still
        ptz.move("hall", ADA, -1, 0.5, 0)  # nobody has let go yet
        del camera.heard[:], camera.wire[:]
        camera.far.say(bytes.fromhex("A0 38 FF"))
        camera.until_told(ADDRESSES)
        assert visca.drive(-24, 10) not in camera.heard


def test_a_lease_that_lapses_stops_it(tmp_path: Path) -> None:
    camera = Camera()
    with controlled(camera, Visca(), tmp_path) as (ptz, _):
        camera.until(*STILL, *STILL)
        camera.heard.clear()
        ptz.move("hall", ADA, 0.5, 0, 0, lease_s=0.3)
        camera.until(visca.drive(12, 0), *STILL, *STILL)


def test_presets_functions_and_where_it_points(tmp_path: Path) -> None:
    camera = Camera()
    head = library().find("", "visca").head(1, reports=True)
    with controlled(camera, head, tmp_path) as (ptz, _):
        camera.until(*STILL, *STILL)
        ptz.preset("hall", ADA, "set", 1, "door")
        ptz.preset("hall", ADA, "call", 1)
        camera.until(visca.preset("set", 0), visca.preset("call", 0))
        ptz.perform("hall", ADA, "home")
        ptz.perform("hall", ADA, "focus-auto")
        camera.until(visca.HOME, visca.FOCUS_AUTO)
        time.sleep(1.0)  # it is asked when the line is quiet
    position = ptz.status("hall").position
    assert position is not None
    assert (position.pan_deg, position.tilt_deg, position.zoom) == (350.0, 5.0, 0.5)


def test_focus_by_hand_takes_the_camera_out_of_its_own() -> None:
    packets = visca.Decoder().feed(Visca().encode(Motion(focus=-1)))
    assert [one.body for one in packets if isinstance(one, Request)] == [
        visca.drive(0, 0),
        visca.zoom(0),
        visca.FOCUS_MANUAL,
        visca.focus(-4),
    ]
    assert visca.FOCUS_MANUAL not in Visca().encode(NEUTRAL)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("[limits]\naddress = 8", "$.limits.address: a VISCA chain has 1 to 7"),
        ("[speed]\npan = [1, 25]", "$.speed.pan: VISCA knows speeds up to 24"),
        ("[aux]\nwiper = 1", "$.aux.wiper: VISCA has no auxiliaries"),
        ("[dialect]\nturbo = 0x40", "$.dialect.turbo: is of Pelco only"),
        (
            '[[function]]\nname = "a"\ntitle = "A"\ntitle_zh = "甲"\ndo = "auto-scan"',
            "$.function[0]: no head can auto-scan; there is backlight-off",
        ),
    ],
)
def test_what_a_visca_profile_cannot_say(lines: str, fault: str) -> None:
    text = 'schema = 1\nid = "x"\ntitle = "X"\ntitle_zh = "某"\nprotocol = "visca"\n'
    text += "" if "limits" in lines else "[limits]\naddress = 7\npreset = 16\n"
    text += "" if "speed" in lines else "[speed]\npan = [1, 24]\ntilt = [1, 20]\n"
    found = [str(one) for one in check(text + lines, "x")]
    assert any(one.startswith(fault) for one in found), found
