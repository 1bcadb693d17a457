"""`nvr-guard`: stops heads and makes outputs safe when the recorder is killed or freezes.

A process of its own, started before the recorder moves anything, and on purpose the plainest
code here: one loop, the standard library, no threads. `DESIGN.md` beside it has the messages.

It acts when the recorder's end of the socket closes, or when a thread of the recorder that has
something moving or on was silent for 400 ms. It ignores every signal that asks it to end: it
ends when the recorder does, after it has acted.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from itertools import zip_longest

from nvr.hal import raw

SILENCE_S = 0.4
MESSAGE_BYTES = 65536


class Guard:
    """What the guard knows, and what it does with it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ports: dict[str, tuple[int, float, bool]] = {}  # bus: descriptor, gap_s, rts
        self.lines: dict[str, tuple[int, bool]] = {}  # output: descriptor, safe level
        self.relays: dict[str, tuple[str, str, bool]] = {}  # output: socket, its name there, safe
        self.claims: dict[str, tuple[str, int, bool]] = {}  # output: chip, line, safe
        self.stops: dict[str, list[bytes]] = {}  # who: STOP frames of what may move
        self.offs: dict[str, list[bytes]] = {}  # who: frames that switch off what may be on
        self.heard_s: dict[str, float] = {}  # who has something at stake: last heard

    def run(self) -> None:
        """Watch until the recorder is gone, then act once more and return."""
        self.tell({"did": "ready"})
        while True:
            wait_s = None
            if self.heard_s:
                wait_s = max(0.001, min(self.heard_s.values()) + SILENCE_S - time.monotonic())
            self.sock.settimeout(wait_s)
            try:
                open_ = self.receive()
                # What it sent before we looked counts, however late we were woken.
                self.sock.settimeout(0)
                while open_:
                    open_ = self.receive()
            except (TimeoutError, BlockingIOError):
                open_ = True
            if not open_:
                self.act()
                return
            oldest_s = min(self.heard_s.values(), default=time.monotonic())
            if time.monotonic() - oldest_s >= SILENCE_S:
                for who in self.heard_s:
                    self.tell({"did": "took", "who": who})
                self.act()

    def receive(self) -> bool:
        """Take one message; False if the recorder is gone."""
        try:
            data, fds, _flags, _address = socket.recv_fds(self.sock, MESSAGE_BYTES, 1)
        except ConnectionError:
            return False
        if not data:
            return False
        message = json.loads(data)
        do = message["do"]
        if do == "serial":
            self.close_port(message["bus"])
            self.ports[message["bus"]] = (fds[0], message["gap_ms"] / 1000, message["rts"])
        elif do == "forget":
            self.close_port(message["bus"])
        elif do == "line":
            self.close_line(message["output"])
            self.lines[message["output"]] = (fds[0], message["safe"])
        elif do == "relay":
            self.relays[message["output"]] = (message["path"], message["name"], message["safe"])
        elif do == "claim":
            self.claims[message["output"]] = (message["chip"], message["line"], message["safe"])
        elif do == "beat":
            who = message["who"]
            self.stops[who] = [bytes.fromhex(frame) for frame in message["stops"]]
            self.offs[who] = [bytes.fromhex(frame) for frame in message["offs"]]
            if self.stops[who] or self.offs[who] or message["on"]:
                self.heard_s[who] = time.monotonic()
            else:
                self.heard_s.pop(who, None)
            self.tell({"did": "beat", "n": message["n"]})
        return True

    def act(self) -> None:
        """Stop everything that moves and drive every output safe; nothing may prevent the rest."""
        rounds = [
            [(self.ports[who], frame) for frame in frames * 2 + self.offs[who] * 2]
            for who, frames in self.stops.items()
            if who in self.ports
        ]
        asked: list[socket.socket] = []
        first = True
        # One frame on every bus, then the longest of their gaps, so that buses do not wait for
        # each other. The first round tells every head to stop, the second tells it again; then
        # their auxiliaries go off in the same way.
        for step in list(zip_longest(*rounds)) or [()]:  # outputs, though nothing moves
            for port, frame in (each for each in step if each):
                with contextlib.suppress(OSError):
                    raw.write_frame(port[0], frame, rts=port[2], byte_s=0.005 if port[2] else 0)
            if first:
                asked = self.make_safe()
                first = False
            time.sleep(max((each[0][1] for each in step if each), default=0))
        for sock in asked:
            # Closed before it was read, a request may be taken back.
            with sock, contextlib.suppress(OSError):
                sock.settimeout(0.1)
                sock.recv(64)
        self.stops.clear()
        self.offs.clear()
        self.heard_s.clear()

    def make_safe(self) -> list[socket.socket]:
        """Drive every output to its safe level; returns the relays' connections."""
        for fd, safe in self.lines.values():
            with contextlib.suppress(OSError):
                raw.drive_line(fd, safe)
        for chip, line, safe in self.claims.values():
            with contextlib.suppress(OSError):  # refused while the recorder has it, frozen or not
                raw.claim_line(chip, line, safe)
        asked = []
        for path, name, safe in self.relays.values():
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            asked.append(sock)
            with contextlib.suppress(OSError):
                sock.connect(path)
                sock.send(json.dumps({"output": name, "on": safe}).encode() + b"\n")
        return asked

    def tell(self, message: dict[str, object]) -> None:
        """Answer, unless the recorder does not take it."""
        with contextlib.suppress(OSError):
            self.sock.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def close_port(self, bus: str) -> None:
        """Forget a bus, and what moved on it."""
        fd, _gap_s, _rts = self.ports.pop(bus, (-1, 0, False))
        if fd >= 0:
            os.close(fd)

    def close_line(self, output: str) -> None:
        """Forget an output's line."""
        fd, _safe = self.lines.pop(output, (-1, False))
        if fd >= 0:
            os.close(fd)


def main() -> int:
    """Run on the socket whose descriptor is the one argument."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.stderr.write("nvr-guard: started by the recorder, not by hand\n")
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(-10)  # only root may; it must run when the box is busy
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        Guard(sock).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
