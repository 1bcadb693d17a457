"""How fast a head moves and stops: from a message at the page's WebSocket to the byte on the wire.

Subject is the shipped `nvr run`, steered as a page steers it. The far end of its serial line is a
pseudo-terminal that this process reads and stamps. Times count from the moment the message is
given to the client's socket, so TLS, the kernel and this process are in them. A joystick at the box
is the kernel's structs through a pipe, timed from just before they are written.
"""

import asyncio
import contextlib
import os
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgpack

from nvr.sim.decoder import Outputs, Receiver
from nvr.sim.head import Head
from nvr.sim.joystick import ABS_X, HandOnJoystick
from nvr.sim.view import View
from nvr.wire.pelco_d import Cmd
from tests.bench.figures import ROOT, arguments, at_most, progress, report, spread
from tests.bench.recorder import START_S, Recorder, recorder, scratch
from tests.ptz.line import FarEnd, Heard

T = TypeVar("T")

GAP_S = 0.08
HEADS = 8
SLOW_BAUD = 2400
FRAME_S = 7 * 10 / SLOW_BAUD
"""Of a frame at that speed; a pseudo-terminal takes none, so it is added."""
LEAST_PACE_S = max(GAP_S, FRAME_S)
CAMERA = """
[[camera]]
name = "c{n}"
url = "rtsp://127.0.0.1:9/none"
[camera.ptz]
bus = "ptz"
address = {address}
"""
LIMITS = {
    "local_to_wire_p99_ms": at_most(5, "a stick at the box has no network in its way"),
    "bus8_stop_ms": at_most(
        HEADS * LEAST_PACE_S * 1000, "eight heads on a slow line stop one gap after the other"
    ),
    "bus8_late_ms": at_most(0, "the k-th is told within k gaps"),
    "bus8_early_seconds": at_most(0, "each is told once before any is told twice"),
    "to_wire_p99_ms": at_most(10, "a hand does not feel it, and the frame itself takes 7 to 29 ms"),
    "close_to_stop_ms": at_most(50, "a closed page must not steer"),
    "frozen_to_stop_ms": at_most(550, "the lease of 500 ms, and a margin for the machine"),
    "killed_to_stop_ms": at_most(500, "the guard's silence of 400 ms, and a margin"),
}


