"""Sets the wall clock of the shipped recorder again and again, and asks its page for every second.

`nvr run` records two simulated cameras for five minutes under libfaketime, which fakes the wall
clock only, as the monotonic one is never set. The clock begins in 1970 and is set twenty times, by
minutes and by days, forward and back. Then ``ranges`` must tell each stretch once, at the times
that the clock said and without a gap, and going from group to group through ``gop`` must give each
picture on the volume once.

Needs the package faketime (tests/apt.txt).
"""

import io
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import av

from tests.bench import figures
from tests.bench.camera import Missing, cameras
from tests.bench.content import SMALL
from tests.bench.figures import ROOT
from tests.bench.recorder import STOP_S, Page, claim_code, scratch, set_up
from tests.bench.stored import begun, headers
from tests.ports import free_port

CAMERAS = 2
SECONDS = 300.0
JUMPS = 20
SLACK_S = 2.5
"""libfaketime looks at its file once a second, and a part is half a second long."""
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/*/faketime/libfaketime.so.1")
MINUTE_S, DAY_S = 60, 86_400
STEPS_S = (5 * MINUTE_S, 20 * MINUTE_S, 61 * MINUTE_S, DAY_S, 3 * DAY_S, 40 * DAY_S)
LIMITS = {
    "jumps": figures.at_least(JUMPS, "enough of them"),
    "pictures_lost": figures.at_most(0, "every recorded second is found"),
    "pictures_twice": figures.at_most(0, "once"),
    "stretches_wrong": figures.at_most(0, "at the times that the clock said then"),
    "gaps": figures.at_most(0, "recording never stopped"),
    "seconds_off": figures.at_most(2 * SLACK_S, "what is told adds up to the time it took"),
}


@dataclass
class Found:
    """What came of it; see `LIMITS`."""

    jumps: int = 0
    pictures: int = 0
    pictures_lost: int = 0
    pictures_twice: int = 0
    stretches: int = 0
    stretches_wrong: int = 0
    gaps: int = 0
    seconds_off: float = 0.0
    notes: list[str] = field(default_factory=list)


def library() -> Path:
    """Return the library that fakes the clock.

    Raises:
        Missing: The package is not installed.
    """
    for pattern in LIBRARIES:
        for path in Path("/").glob(pattern.lstrip("/")):
            return path
    raise Missing("needs the package faketime (tests/apt.txt)")


class Wall:
    """The wall clock of the recorder.

    Args:
        path: The file in which libfaketime is told.

    Attributes:
        said: From which second of real time on it was how far off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.said: list[tuple[float, float]] = []

    def set(self, off_s: float) -> None:
        """Have it be so far off from now on."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{off_s:+.0f}\n")
        new.replace(self._path)
        self.said.append((time.time(), off_s))

    def stretches(self, end_s: float) -> list[tuple[float, float]]:
        """Return what it said from when to when, in seconds."""
        ends = [at_s for at_s, _ in self.said[1:]] + [end_s]
        return [
            (at_s + off_s, until_s + off_s)
            for (at_s, off_s), until_s in zip(self.said, ends, strict=True)
        ]


def run(seconds: float, seed: int, jumps: int = JUMPS) -> Found:
    """Record, set the clock, and ask."""
    rng, found = random.Random(seed), Found()
    preload = str(library())
    with cameras(CAMERAS, shape=SMALL) as running, scratch() as directory:
        # The guard of the outputs goes by the monotonic clock, and hangs under libfaketime.
        site = directory / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text("import os\nos.environ.pop('LD_PRELOAD', None)\n")
        wall = Wall(directory / "wall")
        wall.set(-time.time() + 90)
        environment = {
            "LD_PRELOAD": preload,
            "PYTHONPATH": os.pathsep.join((str(site), str(ROOT))),
            "FAKETIME_TIMESTAMP_FILE": str(directory / "wall"),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        urls = [running.url(number) for number in range(CAMERAS)]
        setup = set_up(
            urls, directory, [free_port() for _ in range(3)], size_mib=256, environment=environment
        )
        with setup.spawn() as process:
            try:
                Page(setup.page_port, claim_code(process, setup.log)).close()
                running.wait_for(CAMERAS)
                wall.said[0] = (time.time(), wall.said[0][1])
                for number in range(jumps):
                    time.sleep(seconds / (jumps + 1))
                    # In the end it is right; in between it is set from where it is, as it comes.
                    off_s = wall.said[-1][1] if number else 0.0
                    step_s = rng.choice(STEPS_S) * rng.choice((1, -1))
                    wall.set(off_s + step_s if number < jumps - 1 else 0.0)
                    found.jumps += 1
                time.sleep(seconds / (jumps + 1))
                page = Page(setup.page_port)
                for number in range(CAMERAS):
                    ask(page, found, f"c{number}", wall, setup.data / "ring")
                page.close()
            finally:
                process.terminate()
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
    return found


def ask(page: Page, found: Found, camera: str, wall: Wall, ring: Path) -> None:
    """Ask the page for all there is of a camera, and compare."""
    answer = page.call("GET", f"/api/camera/{camera}/ranges?from_us=0&to_us={1 << 53}")
    until_s = answer["recorded_until_us"] / 1e6
    truth = wall.stretches(until_s)
    told = [(one["from_us"] / 1e6, one["to_us"] / 1e6) for one in answer["runs"]]
    found.stretches += len(told)
    found.gaps += len(answer["gaps"])
    found.notes += [f"{camera}: {gap}" for gap in answer["gaps"][:2]]
    found.stretches_wrong += abs(len(truth) - len(told))
    if len(truth) != len(told):
        found.notes.append(f"{camera}: {len(told)} stretches for {len(truth)}")
    for was, one in zip(truth, told, strict=False):
        if max(abs(was[0] - one[0]), abs(was[1] - one[1])) > SLACK_S:
            found.stretches_wrong += 1
            found.notes.append(f"{camera}: told {one}, was {was}")
    whole_s = sum(to_s - from_s for from_s, to_s in truth)
    off_s = abs(sum(to_s - from_s for from_s, to_s in told) - whole_s)
    found.seconds_off = max(found.seconds_off, round(off_s, 3))
    walk(page, found, camera, answer["runs"][0], ring)


def walk(page: Page, found: Found, camera: str, first: dict, ring: Path) -> None:
    """Go from group to group, and count every picture by when it is decoded."""
    seen: dict[tuple[str, int], int] = {}
    inits: dict[str, bytes] = {}
    at = f"t_us={first['from_us']}&place={first['place']}"
    last: tuple[int, int] = (0, 0)
    while at:
        response, data = page.fetch("GET", f"/api/camera/{camera}/gop?{at}")
        run, following = response.headers["X-NVR-Run"], response.headers["X-NVR-Next"]
        if run not in inits:
            _, inits[run] = page.fetch("GET", f"/api/camera/{camera}/init?run={run}")
        with av.open(io.BytesIO(inits[run] + data), format="mp4") as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    last = (int(run), int(packet.dts))
                    seen[run, packet.dts] = seen.get((run, packet.dts), 0) + 1
        next_us = response.headers["X-NVR-Next-Us"]
        at = f"t_us={next_us}&place={following}" if following else ""
    stored = [
        header
        for path in ring.glob("block-*.mp4")
        if begun(path)
        for header in headers(path.read_bytes())
        if header.stream == f"{camera}/main"
        # It is recorded on while it is asked.
        and (header.run, header.start_90k - header.run_90k) <= last
    ]
    pictures = sum(header.samples for header in stored)
    found.pictures += pictures
    found.pictures_lost += max(0, pictures - len(seen))
    found.pictures_twice += sum(times - 1 for times in seen.values())
    if pictures != len(seen):
        found.notes.append(f"{camera}: {len(seen)} pictures by the page, {pictures} on the volume")


def main(arguments: list[str] | None = None) -> int:
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long it records")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(16))
    chosen = parser.parse_args(arguments)
    try:
        found = run(chosen.seconds, chosen.seed)
    except Missing as err:
        print(f"clock_live cannot run here: {err}", file=sys.stderr)
        return 2
    told = {name: value for name, value in vars(found).items() if name != "notes"}
    return figures.report(
        "clock_live",
        {"seconds": chosen.seconds, "seed": chosen.seed, **told},
        LIMITS,
        as_json=chosen.json,
        notes=found.notes[:8],
    )


if __name__ == "__main__":
    sys.exit(main())
