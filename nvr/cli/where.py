"""Which directory holds the volume: asked for by the commands that read it directly."""

import argparse
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
