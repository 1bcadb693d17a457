"""Our answers to who looks for devices, over a network of its own between two namespaces."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from nvr.base.clock import FakeClock, SystemClock
from nvr.link import discover
from nvr.serve.onvif import discovery
from nvr.serve.onvif.discovery import V4, V6, Responder, families_of
from nvr.wire.wsdiscovery import GROUP_V4, GROUP_V6, KINDS, PORT, matches, probe
from tests.network import skip_without_one

ROOT = Path(__file__).parents[2]
SCOPES = ("onvif://www.onvif.org/name/gate%20house", "onvif://www.onvif.org/hardware/nvr")
SCENE = r"""
set -e
unshare -n sleep 300 > /dev/null & far=$!
trap 'kill $far' EXIT
while [ "$(readlink /proc/$far/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
ip link set lo up
ip link add near type veth peer name far
ip link set far netns $far
ip addr add 10.9.3.1/24 dev near
ip link set near up
ip route add 224.0.0.0/4 dev near
nsenter -t $far -n ip addr add 10.9.3.2/24 dev far
nsenter -t $far -n ip link set far up
nsenter -t $far -n $PYTHON -m tests.serve.test_onvif_discovery respond > $WORK/ours & one=$!
trap 'kill $one $far 2>/dev/null || true' EXIT
for n in $(seq 500); do [ -s $WORK/ours ] && break; sleep 0.1; done
$PYTHON -m tests.serve.test_onvif_discovery look
"""


def us(clock=None) -> Responder:
    return Responder("11112222-0000", lambda: SCOPES, 8000, clock or SystemClock(), families_of(""))


async def respond() -> None:
    """Be there; say when it listens."""
    running = asyncio.create_task(us().run())
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    await running


async def look() -> None:
    """Ask in every way, as JSON."""
    found = [[one.host, one.port, one.name, one.endpoint]
             for one in await discover.search(lambda *_: True)]  # fmt: skip
    answered = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        both = probe("urn:uuid:3", KINDS[0]).replace(b">dn:N", b">tds:Device dn:N")
        asked = {
            "any": probe("urn:uuid:0", None), "transmitter": probe("urn:uuid:1", KINDS[0]),
            "device": probe("urn:uuid:2", KINDS[1]), "both": both,
            "printer": probe("urn:uuid:4", KINDS[0]).replace(b">dn:Net", b">dn:Print"),
            "bomb": b"<!DOCTYPE r [<!ENTITY a 'b'>]><r>&a;</r>", "nothing": b"",
        }  # fmt: skip
        for number, (name, data) in enumerate(asked.items()):
            sock.sendto(data, (GROUP_V4, PORT))
            try:
                got, _ = sock.recvfrom(65536)
            except TimeoutError:
                answered[name] = False
                continue
            answered[name] = len(matches(got, frozenset((f"urn:uuid:{number}",)))) == 1
    print(json.dumps({"found": found, "answered": answered, "six": over_six()}))


def over_six() -> list[str]:
    """Where we say that we are to who asks over IPv6; its addresses take a while to be there."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        index = socket.if_nametoindex("near")
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        for _ in range(30):
            with contextlib.suppress(OSError):
                sock.sendto(probe("urn:uuid:six", None), (GROUP_V6, PORT, 0, index))
                got, _ = sock.recvfrom(65536)
                return list(matches(got, frozenset(("urn:uuid:six",)))[0].addresses)
            time.sleep(0.2)
    return []


def test_the_families_are_those_of_the_service() -> None:
    assert families_of("0.0.0.0") == families_of("192.0.2.1") == (V4,)
    assert families_of("::") == families_of("fd00::1") == (V6,)
    assert families_of("") == (V4, V6)


def test_all_four_habits_find_us_and_our_own_search_does(tmp_path: Path) -> None:
    skip_without_one()
    done = subprocess.run(
        ["unshare", "-n", "bash", "-c", SCENE], cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "WORK": str(tmp_path)},
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["found"] == [["10.9.3.2", 8000, "gate house", "urn:uuid:11112222-0000"]]
    assert told["answered"] == {
        "any": True, "transmitter": True, "device": True, "both": True,
        "printer": False, "bomb": False, "nothing": False,
    }  # fmt: skip
    (six,) = told["six"]
    assert re.fullmatch(r"http://\[fe80:[0-9a-f:]+\]:8000/onvif/device_service", six)


def test_nobody_has_us_answer_for_ever() -> None:
    clock = FakeClock()
    one = us(clock)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        ours.bind(("127.0.0.1", 0))
        for _ in range(discovery.MOST_A_S + 5):
            theirs.sendto(probe("urn:uuid:0", None), ours.getsockname())
            one._take(ours)
        assert one.answered == discovery.MOST_A_S
        clock.advance(1)
        theirs.sendto(probe("urn:uuid:0", None), ours.getsockname())
        one._take(ours)
        assert one.answered == discovery.MOST_A_S + 1


if __name__ == "__main__":
    asyncio.run(respond() if sys.argv[1] == "respond" else look())
