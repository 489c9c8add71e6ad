"""Time that does not come in every step: stalls now and then, steps that get slower."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from debottleneck.analysis.frames import Floats, Ints, quiet_steps
from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.guards import busy
from debottleneck.analysis.rules.measures import (
    Cost,
    input_rows,
    of_trainer,
    waited_on,
)
from debottleneck.analysis.rules.wording import (
    DOING,
    finding,
    inside,
    on,
    percent,
)
from debottleneck.analysis.statistics import ratio_interval
from debottleneck.analysis.thresholds import THRESHOLDS

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
    stage, part = _grown(analysis, number[slow], number[~slow])
    if stage == "evaluate":  # meant to be long and rare: `between-steps` has its share
        return
    cause = _cause(analysis, stage)
    if cause in ("", "runqueue") and busy(analysis):  # other work's, and said as such
        return
    times, every = float(np.mean(wall[slow])) / usual, period(number[slow])
    often = (
        f"Every {every} steps one" if every else f"One step in {len(wall) / count:.0f}"
    )
    what = on(waited_on(analysis, stage, cause))
    doing = f", mostly {DOING[cause]}{what}" if cause else ""
    drains = cause in ("lock", "ipc") and stage in input_rows(analysis)
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
    stage, part = _grown(analysis, parts[2], parts[0])
    tracked = _tracked(analysis)
    objects = f"; Python's objects grew from {tracked[0]:,} to {tracked[1]:,}"
    yield finding(
        analysis,
        "drift",
        Cost(share * analysis.loop.step_ms, share, math.nan, math.nan),
        stage=stage,
        summary=f"Steps get slower: the last third take {ratio:.2f} times as long as "
        f"the first ({low:.2f} to {high:.2f}), {percent(part)} of that"
        f"{inside(analysis, stage)}{objects if tracked[1] > tracked[0] else ''}.",
        action="See what grows there from step to step: a list or graph that is kept, "
        "numbers that become denormal.",
        evidence={"times": ratio, "times_low": low, "times_high": high}
        | ({"tracked_objects": list(tracked)} if tracked[1] else {}),
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


def _grown(analysis: Analysis, longer: Ints, others: Ints) -> tuple[str, float]:
    """The row that takes most more in some steps than in others; its part of it."""
    table = analysis.step_stages
    more = _means(table, longer).sub(_means(table, others), fill_value=0.0)
    total = float(more.sum())
    if more.empty or total <= 0:
        return "", 0.0
    return str(more.idxmax()), min(float(more.max()) / total, 1.0)


def _means(table: pd.DataFrame, steps: Ints) -> pd.Series:
    rows = table[table["step"].isin(steps)]
    return rows.groupby("stage")["wall_ns"].sum() / max(len(steps), 1)


def _cause(analysis: Analysis, stage: str) -> str:
    rows = of_trainer(analysis.causes, stage=stage)
    known = rows[rows["cause"] != "unattributed"].sort_values("ms_per_step")
    return str(known.iloc[-1]["cause"]) if len(known) else ""


def _tracked(analysis: Analysis) -> tuple[int, int]:
    """Objects that the oldest generation had, first and last; 0 where not counted."""
    counts = analysis.recording.collections["tracked"]
    counts = counts[counts > 0]
    return (int(counts.iloc[0]), int(counts.iloc[-1])) if len(counts) else (0, 0)


def _floats(column: pd.Series) -> Floats:
    return np.asarray(column.to_numpy(np.float64))
