"""Main stream, else sub stream: which one is shown when, for any recordings of both."""

import random
from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

SECOND = 1_000_000
# Archives of which the ranges are known, with groups of two seconds that begin with their run.
ASK = """async (cases) => {
  const {Footage} = await import("/js/footage.js");
  const archive = (stream, {runs, gaps, until_us}) => ({
    stream, runs, gaps, recordedUntil_us: until_us, streams: ["main", "sub"],
    runAt: (t) => runs.find((run) => run.from_us <= t && t < run.to_us),
    async gop(t) {
      const run = runs.find((one) => one.from_us <= t && t < one.to_us);
      if (!run) return {gap: true, next_us: runs.find((one) => one.from_us > t)?.from_us ?? null};
      const from_us = run.from_us + Math.floor((t - run.from_us) / 2e6) * 2e6;
      const to_us = Math.min(from_us + 2e6, run.to_us);
      const times_us = Array.from({length: (to_us - from_us) / 1e5}, (_, n) => from_us + n * 1e5);
      return {stream, run: "7", from_us, to_us, next_us: to_us, first_s: 0, times_us};
    },
  });
  const found = [];
  for (const one of cases) {
    const footage = new Footage("gate");
    footage.main = archive("main", one.main);
    footage.sub = archive("sub", one.sub);
    const shown = [];
    for (const t of one.times) shown.push(await footage.gop(t));
    found.push({shown, runs: footage.runs, gaps: footage.gaps});
  }
  return found;
}"""


def recordings(rng: random.Random, now_us: int) -> dict[str, Any]:
    """Runs and the gaps between them; perhaps one that lasts."""
    edges = sorted(rng.sample(range(0, now_us, SECOND // 2), 2 * rng.randint(0, 4)))
    runs = [
        {"from_us": begin, "to_us": end} for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    if runs and rng.random() < 0.5:
        runs[-1]["to_us"] = now_us
    gaps: list[dict[str, Any]] = [
        {"from_us": one["to_us"], "to_us": two["from_us"], "open": False}
        for one, two in pairwise(runs)
    ]
    if not runs or runs[-1]["to_us"] < now_us:
        begin = runs[-1]["to_us"] if runs else 0
        gaps.append({"from_us": begin, "to_us": now_us, "open": True})
    return {"runs": runs, "gaps": gaps, "until_us": runs[-1]["to_us"] if runs else 0}


def inside(spans: list[dict[str, Any]], t_us: int) -> bool:
    return any(one["from_us"] <= t_us < one["to_us"] for one in spans)


async def test_the_main_stream_is_shown_where_it_is_and_else_the_sub_stream(modules: Page) -> None:
    rng, now_us = random.Random(11), 60 * SECOND
    cases = []
    for _ in range(150):
        times = [rng.randrange(0, now_us, 1000) for _ in range(20)]
        cases.append(
            {"main": recordings(rng, now_us), "sub": recordings(rng, now_us), "times": times}
        )
    overs = 0
    for case, answer in zip(cases, await modules.evaluate(ASK, cases), strict=True):
        main, sub = case["main"]["runs"], case["sub"]["runs"]
        for t_us, gop in zip(case["times"], answer["shown"], strict=True):
            wanted = "main" if inside(main, t_us) else "sub" if inside(sub, t_us) else None
            assert gop.get("stream") == wanted, (case, t_us)
            if wanted is None:
                later = [one["from_us"] for one in (*main, *sub) if one["from_us"] > t_us]
                assert gop["next_us"] == min(later, default=None), (case, t_us)
                continue
            assert gop["run"] == f"{wanted}:7"
            assert gop["from_us"] <= t_us < gop["to_us"]
            if wanted == "sub":
                starts = [one["from_us"] for one in main if one["from_us"] > t_us]
                assert gop["to_us"] <= min(starts, default=gop["to_us"])
                assert all(time < gop["to_us"] for time in gop["times_us"])
                overs += bool(gop.get("cut"))
        for t_us in case["times"]:
            either = inside(main, t_us) or inside(sub, t_us)
            assert inside(answer["runs"], t_us) == either, (case, t_us)
            assert not (either and inside(answer["gaps"], t_us)), (case, t_us)
    assert overs >= 20, "the cases reach over borders"
