"""The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, fed with damaged streams."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.media import clip, wire

NATIVE = Path(__file__).parent.parent.parent / "native"
KERNELS = ["buffer", "cut", "depack", "dts", "part", "session", "sets", "sps", "timeline"]
RELAY = ["relay", "relay_reader"]
ROUNDS = 6000


def corpus() -> bytes:
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
            packets.sort(key=lambda item: item[0])
            data = b"".join(wire.frame(channel, packet) for _, channel, packet in packets)
            data += b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nabc"
            data += wire.frame(1, wire.report(0xE0 << 56, 1000))
            data += wire.frame(3, wire.report(0xE0 << 56, 1000))
            sets = made.track.parameter_sets
            out += bytes((0 if codec == "h264" else 1, len(sets)))
            out += b"".join(len(nal).to_bytes(2, "big") + nal for nal in sets)
            out += len(data).to_bytes(4, "big") + data
    return out


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.fail("no C compiler, which building the package needs too")
    where = tmp_path_factory.mktemp("fuzz")
    program = where / "session_fuzz"
    sources = [NATIVE / f"{name}.c" for name in KERNELS + RELAY]
    flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pthread"]
    subprocess.run(
        [
            compiler, *flags, "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
            f"-I{NATIVE}", NATIVE / "fuzz/session_fuzz.c", *sources, "-o", program,
        ],
        check=True,
    )  # fmt: skip
    (where / "corpus").write_bytes(corpus())
    return program, where / "corpus"


@pytest.mark.parametrize("seed", [1, 100_000])
def test_no_bytes_break_the_session(fuzzer, seed):
    program, stored = fuzzer
    done = subprocess.run(  # noqa: PLW1510 - the return code is what is tested
        [program, stored, str(seed), str(ROUNDS)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout == f"ok {ROUNDS}\n"
