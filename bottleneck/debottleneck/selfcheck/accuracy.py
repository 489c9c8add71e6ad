"""What `profile` made of a dialled loop, against the loop's own exact counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from debottleneck.analysis.attribution import CAUSE
from debottleneck.analysis.counted import ThreadCounts
from debottleneck.analysis.frames import Floats, Ints, bounds, of_thread, quiet_steps
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rows import RowNames
from debottleneck.analysis.statistics import mean_interval
from debottleneck.analysis.steps import with_stages
from debottleneck.analysis.threads import QuietTime, cause_totals
from debottleneck.analysis.trainer import grid_of
from debottleneck.selfcheck.cases import LOADER
from debottleneck.words import ON_CORE, STAGES

LOADER_THREAD = "loader-0"
BATCHES = 12
"""Stretches of steps that an error is taken over, for its interval."""

Share = Callable[[pd.DataFrame], float | None]
"""Steps that follow each other -> a share of their time."""


@dataclass(frozen=True)
class Truth:
    """Exact counters of the thread that holds what is planted, by round.

    Attributes:
        causes: What was planted, in turn.
        start: (rounds,) monotonic nanoseconds.
        end: Likewise; the next round's start.
        parts: (rounds, causes, 4) wall, CPU, run-queue delay, CPU in the kernel, ns.
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
        parts = np.array(facts["parts"], np.int64).reshape(len(start), len(causes), 4)
        return cls(causes, start, np.array(facts["end_ns"], np.int64), parts)

    def of_cause(self, cause: str) -> Floats:
        """(rounds,) nanoseconds that the round truly had of it."""
        own = self.parts[:, self.causes.index(cause)].astype(np.float64)
        wall, cpu, delay, system = own.T
        amount: Floats = np.maximum(wall - cpu - delay, 0.0)
        if cause in ON_CORE:  # reads copy without the GIL
            amount = cpu + (self._cpu("disk") if cause == "native" else 0.0)
        elif cause in ("runqueue", "throttle"):
            amount = delay
        if cause == "memory":  # writing to the pages, too
            amount = system
        return amount

    def _cpu(self, *causes: str) -> Floats:
        """(rounds,) on-CPU time of those parts, as far as they were planted."""
        places = [number for number, c in enumerate(self.causes) if c in causes]
        cpu: Floats = self.parts[:, places, 1].sum(axis=1).astype(np.float64)
        return cpu

    def doubt(self, cause: str) -> Floats:
        """(rounds,) on-CPU time of the waiting parts, which may be of either kind."""
        if cause not in ("python", "native"):
            return np.zeros(len(self.start))
        return self._cpu(*(c for c in self.causes if c not in (*ON_CORE, "disk")))

    def share(self, amount: Floats, steps: pd.DataFrame) -> float | None:
        """Of the rounds within those steps, which follow one another."""
        middle = (self.start + self.end) // 2
        first, last = int(steps["start_ns"].min()), int(steps["end_ns"].max())
        kept = (middle >= first) & (middle < last)
        total = float((self.end - self.start)[kept].sum())
        return float(amount[kept].sum()) / total if total else None


@dataclass(frozen=True)
class Compared:
    """Shares, and the interval of attributed less truth in percentage points."""

    truth: float
    attributed: float
    low: float
    high: float


def compared(
    analysis: Analysis, truth: Truth, cause: str, place: str
) -> Compared | None:
    """A planted cause's share of the trainer's step, or of the loader's own time."""
    steps = quiet_steps(analysis.steps)
    if not analysis.loop.found or len(steps) < 2:  # no interval of one
        return None
    ours = (_in_loader if place == LOADER else _in_trainer)(analysis, cause)
    amount = truth.of_cause(cause)
    whole, found = truth.share(amount, steps), ours(steps)
    if whole is None or found is None:
        return None
    errors = []
    for places in np.array_split(np.arange(len(steps)), min(BATCHES, len(steps))):
        batch = steps.iloc[places]
        said, true = ours(batch), truth.share(amount, batch)
        if said is not None and true is not None:
            errors.append(said - true)
    mean, low, high = (float(value) for value in mean_interval(errors))
    shift = found - whole - mean
    doubt = truth.share(truth.doubt(cause), steps) or 0.0
    return Compared(whole, found, 100 * (low + shift - doubt), 100 * (high + shift))


def _in_trainer(analysis: Analysis, cause: str) -> Share:
    """Of the steps' time, spent so in `load`: what the report's means are of."""
    trainer = analysis.recording.facts.pid, analysis.loop.trainer_tid
    segments = of_thread(analysis.segments, *trainer)
    rows = of_thread(analysis.recording.waits, *trainer).sort_values("end_ns")
    _, within = with_stages(analysis.steps, segments)
    names = RowNames.of(analysis.rows)
    counts = ThreadCounts.of(analysis.recording, *trainer, rows)
    causes = grid_of(analysis.steps, within, segments, rows, counts, names).causes
    every = quiet_steps(analysis.steps)
    spent = pd.Series(causes[:, STAGES.index("load"), CAUSE[cause]], every.index)

    def share(steps: pd.DataFrame) -> float:
        length = (steps["end_ns"] - steps["start_ns"]).sum()
        return float(spent[steps.index].sum() / length)

    return share


def _in_loader(analysis: Analysis, cause: str) -> Share:
    """Of the loader thread's own time during the steps."""
    threads = analysis.threads[analysis.threads["name"] == LOADER_THREAD]
    keys = list(zip(threads["pid"], threads["tid"], strict=True))
    rows = RowNames.of(analysis.rows)

    def share(steps: pd.DataFrame) -> float | None:
        quiet = QuietTime(*bounds(steps), float(len(steps)))
        totals = cause_totals(analysis.recording, analysis.segments, rows, quiet)
        grid = totals.get(keys[0]) if keys else None
        if grid is None or grid.sum() <= 0:
            return None
        return float(grid[:, CAUSE[cause]].sum() / grid.sum())

    return share
