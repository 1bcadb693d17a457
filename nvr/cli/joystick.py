"""`nvr joystick`: the joysticks of this box, what they say, and how they are understood."""

import argparse
import select
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from nvr.base.errors import NvrError, Unavailable
from nvr.cli import where
from nvr.hal import linux_joystick
from nvr.hal.joystick import Joystick, Layout, Standing
from nvr.media.joystick import JoystickProfile
from nvr.ptz.stick import guessed, lens_of, speeds_of
from nvr.ptz.stick_book import DIRECTORY, StickBook, read

_DESCRIPTION = """\
Lists the joysticks that are plugged into this box, each by what its profile is kept
under. Reads the devices themselves and moves nothing, beside a running recorder too:
which may be steered by the same hand meanwhile.
"""
_EXAMPLES = """\
examples:
  nvr joystick                        what is plugged in
  nvr joystick watch                  what a hand does: axes, buttons, and what is made of it
  nvr joystick profile > a.json       of the one that is plugged in, as a file to edit
  nvr joystick check a.json           then into joystick/ of the data directory
"""
_WAYS = ("pan", "tilt", "zoom", "focus", "iris")


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "joystick",
        help="the joysticks of this box, what they say and how they are understood",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_places(parser)
    parser.set_defaults(run=_list)
    verbs = parser.add_subparsers(dest="what", metavar="WHAT")
    watch = verbs.add_parser(
        "watch",
        help="show what a hand does, as it does",
        description="Prints a line for each change: axes from -1 to 1, buttons that are held, and "
        "what its profile makes of both. Until the joystick is pulled, or interrupted.",
    )
    watch.set_defaults(run=_watch)
    profile = verbs.add_parser(
        "profile",
        help="print how a joystick is understood, as JSON",
        description="Prints the profile that is kept for a joystick, or what is guessed of one "
        "that nobody taught.",
    )
    profile.set_defaults(run=_profile)
    for one in (watch, profile):
        one.add_argument(
            "device", nargs="?", default="", metavar="DEVICE",
            help="begin of what `nvr joystick` lists it as (default: the first one)",
        )  # fmt: skip
        _add_places(one)
    check = verbs.add_parser(
        "check", help="check the file of a profile", description="Says what is wrong with it."
    )
    check.add_argument("file", type=Path, metavar="FILE", help="JSON")
    check.set_defaults(run=_check)


def _add_places(parser: argparse.ArgumentParser) -> None:
    where.add_data(parser)
    parser.add_argument(
        "--input", type=Path, default=linux_joystick.INPUT, metavar="DIR",
        help=f"where the input devices are (default: {linux_joystick.INPUT})",
    )  # fmt: skip


def _list(chosen: argparse.Namespace) -> int:
    book, none = StickBook(chosen.data), True
    with ExitStack() as stack:
        for path, found in _opened(chosen.input):
            none = False
            if isinstance(found, NvrError):
                print(f"{path}: {found.detail}", file=sys.stderr)
                continue
            stack.enter_context(closing(found))
            layout = found.layout
            learned = "learned" if layout.key in book.profiles else "guessed"
            print(
                f"{layout.key}: {len(layout.axes)} axes, {len(layout.keys)} buttons, "
                f"{learned} ({path})"
            )
    if none:
        print("no joystick")
    for name, fault in book.damaged.items():
        print(f"{DIRECTORY}/{name}: {fault}", file=sys.stderr)
    return 1 if book.damaged else 0


def _watch(chosen: argparse.Namespace) -> int:
    book = StickBook(chosen.data)
    with closing(_find(chosen)) as joystick:
        layout = joystick.layout
        profile = book.profiles.get(layout.key) or guessed(layout)
        print(f"{layout.key} ({'learned' if layout.key in book.profiles else 'guessed'})")
        print(_line(joystick.standing, profile), flush=True)
        while True:
            select.select([joystick], [], [])
            for standing in joystick.read():
                print(_line(standing, profile), flush=True)


def _profile(chosen: argparse.Namespace) -> int:
    book = StickBook(chosen.data)
    kept = [one for key, one in book.profiles.items() if key.startswith(chosen.device)]
    if chosen.device and kept:
        profile = kept[0]
    else:
        with closing(_find(chosen)) as joystick:
            layout: Layout = joystick.layout
        profile = book.profiles.get(layout.key) or guessed(layout)
    print(msgspec.json.format(msgspec.json.encode(profile), indent=1).decode())
    return 0


def _check(chosen: argparse.Namespace) -> int:
    profile = read(chosen.file)
    print(f"{chosen.file}: good, for {profile.device}")
    return 0


def _find(chosen: argparse.Namespace) -> Joystick:
    """Open the one that is meant.

    Raises:
        Unavailable: ``joystick.gone``: it is not plugged in.
    """
    for _, found in _opened(chosen.input):
        if isinstance(found, NvrError):
            continue
        if found.layout.key.startswith(chosen.device):
            return found
        found.close()
    raise Unavailable("joystick.gone", "it is not plugged in, or may not be read")


def _opened(directory: Path) -> Iterator[tuple[Path, Joystick | NvrError]]:
    for path in sorted(linux_joystick.nodes(directory)):
        try:
            found = linux_joystick.open_joystick(path)
        except NvrError as err:
            yield path, err
            continue
        if found is not None:
            yield path, found


def _line(standing: Standing, profile: JoystickProfile) -> str:
    axes = " ".join(f"{number}:{value:+.2f}" for number, value in enumerate(standing.axes))
    held = [str(number) for number, held in enumerate(standing.buttons) if held]
    speeds = (*speeds_of(standing, profile), *lens_of(standing, profile))
    said = [f"{way} {v:+.2f}" for way, v in zip(_WAYS, speeds, strict=True) if v]
    said += [profile.buttons[number] for number in held if number in profile.buttons]
    return f"axes {axes}  buttons {' '.join(held) or '-'}  => {', '.join(said) or 'rest'}"
