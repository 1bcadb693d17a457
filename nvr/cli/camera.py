"""`nvr camera`: how each camera does, and one of them in full."""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from nvr.cli import where
from nvr.cli.box import Box
from nvr.cli.console import add_account, running
from nvr.media.health import History, Spell, StreamHealth, StreamReport
from nvr.media.transport import NOT_CARRIED, Carried

_DESCRIPTION = """\
Asks the running recorder how its cameras do. Without a name one line a stream: its
state, since when, and what is the matter. With a name everything: counters, rates,
the last hour and what was the matter before. Signs in as an account of the page,
whose password is asked for or read from standard input.

states
  connecting   not live yet since it was added or the recorder started
  recording    all is well
  watched      all is well, and it is not to be recorded
  degraded     it comes, with something to see to
  lost         it does not come
  off          it comes, and by its plan it is not recorded now
"""
_LIMITS = """\
what degrades a stream, and when that is over
  camera.frozen             no picture for 3 s; a new one
  camera.unsupported        its pictures cannot be carried, its sound is
  camera.no_signal          nothing comes in at the input of a grabber; something does
  camera.no_power           that input has no power; it has
  camera.not_recorded       the disk or the volume keeps it from being recorded; 10 s without
  record.behind             the disk does not keep up for 4 s; 20 s without
  camera.no_key_frames      none for 10 s; one again for 4 s
  camera.loss               0.5 %% of packets of 30 s missing, for 4 s; 0.1 %% or less for 60 s
  camera.damaged            2 %% of pictures of 30 s not whole, for 4 s; 0.5 %% or less for 60 s
  camera.unsteady           its connection broke 3 times within 10 minutes; less often again
  camera.frame_rate         75 %% of the usual rate or less for 20 s; 90 %% for 20 s
  camera.gop_long           over 2 s (2.1) between key frames for 10 s; 2.05 or less for 30 s
  camera.clock_drift        its clock is 500 ppm off ours, surely, for 30 s; 250 or less for 2 min
  camera.sound_unsupported  its sound cannot be carried
  camera.sound_missing      it offers sound and none comes for 10 s; some again for 10 s
  camera.sub_missing        its sub stream does not come for 20 s; it does for 10 s

examples:
  nvr camera                    all of them
  nvr camera gate               one, in full
  nvr camera gate --watch       again every two seconds, until Ctrl+C
  nvr camera gate --reconnect   give its connections up for new ones, a refused account too
  nvr camera --json             for a program

ends with 0, with 1 if a camera it shows is lost or degraded
"""
_WATCH_S = 2.0
_CLEAR = "\x1b[H\x1b[2J"
_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60


class _Stream(msgspec.Struct, frozen=True, kw_only=True):
    detail: str
    codec: str
    width_px: int
    height_px: int
    fps: float
    bitrate_bps: int
    health: StreamHealth
    carried: Carried = NOT_CARRIED


