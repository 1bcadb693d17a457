"""Clients that nobody here wrote, each from an environment of its own, against a running box.

    python -m tests.app.onvif_peers [--install] [--python VENV/bin/python] [--modules DIR] [--json]

`--python` is an interpreter that has `onvif-python`, which owns the module name of our own client
library; `--modules` a directory with the npm package `onvif`. What is not given is not asked;
`--install` fetches both from their registries into a directory that goes again. Ends with a line of
JSON: for each peer what it could not do.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.app.box import running_box
from tests.app.test_onvif_device import Device
from tests.ports import free_port

PEERS = Path(__file__).parents[1] / "peers"


async def ask(*command: str, **environment: str) -> list[str]:
    """Run one peer; returns what it could not do."""
    process = await asyncio.create_subprocess_exec(
        *command, env={"PATH": "/usr/bin:/bin", **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(180):
        out, _ = await process.communicate()
    lines = out.decode(errors="replace").splitlines()
    print("\n".join(lines), flush=True)
    failed = [line for line in lines if line.startswith("failed")]
    return failed or ([] if process.returncode == 0 else lines[-3:])


async def prove(python: str, modules: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as directory:
        async with running_box(Path(directory)) as box:
            device = Device(box, free_port())
            await device.switch_on()
            await device.credential("host", "live", "ptz", "relay", "playback", "unmasked")
            await box.until("dome", "state", "live", 60)
            await box.until("dome", "recorded_until_us", lambda at_us: at_us > 0, 60)
            where = ("127.0.0.1", str(device.port), "host", device.secrets["host"])
            if python:
                found["onvif-python"] = await ask(python, str(PEERS / "onvif_python.py"), *where)
            if modules:
                script = str(PEERS / "onvif_node.js")
                found["npm onvif"] = await ask("node", script, *where, NODE_PATH=modules)
    return found


def install(place: Path) -> tuple[str, str]:
    """Make an environment for each; empty for what the machine has no tools for."""
    python, modules = place / "venv/bin/python", place / "node_modules"
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "onvif-python"], check=True)
    if shutil.which("npm") is None:
        print("note: there is no npm, so the npm package onvif was not asked")
        return str(python), ""
    npm = ["npm", "install", "--silent", "--prefix", place, "onvif@0.8.3"]
    subprocess.run(npm, check=True, stdout=subprocess.DEVNULL)
    return str(python), str(modules)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--python", default="")
    parser.add_argument("--modules", default="")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if chosen.install:
            chosen.python, chosen.modules = install(Path(directory))
        told = asyncio.run(prove(chosen.python, chosen.modules))
    result = {
        "name": "ONVIF hosts that nobody here wrote",
        "met": bool(told) and not any(told.values()),
        "figures": {"peers": len(told), "failed": told},
    }
    print(json.dumps(result))
