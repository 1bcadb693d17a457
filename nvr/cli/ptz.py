"""`nvr ptz`: kinds of heads, what one can be told beside motions and presets, and their lines."""

import argparse
from pathlib import Path

import msgspec

from nvr.base.errors import Rejected
from nvr.base.shipped import shipped
from nvr.cli import ptz_line, where
from nvr.cli.console import add_account, running
from nvr.media.ports import HeadFunction
from nvr.ptz.pelco import ranges
from nvr.ptz.profile import Function, Library, Profile, library

_EXAMPLES = """examples:
  nvr ptz scan --path /dev/serial/by-id/usb-...            who answers? nothing is moved
  nvr ptz scan --path /dev/serial/by-id/usb-... --camera gate   watches the picture of a camera
  nvr ptz monitor --path /dev/serial/by-id/usb-...         what somebody else says on a line
  nvr ptz monitor --line ptz                               what the running recorder says on its own
"""


class _Answer(msgspec.Struct, frozen=True):
    functions: tuple[HeadFunction, ...]


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "ptz",
        help="kinds of pan-tilt heads, the functions of one, and who is on a serial line",
        description="What kinds of heads there are, what each differs in, what the head of a "
        "camera can be told beside motions and presets, and what is on a serial line.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    profiles = verbs.add_parser(
        "profiles",
        help="list the kinds of heads",
        description="Lists the profiles that [camera.ptz] may name: those that came with the "
        "recorder and the files in ptz/ of the data directory.",
    )
    where.add_data(profiles)
    profiles.set_defaults(run=_profiles)
    profile = verbs.add_parser(
        "profile",
        help="say what a kind of head differs in",
        description="Says all that a profile means, and where its file lies: copy it into ptz/ of "
        "the data directory under another name to make one of your own.",
    )
    profile.add_argument("profile", metavar="NAME", help="as `nvr ptz profiles` lists it")
    where.add_data(profile)
    profile.set_defaults(run=_profile)
    function = verbs.add_parser(
        "function",
        help="list the functions of a camera's head, or do one",
        description="Without FUNCTION lists what the head of a camera can be told: menus, scans, "
        "a restart. With it the running recorder tells the head. Signs in as an account of the "
        "page, whose password is asked for or read from standard input.",
    )
    function.add_argument("camera", metavar="CAMERA", help="name of the camera")
    function.add_argument("function", nargs="?", metavar="FUNCTION", help="what is to be done")
    where.add_data(function)
    add_account(function)
    function.set_defaults(run=_function)
    ptz_line.add(verbs)


def _profiles(chosen: argparse.Namespace) -> int:
    found = library(chosen.data)
    for name, it in found.profiles.items():
        own = ", own file" if name in found.own else ""
        print(f"{name:<18} {it.protocol:<8} {_proof(it)}{own}: {it.title}")
    for name, faults in found.damaged.items():
        print(f"{name:<18} damaged: {'; '.join(map(str, faults))}")
    return 1 if found.damaged else 0


def _profile(chosen: argparse.Namespace) -> int:
    found = library(chosen.data)
    it = found.find(chosen.profile, None)
    print(f"{it.id}: {it.title}")
    if it.about:
        print(f"  {it.about}")
    rows = [("proof", _proof(it)), ("file", str(_file(found, it.id, chosen.data)))]
    for label, text in rows + _meaning(it):
        print(f"  {label:<9} {text}")
    for one in it.function:
        marks = [mark for mark, on in (("risky", one.risk), ("runs until STOP", one.runs)) if on]
        end = f" ({', '.join(marks)})" if marks else ""
        print(f"  function  {one.name}: {one.title}, {_deed(one)}{end}")
    return 0


def _function(chosen: argparse.Namespace) -> int:
    path = f"/api/camera/{chosen.camera}/function"
    with running(chosen) as box:
        if chosen.function:
            box.ask("POST", path, {"function": chosen.function})
            print(f"{chosen.camera}: {chosen.function} is sent")
            return 0
        told = msgspec.convert(box.ask("GET", path), _Answer)
    if not told.functions:
        raise Rejected("ptz.unknown_function", "this head has no functions", camera=chosen.camera)
    for one in told.functions:
        print(f"{one.name:<18} {one.title}{' (risky)' if one.risk else ''}")
    return 0


def _meaning(it: Profile) -> list[tuple[str, str]]:
    said, speed = it.dialect, it.speed
    rows: list[tuple[str, str]] = [("protocol", it.protocol)]
    if it.protocol == "pelco-p":
        base = f"address 1 is {said.address_base} on the wire"
        covers = "all seven bytes" if said.checksum == "all" else "what is between start and end"
        lens = "its own" if said.lens_bits == "pelco" else "as in Pelco-D"
        rows.append(("dialect", f"lens bits {lens}; {base}; checksum over {covers}"))
    if it.protocol == "visca":
        rows.append(("dialect", f"preset 1 is {said.preset_base} on the wire"))
    rows += [
        ("turbo", f"{said.turbo:#04x}" if said.turbo else "none"),
        ("speed", f"pan {speed.pan[0]} to {speed.pan[1]}, tilt {speed.tilt[0]} to {speed.tilt[1]}"),
        ("limits", f"addresses 1 to {it.limits.address}, presets 1 to {it.limits.preset}"),
        ("replies", _replies(it)),
    ]
    for name, number in (("wiper", it.aux.wiper), ("lamp", it.aux.lamp)):
        if number is not None:
            rows.append((name, f"auxiliary {number}"))
    if reserved := ranges(it.reserved_presets()):
        rows.append(("reserved", f"presets {reserved}"))
    if it.ends:
        rows.append(("ends", f"a STOP is followed by {it.ends} where a function runs"))
    return rows


def _replies(it: Profile) -> str:
    if not it.replies.position:
        return "is not asked where it points"
    way = "counts down from 360" if it.dialect.tilt_reply == "falls" else "counts up from 0"
    return f"is asked where it points; tilt below the horizon {way} degrees"


def _deed(one: Function) -> str:
    if one.delta:
        return f"{one.do} by {one.number}"
    return f"{one.do} {one.number}" if one.number else one.do


def _proof(it: Profile) -> str:
    return f"proven by {it.proof}" if it.proof else "untested"


def _file(found: Library, name: str, data: Path) -> Path:
    return (data / "ptz" if name in found.own else shipped("board/ptz")) / f"{name}.toml"