class _Camera(_Stream, frozen=True, kw_only=True):
    name: str
    title: str
    sub: _Stream | None = None


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    now_us: int
    main: StreamReport
    sub: StreamReport | None = None


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "camera",
        help="how the cameras do: state, counters, what is the matter",
        description=_DESCRIPTION,
        epilog=_LIMITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add_data(parser)
    parser.add_argument("name", nargs="?", metavar="NAME", help="only this camera, in full")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="again every two seconds")
    how.add_argument("--json", action="store_true", help="what the recorder answers, as JSON")
    how.add_argument("--reconnect", action="store_true", help="connect NAME anew, now")
    add_account(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Ask and show."""
    with running(chosen) as box:
        if chosen.reconnect:
            return _reconnect(box, chosen.name)
        if not chosen.watch:
            return _once(box, chosen.name, as_json=chosen.json)
        try:
            while True:
                sys.stdout.write(_CLEAR)
                _once(box, chosen.name)
                sys.stdout.flush()
                time.sleep(_WATCH_S)
        except KeyboardInterrupt:
            return 0


def _reconnect(box: Box, name: str | None) -> int:
    if name is None:
        print("which camera? nvr camera NAME --reconnect", file=sys.stderr)
        return 2
    box.ask("POST", f"/api/camera/{name}/reconnect", {})
    print(f"{name} is connected anew")
    return 0


def _once(box: Box, name: str | None, *, as_json: bool = False) -> int:
    path = "/api/camera" if name is None else f"/api/camera/{name}/health"
    told = box.ask("GET", path)
    if as_json:
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    if name is None:
        cameras = msgspec.convert(told, list[_Camera])
        if not as_json:
            _list(cameras)
        streams = [s.health for camera in cameras for s in (camera, camera.sub) if s is not None]
    else:
        report = msgspec.convert(told, _Report)
        if not as_json:
            _full(report)
        streams = [each.health for each in (report.main, report.sub) if each is not None]
    return int(any(health.state in {"lost", "degraded"} for health in streams))


def _list(cameras: Sequence[_Camera]) -> None:
    if not cameras:
        print("no cameras")
    now_us = time.time_ns() // 1000
    rows: list[tuple[str, ...]] = []
    for camera in cameras:
        streams = [(camera.name, camera), (f"{camera.name}/sub", camera.sub)]
        for name, stream in streams:
            if stream is None:
                continue
            health = stream.health
            picture = f"{stream.width_px}x{stream.height_px}" if stream.width_px else ""
            rate = f"{stream.bitrate_bps / 1000:.0f} kbit/s" if stream.bitrate_bps else ""
            fps = f"{stream.fps:.1f} fps" if stream.fps else ""
            since = span((now_us - health.since_us) / 1e6)
            came = (stream.codec, picture, fps, rate, _carried(stream.carried))
            rows.append((name, health.state, since, *came, _why(health)))
    table(rows)


def _carried(carried: Carried) -> str:
    said = {"http": "http tunnel"}.get(carried.way, carried.way)
    if carried.proof:
        said += f", tls {carried.proof}"
    return f"{said} ({carried.instead_of} {carried.why})" if carried.why else said


def _why(health: StreamHealth) -> str:
    if health.state == "lost" and health.last is not None:
        said = f"{health.last.detail} ({health.last.code})"
        if health.next_try_us:
            wait_s = (health.next_try_us - time.time_ns() // 1000) / 1e6
            said += f", tried again in {span(wait_s)}"
        return said
    return ", ".join(one.code for one in health.why)


def _full(report: _Report) -> None:
    print(f"{report.name}  {report.title}")
    for name, stream in (("main", report.main), ("sub", report.sub)):
        if stream is not None:
            print(f"\n{name} stream")
            _stream(stream, report.now_us)


def _stream(stream: StreamReport, now_us: int) -> None:
    health, counters, rates = stream.health, stream.counters, stream.rates
    since = f"since {_time(health.since_us)}, {span((now_us - health.since_us) / 1e6)}"
    _line("state", f"{health.state} {since}")
    for one in health.why:
        limit = f": {one.value:g}, limit {one.limit:g}" if one.limit not in {0.0, 1.0} else ""
        _line("", f"{one.code}{limit}, since {_time(one.since_us)}")
    for one in health.tolerated:
        _line("put up with", f"{one.code}: {one.value:g}, since {_time(one.since_us)}")
    if health.next_try_us:
        _line("next attempt", f"{_time(health.next_try_us)}, after {health.failures} that failed")
    if health.last is not None:
        said = f"{health.last.detail} ({health.last.code}), {_time(health.last.at_us)}"
        _line("connection ended last", said)
    _line("frames per second", _known(rates.fps, "", 1) + _usual(rates.usual_fps))
    _line("bit rate", _known(rates.bitrate_bps and rates.bitrate_bps / 1000, " kbit/s"))
    gop = f", {rates.gop_frames} pictures" if rates.gop_frames else ""
    _line("between key frames", _known(rates.gop_s, " s", 2) + gop)
    _line("last key frame", _known(rates.key_age_s, " s ago", 1))
    _line("packets missing, 30 s", _known(rates.loss_percent, " %", 2))
    _line("jitter of arrival", _known(rates.jitter_ms, " ms"))
    if rates.datagram_jitter_ms is not None:
        _line("jitter of datagrams", f"{rates.datagram_jitter_ms:.1f} ms")
    error = f" ± {rates.drift_error_ppm:.0f}" if rates.drift_error_ppm is not None else ""
    drift = _known(rates.drift_ppm, "")
    _line("clock drift", drift if rates.drift_ppm is None else f"{rates.drift_ppm:+.0f}{error} ppm")
    offset = rates.clock_offset_ms
    _line("its clock against ours", "not told" if offset is None else f"{offset / 1000:+.2f} s")
    if rates.sound is not None:
        _line("sound", "comes" if rates.sound else "offered, and none comes")
    _line("counted since", _time(counters.since_us))
    connected = _time(counters.connected_us) if counters.connected_us else "not now"
    _line("connected since", f"{connected}, {counters.reconnects} reconnects")
    _line("packets", f"{counters.packets}, {counters.lost} lost, {counters.reordered} reordered, "
          f"{counters.other} left aside")  # fmt: skip
    if counters.restored or counters.overrun or counters.foreign:
        said = f"{counters.restored} restored, {counters.overrun} dropped by the box"
        _line("datagrams", f"{said}, {counters.foreign} from elsewhere")
    _line("pictures", f"{counters.frames}, {counters.damaged} damaged, {counters.keys} key frames")
    _line("received", f"{counters.bytes_in / 1e6:.1f} MB")
    _hour(stream.hour)
    for spell in stream.spells[:10]:
        _spell(spell)


def _hour(hour: History) -> None:
    if not hour.state:
        return
    print(f"  the last {span(len(hour.state) * hour.step_s)}")
    _line("  kbit/s", f"{bars(hour.kbit_s)} most {max(hour.kbit_s)}")
    _line("  pictures/s", f"{bars(hour.fps)} most {max(hour.fps):g}")
    _line("  packets lost", f"{bars(hour.lost)} {sum(hour.lost)}")
    _line("  jitter ms", f"{bars(hour.jitter_ms)} most {max(hour.jitter_ms)}")


def _spell(spell: Spell) -> None:
    lasted = f"for {span(spell.duration_s)}" if spell.to_us else f"now, {span(spell.duration_s)}"
    print(f"  {_time(spell.from_us)}  {spell.state} {lasted}  {' '.join(spell.codes)}")


def bars(values: Sequence[float], columns: int = _COLUMNS) -> str:
    """Draw values as one line of bars, each column the most of what falls into it."""
    if not values:
        return ""
    columns = min(columns, len(values))
    edges = [len(values) * n // columns for n in range(columns + 1)]
    each = [max(values[a:b]) for a, b in itertools.pairwise(edges)]
    top = max(each)
    if top <= 0:
        return _BARS[0] * columns
    return "".join(_BARS[round(value / top * (len(_BARS) - 1))] for value in each)


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns, those that are empty throughout left out."""
    all_rows = list(rows)
    columns = [list(column) for column in zip(*all_rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    for row in all_rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width]
        print("  ".join(cells).rstrip())


def span(seconds: float) -> str:
    """Say how long something is: ``4 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = max(0, round(seconds))
    for size, name, part, part_name in (
        (86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"),
    ):  # fmt: skip
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole} s"


def _time(at_us: int) -> str:
    now, then = datetime.now(UTC).astimezone(), where.local(at_us)
    return f"{then:%H:%M:%S}" if now.date() == then.date() else f"{then:%Y-%m-%d %H:%M:%S}"


def _line(what: str, value: str) -> None:
    print(f"  {what:<24}{value}")


def _known(value: float | None, unit: str, digits: int = 0) -> str:
    return "not known" if value is None else f"{value:.{digits}f}{unit}"


def _usual(fps: float | None) -> str:
    return f" (usual {fps:.1f})" if fps else ""
