"""A night of static noise: no motion and no trouble may be found in it.

    python -m tests.analyse.night [--hours 8] [--json]

The dark street and the noise of a sensor that amplifies all it can, coded with too few bits for
that. Pictures are looked at as fast as they can be decoded; a coded loop of two minutes, whose
noise
does not repeat within it, is gone round with its time going on.
"""

import sys

from nvr.analyse.eye import Eye
from nvr.analyse.grid import WHOLE, Zone, masks
from nvr.analyse.judge import Judge, Seen
from nvr.analyse.talk import Feed, Watch
from tests.analyse.film import Film, coded
from tests.analyse.scenes import night
from tests.bench.figures import arguments, at_least, at_most, report

LOOP_S = 120
LIMITS = {
    "alarms": at_most(0, "whoever is woken by noise turns it off"),
    "hours": at_least(8, "a night"),
}


def main(words: list[str]) -> int:
    """Look, and say what was found."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--hours", type=float, default=8.0)
    chosen = parser.parse_args(words)
    film = Film("night", LOOP_S, effects=(night,), noise=8, bitrate_bps=300_000)
    config, units = coded(film)
    zones = (Zone("", WHOLE),)
    eye, judge = Eye(Watch(0, "h264", config, *masks(zones))), Judge(zones)
    found, pictures, lap = [], 0, 0
    while lap * LOOP_S < chosen.hours * 3600:
        by_90k = lap * LOOP_S * 90_000
        for n in range(0, len(units), 10):
            some = [(data, at + by_90k) for data, at, _ in units[n : n + 10]]
            saw = eye.feed(Feed(0, some, 18_000, alone=False, flags=1 if judge.learn else 0))
            for at_90k, row in saw.pictures:
                pictures += 1
                found += judge.see(Seen(*row), at_90k / 90_000)
        lap += 1
    for change in found[:20]:
        print(change)
    figures = {
        "hours": round(lap * LOOP_S / 3600, 2),
        "pictures": pictures,
        "alarms": sum(one.what == "begin" for one in found),
    }
    return report("analyse.night", figures, LIMITS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
