"""What `profile` made of a dialled loop, against the loop's own exact counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.analysis.attribution import CAUSE
from debottleneck.analysis.frames import (
    Floats,
    Ints,
    bounds,
    holding,
    of_thread,
    quiet_steps,
)
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rows import RowNames
from debottleneck.analysis.statistics import mean_interval
from debottleneck.analysis.steps import with_stages
from debottleneck.analysis.threads import QuietTime, cause_totals
from debottleneck.analysis.trainer import grid_of
from debottleneck.words import STAGES

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
    def of(cls, facts: Mapping[str, Any]) -> Truth:
        """From the JSON that the dialled loop writes."""
        causes = tuple(facts["causes"])
        start = np.array(facts["start_ns"], np.int64)
        parts = np.array(facts["parts"], np.int64).reshape(len(start), len(causes), 3)
        return cls(causes, start, np.array(facts["end_ns"], np.int64), parts)

    @property
    def middle(self) -> Ints:
        """(rounds,) a time that is well inside each."""
        return (self.start + self.end) // 2

    def of_cause(self, cause: str) -> Floats:
        """(rounds,) nanoseconds that the round truly had of it."""
        wall, cpu, delay = self.parts[:, self.causes.index(cause)].T.astype(np.float64)
        amount: Floats = np.maximum(wall - cpu - delay, 0.0)
        if cause in ON_CPU:  # reads copy without the GIL
            amount = cpu + (self._cpu("disk") if cause == "native" else 0.0)
        elif cause == "runqueue":
            amount = delay
        return amount

    def _cpu(self, *causes: str) -> Floats:
        """(rounds,) on-CPU time of those parts, as far as they were planted."""
        places = [number for number, c in enumerate(self.causes) if c in causes]
        cpu: Floats = self.parts[:, places, 1].sum(axis=1).astype(np.float64)
        return cpu

    def doubt(self, cause: str) -> Floats:
        """(rounds,) on-CPU time of the waiting parts, which may be of either kind."""
        if cause not in ON_CPU:
            return np.zeros(len(self.start))
        return self._cpu(*(c for c in self.causes if c not in (*ON_CPU, "disk")))


@dataclass(frozen=True)
class Compared:
    """Shares, and the interval of attributed less truth in percentage points."""

    truth: float
    attributed: float
    low: float
    high: float


def in_trainer(analysis: Analysis, truth: Truth, cause: str) -> Compared | None:
    """The planted cause's share of the trainer's step, step by step."""
    steps = quiet_steps(analysis.steps)
    if not analysis.loop.found or steps.empty:
        return None
    step = holding(*bounds(steps), truth.middle)
    kept = step >= 0
    if not kept.any():
        return None
    ours = _by_step(analysis)[step[kept], STAGES.index("load"), CAUSE[cause]]
    theirs = truth.of_cause(cause)[kept]
    step_ns = float((truth.end - truth.start)[kept].mean())
    _, low, high = mean_interval((ours - theirs) / step_ns)
    doubt = float(truth.doubt(cause)[kept].mean()) / step_ns
    shares = float(theirs.mean()) / step_ns, float(ours.mean()) / step_ns
    return Compared(*shares, 100 * (float(low) - doubt), 100 * float(high))


def _by_step(analysis: Analysis) -> Floats:
    """(quiet steps, stages, causes) nanoseconds: what the report's means are of."""
    trainer = analysis.recording.facts.pid, analysis.loop.trainer_tid
    segments = of_thread(analysis.segments, *trainer)
    rows = of_thread(analysis.recording.waits, *trainer).sort_values("end_ns")
    _, within = with_stages(analysis.steps, segments)
    names = RowNames.of(analysis.rows)
    return grid_of(analysis.steps, within, segments, rows, names).causes


def in_loader(analysis: Analysis, truth: Truth, cause: str) -> Compared | None:
    """The planted cause's share of the loader thread's own time."""
    threads = analysis.threads[analysis.threads["name"] == LOADER_THREAD]
    steps = quiet_steps(analysis.steps)
    if threads.empty or len(steps) < BATCHES:
        return None
    key = int(threads["pid"].iloc[0]), int(threads["tid"].iloc[0])
    errors = [
        _batch_error(analysis, truth, cause, key, steps.iloc[batch])
        for batch in np.array_split(np.arange(len(steps)), BATCHES)
    ]
    mean, low, high = mean_interval([error for error in errors if error is not None])
    share = _true_share(truth, cause, steps)
    if share is None:
        return None
    attributed = float(threads[cause].iloc[0])
    shift = attributed - share - float(mean)
    return Compared(
        share, attributed, 100 * (float(low) + shift), 100 * (float(high) + shift)
    )


def _true_share(truth: Truth, cause: str, steps: pd.DataFrame) -> float | None:
    """Of the rounds within those steps, which follow one another."""
    first, last = int(steps["start_ns"].min()), int(steps["end_ns"].max())
    kept = (truth.middle >= first) & (truth.middle < last)
    if not kept.any():
        return None
    total = float((truth.end - truth.start)[kept].sum())
    return float(truth.of_cause(cause)[kept].sum()) / total


def _batch_error(
    analysis: Analysis,
    truth: Truth,
    cause: str,
    key: tuple[int, int],
    steps: pd.DataFrame,
) -> float | None:
    quiet = QuietTime(*bounds(steps), float(len(steps)))
    rows = RowNames.of(analysis.rows)
    grid = cause_totals(analysis.recording, analysis.segments, rows, quiet).get(key)
    share = _true_share(truth, cause, steps)
    if grid is None or share is None or grid.sum() <= 0:
        return None
    return float(grid[:, CAUSE[cause]].sum() / grid.sum()) - share
