"""A camera's session under AddressSanitizer and UndefinedBehaviorSanitizer, and what it is fed."""

import shutil
import subprocess
from pathlib import Path

from tests.fuzz.kernels import FLAGS, NATIVE
from tests.media import clip, wire
from tests.native.test_sound import in_band

_SOURCES = [
    "buffer", "cut", "depack", "dts", "jpeg", "latm", "part", "portion", "receipt",
    "session", "sets", "sound", "sps", "timeline",
]  # fmt: skip
_RELAY = ["ps", "relay", "relay_ps", "relay_reader", "relay_send"]


def _latm(sound: clip.Clip) -> list[tuple[float, int, bytes]]:
    found, seq = [], 100
    for number, unit in enumerate(sound.units):
        element = in_band(*unit.nals, *unit.nals[: number % 3 == 0], same=number % 4 > 0)
        for at in range(0, len(element), 150):
            last = at + 150 >= len(element)
            packet = wire.rtp(99, seq, unit.pts, last, element[at : at + 150])
            found.append((unit.pts / 48_000, 6, packet))
            seq += 1
    return found


def _jpeg() -> bytes:
    """Pictures with tables in band, kept, made of a quality, and in an extension."""
    packets, at, seq = [], 0, 100
    for q, restarts, room, wide in (
        (255, True, 600, False), (200, False, 600, False), (60, True, 300, False),
        (255, False, 40, True), (201, True, 20, False),
    ):  # fmt: skip
        made = clip.jpeg(8, 160, 96, restarts=restarts)
        own = wire.jpeg_parts(made.units[0].nals[0])[0]
        if wide:
            own = bytes(byte for value in own * 2 for byte in (1, value))
        for number, unit in enumerate(made.units):
            tables = own if q == 255 or not number else b""
            pieces = wire.jpeg_payloads(unit.nals[0], room, q, tables)
            if wide:
                pieces[0] = pieces[0][:9] + b"\3" + pieces[0][10:]
            for n, piece in enumerate(pieces, 1):
                packet = wire.rtp(96, seq, at, n == len(pieces), piece)
                if n == 1 and number % 2:  # what a file has before its scan, but for its marker
                    packet = wire.extended(packet, unit.nals[0][2:620])
                packets.append(packet)
                seq += 1
            at += 3600
    data = b"".join(wire.frame(0, packet) for packet in packets)
    size = (640).to_bytes(2, "big") + (480).to_bytes(2, "big")
    return bytes((6, 1)) + b"\0\4" + size + len(data).to_bytes(4, "big") + data


def _corpus() -> bytes:
    sound = clip.audio(seconds=1)
    alaw = clip.audio("pcma", seconds=1)
    out = b""
    for codec in ("h264", "h265"):
        for b_frames in (0, 2):
            options = {"x264-params": "scenecut=0:open-gop=1"} if codec == "h264" else None
            made = clip.video(
                codec, frames=30, gop=10, b_frames=b_frames, width=480, height=320, options=options
            )
            packets = [
                (pts / 90_000, 0, p) for pts, p in wire.packets(made, together=True, room=300)
            ]
            packets += [(pts / 48_000, 2, p) for pts, p in wire.packets(sound, room=100)]
            packets += [(pts / 8_000, 4, p) for pts, p in wire.packets(alaw)]
            packets += _latm(sound)
            packets.sort(key=lambda item: item[0])
            data = b"".join(wire.frame(channel, packet) for _, channel, packet in packets)
            data += b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nabc"
            data += wire.frame(1, wire.report(0xE0 << 56, 1000))
            data += wire.frame(3, wire.report(0xE0 << 56, 1000))
            sets = made.track.parameter_sets
            out += bytes((0 if codec == "h264" else 1, len(sets)))
            out += b"".join(len(nal).to_bytes(2, "big") + nal for nal in sets)
            out += len(data).to_bytes(4, "big") + data
    return out + _jpeg()


def build(into: Path) -> list[Path]:
    """Build its fuzzer, which knows the shape of what it damages.

    Returns:
        The program and the file it begins with; a seed and a number of rounds follow them.
    """
    compiler = shutil.which("cc")
    assert compiler, "no C compiler, which building the package needs too"
    program = into / "session_fuzz"
    sources = [NATIVE / f"{name}.c" for name in _SOURCES + _RELAY]
    subprocess.run(
        [
            compiler, *FLAGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
            f"-I{NATIVE}", NATIVE / "fuzz/session_fuzz.c", *sources, "-o", program,
        ],
        check=True,
    )  # fmt: skip
    (into / "corpus").write_bytes(_corpus())
    return [program, into / "corpus"]
