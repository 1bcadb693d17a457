"""Which directory holds the volume: asked for by the commands that read it directly."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from nvr.app.keyring import SEAL, Keyring
from nvr.base.errors import Misconfigured, NvrError
from nvr.cli import ask
from nvr.config import load
from nvr.hal import linux_tpm
from nvr.record.keys import reading
from nvr.record.recover import OpenKeys
from nvr.seal import root


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the data directory."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("var"),
        metavar="DIR",
        help="data directory of the recorder (default: var)",
    )


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a volume."""
    add_data(parser)
    parser.add_argument(
        "--volume",
        type=Path,
        metavar="DIR",
        help="directory of the volume itself, such as a disk taken out of another box",
    )


def add_recovery(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a recovery key."""
    parser.add_argument(
        "--recovery-key",
        type=Path,
        metavar="FILE",
        help="file with the recovery key, for sealed recordings of another box (- reads it from "
        "standard input)",
    )


def keys(chosen: argparse.Namespace) -> OpenKeys:
    """Return what opens the keys of a sealed volume: the recovery key, and those of the box.

    Raises:
        Rejected: ``key.mistyped``.
        Misconfigured: ``key.file``.
    """
    privates: list[bytes] = []
    paper: Path | None = getattr(chosen, "recovery_key", None)
    if paper is not None:
        try:
            words = sys.stdin.read() if str(paper) == "-" else paper.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise Misconfigured("key.file", f"cannot be read: {err}", file=str(paper)) from err
        privates.append(root.from_words(words))
    if (chosen.data / SEAL).exists() and (chosen.volume is None or not privates):
        ring = keyring(chosen)
        if not privates:
            unlock(ring)
        privates += ring.privates
    return reading(privates)


def keyring(chosen: argparse.Namespace, *, make: bool = False) -> Keyring:
    """Return the box's own keys, locked if they are under something.

    Raises:
        Misconfigured: ``key.file``; the configuration cannot be read.
    """
    data: Path = chosen.data
    config = data / "nvr.toml"
    device = load.read(config).volume.tpm if config.exists() else linux_tpm.DEVICE
    return Keyring(data, make=make, device=Path(device))


def unlock(ring: Keyring) -> None:
    """Unlock the box's key: by its TPM, which may refuse, or by the passphrase, at a terminal.

    Raises:
        Rejected: ``key.passphrase``.
    """
    if ring.has_tpm:
        try:
            ring.unlock("")
        except NvrError as err:
            print(err, file=sys.stderr)
    elif ring.locked and sys.stdin.isatty():
        ring.unlock(ask.secret("passphrase of the box's key: "))


def volumes(chosen: argparse.Namespace) -> list[Path]:
    """Return the directories of all volumes, the one to be recorded on first.

    Raises:
        Misconfigured: The data directory has no configuration that can be read.
    """
    if chosen.volume is not None:
        return [Path(chosen.volume)]
    data: Path = chosen.data
    config = load.read(data / "nvr.toml")
    return [data / volume.path for volume in (config.volume, *config.spare)]


def volume(chosen: argparse.Namespace) -> Path:
    """Return the directory of the first.

    Raises:
        Misconfigured: The data directory has no configuration that can be read.
    """
    return volumes(chosen)[0]


def wall_us(text: str) -> int:
    """Return the UTC microseconds of a time as a person types it."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"{text} is not a time like 2026-03-01T08:00:00") from err
    return round(when.astimezone(UTC).timestamp() * 1e6)


def local(at_us: int) -> datetime:
    """Return UTC microseconds as a time in this machine's zone."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).astimezone()
