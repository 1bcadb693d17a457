"""The data directory: one recorder at a time, and a configuration from the first start."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self

from nvr.app import reserve
from nvr.base.errors import Rejected, Unavailable
from nvr.config import load
from nvr.config.head import Has, Kind
from nvr.config.model import Config, Secrets
from nvr.hal.board import Board
from nvr.ptz.profile import library


def has(board: Board, data: Path | None = None) -> Has:
    """Return what a configuration is checked against.

    A door or a siren is no wiper or lamp of a camera, or the right to that would open it.

    Args:
        board: What the box has.
        data: The data directory, which may have profiles of heads of its own.
    """
    outputs = (name for name, one in board.gpio.items() if one.kind not in {"door", "siren"})
    decoders = frozenset(name for name, line in board.serial.items() if line.role == "decoder")
    return Has(
        decoders,
        frozenset(outputs),
        frozenset(board.input),
        heads(data),
        frozenset(board.serial) - decoders,
    )


def heads(data: Path | None = None) -> dict[str, Kind | None]:
    """Return the kinds of heads that a configuration may name. See `Has.heads`."""
    found = library(data)
    kinds: dict[str, Kind | None] = {
        name: Kind(it.protocol, it.limits.address) for name, it in found.profiles.items()
    }
    return kinds | dict.fromkeys(found.damaged)


class DataDirectory:
    """Everything one box keeps, held by one process.

    Args:
        path: The directory, made if it is not there.

    Raises:
        Rejected: ``data.busy``: another recorder runs on it.
        Unavailable: ``data.unwritable``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "nvr.toml"
        self.secrets_path = path / "secrets.toml"
        self.state_path = path / "state.db"
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise Unavailable("data.unwritable", err.strerror or str(err), path=str(path)) from err
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            pid = os.pread(self._lock, 16, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._lock)
            raise Rejected(
                "data.busy", "another recorder runs on this directory", path=str(path), pid=pid
            ) from err
        with contextlib.suppress(OSError):  # a full disk; who holds the lock is only good to know
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
            os.ftruncate(self._lock, len(f"{os.getpid()}\n"))
        reserve.give_up(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def config(self, board: Board) -> Config:
        """Read the configuration; a box without one gets the board's.

        Raises:
            Misconfigured: ``config.invalid`` with every fault.
            Unavailable: ``config.unwritable``.
        """
        if not self.config_path.exists():
            load.write(self.config_path, board.start)
        return load.read(self.config_path, board=has(board, self.path))

    def secrets(self) -> Secrets:
        """Read the cameras' passwords.

        Raises:
            Misconfigured: ``config.secrets_open``, ``config.invalid``.
        """
        return load.read_secrets(self.secrets_path)
