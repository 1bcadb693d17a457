"""Which directory holds the volume: asked for by the commands that read it directly."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from nvr.config import load


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a volume."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("var"),
        metavar="DIR",
        help="data directory of the recorder (default: var)",
    )
    parser.add_argument(
        "--volume",
        type=Path,
        metavar="DIR",
        help="directory of the volume itself, such as a disk taken out of another box",
    )


def volume(chosen: argparse.Namespace) -> Path:
    """Return the volume's directory.

    Raises:
        Misconfigured: The data directory has no configuration that can be read.
    """
    if chosen.volume is not None:
        return Path(chosen.volume)
    data: Path = chosen.data
    return data / load.read(data / "nvr.toml").volume.path


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
