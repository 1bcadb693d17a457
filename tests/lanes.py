"""Pytest's plugin for `make test`: long files begin first, and the end tells where the time went.

A file's processor seconds are those of the test process and of what it started and saw end; a
browser or a box that lives on to the end of the run is not in them. A file with few of them waits.
"""

import os
import time
from collections import defaultdict
from collections.abc import Generator

import pytest

SHOWN = 15
KEY = "spent"
LONGEST = (
    "tests/app/test_backfill.py",
    "tests/app/test_gaps.py",
    "tests/app/test_captions.py",
    "tests/app/test_gb_media.py",
    "tests/app/test_export.py",
    "tests/app/test_hls.py",
    "tests/app/test_analyse.py",
    "tests/app/test_joystick.py",
    "tests/app/test_gb_voice.py",
    "tests/app/test_films.py",
    "tests/app/test_gb28181.py",
    "tests/app/test_bad_input.py",
    "tests/app/test_gpio_run.py",
    "tests/app/test_film.py",
)
"""Long files of few tests: one that begins last has the machine to itself.

As measured on a busy machine, of tests/app alone; to be put right by what a whole run prints.
"""

_Spent = tuple[float, float]
_mark: list[_Spent] = []
_files: defaultdict[str, _Spent] = defaultdict(lambda: (0.0, 0.0))
_ended: dict[str, float] = {}


def now() -> _Spent:
    """Seconds of the clock and of processors, of this process and the children it has seen end."""
    return time.monotonic(), sum(os.times()[:4])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {file: at for at, file in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.split("::", 1)[0], len(place)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart() -> None:
    _mark[:] = [now()]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    then, _mark[:] = _mark[0], [now()]
    report.user_properties.append((KEY, [_mark[0][0] - then[0], _mark[0][1] - then[1]]))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    file = report.nodeid.split("::", 1)[0]
    # xdist's report of a process that died has none.
    wall_s, cpu_s = dict(report.user_properties).get(KEY, (0.0, 0.0))
    _files[file] = (_files[file][0] + wall_s, _files[file][1] + cpu_s)
    _ended[getattr(report, "worker_id", "alone")] = time.monotonic()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    slowest = sorted(_files.items(), key=lambda file: -file[1][0])
    if not slowest:
        return
    write = terminalreporter.write_line
    write(f"slowest {min(SHOWN, len(slowest))} files of {len(slowest)}: seconds, of a processor")
    for file, (wall_s, cpu_s) in slowest[:SHOWN]:
        write(f"{wall_s:8.1f} {cpu_s:8.1f}  {file}")
    wall_s, cpu_s = (sum(spent[at] for _, spent in slowest) for at in (0, 1))
    apart_s = max(_ended.values()) - min(_ended.values())
    write(f"{wall_s:8.1f} {cpu_s:8.1f}  in all; {len(_ended)} lanes ended {apart_s:.0f} s apart")
