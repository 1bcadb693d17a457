"""Ends well once the recorder has answered for a minute without a restart, else after ten badly."""

import ssl
import subprocess
import sys
import time
import urllib.request

PAGE = "https://127.0.0.1:8443/api/box"
STEADY_S = 60
WITHIN_S = 600


def answers() -> bool:
    """Whether the page does; it is served only where volume and settings were opened."""
    own = ssl.create_default_context()  # the certificate is its own
    own.check_hostname, own.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(PAGE, context=own, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def main() -> int:
    """Wait for it."""
    began_s = time.monotonic()
    since_s, pid = 0.0, ""
    while (now_s := time.monotonic()) - began_s < WITHIN_S:
        shown = subprocess.run(
            ["systemctl", "show", "nvr", "-p", "MainPID", "--value"],
            capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip
        if not answers():
            pid = ""
        elif shown != pid:
            since_s, pid = now_s, shown
        elif now_s - since_s >= STEADY_S:
            return 0
        time.sleep(5)
    print("the recorder did not stay up on this slot", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
