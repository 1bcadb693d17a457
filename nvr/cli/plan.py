"""`nvr plan`: how long the disk lasts, measured or worked out."""

import argparse

from nvr.app.settings import streams_of
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured, Unavailable
from nvr.cli import archive, resize, where
from nvr.config import load
from nvr.config.model import Config
from nvr.playback.holding import Holding
from nvr.record.recording import open_directory, remembered
from nvr.record.recover import open_reading
from nvr.record.resize import planned
from nvr.record.retention import DEFAULT
from nvr.web.size import view

_EXAMPLES = """examples:
  nvr plan                                       what this recorder holds, and will hold
  nvr plan --cameras 16 --mbps 4 --days 30       the disk that needs
  nvr plan --cameras 16 --mbps 4 --disk-gb 4000  the days that gives
  nvr plan --size-mib 100000                     what a volume of that size would lose"""
_HOUR_S, _DAY_S = 3600.0, 86_400.0
_PADDING_MBPS = 0.18
"""Header, tables and padding of 2.5 parts a second, 9 KB each: they begin on pages of 16 KiB."""
_SLACK = 1.01
"""Index and end of a block of 32 MiB."""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "plan",
        help="how many days the disk holds",
        description="Without --cameras: measures what each camera needs a day, and says how long "
        "its recordings are kept and whether that is what its retain_h promises. A volume that is "
        "too small shortens all promises by the same share, and guarantees last; of several "
        "volumes, what will be held is reckoned for the one recorded on. Works while the "
        "recorder is running. Ends with 1 if a promise will be broken. With --cameras: works out "
        "a disk that is not there yet.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add(parser)
    parser.add_argument("--cameras", type=int, metavar="N", help="how many cameras")
    parser.add_argument(
        "--mbps", type=float, default=4.0, help="Mbit/s of each, sound included (default: 4)"
    )
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--days", type=float, help="days to be kept")
    parser.add_argument(
        "--size-mib", type=int, metavar="N", help="only say what `nvr resize` to that would do"
    )
    wanted.add_argument("--disk-gb", type=float, help="size of the disk in GB (10^9 bytes)")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Measure or work out."""
    if chosen.cameras is not None:
        return _work_out(chosen.cameras, chosen.mbps, chosen.days, chosen.disk_gb)
    if chosen.days is not None or chosen.disk_gb is not None:
        raise Misconfigured("plan.cameras", "--days and --disk-gb need --cameras")
    return _measure(chosen) if chosen.size_mib is None else _resized(chosen)


def _work_out(cameras: int, mbps: float, days: float | None, disk_gb: float | None) -> int:
    if cameras <= 0 or mbps <= 0 or (days or 1) <= 0 or (disk_gb or 1) <= 0:
        raise Misconfigured("plan.numbers", "the numbers must be above 0")
    gb_a_day = cameras * (mbps + _PADDING_MBPS) * _SLACK / 8 * _DAY_S / 1000
    if days is None and disk_gb is None:
        raise Misconfigured("plan.cameras", "say what is wanted: --days or --disk-gb")
    if days is not None:
        print(f"{cameras} x {mbps:g} Mbit/s for {days:g} days: {gb_a_day * days:,.0f} GB")
    else:
        assert disk_gb is not None
        held = disk_gb / gb_a_day
        print(f"{cameras} x {mbps:g} Mbit/s on {disk_gb:,.0f} GB: {held:.1f} days")
    print(f"a day takes {gb_a_day:,.0f} GB")
    return 0


def _resized(chosen: argparse.Namespace) -> int:
    config = load.read(chosen.data / "nvr.toml") if chosen.volume is None else Config()
    disk = open_directory(where.volume(chosen), read_only=True)
    try:
        store = open_reading(disk, SystemClock(), known=remembered(disk.directory))
        change = view(planned(store, resize.terms_in(config), chosen.size_mib))
    except OSError as err:
        raise Unavailable("volume.unreadable", f"the disk does not answer: {err}") from err
    finally:
        disk.close()
    for line in resize.lines(change):
        print(line)
    return 1 if change.lost or change.refused else 0


def _measure(chosen: argparse.Namespace) -> int:
    terms, recording = {}, None
    if chosen.volume is None:
        config = load.read(chosen.data / "nvr.toml")
        streams = streams_of(config)
        terms = {name: it.terms for name, it in streams.items()}
        recording = [name for name, it in streams.items() if it.recorded]
    with archive.opened(chosen) as all_volumes:
        states = {slot: each.volume() for slot, each in all_volumes.slots.items()}
        ends = {
            slot: newest.last_us
            for slot, each in all_volumes.slots.items()
            if (newest := each.store.catalog.newest())
        }
        found = all_volumes.holdings(
            lambda stream: terms.get(stream, DEFAULT),
            all_volumes.streams() if recording is None else recording,
        )
    directories = where.volumes(chosen)
    for slot, directory in enumerate(directories):
        state, several = states.get(slot), len(directories) > 1
        if state is None:
            print(f"{directory}: away")
            continue
        role = "recorded on" if slot == all_volumes.recording else "standing by"
        of = f"{directory}, {role}:" if several else "volume of"
        size, used = state.size_bytes / 1e9, state.used_bytes / 1e9
        held = _length((ends[slot] - state.oldest_us) / 1e6) if slot in ends else "nothing"
        print(f"{of} {size:,.1f} GB, {used:,.1f} GB in use{f', holds {held}' if several else ''}")
    print(
        f"{'stream':<24} {'Mbit/s':>7} {'GB/day':>8} {'promised':>9} {'will hold':>9}  holds since"
    )
    for each in sorted(found, key=lambda each: each.stream):
        print(_line(each))
    if any(each.short for each in found):
        print("too small: some recordings will be overwritten before their time")
        return 1
    if not any(each.holds_s for each in found):
        print("too little is recorded to tell; ask again in a few minutes")
    return 0


def _line(each: Holding) -> str:
    since = where.local(each.from_us)
    return (
        f"{each.stream:<24} {each.bytes_per_s * 8 / 1e6:>7.2f}"
        f" {each.bytes_per_s * _DAY_S / 1e9:>8.1f} {_length(each.promised_s):>9}"
        f" {_length(each.holds_s) if each.holds_s else '-':>9}  {since:%Y-%m-%d %H:%M}"
        f"{'  BROKEN' if each.broken else '  SHORT' if each.short else ''}{_more(each)}"
    )


def _more(each: Holding) -> str:
    """What else is said of how long it is kept."""
    said = []
    if each.guaranteed_s:
        said.append(f"guaranteed {_length(each.guaranteed_s)}")
    if each.limit_s:
        said.append(f"at most {_length(each.limit_s)}")
    if each.limit_bytes:
        said.append(f"at most {each.limit_bytes / 1e9:g} GB")
    if each.own_bytes:
        said.append(f"of this stream at most {each.own_bytes / 1e9:g} GB")
    if each.locked_bytes:
        said.append(f"{each.locked_bytes / 1e9:,.1f} GB locked")
    return f"  ({', '.join(said)})" if said else ""


def _length(seconds: float) -> str:
    return f"{seconds / _DAY_S:.1f} d" if seconds >= 2 * _DAY_S else f"{seconds / _HOUR_S:.1f} h"
