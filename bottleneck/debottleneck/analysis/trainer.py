"""The trainer's stages and causes per step, with intervals over steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from debottleneck.analysis.attribution import Samples, gather, split, sums
from debottleneck.analysis.counted import ThreadCounts
from debottleneck.analysis.frames import (
    BULK,
    QUIET,
    WARMUP,
    Flags,
    Floats,
    Ints,
    bounds,
    holding,
    quiet_steps,
    typed,
)
from debottleneck.analysis.rows import RowNames
from debottleneck.analysis.statistics import mean_interval, raked
from debottleneck.analysis.timeline import Lookup
from debottleneck.words import CAUSES, STAGES

FEWEST_LOOKS = 10
"""Samples of the whole loop below which no cause is named: what none of ten saw may
still take a quarter of the time (0.74 ** 10 is 5 %), what none of two saw most."""

ALIKE = 0.9
"""Of the samples of unmarked iterations so many say the same: all statements do it."""

NONE_ASIDE: Mapping[str, Collection[int]] = MappingProxyType({})


@dataclass(frozen=True)
class StepGrid:
    """The quiet steps of the trainer.

    Attributes:
        steps: Their numbers in the table of steps.
        wall: (steps, stages) nanoseconds.
        cpu: (steps, stages) nanoseconds of thread CPU time.
        causes: (steps, stages, causes) nanoseconds, summing to `wall`.
        rows: What stands for "stages" here.
        kinds: (steps, kinds) whether something happened that is not in every step.
        weights: (steps,) by which such steps are as frequent as in the whole run.
        looks: Samples of the trainer within them; None when it was not sampled.
    """

    steps: Ints
    wall: Floats
    cpu: Floats
    causes: Floats
    rows: RowNames
    kinds: Flags
    weights: Floats
    looks: int | None

    def mean(self, values: Floats) -> Floats:
        """Of (steps, ...) values that over a step of the run."""
        return np.asarray(np.average(values, axis=0, weights=self.weights))


def grid_of(
    steps: pd.DataFrame,
    within: pd.DataFrame,
    segments: pd.DataFrame,
    waits: pd.DataFrame,
    counts: ThreadCounts,
    rows: RowNames,
    aside: Mapping[str, Collection[int]] = NONE_ASIDE,
) -> StepGrid:
    """Exact times and causes of every quiet step; `aside` is of `sites_aside`."""
    numbers = quiet_steps(steps)["step"].to_numpy(np.int64)
    row_of_step = np.full(len(steps), -1)
    row_of_step[numbers] = np.arange(len(numbers))
    row = row_of_step[within["step"].to_numpy(np.int64)]
    counted = within[row >= 0]
    cell = row[row >= 0] * len(rows) + rows.numbers(counted["stage"])
    shape = (len(numbers), len(rows))
    cells = shape[0] * shape[1]

    def times(column: str, sites: Collection[int] | None = None) -> Floats:
        kept = 1 if sites is None else counted["site"].isin(sites)
        return sums(cell, counted[column] * kept, cells).reshape(shape)

    wall, cpu = times("wall_ns"), times("cpu_ns")
    every = [site for sites in aside.values() for site in sites]
    waited = {cause: times("wall_ns", sites) for cause, sites in aside.items()}
    lookup, samples, looks = Lookup(segments, rows), None, None
    step = holding(*bounds(steps), lookup.start)
    step = np.where(lookup.table["site"].isin(every), -1, step)
    places = np.where(step >= 0, row_of_step[step], -1)
    if len(waits):
        collecting = counts.collecting(bounds(waits)[1] - 1)
        around = (waits, lookup, places, len(numbers))
        samples = gather(*around, counts.counters, collecting)
        looks = int(samples.count.sum())
        if looks < FEWEST_LOOKS:
            is_bulk = np.append(steps["block"] == BULK, False)[step]
            alike = gather(waits, lookup, np.where(is_bulk, 0, -1), 1)
            looks += int(alike.count.sum())
            samples = _alike(alike, wall) if looks >= FEWEST_LOOKS else None
    laid = counts.on_grid(lookup, places, len(numbers))
    rest = wall - times("wall_ns", every), cpu - times("cpu_ns", every)
    causes = split(*rest, samples, laid)
    for cause, ns in waited.items():
        causes[..., CAUSES.index(cause)] += ns
    kinds, weights = frequencies(steps, within, rows)
    return StepGrid(numbers, wall, cpu, causes, rows, kinds, weights, looks)


def _alike(stretches: Samples, wall: Floats) -> Samples | None:
    """Samples of iterations that went unmarked, as if of each statement alike.

    None where they saw several causes: of which statement each is, is not known.
    """
    held, ran = float(stretches.held.sum()), float(stretches.ran.sum())
    seen = ran + float(stretches.blocked.sum())
    if not ran or max(held, ran - held) < ALIKE * seen:
        return None
    none = np.zeros(wall.shape)
    return replace(
        stretches,
        delay=none,
        stopped=none,
        blocked=np.zeros((*wall.shape, len(CAUSES))),
        seen=wall,
        ran=wall,
        held=wall * (held / ran),
    )


def frequencies(
    steps: pd.DataFrame, within: pd.DataFrame, rows: RowNames
) -> tuple[Flags, Floats]:
    """`kinds` and `weights` of the quiet steps.

    Rare work between steps lies in few of them, by chance in more or fewer than its
    part of the run; how often it is done is known of all steps that were marked. What
    it leaves to the next step (a cold cache, workers to start) is told likewise.
    Lines of functions that are opened are marked from some step on, and no work that
    others do without.
    """
    row = rows.numbers(within["stage"])
    work = np.where(row < len(STAGES), within["site"], ~row)  # a stage's site, or lines
    of_all = ~rows.opened[row]
    what, column = np.unique(work[of_all], return_inverse=True)
    present = np.zeros((len(steps), len(what)), np.bool_)
    present[within["step"].to_numpy()[of_all], column] = True
    before = np.roll(present, 1, axis=0)
    before[:1] = False
    each = {kind.tobytes(): kind for kind in np.hstack((present, before)).T}
    kinds = np.column_stack([each[bytes] for bytes in sorted(each)] or [present])
    is_quiet = (steps["block"] == QUIET).to_numpy()
    in_quiet = kinds[is_quiet].mean(axis=0)
    kinds = kinds[:, (in_quiet > 0) & (in_quiet < 1)]
    marked = ~steps["block"].isin((BULK, WARMUP)).to_numpy()
    return kinds[is_quiet], raked(kinds[is_quiet], kinds[marked].mean(axis=0))


def stage_table(grid: StepGrid, calls: dict[str, float]) -> pd.DataFrame:
    """`frames.COLUMNS["stages"]`; stages that took no time are left out."""
    present = np.flatnonzero(grid.wall.sum(axis=0) > 0)
    names = grid.rows.names[present]
    columns = {
        "stage": names,
        "cpu_ms_per_step": grid.mean(grid.cpu[:, present]) / 1e6,
        "calls_per_step": [calls.get(name, 0.0) for name in names],
    }
    spread = _spread(grid, grid.wall[:, present])
    return typed("stages", pd.DataFrame(columns | spread))


def cause_table(grid: StepGrid) -> pd.DataFrame:
    """Rows of `frames.COLUMNS["causes"]` for the trainer."""
    flat = grid.causes.reshape(len(grid.steps), -1)
    present = np.flatnonzero(flat.sum(axis=0) > 0)
    stage, cause = np.divmod(present, len(CAUSES))
    columns = {
        "stage": grid.rows.names[stage],
        "role": "trainer",
        "cause": np.array(CAUSES, dtype=object)[cause],
    }
    return typed("causes", pd.DataFrame(columns | _spread(grid, flat[:, present])))


def _spread(grid: StepGrid, values: Floats) -> dict[str, Floats]:
    """Columns that say how long parts of the step are, from (steps, parts) ns."""
    step_ns = max(float(grid.mean(grid.wall).sum()), 1e-9)
    mean, low, high = _interval(grid, values)
    share = mean / step_ns
    beyond = values - np.outer(grid.wall.sum(axis=1), share)
    _, below, above = _interval(grid, beyond / step_ns)
    return {
        "ms_per_step": mean / 1e6,
        "share": share,
        "share_low": np.maximum(share + below, 0.0),
        "share_high": np.minimum(share + above, 1.0),
        "low": np.maximum(low, 0.0) / 1e6,
        "high": high / 1e6,
        "median_ms": np.median(values, axis=0) / 1e6,
        "p95_ms": np.quantile(values, 0.95, axis=0) / 1e6,
    }


def step_interval(grid: StepGrid) -> tuple[float, float, float, float, float]:
    """Mean step with bounds, median and 95th percentile, in milliseconds."""
    walls = grid.wall.sum(axis=1) / 1e6
    mean, low, high = _interval(grid, walls)
    median, p95 = np.median(walls), np.quantile(walls, 0.95)
    return float(mean), max(float(low), 0.0), float(high), float(median), float(p95)


def _interval(grid: StepGrid, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean over steps with its interval: how often each kind of step comes is known."""
    if not grid.kinds.shape[1]:
        return mean_interval(values)
    kinds = np.column_stack((np.ones(len(grid.steps)), grid.kinds.astype(np.float64)))
    usual = kinds @ np.linalg.lstsq(kinds, values, rcond=None)[0]
    middle, low, high = mean_interval(values - usual, grid.weights)
    mean = grid.mean(values)
    return mean, mean + low - middle, mean + high - middle
