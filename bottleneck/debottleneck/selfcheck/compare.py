"""What `profile` made of a dialled loop, against the loop's own exact counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.attribution import CAUSE
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.statistics import mean_interval
from debottleneck.analysis.steps import with_stages
from debottleneck.analysis.threads import QuietTime, cause_totals
from debottleneck.analysis.trainer import grid_of
from debottleneck.recording.loop import CODE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LOADER_THREAD = "loader-0"
BATCHES = 6
"""Stretches of time that a loader's error is taken over, for its interval."""

ON_CPU = ("python", "native")


@dataclass(frozen=True)
class Truth:
    """Exact counters of the thread that holds what is planted, by round.

    Attributes:
        causes: What was planted, in turn.
        start: (rounds,) monotonic nanoseconds.
        end: Likewise; the next round's start.
        parts: (rounds, causes, 3) wall, CPU and run-queue delay, nanoseconds.
    """

    causes: tuple[str, ...]
    start: Ints
    end: Ints
    parts: Ints

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Truth:
        """From the JSON that the dialled loop tells."""
        causes = tuple(told["causes"])
        shape = (len(told["start_ns"]), len(causes), 3)
        parts = np.array(told["parts"], np.int64).reshape(shape)
        start = np.array(told["start_ns"], np.int64)
        return cls(causes, start, np.array(told["end_ns"], np.int64), parts)

    @property
    def middle(self) -> Ints:
        """(rounds,) a time that is well inside each."""
        return (self.start + self.end) // 2

    def of_cause(self, cause: str) -> Floats:
        """(rounds,) nanoseconds that the round truly had of it."""
        wall, cpu, delay = self.parts[:, self.causes.index(cause)].T.astype(np.float64)
        if cause in ON_CPU:
            copying: Floats = cpu + (self._cpu("disk") if cause == "native" else 0.0)
            return copying
        waited: Floats = np.maximum(wall - cpu - delay, 0.0)
        return delay if cause == "runqueue" else waited

    def _cpu(self, cause: str) -> Floats:
        """(rounds,) on-CPU time of a part, 0 without it; reads copy without the GIL."""
        if cause not in self.causes:
            return np.zeros(len(self.start))
        found: Floats = self.parts[:, self.causes.index(cause), 1].astype(np.float64)
        return found

    def doubt(self, cause: str) -> Floats:
        """(rounds,) on-CPU time of the waiting parts, which may be of either kind."""
        if cause not in ON_CPU or len(self.causes) == 1:
            return np.zeros(len(self.start))
        waits = [name for name in self.causes if name not in (*ON_CPU, "disk")]
        doubt: Floats = sum((self._cpu(n) for n in waits), np.zeros(len(self.start)))
        return doubt


@dataclass(frozen=True)
class Compared:
    """Shares, and the interval of attributed less truth in percentage points."""

    truth: float
    attributed: float
    low: float
    high: float


def in_trainer(analysis: Analysis, truth: Truth, cause: str) -> Compared | None:
    """The planted cause's share of the trainer's step, step by step."""
    steps = analysis.steps[analysis.steps["block"] == "quiet"]
    if not analysis.loop.found or steps.empty:
        return None
    row = _row_of(steps, truth.middle)
    kept = row >= 0
    if not kept.any():
        return None
    ours = _by_step(analysis)[row[kept], CODE["load"], CAUSE[cause]]
    theirs = truth.of_cause(cause)[kept]
    whole = float((truth.end - truth.start)[kept].mean())
    _, low, high = mean_interval((ours - theirs) / whole)
    doubt = float(truth.doubt(cause)[kept].mean()) / whole
    shares = float(theirs.mean()) / whole, float(ours.mean()) / whole
    return Compared(*shares, 100 * (float(low) - doubt), 100 * float(high))


def _row_of(steps: pd.DataFrame, times: Ints) -> Ints:
    """Number of the quiet step that each time lies in, -1 for none."""
    starts = steps["start_ns"].to_numpy(np.int64)
    ends = steps["end_ns"].to_numpy(np.int64)
    index = np.searchsorted(starts, times, side="right") - 1
    inside = (index >= 0) & (times < ends[np.maximum(index, 0)])
    return np.where(inside, index, -1)


def _by_step(analysis: Analysis) -> Floats:
    """(quiet steps, stages, causes) nanoseconds: what the report's means are of."""
    recording, trainer = analysis.recording, analysis.loop.trainer_tid

    def own(table: pd.DataFrame) -> pd.DataFrame:
        mask = (table["tid"] == trainer) & (table["pid"] == recording.facts.pid)
        return table[mask]

    segments = own(analysis.segments)
    _, within = with_stages(analysis.steps, segments)
    rows = own(recording.waits).sort_values("end_ns")
    return grid_of(analysis.steps, within, segments, rows).causes


def in_loader(analysis: Analysis, truth: Truth, cause: str) -> Compared | None:
    """The planted cause's share of the loader thread's own time."""
    threads = analysis.threads[analysis.threads["name"] == LOADER_THREAD]
    steps = analysis.steps[analysis.steps["block"] == "quiet"]
    if threads.empty or len(steps) < BATCHES:
        return None
    key = int(threads["pid"].iloc[0]), int(threads["tid"].iloc[0])
    errors = [
        _batch_error(analysis, truth, cause, key, batch)
        for batch in np.array_split(np.arange(len(steps)), BATCHES)
    ]
    known = [error for error in errors if error is not None]
    _, low, high = mean_interval(known)
    share = _true_share(truth, cause, steps)
    attributed = float(threads[cause].iloc[0])
    off = attributed - (share or 0.0) - float(np.mean(known or [np.nan]))
    bounds = 100 * (float(low) + off), 100 * (float(high) + off)
    return None if share is None else Compared(share, attributed, *bounds)


def _true_share(truth: Truth, cause: str, steps: pd.DataFrame) -> float | None:
    """Of the rounds within those steps, which follow one another."""
    first, last = int(steps["start_ns"].min()), int(steps["end_ns"].max())
    kept = (truth.middle >= first) & (truth.middle < last)
    if not kept.any():
        return None
    whole = float((truth.end - truth.start)[kept].sum())
    return float(truth.of_cause(cause)[kept].sum()) / whole


def _batch_error(
    analysis: Analysis, truth: Truth, cause: str, key: tuple[int, int], batch: Ints
) -> float | None:
    steps = analysis.steps[analysis.steps["block"] == "quiet"].iloc[batch]
    start = steps["start_ns"].to_numpy(np.int64)
    end = steps["end_ns"].to_numpy(np.int64)
    quiet = QuietTime(start, end, float(len(steps)))
    grid = cause_totals(analysis.recording, analysis.segments, quiet).get(key)
    share = _true_share(truth, cause, steps)
    if grid is None or share is None or grid.sum() <= 0:
        return None
    return float(grid[:, CAUSE[cause]].sum() / grid.sum()) - share
