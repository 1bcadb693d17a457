"""`nvr find`: cameras on the network, what is wrong with one, and the lines that record it."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from nvr.app.onboard import Examiner
from nvr.base.clock import SystemClock
from nvr.base.permit import Permit
from nvr.cli import ask, where
from nvr.config import load
from nvr.link.link import Link
from nvr.media.find import Examined, Finding, Login, Seen, Trial
from nvr.web.find import examined_view

Done = TypeVar("Done")

_EXAMPLES = """examples:
  nvr find                                  every network this machine is on
  nvr find 192.0.2.0/24                     a network behind a router, address by address
  nvr find --look 192.0.2.10 --login admin  logs in, opens its streams, says what is wrong
  nvr find --look 192.0.2.10 --login admin --set gop clock
"""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "find",
        help="cameras on the network, and what is wrong with one",
        description="Without --look: asks every network who is there (ONVIF, WS-Discovery), or an "
        "address or a network of at most 256 addresses that is given. With --look: logs in to a "
        "camera over ONVIF, chooses a main and a sub stream, opens both for real and watches them "
        "for up to 12 seconds; says what it is, what is wrong with it and what to do first, and "
        "prints the lines for nvr.toml. Works beside a running recorder and changes nothing but "
        "what --set names. Ends with 1 if nothing was found, or it cannot be recorded so.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add_data(parser)
    parser.add_argument("where", nargs="?", default="", help="address or network to search")
    parser.add_argument("--look", metavar="ADDRESS", help="look into the camera at that address")
    parser.add_argument(
        "--login", default="", metavar="NAME", help="user on the camera; its password is asked for"
    )
    parser.add_argument("--pin", default="", metavar="SHA256", help="its certificate, for https://")
    parser.add_argument("--main", default="", metavar="TOKEN", help="profile to be recorded")
    parser.add_argument("--sub", default="", metavar="TOKEN", help="profile for tiles, - for none")
    parser.add_argument(
        "--set",
        nargs="+",
        choices=("clock", "gop"),
        default=[],
        help="set its clock from this machine's; a key frame every 2 s",
    )
    parser.add_argument("--json", action="store_true", help="for a program, as the page's API")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Look, or look into."""
    config = chosen.data / "nvr.toml"
    known = load.read(config) if config.exists() else None
    permit = list(known.local_cameras) if known else []
    hosts = {c.name: c.url.partition("://")[2] for c in known.camera} if known else {}
    hosts = {name: place.partition("/")[0].rpartition(":")[0] for name, place in hosts.items()}
    if chosen.look is None:
        found = _with(permit, hosts, lambda look: look.find(chosen.where))
        return _list(found, as_json=chosen.json)
    password = ask.secret(f"password of {chosen.login} on the camera: ") if chosen.login else ""
    login = Login(chosen.look, chosen.login, password, chosen.pin, chosen.main, chosen.sub)

    async def looked(look: Examiner) -> Examined:
        for what in chosen.set:
            await look.cure(login, what)
        return await look.examine(login)

    examined = _with(permit, hosts, looked)
    view = examined_view(examined)
    if chosen.json:
        print(json.dumps(msgspec.to_builtins(view), ensure_ascii=False))
    else:
        for line in _told(examined, login):
            print(line)
    return 0 if view.good else 1


def _with(
    permit: list[str], known: dict[str, str], do: Callable[[Examiner], Awaitable[Done]]
) -> Done:
    async def once() -> Done:
        link = Link(permit)
        try:
            return await do(Examiner(link, Permit(permit), SystemClock(), lambda: known))
        finally:
            await link.close()

    return asyncio.run(once())


def _list(found: tuple[Seen, ...], *, as_json: bool) -> int:
    if as_json:
        rows = [
            {
                "address": one.address,
                "name": one.sighting.name,
                "hardware": one.sighting.hardware,
                "location": one.sighting.location,
                "via": one.sighting.via,
                "known": one.known,
            }
            for one in found
        ]
        print(json.dumps(rows, ensure_ascii=False))
    else:
        for one in found:
            said = " · ".join(filter(None, (one.sighting.name, one.sighting.hardware)))
            ours = f"  (camera {one.known})" if one.known else ""
            print(f"{one.address:<28} {said}{ours}".rstrip())
        if not found:
            print("nothing answers: plug cables, wait 20 s, or name an address or a network")
    return 0 if found else 1


def _told(found: Examined, login: Login) -> list[str]:
    lines = []
    if found.device is not None:
        device = found.device
        lines.append(f"{device.maker} {device.model}, firmware {device.firmware}".strip())
    for name, trial in (("main", found.main), ("sub ", found.sub)):
        if trial is not None:
            lines.append(f"{name}  {_seen(trial)}")
    lines += [f"{one.weight:<5}  {_sentence(one)}" for one in found.findings]
    if found.main is None or (found.main.code and not found.main.codec):
        return lines
    lines += ["", "[[camera]]", f'name = "{found.name}"', f'url = "{found.main.url}"']
    if login.user:
        lines.append(f"user = {json.dumps(login.user, ensure_ascii=False)}")
    if found.sub is not None and found.sub.url:
        lines += ["[camera.sub]", f'url = "{found.sub.url}"']
    lines += ["[camera.onvif]", f"address = {json.dumps(found.address)}"]
    if login.pin:
        lines.append(f'pin = "{login.pin}"')
    if login.user:
        lines += ["", f"its password: nvr user camera {found.name}"]
    return lines


def _seen(trial: Trial) -> str:
    if not trial.codec:
        return f"{trial.profile.token}: {trial.detail} ({trial.code})"
    size = f"{trial.width_px} x {trial.height_px}"
    said = [trial.codec, size, f"{trial.fps:g}/s"]
    if trial.gop_s:
        said.append(f"key frame every {trial.gop_s:g} s")
    said += filter(None, (f"{trial.kbit_s} kbit/s" if trial.kbit_s else "", trial.audio))
    return f"{trial.profile.token}: {', '.join(said)}, over {trial.transport}"


def _sentence(one: Finding) -> str:
    cure = {"login": "--login NAME", "clock": "--set clock", "gop": "--set gop"}.get(one.cure, "")
    return f"{one.detail} ({one.code}){f'; {cure}' if cure else ''}"
