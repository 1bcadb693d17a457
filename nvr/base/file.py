"""Small files that are there whole, before a power cut and after it."""

import contextlib
import os
from pathlib import Path


def replace_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file so that a power cut leaves the old one or the new one, never neither. Blocks.

    Raises:
        OSError: It cannot be written; the old one is as it was.
    """
    new = path.with_name(path.name + ".new")
    try:
        # Written by root on the console, the recorder's own account must still be able to read it.
        owner = (path if path.exists() else path.parent).stat()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
