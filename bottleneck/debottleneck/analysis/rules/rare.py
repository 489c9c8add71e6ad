"""Time that does not come in every step: stalls now and then, steps that get slower."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Floats, Ints, quiet_steps
from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.guards import busy
from debottleneck.analysis.rules.measures import (
    Cost,
    input_rows,
    of_trainer,
    shortened,
    waited_on,
    waits_for_lock,
)
from debottleneck.analysis.rules.wording import (
    finding,
    inside,
    line_of,
    names,
    percent,
    waiting_for,
)
from debottleneck.analysis.statistics import ratio_interval
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.words import ON_CORE

ASIDE = "Do that less often, or in a thread beside the loop on a copy of the state."
REFILLED = (
    "A buffer runs dry there: what fills it is slower than the loop, and the steps in "
    "between only use up what is left."
)

FEWEST_STALLS = 3
"""Two may be chance, and show no period."""


def stalls(analysis: Analysis) -> Iterator[Finding]:
    """One step in N takes many times as long as the others, in one row."""
    steps = quiet_steps(analysis.steps)
    number, wall = steps["step"].to_numpy(np.int64), _floats(steps["wall_ns"])
    if len(steps) < THRESHOLDS.min_steps or not wall.any():
        return
    usual = float(np.median(wall))
    slow = wall > THRESHOLDS.stall_times * usual
    share = float((wall[slow] - usual).sum() / wall.sum())
    count = int(slow.sum())
    if count < FEWEST_STALLS or share < THRESHOLDS.wait_share:
        return
    stage, part, cause = _grown(analysis, number[slow], number[~slow])
    if stage == "evaluate":  # meant to be long and rare: `between-steps` has its share
        return
    times, every = float(np.mean(wall[slow])) / usual, period(number[slow])
    own = cause not in ("", "runqueue") and (every or cause not in ON_CORE)
    if busy(analysis) and not own:  # other work's, and said as such: BLAS spins, too
        return
    often = (
        f"Every {every} steps one" if every else f"One step in {len(wall) / count:.0f}"
    )
    what = waited_on(analysis, stage, cause)
    doing = f", mostly {waiting_for(cause, what)}" if cause else ""
    drains = cause in ("lock", "ipc") and stage in input_rows(analysis)
    drains = drains and not waits_for_lock(analysis, stage)
    yield finding(
        analysis,
        "periodic-stall",
        Cost(share * analysis.loop.step_ms, share, math.nan, math.nan),
        stage=stage,
        cause=cause,
        summary=f"{often} takes {times:.0f} times as long as the others "
        f"({usual / 1e6:.3g} ms), {percent(part)} of that{inside(analysis, stage)}"
        f"{doing}: {percent(share)} of the run.",
        action=REFILLED if drains else ASIDE,
        evidence={"every_steps": every, "times": times, "stalls": count},
    )


def drift(analysis: Analysis) -> Iterator[Finding]:
    """Steps get slower while the run goes on, and the thread computes for longer."""
    steps = quiet_steps(analysis.steps).sort_values("step")
    if len(steps) < 3 * THRESHOLDS.min_steps or busy(analysis):
        return
    parts = np.array_split(steps["step"].to_numpy(np.int64), 3)
    walls = [_floats(steps.loc[steps["step"].isin(part), "wall_ns"]) for part in parts]
    ratio, low, high = ratio_interval(walls[2], walls[0])
    medians = [float(np.median(wall)) for wall in walls]
    if low < THRESHOLDS.drift_times or medians != sorted(medians):
        return
    share = 1 - medians[0] / float(np.mean(medians))
    stage, part, cause = _grown(analysis, parts[2], parts[0])
    if part < THRESHOLDS.dominant or cause == "runqueue":
        return  # what slows all rows alike is the machine's
    grown = _growths(analysis)
    yield finding(
        analysis,
        "drift",
        Cost(share * analysis.loop.step_ms, share, math.nan, math.nan),
        stage=stage,
        summary=f"Steps get slower: the last third take {ratio:.2f} times as long as "
        f"the first ({low:.2f} to {high:.2f}), {percent(part)} of that"
        f"{inside(analysis, stage)}{_meanwhile(grown)}.",
        action="See what grows there from step to step: a list or graph that is kept, "
        "numbers that become denormal.",
        evidence={"times": ratio, "times_low": low, "times_high": high}
        | {name.replace(" ", "_"): ends for name, ends in grown.items()},
    )


def slow_start(analysis: Analysis) -> Iterator[Finding]:
    """Much time before the first step: imports, data, compilation."""
    facts, starts = analysis.recording.facts, analysis.steps["start_ns"]
    seconds = (int(starts.min()) - facts.start_ns) / 1e9 if len(starts) else 0.0
    share = seconds * 1e9 / max(facts.end_ns - facts.start_ns, 1)
    if seconds < THRESHOLDS.start_s or share < THRESHOLDS.wait_share:
        return
    places = [Where("", file, line) for file, line, *_ in facts.beginning]
    texts = [
        f"{ms / 1e3:.1f} s at {line_of(place)}{f' (`{shortened(text)}`)' * bool(text)}"
        for (*_, text, ms), place in zip(facts.beginning, places, strict=True)
    ]
    yield finding(
        analysis,
        "slow-start",
        Cost(0.0, 0.0, math.nan, math.nan),  # of no step
        summary=f"{seconds:.0f} s pass before the first step, {percent(share)} of the "
        f"time seen{f': {names(texts)}' if texts else ''}.",
        action="Keep in a file what is the same in every run (prepared data, compiled "
        "code), and import only what is needed.",
        places=tuple(places),
        severity="low",
        evidence={
            "seconds": seconds,
            "part_of_run": share,
            "lines": list(facts.beginning),
        },
    )


def period(numbers: Ints) -> int:
    """Every how many steps these come; 0 where they keep no such order.

    Args:
        numbers: Ascending; some of them may be missing.
    """
    gaps = {int(gap) for gap in np.diff(numbers)}
    for every in sorted((gaps | {math.gcd(*gaps)}) - {0, 1}, reverse=True):
        counts = np.bincount(numbers % every)
        if counts.max() >= THRESHOLDS.in_order * len(numbers):
            return every
    return 0


def _grown(analysis: Analysis, longer: Ints, others: Ints) -> tuple[str, float, str]:
    """The row that takes most more in some steps than in others.

    Returns:
        The row, its part of what they take more, and the cause of that: what the row
        mostly does on a core, or off it, by where it takes more.
    """
    table = analysis.step_stages
    more = _means(table, longer).sub(_means(table, others), fill_value=0.0)
    total = float(more["wall_ns"].sum())
    if more.empty or total <= 0:
        return "", 0.0, ""
    stage = str(more["wall_ns"].idxmax())
    wall, cpu = more.loc[stage, ["wall_ns", "cpu_ns"]]
    rows = of_trainer(analysis.causes, stage=stage)
    known = rows[rows["cause"] != "unattributed"].sort_values("ms_per_step")
    alike = known[known["cause"].isin(ON_CORE) == (cpu >= THRESHOLDS.dominant * wall)]
    causes = (alike if len(alike) else known)["cause"]
    return stage, min(float(wall) / total, 1.0), "".join(causes.tail(1))


def _means(table: pd.DataFrame, steps: Ints) -> pd.DataFrame:
    rows = table[table["step"].isin(steps)]
    return rows.groupby("stage")[["wall_ns", "cpu_ns"]].sum() / max(len(steps), 1)


def _growths(analysis: Analysis) -> dict[str, tuple[int, int]]:
    """What the process had at first and at last, of what became more."""
    counts = analysis.recording.collections["tracked"]
    counts = counts[counts > 0]
    ends = [(int(counts.iloc[0]), int(counts.iloc[-1])) if len(counts) else (0, 0)]
    ends += analysis.recording.facts.sizes
    named = zip(("tracked objects", "MB of memory", "open files"), ends, strict=False)
    least = THRESHOLDS.drift_times
    return {what: (a, b) for what, (a, b) in named if b > least * a}


def _meanwhile(grown: Mapping[str, tuple[int, int]]) -> str:
    texts = [f"{a:,} {what} became {b:,}" for what, (a, b) in grown.items()]
    return f"; meanwhile {names(texts)}" if texts else ""


def _floats(column: pd.Series) -> Floats:
    return np.asarray(column.to_numpy(np.float64))
