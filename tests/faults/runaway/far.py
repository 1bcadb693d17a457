"""Heads on a serial line and a box of relays, in a process that outlives the recorder.

    python -m tests.faults.runaway.far LINK DIRECTORY PORT

To the recorder it is the simulated dome of its board, but that it has no picture. Reads one JSON
order a line and answers each: ``pull`` and ``plug`` the adapter, ``babble`` on the line, tell what
``changed`` since. Times are `time.monotonic`, the same in every process.
"""

import contextlib
import fcntl
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from nvr import __version__
from nvr.sim import head, launch
from nvr.sim.decoder import Outputs, Receiver
from nvr.sim.head import MOTION_TIMEOUT_S, ZOOM_MAX, Head
from nvr.sim.view import View
from nvr.wire.pelco_d import Cmd, Frame
from tests.ptz.line import FarEnd, RelayBox

NAME = "far"
HEADS = 4
PRESETS = {1: View(0.0, -10.0, 1.0), 2: View(175.0, -10.0, 1.0)}
PRESET_DPS = 60.0
"""Half a turn in three seconds, as ordinary domes do it."""
LOOK_S = 0.01
AWAY_S = 0.25
"""Whoever looks later than this is no witness: what it saw may have been so for as long before."""
BABBLE_BYTES = 6
DECODER_S = MOTION_TIMEOUT_S


class Far:
    """What is at the other end of every wire."""

    def __init__(self, link: Path, sim: Path, port: int) -> None:
        head.PRESET_DPS = PRESET_DPS
        now_s = time.monotonic()
        self.heads = [Head(now_s, PRESETS[1], dict(PRESETS)) for _ in range(HEADS)]
        self.outputs = [Outputs() for _ in range(HEADS)]
        self._receivers = [
            Receiver(one, outputs, number, ZOOM_MAX)
            for number, (one, outputs) in enumerate(
                zip(self.heads, self.outputs, strict=True), start=1
            )
        ]
        self._changes: list[tuple[float, str, bool]] = []
        self._known: dict[str, bool] = {}
        self._naps: list[tuple[float, float]] = []
        self._lock = threading.Lock()
        self._plug = threading.Lock()
        self._link = link
        self._rng = random.Random(1)
        self._babbles = False
        self._line: FarEnd | None = None
        said = {"version": __version__, "rtsp": f"127.0.0.1:{port}", "name": NAME}
        self._relays = RelayBox(sim / "relay0", said)
        self._running = (sim / launch.LOCK).open("w")  # held: a dome runs here
        fcntl.flock(self._running, fcntl.LOCK_EX)
        self.plug()
        threading.Thread(target=self._watch, daemon=True).start()

    def plug(self) -> None:
        """Put the adapter in."""
        with self._plug:
            self._line = self._line or FarEnd(self._link, answer=self._receive)

    def pull(self) -> None:
        """Pull the adapter out; the heads go on as they were told last."""
        with self._plug:
            if self._line is not None:
                self._link.unlink()
                self._line.close()
                self._line = None

    def babble(self, on: bool) -> None:
        """Have something else talk on the line, all the time."""
        self._babbles = on

    def changed(self, since_s: float) -> dict[str, Any]:
        """Return what began and ended after `since_s`, and what is so now."""
        with self._lock:
            self._look(time.monotonic())
            relays = [(at_s, f"relay {name}", on) for name, on, at_s in list(self._relays.changes)]
            changes = sorted(one for one in (*self._changes, *relays) if one[0] >= since_s)
            known = {f"relay {name}": on for name, on in self._relays.state.items()}
            away_s = max((for_s for at_s, for_s in self._naps if at_s >= since_s), default=0.0)
            return {"changes": changes, "now": self._known | known, "away_s": away_s}

    def _receive(self, data: bytes) -> bytes:
        with self._lock:
            now_s = time.monotonic()
            answer = b"".join(one.receive(data, now_s) for one in self._receivers)
            self._look(now_s)
            return answer

    def _watch(self) -> None:
        """Notice what ends by itself: a preset reached, a decoder's time-out."""
        looked_s = time.monotonic()
        while True:
            time.sleep(LOOK_S)
            now_s = time.monotonic()
            with self._lock:
                self._look(now_s)
                if now_s - looked_s > AWAY_S:
                    self._naps.append((now_s, now_s - looked_s))
            looked_s = now_s
            with self._plug:
                if self._babbles and self._line is not None:
                    with contextlib.suppress(BlockingIOError):  # nobody reads
                        self._line.say(self._noise())

    def _noise(self) -> bytes:
        if self._rng.random() < 0.2:
            return Frame(self._rng.randint(1, HEADS), Cmd.RIGHT, 63, 0).encode()
        return self._rng.randbytes(BABBLE_BYTES)

    def _look(self, now_s: float) -> None:
        for number, (one, outputs) in enumerate(zip(self.heads, self.outputs, strict=True), 1):
            one.advance(now_s)
            for name, is_so in (("head", one.moving), ("lamp", outputs.lamp)):
                if self._known.get(f"{name} {number}", False) != is_so:
                    self._changes.append((now_s, f"{name} {number}", is_so))
                self._known[f"{name} {number}"] = is_so


def main() -> None:
    """Obey until standard input ends."""
    far = Far(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(far, order.pop("do"))(**order)
        print(json.dumps(answer), flush=True)
    far.pull()
    os._exit(0)  # what is left are threads that wait for a recorder


if __name__ == "__main__":
    main()
