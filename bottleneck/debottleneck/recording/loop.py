"""Find the steps of a training loop in the marks of one thread. NumPy only.

Used while the script runs, to count steps, and afterwards by the analysis: one rule
for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from debottleneck.recording.spool import ENTER, LEAVE, STEP_END, STEP_START
from debottleneck.words import BETWEEN_STAGES, STAGES, STEP

Ints = NDArray[np.int64]

CODE = {name: number for number, name in enumerate((*STAGES, STEP))}
"""Stage name -> number, for arrays."""

COMPUTE = tuple(CODE[name] for name in ("forward", "loss", "backward", "update"))
BETWEEN = tuple(CODE[name] for name in BETWEEN_STAGES)
TRAINING = tuple(CODE[name] for name in ("backward", "update"))

LOADS_PER_UPDATE = 0.1
"""With fewer loads than this an update, loads do not bound the steps (a loop that
loads once an epoch); with more, they do (also when gradients are accumulated)."""


@dataclass(frozen=True)
class Marks:
    """One thread's marks, as arrays of equal length in order of time.

    Attributes:
        t: Monotonic nanoseconds.
        edge: `spool.ENTER`, `LEAVE`, `STEP_START` or `STEP_END`.
        stage: Numbers of `CODE`.
        minor: True for marks that never bound a step (`zero_grad`).
    """

    t: Ints
    edge: Ints
    stage: Ints
    minor: NDArray[np.bool_]


@dataclass(frozen=True)
class Steps:
    """Steps found: bounds (count + 1 times unless there are gaps) and the rule."""

    start: Ints
    end: Ints
    rule: str

    def __len__(self) -> int:
        return len(self.start)


NONE = Steps(np.empty(0, np.int64), np.empty(0, np.int64), "")


def find_steps(marks: Marks) -> Steps:
    """The steps of one thread, by the rule that its marks show consistently.

    A step of the API bounds steps; else each load phase does; else each call of a
    function such as `train_step`; else each end of an update, of a backward pass, or
    each forward pass. Loads that no training follows, in a loop that trains, are an
    evaluation and no steps.
    """
    explicit = np.isin(marks.edge, (STEP_START, STEP_END))
    if np.count_nonzero(marks.edge == STEP_START) >= 2:
        return _explicit(marks, explicit)
    outer = outermost(marks)
    kept = ~np.isin(outer.stage, BETWEEN) & ~outer.minor
    outer = _take(outer, kept)
    calls = marks.t[(marks.edge == ENTER) & (marks.stage == CODE[STEP])]
    by_loads = _by_loads(outer)
    if by_loads is not None:
        return by_loads
    updates = _run_ends(outer, CODE["update"])
    if len(calls) >= 2 and len(calls) >= LOADS_PER_UPDATE * len(updates):
        return _between(calls, "a step begins at each call of the step function")
    return _by_computation(outer, updates)


def outermost(marks: Marks) -> Marks:
    """Entries and leavings of outermost stages; step functions do not count."""
    real = np.isin(marks.edge, (ENTER, LEAVE)) & (marks.stage != CODE[STEP])
    inner = _take(marks, real)
    change = np.where(inner.edge == ENTER, 1, -1)
    depth = np.cumsum(change)
    entered = (inner.edge == ENTER) & (depth == 1)
    leaving = (inner.edge == LEAVE) & (depth == 0)
    return _take(inner, entered | leaving)


def choose_trainer(threads: Mapping[int, Marks], main: int) -> tuple[int, Steps]:
    """The thread that trains, and its steps; `main` and none when none shows.

    A thread that only loads or augments is no trainer, unless it is the main one.

    Args:
        threads: Tid -> its marks.
        main: Tid of the main thread.
    """
    best_tid, best, best_score = main, NONE, 0.0
    for tid, marks in threads.items():
        score = _trainer_score(marks) + (0.5 if tid == main else 0.0)
        if score >= 0.5 and score > best_score:
            steps = find_steps(marks)
            if len(steps):
                best_tid, best, best_score = tid, steps, score
    return best_tid, best


def _trainer_score(marks: Marks) -> float:
    """Marks that only a training thread makes."""
    entries = marks.stage[marks.edge == ENTER]
    steps = np.count_nonzero(marks.edge == STEP_START)
    training = np.count_nonzero(np.isin(entries, (*COMPUTE, CODE[STEP])))
    return 1000.0 * steps + training


def _take(marks: Marks, mask: NDArray[np.bool_]) -> Marks:
    return Marks(marks.t[mask], marks.edge[mask], marks.stage[mask], marks.minor[mask])


def _explicit(marks: Marks, mask: NDArray[np.bool_]) -> Steps:
    times, edges = marks.t[mask], marks.edge[mask]
    begins = edges[:-1] == STEP_START
    rule = "a step begins where the script marks it with step()"
    return Steps(times[:-1][begins], times[1:][begins], rule)


def _by_loads(outer: Marks) -> Steps | None:
    entries = _take(outer, outer.edge == ENTER)
    is_load = entries.stage == CODE["load"]
    computes = np.isin(entries.stage, COMPUTE)
    if not is_load.any():
        return None
    before = np.concatenate(([-1], entries.stage[:-1]))
    if computes.any():
        phase = is_load & ~_input_since_compute(entries.stage)
    elif (~is_load).any():
        phase = is_load & (before != CODE["load"])
    else:
        phase = is_load
    starts = entries.t[phase]
    updates = len(_run_ends(outer, CODE["update"]))
    if len(starts) < 2 or len(starts) < LOADS_PER_UPDATE * updates:
        return None
    steps = _between(starts, "a step begins at each load")
    return _without_evaluation(steps, entries)


def _input_since_compute(stages: Ints) -> NDArray[np.bool_]:
    """For each entry, whether a load came before it since the last computation."""
    index = np.arange(len(stages))
    is_load = stages == CODE["load"]
    last_load = np.maximum.accumulate(np.where(is_load, index, -1))
    previous_load = np.concatenate(([-1], last_load[:-1]))
    computes = np.isin(stages, COMPUTE)
    last_compute = np.maximum.accumulate(np.where(computes, index, -1))
    return np.asarray((previous_load >= 0) & (previous_load > last_compute))


def _without_evaluation(steps: Steps, entries: Marks) -> Steps:
    """Leave out steps that only compute forward, where others train."""
    trains = np.isin(entries.stage, TRAINING)
    times = entries.t[trains]
    first = np.searchsorted(times, steps.start)
    count = np.searchsorted(times, steps.end) - first
    trained = count > 0
    if trained.mean() < 0.2 or trained.all():
        return steps
    return Steps(steps.start[trained], steps.end[trained], steps.rule)


def _by_computation(outer: Marks, updates: Ints) -> Steps:
    if len(updates) >= 2:
        return _between(updates, "a step ends with each update")
    backwards = _run_ends(outer, CODE["backward"])
    if len(backwards) >= 2:
        return _between(backwards, "a step ends with each backward pass")
    for name in ("update", "backward", "forward", "augment", "loss"):
        entries = outer.t[(outer.edge == ENTER) & (outer.stage == CODE[name])]
        if len(entries) >= 2:
            return _between(entries, f"a step begins at each {name}")
    return NONE


def _run_ends(outer: Marks, stage: int) -> Ints:
    """Times at which runs of one stage end, a run broken by another stage."""
    leavings = _take(outer, outer.edge == LEAVE)
    after = np.concatenate((leavings.stage[1:], [-1]))
    ends: Ints = leavings.t[(leavings.stage == stage) & (after != stage)]
    return ends


def _between(times: Ints, rule: str) -> Steps:
    return Steps(times[:-1], times[1:], rule)
