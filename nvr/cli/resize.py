"""`nvr resize`: make the volume larger or smaller, and say first what that would lose."""

import argparse
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from nvr.app.settings import streams_of, write_size
from nvr.base.errors import Rejected
from nvr.cli import archive, ask, console, where
from nvr.cli.box import Box
from nvr.config import load
from nvr.config.model import Config
from nvr.record.resize import planned, resize
from nvr.record.retention import DEFAULT, TermsOf, default_terms
from nvr.web.size import ChangeView, view

_DESCRIPTION = """\
Makes the volume as large as --size-mib says, and writes that into nvr.toml. Growing
makes more blocks, if the disk has room for them. Shrinking gives up the oldest
recordings and gives their room back to the disk; it is refused where what is locked or
guaranteed would go. What would be lost is said first, and must be agreed to. Beside a
running recorder it is done by that, while it records, for an account of the page; of a
stopped one it is done at its next start. `nvr plan --size-mib N` only says what would be.
A size_mib in nvr.toml that is larger than the volume makes it larger at the next start;
one that is smaller changes nothing until somebody agrees here or on the page.
"""
_EXAMPLES = """\
examples:
  nvr plan --size-mib 100000             what that would do
  nvr resize --size-mib 200000           larger
  nvr resize --size-mib 100000 --yes     smaller, agreed to beforehand
  nvr resize --size-mib 50000 --of usb   a spare volume
"""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "resize",
        help="make the volume larger or smaller",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add(parser)
    parser.add_argument("--size-mib", type=int, required=True, metavar="N", help="its new size")
    parser.add_argument(
        "--of", default="", metavar="PATH",
        help="which of several volumes, by its path in nvr.toml (default: the first)",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="give up what would be lost, unasked")
    console.add_account(parser)
    parser.set_defaults(run=run, what="volume")


def run(chosen: argparse.Namespace) -> int:
    """Plan, ask and do it."""
    at_start = "it will be done when the recorder starts"

    def through(box: Box) -> str:
        query = f"/api/ring/size?size_mib={chosen.size_mib}&volume={quote(chosen.of, safe='')}"
        _agree(msgspec.convert(box.ask("GET", query), ChangeView), yes=chosen.yes)
        body = {"size_mib": chosen.size_mib, "give_up": True, "volume": chosen.of}
        box.ask("POST", "/api/ring/size", body)
        return "it is being done while it records; the page says how far it is"

    def directly() -> tuple[str, console.Noted]:
        path = chosen.data / "nvr.toml"
        config = load.read(path)
        name = chosen.of or config.volume.path
        if name not in {each.path for each in (config.volume, *config.spare)}:
            raise Rejected("volume.unknown", "there is no volume of that name", volume=name)
        with archive.editing(chosen.data / name) as store:
            terms = terms_in(config)
            _agree(view(planned(store, terms, chosen.size_mib)), yes=chosen.yes)
            load.edit(path, lambda document: write_size(document, name, chosen.size_mib))
            resize(store, terms, chosen.size_mib, console.who())
        return at_start, console.Noted(f"{name} size_mib {chosen.size_mib}")

    if chosen.volume is None:
        print(console.change(chosen, through, directly))
        return 0
    with archive.editing(chosen.volume) as store:
        _agree(view(planned(store, default_terms, chosen.size_mib)), yes=chosen.yes)
        resize(store, default_terms, chosen.size_mib, console.who())
    print(at_start)
    return 0


def terms_in(config: Config) -> TermsOf:
    """Return the terms of streams as a configuration has them."""
    terms = {name: it.terms for name, it in streams_of(config).items()}
    return lambda stream: terms.get(stream, DEFAULT)


def _agree(change: ChangeView, *, yes: bool) -> None:
    """Say what it would do, and have it agreed to if something would be lost.

    Raises:
        Rejected: What refuses it, ``size.unconfirmed``.
    """
    if change.refused is not None:
        raise Rejected(change.refused.code, change.refused.detail)
    for line in lines(change):
        print(line)
    if not change.lost or yes:
        return
    if ask.line("give these recordings up? (yes/no) ").strip() != "yes":
        raise Rejected("size.unconfirmed", "recordings would be lost, and nobody agreed to it")


def lines(change: ChangeView) -> Iterator[str]:
    """Say what a change would do."""
    yield (
        f"from {change.now_bytes / 1e9:,.1f} GB to {change.asked_bytes / 1e9:,.1f} GB; "
        f"the disk has room for {change.free_bytes / 1e9:,.1f} GB more"
    )
    if change.refused is not None:
        yield f"refused: {change.refused.detail} ({change.refused.code})"
    for one in change.lost:
        begin, end = where.local(one.from_us), where.local(one.to_us)
        name = f"{one.camera}/{one.stream}"
        yield (
            f"LOST  {name:<20}  {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}  "
            f"{one.used_bytes / 1e6:>10,.0f} MB"
        )
    if not change.lost and change.refused is None:
        yield "nothing is lost"
