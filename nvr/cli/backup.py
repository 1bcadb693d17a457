"""`nvr backup` and `nvr restore`: moving house."""

import argparse
import getpass
import os
from contextlib import closing
from pathlib import Path

from nvr.app import backup
from nvr.app.data import DataDirectory
from nvr.auth.audit import Audit, Entry
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured, Rejected, Unavailable
from nvr.cli import ask, where


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both subcommands."""
    parser = parsers.add_parser(
        "backup",
        help="everything but the recordings in one file, for a replacement box",
        description="Writes configuration, passwords of cameras, accounts, audit log, presets, "
        "certificate and keys into FILE, enciphered under a passphrase that is asked for or read "
        "from standard input. Works while the recorder is running. A key that the box's TPM keeps "
        "is worth nothing in another box: there the recovery key opens the old recordings.",
    )
    _common(parser, "file to write; must not exist")
    parser.set_defaults(run=_backup)
    parser = parsers.add_parser(
        "restore",
        help="put a back-up into the data directory of a replacement box",
        description="The recorder must be stopped. Recordings are not in a back-up: put the old "
        "box's disk in, and the new one goes on with it. A configuration that is there already is "
        "kept unless --replace is given, and then moved into the directory before-restore.",
    )
    _common(parser, "back-up to read")
    parser.add_argument("--replace", action="store_true", help="replace what is there")
    parser.add_argument("--list", action="store_true", help="only say what is in it")
    parser.set_defaults(run=_restore)


def _common(parser: argparse.ArgumentParser, about: str) -> None:
    where.add_data(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help=about)


def _backup(chosen: argparse.Namespace) -> int:
    if not (chosen.data / "nvr.toml").exists():
        raise Misconfigured("config.missing", "there is no recorder's data", path=str(chosen.data))
    passphrase = ask.secret("passphrase for the back-up: ", "once more: ")
    blob = backup.back_up(chosen.data, passphrase, SystemClock().wall_us())
    try:
        with os.fdopen(
            os.open(chosen.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        ) as f:
            f.write(blob)
            f.flush()
            os.fsync(f.fileno())
    except FileExistsError as err:
        raise Rejected("export.exists", "the file is already there", file=str(chosen.file)) from err
    except OSError as err:
        raise Unavailable("export.unwritable", f"the file cannot be written: {err}") from err
    print(f"{chosen.file}  {len(blob)} bytes")
    return 0


def _restore(chosen: argparse.Namespace) -> int:
    try:
        blob = chosen.file.read_bytes()
    except OSError as err:
        raise Unavailable("backup.unreadable", f"the file cannot be read: {err}") from err
    found = backup.read(blob, ask.secret("passphrase of the back-up: "))
    made = where.local(found.made_us)
    print(f"back-up of {made:%Y-%m-%d %H:%M} by {found.software}: {', '.join(sorted(found.files))}")
    if chosen.list:
        return 0
    with DataDirectory(chosen.data) as data:
        backup.restore(found, data.path, replace=chosen.replace)
        with closing(Audit(data.state_path, SystemClock(), hardware_no="console")) as audit:
            reason = f"back-up of {made:%Y-%m-%d %H:%M}"
            audit.record(
                Entry("admin-setting", "console restore", reason=reason, who=getpass.getuser())
            )
    print("restored; start the recorder")
    return 0
