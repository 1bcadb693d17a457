"""How well motion and troubles are found in films whose every interval is known.

    python -m tests.analyse.score [--keys] [--footage] [--json] [NAME ...]

Recall: intervals that something was found in. Precision: found intervals that lie in one. Troubles
count from the moment they begin; what moves while a lens is being covered is left out.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.analyse.film import SIZE, Film, Label, coded, watch
from tests.analyse.footage import FROM_S, clips, fetched
from tests.analyse.footage import SIZE as FOOTAGE_SIZE
from tests.analyse.scenes import MOTION, QUIET, TROUBLE
from tests.bench.figures import ROOT, arguments, at_least, at_most, report

SLACK_S = 2.0
"""Between key frames as much may pass."""
RECALL = at_least(0.95, "what is missed is what a camera is there for")
PRECISION = at_least(0.95, "an alarm a day too many, and nobody looks at them any more")
INTERVALS = at_least(30, "fewer prove nothing")
LATE = at_most(2.0, "what is recorded before an event is five seconds")


@dataclass
class Score:
    """Counts of one kind, or of all.

    Attributes:
        wanted: Intervals there are.
        hit: Of these, found.
        found: Intervals found.
        right: Of these, in one there is.
        late_s: How late each was found.
    """

    wanted: int = 0
    hit: int = 0
    found: int = 0
    right: int = 0
    late_s: list[float] = field(default_factory=list)

    def add(self, wanted: Sequence[Label], found: Sequence[Label]) -> None:
        """Compare two lists of intervals."""
        self.wanted += len(wanted)
        self.found += len(found)
        for from_s, to_s, kind in wanted:
            inside = [one for one in found if _meet(one, (from_s, to_s, kind))]
            self.hit += bool(inside)
            if inside:
                self.late_s.append(max(0.0, inside[0][0] - from_s))
        self.right += sum(any(_meet(one, label) for label in wanted) for one in found)

    def take(self, other: "Score") -> None:
        """Add another's counts."""
        self.wanted += other.wanted
        self.hit += other.hit
        self.found += other.found
        self.right += other.right
        self.late_s += other.late_s

    @property
    def recall(self) -> float:
        """Share of what there is that was found."""
        return self.hit / self.wanted if self.wanted else 1.0

    @property
    def precision(self) -> float:
        """Share of what was found that there is."""
        return self.right / self.found if self.found else 1.0


def _meet(found: Label, wanted: Label) -> bool:
    return (
        found[2] == wanted[2] and found[0] < wanted[1] + SLACK_S and found[1] > wanted[0] - SLACK_S
    )


def compared(film: Film, found: Sequence[Label]) -> tuple[list[Label], list[Label]]:
    """Return what is wanted and what was found, as far as it is to be compared."""
    of_trouble = any(kind != "motion" for _, _, kind in film.labels)
    kinds = {kind for _, _, kind in found if kind != "motion" or not of_trouble}
    return list(film.labels), [one for one in found if one[2] in kinds]


KEYS = {
    "motion_recall": at_least(0.9, "a car that passes between two key frames is not in them"),
    "motion_precision": PRECISION,
    "trouble_recall": RECALL,
    "trouble_precision": PRECISION,
}
LIMITS = {
    "intervals": INTERVALS,
    "motion_recall": RECALL,
    "motion_precision": PRECISION,
    "trouble_recall": RECALL,
    "trouble_precision": PRECISION,
    "late_s_p95": LATE,
}


def main(words: list[str]) -> int:
    """Score all films, or those named."""
    parser = arguments(__doc__ or "")
    parser.add_argument("name", nargs="*", help="films whose name holds one of these")
    parser.add_argument(
        "--footage", action="store_true", help="real footage too, fetched once: 95 MB"
    )
    parser.add_argument("--keys", action="store_true", help="look at key frames only")
    chosen = parser.parse_args(words)
    filmed = clips(fetched(ROOT / "build/footage")) if chosen.footage else []
    every = (*MOTION, *QUIET, *TROUBLE, *filmed)
    films = [f for f in every if not chosen.name or any(name in f.name for name in chosen.name)]
    motion, trouble = Score(), Score()
    for film in films:
        size = FOOTAGE_SIZE if film in filmed else SIZE
        seen = watch(*coded(film, size=size), film.zones, keys_only=chosen.keys)
        wanted, found = compared(film, seen.intervals(film.seconds))
        if film in filmed:
            found = [one for one in found if one[1] > FROM_S]
        alone = Score()
        alone.add(wanted, found)
        (trouble if film in TROUBLE else motion).take(alone)
        good = alone.hit == alone.wanted and alone.right == alone.found
        said = "; ".join(f"{kind} {a:.1f}-{b:.1f}" for a, b, kind in found) or "nothing"
        print(f"{'ok ' if good else 'BAD'} {film.name}: {said}", flush=True)
    late = sorted(motion.late_s)
    figures = {
        "intervals": motion.wanted + trouble.wanted,
        "intervals_of_real_footage": sum(len(film.labels) for film in filmed),
        "films_without_motion": len([film for film in films if not film.labels]),
        "motion_recall": round(motion.recall, 3),
        "motion_precision": round(motion.precision, 3),
        "trouble_recall": round(trouble.recall, 3),
        "trouble_precision": round(trouble.precision, 3),
        "late_s_p95": round(late[int(len(late) * 0.95)], 2) if late else None,
    }
    name = "analyse.score" + (".keys" if chosen.keys else "")
    return report(name, figures, KEYS if chosen.keys else LIMITS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
