"""The bench's instruments, held against programs nobody here wrote."""

import itertools
import json
import select
import socket
import struct
import subprocess
import time

import pytest

from tests.bench.camera import asked, cameras, floor_program, line_program, reader_program


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("packets", [False, True], ids=["bursts", "packets"])
def test_ffprobe_reads_a_camera(packets):
    with cameras(2, packets=packets) as running:
        done = subprocess.run(
            [
                "ffprobe",
                "-v",
                "error",
                "-rtsp_transport",
                "tcp",
                "-of",
                "json",
                "-show_streams",
                running.url(1),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    video, audio = json.loads(done.stdout)["streams"]
    assert done.stderr == ""
    assert (video["codec_name"], video["profile"]) == ("h264", "Constrained Baseline")
    assert (video["width"], video["height"], video["has_b_frames"]) == (1920, 1080, 0)
    assert (audio["codec_name"], audio["sample_rate"]) == ("aac", "48000")


@pytest.mark.needs("ffmpeg")
def test_ffmpeg_decodes_a_camera_without_a_complaint():
    with cameras(1) as running:
        done = subprocess.run(
            [
                "ffmpeg",
                "-v",
                "warning",
                "-rtsp_transport",
                "tcp",
                "-i",
                running.url(0),
                "-t",
                "2.5",
                "-f",
                "null",
                "-",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert running.counters()["dropped_units"] == 0
    assert done.stderr == ""


def _ask(sock, method, url, *headers):
    sock.sendall("\r\n".join([f"{method} {url} RTSP/1.0", "CSeq: 1", *headers, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(1)
    head = answer.decode()
    length = next(
        int(line.split(":")[1]) for line in head.splitlines() if line.startswith("Content-Length")
    )
    body = b""
    while len(body) < length:
        body += sock.recv(length - len(body))
    assert head.startswith("RTSP/1.0 200")
    return body.decode()


def test_numbers_and_times_run_on_over_the_end_of_the_loop():
    # Camera 15 of 16 starts 0.96 s before the end of its loop.
    with cameras(16) as running, socket.create_connection(("127.0.0.1", running.port)) as sock:
        url = running.url(15)
        assert "sprop-parameter-sets=" in _ask(sock, "DESCRIBE", url)
        _ask(sock, "SETUP", url + "/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1")
        _ask(sock, "SETUP", url + "/trackID=1", "Transport: RTP/AVP/TCP;interleaved=2-3")
        _ask(sock, "PLAY", url)
        data = b""
        end = time.monotonic() + 2
        while time.monotonic() < end and select.select([sock], [], [], 1)[0]:
            data += sock.recv(1 << 16)
    seen = {0: [], 2: []}
    at = 0
    while at + 4 <= len(data):
        assert data[at] == ord("$")
        channel, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if channel in seen and at + 16 <= len(data):
            seen[channel].append(struct.unpack(">HI", data[at + 6 : at + 12]))
        at += 4 + length
    for channel, step in ((0, 3600), (2, 1024)):
        numbers = [seq for seq, _ in seen[channel]]
        assert len(numbers) > 60
        assert all((b - a) % 65536 == 1 for a, b in itertools.pairwise(numbers))
        times = list(dict.fromkeys(ticks for _, ticks in seen[channel]))
        assert {(b - a) % 2**32 for a, b in itertools.pairwise(times)} == {step}


@pytest.mark.needs("libssl-dev")
def test_the_readers_get_the_stream_whole():
    with (
        cameras(1) as running,
        line_program([reader_program(), running.port, "/cam0", 5, "plain"], "ready") as (
            readers,
            _,
        ),
    ):
        time.sleep(1)
        seen = asked(readers)
        assert running.counters()["playing"] == 5
    assert (seen["gaps"], seen["jumps"], seen["closed"]) == (0, 0, 0)
    assert seen["least_packets"] > 200


@pytest.mark.needs("libssl-dev")
def test_the_floor_stores_what_the_cameras_send(tmp_path):
    with (
        cameras(2) as running,
        line_program([floor_program(), running.port, 2, tmp_path], "ready") as (floor, _),
    ):
        time.sleep(1.2)
        seen = asked(floor)
    assert seen["lost"] == 0
    assert seen["groups"] >= 2
    assert seen["received"] <= seen["written"] < seen["received"] * 1.1
    assert (tmp_path / "1.mp4").read_bytes()[:1] == b"$"
