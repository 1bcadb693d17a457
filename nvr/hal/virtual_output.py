"""A relay in the simulator's process: one JSON line a request on its unix socket.

``{"output": "wiper", "on": true}`` is answered ``{"ok": true}``. The relay keeps its state when
the recorder dies, as a real one does.
"""

import json
import socket

from nvr.base.errors import Unavailable
from nvr.hal.ports import Relay

_TIMEOUT_S = 0.25  # the caller owes the guard a sign of life every 0.4 s


class VirtualOutput:
    """One relay. See `nvr.hal.ports.Output`.

    Args:
        path: The simulator's socket; looked up at each use, so it may come and go.
        name: Output name there.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._name = name
        self._on = False

    def set(self, on: bool) -> None:  # noqa: D102 - see Output
        request = json.dumps({"output": self._name, "on": on}) + "\n"
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(_TIMEOUT_S)
                sock.connect(self._path)
                sock.sendall(request.encode())
                with sock.makefile() as lines:
                    answer = json.loads(lines.readline() or "{}")
        except (OSError, ValueError) as err:
            raise Unavailable("gpio.gone", str(err), output=self._name) from err
        if not isinstance(answer, dict) or answer.get("ok") is not True:
            raise Unavailable("gpio.gone", "the simulator refused", output=self._name)
        self._on = on

    def get(self) -> bool:  # noqa: D102 - see Output
        return self._on

    def way(self) -> Relay:  # noqa: D102 - see Output
        return Relay(self._path, self._name)

    def close(self) -> None:
        """Nothing is held between requests."""
