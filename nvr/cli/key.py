"""`nvr key`: what the archive is sealed with."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from nvr.app.keydesk import KeyDesk
from nvr.app.keyring import Keyring
from nvr.base.clock import SystemClock
from nvr.base.errors import Rejected, Unavailable
from nvr.cli import archive, ask, console, where
from nvr.cli.box import Box
from nvr.cli.console import Done
from nvr.config import load
from nvr.record.destroy import genuine
from nvr.record.key_table import Slot
from nvr.record.log import Record
from nvr.seal import root
from nvr.web.key import (
    AdoptedView,
    DestroyBody,
    KeyView,
    LeftView,
    RecoveryView,
    day_of_text,
    day_text,
)

_DESCRIPTION = """\
With `seal = true` under [volume] in nvr.toml, recordings are unreadable without the box: each
stream has a key a day, which is kept on the volume, wrapped to the box's key and to the owner's
recovery key. The box's key lies in seal.key in the data directory. That protects a disk that is
taken out, sold or sent in for repair; it does not protect against somebody who takes the system
disk as well. A TPM does (`tpm`): no disk or SD card opens anything outside this box, and nobody
has to type anything. A passphrase protects even against somebody who takes the whole box: after
each start it records on, but shows nothing from before until somebody types it on the page or
with `unlock`. The recovery key opens the recordings when the box or its TPM is dead: make one,
write it down, keep it elsewhere. Beside a running recorder everything but `show` is done by it,
for an account of the page, whose password is asked for or read from standard input.
"""
_TPM = """\
The box's key is sealed by the board's TPM 2.0 (/dev/tpmrm0, or `tpm` under [volume]), which gives
it out at each start without a person. It is a new key, since the old one may still be found on the
disk where its file was. Protects: disk and SD card, wherever they are taken without the board. Does
not protect: against somebody who has the whole box, switched on as it is; and what is not
recordings (camera passwords, the keys that sign and serve the page) stays readable on the system
disk, as do recordings exported. The recovery key still opens everything.

--pcr binds it to how the box is started as well: the TPM measures firmware (PCR 0, 2), its settings
and Secure Boot (1, 3, 7), the boot loader and its configuration (4, 5), on some systems kernel and
command line (8, 9, 11). Then a changed system gets no key even on this board. The price: after an
update of what is measured the box is locked, records on, and needs the recovery key once (`adopt`);
so before such an update run `nvr key file`, and bind again after it. PCR 10 changes while a system
runs: do not use it. A board without measured boot, as a Raspberry Pi, measures nothing; there --pcr
is refused (tpm.unmeasured).
"""
_EXAMPLES = """\
examples:
  nvr key show
  nvr key recovery
  nvr key tpm
  nvr key tpm --pcr 0,2,7
  nvr key destroy --camera gate --first 2026-03-01 --last 2026-03-07 --why "request 114"
