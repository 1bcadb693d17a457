"""`nvr ptz scan`: asks and shows; the finding is `nvr.ptz.scan`."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from nvr.app.data import DataDirectory
from nvr.app.reach import Reach
from nvr.app.services import exceptions
from nvr.app.sight import Sight
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured, Rejected
from nvr.base.permit import Permit
from nvr.capture.rtsp import Account, Caller
from nvr.cli import ask
from nvr.config import load
from nvr.config.camera import LOCAL
from nvr.hal import board
from nvr.hal.board import Board
from nvr.hal.ports import SerialPort
from nvr.ptz.guard_link import GuardLink
from nvr.ptz.scan import Found, Language, Nudger, by_picture, by_reply

Open = Callable[[int], SerialPort]


def run(chosen: argparse.Namespace, open_port: Open, bauds: Sequence[int]) -> int:
    """Find heads, and print them."""
    with _alone(chosen):
        say = _progress if sys.stderr.isatty() else _quiet
        if chosen.camera is None:
            found = by_reply(open_port, bauds, chosen.protocol, chosen.addresses, say)
        else:
            found = _by_picture(chosen, open_port, bauds)
    if chosen.json:
        print(json.dumps([asdict(one) for one in found]))
    else:
        for one in found:
            print(f"address {one.address}, {one.baud} baud, {one.protocol} (by {one.by})")
        if not found and chosen.camera is None:
            print("nobody answers. Most heads cannot: --camera NAME watches a picture instead")
        elif not found:
            print("nothing moved that picture: swap A and B, look at the dip switches, the supply")
    return 0 if found else 1


def _by_picture(chosen: argparse.Namespace, open_port: Open, bauds: Sequence[int]) -> list[Found]:
    caller = _caller(chosen)
    some = f"{len(chosen.addresses)} addresses on this line"
    if not chosen.yes:
        said = ask.line(f"Every head at {some} is going to be moved for half a second, several "
                        "times. Nobody on the masts? Type yes: ")  # fmt: skip
        if said.strip().lower() != "yes":
            raise Rejected("scan.declined", "nothing was moved")
    clock = SystemClock()
    guard = GuardLink(clock)
    guard.start()
    with ExitStack() as stack:
        stack.callback(guard.close)
        sight = stack.enter_context(Sight(caller, clock))

        def nudger(baud: int, protocol: Language) -> Nudger:
            return Nudger(open_port, baud, protocol, chosen.addresses, guard=guard, clock=clock)

        say = _progress if sys.stderr.isatty() else _quiet
        return by_picture(nudger, bauds, chosen.protocol, chosen.addresses, sight.look, say)


@contextmanager
def _alone(chosen: argparse.Namespace) -> Iterator[None]:
    """Keep the recorder of the data directory from running meanwhile.

    Raises:
        Rejected: ``serial.owned``: it runs.
    """
    if not chosen.data.is_dir():
        yield
        return
    try:
        held = DataDirectory(chosen.data)
    except Rejected as err:
        raise Rejected(
            "serial.owned",
            "the recorder runs and owns its serial lines: stop it, scan, and start it again",
            path=str(chosen.data),
        ) from err
    with held:
        yield


def _caller(chosen: argparse.Namespace) -> Caller:
    path = chosen.data / "nvr.toml"
    config = load.read(path)
    camera = next((one for one in config.camera if one.name == chosen.camera), None)
    if camera is None:
        raise Rejected("camera.unknown", "there is no such camera", camera=chosen.camera)
    if camera.url.startswith(LOCAL):
        raise Misconfigured("scan.local", "only a network camera can be watched here")
    secrets = load.read_secrets(chosen.data / "secrets.toml")
    secret = secrets.camera.get(camera.name)
    account = Account(camera.user, secret.password if secret else "") if camera.user else None
    has = board.load(chosen.board) if chosen.board else Board(schema=1, id="none", title="")
    permit = Permit(exceptions(config, has))
    reach = Reach(permit, chosen.data, lambda _: account, SystemClock())
    return reach.caller("sight/main", camera, camera.url)


def _progress(done: int, of: int, what: str) -> None:
    sys.stderr.write(f"\r\x1b[K{done}/{of} {what}" if what else "\r\x1b[K")
    sys.stderr.flush()


def _quiet(done: int, of: int, what: str) -> None:
    pass
