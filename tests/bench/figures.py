"""The one way a bench or a fault harness says what it measured.

With ``--json`` the last line of the output is one object: ``name``, ``figures``, ``limits``,
``met``, ``commit``, ``machine``, ``load``; without it, a table for people.
"""

import argparse
import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

ROOT = Path(__file__).resolve().parents[2]

Figure = float | int | str | bool | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure must reach, and why.

    Attributes:
        direction: Which side of `value` is good.
        value: The bound itself is still good.
        why: The reason, as a person would give it.
    """

    direction: Literal["at_least", "at_most"]
    value: float
    why: str

    def holds(self, figure: Figure) -> bool:
        """A figure that is missing, not a number, or NaN never meets a limit."""
        if not isinstance(figure, int | float) or math.isnan(figure):
            return False
        return figure >= self.value if self.direction == "at_least" else figure <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.direction == 'at_least' else '<='} {self.value:g}"


def at_least(value: float, why: str) -> Limit:
    """Return a lower bound."""
    return Limit("at_least", value, why)


def at_most(value: float, why: str) -> Limit:
    """Return an upper bound."""
    return Limit("at_most", value, why)


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a command line that already knows ``--json``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser


def commit() -> str:
    """Return the commit that was measured; ``+`` at its end says the tree differs from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return head + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def machine() -> str:
    """Return processor, cores, kernel and Python in one line."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model", "Hardware")):
            model = f"{line.split(':', 1)[1].strip()} ({platform.machine()})"
            break
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def verdict(figures: Mapping[str, Figure], limits: Mapping[str, Limit]) -> bool:
    """Tell whether every limit holds; a limit without its figure is not met."""
    return all(limit.holds(figures.get(name)) for name, limit in limits.items())


def report(
    name: str,
    figures: Mapping[str, Figure],
    limits: Mapping[str, Limit],
    *,
    as_json: bool,
    notes: Sequence[str] = (),
) -> int:
    """Print what was measured and return the exit code: 0 when every limit holds, else 1.

    Args:
        name: Of the bench, with what distinguishes this call (``record.packets``).
        figures: Everything measured; those without a limit are for information.
        limits: Keyed by figure.
        as_json: End with the one JSON line instead of the table.
        notes: Sentences a reader needs to judge the figures (spread, what was left out).
    """
    met = verdict(figures, limits)
    if as_json:
        for note in [*_unsaid(figures), *notes]:
            print(f"note: {note}")
        print(
            json.dumps(
                {
                    "name": name,
                    "figures": {key: None if _endless(it) else it for key, it in figures.items()},
                    "limits": {
                        key: {limit.direction: limit.value, "why": limit.why}
                        for key, limit in limits.items()
                    },
                    "met": met,
                    "commit": commit(),
                    "machine": machine(),
                    "load": [round(each, 2) for each in os.getloadavg()],
                },
                ensure_ascii=False,
                allow_nan=False,
            ),
            flush=True,
        )
        return 0 if met else 1
    rows = [("figure", "value", "limit", "met", "why")]
    for key in [*figures, *(key for key in limits if key not in figures)]:
        limit = limits.get(key)
        rows.append(
            (
                key,
                _shown(figures.get(key)),
                str(limit) if limit else "",
                ("yes" if limit.holds(figures.get(key)) else "NO") if limit else "",
                limit.why if limit else "",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    print(f"{name}: {'met' if met else 'NOT MET'}")
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  " + "  ".join([*cells, row[4]]).rstrip())
    for note in notes:
        print(f"  note: {note}")
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    print(f"  at {commit()} on {machine()}, load {load}", flush=True)
    return 0 if met else 1


def _endless(figure: Figure) -> bool:
    """Infinity and NaN are no JSON (RFC 8259 section 6)."""
    return isinstance(figure, float) and not math.isfinite(figure)


def _unsaid(figures: Mapping[str, Figure]) -> list[str]:
    """Say in words what is null."""
    words = {True: "without end", False: "not known"}
    return [
        f"{key}: {words[math.isinf(it)]}"
        for key, it in figures.items()
        if isinstance(it, float) and _endless(it)
    ]


def _shown(figure: Figure) -> str:
    if figure is None:
        return "-"
    return f"{figure:.4g}" if isinstance(figure, float) else str(figure)


def progress(text: str) -> None:
    """Tell a waiting person what is being measured; never part of the result."""
    print(text, file=sys.stderr, flush=True)


# How a process is measured.


def family(pid: int) -> list[int]:
    """Return `pid` and all its living descendants."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            # A thread may end between the listing and the read.
            with contextlib.suppress(OSError):
                found.extend(int(word) for word in children.read_text().split())
    return found


def cpu_s(pid: int) -> float:
    """Return user and system seconds of a process, its threads, children and dead children.

    The living are read off their process CPU clock, in nanoseconds; children that ended and
    were waited for only as whole ticks of 10 ms, as the kernel keeps them.
    """
    total = 0.0
    for each in family(pid):
        # CPUCLOCK_SCHED of another process: see clock_getcpuclockid(3) and the kernel's
        # include/linux/posix-timers.h. The sum over threads, exact to the last switch.
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~each << 3) | 2)
            stat = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += (int(stat[13]) + int(stat[14])) / os.sysconf("SC_CLK_TCK")
    return total


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process and its descendants, in bytes.

    Attributes:
        rss_bytes: Resident, shared pages counted in full in each process.
        pss_bytes: Resident, shared pages divided by who shares them.
    """

    rss_bytes: int
    pss_bytes: int


def memory(pid: int) -> Memory:
    """Read smaps_rollup of a process and its descendants."""
    rss = pss = 0
    for each in family(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                key, _, value = line.partition(":")
                if key == "Rss":
                    rss += int(value.split()[0]) * 1024
                elif key == "Pss":
                    pss += int(value.split()[0]) * 1024
    return Memory(rss, pss)


class Window:
    """CPU time of some processes between two moments; the tail of a warm-up never counts."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self._cpu_s = sum(map(cpu_s, self._pids))
        self._at_s = time.monotonic()

    def core_share(self) -> tuple[float, float]:
        """Return (CPU seconds per second, seconds) since the window opened."""
        used = sum(map(cpu_s, self._pids)) - self._cpu_s
        elapsed = time.monotonic() - self._at_s
        return used / elapsed, elapsed


def interleaved(
    contenders: Mapping[str, Callable[[], T]], rounds: int, say: Callable[[str], None] = progress
) -> dict[str, list[T]]:
    """Run A B C A B C, so that a busy minute of the machine falls on everyone."""
    results: dict[str, list[T]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, run in contenders.items():
            say(f"round {number} of {rounds}: {name}")
            results[name].append(run())
    return results


def median(values: Iterable[float]) -> float:
    """Return the median; NaN when there is nothing."""
    found = list(values)
    return statistics.median(found) if found else math.nan


def spread(values: Sequence[float]) -> str:
    """Return ``median [min..max] of n``."""
    if not values:
        return "nothing"
    return f"{median(values):.3g} [{min(values):.3g}..{max(values):.3g}] of {len(values)}"
