"""All volumes of a recorder opened by a command, to read or to change them."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nvr.app.turns import Turns
from nvr.base.clock import SystemClock
from nvr.base.errors import NvrError, Unavailable
from nvr.cli import where
from nvr.hal.linux_disk import in_use
from nvr.playback.joined import Joined
from nvr.playback.query import Archive
from nvr.record.note import Note
from nvr.record.recording import open_directory, remembered
from nvr.record.recover import OpenKeys, open_editing, open_reading
from nvr.record.store import Store


def alive(chosen: argparse.Namespace) -> bool:
    """Whether a recorder has one of the volumes open."""
    return any(map(in_use, where.volumes(chosen)))


@contextmanager
def opened(
    chosen: argparse.Namespace, keys: OpenKeys | None = None, pending: Sequence[Note] = ()
) -> Iterator[Joined]:
    """Open what is there of the volumes to read it, beside a recorder or without one.

    Args:
        chosen: Names them.
        keys: Opens the table of keys of each; None where nothing is unsealed.
        pending: Notes that no volume has yet.

    Raises:
        NvrError: What is wrong with the first, if none can be opened.
    """
    refused: NvrError | None = None
    found: dict[int, Archive] = {}
    with ExitStack() as stack:
        for slot, directory in enumerate(where.volumes(chosen)):
            try:
                disk = open_directory(directory, read_only=True)
                stack.callback(disk.close)
                store = open_reading(disk, SystemClock(), keys, remembered(directory))
            except NvrError as err:
                refused = refused or err
                print(f"{directory} is left out: {err.detail}", file=sys.stderr)
                continue
            running = in_use(directory) or bool(pending)
            found[slot] = Archive(store, running=running, pending=() if found else pending)
        if refused and not found:
            raise refused
        ring = "" if chosen.volume else Turns(chosen.data, several=False).ring
        now = [n for n, each in found.items() if str(each.store.identity.ring_id) == ring]
        yield Joined(found, now[0] if now else 0)


@contextmanager
def editing(directory: Path, keys: OpenKeys | None = None) -> Iterator[Store]:
    """Open a volume that no recorder has open, to change what its log says.

    Raises:
        Unavailable: ``volume.busy``, ``volume.missing``, ``volume.unwritable``.
        Misconfigured: ``volume.foreign``, ``volume.version``.
        Damaged: ``volume.damaged``, ``volume.log_damaged``.
    """
    disk = open_directory(directory)
    try:
        yield open_editing(disk, SystemClock(), keys, remembered(directory))
    except OSError as err:
        raise Unavailable("volume.unwritable", f"the volume cannot be changed: {err}") from err
    finally:
        disk.close()


@contextmanager
def edited(chosen: argparse.Namespace, keys: OpenKeys | None = None) -> Iterator[list[Store]]:
    """Open all volumes of a recorder that is stopped, as `editing` does each."""
    with ExitStack() as stack:
        yield [stack.enter_context(editing(each, keys)) for each in where.volumes(chosen)]
