"""A camera whose pictures carry their own number as a bar code, and when each left the encoder.

Run as a process of its own, so that encoding never counts as the recorder's work:
``python -m tests.bench.barcode STAMPS`` prints its RTSP address, sends 25 pictures a second to who
plays it, and puts the wall time at which picture n left the encoder into slot n of the file.
"""

import argparse
import base64
import mmap
import socket
import threading
import time
from pathlib import Path

import av
import numpy as np

from nvr.codec.encode import Encoder, picture_of
from nvr.media.encoder import Settings
from nvr.wire.rtp import H264Packetizer, interleave

SIZE = (640, 360)
FPS = 25
BITS = 16
BAR_PX = SIZE[0] // BITS
BAR_ROWS = 32
SLOTS = 1 << BITS
BITRATE_BPS = 600_000
_GROUND = np.random.default_rng(0).integers(40, 160, (SIZE[1], SIZE[0]), np.uint8)


def picture(number: int) -> av.VideoFrame:
    """Sixteen bars for the number, most significant first, over something that moves.

    The ground is noise that slides with a little fresh noise on it, so that the encoder spends
    what it is given.
    """
    width, height = SIZE
    fresh = np.random.default_rng(number).integers(0, 24, (height, width), np.uint8)
    luma = np.roll(_GROUND, number * 3, axis=1) + fresh
    bits = [235 if number >> (BITS - 1 - at) & 1 else 16 for at in range(BITS)]
    luma[:BAR_ROWS] = np.repeat(np.array(bits, np.uint8), BAR_PX)
    x, y = number * 7 % (width - 80), 100 + number * 3 % 200
    luma[y : y + 40, x : x + 80] = 200
    chroma = np.full((height // 2, width), 128, np.uint8)
    return av.VideoFrame.from_ndarray(np.vstack((luma, chroma)), format="yuv420p")


def stamps(path: Path) -> mmap.mmap:
    """The file of times, one signed 64-bit number of microseconds a picture."""
    if not path.exists():
        path.write_bytes(bytes(8 * SLOTS))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 8 * SLOTS)


def read_stamps(path: Path) -> list[int]:
    """What the camera wrote so far."""
    return np.frombuffer(path.read_bytes(), "<i8").tolist()


class Camera:
    """The camera's RTSP end: one player at a time, interleaved TCP, no password."""

    def __init__(self, file: mmap.mmap) -> None:
        self._file = file
        self._encoder = Encoder(Settings(SIZE, FPS, BITRATE_BPS))
        self._write = threading.Lock()
        self._number = 0

    def _describe(self) -> str:
        sets = ",".join(base64.b64encode(nal).decode() for nal in self._encoder.parameter_sets)
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=bars\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            "a=rtpmap:96 H264/90000\r\na=control:track1\r\n"
            f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}\r\n"
        )

    def _answer(self, request: str, url: str) -> bytes:
        method = request.split(" ", 1)[0]
        number = next(
            (
                line.split(":")[1].strip()
                for line in request.splitlines()
                if line.startswith("CSeq")
            ),
            "0",
        )
        head, body = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n", ""
        if method == "OPTIONS":
            head += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            body = self._describe()
            head += f"Content-Base: {url}/\r\nContent-Type: application/sdp\r\n"
            head += f"Content-Length: {len(body)}\r\n"
        elif method == "SETUP":
            head += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        return f"{head}\r\n{body}".encode()

    def serve(self, sock: socket.socket, url: str) -> None:
        """Talk to one player until it goes."""
        going = threading.Event()
        film = threading.Thread(target=self._film, args=(sock, going), daemon=True)
        waiting = b""
        try:
            while data := sock.recv(65536):
                waiting += data
                while waiting:
                    if waiting[:1] == b"$":  # its receiver reports
                        size = 4 + int.from_bytes(waiting[2:4])
                        if len(waiting) < max(4, size):
                            break
                        waiting = waiting[size:]
                        continue
                    request, end, rest = waiting.partition(b"\r\n\r\n")
                    if not end:
                        break
                    waiting = rest
                    with self._write:
                        sock.sendall(self._answer(request.decode(), url))
                    if request.startswith(b"PLAY"):
                        film.start()
        except OSError:
            pass
        finally:
            going.set()
            if film.ident is not None:
                film.join()

    def _film(self, sock: socket.socket, going: threading.Event) -> None:
        packetizer = H264Packetizer(96, 0x6E7672)
        begun_s = time.monotonic() - self._number / FPS
        self._encoder.request_key()
        while not going.is_set():
            number = self._number
            wait_s = begun_s + number / FPS - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            ticks = number * 90_000 // FPS
            for unit in self._encoder.encode(picture_of(picture(number % SLOTS), ticks)):
                at = 8 * (number % SLOTS)
                self._file[at : at + 8] = (time.time_ns() // 1000).to_bytes(8, "little")
                packets = packetizer.packets(unit.nals, ticks & 0xFFFFFFFF)
                try:
                    with self._write:
                        sock.sendall(b"".join(interleave(0, packet) for packet in packets))
                except OSError:
                    return
            self._number += 1


def main() -> None:
    """Command line of the process; prints its address once it listens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stamps", type=Path)
    camera = Camera(stamps(parser.parse_args().stamps))
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/bars"
        print(url, flush=True)
        while True:
            sock, _ = server.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock:
                camera.serve(sock, url)


if __name__ == "__main__":
    main()
