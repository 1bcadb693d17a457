"""Room on a disk, looked at before an export is begun rather than when it has run out."""

import shutil
from pathlib import Path

from nvr.base.errors import Unavailable

SPARE_BYTES = 256 << 20
"""Stays free: logs and accounts are often on the same disk."""


def check_room(directory: Path, size_bytes: int, spare_bytes: int = SPARE_BYTES) -> None:
    """Check that an export of about `size_bytes` fits.

    Raises:
        Unavailable: ``export.no_room``, ``export.unwritable``.
    """
    try:
        free = shutil.disk_usage(directory).free
    except OSError as err:
        raise Unavailable("export.unwritable", f"it cannot be kept: {err}") from err
    if free < size_bytes + spare_bytes:
        raise Unavailable(
            "export.no_room",
            "there is not enough room for the export",
            needs_bytes=size_bytes + spare_bytes,
            free_bytes=free,
        )
