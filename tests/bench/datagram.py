"""CPU of taking a stream over UDP against interleaved TCP: one tick's packets, drained in one call.

    python -m tests.bench.datagram [--json]

Same pictures, same packets of 1400 bytes at 4 Mbit/s, read every 80 ms as the recorder does while
it is relayed. Timed is the reading thread alone, system calls included; what the kernel does as the
packets arrive is the sender's on a loopback and in neither figure. UDP runs with a tenth of the
packets swapped too.
"""

import os
import socket
import struct
import sys
import time

from nvr._native import Engine, Session
from nvr.media import told
from nvr.media.datagram import Datagrams, native
from tests.bench import figures
from tests.media import clip, wire

TICK_S = 0.08
MBIT_S = 4
ROUNDS = 400
HOME = "127.0.0.1"
LIMITS = {
    "ratio_udp_tcp": figures.at_most(
        5.0, "a camera over UDP must not cost a box its other cameras"
    ),
    "ratio_swapped_udp": figures.at_most(1.5, "order costs a copy of what came too early, no more"),
}


def packets() -> list[bytes]:
    """Packets of a tick: one picture of noise-like slices, split as cameras do."""
    made = clip.video(frames=2, gop=25, width=1280, height=720)
    size = int(MBIT_S * 1e6 * TICK_S / 8)
    nal = b"\x41" + os.urandom(size - 1)
    kind = made.track.payload_type
    first = [packet for _, packet in wire.packets(made)]
    rest = wire.split_nal("h264", nal)
    return [*first, *(wire.rtp(kind, 0, 0, n == len(rest), p) for n, p in enumerate(rest, 1))]


def run(way: str, *, swapped: bool = False) -> float:
    """CPU microseconds for each tick of a stream."""
    made = clip.video(frames=2, gop=25, width=1280, height=720)
    head = [packet for _, packet in wire.packets(made)]
    body = packets()[len(head) :]
    wake = os.eventfd(0, os.EFD_NONBLOCK)
    engine = Engine(wake)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sets = made.track.parameter_sets
    session = Session(engine, way, (told.setup(made.track, 0, 0),), tuple(sets), ours.fileno())
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((HOME, 0))
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if way == "udp":
        session.set_datagrams(native([made.track], {0: Datagrams(udp, None, (HOME,))}))
    engine.add(session)
    now, seq, spent = 90_000_000, 0, 0.0

    def send(group: list[bytes]) -> None:
        nonlocal seq
        numbered = []
        for packet in group:
            stamp = struct.pack(">HI", seq & 0xFFFF, now & 0xFFFFFFFF)
            numbered.append(packet[:2] + stamp + packet[8:])
            seq += 1
        for at in range(0, len(numbered) - 1, 10) if swapped and group is body else ():
            numbered[at : at + 2] = numbered[at : at + 2][::-1]
        if way == "udp":
            for packet in numbered:
                out.sendto(packet, udp.getsockname())
        else:
            theirs.sendall(b"".join(wire.frame(0, packet) for packet in numbered))

    send(head)
    engine.tick(now, True, False)
    for count in range(ROUNDS + 20):
        now += int(TICK_S * 90_000)
        send(body)
        begun = time.thread_time()
        engine.tick(now, True, count % 6 == 0)
        if count >= 20:
            spent += time.thread_time() - begun
    stats = session.stats()
    assert stats[1] == seq, f"{stats[1]} of {seq} packets"
    assert stats[2] == stats[3] == 0, "lost or damaged"
    engine.remove(session)
    for sock in (ours, theirs, udp, out):
        sock.close()
    os.close(wake)
    return spent / ROUNDS * 1e6


def main() -> int:
    chosen = figures.arguments(__doc__.splitlines()[0]).parse_args()
    runs: dict[str, list[float]] = {"tcp": [], "udp": [], "udp_swapped": []}
    for _ in range(5):  # in turns, and the least of each: the machine has other work
        runs["tcp"].append(run("tcp"))
        runs["udp"].append(run("udp"))
        runs["udp_swapped"].append(run("udp", swapped=True))
    least = {name: min(took) for name, took in runs.items()}
    found = {f"{name}_us_per_stream_s": round(us / TICK_S, 1) for name, us in least.items()}
    found["ratio_udp_tcp"] = round(least["udp"] / least["tcp"], 2)
    found["ratio_swapped_udp"] = round(least["udp_swapped"] / least["udp"], 2)
    return figures.report("datagram", found, LIMITS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