"""
_PAPER = """\
recovery key  {words}
fingerprint   {owner}
This is the only time it is shown. Write it down and keep it away from the box. An older one no
longer opens anything on this volume."""
_FOREIGN = "{left} keys on the volume are another box's: it needs that box's recovery key for them"


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "key",
        help="keys that the archive is sealed with: recovery, change, destruction",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    one = what.add_parser("show", help="how the archive is sealed, and what was destroyed of it")
    where.add(one)
    one.set_defaults(run=_show)
    one = what.add_parser("recovery", help="make a recovery key, and show it once")
    _changes(one, _recovery)
    one = what.add_parser(
        "passphrase",
        help="lock the box's key with a passphrase at each start",
        description="Asks for the passphrase, or reads it from standard input; an empty one ends "
        "the locking. Keep a recovery key: a forgotten passphrase opens nothing.",
    )
    _changes(one, _passphrase)
    one = what.add_parser(
        "tpm",
        help="have the board's TPM keep the box's key, for this box alone and without a person",
        description=_TPM,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument(
        "--pcr", type=_pcrs, default=[], metavar="N,N",
        help="give it out only if the box was started as now: these PCRs, 0 to 15",
    )  # fmt: skip
    _changes(one, _tpm)
    one = what.add_parser("file", help="keep the box's key in a file again: no passphrase, no TPM")
    _changes(one, _file)
    one = what.add_parser(
        "unlock", help="unlock the box's key of the running recorder; ask its TPM again"
    )
    _changes(one, _unlock)
    one = what.add_parser("rotate", help="give the box a new key")
    _changes(one, _rotate)
    one = what.add_parser(
        "adopt",
        help="take over what another box sealed, with its recovery key",
        description="Asks for the recovery key, or reads it from standard input. With its own, a "
        "box that is locked for good (its TPM is gone or keeps the key back, its passphrase was "
        "forgotten) gets a new key, in a file: lock that again with `tpm` or `passphrase`.",
    )
    _changes(one, _adopt)
    one = what.add_parser(
        "destroy",
        help="make what a camera recorded on some days unreadable, for good and for everybody",
        description="Wipes the keys of these days. Nothing and nobody can read the recordings "
        "afterwards. A signed record of it stays on the volume. Asks first.",
    )
    one.add_argument("--camera", required=True, metavar="NAME", help="name of the camera")
    one.add_argument("--first", required=True, metavar="DAY", help="first day, as 2026-03-01")
    one.add_argument("--last", required=True, metavar="DAY", help="last day, likewise")
    one.add_argument("--why", required=True, metavar="TEXT", help="why, for the record")
    one.add_argument("--yes", action="store_true", help="do not ask")
    _changes(one, _destroy)


def _changes(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    where.add(parser)
    console.add_account(parser)
    parser.set_defaults(run=run)


def _show(chosen: argparse.Namespace) -> int:
    slots: list[Slot] = []
    records: list[Record] = []
    foreign = 0
    with archive.opened(chosen, where.keys(chosen)) as found:
        for store in (each.store for each in found.volumes):
            slots += store.keys.slots() if store.keys else []
            records += store.ring.destroyed_records
            foreign += store.keys.unusable() if store.keys else 0
    if chosen.volume is None:
        ring = where.keyring(chosen)
        config = load.read(chosen.data / "nvr.toml")
        seals = any(volume.seal for volume in (config.volume, *config.spare))
        print(f"sealing       {'on' if seals else 'off'}")
        under = ", under a passphrase" if ring.has_passphrase else ""
        if ring.has_tpm:
            under = ", kept by the TPM" + "".join(f", PCR {n}" for n in ring.pcrs)
        print(f"box's key     {root.fingerprint(ring.publics.box)}{under}")
        print(f"recovery key  {root.fingerprint(ring.owner) if ring.owner else 'none made yet'}")
        print(f"signing key   {root.fingerprint(ring.signer.public)}")
    for stream in sorted({slot.stream for slot in slots}):
        days = [slot.day for slot in slots if slot.stream == stream]
        print(f"{stream:<20}  {len(days)} keys, {day_text(min(days))} to {day_text(max(days))}")
    if not slots:
        print("nothing on the volume is sealed")
    elif foreign:
        print(f"{foreign} of {len(slots)} keys cannot be used with what is at hand")
    for record in records:
        at = where.local(record["wall_us"])
        what = ", ".join(f"{stream} {day_text(day)}" for stream, day in record["of"])
        signed = "" if genuine(record) else "  (not signed by a box)"
        by = f" by {record['by']}" if record["by"] else ""
        print(f"destroyed     {at:%Y-%m-%d %H:%M}{by}: {what}: {record['why']}{signed}")
    return 0


def _recovery(chosen: argparse.Namespace) -> int:
    def through(box: Box) -> RecoveryView:
        return msgspec.convert(box.ask("POST", "/api/key/recovery", {}), RecoveryView)

    def directly(desk: KeyDesk) -> tuple[str, RecoveryView]:
        made = desk.new_recovery()
        return made.owner, RecoveryView(made.words, made.owner, made.without)

    made = _do(chosen, through, directly)
    print(_PAPER.format(words=made.recovery_key, owner=made.owner))
    if made.without:
        print(_FOREIGN.format(left=made.without))
    return 0


def _passphrase(chosen: argparse.Namespace) -> int:
    passphrase = ask.secret("new passphrase: ", "once more: ")

    def through(box: Box) -> None:
        box.ask("PUT", "/api/key/passphrase", {"passphrase": passphrase})

    def directly(desk: KeyDesk) -> tuple[str, None]:
        desk.set_passphrase(passphrase)
        return "set" if passphrase else "removed", None

    _do(chosen, through, directly)
    print("the box's key is locked at each start" if passphrase else "there is no passphrase")
    return 0


def _pcrs(text: str) -> list[int]:
    try:
        return sorted({int(word) for word in text.split(",")})
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"{text} is no list like 0,2,7") from err


def _tpm(chosen: argparse.Namespace) -> int:
    def through(box: Box) -> int:
        return msgspec.convert(box.ask("PUT", "/api/key/tpm", {"pcrs": chosen.pcr}), LeftView).left

    def directly(desk: KeyDesk) -> tuple[str, int]:
        left = desk.bind_tpm(chosen.pcr)
        return "PCR " + (", ".join(map(str, chosen.pcr)) or "none"), left

    left = _do(chosen, through, directly)
    print("the box has a new key, and its TPM keeps it")
    if left:
        print(f"{left} keys fit only the old one, which is kept")
    if not Keyring(chosen.data, make=False).owner:
        print("There is no recovery key: if the board breaks, nobody can read the recordings.")
    return 0


def _file(chosen: argparse.Namespace) -> int:
    def through(box: Box) -> None:
        box.ask("PUT", "/api/key/passphrase", {"passphrase": ""})

    def directly(desk: KeyDesk) -> tuple[str, None]:
        desk.set_passphrase("")
        return "", None

    _do(chosen, through, directly)
    print("the box's key lies in a file")
    return 0


def _unlock(chosen: argparse.Namespace) -> int:
    by_tpm = where.keyring(chosen).has_tpm
    passphrase = "" if by_tpm else ask.secret("passphrase of the box's key: ")
    if not archive.alive(chosen):
        raise Unavailable("box.unreachable", "the recorder is not running")
    with console.running(chosen) as box:
        box.ask("POST", "/api/key/unlock", {"passphrase": passphrase})
    print("unlocked until the next start")
    return 0


def _rotate(chosen: argparse.Namespace) -> int:
    def through(box: Box) -> tuple[str, int]:
        left = msgspec.convert(box.ask("POST", "/api/key/rotate", {}), LeftView).left
        return msgspec.convert(box.ask("GET", "/api/key"), KeyView).box, left

    def directly(desk: KeyDesk) -> tuple[str, tuple[str, int]]:
        left = desk.change_box_key()
        fingerprint = desk.state().box
        return fingerprint, (fingerprint, left)

    fingerprint, left = _do(chosen, through, directly)
    print(f"box's key     {fingerprint}")
    if left:
        print(f"{left} keys fit only the old one, which is kept")
    return 0


def _adopt(chosen: argparse.Namespace) -> int:
    words = ask.secret("recovery key: ")

    def through(box: Box) -> AdoptedView:
        body = {"recovery_key": words}
        return msgspec.convert(box.ask("POST", "/api/key/adopt", body), AdoptedView)

    def directly(desk: KeyDesk) -> tuple[str, AdoptedView]:
        found = desk.adopt(words)
        said = "the box was locked and has a new key" if found.new_key else ""
        return said, AdoptedView(found.left, found.new_key)

    found = _do(chosen, through, directly)
    if found.new_key:
        print("the box was locked and has a new key, in a file: lock it again if you want that")
    left = found.left
    print(_FOREIGN.format(left=left) if left else "all of the archive can be played here")
    return 0


def _destroy(chosen: argparse.Namespace) -> int:
    days = day_of_text(chosen.first, "--first"), day_of_text(chosen.last, "--last")
    if not chosen.yes:
        span = f"{chosen.first} to {chosen.last}"
        asked = f"Nobody will be able to see {chosen.camera}, {span}, ever again. Type yes: "
        if not sys.stdin.isatty() or input(asked) != "yes":
            raise Rejected("key.invalid", "not confirmed: nothing was destroyed")

    def through(box: Box) -> int:
        body = DestroyBody(chosen.camera, chosen.first, chosen.last, chosen.why)
        told = box.ask("POST", "/api/key/destroy", msgspec.to_builtins(body))
        return msgspec.convert(told, dict[str, int])["keys"]

    def directly(desk: KeyDesk) -> tuple[str, int]:
        gone = desk.destroy(chosen.camera, days, console.who(), chosen.why)
        return f"{chosen.camera} {chosen.first} to {chosen.last}: {chosen.why}", len(gone)

    print(f"destroyed {_do(chosen, through, directly)} keys")
    return 0


def _do(
    chosen: argparse.Namespace,
    through: Callable[[Box], Done],
    directly: Callable[[KeyDesk], tuple[str, Done]],
) -> Done:
    def noted() -> tuple[Done, console.Noted]:
        with _desk(chosen) as desk:
            reason, done = directly(desk)
        return done, console.Noted(reason)

    return console.change(chosen, through, noted)


@contextmanager
def _desk(chosen: argparse.Namespace) -> Iterator[KeyDesk]:
    keyring = where.keyring(chosen, make=True)
    where.unlock(keyring)
    keys = keyring.sealing(seal=False).open_keys
    with archive.edited(chosen, keys) as stores:
        yield KeyDesk(keyring, lambda **_: stores, SystemClock(), seals=False)