class Product:
    """`nvr run` with one head on a serial line, steered by a page over its WebSocket."""

    def __init__(self, far: FarEnd, box: Recorder) -> None:
        self.far = far
        self._box = box
        self._n = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._run(self._sign_in())
        self._open_page()

    def move(self, pan: float, camera: str = "c0") -> float:
        """Return when the message was given to the socket, TLS and network still before it."""
        return self._run(self._move(pan, camera))

    def stop_all(self) -> float:
        """Return when the message was given to the socket."""
        return self._run(self._say({"op": "stop_all"}))

    def joystick(self) -> HandOnJoystick:
        """Plug a joystick into the box; returns when the box has it."""
        hand = HandOnJoystick(self._box.data / "sim/joystick", "bench")
        deadline_s = time.monotonic() + START_S
        while b"joystick.plugged" not in self._box.log.read_bytes():
            if time.monotonic() > deadline_s:
                raise TimeoutError("the joystick is not seen")
            time.sleep(0.05)
        return hand

    def close_page(self, *, abruptly: bool = False) -> float:
        """Close the page, by a close frame or as a killed browser does; and open another."""
        at_s = self._run(self._close(abruptly=abruptly))
        first_stop_s(self.far)
        self._open_page()
        return at_s

    def signal(self, number: int) -> float:
        """Signal the recorder alone; return when."""
        at_s = time.monotonic()
        os.kill(self._box.pid, number)
        return at_s

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._box.pid, signal.SIGCONT)
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, body: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(body, self._loop).result(30)

    async def _sign_in(self) -> None:
        address = f"https://127.0.0.1:{self._box.page_port}"
        self._http = aiohttp.ClientSession(
            address,
            connector=aiohttp.TCPConnector(ssl=False),
            headers={"X-NVR": "1", "Origin": address},
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )
        body = {"code": self._box.claim, "name": "bench", "password": "a bench has no secrets"}
        async with self._http.post("/api/claim", json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(await answer.text())

    def _open_page(self) -> None:
        self._run(self._open())

    async def _open(self) -> None:
        self._page = await self._http.ws_connect("/ws/control", compress=0)
        self._reading = asyncio.ensure_future(self._read(self._page))

    @staticmethod
    async def _read(page: aiohttp.ClientWebSocketResponse) -> None:
        async for message in page:
            said = msgpack.unpackb(message.data)
            if said["op"] == "error":
                progress(f"refused: {said}")

    async def _move(self, pan: float, camera: str) -> float:
        self._n += 1
        return await self._say({"op": "move", "cam": camera, "n": self._n, "v": [pan, 0.0, 0.0]})

    async def _say(self, message: dict[str, object]) -> float:
        data = msgpack.packb(message)
        at_s = time.monotonic()
        await self._page.send_bytes(data)
        return at_s

    async def _close(self, *, abruptly: bool) -> float:
        at_s = time.monotonic()
        if abruptly:
            self._page.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        else:
            await self._page.close()
        await self._reading
        return at_s

    async def _end(self) -> None:
        self._reading.cancel()
        await self._http.close()


@contextmanager
def product(heads: int = 1, baud: int = 9600) -> Iterator[Product]:
    """Start the recorder on a board with one serial line, whose far end is here."""
    with tempfile.TemporaryDirectory() as place, scratch() as directory:
        # They answer, so that queries are on the line whenever the product would send them.
        line = [
            Receiver(Head(time.monotonic(), View(0.0, 0.0, 1.0)), Outputs(), 1 + n, 20.0)
            for n in range(heads)
        ]
        far = FarEnd(
            Path(place) / "dome0",
            answer=lambda data: b"".join(one.receive(data, time.monotonic()) for one in line),
        )
        board = f'[serial.ptz]\npath = "{far.path}"\nbaud = {baud}\ndirection = "none"'
        try:
            with recorder(
                [],
                directory,
                size_mib=256,
                board_tables=board,
                camera_tables="".join(CAMERA.format(n=n, address=n + 1) for n in range(heads)),
            ) as box:
                far.wait_count(2 * heads)
                subject = Product(far, box)
                try:
                    yield subject
                finally:
                    subject.end()
        finally:
            far.close()


def left(heard: list[Heard]) -> bool:
    return any(h.frame.command & Cmd.LEFT for h in heard)


def first_stop_s(far: FarEnd) -> float:
    """When the first byte of the first STOP came."""
    heard = far.wait(lambda heard: any(h.still for h in heard))
    return next(h.first_s for h in heard if h.still)


def to_wire_ms(subject: Product, samples: int) -> list[float]:
    """Change the speed on an idle bus, and see when it arrives."""
    taken = []
    for n in range(samples):
        subject.far.clear()
        at_s = subject.move(-(n % 60 + 3) / 63)
        first = next(h for h in subject.far.wait(left) if left([h]))
        taken.append((first.first_s - at_s) * 1000)
        # The gap after this frame is over, and the next sample meets the machine elsewhere.
        time.sleep(GAP_S + 0.02 + n % 7 / 1000)
    settle(subject)
    return taken


def local_to_wire_ms(subject: Product, samples: int) -> list[float]:
    """Move a stick at the box while the bus is idle, and see when it arrives."""
    hand = subject.joystick()
    taken = []
    for n in range(samples):
        subject.far.clear()
        at_s = hand.move({ABS_X: -0.4 - n % 6 / 10})  # steps that a head has speeds for
        first = next(h for h in subject.far.wait(left) if left([h]))
        taken.append((first.first_s - at_s) * 1000)
        time.sleep(GAP_S + 0.02 + n % 7 / 1000)
    hand.pull()
    return taken


def bus8_stops(subject: Product, number: int) -> tuple[list[float], int]:
    """Stop all heads of a line at once while they turn.

    Returns:
        Milliseconds until each was told, in order; and how many were told twice before that.
    """
    far = subject.far
    far.clear()
    cameras = [f"c{n}" for n in range(HEADS)]
    while len({h.frame.address for h in far.heard if left([h])}) < HEADS:
        for camera in cameras:
            subject.move(-1, camera)
        time.sleep(0.1)
    time.sleep(number % 8 / 100)  # anywhere in a gap
    far.clear()
    at_s = subject.stop_all()
    heard = far.wait(lambda heard: sum(h.still for h in heard) >= 2 * HEADS)
    stops = [h for h in heard if h.still]
    firsts = list({h.frame.address: h for h in reversed(stops)}.values())
    last_s = max(h.first_s for h in firsts)
    early = sum(h.first_s < last_s for h in stops) - (HEADS - 1)
    for camera in cameras:
        subject.move(0, camera)  # they have let go
    return sorted((h.first_s + FRAME_S - at_s) * 1000 for h in firsts), early


def settle(subject: Product) -> None:
    """Centre the stick and let the line fall silent."""
    subject.move(0)
    time.sleep(4 * GAP_S)


def moving(subject: Product) -> float:
    """Move, renew once, and return when that was."""
    subject.far.clear()
    subject.move(-1)
    subject.far.wait(left)
    time.sleep(GAP_S * 1.5)
    at_s = subject.move(-1)
    subject.far.clear()
    return at_s


def closed_ms(subject: Product, samples: int) -> list[float]:
    """Close the page while it moves the head, by turns politely and as a killed browser does."""
    taken = []
    for n in range(samples):
        moving(subject)
        at_s = subject.close_page(abruptly=n % 2 == 1)
        taken.append((first_stop_s(subject.far) - at_s) * 1000)
        settle(subject)
    return taken


def frozen_ms(subject: Product, samples: int) -> list[float]:
    """Stop renewing, as a page does whose process is frozen; from the last renewal."""
    taken = []
    for _ in range(samples):
        at_s = moving(subject)
        taken.append((first_stop_s(subject.far) - at_s) * 1000)
        settle(subject)
    return taken


def killed_ms(number: int) -> float:
    """Kill or freeze the recorder while it moves the head."""
    with product() as subject:
        moving(subject)
        at_s = subject.signal(number)
        return (first_stop_s(subject.far) - at_s) * 1000


def late_ms(told: list[float]) -> float:
    """By how much the latest was told after its turn; below 0 for none."""
    return max(at_ms - k * LEAST_PACE_S * 1000 for k, at_ms in enumerate(told, 1))


def main() -> int:
    """Measure and report."""
    parser = arguments(__doc__)
    parser.add_argument("--samples", type=int, default=300, help="moves, for to_wire")
    parser.add_argument("--rounds", type=int, default=5, help="of everything else")
    chosen = parser.parse_args()
    progress("a stick at the box to wire")
    with product() as subject:
        local = local_to_wire_ms(subject, chosen.samples)
    progress("eight heads on one line")
    with product(HEADS, SLOW_BAUD) as subject:
        eight = [bus8_stops(subject, number) for number in range(chosen.rounds)]
    progress("move to wire")
    with product() as subject:
        wire = to_wire_ms(subject, chosen.samples)
        progress("page closed")
        closed = closed_ms(subject, chosen.rounds)
        progress("page frozen")
        frozen = frozen_ms(subject, chosen.rounds)
    killed = []
    stopped = []
    for number in range(1, chosen.rounds + 1):
        progress(f"recorder killed, recorder frozen: {number} of {chosen.rounds}")
        killed.append(killed_ms(signal.SIGKILL))
        stopped.append(killed_ms(signal.SIGSTOP))
    figures = {
        "to_wire_p50_ms": statistics.median(wire),
        "to_wire_p99_ms": statistics.quantiles(wire, n=100)[98],
        "local_to_wire_p50_ms": statistics.median(local),
        "local_to_wire_p99_ms": statistics.quantiles(local, n=100)[98],
        "bus8_stop_ms": max(told[-1] for told, _ in eight),
        "bus8_late_ms": max(late_ms(told) for told, _ in eight),
        "bus8_early_seconds": max(early for _, early in eight),
        "close_to_stop_ms": max(closed),
        "frozen_to_stop_ms": max(frozen),
        "killed_to_stop_ms": max(killed + stopped),
        "sigkill_to_stop_ms": max(killed),
        "sigstop_to_stop_ms": max(stopped),
    }
    return report(
        "control",
        {name: round(value, 2) for name, value in figures.items()},
        LIMITS,
        as_json=chosen.json,
        notes=[
            "to_wire over an idle bus; the others are the worst of their rounds",
            f"eight heads: the last of them told {spread([told[-1] for told, _ in eight])} ms",
            f"close {spread(closed)}, page frozen {spread(frozen)} ms",
            f"SIGKILL {spread(killed)}, SIGSTOP {spread(stopped)} ms",
        ],
    )


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
