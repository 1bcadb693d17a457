"""A network of a test's own."""

import os
import shutil
import subprocess

import pytest


def skip_without_one() -> None:
    """Skip the test where nobody may make network namespaces and pairs of interfaces in them."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip", "bash"))):
        pytest.skip("needs root and iproute2, for a network of its own")
    can = subprocess.run(["unshare", "-n", "ip", "link", "add", "near", "type", "veth",
                          "peer", "name", "far"],
                         stderr=subprocess.DEVNULL, check=False)  # fmt: skip
    if can.returncode:
        pytest.skip("this kernel gives no network of its own")
