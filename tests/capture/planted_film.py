"""A program that films as it is told to, and badly: the address says what goes wrong."""

import os
import signal
import sys
import time

from nvr.media.film import Began, Begin, line, order


def main() -> None:
    began = order(sys.stdin.buffer.readline())
    assert isinstance(began, Begin)
    fault = began.url.partition(":")[2]
    if fault == "mute":
        time.sleep(3600)
    if fault == "nonsense":
        os.write(1, b"nonsense\n")
        time.sleep(3600)
    if fault == "long":
        os.write(1, b"x" * (1 << 20))
    if fault == "exit":
        print("no such device\x1b[2J", file=sys.stderr)
        sys.exit(4)
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    os.write(1, line(Began("planted", (64, 64), 25, ())))
    if fault == "rtp":
        os.write(began.socket, b"this is no RTP" * 1000)
    if fault == "stuck":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    time.sleep(3600)


if __name__ == "__main__":
    main()
