"""`nvr control`: who has a dome, and what may be done with it from a terminal."""

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from nvr.cli import where
from nvr.cli.box import Box
from nvr.cli.console import add_account, running

_DESCRIPTION = """\
Shows who has a camera's dome, until when, what it does by itself and which presets it has;
or does one of the things a page does. Nothing here moves a dome for longer than one way to a
preset: for a stick there is the page. Signs in as an account of the page, whose password is
asked for or read from standard input.
"""
_EXAMPLES = """\
examples:
  nvr control gate                                who has it
  nvr control gate --stop                         STOP, whoever has it
  nvr control gate --preset 3                     go to preset 3
  nvr control gate --lock 2h "on the mast"        keep everybody else off
  nvr control gate --unlock
  nvr control gate --run "tour Yard"              run a tour, pattern, scan, home
  nvr control gate --run ""                       end it
  nvr control gate --guard off                    no return to the guard position
  nvr control gate --measure                      so that it can be aimed by its picture
  nvr control gate --check-presets                how well it finds them again
  nvr control gate --aim 0.8,0.4                  bring a place of the picture to its middle
  nvr control gate --aim 0.8,0.4,0.2,0.2          and make an area so wide and high fill it
"""
_AIMED = {
    "absolute": "it is told where to",
    "fov": "it is told by how much of its picture",
    "timed": "it is moved for a measured time",
}
_UNITS_S = {"m": 60.0, "h": 3600.0}


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "control",
        help="who has a dome; stop it, lock it, send it to a preset, run a tour",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add_data(parser)
    parser.add_argument("name", metavar="NAME", help="name of the camera")
    do = parser.add_mutually_exclusive_group()
    do.add_argument("--stop", action="store_true", help="stop it; passes every lock")
    do.add_argument("--take", action="store_true", help="take control, for a minute of rest")
    do.add_argument("--preset", type=int, metavar="N", help="go to a preset")
    do.add_argument("--lock", nargs=2, metavar=("FOR", "WHY"), help="lock it: 30m or 2h, and why")
    do.add_argument("--unlock", action="store_true", help="end a lock")
    do.add_argument(
        "--run", dest="run_what", metavar="WHAT", help='"tour NAME", "home" ...; "" ends what runs'
    )
    do.add_argument(
        "--measure", action="store_true", help="measure what it sees and how fast it turns"
    )
    do.add_argument(
        "--check-presets", action="store_true", help="measure how well it finds its presets"
    )
    do.add_argument(
        "--aim", metavar="X,Y[,W,H]", help="aim by the picture: shares from its upper left corner"
    )
    do.add_argument("--guard", choices=("on", "off"), help="return to the guard position, or not")
    add_account(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Ask, and show what is so then."""
    try:
        body = _body(chosen)
    except ValueError as err:
        print(err)
        return 2
    with running(chosen) as box:
        if chosen.measure or chosen.check_presets:
            return _measure(box, chosen.name, "sight" if chosen.measure else "presets")
        path = f"/api/camera/{chosen.name}/control"
        told = box.ask("GET", path) if body is None else box.ask("POST", path, body)
        _show(chosen.name, told)
    return 0


def _body(chosen: argparse.Namespace) -> dict[str, Any] | None:
    if chosen.lock:
        lasts, why = chosen.lock
        lasts_s = _number(lasts[:-1]) * _UNITS_S.get(lasts[-1:], float("nan"))
        if not lasts_s > 0:
            raise ValueError("how long? 30m or 2h")
        return {"do": "lock", "lasts_s": lasts_s, "reason": why}
    if chosen.aim is not None:
        shares = [_number(one) for one in chosen.aim.split(",")]
        if len(shares) not in {2, 4} or not all(0 <= one <= 1 for one in shares):
            raise ValueError("where? X,Y or X,Y,WIDTH,HEIGHT, from 0 to 1 each")
        return {"do": "aim", **dict(zip(("x", "y", "width", "height"), shares, strict=False))}
    if chosen.run_what is not None:
        return {"do": "run", "what": chosen.run_what}
    if chosen.preset is not None:
        return {"do": "preset", "preset": chosen.preset}
    if chosen.guard is not None:
        return {"do": "guard", "on": chosen.guard == "on"}
    word = next((word for word in ("stop", "take", "unlock") if getattr(chosen, word)), None)
    return None if word is None else {"do": word}


def _measure(box: Box, name: str, what: str) -> int:
    """Have it measured and wait for that; given up with Ctrl-C."""
    path = f"/api/camera/{name}/sight"
    told: Any = box.ask("POST", path, {"do": what})
    try:
        while not told["measuring"]["done"]:
            at = told["measuring"]
            print(f"  {at['step']} of {at['of'] or '?'}", end="\r", flush=True)
            time.sleep(1.0)
            told = box.ask("GET", path)
    except KeyboardInterrupt:
        told = box.ask("POST", path, {"do": "end"})
        print("given up")
        return 1
    if code := told["measuring"]["code"]:
        print(f"{name}: {code}")
        return 1
    if what == "sight":
        for zoom, degrees in told["angles"]:
            print(f"  zoom {zoom:.3f}  sees {degrees:.1f} degrees")
        print(f"{name}: can be aimed by its picture: {_AIMED.get(told['aim'], 'no')}")
    for one in told["presets"] if what == "presets" else ():
        print(f"  preset {one['number']}  {_off(one)}")
    return 0


def _off(one: Any) -> str:  # noqa: ANN401 - as it came
    if one["said"]:
        return {"unmoved": "the head did not move"}.get(one["said"], "its pictures do not tell")
    degrees = "" if one["off_deg"] is None else f", {one['off_deg']:.2f} degrees"
    zoom = f", zoom {one['zoom_percent']:+.1f} %" if abs(one["zoom_percent"]) >= 1 else ""
    return f"off by {one['off_percent']:.1f} % of the picture{degrees}{zoom}"


def _number(text: str) -> float:
    """NaN for what is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _show(name: str, told: Any) -> None:  # noqa: ANN401 - as it came
    state = "moves" if told["moving"] else "stands"
    print(f"{name}: {state if told['online'] else 'cannot be reached'}")
    if lock := told["lock"]:
        print(f"  locked by {lock['name']} until {_time(lock['until_us'])}: {lock['reason']}")
    if holder := told["holder"]:
        how = "took it" if holder["taken"] else "uses it"
        print(f"  {holder['name']} {how} ({holder['source']}) until {_time(holder['until_us'])}")
    elif not told["lock"]:
        print("  nobody has it")
    if auto := told["auto"]:
        until = f", until {_time(auto['until_us'])}" if auto["until_us"] else ""
        by = f", begun by {auto['by']}" if auto["by"] else ""
        print(f"  by itself: {auto['what']}, {auto['state']}{until}{by}")
    if at := told["position"]:
        print(f"  points to {at['pan_deg']:.2f}, {at['tilt_deg']:+.2f} degrees")
    if told["aim"]:
        print(f"  can be aimed by its picture: {_AIMED[told['aim']]}")
    for preset in told["presets"]:
        print(f"  preset {preset['number']}  {preset['name']}")


def _time(at_us: int) -> str:
    then = where.local(at_us)
    same = datetime.now(UTC).astimezone().date() == then.date()
    return f"{then:%H:%M:%S}" if same or at_us < time.time_ns() // 1000 else f"{then:%m-%d %H:%M}"
