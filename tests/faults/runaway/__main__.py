"""Plays scenarios in which whatever moves a head fails, and times when the head stands still.

The shipped `nvr run` steers heads and relays in a process of its own that keep their state. Kinds
of failure are combined by seed. Counted from the failure, or from the moment an adapter that was
pulled is back. Then known mistakes are built into the recorder, and each must be found out.

    python -m tests.faults.runaway --seed 10       plays one again, and tells all that was seen
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from tests.bench import figures
from tests.bench.figures import at_least, at_most, progress
from tests.faults.runaway.far import DECODER_S
from tests.faults.runaway.rig import rig
from tests.faults.runaway.scene import KINDS, LATE_S, Outcome, Play, Scenario, scenario

STILL_S = 1.0
TRIES = 5
PLANTS: dict[str, str] = {
    "no_guard": "process_killed",
    "no_stop_on_lapse": "page_frozen",
    "no_stop_on_return": "adapter_pulled",
}
"""Mistakes (`tests.faults.planted`), and the kind that must find each."""
LIMITS = {
    "scenarios": at_least(500, "enough of them"),
    "runaways": at_most(0, "nothing goes on"),
    "void": at_most(0, "something moved in every one"),
    "worst_still_s": at_most(STILL_S, "promised wherever a wire is left, or is back"),
    "worst_no_wire_s": at_most(DECODER_S + 0.1, "the decoder's own time-out"),
    "worst_relay_s": at_most(1.0, "promised: safe within 1 s"),
    "worst_over_s": at_most(LATE_S, "max_on_s holds whoever dies, on a flooded line too"),
    "worst_lamp_s": at_most(2.0, "a head's own lamp, after both STOPs of every head"),
    "plants_missed": at_most(0, "it can fail"),
}


async def play(
    scenarios: Sequence[Scenario], *, faked: bool = False, plant: str = ""
) -> list[Outcome]:
    """Play scenarios one after the other on a recorder of their own."""
    found = []
    async with rig(faked=faked, plant=plant) as it:
        for one in scenarios:
            for replayed in range(TRIES):
                try:
                    outcome = await Play(one, it).run()
                except (TimeoutError, aiohttp.ClientError, OSError) as err:
                    outcome = Outcome(one, void=True, said=[repr(err)])
                    await it.again()
                outcome.replayed = replayed
                if not outcome.void:
                    break
            found.append(outcome)
            progress(f"{one.seed} {' '.join(sorted(one.kinds))}: {outcome.still_s}")
    return found


async def play_all(scenarios: Sequence[Scenario], workers: int) -> list[Outcome]:
    """Play scenarios on some recorders at a time."""
    faked = [one for one in scenarios if "clock_jumped" in one.kinds]
    plain = [one for one in scenarios if "clock_jumped" not in one.kinds]
    half = workers // 2  # a recorder's clock jumps in a third of them, which take longer
    kinds = [(plain, workers - half, False), (faked, half, True)]
    lots = [(lot, it) for one, of, it in kinds for n in range(of) if (lot := one[n::of])]
    async with asyncio.TaskGroup() as group:
        done = [group.create_task(play(lot, faked=clock)) for lot, clock in lots]
    found = (one for lot in done for one in lot.result())
    return sorted(found, key=lambda one: one.scenario.seed)


def of_kind(kind: str) -> list[Scenario]:
    """Return scenarios in which a wire is left and nothing else fails, and nothing is special."""
    return [one for one in map(scenario, range(1000)) if one.kinds == {kind} and one.wired]


def caught(plant: str, scenarios: int = 2) -> bool:
    """Whether a mistake is found out by the scenarios that are about it."""
    telling = of_kind(PLANTS[plant])
    found = asyncio.run(play(telling[:scenarios], plant=plant))
    return any(one.still_s is not None and one.still_s > STILL_S for one in found)


def worst(found: Sequence[float | None]) -> float | None:
    """Return the largest there is."""
    there = [one for one in found if one is not None]
    return round(max(there), 3) if there else None


def figures_of(found: Sequence[Outcome]) -> dict[str, Any]:
    """Return what is reported of what was seen."""
    wired = [one for one in found if one.scenario.wired]
    by_kind = {kind: [one for one in found if kind in one.scenario.kinds] for kind in KINDS}
    return {
        "scenarios": len(found),
        "runaways": sum(one.still_s == float("inf") for one in found),
        "void": sum(one.void for one in found),
        "replayed": sum(one.replayed for one in found),
        "worst_still_s": worst([one.still_s for one in wired]),
        "worst_no_wire_s": worst([one.still_s for one in found if not one.scenario.wired]),
        "worst_relay_s": worst([one.relay_s for one in found]),
        "worst_over_s": worst([one.over_s for one in found]),
        "worst_lamp_s": worst([one.lamp_s for one in found]),
        **{f"{kind}_count": len(those) for kind, those in by_kind.items()},
        **{
            f"{kind}_worst_s": worst([one.still_s for one in those if one.scenario.wired])
            for kind, those in by_kind.items()
        },
    }


def faults_of(one: Outcome) -> list[str]:
    """Return what of a scenario is not as promised, each as ``what seconds``."""
    still_s = STILL_S if one.scenario.wired else DECODER_S + 0.1
    limits = {
        "still": (one.still_s, still_s),
        "relay": (one.relay_s, LIMITS["worst_relay_s"].value),
        "over": (one.over_s, LIMITS["worst_over_s"].value),
        "lamp": (one.lamp_s, LIMITS["worst_lamp_s"].value),
    }
    late = [f"{what} {s:.3f}" for what, (s, most_s) in limits.items() if (s or 0.0) > most_s]
    return [*(["nothing moved"] if one.void else []), *late]


def tell(one: Outcome) -> int:
    """Print a scenario that was played, and return 1 if it is not as promised."""
    print(one.scenario)
    for at_s, what, is_so in one.story:
        print(f"{at_s:+8.3f} {what} {'on' if is_so else 'off'}")
    for said in one.said:
        print(f"refused: {said}")
    times = {"still": one.still_s, "relay": one.relay_s, "over": one.over_s, "lamp": one.lamp_s}
    print(", ".join(f"{what} {s:.3f}" for what, s in times.items() if s is not None))
    faults = faults_of(one)
    print("; ".join(faults) or "as promised")
    return 1 if faults else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the harness."""
    assert __doc__ is not None
    parser = figures.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--scenarios", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="seed of the first one")
    parser.add_argument("--seed", type=int, help="play this one alone, and tell what was seen")
    parser.add_argument("--workers", type=int, default=4, help="recorders at a time")
    parser.add_argument("--plant", choices=PLANTS, default="", help="only look for this mistake")
    chosen = parser.parse_args(arguments)
    if chosen.plant:
        found_out = caught(chosen.plant)
        return figures.report(
            f"runaway.{chosen.plant}",
            {"plants_missed": int(not found_out)},
            {"plants_missed": LIMITS["plants_missed"]},
            as_json=chosen.json,
        )
    if chosen.seed is not None:
        (one,) = asyncio.run(play_all([scenario(chosen.seed)], 2))
        return tell(one)
    scenarios = [scenario(chosen.first + n) for n in range(chosen.scenarios)]
    began_s = time.monotonic()
    found = asyncio.run(play_all(scenarios, max(2, chosen.workers)))
    took_s = time.monotonic() - began_s
    missed = [plant for plant in PLANTS if not caught(plant)]
    bad = [
        f"seed {one.scenario.seed} {sorted(one.scenario.kinds)}: {'; '.join(faults)}, {one.said}, "
        + ", ".join(f"{at_s:+.2f} {what} {'on' if on else 'off'}" for at_s, what, on in one.story)
        for one in found
        if (faults := faults_of(one))
    ]
    return figures.report(
        "runaway",
        {**figures_of(found), "plants": len(PLANTS), "plants_missed": len(missed)},
        LIMITS,
        as_json=chosen.json,
        notes=[
            f"{took_s:.0f} s, {chosen.workers} recorders at a time, each with four heads on a line",
            *(f"not found out: {plant}" for plant in missed),
            *bad[:12],
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
