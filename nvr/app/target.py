"""Where exports can be sent to, for the recorder and for the console."""

from collections.abc import Callable
from pathlib import Path

from nvr.base.errors import Misconfigured
from nvr.config import load
from nvr.config.model import Config
from nvr.export.s3 import Bucket, Notes
from nvr.export.store import Place
from nvr.export.target import AllTargets
from nvr.hal.linux_stick import LinuxSticks
from nvr.hal.ports import Sticks
from nvr.hal.virtual_stick import VirtualSticks

SIMULATED = Path("sim/usb")
"""Where simulated sticks are, in the data directory."""


def targets(data: Path, config: Config, wall_us: Callable[[], int]) -> AllTargets:
    """Return them; the disks of what the box keeps are never offered.

    Args:
        data: Data directory.
        config: As loaded from it.
        wall_us: UTC microseconds now.
    """
    volumes = (config.volume, *config.spare)
    ours = (data, data / config.export.path, *(data / volume.path for volume in volumes))
    sticks: list[Sticks] = [
        LinuxSticks(Path(config.export.usb), lambda: ours),
        VirtualSticks(data / SIMULATED),
    ]
    return AllTargets(sticks, bucket(data, config, wall_us))


def bucket(data: Path, config: Config, wall_us: Callable[[], int]) -> Bucket | None:
    """Return the store, if there is one."""
    s3 = config.export.s3
    if s3 is None:
        return None
    place = Place(
        endpoint=s3.endpoint.rstrip("/"),
        bucket=s3.bucket,
        prefix=f"{s3.prefix.rstrip('/')}/" if s3.prefix else "",
        region=s3.region,
        path_style=s3.path_style,
        key_id=s3.key_id,
        ca=data / s3.ca if s3.ca else None,
        bytes_per_s=(s3.mbit_s or 0.0) * 1e6 / 8,
    )

    def secret() -> str:
        found = load.read_secrets(data / "secrets.toml").export.s3
        if found is None:
            raise Misconfigured("s3.no_secret", "set the store's secret: nvr target --secret")
        return found.secret

    return Bucket(place, secret, wall_us, Notes(data / config.export.path / "uploads"))
