"""WS-Discovery in network namespaces of its own: nothing here touches a real network."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nvr.base.errors import Rejected
from nvr.link import discover
from tests.network import skip_without_one
from tests.peers.odd_onvif import odd_device

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "tests/peers"

SCENE = r"""
set -e
unshare -n sleep 300 > /dev/null & far=$!
trap 'kill $far' EXIT
while [ "$(readlink /proc/$far/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
mkfifo $WORK/never
ip link set lo up
for n in 0 1; do
  ip link add near$n type veth peer name far$n
  ip link set far$n netns $far
  ip addr add 10.9.$n.1/24 dev near$n
  ip link set near$n up
  nsenter -t $far -n ip addr add 10.9.$n.2/24 dev far$n
  nsenter -t $far -n ip link set far$n up
done
nsenter -t $far -n ip link set lo up
nsenter -t $far -n ip route add 224.0.0.0/4 dev far0
nsenter -t $far -n $PYTHON $PEERS/ipycam_device.py --address 10.9.0.2 --port 8080 --discovery \
  <> $WORK/never > $WORK/ipycam & one=$!
nsenter -t $far -n $PYTHON $PEERS/discovery_device.py far1 > $WORK/ours & two=$!
trap 'kill $one $two $far 2>/dev/null || true' EXIT
for n in $(seq 500); do
  [ -s $WORK/ipycam ] && [ -s $WORK/ours ] && break
  sleep 0.1
done
# IPv6 link-local addresses are tentative at first
for n in $(seq 100); do ip -6 addr show | grep -q tentative || break; sleep 0.1; done
$PYTHON -m tests.link.test_discover
"""


async def look() -> None:
    """What is seen from inside, as JSON: by multicast, with link-local allowed, and by address."""
    found = {}
    found["all"] = await discover.search(lambda _host, _port: True)
    found["allowed"] = await discover.search(lambda host, _port: not host.startswith("fe80"))
    found["host"] = await discover.ask_addresses("10.9.1.2", lambda _host, _port: True)
    found["network"] = await discover.ask_addresses("10.9.0.0/29", lambda _host, _port: True)
    print(
        json.dumps(
            {k: [[s.host, s.port, s.name, s.endpoint, s.via] for s in v] for k, v in found.items()}
        )
    )


def test_cameras_are_found_on_every_interface_by_both_kinds_of_probe(tmp_path: Path) -> None:
    skip_without_one()
    done = subprocess.run(
        ["unshare", "-n", "bash", "-c", SCENE],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "PEERS": str(PEERS), "WORK": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    by_name = {name: (host, port, via) for host, port, name, _, via in found["all"]}
    assert by_name["Virtual"] == ("10.9.0.2", 8080, "near0")
    # It answers only those who ask for tds:Device, and names an address from the factory.
    assert by_name["device only"] == ("10.9.1.2", 8899, "near1")
    assert by_name["transmitter only"] == ("10.9.1.2", 80, "near1")
    # It is only reached over IPv6, by an address that is one of the link.
    host, port, via = by_name["six"]
    assert host.startswith("fe80::")
    assert host.endswith("%near1")
    assert (port, via) == (80, "near1")
    # Heard the second time only; twice under one name; and nothing of the nonsense.
    assert by_name["hard of hearing"][0] == "10.9.1.2"
    assert len(found["all"]) == len(by_name) == 5
    assert [name for _, _, name, _, _ in found["allowed"]] == [
        name for host, _, name, _, _ in found["all"] if not host.startswith("fe80")
    ]
    assert {name for _, _, name, _, _ in found["host"]} >= {"device only", "transmitter only"}
    assert ["10.9.0.2", 8080] in [one[:2] for one in found["network"]]


async def test_an_address_by_hand_is_asked_at_its_port() -> None:
    async with odd_device(auth="wsse") as device:
        (found,) = await discover.ask_addresses(f"127.0.0.1:{device.port}", lambda *_: True)
        assert (found.host, found.port) == ("127.0.0.1", device.port)
        device.answer = "binary"
        assert await discover.ask_addresses(f"127.0.0.1:{device.port}", lambda *_: True) == ()


@pytest.mark.parametrize("where", ["", "x", "10.0.0.0/8", "1.2.3.4:0", "1.2.3.4:99999", "::/64"])
async def test_what_is_no_address_or_too_many_is_refused(where: str) -> None:
    with pytest.raises(Rejected, match=r"camera\.search"):
        await discover.ask_addresses(where, lambda *_: True)


async def test_addresses_that_are_no_cameras_are_not_asked() -> None:
    with pytest.raises(Rejected, match=r"onvif\.forbidden"):
        await discover.ask_addresses("127.0.0.1", lambda *_: False)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(look())
