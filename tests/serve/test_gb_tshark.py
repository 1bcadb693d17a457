"""What platforms of GB/T 28181 are sent, as Wireshark sees it: RTP and program streams."""

import re
import struct
import subprocess

import pytest

from tests.media.test_ingest import until
from tests.serve.test_gb_live import called, desk

PORT = 30_000
ETHERNET = bytes(12) + b"\x08\x00"


def run(*command):
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pcap(packets):
    """A capture of these packets of RTP over UDP."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    for number, packet in enumerate(packets):
        udp = struct.pack(">HHHH", PORT, PORT, 8 + len(packet), 0) + packet
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                         bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))  # fmt: skip
        frame = ETHERNET + ip + udp
        out += struct.pack("<IIII", 0, number * 1_000, len(frame), len(frame)) + frame
    return out


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("way", ["udp", "passive"])
async def test_wireshark_finds_one_whole_stream_and_every_picture_at_its_time(tmp_path, way):
    async with desk() as (media, _), called(media, way) as (platform, _):
        await until(lambda: len(platform.pictures()) > 30, 60)
    capture, stream = tmp_path / "rtp.pcap", tmp_path / "a.ps"
    capture.write_bytes(pcap(platform.packets))
    stream.write_bytes(platform.stream)

    told = run("tshark", "-r", str(capture), "-d", f"udp.port=={PORT},rtp", "-q", "-z",
               "rtp,streams")  # fmt: skip
    (row,) = [line for line in told.splitlines() if "0x0BEBC201" in line]
    assert re.search(rf"\b{len(platform.packets)}\s+0 \(0\.0%\)", row), "packets, and none lost"

    rows = run("tshark", "-r", str(stream), "-T", "fields", "-e", "mpeg-pes.stream", "-e",
               "mpeg-pes.pts", "-e", "_ws.malformed", "-e", "_ws.expert.severity")  # fmt: skip
    cells = [line.split("\t") for line in rows.splitlines()]
    assert not any(cell[2] or cell[3] for cell in cells), "nothing malformed"
    kinds = [cell[0] for cell in cells]
    assert kinds[:4] == ["0xba", "0xbb", "0xbc", "0xe0"]
    assert set(kinds) <= {"0xba", "0xbb", "0xbc", "0xe0"}
    times = [round(float(cell[1]) * 90_000) for cell in cells if cell[0] == "0xe0" and cell[1]]
    assert times == [at for at, _ in platform.pictures()]
