"""A TPM 2.0 in software: the Debian package swtpm, which virtual machines have as theirs."""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from nvr.base.errors import Unavailable
from nvr.hal import linux_tpm
from nvr.wire import tpm2
from nvr.wire.tpm2 import NO_PASSWORD, sized

_PCR_EXTEND, _CLEAR, _CHANGE_AUTH = 0x182, 0x126, 0x129
_LOCKOUT = 0x4000000A


class SimulatedTpm:
    """A board's TPM: its state outlives `off`, its PCRs do not."""

    def __init__(self) -> None:
        # Its own short path: one of a unix socket holds 107 bytes.
        self._directory = Path(tempfile.mkdtemp(prefix="tpm"))
        self.path = self._directory / "s"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.on()
        return self

    def __exit__(self, *_: object) -> None:
        self.off()
        shutil.rmtree(self._directory)

    def on(self) -> None:
        self._process = subprocess.Popen(
            [
                "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._directory}",
                "--server", f"type=unixio,path={self.path}",
                "--flags", "not-need-init,startup-clear",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until_s = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, "swtpm ended"
            assert time.monotonic() < until_s
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with linux_tpm.opened(self.path) as exchange:
                return bool(exchange(tpm2.command(tpm2.PCR_READ, [], tpm2.pcr_read([0]))))
        except Unavailable:
            return False

    def off(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.path.unlink(missing_ok=True)

    def restart(self) -> None:
        self.off()
        self.on()

    def hang(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def measure(self, pcr: int, what: bytes) -> None:
        """As firmware does with what it is about to run."""
        digest = hashlib.sha256(what).digest()
        self._do(_PCR_EXTEND, pcr, (1).to_bytes(4, "big") + (0x0B).to_bytes(2, "big") + digest)

    def clear(self) -> None:
        """As the firmware's setup does."""
        self._do(_CLEAR, _LOCKOUT, b"")

    def own(self, password: bytes) -> None:
        self._do(_CHANGE_AUTH, tpm2.OWNER, sized(password))

    def _do(self, code: int, handle: int, parameters: bytes) -> None:
        with linux_tpm.opened(self.path) as exchange:
            said = exchange(tpm2.command(code, [handle], parameters, NO_PASSWORD))
        assert tpm2.response(said).code == 0
